//! Operations against the fake engine: codes, fields and bodies as clients see them.

mod popping;

use bytes::Bytes;
use expect_test::expect;

use model::verbs::{QueueChoice, SendBackDelay, Settle, TransactionOutcome};
use model::{Lsn, Offset, QueueId, StoredMessage};

use crate::client::messages;
use crate::code::request as code;
use crate::fake::{Bench, group, plain, topic};
use crate::frame::{Body, Command, FLAG_ONEWAY};
use crate::header::Fields;
use crate::outbox::Push;

fn fields(pairs: &[(&str, &str)]) -> Fields {
    let mut fields = Fields::new();
    fields.extend(pairs.iter().copied());
    fields
}

fn request(code: i32, pairs: &[(&str, &str)]) -> Command {
    Command::request(code, fields(pairs), Body::default())
}

fn with_body(code: i32, pairs: &[(&str, &str)], body: &str) -> Command {
    Command::request(code, fields(pairs), body.to_owned().into())
}

fn shown(answer: &Command) -> String {
    let fields: Vec<String> = answer.fields.iter().map(|(k, v)| format!("{k}={v}")).collect();
    let remark = answer.remark.as_deref().unwrap_or_default();
    format!("{} {remark} {}", answer.code, fields.join(" "))
}

fn text(answer: &Command) -> String {
    String::from_utf8(answer.body.bytes().to_vec()).expect("text")
}

const SEND: &[(&str, &str)] = &[
    ("a", "pg"),
    ("b", "T"),
    ("c", "TBW102"),
    ("d", "4"),
    ("e", "2"),
    ("f", "0"),
    ("g", "1700000000000"),
    ("h", "9"),
    ("i", "KEYS\u{1}k\u{2}"),
    ("j", "0"),
    ("m", "false"),
];

fn sending(changes: &[(&str, &str)]) -> Vec<(&'static str, String)> {
    let value = |key: &str, old: &str| {
        changes.iter().find(|(k, _)| *k == key).map_or_else(|| old.to_owned(), |(_, v)| (*v).to_owned())
    };
    SEND.iter().map(|(key, old)| (*key, value(key, old))).collect()
}

fn send(code: i32, changes: &[(&str, &str)], body: &str) -> Command {
    let mut fields = Fields::new();
    for (key, value) in sending(changes) {
        fields.push(key, value);
    }
    Command::request(code, fields, body.to_owned().into())
}

#[tokio::test]
async fn a_send_tells_where_the_message_stands() {
    let bench = Bench::new();
    let answer = bench.ask(Command { opaque: 77, ..send(code::SEND_MESSAGE_V2, &[], "hello") }).await;
    expect!["0  msgId=0A00000100002A9F00000000000003E8 queueId=2 queueOffset=0 transactionId=UNIQ MSG_REGION=DefaultRegion TRACE_ON=true"]
        .assert_eq(&shown(&answer));
    assert_eq!((answer.opaque, answer.is_response(), answer.version), (77, true, 513));
    let published = bench.engine.state.lock().published.pop().expect("published");
    let message = &published.messages[0];
    assert_eq!(published.queue, QueueChoice::Queue(QueueId(2)));
    assert_eq!(published.auto_create.expect("wanted").queues, 4);
    assert_eq!(
        (message.flag, message.born_ms, message.properties.get("KEYS")),
        (9, 1_700_000_000_000, Some("k"))
    );
}

#[tokio::test]
async fn a_send_with_long_names_and_any_queue() {
    let bench = Bench::new();
    let answer = bench
        .ask(with_body(
            code::SEND_MESSAGE,
            &[("producerGroup", "pg"), ("topic", "T"), ("queueId", "-1")],
            "x",
        ))
        .await;
    assert_eq!(answer.code, 0);
    assert_eq!(bench.engine.state.lock().published[0].queue, QueueChoice::Any);
}

#[tokio::test]
async fn what_is_wrong_with_a_send_is_told_by_its_code() {
    let bench = Bench::new();
    for (changes, expected) in
        [(&[("b", "absent")][..], 17), (&[("b", "a b")], 29), (&[("b", "")], 29), (&[("e", "x")], 1)]
    {
        let answer = bench.ask(send(code::SEND_MESSAGE_V2, changes, "x")).await;
        assert_eq!(answer.code, expected, "{changes:?}: {}", shown(&answer));
    }
    assert_eq!(bench.ask(request(code::SEND_MESSAGE, &[])).await.code, 1);
    assert_eq!(bench.ask(request(4711, &[])).await.code, 3);
}

