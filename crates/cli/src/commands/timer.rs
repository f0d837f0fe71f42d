//! `apogee timer`.

use anyhow::Result;
use clap::Subcommand;
use model::admin::{TimerDelete, TimerDeleteRequest, TimerDescription, TimerList, TimerListRequest};
use serde_json::json;

use crate::commands::topic::TopicArg;
use crate::http::Server;
use crate::output::{self, Format};

#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// List timed messages of a topic that wait, by due time
    List {
        topic: TopicArg,
        /// Only what is due at or after this (Unix milliseconds)
        #[arg(long)]
        from_ms: Option<i64>,
        /// Only what is due before this (Unix milliseconds)
        #[arg(long)]
        to_ms: Option<i64>,
        /// Go on behind the page before: what it named as the next
        #[arg(long)]
        after: Option<String>,
        /// Most that are listed
        #[arg(long, default_value_t = 100)]
        max: usize,
    },
    /// Cancel a timed message that waits, also a recurring one
    Delete { topic: TopicArg, message_id: String },
}

pub(crate) async fn run(server: &Server, format: Format, command: Command) -> Result<()> {
    match command {
        Command::List { topic, from_ms, to_ms, after, max } => {
            let request = TimerListRequest { topic: topic.0, from_ms, to_ms, max: Some(max), after };
            list(server, format, &request).await
        }
        Command::Delete { topic, message_id } => {
            delete(server, format, &TimerDeleteRequest { topic: topic.0, message_id }).await
        }
    }
}

async fn list(server: &Server, format: Format, request: &TimerListRequest) -> Result<()> {
    let page = server.operate::<TimerList>(request).await?;
    if format == Format::Json {
        output::json(&json!(page));
        return Ok(());
    }
    let row = |t: TimerDescription| {
        vec![
            t.due_ms.to_string(),
            t.message_id,
            t.queue.to_string(),
            t.keys,
            t.tags,
            t.body_bytes.to_string(),
            t.cron.unwrap_or_default(),
            t.fired_times.to_string(),
        ]
    };
    let head = ["DUE MS", "MESSAGE", "QUEUE", "KEYS", "TAGS", "BYTES", "CRON", "FIRED"];
    output::line(&output::table(&head, page.timers.into_iter().map(row)));
    if let Some(next) = page.next {
        output::line(&format!("there are more: --after {next}"));
    }
    Ok(())
}

async fn delete(server: &Server, format: Format, request: &TimerDeleteRequest) -> Result<()> {
    let answer = server.operate::<TimerDelete>(request).await?;
    match format {
        Format::Json => output::json(&json!(answer)),
        Format::Text => output::line(&format!("{} cancelled", answer.cancelled)),
    }
    Ok(())
}
