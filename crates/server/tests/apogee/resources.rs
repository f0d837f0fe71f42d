//! Operations at paths of their own: what the path, the query and the body of a request become.

use std::net::SocketAddr;

use crate::node::{address, config, get, http, post, start};

const POLICIES: &str =
    r#"[{"kind":"Custom","entries":[{"resource":"Topic:u","actions":["Pub"],"decision":"Allow"}]}]"#;

async fn send(rest: SocketAddr, method: &str, path: &str, body: &str) -> String {
    let len = body.len();
    let head =
        format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len}\r\n\r\n");
    http(rest, &(head + body)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn path_query_and_body_make_one_request() {
    let dir = tempfile::tempdir().expect("a folder");
    let node = start(&config(&dir)).await;
    let rest = address(&node, "http");
    for (method, path, body, part) in [
        ("PUT", "/api/v1/topics/t", r#"{"read_queues":2,"write_queues":2}"#, r#""read_queues":2"#),
        ("PUT", "/api/v1/groups/g", "{}", r#""name":"g""#),
        ("POST", "/api/v1/groups/g/reset", r#"{"topic":"t","to":"first"}"#, r#""queue":1"#),
        ("PUT", "/api/v1/groups/h", "", r#""name":"h""#),
        ("POST", "/api/v1/groups/h/clone-offsets", r#"{"from":"g"}"#, "["),
        ("PUT", "/api/v1/quotas/topic/t", r#"{"send_messages_per_s":5}"#, r#""send_messages_per_s":5"#),
        ("GET", "/api/v1/quotas/topic/t", "", r#""name":"t""#),
        ("PUT", "/api/v1/users/u", r#"{"password":"secret-1"}"#, "{}"),
        ("PUT", "/api/v1/users/u/policies", POLICIES, "{}"),
        ("GET", "/api/v1/users/u/policies/explain?resource=Topic:t&action=Pub", "", r#""allowed":false"#),
        ("GET", "/api/v1/lite", "", r#""lite_topics":0"#),
    ] {
        let answer = send(rest, method, path, body).await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains(part), "{method} {path}: {answer}");
    }
    node.stop().await.expect("it stops in order");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_a_path_is_told() {
    let dir = tempfile::tempdir().expect("a folder");
    let node = start(&config(&dir)).await;
    let rest = address(&node, "http");
    for (method, path, body, part) in [
        (
            "PUT",
            "/api/v1/topics/t",
            r#"{"name":"other"}"#,
            r#"the path says \"t\", the body `name` says \"other\""#,
        ),
        ("PUT", "/api/v1/quotas/topic/t", r#"{"scope":"user"}"#, r#"the body `scope` says \"user\""#),
        ("PUT", "/api/v1/quotas/topic/t", "[]", "the body must be a JSON object"),
        ("POST", "/api/v1/transactions/seven/end", r#"{"outcome":"commit"}"#, "`position` is `seven`"),
        ("GET", "/api/v1/users/u/policies/explain?action=Pub", "", "missing field `resource`"),
        ("POST", "/api/v1/groups/g/reset?topic=t", r#"{"to":"first"}"#, "there is no parameter `topic` here"),
    ] {
        let answer = send(rest, method, path, body).await;
        assert!(answer.starts_with("HTTP/1.1 400") && answer.contains(part), "{method} {path}: {answer}");
    }
    let answer = get(rest, "/api/v1/rates?of=received").await;
    assert!(answer.contains("a count of what was received"), "{answer}");
    node.stop().await.expect("it stops in order");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_catalogue_tells_where_each_operation_is() {
    let dir = tempfile::tempdir().expect("a folder");
    let node = start(&config(&dir)).await;
    let rest = address(&node, "http");
    let list = get(rest, "/api/v1/operations").await;
    assert!(list.contains(r#""method":"PUT","name":"topic.put","path":"/api/v1/topics/{topic}""#), "{list}");
    assert!(post(rest, "/api/v1/topics", "").await.starts_with("HTTP/1.1 405"), "only listed there");
    node.stop().await.expect("it stops in order");
}
