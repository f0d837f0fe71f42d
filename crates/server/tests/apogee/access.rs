//! Access control over real sockets, in all three protocols: a matrix of what is let through and what is
//! refused, with the codes that official clients act on.

use std::net::SocketAddr;
use std::pin::Pin;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use grpc::proto::messaging_service_client::MessagingServiceClient;
use grpc::proto::receive_message_response::Content;
use grpc::proto::settings::PubSub;
use grpc::proto::telemetry_command::Command;
use grpc::proto::{
    AckMessageEntry, AckMessageRequest, ChangeInvisibleDurationRequest, ClientType, EndTransactionRequest,
    FilterExpression, HeartbeatRequest, Message, MessageQueue, NotifyClientTerminationRequest,
    QueryAssignmentRequest, QueryRouteRequest, ReceiveMessageRequest, Resource, SendMessageRequest, Settings,
    Status, Subscription, SubscriptionEntry, SystemProperties, TelemetryCommand,
};
use hmac::{Hmac, KeyInit as _, Mac as _};
use remoting::client::{Client, Outgoing, Signer};
use remoting::{Body, Fields};
use serde_json::{Value, json};
use server::wiring::Node;
use sha1::Sha1;
use tempfile::TempDir;
use tonic::Request;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::codegen::tokio_stream::{Stream, StreamExt as _, empty, iter, pending};
use tonic::transport::{Channel, Endpoint};
use tonic_prost::ProstCodec;

use crate::node::{address, config, connect, post_as, start};

const OK: i32 = 0;
const SYSTEM_ERROR: i32 = 1;
const NO_PERMISSION: i32 = 16;
const DATE: &str = "20261121T103000Z";
pub(super) const ROOT: (&str, &str) = ("root", "root-secret");

/// A node with access control, a topic `t`, a group `g`, and users:
///
/// ```text
/// alice    Topic:t Pub, Topic:p-* Pub, Topic:p-closed Pub denied
/// bob      Topic:t Sub, Group:g Sub
/// carol    Topic:* All, from another machine only
/// dora     Topic:* All, but is disabled
/// erin     * All, Topic:t Pub denied from this machine
/// fred     custom: Group:g Sub denied; default: Topic:*, Group:* All
/// gina     Cluster:* Get
/// hans     nothing
/// ```
pub(super) struct Rig {
    pub(super) node: Node,
    _dir: TempDir,
}

const POLICIES: &[(&str, &str, &str, &str, &str, &str)] = &[
    ("alice", "Custom", "Topic:t", "Pub", "Allow", ""),
    ("alice", "Custom", "Topic:p-*", "Pub", "Allow", ""),
    ("alice", "Custom", "Topic:p-closed", "Pub", "Deny", ""),
    ("bob", "Custom", "Topic:t", "Sub", "Allow", ""),
    ("bob", "Custom", "Group:g", "Sub", "Allow", ""),
    ("carol", "Custom", "Topic:*", "All", "Allow", "10.0.0.0/8"),
    ("dora", "Custom", "Topic:*", "All", "Allow", ""),
    ("erin", "Custom", "*", "All", "Allow", ""),
    ("erin", "Custom", "Topic:t", "Pub", "Deny", "127.0.0.1"),
    ("fred", "Custom", "Group:g", "Sub", "Deny", ""),
    ("fred", "Default", "Topic:*", "All", "Allow", ""),
    ("fred", "Default", "Group:*", "All", "Allow", ""),
    ("gina", "Custom", "Cluster:*", "Get", "Allow", ""),
];
const USERS: [&str; 8] = ["alice", "bob", "carol", "dora", "erin", "fred", "gina", "hans"];

pub(super) fn secret(user: &str) -> String {
    format!("{user}-secret")
}

