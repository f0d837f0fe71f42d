//! `apogee transaction`.

use anyhow::Result;
use clap::Subcommand;
use model::admin::{
    DecidedOutcome, TransactionDescription, TransactionEnd, TransactionEndRequest, TransactionList,
    TransactionListRequest,
};
use serde_json::json;

use crate::commands::group::GroupArg;
use crate::commands::topic::TopicArg;
use crate::http::Server;
use crate::output::{self, Format};

#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// List undecided transactions, oldest first
    List {
        /// Only those of this topic
        #[arg(long)]
        topic: Option<TopicArg>,
        /// Only those of this producer group
        #[arg(long)]
        group: Option<GroupArg>,
        /// Only those behind this position
        #[arg(long)]
        after: Option<u64>,
        /// Most that are listed
        #[arg(long, default_value_t = 100)]
        max: u32,
    },
    /// Make the message of a transaction visible
    Commit {
        /// Position of the half message, as the list shows it
        position: u64,
    },
    /// Drop the message of a transaction
    Rollback {
        /// Position of the half message, as the list shows it
        position: u64,
    },
}

pub(crate) async fn run(server: &Server, format: Format, command: Command) -> Result<()> {
    match command {
        Command::List { topic, group, after, max } => {
            let (topic, group) = (topic.map(|topic| topic.0), group.map(|group| group.0));
            let request = TransactionListRequest { topic, group, after, max: Some(max) };
            list(server, format, &request).await
        }
        Command::Commit { position } => end(server, format, position, DecidedOutcome::Commit).await,
        Command::Rollback { position } => end(server, format, position, DecidedOutcome::Rollback).await,
    }
}

async fn list(server: &Server, format: Format, request: &TransactionListRequest) -> Result<()> {
    let transactions = server.operate::<TransactionList>(request).await?;
    if format == Format::Json {
        output::json(&json!(transactions));
        return Ok(());
    }
    let row = |t: TransactionDescription| {
        vec![
            t.position.to_string(),
            t.topic,
            t.queue.to_string(),
            t.producer_group.to_string(),
            t.message_id,
            t.stored_ms.to_string(),
            t.checks.to_string(),
        ]
    };
    let head = ["POSITION", "TOPIC", "QUEUE", "PRODUCERS", "MESSAGE", "STORED MS", "CHECKS"];
    output::line(&output::table(&head, transactions.into_iter().map(row)));
    Ok(())
}

async fn end(server: &Server, format: Format, position: u64, outcome: DecidedOutcome) -> Result<()> {
    let answer = server.operate::<TransactionEnd>(&TransactionEndRequest { position, outcome }).await?;
    match format {
        Format::Json => output::json(&json!(answer)),
        Format::Text => {
            let done = match outcome {
                DecidedOutcome::Commit => "committed",
                DecidedOutcome::Rollback => "rolled back",
            };
            output::line(&format!("the transaction at {position} is {done}"));
        }
    }
    Ok(())
}
