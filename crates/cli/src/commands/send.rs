//! `apogee send`.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use clap::ArgGroup;
use serde::Serialize;
use serde_json::{Value, json};

use super::pair;
use super::topic::TopicArg;
use crate::duration::{self, as_ms};
use crate::http::Server;
use crate::output::{self, Format};

/// Messages of one request: the server takes more, but bodies add up.
const BATCH_MAX: u64 = 64;
const BATCH_BYTES_MAX: u64 = 1024 * 1024;

#[derive(Debug, Clone, clap::Args)]
#[command(group = ArgGroup::new("content").args(["body", "file"]))]
pub struct Args {
    topic: TopicArg,
    /// Body; without this and `--file` it is read from the standard input
    #[arg(long, short)]
    body: Option<String>,
    /// File whose content is the body
    #[arg(long, short, value_name = "FILE")]
    file: Option<PathBuf>,
    #[arg(long, short)]
    tag: Option<String>,
    /// Key by which the message can be found, may be repeated
    #[arg(long = "key", short)]
    keys: Vec<String>,
    /// Property `key=value`, may be repeated
    #[arg(long = "property", short, value_name = "KEY=VALUE", value_parser = pair)]
    properties: Vec<(String, String)>,
    /// Messages of one message group are kept in order (topics of type fifo)
    #[arg(long)]
    message_group: Option<String>,
    /// Deliver so much later, as 30s (topics of type delay)
    #[arg(long, value_parser = duration::parse)]
    delay: Option<Duration>,
    /// 0 to 9 (topics of type priority)
    #[arg(long)]
    priority: Option<u8>,
    /// Send to this lite topic (topics of type lite)
    #[arg(long)]
    lite_topic: Option<String>,
    /// Send to this queue
    #[arg(long)]
    queue: Option<u32>,
    /// Send so many, all alike
    #[arg(long, short = 'n', default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    count: u64,
}

#[derive(Debug, Clone, Serialize)]
struct Message {
    #[serde(flatten)]
    body: Body,
    #[serde(skip_serializing_if = "Option::is_none")]
    tag: Option<String>,
    keys: Vec<String>,
    properties: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_group: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delay_ms: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    priority: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lite_topic: Option<String>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case")]
enum Body {
    Body(String),
    BodyBase64(String),
}

impl Args {
    fn content(&self) -> Result<Vec<u8>> {
        match (&self.body, &self.file) {
            (Some(text), _) => Ok(text.clone().into_bytes()),
            (None, Some(path)) => {
                std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
            }
            (None, None) => {
                let mut bytes = Vec::new();
                std::io::stdin().read_to_end(&mut bytes).context("cannot read the standard input")?;
                Ok(bytes)
            }
        }
    }

    fn message(self, content: Vec<u8>) -> Message {
        Message {
            body: match String::from_utf8(content) {
                Ok(text) => Body::Body(text),
                Err(error) => Body::BodyBase64(BASE64.encode(error.as_bytes())),
            },
            tag: self.tag,
            keys: self.keys,
            properties: self.properties.into_iter().collect(),
            message_group: self.message_group,
            delay_ms: self.delay.map(as_ms),
            priority: self.priority,
            lite_topic: self.lite_topic,
        }
    }
}

pub(crate) async fn run(server: &Server, format: Format, args: Args) -> Result<()> {
    let content = args.content()?;
    let path = format!("{}/messages", args.topic.path());
    let (count, queue, timed) = (args.count, args.queue, args.delay.is_some());
    let per_request =
        if timed { 1 } else { (BATCH_BYTES_MAX / (content.len() as u64 + 1)).clamp(1, BATCH_MAX) };
    let message = args.message(content);
    let mut sent = 0;
    while sent < count {
        let now = per_request.min(count - sent);
        let messages: Vec<&Message> = (0..now).map(|_| &message).collect();
        let answer = server.post(&path, &json!({ "queue": queue, "messages": messages })).await?;
        for entry in answer.get("messages").and_then(Value::as_array).into_iter().flatten() {
            told(format, entry);
        }
        sent += now;
    }
    Ok(())
}

fn told(format: Format, entry: &Value) {
    match format {
        Format::Json => output::line(&entry.to_string()),
        Format::Text => {
            let field = |name: &str| entry.get(name).map(|v| v.to_string().trim_matches('"').to_owned());
            let field = |name: &str| field(name).unwrap_or_default();
            output::line(&format!(
                "{} queue {} offset {}",
                field("message_id"),
                field("queue"),
                field("offset")
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_json_is_what_the_server_takes() {
        let args = Args {
            topic: "t".parse().expect("a legal name"),
            body: None,
            file: None,
            tag: Some("a".to_owned()),
            keys: vec!["k".to_owned()],
            properties: vec![("x".to_owned(), "1".to_owned())],
            message_group: None,
            delay: Some(Duration::from_secs(3)),
            priority: None,
            lite_topic: None,
            queue: None,
            count: 1,
        };
        let text = serde_json::to_value(args.clone().message(b"hi".to_vec())).expect("JSON");
        let expected =
            json!({ "body": "hi", "tag": "a", "keys": ["k"], "properties": { "x": "1" }, "delay_ms": 3_000 });
        assert_eq!(text, expected);
        let bytes = serde_json::to_value(args.message(vec![0xFF])).expect("JSON");
        assert_eq!(bytes["body_base64"], "/w==");
    }
}
