//! A node inside the test: what the wiring makes of a configuration.

use std::net::SocketAddr;

use base::Doors;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::admin::{NodeInfo, TopicPut};
use remoting::client::{Client, ClientError, Outgoing, Pull};
use server::config::Config;
use server::wiring::Node;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub(super) fn config(dir: &TempDir) -> Config {
    let mut config = Config::default();
    config.data.dir = dir.path().join("data");
    let listen = &mut config.listen;
    for listener in [&mut listen.namesrv, &mut listen.broker, &mut listen.grpc, &mut listen.http] {
        listener.address.set_port(0);
    }
    config
}

pub(super) async fn start(config: &Config) -> Node {
    Node::start(config, &Doors::system()).await.expect("it starts")
}

pub(super) fn address(node: &Node, name: &str) -> SocketAddr {
    node.bound().iter().find(|bound| bound.name == name).expect("it is listened on").address
}

pub(super) async fn http(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    stream.write_all(request.as_bytes()).await.expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("text");
    answer
}

pub(super) async fn get(address: SocketAddr, path: &str) -> String {
    http(address, &format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")).await
}

pub(super) async fn post(address: SocketAddr, path: &str, body: &str) -> String {
    post_as(address, path, body, None).await
}

/// With basic authentication, if a user is named.
pub(super) async fn post_as(
    address: SocketAddr,
    path: &str,
    body: &str,
    caller: Option<(&str, &str)>,
) -> String {
    let len = body.len();
    let proof = caller.map_or_else(String::new, |(user, password)| {
        format!("Authorization: Basic {}\r\n", STANDARD.encode(format!("{user}:{password}")))
    });
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {len}\r\n{proof}\r\n"
    );
    http(address, &(head + body)).await
}

pub(super) async fn connect(address: SocketAddr) -> Client {
    Client::connect(&Doors::system(), address).await.expect("it listens")
}

fn message(body: &'static str) -> Outgoing {
    Outgoing { body: body.into(), properties: String::new() }
}

