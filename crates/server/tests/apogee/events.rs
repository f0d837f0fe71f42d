//! Events over real sockets: a stream in order, taken up where it ended; slow readers; who may listen; the topic.

use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use remoting::client::{Client, ClientError, Outgoing, Pull};
use serde_json::{Value, json};
use server::wiring::Node;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use crate::access::{ROOT, Rig, secret};
use crate::node::{address, config, connect, post_as, start};

const TOPIC: &str = "RMQ_SYS_EVENTS";
const PATIENCE: Duration = Duration::from_secs(60);

/// A stream of server-sent events, as a browser reads it.
struct Listener {
    stream: BufReader<TcpStream>,
    status: String,
    text: String,
}

/// One event of a stream.
#[derive(Debug)]
struct Told {
    id: String,
    event: String,
    data: String,
}

impl Told {
    fn subject(&self) -> String {
        let event: Value = serde_json::from_str(&self.data).expect("JSON");
        assert_eq!((&event["id"], &event["type"]), (&json!(self.id), &json!(self.event)));
        event["subject"].as_str().unwrap_or_default().to_owned()
    }
}

impl Listener {
    /// Asks, and reads the head of the answer.
    async fn open(rest: SocketAddr, query: &str, headers: &str) -> Self {
        let mut stream = TcpStream::connect(rest).await.expect("it listens");
        let request = format!("GET /api/v1/events{query} HTTP/1.1\r\nHost: x\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).await.expect("it reads");
        let mut stream = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(stream.read_line(&mut head).await.expect("text"), 0, "{head}");
        }
        let status = head.split(' ').nth(1).unwrap_or_default().to_owned();
        if status == "200" {
            let head = head.to_lowercase();
            assert!(head.contains("content-type: text/event-stream"), "{head}");
            assert!(head.contains("cache-control: no-store"), "{head}");
        }
        Self { stream, status, text: String::new() }
    }

    /// From now on.
    async fn live(rest: SocketAddr, query: &str, headers: &str) -> Self {
        let mut listener = Self::open(rest, query, headers).await;
        assert_eq!(listener.block().await.as_deref(), Some(": listening"));
        listener
    }

    async fn behind(rest: SocketAddr, id: &str) -> Self {
        Self::open(rest, "", &format!("Last-Event-ID: {id}\r\n")).await
    }

    /// What stands before the next empty line; none at the end.
    async fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                return Some(block);
            }
            let mut len = String::new();
            let read = tokio::time::timeout(PATIENCE, self.stream.read_line(&mut len));
            read.await.expect("something comes").expect("text");
            let len = usize::from_str_radix(len.trim(), 16).unwrap_or(0);
            let mut chunk = vec![0; len + 2];
            self.stream.read_exact(&mut chunk).await.expect("a whole chunk");
            if len == 0 {
                return None;
            }
            self.text += std::str::from_utf8(&chunk[..len]).expect("text");
        }
    }

    /// The next event; comments are signs of life.
    async fn next(&mut self) -> Option<Told> {
        loop {
            let block = self.block().await?;
            if block.starts_with(": ") {
                continue;
            }
            let field = |name: &str| {
                let line = block.lines().find_map(|line| line.strip_prefix(name));
                line.unwrap_or_default().to_owned()
            };
            return Some(Told { id: field("id: "), event: field("event: "), data: field("data: ") });
        }
    }

    /// Topics of the test that were made, up to the last one.
    async fn made(&mut self, last: &str) -> Vec<Told> {
        let mut made = Vec::new();
        while made.last().is_none_or(|told: &Told| told.subject() != last) {
            let told = self.next().await.expect("it goes on");
            if told.event == "io.apogee.topic.created" && told.subject().starts_with("t-") {
                made.push(told);
            }
        }
        assert!(made.windows(2).all(|pair| pair[0].id < pair[1].id), "{made:?}");
        made
    }
}

fn subjects(told: &[Told]) -> Vec<String> {
    told.iter().map(Told::subject).collect()
}

