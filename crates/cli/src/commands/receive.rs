//! `apogee receive`.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use super::group::{self, GroupArg};
use super::topic::TopicArg;
use crate::duration::{self, as_ms};
use crate::http::{Server, is_not_found};
use crate::output::{self, Format};

/// Messages of one request, and how long one may wait.
const BATCH_MAX: u64 = 32;
const WAIT_MS_MAX: i64 = 20_000;

#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    topic: TopicArg,
    /// Consumer group; made if it does not exist
    #[arg(long, short)]
    group: GroupArg,
    /// Stop after so many
    #[arg(long, short = 'n', default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    count: u64,
    /// How long to wait for the next message, as 500ms, 30s, 5m
    #[arg(long, short, default_value = "5s", value_parser = duration::parse)]
    wait: Duration,
    /// Acknowledge what was received; else it comes back when `--invisible` is over
    #[arg(long, short)]
    ack: bool,
    /// How long others of the group do not see what was received
    #[arg(long, default_value = "30s", value_parser = duration::parse)]
    invisible: Duration,
    /// Only messages with one of these tags: `a || b`
    #[arg(long, conflicts_with = "sql")]
    tags: Option<String>,
    /// Only messages whose properties match
    #[arg(long)]
    sql: Option<String>,
}

/// Answers with a failure if nothing came.
pub(crate) async fn run(server: &Server, format: Format, args: Args) -> Result<ExitCode> {
    let mut received = 0;
    let mut patience_ms = as_ms(args.wait);
    while received < args.count {
        let wait_ms = patience_ms.min(WAIT_MS_MAX);
        let messages = once(server, &args, args.count - received, wait_ms).await?;
        if messages.is_empty() {
            patience_ms -= wait_ms;
            if patience_ms <= 0 {
                break;
            }
            continue;
        }
        patience_ms = as_ms(args.wait);
        received += messages.len() as u64;
        messages.iter().for_each(|message| told(format, message));
        if args.ack {
            acknowledge(server, &args.group, &messages).await?;
        }
    }
    if received == 0 && format == Format::Text {
        eprintln!("no message came within {:?}", args.wait);
    }
    Ok(if received == 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

async fn once(server: &Server, args: &Args, wanted: u64, wait_ms: i64) -> Result<Vec<Value>> {
    let path = format!("{}/receive", args.group.path());
    let mut request = json!({
        "topic": args.topic.0,
        "max_messages": wanted.min(BATCH_MAX),
        "wait_ms": wait_ms,
        "invisible_ms": as_ms(args.invisible),
    });
    if let Some(tags) = &args.tags {
        request["tags"] = tags.as_str().into();
    }
    if let Some(sql) = &args.sql {
        request["sql"] = sql.as_str().into();
    }
    let mut answer = server.post(&path, &request).await;
    if let Err(error) = &answer
        && is_not_found(error)
        && server.get(&args.topic.path()).await.is_ok()
        && group::ensure(server, &args.group).await?
    {
        eprintln!("made group {}", args.group.0);
        answer = server.post(&path, &request).await;
    }
    match answer?.get_mut("messages").map(Value::take) {
        Some(Value::Array(messages)) => Ok(messages),
        _ => Ok(Vec::new()),
    }
}

async fn acknowledge(server: &Server, group: &GroupArg, messages: &[Value]) -> Result<()> {
    let receipts: Vec<&Value> = messages.iter().filter_map(|message| message.get("receipt")).collect();
    let answer = server.post(&format!("{}/ack", group.path()), &json!({ "receipts": receipts })).await?;
    for result in answer.get("results").and_then(Value::as_array).into_iter().flatten() {
        if let Some(detail) = result.pointer("/problem/detail").and_then(Value::as_str) {
            eprintln!("not acknowledged: {detail}");
        }
    }
    Ok(())
}

fn told(format: Format, message: &Value) {
    if format == Format::Json {
        output::line(&message.to_string());
        return;
    }
    let text = |name: &str| message.get(name).and_then(Value::as_str).unwrap_or_default();
    let number = |name: &str| message.get(name).and_then(Value::as_u64).unwrap_or_default();
    let mut head = format!("{} queue {} offset {}", text("message_id"), number("queue"), number("offset"));
    if number("attempt") > 1 {
        head += &format!(" attempt {}", number("attempt"));
    }
    if !text("tag").is_empty() {
        head += &format!(" tag {}", text("tag"));
    }
    let keys: Vec<&str> = message
        .get("keys")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    if !keys.is_empty() {
        head += &format!(" keys {}", keys.join(" "));
    }
    for (key, value) in message.get("properties").and_then(Value::as_object).into_iter().flatten() {
        head += &format!(" {key}={}", value.as_str().unwrap_or_default());
    }
    output::line(&head);
    match message.get("body_base64").and_then(Value::as_str) {
        Some(encoded) => output::line(&format!("  (base64) {encoded}")),
        None => text("body").lines().for_each(|line| output::line(&format!("  {line}"))),
    }
}
