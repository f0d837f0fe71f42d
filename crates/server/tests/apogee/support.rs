//! What is made to help others find what is wrong holds what they need, and no secret.

use clap::Parser;
use serde_json::{Value, json};
use server::args::{Args, Command};

use crate::node::{address, config, post, start};

async fn run(words: &[&str]) {
    let args = Args::try_parse_from(words).expect("legal");
    let Some(Command::Tool(tool)) = args.command else { panic!("a tool") };
    cli::run(*tool).await.expect("it is done");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_support_bundle_has_settings_figures_and_no_secret() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut config = config(&dir);
    config.health.webhook_url = "http://127.0.0.1:9/hook-hush".to_owned();
    let node = start(&config).await;
    let rest = address(&node, "http");
    let user = json!({ "user": "ann", "password": "hush-1" }).to_string();
    assert!(post(rest, "/api/v1/operations/user.put", &user).await.starts_with("HTTP/1.1 200"));
    let message = json!({ "body": "hush-2" }).to_string();
    post(
        rest,
        "/api/v1/operations/topic.put",
        r#"{"config":{"name":"orders","read_queues":1,"write_queues":1}}"#,
    )
    .await;
    assert!(post(rest, "/api/v1/topics/orders/messages", &message).await.starts_with("HTTP/1.1 200"));
    let (server, file) = (format!("http://{rest}"), dir.path().join("bundle.json"));
    run(&["apogee", "support-bundle", "--server", &server, "-o", file.to_str().expect("text")]).await;
    run(&["apogee", "top", "--once", "--server", &server]).await;
    run(&["apogee", "health", "--server", &server]).await;
    let text = std::fs::read_to_string(&file).expect("it is made");
    assert!(!text.contains("hush"), "{text}");
    let bundle: Value = serde_json::from_str(&text).expect("JSON");
    for part in ["node.info", "health.list", "config.get", "topic.list", "client.list", "quota.list"] {
        assert!(bundle[part].get("error").is_none() && !bundle[part].is_null(), "{part}: {}", bundle[part]);
    }
    assert!(bundle["metrics"].as_str().is_some_and(|text| text.ends_with("# EOF\n")));
    assert!(bundle["topic.list"].to_string().contains("orders"));
    node.stop().await.expect("it stops in order");
}
