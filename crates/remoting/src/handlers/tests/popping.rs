//! Pop, its acknowledgements and changes: handles are built as the Java client builds them.

use base64::Engine as _;
use model::message::Delivery;
use model::{Lsn, QueueId, Receipt, StoredMessage, TopicName};

use super::*;

fn delivery(bench: &Bench, held: &TopicName, nonce: u64, attempt: u32) -> Delivery {
    let message = bench.engine.store(held.as_str(), QueueId(1), &plain("m"));
    let receipt = Receipt {
        group: group("g"),
        topic: held.clone(),
        queue: message.queue(),
        offset: message.offset(),
        nonce: Lsn(nonce),
        delivered_ms: 9_000,
        invisible_ms: 60_000,
    };
    Delivery { message, receipt, attempt }
}

fn pop() -> Command {
    request(
        code::POP_MESSAGE,
        &[
            ("consumerGroup", "g"),
            ("topic", "T"),
            ("queueId", "-1"),
            ("maxMsgNums", "32"),
            ("invisibleTime", "60000"),
            ("pollTime", "0"),
            ("bornTime", "0"),
            ("initMode", "0"),
            ("order", "false"),
        ],
    )
}

/// Handles as `MQClientAPIImpl.processPopResponse` builds them.
fn handles(answer: &Command, asked: &str) -> Vec<(String, StoredMessage)> {
    let field = |name| answer.fields.get(name).unwrap_or_default();
    let starts: Vec<Vec<&str>> =
        field("startOffsetInfo").split(';').map(|one| one.split(' ').collect::<Vec<_>>()).collect();
    let built = |message: StoredMessage| {
        assert_eq!(message.topic(), asked, "retried messages are shown under their topic");
        let own = message.property("POP_CK").map(str::to_owned);
        let handle = own.unwrap_or_else(|| {
            let queue = message.queue().to_string();
            let start = starts.iter().find(|s| s[0] == "0" && s[1] == queue).expect("listed")[2];
            let (time, invisible, revive) = (field("popTime"), field("invisibleTime"), field("reviveQid"));
            format!("{start} {time} {invisible} {revive} 0 b {queue} {}", message.offset())
        });
        (handle, message)
    };
    messages(&answer.body.bytes()).expect("messages").into_iter().map(built).collect()
}

#[tokio::test]
async fn popped_messages_are_acknowledged_by_the_handles_that_clients_build() {
    let bench = Bench::new();
    let retry = TopicName::receive_retry_of(&group("g"), &topic("T"));
    let far = 1 << 45;
    let deliveries = vec![
        delivery(&bench, &topic("T"), far + 5, 1),
        delivery(&bench, &topic("T"), far + 5, 1),
        delivery(&bench, &topic("T"), far + 6, 1),
        delivery(&bench, &retry, far + 7, 3),
        delivery(&bench, &TopicName::retry_of(&group("g")), 3, 2),
    ];
    bench.engine.state.lock().deliveries.clone_from(&deliveries);
    let answer = bench.ask(pop()).await;
    assert_eq!(answer.code, 0);
    assert_eq!(answer.fields.get("msgOffsetInfo"), Some("0 1 0,1,2;1 1 0;2 1 0"));
    assert_eq!(answer.fields.get("restNum"), Some("4"));
    let handles = handles(&answer, "T");
    let retries: Vec<u32> = handles.iter().map(|(_, message)| message.reconsume_times()).collect();
    assert_eq!(retries, [0, 0, 0, 2, 1]);
    for (handle, message) in &handles {
        let parts: Vec<&str> = handle.split(' ').collect();
        assert_eq!(parts.len(), 8);
        // `ExtraInfoUtil.getRealTopic`
        let real = match parts[4] {
            "1" => "%RETRY%g_T".to_owned(),
            "2" => "%RETRY%g+T".to_owned(),
            _ => "T".to_owned(),
        };
        let offset = message.offset().to_string();
        let ack = [
            ("consumerGroup", "g"),
            ("topic", real.as_str()),
            ("queueId", parts[6]),
            ("offset", offset.as_str()),
            ("extraInfo", handle.as_str()),
        ];
        assert_eq!(bench.ask(request(code::ACK_MESSAGE, &ack)).await.code, 0);
    }
    let expected: Vec<Receipt> = deliveries.into_iter().map(|delivery| delivery.receipt).collect();
    assert_eq!(bench.engine.state.lock().acked, expected);
}

