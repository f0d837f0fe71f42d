//! `apogee support-bundle`: what others need to see to help, in one JSON file, without secrets.
//!
//! What goes in is listed here: descriptions, settings (secrets masked by the server), names, figures. Messages,
//! users, policies and name-server keys do not.

use std::path::PathBuf;

use anyhow::{Context, Result};
use model::admin::{
    AdminOp, ClientList, ConfigGet, GroupList, HealthList, NodeInfo, QuotaList, RatesList, TopicList,
    TransactionList,
};
use serde_json::{Map, Value, json};

use crate::http::Server;
use crate::output;

/// Operations whose answers go in, with their requests.
fn parts() -> Vec<(&'static str, Value)> {
    vec![
        (NodeInfo::NAME, json!({})),
        (HealthList::NAME, json!({ "limit": 1000 })),
        (ConfigGet::NAME, json!({})),
        (TopicList::NAME, json!({ "all": true })),
        (GroupList::NAME, json!({ "all": true })),
        (ClientList::NAME, json!({})),
        (QuotaList::NAME, json!({})),
        (TransactionList::NAME, json!({})),
        (RatesList::NAME, json!({ "max": 1000 })),
    ]
}

#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// File that is made
    #[arg(long, short, value_name = "FILE", default_value = "apogee-support.json")]
    output: PathBuf,
}

pub(crate) async fn run(server: &Server, args: Args) -> Result<()> {
    let mut bundle = Map::new();
    for (operation, request) in parts() {
        let answer = server.post(&format!("/api/v1/operations/{operation}"), &request).await;
        // What cannot be told is told as such: the rest is worth having.
        let answer = answer.unwrap_or_else(|error| json!({ "error": format!("{error:#}") }));
        bundle.insert(operation.to_owned(), answer);
    }
    let metrics = server.text("/metrics").await;
    bundle.insert("metrics".to_owned(), metrics.unwrap_or_else(|error| format!("{error:#}")).into());
    bundle.insert("tool_version".to_owned(), env!("CARGO_PKG_VERSION").into());
    let text = serde_json::to_string_pretty(&Value::Object(bundle))?;
    let path = args.output.display();
    std::fs::write(&args.output, text).with_context(|| format!("cannot write {path}"))?;
    output::line(&format!(
        "{path} is made: it names topics, groups, clients and addresses; look before you send it"
    ));
    Ok(())
}
