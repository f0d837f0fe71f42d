//! The lives of messages, as the log tells them: one of each kind.

use std::time::Duration;

use model::admin::{
    self, AdminError, GroupState, MessageLife, MessageTrace, MessageTraceGet, MessageTraceRequest, Step,
    StepSource, TopicGet, TopicRequest,
};
use model::message::flags;
use model::verbs::{
    CommitOffset, Fetch, Hide, Publish, PublishedMessage, QueueChoice, Recall, Receive, SendBack,
    SendBackDelay, Settle, TransactionEnd, TransactionOutcome,
};
use model::{Filter, GroupConfig, Messaging, NewMessage, Offset, QueueId, Session, TopicConfig, TopicName};

use crate::bench::{
    Bench, attributes, fetch_request, group, message, publish_request, receive_request, topic,
};

/// A caller as a protocol would make it.
fn client() -> Session {
    Session { protocol: "grpc", peer: ([10, 1, 2, 3], 4_567).into(), ..Session::internal() }
}

async fn bench() -> Bench {
    let mut bench = Bench::new();
    bench.session = client();
    bench.put_topic(TopicConfig::new(topic("t"), 1)).await.expect("created");
    bench.put_group(GroupConfig::new(group("g"))).await.expect("created");
    bench
}

/// A message that was just made.
fn made(id: &str, more: &[(&str, &str)]) -> NewMessage {
    let now_ms = base::Doors::system().clock.now_ms();
    let plain = message(id, &[&[("UNIQ_KEY", id), ("KEYS", "k1 k2"), ("TAGS", "a")], more].concat());
    NewMessage { born_ms: now_ms, born_host: ([10, 9, 8, 7], 99).into(), ..plain }
}

async fn send(bench: &Bench, id: &str, more: &[(&str, &str)]) -> PublishedMessage {
    let queue = QueueChoice::Queue(QueueId(0));
    let request = Publish { queue, ..publish_request(vec![made(id, more)]) };
    bench.publish(request).await.expect("stored").remove(0)
}

async fn ask(bench: &Bench, request: MessageTraceRequest) -> Result<MessageTrace, AdminError> {
    admin::run::<MessageTraceGet>(&*bench.broker, &bench.session, request).await
}

fn of_id(id: &str) -> MessageTraceRequest {
    MessageTraceRequest { message_id: Some(id.to_owned()), ..MessageTraceRequest::default() }
}

/// The life of the one message with an id.
async fn life(bench: &Bench, id: &str) -> MessageLife {
    let mut trace = ask(bench, of_id(id)).await.expect("found");
    assert!(trace.complete, "{trace:?}");
    assert_eq!(trace.messages.len(), 1, "{trace:?}");
    let life = trace.messages.remove(0);
    let times: Vec<i64> = life.steps.iter().map(|step| step.at_ms).collect();
    assert!(times.is_sorted(), "{life:?}");
    assert!(life.born_at_ms <= life.stored_at_ms, "{life:?}");
    life
}

fn names(life: &MessageLife) -> Vec<&'static str> {
    life.steps.iter().map(|step| step.step.name()).collect()
}

async fn receive(bench: &Bench, invisible_ms: i64) -> Vec<model::Delivery> {
    let got = bench.receive(Receive { invisible_ms, wait_ms: 20_000, ..receive_request() }).await;
    assert!(!got.is_empty(), "a message comes");
    got
}

