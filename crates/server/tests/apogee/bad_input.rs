//! What 4.x clients get for what is wrong: the codes of the original, from a whole node.

use remoting::client::Client;
use remoting::code::request as code;
use remoting::{Body, Fields};

use super::node::{address, config, connect, post, start};

/// Fields of a send of V2, with changes.
fn send(changes: &[(&str, &str)]) -> Fields {
    let mut fields = Fields::new();
    for (key, usual) in
        [("a", "pg"), ("b", "t"), ("c", "TBW102"), ("d", "4"), ("e", "0"), ("f", "0"), ("h", "0"), ("i", "")]
    {
        let changed = changes.iter().find(|(k, _)| *k == key).map_or(usual, |(_, value)| *value);
        fields.push_text(key, changed);
    }
    fields
}

fn of(pairs: &[(&str, &str)]) -> Fields {
    let mut fields = Fields::new();
    pairs.iter().for_each(|(key, value)| fields.push_text(key, value));
    fields
}

fn pull(changes: &[(&str, &str)]) -> Fields {
    let mut fields = Fields::new();
    for (key, usual) in [
        ("consumerGroup", "g"),
        ("topic", "t"),
        ("queueId", "0"),
        ("queueOffset", "0"),
        ("maxMsgNums", "32"),
        ("sysFlag", "4"),
        ("commitOffset", "0"),
        ("suspendTimeoutMillis", "0"),
        ("subscription", "*"),
        ("subVersion", "0"),
    ] {
        let changed = changes.iter().find(|(k, _)| *k == key).map_or(usual, |(_, value)| *value);
        fields.push_text(key, changed);
    }
    fields
}

async fn answered(client: &Client, code: i32, fields: Fields, body: Body) -> i32 {
    client.request(code, fields, body).await.expect("an answer").code
}

fn batch(properties: &str) -> Vec<u8> {
    let mut body = Vec::new();
    for _ in 0..2 {
        model::batch::encode(&mut body, b"x", properties, 0).expect("small");
    }
    body
}

