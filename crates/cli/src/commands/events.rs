//! `apogee events`: what happened to the node, and what happens.

use anyhow::Result;
use model::admin::{CloudEvent, EventList, EventListRequest};
use serde_json::json;

use crate::http::Server;
use crate::output::{self, Format};

/// How long one question waits for the next event, in milliseconds.
const WAIT_MS: u64 = 20_000;

#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Only types that are one of these or begin so, separated by commas: `client,topic.created`
    #[arg(long)]
    pub types: Option<String>,
    /// Only what came after the event of this id
    #[arg(long)]
    pub after: Option<String>,
    /// Most events that are shown at first
    #[arg(long, default_value_t = 100)]
    pub max: usize,
    /// Go on with what happens, until stopped
    #[arg(long, short = 'f')]
    pub follow: bool,
}

pub(crate) async fn run(server: &Server, format: Format, args: Args) -> Result<()> {
    let Args { types, after, max, follow } = args;
    let mut request = EventListRequest { types, after, max: Some(max), wait_ms: None };
    loop {
        let page = server.operate::<EventList>(&request).await?;
        match format {
            // A line for each, so that a stream of them can be read.
            Format::Json => page.events.iter().for_each(|event| output::line(&json!(event).to_string())),
            Format::Text => page.events.iter().for_each(|event| output::line(&line(event))),
        }
        let last = page.events.last().map(|event| event.id.clone());
        if !follow {
            return Ok(());
        }
        // Nothing of these types yet: on from the newest of any.
        let newest = request.after.is_none().then(|| page.last_id.unwrap_or_default());
        request.after = last.or(newest).or(request.after);
        request.wait_ms = Some(WAIT_MS);
    }
}

fn line(event: &CloudEvent) -> String {
    let kind = event.kind.strip_prefix("io.apogee.").unwrap_or(&event.kind);
    let subject = event.subject.as_deref().unwrap_or("-");
    format!("{}  {kind:<20} {subject}  {}", event.time, event.data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_a_line() {
        let event = CloudEvent {
            specversion: "1.0".to_owned(),
            id: "1-2".to_owned(),
            source: "/a".to_owned(),
            kind: "io.apogee.topic.deleted".to_owned(),
            subject: Some("t".to_owned()),
            time: "2026-01-01T00:00:00.000Z".to_owned(),
            datacontenttype: "application/json".to_owned(),
            data: json!({ "topic": "t" }),
        };
        let wanted = "2026-01-01T00:00:00.000Z  topic.deleted        t  {\"topic\":\"t\"}";
        assert_eq!(line(&event), wanted);
    }
}