impl Rig {
    pub(super) async fn start() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let mut config = config(&dir);
        config.auth.enabled = Some(true);
        config.auth.init_user = ROOT.0.to_owned();
        config.auth.init_password.0 = ROOT.1.to_owned();
        let rig = Self { node: start(&config).await, _dir: dir };
        for topic in ["t", "u", "p-open", "p-closed"] {
            let request =
                json!({ "config": { "name": topic, "read_queues": 1, "write_queues": 1 }, "update": false });
            rig.run("topic.put", request).await;
        }
        rig.run("group.put", json!({ "config": { "name": "g" }, "update": false })).await;
        for user in USERS {
            let status = if user == "dora" { "Disable" } else { "Enable" };
            rig.run("user.put", json!({ "user": user, "password": secret(user), "status": status })).await;
        }
        for (user, kind, resource, actions, decision, from) in POLICIES {
            let source_ips: Vec<&str> = from.split_whitespace().collect();
            let entry = json!({
                "resource": resource, "actions": [actions], "decision": decision, "source_ips": source_ips,
            });
            let request = json!({ "user": user, "policies": [{ "kind": kind, "entries": [entry] }] });
            rig.run("acl.put", request).await;
        }
        rig
    }

    pub(super) fn rest(&self) -> SocketAddr {
        address(&self.node, "http")
    }

    /// As the super user.
    pub(super) async fn run(&self, operation: &str, request: Value) {
        let path = format!("/api/v1/operations/{operation}");
        let answer = post_as(self.rest(), &path, &request.to_string(), Some(ROOT)).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{operation}: {answer}");
    }
}

fn mac(secret: &str, content: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha1>::new_from_slice(secret.as_bytes()).expect("any length");
    mac.update(content);
    mac.finalize().into_bytes().to_vec()
}

/// As `AclClientRPCHook` signs.
fn signed(fields: Fields, body: &str, user: &str, secret: &str) -> Fields {
    let fields = fields.with("AccessKey", user);
    let mut all: Vec<(&str, &str)> = fields.iter().collect();
    all.sort_unstable();
    let content: String = all.into_iter().map(|(_, value)| value).chain([body]).collect();
    let signature = STANDARD.encode(mac(secret, content.as_bytes()));
    fields.with("Signature", signature)
}

/// Code, fields and body of a request of the 4.x protocol.
fn remoting_request(what: &str) -> (i32, Fields, String) {
    let (what, topic) = what.split_once(' ').unwrap_or((what, "t"));
    let of_queue = |fields: Fields| fields.with("topic", topic).with("queueId", 0);
    let of_both = || of_queue(Fields::new().with("consumerGroup", "g"));
    let none = String::new;
    match what {
        "send" => {
            let fields = Fields::new()
                .with("a", "pg")
                .with("b", topic)
                .with("c", "TBW102")
                .with("d", 4)
                .with("e", 0)
                .with("f", 0)
                .with("g", 1)
                .with("h", 0)
                .with("i", "")
                .with("j", 0)
                .with("k", false);
            (310, fields, "hello".to_owned())
        }
        "pull" => {
            let fields = of_both()
                .with("queueOffset", 0)
                .with("maxMsgNums", 1)
                .with("sysFlag", 4)
                .with("commitOffset", 0)
                .with("suspendTimeoutMillis", 0)
                .with("subscription", "*")
                .with("subVersion", 0);
            (11, fields, none())
        }
        "beat" => {
            let body = json!({
                "clientID": "c", "producerDataSet": [], "consumerDataSet": [{
                    "groupName": "g", "consumeType": "CONSUME_PASSIVELY", "messageModel": "CLUSTERING",
                    "consumeFromWhere": "CONSUME_FROM_LAST_OFFSET", "unitMode": false,
                    "subscriptionDataSet": [{ "topic": topic, "subString": "*", "subVersion": 1 }],
                }],
            });
            (34, Fields::new(), body.to_string())
        }
        "route" => (105, Fields::new().with("topic", topic), none()),
        "max" => (30, of_queue(Fields::new()), none()),
        "commit" => (15, of_both().with("commitOffset", 0), none()),
        "committed" => (14, of_both().with("setZeroIfNotFound", true), none()),
        "lock" => {
            let queue = json!({ "brokerName": "b", "queueId": 0, "topic": topic });
            let body = json!({ "consumerGroup": "g", "clientId": "c", "mqSet": [queue] });
            (41, Fields::new(), body.to_string())
        }
        "put-topic" => {
            let fields = Fields::new()
                .with("topic", topic)
                .with("defaultTopic", "TBW102")
                .with("readQueueNums", 1)
                .with("writeQueueNums", 1)
                .with("perm", 6)
                .with("topicFilterType", "SINGLE_TAG")
                .with("topicSysFlag", 0)
                .with("order", false);
            (17, fields, none())
        }
        "topic-stats" => (202, Fields::new().with("topic", topic), none()),
        "users" => (3005, Fields::new(), none()),
        "make-user" => {
            let body = json!({ "username": "new", "password": "p", "userType": "Normal" });
            (3001, Fields::new().with("username", "new"), body.to_string())
        }
        "kv" => (219, Fields::new().with("namespace", "n"), none()),
        other => panic!("there is no request {other}"),
    }
}

