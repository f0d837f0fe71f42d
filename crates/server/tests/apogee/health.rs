//! Six troubles are planted over real sockets, and each is found in time with the right reason; what is
//! found is told to a webhook.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use remoting::client::{Client, Outgoing, Pull};
use remoting::code::request;
use remoting::header::Fields;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::node::{address, config, connect, get, post, start};

const FOUND_IN: Duration = Duration::from_secs(30);

const TROUBLES: [(&str, &str, &str); 6] = [
    ("g-stuck", "stuck_consumer", "nothing was done for"),
    ("g-poison", "poison_message", "of topic poison failed"),
    ("g-slow", "slow_consumer", "a second come into topic slow"),
    ("g-unequal", "imbalanced_group", "busy reads 4 of 4 queues and idle reads 0"),
    ("hot", "hot_queue", "queue 2 of 4 took"),
    ("eager", "throttled_producer", "send_messages_per_s 1"),
];

async fn operate(rest: SocketAddr, name: &str, request: Value) {
    let answer = post(rest, &format!("/api/v1/operations/{name}"), &request.to_string()).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{name}: {answer}");
}

fn body(answer: &str) -> Value {
    let (_, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"))
}

async fn items(rest: SocketAddr) -> Vec<Value> {
    let report = body(&get(rest, "/api/v1/health?limit=50").await);
    report["items"].as_array().cloned().unwrap_or_default()
}

/// A client that says it consumes a topic, or, without a group, that it sends.
pub(super) async fn client(broker: SocketAddr, id: &str, of: Option<(&str, &str)>) -> Client {
    let client = connect(broker).await;
    let consumers: Vec<Value> = of
        .iter()
        .map(|(group, topic)| {
            json!({
                "groupName": group, "consumeType": "CONSUME_PASSIVELY", "messageModel": "CLUSTERING",
                "consumeFromWhere": "CONSUME_FROM_FIRST_OFFSET",
                "subscriptionDataSet": [{
                    "topic": topic, "subString": "*", "tagsSet": [], "codeSet": [], "subVersion": 1,
                    "expressionType": "TAG"
                }]
            })
        })
        .collect();
    let producers = if of.is_none() { vec![json!({ "groupName": "p" })] } else { Vec::new() };
    let beat = json!({ "clientID": id, "producerDataSet": producers, "consumerDataSet": consumers });
    let sent = client.call(request::HEART_BEAT, Fields::new(), beat.to_string().into_bytes().into()).await;
    sent.expect("a beat is taken");
    client
}

fn messages(count: usize) -> Vec<Outgoing> {
    vec![Outgoing { body: "x".into(), properties: String::new() }; count]
}

async fn pulled(client: &Client, group: &str, topic: &str, queue: u32, offset: i64) -> i64 {
    let pull = Pull { group, topic, queue, offset, max_messages: 32, expression: "*", wait_ms: 0 };
    client.pull(&pull).await.expect("the topic is there").next
}

/// Pulls once and then hangs.
async fn stuck(broker: SocketAddr) {
    let client = client(broker, "hanging", Some(("g-stuck", "stuck"))).await;
    client.send_batch("stuck", 0, &messages(20)).await.expect("it is taken");
    pulled(&client, "g-stuck", "stuck", 0, 0).await;
    std::future::pending::<()>().await;
}

/// Acknowledges every message but one.
async fn poisoned(rest: SocketAddr) {
    for body in ["good", "poison", "good"] {
        let message = json!({ "body": body }).to_string();
        let sent = post(rest, "/api/v1/topics/poison/messages", &message).await;
        assert!(sent.starts_with("HTTP/1.1 200"), "{sent}");
    }
    loop {
        let wish = json!({ "topic": "poison", "max_messages": 8, "wait_ms": 1000, "invisible_ms": 1000 });
        let received = body(&post(rest, "/api/v1/groups/g-poison/receive", &wish.to_string()).await);
        let messages = received["messages"].as_array().cloned().unwrap_or_default();
        let good = messages.iter().filter(|message| message["body"] != "poison");
        let receipts: Vec<&Value> = good.map(|message| &message["receipt"]).collect();
        if !receipts.is_empty() {
            post(rest, "/api/v1/groups/g-poison/ack", &json!({ "receipts": receipts }).to_string()).await;
        }
    }
}

/// Takes a thousand messages a second, of which the group is done with ten.
async fn slow(broker: SocketAddr) {
    let client = client(broker, "tired", Some(("g-slow", "slow"))).await;
    for done in 1.. {
        client.send_batch("slow", 0, &messages(100)).await.expect("it is taken");
        pulled(&client, "g-slow", "slow", 0, done).await;
        client.update_offset("g-slow", "slow", 0, done).await.expect("it is taken");
        sleep(Duration::from_millis(100)).await;
    }
}

/// Two members, of which one reads everything.
async fn unequal(broker: SocketAddr) {
    let busy = client(broker, "busy", Some(("g-unequal", "unequal"))).await;
    let _idle = client(broker, "idle", Some(("g-unequal", "unequal"))).await;
    let mut offsets = [0; 4];
    loop {
        for (queue, offset) in (0..).zip(&mut offsets) {
            busy.send_batch("unequal", queue, &messages(2)).await.expect("it is taken");
            let queue = u32::try_from(queue).expect("few");
            *offset = pulled(&busy, "g-unequal", "unequal", queue, *offset).await;
            busy.update_offset("g-unequal", "unequal", queue, *offset).await.expect("it is taken");
        }
        sleep(Duration::from_millis(500)).await;
    }
}

/// Sends almost everything to one queue of four.
async fn hot(broker: SocketAddr) {
    let client = client(broker, "keyed", None).await;
    loop {
        client.send_batch("hot", 2, &messages(100)).await.expect("it is taken");
        client.send("hot", 1, messages(1).remove(0)).await.expect("it is taken");
        sleep(Duration::from_millis(200)).await;
    }
}

/// Sends on, whatever it is told.
async fn eager(broker: SocketAddr) {
    let client = client(broker, "eager", None).await;
    loop {
        // Most are refused: that is the point.
        let _ = client.send("throttled", 0, messages(1).remove(0)).await;
        sleep(Duration::from_millis(100)).await;
    }
}

/// Takes what is posted, and refuses the first.
async fn webhook() -> (SocketAddr, mpsc::Receiver<Value>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let (told, alerts) = mpsc::channel(64);
    tokio::spawn(async move {
        for at in 0.. {
            let (mut stream, _) = listener.accept().await.expect("it listens");
            let mut text = String::new();
            let mut bytes = [0; 4096];
            let whole = |text: &str| {
                let (head, body) = text.split_once("\r\n\r\n")?;
                let head = head.to_lowercase();
                let (_, len) = head.split_once("content-length: ")?;
                let len: usize = len.lines().next()?.trim().parse().ok()?;
                (body.len() >= len).then(|| body.to_owned())
            };
            let body = loop {
                let read = stream.read(&mut bytes).await.expect("it is sent");
                assert!(read > 0, "it broke off: {text}");
                text += std::str::from_utf8(&bytes[..read]).expect("text");
                if let Some(body) = whole(&text) {
                    break body;
                }
            };
            let answer = if at == 0 { "503 Service Unavailable" } else { "204 No Content" };
            let answer = format!("HTTP/1.1 {answer}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.expect("it is read");
            if at > 0 && told.send(serde_json::from_str(&body).expect("JSON")).await.is_err() {
                return;
            }
        }
    });
    (address, alerts)
}

#[tokio::test(flavor = "multi_thread")]
async fn six_planted_troubles_are_found_in_time_with_their_reasons() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut config = config(&dir);
    let (hook, mut alerts) = webhook().await;
    config.health.webhook_url = format!("http://{hook}/hook?token=secret");
    config.health.webhook_score_min = 1;
    let node = start(&config).await;
    let (rest, broker) = (address(&node, "http"), address(&node, "broker"));
    for (topic, queues) in
        [("stuck", 1), ("poison", 1), ("slow", 1), ("unequal", 4), ("hot", 4), ("throttled", 1)]
    {
        let topic = json!({ "name": topic, "read_queues": queues, "write_queues": queues });
        operate(rest, "topic.put", json!({ "config": topic })).await;
    }
    operate(rest, "group.put", json!({ "config": { "name": "g-poison" } })).await;
    operate(rest, "quota.put", json!({ "scope": "topic", "name": "throttled", "send_messages_per_s": 1 }))
        .await;
    let mut planted = JoinSet::new();
    planted.spawn(stuck(broker));
    planted.spawn(poisoned(rest));
    planted.spawn(slow(broker));
    planted.spawn(unequal(broker));
    planted.spawn(hot(broker));
    planted.spawn(eager(broker));

    let began = Instant::now();
    let mut missing = TROUBLES.to_vec();
    while !missing.is_empty() {
        let found = items(rest).await;
        missing.retain(|(name, trouble, reason)| {
            let is_it = |item: &&Value| item["name"] == *name && item["trouble"] == *trouble;
            let Some(item) = found.iter().find(is_it) else { return true };
            let said = item["reason"].as_str().unwrap_or_default();
            assert!(said.contains(reason), "{name}: {said}");
            assert!(item["score"].as_u64().is_some_and(|score| (40..=100).contains(&score)), "{item}");
            assert!(!item["advice"].as_str().unwrap_or_default().is_empty(), "{item}");
            false
        });
        let scores: Vec<_> = found.iter().map(|item| item["score"].as_u64()).collect();
        assert!(scores.is_sorted_by(|a, b| a >= b), "riskiest first: {scores:?}");
        assert!(began.elapsed() < FOUND_IN, "{missing:?} were not found; found are {found:#?}");
        sleep(Duration::from_millis(200)).await;
    }
    let others = items(rest).await.into_iter().filter(|item| {
        let is_planted = |(name, ..): &(&str, &str, &str)| item["name"] == *name;
        !TROUBLES.iter().any(is_planted) && item["trouble"] != "disk"
    });
    assert_eq!(others.collect::<Vec<_>>(), Vec::<Value>::new(), "nothing else is wrong");
    let metrics = get(rest, "/metrics").await;
    for (_, trouble, _) in TROUBLES {
        let none = format!("apogee_health_troubles{{trouble=\"{trouble}\"}} 0");
        assert!(!metrics.contains(&none) && metrics.contains(none.trim_end_matches('0')), "{metrics}");
    }

    // The first was refused, and told again: nothing is lost.
    let mut untold = TROUBLES.to_vec();
    while !untold.is_empty() {
        let alert = tokio::time::timeout(FOUND_IN, alerts.recv()).await;
        let alert = alert.unwrap_or_else(|_| panic!("not told: {untold:?}")).expect("it listens");
        if alert["state"] == "firing" {
            untold.retain(|(name, trouble, _)| alert["name"] != *name || alert["trouble"] != *trouble);
        }
    }
    planted.abort_all();
    node.stop().await.expect("it stops in order");
}
