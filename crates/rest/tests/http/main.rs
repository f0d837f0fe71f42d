//! The interface as a client sees it: real HTTP over a pipe, an engine in memory behind it.
#![expect(clippy::disallowed_methods, reason = "tests run in real time")]

mod engine;

use std::sync::Arc;

use base::Doors;
use engine::Fake;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use net::{Accepted, Drain, Protocol, Recognised};
use prometheus_client::registry::Registry;
use rest::{Readiness, Rest, RestConfig};
use serde_json::{Value, json};

struct Rig {
    rest: Arc<Rest>,
    readiness: Readiness,
    drain: Drain,
}

fn rig() -> Rig {
    let readiness = Readiness::default();
    let config = RestConfig::default();
    let registry = Arc::from([Registry::default()]);
    let rest = Rest::new(
        (Arc::new(Fake::default()), Arc::new(model::access::Open)),
        config,
        &Doors::system(),
        readiness.clone(),
        (registry, axum::Router::new()),
    );
    Rig { rest, readiness, drain: Drain::new() }
}

struct Answer {
    status: StatusCode,
    kind: String,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).expect("JSON")
    }

    fn detail(&self) -> String {
        assert_eq!(self.kind, "application/problem+json", "{}", self.text);
        assert_eq!(self.json()["status"], self.status.as_u16());
        self.json()["detail"].as_str().expect("a text").to_owned()
    }
}

impl Rig {
    fn connect(&self) -> tokio::io::DuplexStream {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let address = "127.0.0.1:4000".parse().expect("an address");
        let accepted = Accepted {
            stream: Box::new(theirs),
            peer: address,
            local: address,
            advertised: address.into(),
            session: 1.into(),
            tls: false,
            certificate: None,
            drain: self.drain.clone(),
        };
        tokio::spawn(Arc::clone(&self.rest).serve(accepted));
        ours
    }

    async fn send(&self, request: Request<Full<bytes::Bytes>>) -> Answer {
        let (mut client, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(self.connect())).await.expect("a handshake");
        tokio::spawn(connection);
        let response = client.send_request(request).await.expect("an answer");
        let kind = response.headers().get("content-type").map(|v| v.to_str().expect("text").to_owned());
        let status = response.status();
        let body = response.into_body().collect().await.expect("a body").to_bytes();
        let text = String::from_utf8(body.to_vec()).expect("text");
        Answer { status, kind: kind.unwrap_or_default(), text }
    }

    async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let builder = Request::builder().method(method).uri(path).header("host", "localhost");
        let request = match body {
            None => builder.body(Full::default()),
            Some(body) => builder.header("content-type", "application/json").body(body.to_string().into()),
        };
        self.send(request.expect("a request")).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, None).await
    }

    async fn post(&self, path: &str, body: Value) -> Answer {
        self.call(Method::POST, path, Some(body)).await
    }

    async fn put(&self, path: &str, body: Value) -> Answer {
        self.call(Method::PUT, path, Some(body)).await
    }
}

#[test]
fn http_1_is_recognised() {
    let check = |bytes: &[u8]| rig().rest.recognises(bytes);
    for yes in [&b"GET / HTTP/1.1\r\n"[..], b"POST ", b"PUT /", b"DELETE /"] {
        assert_eq!(check(yes), Recognised::Yes);
    }
    for more in [&b""[..], b"G", b"P", b"OPTION"] {
        assert_eq!(check(more), Recognised::NeedMore);
    }
    for no in [&b"PRI * HTTP/2.0"[..], b"\0\0\0\x10", b"get /", b"GETX"] {
        assert_eq!(check(no), Recognised::No);
    }
}

#[tokio::test]
async fn health_follows_readiness() {
    let rig = rig();
    assert_eq!(rig.get("/healthz").await.status, StatusCode::OK);
    assert_eq!(rig.get("/readyz").await.status, StatusCode::SERVICE_UNAVAILABLE);
    rig.readiness.set(true);
    assert_eq!(rig.get("/readyz").await.status, StatusCode::OK);
    let metrics = rig.get("/metrics").await;
    assert!(metrics.kind.starts_with("application/openmetrics-text"), "{}", metrics.kind);
    assert!(metrics.text.ends_with("# EOF\n"));
}