#[tokio::test]
async fn a_batch_of_acknowledgements_is_taken_apart() {
    let bench = Bench::new();
    let deliveries: Vec<Delivery> = (0..3).map(|_| delivery(&bench, &topic("T"), 1 << 40, 1)).collect();
    bench.engine.state.lock().deliveries.clone_from(&deliveries);
    let answer = bench.ask(pop()).await;
    let (handle, _) = &handles(&answer, "T")[0];
    let parts: Vec<&str> = handle.split(' ').collect();
    let bits = base64::engine::general_purpose::STANDARD.encode([0b101]);
    let body = format!(
        r#"{{"brokerName":"b","acks":[{{"c":"g","t":"T","r":"0","so":{},"q":1,"rq":{},"pt":{},"it":{},"b":"{bits}"}}]}}"#,
        parts[0], parts[3], parts[1], parts[2]
    );
    assert_eq!(bench.ask(with_body(code::BATCH_ACK_MESSAGE, &[], &body)).await.code, 0);
    let expected = [deliveries[0].receipt.clone(), deliveries[2].receipt.clone()];
    assert_eq!(bench.engine.state.lock().acked, expected);
    assert_eq!(bench.ask(with_body(code::BATCH_ACK_MESSAGE, &[], r#"{"acks":[]}"#)).await.code, 208);
}

#[tokio::test]
async fn a_changed_handle_is_valid() {
    let bench = Bench::new();
    let deliveries = vec![delivery(&bench, &topic("T"), 1 << 40, 1)];
    bench.engine.state.lock().deliveries.clone_from(&deliveries);
    let (handle, _) = handles(&bench.ask(pop()).await, "T").remove(0);
    let of = |handle: &str| {
        fields(&[
            ("consumerGroup", "g"),
            ("topic", "T"),
            ("queueId", "1"),
            ("offset", "0"),
            ("extraInfo", handle),
        ])
    };
    let change = of(&handle).with("invisibleTime", 1_000);
    let answer =
        bench.ask(Command::request(code::CHANGE_MESSAGE_INVISIBLETIME, change, Body::default())).await;
    assert_eq!(answer.code, 0);
    let field = |name| answer.fields.get(name).expect("there");
    // As `MQClientAPIImpl.changeInvisibleTimeAsync` builds it.
    let new = format!("0 {} {} {} 0 b 1 0", field("popTime"), field("invisibleTime"), field("reviveQid"));
    let ack = Command::request(code::ACK_MESSAGE, of(&new), Body::default());
    assert_eq!(bench.ask(ack).await.code, 0);
    let acked = bench.engine.state.lock().acked.pop().expect("acked");
    assert_eq!((acked.nonce, acked.delivered_ms + acked.invisible_ms), (Lsn((1 << 40) + 1), 21_000));
}

#[tokio::test]
async fn odd_acknowledgements() {
    let bench = Bench::new();
    for (offset, info, expected) in [
        ("998", "1 2 3 0 0 b 0 998", 0),
        ("999", "1 2 3 0 0 b 0 999", 208),
        ("0", "nonsense", 1),
        ("-1", "1 2 3 0 0 b 0 0", 208),
    ] {
        let ack = [
            ("consumerGroup", "g"),
            ("topic", "T"),
            ("queueId", "0"),
            ("offset", offset),
            ("extraInfo", info),
        ];
        assert_eq!(bench.ask(request(code::ACK_MESSAGE, &ack)).await.code, expected, "{info}");
    }
}

#[tokio::test]
async fn an_empty_pop_still_has_its_numbers() {
    let bench = Bench::new();
    let answer = bench.ask(pop()).await;
    expect!["210  popTime=9000 invisibleTime=60000 reviveQid=0 restNum=4"].assert_eq(&shown(&answer));
}