#[tokio::test]
async fn a_message_is_sent_delivered_extended_and_acked() {
    let mut bench = bench().await;
    let sent = send(&bench, "plain", &[]).await;
    let before = life(&bench, "plain").await;
    assert_eq!(names(&before), ["produced", "stored"]);
    let got = receive(&bench, 60_000).await;
    let now = life(&bench, "plain").await;
    assert_eq!(now.groups.first().map(|g| g.state), Some(GroupState::InFlight), "{now:?}");
    let receipt = bench
        .broker
        .extend(&bench.session, got[0].receipt.clone(), Hide::asked(30_000))
        .await
        .expect("extended");
    assert!(bench.broker.ack(&bench.session, vec![receipt]).await.iter().all(Result::is_ok));
    for _ in 0..2 {
        let life = life(&bench, "plain").await;
        assert_eq!(names(&life), ["produced", "stored", "delivered", "extended", "acked"]);
        assert_eq!((life.topic.as_str(), life.queue, life.offset), ("t", 0, Some(0)));
        assert_eq!((life.kind.as_str(), life.tag.as_deref()), ("normal", Some("a")));
        assert_eq!(life.keys, ["k1", "k2"]);
        assert_eq!(life.offset_message_id, sent.offset_id());
        let delivered = &life.steps[2];
        assert_eq!(delivered.group.as_deref(), Some("g"));
        assert_eq!(delivered.client_id.as_deref(), Some("c"));
        assert_eq!(delivered.client_address.as_deref(), Some("10.1.2.3:4567"));
        assert_eq!((delivered.attempt, delivered.result.as_deref()), (Some(1), Some("acked")));
        assert!(delivered.took_ms.is_some_and(|took| took >= 0));
        assert_eq!(life.groups.first().map(|g| g.state), Some(GroupState::Done));
        assert_eq!(life.steps[0].client_address.as_deref(), Some("10.9.8.7:99"));
        // The same by the id that names its position, by its keys and by its time.
        let by_offset = ask(&bench, of_id(&sent.offset_id())).await.expect("found");
        assert_eq!(by_offset.messages.first().map(names), Some(names(&life)));
        let of_topic = MessageTraceRequest { topic: Some(topic("t")), ..MessageTraceRequest::default() };
        let by_key = MessageTraceRequest { key: Some("k2".to_owned()), ..of_topic.clone() };
        let by_time = MessageTraceRequest {
            from_ms: Some(sent.stored_ms),
            to_ms: Some(sent.stored_ms + 1),
            ..of_topic
        };
        for request in [by_key, by_time] {
            let found = ask(&bench, request).await.expect("found");
            assert_eq!(found.messages.first().map(names), Some(names(&life)), "{found:?}");
        }
        bench.restart().await;
    }
}

#[tokio::test]
async fn a_message_that_nobody_settles_is_retried_and_given_up() {
    let bench = bench().await;
    send(&bench, "poison", &[]).await;
    for attempt in 1..=2 {
        let got = receive(&bench, if attempt == 1 { 50 } else { 60_000 }).await;
        assert_eq!(got[0].attempt, attempt);
        if attempt == 2 {
            let receipt = got[0].receipt.clone();
            let reason = Settle::DeadLetter { receipt, max_attempts: Some(2) };
            bench.broker.settle(&bench.session, reason).await.expect("given up");
        }
    }
    let life = life(&bench, "poison").await;
    let wanted = ["produced", "stored", "delivered", "expired", "retried", "delivered", "dead_lettered"];
    assert_eq!(names(&life), wanted);
    let attempts: Vec<_> = life.steps.iter().skip(2).map(|step| step.attempt).collect();
    assert_eq!(attempts, [Some(1), Some(1), Some(2), Some(2), Some(2)]);
    let results: Vec<_> = life.steps.iter().filter_map(|step| step.result.as_deref()).collect();
    assert_eq!(results, ["expired", "dead_lettered"]);
    assert!(life.steps[6].detail.as_deref().is_some_and(|detail| detail.contains("%DLQ%g")));
}

#[tokio::test]
async fn a_consumer_that_fails_gets_the_message_again() {
    let in_order = ["produced", "stored", "delivered", "failed", "delivered", "acked"].to_vec();
    let retried = ["produced", "stored", "delivered", "failed", "retried", "delivered", "acked"].to_vec();
    for (ordered, wanted) in [(false, retried), (true, in_order)] {
        let bench = bench().await;
        bench.put_group(GroupConfig { ordered, ..GroupConfig::new(group("g")) }).await.expect("changed");
        send(&bench, "again", &[("__SHARDINGKEY", "k")]).await;
        let got = receive(&bench, 60_000).await;
        let hide = Hide::failed(50);
        bench.broker.extend(&bench.session, got[0].receipt.clone(), hide).await.expect("given back");
        let again = receive(&bench, 60_000).await;
        assert_eq!(again[0].attempt, 2);
        bench.ack(&again).await;
        let life = life(&bench, "again").await;
        assert_eq!(names(&life), wanted);
        let results: Vec<_> = life.steps.iter().filter_map(|step| step.result.as_deref()).collect();
        assert_eq!(results, ["failed", "acked"]);
        let failed = life.steps.iter().find(|step| step.step == Step::Failed).expect("it is told");
        assert_eq!((failed.attempt, failed.detail.as_deref()), (Some(1), Some("given back: again in 50 ms")));
    }
}