#[tokio::test]
async fn a_oneway_request_gets_no_answer_even_if_it_fails() {
    let bench = Bench::new();
    for changes in [&[][..], &[("b", "absent")]] {
        let oneway = Command { flag: FLAG_ONEWAY, ..send(code::SEND_MESSAGE_V2, changes, "x") };
        assert_eq!(bench.maybe(oneway).await, None);
    }
}

#[tokio::test]
async fn a_batch_has_the_ids_of_all_its_messages() {
    let bench = Bench::new();
    let mut body = Vec::new();
    for n in 0..3 {
        model::batch::encode(&mut body, format!("m{n}").as_bytes(), "", 0).expect("small");
    }
    let batch = Command { body: body.into(), ..send(code::SEND_BATCH_MESSAGE, &[("m", "true")], "") };
    let answer = bench.ask(batch).await;
    assert_eq!(answer.fields.get("msgId").expect("ids").split(',').count(), 3);
    assert_eq!(answer.fields.get("queueOffset"), Some("0"));
    assert_eq!(bench.engine.state.lock().published[0].messages[2].body, "m2");
    let broken = send(code::SEND_BATCH_MESSAGE, &[("m", "true")], "garbage");
    assert_eq!(bench.ask(broken).await.code, 13);
}

#[tokio::test]
async fn a_message_given_back_too_often_goes_to_the_dead_letters() {
    let bench = Bench::new();
    for (times, most, expected) in [("16", "16", "%RETRY%g"), ("17", "16", "%DLQ%g"), ("17", "", "%DLQ%g")] {
        let mut back = send(code::SEND_MESSAGE_V2, &[("b", "%RETRY%g"), ("j", times)], "x");
        back.fields.push("l", most);
        assert_eq!(bench.ask(back).await.code, 0);
        let published = bench.engine.state.lock().published.pop().expect("published");
        assert_eq!(published.topic, topic(expected));
    }
    bench.server.saw_lock(&group("g"));
    let properties = "RETRY_TOPIC\u{1}T\u{2}DELAY\u{1}3\u{2}";
    bench.ask(send(code::SEND_MESSAGE_V2, &[("b", "%RETRY%g"), ("i", properties)], "x")).await;
    let published = bench.engine.state.lock().published.pop().expect("published");
    assert_eq!(published.topic, topic("%DLQ%g"), "a group that locks queues consumes in order");
    let told = &published.messages[0].properties;
    assert_eq!((told.get("DLQ_ORIGIN_TOPIC"), told.get("DELAY")), (Some("T"), None));
}

const PULL: &[(&str, &str)] = &[
    ("consumerGroup", "g"),
    ("topic", "T"),
    ("queueId", "0"),
    ("maxMsgNums", "32"),
    ("commitOffset", "0"),
    ("suspendTimeoutMillis", "15000"),
    ("subVersion", "1"),
    ("subscription", "*"),
];

fn pull(offset: &str, flags: &str) -> Command {
    let mut request = request(code::PULL_MESSAGE, PULL);
    request.fields.push("queueOffset", offset);
    request.fields.push("sysFlag", flags);
    request
}

#[tokio::test]
async fn pulls_tell_where_to_read_on() {
    let bench = Bench::new();
    let stored: Vec<StoredMessage> =
        ["a", "b"].iter().map(|body| bench.engine.store("T", QueueId(0), &plain(body))).collect();
    let found = bench.ask(pull("0", "4")).await;
    expect!["0  nextBeginOffset=2 minOffset=0 maxOffset=2 suggestWhichBrokerId=0"].assert_eq(&shown(&found));
    assert_eq!(messages(&found.body.bytes()).expect("messages"), stored);
    let end = bench.ask(pull("2", "4")).await;
    expect!["19  nextBeginOffset=2 minOffset=0 maxOffset=2 suggestWhichBrokerId=0"].assert_eq(&shown(&end));
    let beyond = bench.ask(pull("9", "4")).await;
    expect!["21  nextBeginOffset=2 minOffset=0 maxOffset=2 suggestWhichBrokerId=0"]
        .assert_eq(&shown(&beyond));
}