#[tokio::test]
async fn a_topic_is_put_shown_listed_and_deleted() {
    let rig = rig();
    let made = rig.put("/api/v1/topics/orders", json!({ "read_queues": 4 })).await;
    assert_eq!(made.status, StatusCode::OK, "{}", made.text);
    assert_eq!(made.json()["name"], "orders");
    assert_eq!((&made.json()["read_queues"], &made.json()["write_queues"]), (&json!(4), &json!(8)));
    let again = rig.put("/api/v1/topics/orders?update=false", json!({})).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    assert!(again.detail().contains("exists already"));
    assert_eq!(rig.get("/api/v1/topics/orders").await.json()["config"]["name"], "orders");
    assert_eq!(rig.get("/api/v1/topics").await.json().as_array().map(Vec::len), Some(1));
    assert_eq!(rig.get("/api/v1/topics?contains=xyz").await.json(), json!([]));
    let by_name = rig.post("/api/v1/operations/topic.list", json!({})).await;
    assert_eq!(by_name.json().as_array().map(Vec::len), Some(1));
    let gone = rig.call(Method::DELETE, "/api/v1/topics/orders", None).await;
    assert_eq!(gone.status, StatusCode::OK, "{}", gone.text);
    let missing = rig.get("/api/v1/topics/orders").await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
    assert_eq!(missing.json()["kind"], "not_found");
}

#[tokio::test]
async fn wrong_requests_hear_why() {
    let rig = rig();
    let list = [
        (rig.get("/api/v1/topics?colour=red").await, 400, "no parameter `colour`"),
        (rig.get("/api/v1/topics?all=perhaps").await, 400, "`true` or `false`"),
        (rig.get("/no/such").await, 404, "there is nothing at /no/such"),
        (rig.post("/api/v1/topics/t", json!({})).await, 405, "does not take POST"),
        (rig.put("/api/v1/topics/t", json!([])).await, 400, "must be a JSON object"),
        (rig.put("/api/v1/topics/t", json!({ "name": "u" })).await, 400, "the path says"),
        (rig.post("/api/v1/operations/no.such", json!({})).await, 404, "no operation `no.such`"),
        (rig.post("/api/v1/topics/t!/messages", json!({ "body": "x" })).await, 400, "outside `%"),
        (rig.post("/api/v1/topics/t/messages", json!({})).await, 400, "needs `body`"),
        (rig.post("/api/v1/topics/t/messages", json!({ "bodi": "x" })).await, 400, "unknown field `bodi`"),
        (rig.post("/api/v1/topics/t/messages", json!({ "body_base64": "?" })).await, 400, "no base64"),
        (
            rig.post("/api/v1/topics/t/messages", json!({ "body": "x", "keys": ["a b"] })).await,
            400,
            "a space",
        ),
        (
            rig.post("/api/v1/topics/t/messages", json!({ "body": "x", "properties": { "KEYS": "a" } }))
                .await,
            400,
            "reserved",
        ),
        (
            rig.post("/api/v1/topics/t/messages", json!({ "body": "x", "tag": "a\u{2}b" })).await,
            400,
            "control character",
        ),
        (rig.post("/api/v1/topics/nowhere/messages", json!({ "body": "x" })).await, 404, "create it first"),
    ];
    for (answer, status, part) in list {
        assert_eq!(answer.status.as_u16(), status, "{}", answer.text);
        assert!(answer.detail().contains(part), "{} lacks {part}", answer.text);
    }
    let form = Request::post("/api/v1/topics/t/messages").header("host", "x").body("body=x".into());
    let answer = rig.send(form.expect("a request")).await;
    assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert!(answer.detail().contains("application/json"));
}