/// Who, what, and the code of the answer.
const REMOTING: &[(&str, &str, i32)] = &[
    ("alice", "send", OK),
    ("alice", "send u", NO_PERMISSION),
    ("alice", "send p-open", OK),
    ("alice", "send p-closed", NO_PERMISSION),
    ("alice", "send %RETRY%g", NO_PERMISSION),
    ("alice", "pull", NO_PERMISSION),
    ("alice", "beat", NO_PERMISSION),
    ("alice", "route", OK),
    ("alice", "route u", NO_PERMISSION),
    ("alice", "route TBW102", OK),
    ("alice", "max", NO_PERMISSION),
    ("alice", "commit", NO_PERMISSION),
    ("alice", "put-topic new", NO_PERMISSION),
    ("alice", "topic-stats", NO_PERMISSION),
    ("alice", "users", NO_PERMISSION),
    ("bob", "send", NO_PERMISSION),
    ("bob", "send %RETRY%g", OK),
    ("bob", "beat", OK),
    ("bob", "beat u", NO_PERMISSION),
    ("bob", "beat %RETRY%g", OK),
    ("bob", "lock", OK),
    ("bob", "lock u", NO_PERMISSION),
    ("bob", "pull u", NO_PERMISSION),
    ("bob", "route", OK),
    ("bob", "max", OK),
    ("bob", "commit", OK),
    ("bob", "commit u", NO_PERMISSION),
    ("bob", "committed", OK),
    ("bob", "committed u", NO_PERMISSION),
    ("carol", "send", NO_PERMISSION),
    ("carol", "route", NO_PERMISSION),
    ("dora", "send", NO_PERMISSION),
    ("erin", "send", NO_PERMISSION),
    ("erin", "send u", OK),
    // One of the actions that would do is forbidden, and nothing nearer allows another.
    ("erin", "route", NO_PERMISSION),
    ("erin", "route u", OK),
    ("erin", "beat", OK),
    ("erin", "users", OK),
    ("erin", "put-topic by-erin", OK),
    ("fred", "send", OK),
    ("fred", "beat", NO_PERMISSION),
    ("fred", "commit", NO_PERMISSION),
    ("fred", "topic-stats", OK),
    ("gina", "send", NO_PERMISSION),
    ("gina", "pull RMQ_SYS_EVENTS", NO_PERMISSION),
    ("bob", "pull RMQ_SYS_EVENTS", NO_PERMISSION),
    ("erin", "send RMQ_SYS_EVENTS", NO_PERMISSION),
    ("gina", "users", OK),
    ("gina", "make-user", NO_PERMISSION),
    ("hans", "send", NO_PERMISSION),
    ("hans", "route", NO_PERMISSION),
    ("hans", "route TBW102", OK),
    ("hans", "kv", NO_PERMISSION),
    ("root", "send", OK),
    ("root", "send u", OK),
    ("root", "beat", OK),
    ("root", "put-topic by-root", OK),
    ("root", "make-user", OK),
];