/// What is asked, and the code that it is answered with.
type Case = (&'static str, i32, Fields, Body, i32);

/// Sends, and what of them is wrong.
fn sends() -> Vec<Case> {
    let long = "x".repeat(300);
    let many = format!("k\u{1}{}\u{2}", "v".repeat(33_000));
    let large = vec![b'x'; 4 * 1024 * 1024 + 1];
    let unique = "UNIQ_KEY\u{1}u\u{2}";
    let timed = "TIMER_DELAY_MS\u{1}1000\u{2}";
    let text = |body: &str| Body::from(body.to_owned());
    vec![
        ("a good send", code::SEND_MESSAGE_V2, send(&[]), text("x"), 0),
        ("a topic's name", code::SEND_MESSAGE_V2, send(&[("b", "a b")]), text("x"), 29),
        ("a long name", code::SEND_MESSAGE_V2, send(&[("b", &long)]), text("x"), 29),
        ("a queue beyond the last", code::SEND_MESSAGE_V2, send(&[("e", "9")]), text("x"), 29),
        (
            "a topic of the system",
            code::SEND_MESSAGE_V2,
            send(&[("b", "SCHEDULE_TOPIC_XXXX")]),
            text("x"),
            16,
        ),
        ("oversized properties", code::SEND_MESSAGE_V2, send(&[("i", &many)]), text("x"), 13),
        ("an oversized body", code::SEND_MESSAGE_V2, send(&[]), large.clone().into(), 13),
        (
            "a delay that is no number",
            code::SEND_MESSAGE_V2,
            send(&[("i", "TIMER_DELAY_MS\u{1}soon\u{2}")]),
            text("x"),
            13,
        ),
        ("a batch in pieces", code::SEND_BATCH_MESSAGE, send(&[]), text("garbage"), 13),
        ("an empty batch", code::SEND_BATCH_MESSAGE, send(&[]), text(""), 13),
        (
            "a batch in pieces, to be kept",
            code::SEND_BATCH_MESSAGE,
            send(&[("b", "kept"), ("i", unique)]),
            text("garbage"),
            13,
        ),
        (
            "timed and other messages in a batch",
            code::SEND_BATCH_MESSAGE,
            send(&[]),
            [batch(timed), batch("KEYS\u{1}k\u{2}")].concat().into(),
            13,
        ),
        (
            "timed messages in a kept batch",
            code::SEND_BATCH_MESSAGE,
            send(&[("b", "kept"), ("i", unique)]),
            batch(timed).into(),
            13,
        ),
        (
            "a batch to a retry topic",
            code::SEND_BATCH_MESSAGE,
            send(&[("b", "%RETRY%g")]),
            batch("").into(),
            13,
        ),
        (
            "a single message that says it is a batch",
            code::SEND_MESSAGE_V2,
            send(&[("b", "kept"), ("f", "128")]),
            text("x"),
            13,
        ),
        ("an oversized batch", code::SEND_BATCH_MESSAGE, send(&[]), large.into(), 13),
    ]
}

/// Reads and questions.
fn questions() -> Vec<Case> {
    let text = |body: &str| Body::from(body.to_owned());
    vec![
        ("a topic that is not there", code::PULL_MESSAGE, pull(&[("topic", "absent")]), text(""), 17),
        ("a group that is not there", code::PULL_MESSAGE, pull(&[("consumerGroup", "absent")]), text(""), 26),
        ("a pull without a subscription", code::PULL_MESSAGE, pull(&[("sysFlag", "0")]), text(""), 24),
        ("an offset that is no number", code::PULL_MESSAGE, pull(&[("queueOffset", "first")]), text(""), 1),
        ("an unknown request", 9_999, of(&[]), text(""), 3),
        (
            "a key that is not there",
            code::GET_KV_CONFIG,
            of(&[("namespace", "n"), ("key", "k")]),
            text(""),
            22,
        ),
        (
            "a message that is not there",
            code::VIEW_MESSAGE_BY_ID,
            of(&[("offset", "123456789")]),
            text(""),
            1,
        ),
        (
            "a consumer that is not there",
            code::GET_CONSUMER_RUNNING_INFO,
            of(&[("consumerGroup", "g"), ("clientId", "nobody")]),
            text(""),
            1,
        ),
        (
            "nobody to ask for progress",
            code::INVOKE_BROKER_TO_GET_CONSUMER_STATUS,
            of(&[("group", "g"), ("topic", "t")]),
            text(""),
            1,
        ),
        (
            "a group to clone that is not there",
            code::CLONE_GROUP_OFFSET,
            of(&[("srcGroup", "absent"), ("destGroup", "g"), ("topic", "t"), ("offline", "true")]),
            text(""),
            26,
        ),
        (
            "time spans of a topic that is not there",
            code::QUERY_CONSUME_TIME_SPAN,
            of(&[("topic", "absent"), ("group", "g")]),
            text(""),
            17,
        ),
    ]
}

/// Receipts and resets.
fn receipts() -> Vec<Case> {
    let text = |body: &str| Body::from(body.to_owned());
    vec![
        (
            "a receipt that is none",
            code::ACK_MESSAGE,
            of(&[
                ("consumerGroup", "g"),
                ("topic", "t"),
                ("queueId", "0"),
                ("extraInfo", "nonsense"),
                ("offset", "0"),
            ]),
            text(""),
            1,
        ),
        (
            "a receipt beyond the queue",
            code::ACK_MESSAGE,
            of(&[
                ("consumerGroup", "g"),
                ("topic", "t"),
                ("queueId", "0"),
                ("extraInfo", "0 1 1 0 0 apogee-0 0 99"),
                ("offset", "99"),
            ]),
            text(""),
            208,
        ),
        (
            // As in the original: an old receipt is no error of the client.
            "a stale receipt",
            code::ACK_MESSAGE,
            of(&[
                ("consumerGroup", "g"),
                ("topic", "t"),
                ("queueId", "0"),
                ("extraInfo", "0 1 1 0 0 apogee-0 0 0"),
                ("offset", "0"),
            ]),
            text(""),
            0,
        ),
        (
            "a reset beyond the queue",
            code::INVOKE_BROKER_TO_RESET_OFFSET,
            of(&[
                ("topic", "t"),
                ("group", "g"),
                ("timestamp", "0"),
                ("isForce", "true"),
                ("queueId", "0"),
                ("offset", "99"),
            ]),
            text(""),
            1,
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_has_the_codes_of_the_original() {
    let dir = tempfile::tempdir().expect("a folder");
    let node = start(&config(&dir)).await;
    let http = address(&node, "http");
    for (operation, request) in [
        ("topic.put", r#"{"config":{"name":"t","read_queues":1,"write_queues":1},"update":false}"#),
        (
            "topic.put",
            r#"{"config":{"name":"kept","read_queues":1,"write_queues":1,"attributes":{"queue.type":"BatchCQ"}},"update":false}"#,
        ),
        ("group.put", r#"{"config":{"name":"g"},"update":false}"#),
    ] {
        let made = post(http, &format!("/api/v1/operations/{operation}"), request).await;
        assert!(made.starts_with("HTTP/1.1 200"), "{made}");
    }
    let client = connect(address(&node, "broker")).await;
    let mut wrong = Vec::new();
    for (what, code, fields, body, expected) in sends().into_iter().chain(questions()).chain(receipts()) {
        let got = answered(&client, code, fields, body).await;
        if got != expected {
            wrong.push(format!("{what}: expected {expected}, got {got}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    // Nothing of it was stored but the one good message, and the node serves on.
    assert_eq!(client.max_offset("t", 0).await.expect("answered"), 1);
    assert_eq!(client.max_offset("kept", 0).await.expect("answered"), 0);
    node.stop().await.expect("it stops in order");
}