#[tokio::test]
async fn a_pull_without_subscription_takes_the_one_of_the_heartbeat() {
    let bench = Bench::new();
    bench.engine.store("T", QueueId(0), &plain("a"));
    assert_eq!(bench.ask(pull("0", "0")).await.code, 24);
    let beat = r#"{"clientID":"c1","consumerDataSet":[{"groupName":"g","consumeType":"CONSUME_PASSIVELY",
        "messageModel":"CLUSTERING","consumeFromWhere":"CONSUME_FROM_LAST_OFFSET",
        "subscriptionDataSet":[{"topic":"T","subString":"*","subVersion":1}]}],"producerDataSet":[{"groupName":"pg"}]}"#;
    let answer = bench.ask(with_body(code::HEART_BEAT, &[], beat)).await;
    expect!["0  IS_SUPPORT_HEART_BEAT_V2=true IS_SUB_CHANGE=true"].assert_eq(&shown(&answer));
    assert_eq!(bench.ask(pull("0", "0")).await.code, 0);
    let list = bench.ask(request(code::GET_CONSUMER_LIST_BY_GROUP, &[("consumerGroup", "g")])).await;
    expect![[r#"{"consumerIdList":["c1"]}"#]].assert_eq(&text(&list));
    let leave = request(code::UNREGISTER_CLIENT, &[("clientID", "c1"), ("consumerGroup", "g")]);
    assert_eq!(bench.ask(leave).await.code, 0);
    let list = bench.ask(request(code::GET_CONSUMER_LIST_BY_GROUP, &[("consumerGroup", "g")])).await;
    assert_eq!(list.code, 1);
    assert_eq!(bench.ask(with_body(code::HEART_BEAT, &[], "{")).await.code, 1);
}

#[tokio::test]
async fn a_pull_can_bring_an_offset() {
    let bench = Bench::new();
    bench.engine.store("T", QueueId(0), &plain("a"));
    let mut bringing = pull("1", "5");
    bringing.fields =
        fields(&bringing.fields.iter().filter(|(key, _)| *key != "commitOffset").collect::<Vec<_>>());
    bringing.fields.push("commitOffset", 1);
    assert_eq!(bench.ask(bringing).await.code, 19);
    let committed: Vec<u64> = bench.engine.state.lock().committed.values().copied().collect();
    assert_eq!(committed, [1]);
}

#[tokio::test]
async fn offsets_are_committed_and_asked_for() {
    let bench = Bench::new();
    let of = |queue| [("consumerGroup", "g"), ("topic", "T"), ("queueId", queue)];
    expect!["0  offset=0"]
        .assert_eq(&shown(&bench.ask(request(code::QUERY_CONSUMER_OFFSET, &of("0"))).await));
    let mut strict = request(code::QUERY_CONSUMER_OFFSET, &of("0"));
    strict.fields.push("setZeroIfNotFound", "false");
    assert_eq!(bench.ask(strict).await.code, 22);
    assert_eq!(bench.ask(request(code::QUERY_CONSUMER_OFFSET, &of("1"))).await.code, 22);
    let mut update = request(code::UPDATE_CONSUMER_OFFSET, &of("1"));
    update.fields.push("commitOffset", 5);
    assert_eq!(bench.ask(update).await.code, 0);
    expect!["0  offset=5"]
        .assert_eq(&shown(&bench.ask(request(code::QUERY_CONSUMER_OFFSET, &of("1"))).await));
    expect!["0  offset=0"].assert_eq(&shown(&bench.ask(request(code::GET_MAX_OFFSET, &of("0"))).await));
    let earliest = bench.ask(request(code::GET_EARLIEST_MSG_STORETIME, &of("0"))).await;
    expect!["0  timestamp=-1"].assert_eq(&shown(&earliest));
    assert_eq!(bench.ask(request(code::GET_MAX_OFFSET, &of("-1"))).await.code, 29);
}

#[tokio::test]
async fn transactions_end_and_unknown_is_not_answered() {
    let bench = Bench::new();
    let end = |outcome| {
        request(
            code::END_TRANSACTION,
            &[
                ("producerGroup", "pg"),
                ("tranStateTableOffset", "3"),
                ("commitLogOffset", "400"),
                ("commitOrRollback", outcome),
                ("msgId", "U"),
                ("fromTransactionCheck", "true"),
            ],
        )
    };
    assert_eq!(bench.ask(end("8")).await.code, 0);
    assert_eq!(bench.maybe(end("0")).await, None);
    assert_eq!(bench.ask(end("5")).await.code, 1);
    let settled = bench.engine.state.lock().settled.clone();
    let Settle::Transaction(first) = &settled[0] else { panic!("a transaction") };
    assert_eq!(
        (first.outcome, first.lsn, first.offset),
        (TransactionOutcome::Commit, Lsn(400), Some(Offset(3)))
    );
    assert!(first.from_check);
    assert_eq!(settled.len(), 2);
}

#[tokio::test]
async fn messages_come_back() {
    let bench = Bench::new();
    for level in ["-1", "0", "5"] {
        let back = [("group", "g"), ("offset", "400"), ("delayLevel", level), ("maxReconsumeTimes", "3")];
        assert_eq!(bench.ask(request(code::CONSUMER_SEND_MSG_BACK, &back)).await.code, 0);
    }
    let delays: Vec<SendBackDelay> = bench
        .engine
        .state
        .lock()
        .settled
        .iter()
        .map(|settle| if let Settle::SendBack(back) = settle { back.delay } else { panic!("send back") })
        .collect();
    assert_eq!(delays, [SendBackDelay::DeadLetter, SendBackDelay::Schedule, SendBackDelay::Level(5)]);
}

#[tokio::test]
async fn routes_name_the_address_that_the_client_came_in_by() {
    let bench = Bench::new();
    let answer = bench.ask(request(code::GET_ROUTEINFO_BY_TOPIC, &[("topic", "T")])).await;
    expect![[r#"{"brokerDatas":[{"brokerAddrs":{"0":"mq.example:10911"},"brokerName":"b","cluster":"c","enableActingMaster":false}],"filterServerTable":{},"queueDatas":[{"brokerName":"b","perm":6,"readQueueNums":2,"topicSysFlag":0,"writeQueueNums":3}]}"#]]
        .assert_eq(&text(&answer));
    let absent = bench.ask(request(code::GET_ROUTEINFO_BY_TOPIC, &[("topic", "absent")])).await;
    expect!["17 No topic route info in name server for the topic: absent "].assert_eq(&shown(&absent));
    let cluster = bench.ask(request(code::GET_BROKER_CLUSTER_INFO, &[])).await;
    expect![[r#"{"brokerAddrTable":{"b":{"brokerAddrs":{"0":"mq.example:10911"},"brokerName":"b","cluster":"c","enableActingMaster":false}},"clusterAddrTable":{"c":["b"]}}"#]]
        .assert_eq(&text(&cluster));
}

#[tokio::test]
async fn administrators_see_tables_keyed_by_queues() {
    let bench = Bench::new();
    let stats = bench.ask(request(code::GET_TOPIC_STATS_INFO, &[("topic", "T")])).await;
    expect![[r#"{"offsetTable":{{"brokerName":"b","queueId":0,"topic":"T"}:{"lastUpdateTimestamp":77,"maxOffset":9,"minOffset":1}},"topicPutTps":0.0}"#]]
        .assert_eq(&text(&stats));
    let reset = [("group", "g"), ("topic", "T"), ("timestamp", "-1"), ("isForce", "true")];
    let reset = bench.ask(request(code::INVOKE_BROKER_TO_RESET_OFFSET, &reset)).await;
    expect![[r#"{"offsetTable":{{"brokerName":"b","queueId":0,"topic":"T"}:7,{"brokerName":"b","queueId":1,"topic":"T"}:8}}"#]]
        .assert_eq(&text(&reset));
    assert_eq!(bench.ask(request(code::GET_TOPIC_STATS_INFO, &[("topic", "absent")])).await.code, 17);
    assert_eq!(bench.ask(request(code::GET_CONSUME_STATS, &[("consumerGroup", "absent")])).await.code, 26);
    let key = [("namespace", "ORDER_TOPIC_CONFIG"), ("key", "T")];
    assert_eq!(bench.ask(request(code::GET_KV_CONFIG, &key)).await.code, 22);
    let put = [
        ("topic", "T"),
        ("defaultTopic", "TBW102"),
        ("readQueueNums", "8"),
        ("writeQueueNums", "8"),
        ("perm", "6"),
        ("topicFilterType", "SINGLE_TAG"),
        ("order", "false"),
        ("attributes", "+message.type=FIFO"),
    ];
    assert_eq!(bench.ask(request(code::UPDATE_AND_CREATE_TOPIC, &put)).await.code, 0);
    let group =
        r#"{"groupName":"g","retryMaxTimes":3,"groupRetryPolicy":{"type":"EXPONENTIAL"},"attributes":{}}"#;
    let put = with_body(code::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP, &[], group);
    assert_eq!(bench.ask(put).await.code, 0);
}

#[tokio::test]
async fn assignments_locks_and_selectors() {
    let bench = Bench::new();
    let asked = r#"{"topic":"T","consumerGroup":"g","clientId":"c","strategyName":"AVG","messageModel":"CLUSTERING"}"#;
    let answer = bench.ask(with_body(code::QUERY_ASSIGNMENT, &[], asked)).await;
    expect![[r#"{"messageQueueAssignments":[{"messageQueue":{"brokerName":"b","queueId":-1,"topic":"T"},"mode":"POP"},{"messageQueue":{"brokerName":"b","queueId":2,"topic":"T"},"mode":"POP"}]}"#]]
        .assert_eq(&text(&answer));
    let asked =
        r#"{"consumerGroup":"g","clientId":"c","mqSet":[{"topic":"T","brokerName":"b","queueId":3}]}"#;
    let answer = bench.ask(with_body(code::LOCK_BATCH_MQ, &[], asked)).await;
    expect![[r#"{"lockOKMQSet":[{"brokerName":"b","queueId":3,"topic":"T"}]}"#]].assert_eq(&text(&answer));
    for (expression, kind, expected) in [("bad", "TAG", 0), ("bad", "SQL92", 23), ("a = 1", "SQL92", 0)] {
        let body = format!(
            r#"{{"subscriptionData":{{"topic":"T","subString":"{expression}","expressionType":"{kind}"}}}}"#
        );
        assert_eq!(bench.ask(with_body(code::CHECK_CLIENT_CONFIG, &[], &body)).await.code, expected);
    }
}

#[tokio::test]
async fn messages_are_found_by_position_and_key() {
    let bench = Bench::new();
    let stored = bench.engine.store("T", QueueId(0), &plain("a"));
    let position = stored.lsn().to_string();
    let answer = bench.ask(request(code::VIEW_MESSAGE_BY_ID, &[("offset", &position)])).await;
    assert_eq!(answer.body.bytes(), *stored.bytes());
    assert_eq!(bench.ask(request(code::VIEW_MESSAGE_BY_ID, &[("offset", "1")])).await.code, 1);
    let by = |topic| {
        [
            ("topic", topic),
            ("key", "k"),
            ("maxNum", "9"),
            ("beginTimestamp", "0"),
            ("endTimestamp", "9223372036854775807"),
        ]
    };
    let answer = bench.ask(request(code::QUERY_MESSAGE, &by("T"))).await;
    expect!["0  indexLastUpdateTimestamp=5000 indexLastUpdatePhyoffset=1000"].assert_eq(&shown(&answer));
    assert_eq!(bench.ask(request(code::QUERY_MESSAGE, &by("other"))).await.code, 22);
    let recall = [("topic", "T"), ("recallHandle", "nonsense")];
    assert_eq!(bench.ask(request(code::RECALL_MESSAGE, &recall)).await.code, 604);
}

#[tokio::test]
async fn a_reply_reaches_the_client_that_asked() {
    let mut bench = Bench::new();
    bench
        .ask(with_body(
            code::HEART_BEAT,
            &[],
            r#"{"clientID":"asker","producerDataSet":[{"groupName":"pg"}]}"#,
        ))
        .await;
    let properties = "CORRELATION_ID\u{1}7\u{2}REPLY_TO_CLIENT\u{1}asker\u{2}";
    let reply = send(code::SEND_REPLY_MESSAGE_V2, &[("i", properties)], "answer");
    let (answer, ()) = tokio::join!(super::handle(&bench.link, reply).answer, async {
        let Some(Push::Ask(pushed, waiting)) = bench.pushes.recv().await else { panic!("pushed") };
        assert_eq!((pushed.code, pushed.body.bytes()), (326, Bytes::from_static(b"answer")));
        assert_eq!(pushed.fields.get("topic"), Some("T"));
        assert!(pushed.fields.get("properties").expect("there").contains("PUSH_REPLY_TIME"));
        waiting.send(Command::response(0)).expect("waited for");
    });
    assert_eq!(answer.expect("an answer").code, 0);
    let lost = send(code::SEND_REPLY_MESSAGE_V2, &[("i", "REPLY_TO_CLIENT\u{1}nobody\u{2}")], "x");
    assert_eq!(bench.ask(lost).await.code, 1);
}

#[tokio::test]
async fn a_request_that_wants_a_reply_names_the_cluster() {
    let bench = Bench::new();
    bench.ask(send(code::SEND_MESSAGE_V2, &[("i", "REPLY_TO_CLIENT\u{1}c\u{2}")], "x")).await;
    let published = bench.engine.state.lock().published.pop().expect("published");
    assert_eq!(published.messages[0].properties.get("CLUSTER"), Some("c"));
}

/// Each request in work holds one of these: thousands would leave the processor's caches.
#[test]
fn a_request_in_work_is_small() {
    let bench = Bench::new();
    let size_of = |request| size_of_val(&*super::handle(&bench.link, request).answer);
    let (sent, pulled) =
        (size_of(send(code::SEND_MESSAGE, &[], "x")), size_of(request(code::PULL_MESSAGE, &[])));
    println!("{sent} and {pulled} bytes");
    assert!(sent <= 400, "{sent} bytes");
    assert!(pulled <= 1_500, "{pulled} bytes");
}