async fn ask(client: &Client, what: &str, user: &str, secret: &str) -> (i32, String) {
    let (code, fields, body) = remoting_request(what);
    let fields = signed(fields, &body, user, secret);
    let answer = client.request(code, fields, Body::from(body)).await.expect("the connection stands");
    (answer.code, answer.remark.unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_of_4x_clients_are_let_through_or_refused() {
    let rig = Rig::start().await;
    // One connection for all: each request is signed by itself.
    let client = connect(address(&rig.node, "broker")).await;
    for (user, what, expected) in REMOTING {
        let (code, remark) = ask(&client, what, user, &secret(user)).await;
        assert_eq!(code, *expected, "{user} {what}: {remark}");
    }
    let (_, remark) = ask(&client, "send u", "alice", &secret("alice")).await;
    assert_eq!(remark, "User:alice has no permission to access Topic:u from 127.0.0.1, no matched policies.");
    let (_, remark) = ask(&client, "send p-closed", "alice", &secret("alice")).await;
    assert_eq!(
        remark,
        "User:alice has no permission to access Topic:p-closed from 127.0.0.1, the decision is deny."
    );
    rig.node.stop().await.expect("it stops in order");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_prove_who_it_is_is_refused() {
    let rig = Rig::start().await;
    for listener in ["broker", "namesrv"] {
        let client = connect(address(&rig.node, listener)).await;
        let told = ask(&client, "send", "alice", "wrong").await;
        assert_eq!(told, (NO_PERMISSION, "check signature failed.".to_owned()));
        let told = ask(&client, "send", "nobody", "x").await;
        assert_eq!(told, (NO_PERMISSION, "User:nobody is not found.".to_owned()));
        let told = ask(&client, "send", "dora", &secret("dora")).await;
        assert_eq!(told, (NO_PERMISSION, "User:dora is disabled.".to_owned()));
        for what in ["send", "beat", "route", "users"] {
            let (code, fields, body) = remoting_request(what);
            let answer = client.request(code, fields, Body::from(body)).await.expect("it stands");
            let remark = answer.remark.unwrap_or_default();
            assert_eq!((answer.code, remark.as_str()), (NO_PERMISSION, "username cannot be null."), "{what}");
        }
        // The signature of another request is none of this one.
        let (code, fields, body) = remoting_request("send");
        let fields = signed(fields, "other body", "alice", &secret("alice"));
        let answer = client.request(code, fields, Body::from(body)).await.expect("it stands");
        assert_eq!(answer.code, NO_PERMISSION);
    }
    rig.node.stop().await.expect("it stops in order");
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_count_from_the_next_request_on() {
    let rig = Rig::start().await;
    let client = connect(address(&rig.node, "broker")).await;
    let hans = secret("hans");
    assert_eq!(ask(&client, "send", "hans", &hans).await.0, NO_PERMISSION);
    let entry = json!({ "resource": "Topic:t", "actions": ["Pub"], "decision": "Allow" });
    rig.run("acl.put", json!({ "user": "hans", "policies": [{ "entries": [entry] }] })).await;
    assert_eq!(ask(&client, "send", "hans", &hans).await.0, OK);
    rig.run("user.put", json!({ "user": "hans", "password": "another" })).await;
    assert_eq!(ask(&client, "send", "hans", &hans).await.0, NO_PERMISSION);
    assert_eq!(ask(&client, "send", "hans", "another").await.0, OK);
    rig.run("user.put", json!({ "user": "hans", "status": "Disable" })).await;
    assert_eq!(ask(&client, "send", "hans", "another").await.0, NO_PERMISSION);
    rig.run("user.put", json!({ "user": "hans", "status": "Enable" })).await;
    rig.run("acl.delete", json!({ "user": "hans" })).await;
    assert_eq!(ask(&client, "send", "hans", "another").await.0, NO_PERMISSION);
    let (code, _) = ask(&client, "make-user", "erin", &secret("erin")).await;
    assert_eq!(code, OK, "erin may do everything but be a super user");
    let body = json!({ "userType": "Super" }).to_string();
    let fields = signed(Fields::new().with("username", "erin"), &body, "erin", &secret("erin"));
    let answer = client.request(3002, fields, Body::from(body)).await.expect("it stands");
    assert!(answer.code == NO_PERMISSION || answer.code == SYSTEM_ERROR, "{answer:?}");
    rig.node.stop().await.expect("it stops in order");
}

type Grpc = MessagingServiceClient<Channel>;

fn resource(name: &str) -> Option<Resource> {
    Some(Resource { resource_namespace: String::new(), name: name.to_owned() })
}

fn request<T>(body: T, user: &str, secret: &str) -> Request<T> {
    let mut request = Request::new(body);
    let metadata = request.metadata_mut();
    metadata.insert("x-mq-client-id", format!("client-of-{user}").parse().expect("ascii"));
    if !user.is_empty() {
        let signature = hex::encode_upper(mac(secret, DATE.as_bytes()));
        let header = format!(
            "MQv2-HMAC-SHA1 Credential={user}/region/Rocketmq, SignedHeaders=x-mq-date-time, Signature={signature}"
        );
        metadata.insert("authorization", header.parse().expect("ascii"));
        metadata.insert("x-mq-date-time", DATE.parse().expect("ascii"));
    }
    request
}

async fn call(client: &mut Grpc, what: &str, user: &str, secret: &str) -> Status {
    let (what, topic) = what.split_once(' ').unwrap_or((what, "t"));
    let (group, topic) = (resource("g"), resource(topic));
    let endpoints = None;
    let status = match what {
        "send" => {
            let system = SystemProperties { message_id: "0".repeat(34), ..SystemProperties::default() };
            let message = Message {
                topic,
                body: b"hello".to_vec().into(),
                system_properties: Some(system),
                ..Message::default()
            };
            let body = SendMessageRequest { messages: vec![message] };
            client.send_message(request(body, user, secret)).await.expect("answered").into_inner().status
        }
        "route" => {
            let body = QueryRouteRequest { topic, endpoints };
            client.query_route(request(body, user, secret)).await.expect("answered").into_inner().status
        }
        "assignment" => {
            let body = QueryAssignmentRequest { topic, group, endpoints };
            client.query_assignment(request(body, user, secret)).await.expect("answered").into_inner().status
        }
        "beat" => {
            let client_type = ClientType::PushConsumer.into();
            let body = HeartbeatRequest { group, client_type };
            client.heartbeat(request(body, user, secret)).await.expect("answered").into_inner().status
        }
        "ack" => {
            let entries = vec![AckMessageEntry {
                message_id: String::new(),
                receipt_handle: "nonsense".to_owned(),
                ..AckMessageEntry::default()
            }];
            let body = AckMessageRequest { group, topic, entries };
            client.ack_message(request(body, user, secret)).await.expect("answered").into_inner().status
        }
        "change" => {
            let body = ChangeInvisibleDurationRequest {
                group,
                topic,
                receipt_handle: "nonsense".to_owned(),
                ..ChangeInvisibleDurationRequest::default()
            };
            let request = request(body, user, secret);
            client.change_invisible_duration(request).await.expect("answered").into_inner().status
        }
        "receive" => Some(receive(client, topic, user, secret).await),
        "bye" => {
            let body = NotifyClientTerminationRequest { group };
            let request = request(body, user, secret);
            client.notify_client_termination(request).await.expect("answered").into_inner().status
        }
        "end" => {
            let body = EndTransactionRequest {
                topic,
                message_id: String::new(),
                transaction_id: "nonsense".to_owned(),
                ..EndTransactionRequest::default()
            };
            client.end_transaction(request(body, user, secret)).await.expect("answered").into_inner().status
        }
        other => panic!("there is no call {other}"),
    };
    status.expect("a status")
}

/// The status of a receive call, which comes before or behind the messages.
async fn receive(client: &mut Grpc, topic: Option<Resource>, user: &str, secret: &str) -> Status {
    let body = ReceiveMessageRequest {
        group: resource("g"),
        message_queue: Some(MessageQueue { topic, ..MessageQueue::default() }),
        filter_expression: Some(FilterExpression {
            expression: "*".to_owned(),
            ..FilterExpression::default()
        }),
        batch_size: 1,
        auto_renew: true,
        ..ReceiveMessageRequest::default()
    };
    let mut answers =
        client.receive_message(request(body, user, secret)).await.expect("answered").into_inner();
    while let Some(answer) = answers.message().await.expect("no broken stream") {
        if let Some(Content::Status(status)) = answer.content {
            return status;
        }
    }
    panic!("{user} receives: no status")
}

/// How a telemetry stream begins: its first status. One that is refused ends with that, one of a client that has said
/// all with the server's settings, any other one stays open.
async fn telemetry(client: &mut Grpc, topic: &str, (user, secret): (&str, &str), says_all: bool) -> Status {
    let subscription = Subscription {
        group: resource("g"),
        subscriptions: vec![SubscriptionEntry {
            topic: resource(topic),
            expression: Some(FilterExpression { expression: "*".to_owned(), ..FilterExpression::default() }),
        }],
        ..Subscription::default()
    };
    let settings = Settings {
        client_type: Some(ClientType::SimpleConsumer.into()),
        pub_sub: Some(PubSub::Subscription(subscription)),
        ..Settings::default()
    };
    let hello =
        TelemetryCommand { command: Some(Command::Settings(settings)), ..TelemetryCommand::default() };

    // Clients leave it open.
    let more: Pin<Box<dyn Stream<Item = TelemetryCommand> + Send>> =
        if says_all { Box::pin(empty()) } else { Box::pin(pending()) };
    let asked = iter([hello]).chain(more);
    let mut answers = client.telemetry(request(asked, user, secret)).await.expect("begins").into_inner();
    let first = answers.message().await.expect("no broken stream").expect("a first word");
    let status = first.status.expect("a status");
    if says_all || status.code != 20_000 {
        let end = answers.message().await.expect("ends well");
        assert!(end.is_none(), "{user} {topic}: {end:?}");
    }
    status
}

/// Who, what, and whether it is refused for who that is (40100) or gets as far as the engine.
const GRPC: &[(&str, &str, bool)] = &[
    ("alice", "send", true),
    ("alice", "send u", false),
    ("alice", "send p-open", true),
    ("alice", "send p-closed", false),
    ("alice", "route", true),
    ("alice", "route u", false),
    ("alice", "assignment u", false),
    ("bob", "send", false),
    ("bob", "route", true),
    ("bob", "assignment", true),
    ("bob", "assignment u", false),
    ("bob", "ack", true),
    ("bob", "change", true),
    ("carol", "send", false),
    ("dora", "send", false),
    ("erin", "send", false),
    ("erin", "send u", true),
    ("erin", "route", false),
    ("erin", "route u", true),
    ("fred", "send", true),
    ("gina", "send", false),
    ("hans", "send", false),
    ("hans", "route", false),
    ("root", "send", true),
    ("root", "assignment u", true),
    ("root", "end", true),
    // Behind what was sent: there is something to receive.
    ("bob", "receive", true),
    ("bob", "receive u", false),
    ("alice", "receive", false),
    ("carol", "receive", false),
    ("dora", "receive", false),
    ("erin", "receive u", true),
    ("fred", "receive", false),
    ("hans", "receive", false),
    ("root", "receive", true),
];

#[tokio::test(flavor = "multi_thread")]
async fn calls_of_5x_clients_are_let_through_or_refused() {
    let rig = Rig::start().await;
    let endpoint = format!("http://{}", address(&rig.node, "grpc"));
    let channel = Endpoint::from_shared(endpoint).expect("legal").connect().await.expect("it listens");
    let mut client = MessagingServiceClient::new(channel);
    for (user, what, passes) in GRPC {
        let status = call(&mut client, what, user, &secret(user)).await;
        assert_eq!(status.code != 40_100, *passes, "{user} {what}: {status:?}");
    }
    let status = call(&mut client, "send u", "alice", &secret("alice")).await;
    assert_eq!(
        status.message,
        "User:alice has no permission to access Topic:u from 127.0.0.1, no matched policies."
    );
    for what in ["send", "route", "assignment", "beat", "receive", "ack", "change", "bye", "end"] {
        let status = call(&mut client, what, "", "").await;
        assert_eq!((status.code, status.message.as_str()), (40_100, "username cannot be null."), "{what}");
        let status = call(&mut client, what, "root", "wrong").await;
        assert_eq!((status.code, status.message.as_str()), (40_100, "check signature failed."), "{what}");
    }
    rig.node.stop().await.expect("it stops in order");
}

#[tokio::test(flavor = "multi_thread")]
async fn telemetry_streams_of_5x_clients_are_let_through_or_refused() {
    let rig = Rig::start().await;
    let endpoint = format!("http://{}", address(&rig.node, "grpc"));
    let channel = Endpoint::from_shared(endpoint).expect("legal").connect().await.expect("it listens");
    let mut client = MessagingServiceClient::new(channel);
    for (user, secret, topic, told) in [
        ("bob", "bob-secret", "t", ""),
        ("root", ROOT.1, "u", ""),
        ("bob", "bob-secret", "u", "User:bob has no permission to access Topic:u"),
        ("alice", "alice-secret", "t", "User:alice has no permission to access"),
        ("bob", "wrong", "t", "check signature failed."),
        ("dora", "dora-secret", "t", "User:dora is disabled."),
        ("", "", "t", "username cannot be null."),
    ] {
        for says_all in [false, true] {
            let status = telemetry(&mut client, topic, (user, secret), says_all).await;
            let code = if told.is_empty() { 20_000 } else { 40_100 };
            assert_eq!(status.code, code, "{user} {topic}: {status:?}");
            assert!(status.message.contains(told), "{user} {topic}: {status:?}");
        }
    }
    // What was refused is not what the client's later calls are judged by.
    let beat = call(&mut client, "beat", "bob", &secret("bob")).await;
    assert_eq!(beat.code, 20_000, "{beat:?}");
    rig.node.stop().await.expect("it stops in order");
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_of_5x_clients_are_signed_as_their_calls_are() {
    let rig = Rig::start().await;
    let endpoint = format!("http://{}", address(&rig.node, "grpc"));
    let channel = Endpoint::from_shared(endpoint).expect("legal").connect().await.expect("it listens");
    let mut client = tonic::client::Grpc::new(channel);
    for (user, secret, told) in [
        ("root", ROOT.1, None),
        ("hans", "hans-secret", None),
        ("bob", "wrong", Some("check signature failed.")),
        ("dora", "dora-secret", Some("User:dora is disabled.")),
        ("", "", Some("username cannot be null.")),
    ] {
        client.ready().await.expect("it listens");
        let path =
            PathAndQuery::from_static("/opentelemetry.proto.collector.metrics.v1.MetricsService/Export");
        let answer = client.unary(request((), user, secret), path, ProstCodec::<(), ()>::default()).await;
        match (answer, told) {
            (Ok(_), None) => {}
            (Err(status), Some(told)) => {
                assert_eq!((status.code(), status.message()), (tonic::Code::Unauthenticated, told), "{user}");
            }
            (outcome, _) => panic!("{user}: {outcome:?}"),
        }
    }
    rig.node.stop().await.expect("it stops in order");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_signs_as_the_clients_do() {
    let rig = Rig::start().await;
    let signer = Signer::new("alice", &secret("alice"));
    let client = connect(address(&rig.node, "broker")).await.signing_as(Some(signer));
    let message = || Outgoing { body: "x".into(), properties: String::new() };
    client.send("t", 0, message()).await.expect("she may");
    client.send("u", 0, message()).await.expect_err("she may not");
    rig.node.stop().await.expect("it stops in order");
}

#[tokio::test(flavor = "multi_thread")]
async fn http_asks_for_a_password() {
    let rig = Rig::start().await;
    let rest = rig.rest();
    let list = "/api/v1/operations/topic.list";
    for (caller, expected) in [
        (None, "HTTP/1.1 401"),
        (Some(("alice", "wrong")), "HTTP/1.1 401"),
        (Some(("nobody", "x")), "HTTP/1.1 401"),
        (Some(("dora", "dora-secret")), "HTTP/1.1 401"),
        (Some(("alice", "alice-secret")), "HTTP/1.1 200"),
    ] {
        let answer = post_as(rest, list, "{}", caller).await;
        assert!(answer.starts_with(expected), "{caller:?}: {answer}");
    }
    let told = post_as(rest, list, "{}", Some(("alice", "alice-secret"))).await;
    assert!(told.contains("p-open") && !told.contains("\"u\""), "alice sees her topics only: {told}");
    let sent = post_as(rest, "/api/v1/topics/u/messages", r#"{"body":"x"}"#, Some(("alice", "alice-secret")));
    assert!(sent.await.starts_with("HTTP/1.1 403"));
    let made = post_as(rest, "/api/v1/operations/user.put", "{}", Some(("alice", "alice-secret"))).await;
    assert!(made.starts_with("HTTP/1.1 403"), "{made}");
    let users = post_as(rest, "/api/v1/operations/user.list", "{}", Some(ROOT)).await;
    assert!(users.contains("alice") && !users.contains("sealed") && !users.contains("password"), "{users}");
    let ready = crate::node::get(rest, "/readyz").await;
    assert!(ready.starts_with("HTTP/1.1 200"), "{ready}");
    assert!(crate::node::get(rest, "/metrics").await.starts_with("HTTP/1.1 401"));
    rig.node.stop().await.expect("it stops in order");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_any_user_it_does_not_start() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut config = config(&dir);
    config.auth.enabled = Some(true);
    let told = Node::start(&config, &base::Doors::system()).await.err().expect("refused");
    assert!(format!("{told:#}").contains("auth.init_user"), "{told:#}");
}
