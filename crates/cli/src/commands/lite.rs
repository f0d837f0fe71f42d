//! `apogee lite`.

use anyhow::Result;
use clap::Subcommand;
use model::admin::{LiteDelete, LiteGet, LiteList};
use model::lite::{LiteListRequest, LiteTopicRequest, LiteTopicState};
use serde_json::json;

use crate::commands::topic::TopicArg;
use crate::http::Server;
use crate::output::{self, Format};

#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// List the lite topics of a parent topic
    List {
        parent: TopicArg,
        /// Only names that begin with this
        #[arg(long)]
        prefix: Option<String>,
        /// Go on behind the page before: what it named as the next
        #[arg(long)]
        after: Option<String>,
        /// About how many are listed
        #[arg(long, default_value_t = 100)]
        max: u32,
    },
    /// Show a lite topic: offsets and subscribers
    Describe { parent: TopicArg, lite_topic: String },
    /// Delete a lite topic and all progress in it
    Delete { parent: TopicArg, lite_topic: String },
}

pub(crate) async fn run(server: &Server, format: Format, command: Command) -> Result<()> {
    match command {
        Command::List { parent, prefix, after, max } => {
            let request = LiteListRequest { topic: parent.0, prefix, after, limit: Some(max) };
            list(server, format, &request).await
        }
        Command::Describe { parent, lite_topic } => {
            describe(server, format, &LiteTopicRequest { topic: parent.0, lite_topic }).await
        }
        Command::Delete { parent, lite_topic } => {
            let request = LiteTopicRequest { topic: parent.0, lite_topic };
            let answer = server.operate::<LiteDelete>(&request).await?;
            match format {
                Format::Json => output::json(&json!(answer)),
                Format::Text => output::line(&format!("lite topic {} is deleted", request.lite_topic)),
            }
            Ok(())
        }
    }
}

const HEAD: [&str; 4] = ["LITE TOPIC", "MIN", "MAX", "LAST STORED MS"];

fn row(state: LiteTopicState) -> Vec<String> {
    let numbers =
        [state.min_offset.to_string(), state.max_offset.to_string(), state.last_stored_ms.to_string()];
    std::iter::once(state.lite_topic).chain(numbers).collect()
}

async fn list(server: &Server, format: Format, request: &LiteListRequest) -> Result<()> {
    let page = server.operate::<LiteList>(request).await?;
    if format == Format::Json {
        output::json(&json!(page));
        return Ok(());
    }
    output::line(&output::table(&HEAD, page.lite_topics.into_iter().map(row)));
    if let Some(next) = page.next {
        output::line(&format!("there are more: --after {next}"));
    }
    Ok(())
}

async fn describe(server: &Server, format: Format, request: &LiteTopicRequest) -> Result<()> {
    let found = server.operate::<LiteGet>(request).await?;
    if format == Format::Json {
        output::json(&json!(found));
        return Ok(());
    }
    match found.state {
        Some(state) => output::line(&output::table(&HEAD, [row(state)])),
        None => output::line("there is no such lite topic now"),
    }
    let subscribers = found.subscribers.into_iter().map(|s| vec![s.group.to_string(), s.client_id]);
    output::line(&output::table(&["GROUP", "CLIENT"], subscribers));
    Ok(())
}