fn topics(numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|number| format!("t-{number:04}")).collect()
}

async fn make(rest: SocketAddr, names: &[String], caller: Option<(&str, &str)>) {
    for name in names {
        let request = json!({ "config": { "name": name, "read_queues": 1, "write_queues": 1 } });
        let answer = post_as(rest, "/api/v1/operations/topic.put", &request.to_string(), caller).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{name}: {answer}");
    }
}

async fn quick_node(dir: &TempDir) -> Node {
    let mut config = config(dir);
    config.replica.flush = replica::Flush::Async;
    start(&config).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_in_order_and_goes_on_where_it_ended() {
    let dir = tempfile::tempdir().expect("a folder");
    let node = quick_node(&dir).await;
    let rest = address(&node, "http");
    let mut listener = Listener::live(rest, "", "").await;
    make(rest, &topics(0..10), None).await;
    let made = listener.made("t-0009").await;
    assert_eq!(subjects(&made), topics(0..10));
    drop(listener);

    make(rest, &topics(10..15), None).await;
    let mut listener = Listener::behind(rest, &made[4].id).await;
    assert_eq!(subjects(&listener.made("t-0014").await), topics(5..15), "what was missed");
    make(rest, &topics(15..16), None).await;
    let last = listener.made("t-0015").await.remove(0);
    assert_eq!(last.subject(), "t-0015", "and what happens now");
    let after = format!("?after={}&types=topic", made[8].id);
    let mut listener = Listener::open(rest, &after, "").await;
    assert_eq!(subjects(&listener.made("t-0015").await), topics(9..16), "the same by a query");

    // The end of the node ends the stream in order; another run knows what the one before told.
    node.stop().await.expect("it stops in order");
    while listener.next().await.is_some() {}
    let node = quick_node(&dir).await;
    let mut listener = Listener::behind(address(&node, "http"), &made[8].id).await;
    let mut seen = Vec::new();
    while seen.last().is_none_or(|kind| kind != "io.apogee.node.started") {
        seen.push(listener.next().await.expect("it goes on").event);
    }
    let created = seen.iter().filter(|kind| *kind == "io.apogee.topic.created").count();
    assert!(created >= topics(9..16).len(), "{seen:?}");
    node.stop().await.expect("it stops in order");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_some_types_has_no_others() {
    let dir = tempfile::tempdir().expect("a folder");
    let node = quick_node(&dir).await;
    let rest = address(&node, "http");
    let mut listener = Listener::live(rest, "?types=group", "").await;
    make(rest, &topics(0..3), None).await;
    let group = json!({ "config": { "name": "g" } }).to_string();
    assert!(post_as(rest, "/api/v1/operations/group.put", &group, None).await.starts_with("HTTP/1.1 200"));
    let told = listener.next().await.expect("it goes on");
    assert_eq!((told.event.as_str(), told.subject().as_str()), ("io.apogee.group.created", "g"));
    assert_eq!(Listener::open(rest, "?type=group", "").await.status, "400", "there is no such word");
    node.stop().await.expect("it stops in order");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_read_holds_nobody_up_and_loses_its_place_only_to_age() {
    const COUNT: usize = 1_000;
    let dir = tempfile::tempdir().expect("a folder");
    let node = quick_node(&dir).await;
    let rest = address(&node, "http");
    let mut slow = Listener::live(rest, "?types=topic", "").await;
    let mut quick = Listener::live(rest, "?types=topic", "").await;
    let all = topics(0..COUNT);
    let last = all.last().expect("some").clone();
    let (seen, ()) = tokio::join!(quick.made(&last), make(rest, &all, None));
    assert_eq!(subjects(&seen), all);
    assert_eq!(subjects(&slow.made(&last).await), all, "it reads on from its place");
    // An id of long ago gets the oldest that is known, and all behind it.
    let mut late = Listener::behind(rest, "0").await;
    assert_eq!(subjects(&late.made(&last).await).last(), Some(&last));
    node.stop().await.expect("it stops in order");
}

fn basic(user: &str, secret: &str) -> String {
    format!("Authorization: Basic {}\r\n", STANDARD.encode(format!("{user}:{secret}")))
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_look_at_the_cluster_may_listen() {
    let rig = Rig::start().await;
    let rest = address(&rig.node, "http");
    for (user, password, status) in [
        ("", "", "401"),
        ("gina", "wrong", "401"),
        ("dora", "dora-secret", "401"),
        ("alice", "alice-secret", "403"),
        ("bob", "bob-secret", "403"),
        ("hans", "hans-secret", "403"),
        ("gina", "gina-secret", "200"),
        ("erin", "erin-secret", "200"),
        ROOT_MAY,
    ] {
        let header = if user.is_empty() { String::new() } else { basic(user, password) };
        assert_eq!(Listener::open(rest, "", &header).await.status, status, "{user}");
    }
    // Whoever loses the right is told so, and hears no more.
    let mut listener = Listener::live(rest, "?types=topic", &basic("gina", &secret("gina"))).await;
    rig.run("acl.delete", json!({ "user": "gina" })).await;
    make(rest, &topics(0..1), Some(ROOT)).await;
    let (mut told, mut heard_since) = (String::new(), 0);
    while let Some(next) = listener.next().await {
        // What was made before may still be told.
        heard_since += usize::from(next.event != "refused" && next.subject().starts_with("t-"));
        told = next.event;
    }
    assert_eq!(told, "refused");
    assert!(heard_since <= 1, "what was waited for, and nothing after it: {heard_since}");
    rig.node.stop().await.expect("it stops in order");
}

const ROOT_MAY: (&str, &str, &str) = (ROOT.0, ROOT.1, "200");

async fn pulled(client: &Client) -> Result<Vec<Value>, ClientError> {
    let pull =
        Pull { group: "g", topic: TOPIC, queue: 0, offset: 0, max_messages: 32, expression: "*", wait_ms: 0 };
    let pulled = client.pull(&pull).await?;
    Ok(pulled.messages.iter().map(|m| serde_json::from_slice(&m.body()).expect("an event")).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_topic_of_events_is_read_by_clients_and_written_by_nobody() {
    let dir = tempfile::tempdir().expect("a folder");
    let node = quick_node(&dir).await;
    let rest = address(&node, "http");
    let group = json!({ "config": { "name": "g" } }).to_string();
    assert!(post_as(rest, "/api/v1/operations/group.put", &group, None).await.starts_with("HTTP/1.1 200"));
    let mut listener = Listener::live(rest, "?types=topic", "").await;
    make(rest, &topics(0..1), None).await;
    listener.made("t-0000").await;
    let client = connect(address(&node, "broker")).await;
    // A stream may hear of an event a moment before it stands in the topic.
    let found = async {
        loop {
            let events = pulled(&client).await.unwrap_or_default();
            if events.iter().any(|event| event["subject"] == "t-0000") {
                return events;
            }
            tokio::task::yield_now().await;
        }
    };
    let events = tokio::time::timeout(PATIENCE, found).await.expect("it is written");
    let ids: Vec<&str> = events.iter().filter_map(|event| event["id"].as_str()).collect();
    assert!(ids.is_sorted() && ids.len() == events.len(), "{events:?}");
    assert!(events.iter().all(|event| event["specversion"] == "1.0"), "{events:?}");
    let forged = Outgoing { body: events[0].to_string().into(), properties: String::new() };
    let refused = client.send(TOPIC, 0, forged).await.expect_err("nobody tells for the node");
    assert!(matches!(refused, ClientError::Refused { .. }), "{refused:?}");
    let path = format!("/api/v1/topics/{TOPIC}/messages");
    let refused = post_as(rest, &path, r#"{"body":"x"}"#, None).await;
    assert!(refused.starts_with("HTTP/1.1 4"), "{refused}");
    node.stop().await.expect("it stops in order");
}
