//! `apogee trace`: the life of messages as a table.

use anyhow::Result;
use model::admin::{
    LifeInGroup, LifeStep, MessageLife, MessageTrace, MessageTraceGet, MessageTraceRequest, StepSource,
};
use serde_json::json;

use crate::commands::topic::TopicArg;
use crate::http::Server;
use crate::output::{self, Format};

#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The id that the producer was told
    pub message_id: Option<String>,
    /// Topic of the message
    #[arg(long)]
    pub topic: Option<TopicArg>,
    /// One of its keys, instead of its id
    #[arg(long, requires = "topic", conflicts_with = "message_id")]
    pub key: Option<String>,
    /// Stored at or after this (Unix milliseconds), instead of its id
    #[arg(long, requires = "topic")]
    pub from_ms: Option<i64>,
    /// Stored before this (Unix milliseconds)
    #[arg(long, requires = "topic")]
    pub to_ms: Option<i64>,
    /// Most messages that are shown
    #[arg(long, default_value_t = 16)]
    pub max: usize,
    /// How far behind a message the log is looked through
    #[arg(long, value_name = "BYTES")]
    pub look_bytes_max: Option<u64>,
}

pub(crate) async fn run(server: &Server, format: Format, args: Args) -> Result<()> {
    let Args { message_id, topic, key, from_ms, to_ms, max, look_bytes_max } = args;
    let topic = topic.map(|topic| topic.0);
    let request =
        MessageTraceRequest { message_id, topic, key, from_ms, to_ms, max: Some(max), look_bytes_max };
    let trace = server.operate::<MessageTraceGet>(&request).await?;
    match format {
        Format::Json => output::json(&json!(trace)),
        Format::Text => output::line(&shown(&trace)),
    }
    Ok(())
}

fn shown(trace: &MessageTrace) -> String {
    let mut out = String::new();
    for life in &trace.messages {
        out += &message(life);
        out.push('\n');
    }
    let tenths = trace.looked_at_bytes * 10 / (1 << 20);
    let (mib, tenth) = (tenths / 10, tenths % 10);
    let end = if trace.complete {
        "this is all there is"
    } else {
        "later steps may be missing: --look-bytes-max looks further"
    };
    out + &format!("looked at {mib}.{tenth} MiB of the log; {end}")
}

fn message(life: &MessageLife) -> String {
    let place = match life.offset {
        Some(offset) => format!("queue {}, offset {offset}", life.queue),
        None => "in no queue".to_owned(),
    };
    let mut head = format!("{}  {} message of {}, {place}, ", life.message_id, life.kind, life.topic);
    head += &format!("{} bytes", life.size_bytes);
    if !life.keys.is_empty() {
        head += &format!(", keys {}", life.keys.join(" "));
    }
    if let Some(tag) = &life.tag {
        head += &format!(", tag {tag}");
    }
    let steps = life.steps.iter().map(|step| row(life.born_at_ms, step));
    let table = output::table(
        &["AT MS", "AFTER MS", "STEP", "GROUP", "ATTEMPT", "CLIENT", "TOOK MS", "RESULT", "DETAIL"],
        steps,
    );
    let groups: Vec<String> = life.groups.iter().map(group).collect();
    let groups = if groups.is_empty() { String::new() } else { format!("now: {}\n", groups.join(", ")) };
    format!("{head}\n{table}\n{groups}")
}

fn row(born_ms: i64, step: &LifeStep) -> Vec<String> {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let client = match (&step.client_id, &step.client_address) {
        (Some(id), Some(address)) => format!("{id} {address}"),
        (id, address) => text(id) + &text(address),
    };
    let name = match step.source {
        StepSource::Engine => step.step.name().to_owned(),
        StepSource::Client => format!("{} (client)", step.step.name()),
    };
    vec![
        step.at_ms.to_string(),
        format!("+{}", step.at_ms - born_ms),
        name,
        text(&step.group),
        step.attempt.map_or_else(String::new, |attempt| attempt.to_string()),
        client,
        step.took_ms.map_or_else(String::new, |took| took.to_string()),
        text(&step.result),
        text(&step.detail),
    ]
}

fn group(group: &LifeInGroup) -> String {
    use model::admin::GroupState;
    match group.state {
        GroupState::Ahead => format!("{} comes to it after {} others", group.group, group.behind),
        GroupState::InFlight => format!("{} has it in flight", group.group),
        GroupState::Waiting => format!("{} lets it wait behind its message group", group.group),
        GroupState::Done => format!("{} is past it", group.group),
    }
}

#[cfg(test)]
mod tests {
    use model::admin::Step;

    use super::*;

    #[test]
    fn a_life_is_a_table() {
        let delivered = LifeStep {
            at_ms: 130,
            step: Step::Delivered,
            group: Some("g".to_owned()),
            client_id: Some("c".to_owned()),
            client_address: Some("10.0.0.1:5".to_owned()),
            attempt: Some(1),
            took_ms: Some(7),
            result: Some("acked".to_owned()),
            ..LifeStep::default()
        };
        let life = MessageLife {
            topic: "t".to_owned(),
            message_id: "ID".to_owned(),
            kind: "normal".to_owned(),
            offset: Some(3),
            born_at_ms: 100,
            steps: vec![LifeStep { at_ms: 100, step: Step::Produced, ..LifeStep::default() }, delivered],
            ..MessageLife::default()
        };
        let trace = MessageTrace { messages: vec![life], looked_at_bytes: 1 << 19, complete: true };
        let text = shown(&trace);
        assert!(text.starts_with("ID  normal message of t, queue 0, offset 3, 0 bytes"), "{text}");
        let line = text.lines().find(|line| line.contains("delivered")).expect("a line");
        for part in ["130", "+30", "g", "c 10.0.0.1:5", "7", "acked"] {
            assert!(line.contains(part), "{line}");
        }
        assert!(text.ends_with("looked at 0.5 MiB of the log; this is all there is"), "{text}");
    }
}
