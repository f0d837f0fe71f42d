//! Settings that change while a node runs: checked, kept, in force at once, and taken back.

use crate::node::{address, config, get, post, start};

const PUT: &str = "/api/v1/operations/config.put";

async fn shown(rest: std::net::SocketAddr, name: &str) -> String {
    let answer = get(rest, &format!("/api/v1/config?contains={name}")).await;
    answer.split_once("\r\n\r\n").expect("a head and a body").1.to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_in_force_at_once_outlives_a_restart_and_is_taken_back() {
    let dir = tempfile::tempdir().expect("a folder");
    let config = config(&dir);
    let node = start(&config).await;
    let rest = address(&node, "http");
    let legal = r#"{"settings":{"store.retention_ms":7200000,"guard.calls_per_session_max":9}}"#;
    let answer = post(rest, PUT, legal).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("259200000"), "{answer}");
    assert!(shown(rest, "retention_ms").await.contains(r#""value":7200000"#));
    node.stop().await.expect("it stops in order");

    let node = start(&config).await;
    let rest = address(&node, "http");
    assert!(shown(rest, "retention_ms").await.contains(r#""value":7200000"#));
    let kept = std::fs::read_to_string(config.data.dir.join("settings.toml")).expect("it is kept");
    assert!(kept.contains("[store]\nretention_ms = 7200000"), "{kept}");
    let back = post(rest, PUT, r#"{"settings":{"store.retention_ms":null}}"#).await;
    assert!(back.contains(r#""changed":false"#) && back.contains("259200000"), "{back}");
    assert!(get(rest, "/api/v1/config?changed=true").await.contains("calls_per_session_max"));
    node.stop().await.expect("it stops in order");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_does_not_fit_changes_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    let config = config(&dir);
    let node = start(&config).await;
    let rest = address(&node, "http");
    for (settings, part) in [
        (r#"{"store.segment_bytes":16777216}"#, "read at the start only"),
        (r#"{"store.retention":1}"#, "there is no setting `store.retention`"),
        (r#"{"store.disk_refuse_percent":101}"#, "disk_refuse_percent is 101"),
        (r#"{"store.retention_ms":"soon"}"#, "retention_ms"),
        (r#"{"log.filter":"a=b=c"}"#, "is no filter"),
        (
            r#"{"broker.auto_create_topics":false,"guard.calls_per_session_max":0}"#,
            "calls_per_session_max is 0",
        ),
        ("{}", "no setting is named"),
    ] {
        let answer = post(rest, PUT, &format!(r#"{{"settings":{settings}}}"#)).await;
        assert!(answer.starts_with("HTTP/1.1 400") && answer.contains(part), "{settings}: {answer}");
    }
    assert!(get(rest, "/api/v1/config?changed=true").await.ends_with("[]"));
    assert!(!config.data.dir.join("settings.toml").exists());
    node.stop().await.expect("it stops in order");
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_of_connections_count_for_the_next_one() {
    let dir = tempfile::tempdir().expect("a folder");
    let node = start(&config(&dir)).await;
    let rest = address(&node, "http");
    let client = crate::node::connect(address(&node, "broker")).await;
    let message = || remoting::client::Outgoing { body: "x".into(), properties: String::new() };
    client.send("made", 0, message()).await.expect("open");
    let answer = post(rest, PUT, r#"{"settings":{"net.connections_max":1}}"#).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let second = crate::node::connect(address(&node, "broker")).await;
    assert!(second.send("made", 0, message()).await.is_err(), "one too many");
    client.send("made", 0, message()).await.expect("open ones stay");
    node.stop().await.expect("it stops in order");
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_are_made_by_sends_only_while_that_is_allowed() {
    let dir = tempfile::tempdir().expect("a folder");
    let node = start(&config(&dir)).await;
    let rest = address(&node, "http");
    let client = crate::node::connect(address(&node, "broker")).await;
    let message = || remoting::client::Outgoing { body: "x".into(), properties: String::new() };
    post(rest, PUT, r#"{"settings":{"broker.auto_create_topics":false}}"#).await;
    assert!(client.send("made", 0, message()).await.is_err(), "not made by itself");
    post(rest, PUT, r#"{"settings":{"broker.auto_create_topics":null}}"#).await;
    client.send("made", 0, message()).await.expect("made by itself");
    node.stop().await.expect("it stops in order");
}