#[tokio::test]
async fn messages_go_there_and_back() {
    let rig = rig();
    rig.put("/api/v1/topics/orders", json!({})).await;
    let message = json!({
        "body": "hello", "tag": "new", "keys": ["k1", "k2"], "properties": { "colour": "red" },
        "message_group": "g",
    });
    let sent = rig.post("/api/v1/topics/orders/messages", message).await;
    assert_eq!(sent.status, StatusCode::OK, "{}", sent.text);
    assert_eq!(sent.json()["messages"][0]["offset"], 0);
    let two = json!({ "queue": 0, "messages": [{ "body": "second" }, { "body_base64": "/w==" }] });
    assert_eq!(rig.post("/api/v1/topics/orders/messages", two).await.json()["messages"][1]["offset"], 2);

    let ask = json!({ "topic": "orders", "max_messages": 8 });
    let received = rig.post("/api/v1/groups/billing/receive", ask).await.json();
    let messages = received["messages"].as_array().expect("a list");
    assert_eq!(messages.len(), 3);
    let first = &messages[0];
    assert_eq!(first["body"], "hello");
    assert_eq!((&first["tag"], &first["keys"]), (&json!("new"), &json!(["k1", "k2"])));
    assert_eq!((&first["properties"], &first["message_group"]), (&json!({ "colour": "red" }), &json!("g")));
    assert_eq!(messages[2]["body_base64"], "/w==");
    assert!(messages[2].get("body").is_none());

    let receipts = json!({ "receipts": [first["receipt"], "nonsense"] });
    let acked = rig.post("/api/v1/groups/billing/ack", receipts.clone()).await.json();
    assert_eq!(acked["results"][0], json!({ "acknowledged": true }));
    assert_eq!(acked["results"][1]["problem"]["kind"], "invalid");
    let acked = rig.post("/api/v1/groups/other/ack", receipts).await.json();
    assert!(
        acked["results"][0]["problem"]["detail"]
            .as_str()
            .expect("a text")
            .contains("belongs to group billing")
    );
}

#[tokio::test]
async fn a_large_body_is_refused() {
    let rig = rig();
    let answer = rig.post("/api/v1/topics/t/messages", json!({ "body": "x".repeat(9 << 20) })).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn the_description_names_every_path_that_is_served() {
    let rig = rig();
    let document = rig.get("/api/v1/openapi.json").await.json();
    let paths = document["paths"].as_object().expect("paths");
    for (path, methods) in paths {
        let concrete = path.replace("{topic}", "t").replace("{group}", "g");
        for method in methods.as_object().expect("methods").keys() {
            let method: Method = method.to_uppercase().parse().expect("a method");
            let answer = rig.call(method.clone(), &concrete, Some(json!({}))).await;
            assert_ne!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{method} {concrete}");
            assert!(!answer.text.contains("there is nothing at"), "{method} {concrete}");
        }
    }
    let put = &paths["/api/v1/topics/{topic}"]["put"];
    let schema = &put["requestBody"]["content"]["application/json"]["schema"]["properties"];
    assert_eq!(schema["read_queues"]["type"], "integer");
    assert_eq!(schema["attributes"]["additionalProperties"], json!({ "type": "string" }));
    let list = &paths["/api/v1/topics"]["get"]["parameters"];
    let names: Vec<&str> =
        list.as_array().expect("a list").iter().filter_map(|p| p["name"].as_str()).collect();
    assert_eq!(names, ["all", "contains"]);
}

#[tokio::test]
async fn a_drain_ends_waiting_receives() {
    let rig = rig();
    rig.put("/api/v1/topics/orders", json!({})).await;
    let ask = json!({ "topic": "orders", "wait_ms": 30_000 });
    let waiting = rig.post("/api/v1/groups/billing/receive", ask);
    let (answer, ()) = tokio::join!(waiting, async {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        rig.drain.request();
    });
    assert_eq!(answer.json(), json!({ "messages": [] }));
}