#[tokio::test]
async fn in_order_a_message_comes_again_from_its_queue() {
    let bench = bench().await;
    bench.put_group(GroupConfig { ordered: true, ..GroupConfig::new(group("g")) }).await.expect("changed");
    send(&bench, "first", &[("__SHARDINGKEY", "k")]).await;
    send(&bench, "second", &[("__SHARDINGKEY", "k")]).await;
    let one = |invisible_ms| Receive { max_messages: 1, invisible_ms, wait_ms: 20_000, ..receive_request() };
    assert_eq!(bench.receive(one(30)).await[0].attempt, 1);
    let again = bench.receive(one(60_000)).await;
    assert_eq!(again[0].attempt, 2);
    bench.ack(&again).await;
    let life = life(&bench, "first").await;
    assert_eq!(names(&life), ["produced", "stored", "delivered", "expired", "delivered", "acked"]);
    assert_eq!(life.kind, "fifo");
    assert_eq!(life.steps[4].attempt, Some(2));
}

#[tokio::test]
async fn a_timed_message_is_scheduled_and_fired_or_recalled() {
    let bench = bench().await;
    let now_ms = base::Doors::system().clock.now_ms();
    send(&bench, "soon", &[("TIMER_DELIVER_MS", &(now_ms + 150).to_string())]).await;
    let later = send(&bench, "later", &[("TIMER_DELIVER_MS", &(now_ms + 3_600_000).to_string())]).await;
    let waiting = life(&bench, "later").await;
    assert_eq!(names(&waiting), ["produced", "scheduled"]);
    assert_eq!((waiting.kind.as_str(), waiting.offset), ("delay", None));
    let handle = later.recall_handle.expect("a handle");
    let recall = Recall { topic: topic("t"), handle, producer_group: None };
    bench.broker.recall(&bench.session, recall).await.expect("recalled");
    assert_eq!(names(&life(&bench, "later").await), ["produced", "scheduled", "recalled"]);
    let got = receive(&bench, 60_000).await;
    bench.ack(&got).await;
    let life = life(&bench, "soon").await;
    assert_eq!(names(&life), ["produced", "scheduled", "fired", "stored", "delivered", "acked"]);
    assert!(life.steps[2].at_ms >= now_ms + 150, "never early");
    assert_eq!((life.kind.as_str(), life.offset), ("delay", Some(0)));
}

async fn half(bench: &Bench, id: &str) -> PublishedMessage {
    let told = [("TRAN_MSG", "true"), ("PGROUP", "p")];
    let half = NewMessage { system_flags: flags::TRANSACTION_PREPARED, ..made(id, &told) };
    let queue = QueueChoice::Queue(QueueId(0));
    bench.publish(Publish { queue, ..publish_request(vec![half]) }).await.expect("stored").remove(0)
}

async fn end(bench: &Bench, half: &PublishedMessage, outcome: TransactionOutcome) {
    let end = TransactionEnd {
        topic: None,
        lsn: half.lsn,
        offset: Some(half.offset),
        producer_group: Some(group("p")),
        message_id: None,
        transaction_id: None,
        outcome,
        from_check: false,
    };
    bench.broker.settle(&bench.session, Settle::Transaction(end)).await.expect("ended");
}