async fn bodies(client: &Client, topic: &str, queue: u32) -> Vec<String> {
    let pull = Pull { group: "g", topic, queue, offset: 0, max_messages: 32, expression: "*", wait_ms: 0 };
    let pulled = client.pull(&pull).await.expect("the topic is there");
    pulled.messages.iter().map(|m| String::from_utf8(m.body().to_vec()).expect("text")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_protocol_reaches_the_same_messages() {
    let dir = tempfile::tempdir().expect("a folder");
    let node = start(&config(&dir)).await;
    let rest = address(&node, "http");
    let made = post(
        rest,
        "/api/v1/operations/topic.put",
        r#"{"config":{"name":"t","read_queues":1,"write_queues":1},"update":false}"#,
    );
    assert!(made.await.starts_with("HTTP/1.1 200"));
    assert!(
        post(rest, "/api/v1/topics/t/messages", r#"{"body":"over http"}"#).await.contains("\"offset\":0")
    );
    let broker = connect(address(&node, "broker")).await;
    assert_eq!(broker.send("t", 0, message("over remoting")).await.expect("it is taken").offset, 1);
    post(rest, "/api/v1/operations/group.put", r#"{"config":{"name":"g"},"update":false}"#).await;
    assert_eq!(bodies(&broker, "t", 0).await, ["over http", "over remoting"]);
    let received = post(rest, "/api/v1/groups/g/receive", r#"{"topic":"t","max_messages":8}"#).await;
    assert!(received.contains("over http") && received.contains("over remoting"), "{received}");
    node.stop().await.expect("it stops in order");
}

#[tokio::test(flavor = "multi_thread")]
async fn health_metrics_and_the_catalogue_are_served() {
    let dir = tempfile::tempdir().expect("a folder");
    let node = start(&config(&dir)).await;
    let rest = address(&node, "http");
    assert!(get(rest, "/readyz").await.starts_with("HTTP/1.1 200"));
    let metrics = get(rest, "/metrics").await;
    for name in [
        "apogee_verb_seconds",
        "apogee_net_connections_open",
        "apogee_grpc_",
        "apogee_remoting_",
        "apogee_store_flush",
        "apogee_replica_frames",
    ] {
        assert!(metrics.contains(name), "{name} is not measured");
    }
    let description = get(rest, "/api/v1/openapi.json").await;
    for name in [<NodeInfo as model::admin::AdminOp>::NAME, <TopicPut as model::admin::AdminOp>::NAME] {
        assert!(description.contains(name), "{name} is not described");
    }
    node.stop().await.expect("it stops in order");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_is_there_after_a_restart() {
    let dir = tempfile::tempdir().expect("a folder");
    let config = config(&dir);
    let node = start(&config).await;
    let client = connect(address(&node, "broker")).await;
    for body in ["one", "two", "three"] {
        client.send("t", 0, message(body)).await.expect("it is taken");
    }
    node.stop().await.expect("it stops in order");
    assert!(client.send("t", 0, message("four")).await.is_err(), "nobody serves the connection");
    let node = start(&config).await;
    let client = connect(address(&node, "namesrv")).await;
    post(address(&node, "http"), "/api/v1/operations/group.put", r#"{"config":{"name":"g"},"update":true}"#)
        .await;
    assert_eq!(bodies(&client, "t", 0).await, ["one", "two", "three"]);
    node.stop().await.expect("it stops in order");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_port_can_speak_all_protocols() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut config = config(&dir);
    config.listen.broker.protocols = vec!["remoting".to_owned(), "grpc".to_owned(), "rest".to_owned()];
    for other in [&mut config.listen.namesrv, &mut config.listen.grpc, &mut config.listen.http] {
        other.enabled = false;
    }
    config.validate().expect("legal");
    let node = start(&config).await;
    let port = address(&node, "broker");
    assert!(get(port, "/healthz").await.contains("ok"));
    connect(port).await.send("t", 0, message("x")).await.expect("it is taken");
    let mut http2 = TcpStream::connect(port).await.expect("it listens");
    http2.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.expect("it reads");
    let mut frame = [0; 9];
    http2.read_exact(&mut frame).await.expect("settings come first");
    assert_eq!(frame[3], 4, "a frame of settings");
    drop(http2);
    node.stop().await.expect("it stops in order");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_leaves_the_data_alone() {
    let dir = tempfile::tempdir().expect("a folder");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let mut config = config(&dir);
    config.listen.grpc.address = taken.local_addr().expect("it is bound");
    let failed = Node::start(&config, &Doors::system()).await.err().expect("the port is taken");
    assert!(format!("{failed:#}").contains("cannot listen on"), "{failed:#}");
    assert!(!config.data.dir.join("group-0").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_over_a_quota_is_told_so_in_his_protocol() {
    let dir = tempfile::tempdir().expect("a folder");
    let node = start(&config(&dir)).await;
    let rest = address(&node, "http");
    let operate = |name: &'static str, body: &'static str| async move {
        let path = format!("/api/v1/operations/{name}");
        let answer = post(rest, &path, body).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    };
    operate("topic.put", r#"{"config":{"name":"t","read_queues":1,"write_queues":1},"update":false}"#).await;
    operate("group.put", r#"{"config":{"name":"g"},"update":false}"#).await;
    let broker = connect(address(&node, "broker")).await;
    broker.send("t", 0, message("one")).await.expect("no quota yet");
    let quota = r#"{"scope":"topic","name":"t","send_bytes_per_s":1,"receive_bytes_per_s":1}"#;
    operate("quota.put", quota).await;

    broker.send("t", 0, message("two, which is owed for a while")).await.expect("something is left");
    let refused = broker.send("t", 0, message("three")).await;
    assert!(matches!(&refused, Err(ClientError::Refused { code: 2, .. })), "{refused:?}");
    let refused = post(rest, "/api/v1/topics/t/messages", r#"{"body":"four"}"#).await;
    assert!(refused.starts_with("HTTP/1.1 429") && refused.contains("retry-after: "), "{refused}");

    assert_eq!(bodies(&broker, "t", 0).await.len(), 2);
    let pull =
        Pull { group: "g", topic: "t", queue: 0, offset: 0, max_messages: 32, expression: "*", wait_ms: 0 };
    let refused = broker.pull(&pull).await;
    assert!(matches!(&refused, Err(ClientError::Refused { code: 215, .. })), "{:?}", refused.err());
    let refused = post(rest, "/api/v1/groups/g/receive", r#"{"topic":"t","max_messages":8}"#).await;
    assert!(refused.starts_with("HTTP/1.1 429"), "{refused}");
    let metrics = get(rest, "/metrics").await;
    let counted = "apogee_quota_refused_total{scope=\"topic\",limit=\"send_bytes_per_s\"} 2";
    assert!(metrics.contains(counted), "{metrics}");

    operate("quota.delete", r#"{"scope":"topic","name":"t"}"#).await;
    broker.send("t", 0, message("five")).await.expect("no quota any more");
    node.stop().await.expect("it stops in order");
}
