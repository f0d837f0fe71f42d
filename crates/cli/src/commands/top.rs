//! `apogee top`: what a node does now, on one screen.

use std::fmt::Write;

use anyhow::Result;
use model::admin::{
    Empty, HealthList, HealthListRequest, HealthReport, NodeDescription, NodeInfo, RateOf, RatesList,
    RatesListRequest, RatesRow,
};
use serde_json::json;

use super::again;
use crate::http::Server;
use crate::output::{self, Format};

#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Seconds between two screens
    #[arg(long, short, default_value_t = 2)]
    delay: u64,
    /// Rows of each list
    #[arg(long, short = 'n', default_value_t = 10)]
    rows: u32,
    /// Only one screen
    #[arg(long)]
    once: bool,
}

pub(crate) async fn run(server: &Server, format: Format, args: Args) -> Result<()> {
    let busiest = |of| RatesListRequest { of, max: Some(args.rows) };
    again((!args.once).then_some(args.delay), async || {
        let node = server.operate::<NodeInfo>(&Empty {}).await?;
        let sent = server.operate::<RatesList>(&busiest(RateOf::Sent)).await?;
        let received = server.operate::<RatesList>(&busiest(RateOf::Received)).await?;
        let health = HealthListRequest { limit: Some(args.rows), subject: None };
        let health = server.operate::<HealthList>(&health).await?;
        Ok(match format {
            Format::Json => serde_json::to_string_pretty(
                &json!({ "node": node, "sent": sent, "received": received, "health": health }),
            )?,
            Format::Text => screen(&node, &sent, &received, &health),
        })
    })
    .await
}

fn screen(node: &NodeDescription, sent: &[RatesRow], received: &[RatesRow], health: &HealthReport) -> String {
    let used = node.disk_total_bytes.saturating_sub(node.disk_available_bytes);
    let percent = used.saturating_mul(100).checked_div(node.disk_total_bytes).unwrap_or(0);
    let mut out = format!(
        "{} of {}, {}: {} topics, {} groups, disk {percent} % used\n",
        node.broker_name, node.cluster, node.version, node.topics, node.groups
    );
    let (inward, outward) = (&node.sent.messages_per_second, &node.received.messages_per_second);
    let _ = writeln!(
        out,
        "sent {:.0}/s (10 s), {:.0}/s (1 min); received {:.0}/s, {:.0}/s",
        inward.last_10s, inward.last_1m, outward.last_10s, outward.last_1m
    );
    let row = |row: &RatesRow| {
        let group = row.group.as_ref().map(ToString::to_string).unwrap_or_default();
        let (messages, kib) = (row.minute.per_second, row.minute.bytes_per_second / 1024.0);
        vec![row.topic.to_string(), group, format!("{messages:.1}"), format!("{kib:.1}")]
    };
    let head = ["TOPIC", "GROUP", "MESSAGES/S", "KIB/S"];
    let _ = writeln!(out, "\nsent most\n{}", output::table(&head, sent.iter().map(row)));
    let _ = writeln!(out, "\nreceived most\n{}", output::table(&head, received.iter().map(row)));
    out += "\nat risk\n";
    if health.items.is_empty() {
        out += "nothing";
    }
    let risk = health.items.iter().map(|item| {
        let who = format!("{} {}", item.subject.name(), item.name);
        vec![item.score.to_string(), who, item.trouble.name().to_owned(), item.reason.clone()]
    });
    if !health.items.is_empty() {
        out += &output::table(&["SCORE", "WHO", "TROUBLE", "WHY"], risk);
    }
    out
}