#[tokio::test]
async fn a_transaction_is_prepared_and_committed_or_rolled_back() {
    let bench = bench().await;
    let undone = half(&bench, "undone").await;
    assert_eq!(names(&life(&bench, "undone").await), ["produced", "half_stored"]);
    end(&bench, &undone, TransactionOutcome::Rollback).await;
    let rolled = life(&bench, "undone").await;
    assert_eq!(names(&rolled), ["produced", "half_stored", "rolled_back"]);
    assert_eq!((rolled.kind.as_str(), rolled.topic.as_str(), rolled.offset), ("transaction", "t", None));
    assert_eq!(rolled.steps[1].group.as_deref(), Some("p"));
    let done = half(&bench, "done").await;
    end(&bench, &done, TransactionOutcome::Commit).await;
    let got = receive(&bench, 60_000).await;
    bench.ack(&got).await;
    let life = life(&bench, "done").await;
    assert_eq!(names(&life), ["produced", "half_stored", "committed", "stored", "delivered", "acked"]);
    assert_eq!((life.kind.as_str(), life.offset), ("transaction", Some(0)));
}

#[tokio::test]
async fn what_a_pulling_client_commits_gives_back_and_gives_up() {
    let bench = bench().await;
    let sent = send(&bench, "pulled", &[]).await;
    send(&bench, "next", &[]).await;
    let commit = |topic: TopicName, offset| CommitOffset {
        group: group("g"),
        topic,
        queue: QueueId(0),
        offset: Offset(offset),
    };
    let back = |lsn, delay, max_retries| {
        Settle::SendBack(SendBack { group: group("g"), lsn, delay, max_retries, origin_message_id: None })
    };
    bench.broker.settle(&bench.session, back(sent.lsn, SendBackDelay::Level(1), None)).await.expect("taken");
    bench.broker.commit_offset(&bench.session, commit(topic("t"), 2)).await.expect("committed");
    let retry = TopicName::retry_of(&group("g"));
    let fetched =
        bench.fetch(Fetch { topic: retry.clone(), wait_ms: 20_000, ..fetch_request(0) }).await.messages;
    let again = fetched.first().expect("the retry").lsn();
    bench.broker.settle(&bench.session, back(again, SendBackDelay::DeadLetter, None)).await.expect("taken");
    bench.broker.commit_offset(&bench.session, commit(retry, 1)).await.expect("committed");
    let given_up = life(&bench, "pulled").await;
    assert_eq!(names(&given_up), ["produced", "stored", "failed", "retried", "dead_lettered"]);
    let life = life(&bench, "next").await;
    assert_eq!(names(&life), ["produced", "stored", "acked"]);
    assert_eq!(life.steps[2].client_address.as_deref(), Some("10.1.2.3:4567"));
    assert_eq!(life.steps[2].group.as_deref(), Some("g"));
}

#[tokio::test]
async fn a_filter_passes_over_a_message() {
    let bench = bench().await;
    send(&bench, "unwanted", &[]).await;
    let request = Receive { filter: Filter::tag("b"), ..receive_request() };
    assert!(bench.receive(request).await.is_empty());
    let life = life(&bench, "unwanted").await;
    assert_eq!(names(&life), ["produced", "stored", "filtered"]);
    assert_eq!(life.groups.first().map(|g| g.state), Some(GroupState::Done));
}

#[tokio::test]
async fn the_messages_of_a_batch_have_lives_of_their_own() {
    let bench = bench().await;
    let keeps = attributes(&[("queue.type", "BatchCQ")]);
    let config = TopicConfig { attributes: keeps, ..TopicConfig::new(topic("b"), 1) };
    bench.put_topic(config).await.expect("created");
    let mut body = Vec::new();
    for id in ["b-0", "b-1"] {
        let told = format!("UNIQ_KEY\u{1}{id}\u{2}KEYS\u{1}both\u{2}");
        model::batch::encode(&mut body, id.as_bytes(), &told, 0).expect("small");
    }
    let whole = message(&body, &[("UNIQ_KEY", "b")]);
    let whole = NewMessage { system_flags: flags::INNER_BATCH | flags::NEED_UNWRAP, ..whole };
    bench.publish(Publish { topic: topic("b"), ..publish_request(vec![whole]) }).await.expect("stored");
    let got = bench.receive(Receive { topic: topic("b"), max_messages: 1, ..receive_request() }).await;
    bench.ack(&got).await;
    let request = MessageTraceRequest {
        topic: Some(topic("b")),
        key: Some("both".to_owned()),
        ..MessageTraceRequest::default()
    };
    let trace = ask(&bench, request).await.expect("found");
    let seen: Vec<_> = trace.messages.iter().map(|life| (life.message_id.as_str(), names(life))).collect();
    let all = vec!["produced", "stored", "delivered", "acked"];
    assert_eq!(seen, [("b-0", all), ("b-1", vec!["produced", "stored"])]);
}

#[tokio::test]
async fn a_short_look_says_so_and_leaps_to_what_it_knows() {
    let bench = bench().await;
    let now_ms = base::Doors::system().clock.now_ms();
    send(&bench, "far", &[("TIMER_DELIVER_MS", &(now_ms + 200).to_string())]).await;
    let got = receive(&bench, 60_000).await;
    assert_eq!(got.len(), 1);
    let request = MessageTraceRequest { look_bytes_max: Some(1), ..of_id("far") };
    let trace = ask(&bench, request).await.expect("found");
    assert!(!trace.complete);
    let life = trace.messages.first().expect("one");
    assert_eq!(names(life), ["produced", "scheduled", "fired", "stored", "delivered"], "{trace:?}");
}

#[tokio::test]
async fn what_cannot_be_found_is_told() {
    let bench = bench().await;
    let none = MessageTraceRequest::default();
    let of_topic = MessageTraceRequest { topic: Some(topic("t")), ..none.clone() };
    for (request, kind) in [
        (none.clone(), "Invalid"),
        (of_topic.clone(), "Invalid"),
        (MessageTraceRequest { key: Some("k".to_owned()), ..of_id("x") }, "Invalid"),
        (of_id("x"), "NotFound"),
        (of_id("7F000001000078BF0000000000000400"), "NotFound"),
        (of_id("7F00000100002A9F00000000000000000"), "NotFound"),
        (of_id("7F00000100002A9FFFFFFFFFFFFFFFFF"), "NotFound"),
        (MessageTraceRequest { topic: Some(topic("no")), ..of_id("x") }, "NotFound"),
        (MessageTraceRequest { key: Some("x".to_owned()), ..of_topic }, "NotFound"),
    ] {
        let refused = ask(&bench, request.clone()).await.expect_err("refused");
        assert!(format!("{refused:?}").starts_with(kind), "{request:?}: {refused:?}");
    }
}

#[tokio::test]
async fn what_4x_clients_tell_is_laid_over_it() {
    let bench = bench().await;
    let trace_topic = topic(model::names::TRACE_TOPIC);
    let is_there = async {
        let request = TopicRequest { topic: trace_topic.clone() };
        while admin::run::<TopicGet>(&*bench.broker, &bench.session, request.clone()).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), is_there).await.expect("the broker makes it");
    send(&bench, "traced", &[]).await;
    let now_ms = base::Doors::system().clock.now_ms();
    let now = now_ms.to_string();
    let records = [
        ["Pub", &now, "r", "pg", "t", "traced", "a", "k1", "h:1", "6", "12", "0", "OFF", "true"]
            .join("\u{1}"),
        ["SubBefore", &now, "r", "g", "REQ", "traced", "0", "k1"].join("\u{1}"),
        ["SubAfter", "REQ", "traced", "33", "false", "k1", "2"].join("\u{1}"),
    ];
    let told = message(records.join("\u{2}"), &[("KEYS", "traced k1")]);
    let told = NewMessage { born_host: ([10, 7, 7, 7], 7).into(), ..told };
    bench.publish(Publish { topic: trace_topic, ..publish_request(vec![told]) }).await.expect("stored");
    let life = life(&bench, "traced").await;
    assert_eq!(names(&life), ["produced", "stored", "delivered"]);
    let (sent, worked) = (&life.steps[0], &life.steps[2]);
    assert_eq!((sent.took_ms, sent.result.as_deref()), (Some(12), Some("success")));
    assert_eq!((sent.source, worked.source), (StepSource::Client, StepSource::Client));
    assert_eq!((worked.took_ms, worked.result.as_deref()), (Some(33), Some("exception")));
    assert_eq!(worked.client_address.as_deref(), Some("10.7.7.7:7"));
    assert!(life.steps.iter().all(|step| step.step != Step::Acked));
}
