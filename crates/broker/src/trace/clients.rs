//! What 4.x clients tell of their messages: the records of the trace topic (`TraceDataEncoder`).
//!
//! ```text
//! fields end with \u{1}, records with \u{2}; times in ms
//! Pub             ts, region, group, topic, message id, tags, keys, store host, body length, cost,
//!                 message type, offset message id, success [, client host]
//! SubBefore       ts, region, group, request id, message id, retries, keys
//! SubAfter        request id, message id, cost, success, keys, outcome [, ts, group]
//! EndTransaction  ts, region, group, topic, message id, tags, keys, store host, message type,
//!                 transaction id, state, from check
//! Recall          ts, region, group, topic, message id, success
//! ```
//! The trace's own message has the address of the client that wrote it. What the log knows is told by the
//! log; a client adds what only it knows: what its send took, what its application did and how long.

use model::admin::{LifeStep, MessageLife, Step, StepSource};
use model::names::TRACE_TOPIC;
use model::{StoredMessage, TopicName};

use super::look::Look;
use crate::error::Failed;
use crate::limits::TRACE_CLIENT_MESSAGES_MAX;

/// One record that is about the message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Told {
    Sent { group: String, cost_ms: i64, success: bool },
    Began { at_ms: i64, group: String, request: String, retries: u32 },
    Ended { request: String, cost_ms: i64, outcome: &'static str },
    EndedTransaction { at_ms: i64, group: String, state: String, from_check: bool },
    Recalled { at_ms: i64, group: String, success: bool },
}

/// Lays what clients told over the life that the log tells.
pub(super) fn merge(look: &Look, shown: &mut MessageLife) -> Result<(), Failed> {
    let Ok(topic) = TopicName::new(TRACE_TOPIC) else { return Ok(()) };
    if look.state.topic(&topic).is_none() || shown.topic == TRACE_TOPIC {
        return Ok(());
    }
    let traces = look.by_key(&topic, &shown.message_id)?;
    let mut told: Vec<(Told, String)> = Vec::new();
    for anchor in traces.iter().take(TRACE_CLIENT_MESSAGES_MAX) {
        let from = anchor.message.born_host().to_string();
        told.extend(parse(&anchor.message, &shown.message_id).into_iter().map(|told| (told, from.clone())));
    }
    lay_over(shown, &told);
    Ok(())
}

/// The records of a trace message that are about a message.
fn parse(trace: &StoredMessage, id: &str) -> Vec<Told> {
    let body = trace.body();
    let text = String::from_utf8_lossy(&body);
    text.split('\u{2}').filter_map(|record| parse_record(record, id)).collect()
}

fn parse_record(record: &str, id: &str) -> Option<Told> {
    let fields: Vec<&str> = record.split('\u{1}').collect();
    let field = |at: usize| fields.get(at).copied().unwrap_or_default();
    let text = |at: usize| field(at).to_owned();
    let number = |at: usize| field(at).parse::<i64>().unwrap_or(0);
    let is_true = |at: usize| field(at).trim() == "true";
    match field(0) {
        "Pub" if field(5) == id => {
            // Before 4.4 there was no offset message id between the type and the outcome.
            let success = if fields.len() <= 13 { is_true(12) } else { is_true(13) };
            Some(Told::Sent { group: text(3), cost_ms: number(10), success })
        }
        "SubBefore" if field(5) == id => {
            let retries = u32::try_from(number(6)).unwrap_or(0);
            Some(Told::Began { at_ms: number(1), group: text(3), request: text(4), retries })
        }
        "SubAfter" if field(2) == id => {
            let outcome = match (field(6), is_true(4)) {
                ("1", _) => "timed_out",
                ("2", _) => "exception",
                ("3", _) => "returned_null",
                ("4", _) | (_, false) => "failed",
                _ => "success",
            };
            Some(Told::Ended { request: text(1), cost_ms: number(3), outcome })
        }
        "EndTransaction" if field(5) == id => Some(Told::EndedTransaction {
            at_ms: number(1),
            group: text(3),
            state: text(11),
            from_check: is_true(12),
        }),
        "Recall" if field(5) == id => {
            Some(Told::Recalled { at_ms: number(1), group: text(3), success: is_true(6) })
        }
        _ => None,
    }
}

fn lay_over(shown: &mut MessageLife, told: &[(Told, String)]) {
    for (one, from) in told {
        match one {
            Told::Sent { group, cost_ms, success } => {
                let Some(step) = shown.steps.iter_mut().find(|step| step.step == Step::Produced) else {
                    continue;
                };
                step.took_ms = Some(*cost_ms);
                step.group = Some(group.clone());
                step.result = Some(if *success { "success" } else { "failed" }.to_owned());
                step.source = StepSource::Client;
            }
            Told::Began { at_ms, group, request, retries } => {
                let ended = told.iter().find_map(|(other, _)| match other {
                    Told::Ended { request: same, cost_ms, outcome } if same == request => {
                        Some((*cost_ms, *outcome))
                    }
                    _ => None,
                });
                began(shown, (*at_ms, group, *retries), from, ended);
            }
            // Told with its beginning.
            Told::Ended { .. } => {}
            Told::EndedTransaction { at_ms, group, state, from_check } => {
                let how = if *from_check { ", asked for" } else { "" };
                let detail = format!("the producer decided: {state}{how}");
                let decided = |step: &&mut LifeStep| matches!(step.step, Step::Committed | Step::RolledBack);
                if let Some(step) = shown.steps.iter_mut().find(decided) {
                    step.detail = Some(detail);
                    step.group = Some(group.clone());
                    step.client_address = Some(from.clone());
                } else if let Some(step) = state_of(state) {
                    insert(shown, client_step((*at_ms, step), group, from, detail));
                }
            }
            Told::Recalled { at_ms, group, success } => {
                let known = shown.steps.iter().any(|step| step.step == Step::Recalled);
                if !known && *success {
                    insert(
                        shown,
                        client_step((*at_ms, Step::Recalled), group, from, "the producer says so".to_owned()),
                    );
                }
            }
        }
    }
}

fn state_of(state: &str) -> Option<Step> {
    match state {
        "COMMIT_MESSAGE" => Some(Step::Committed),
        "ROLLBACK_MESSAGE" => Some(Step::RolledBack),
        _ => None,
    }
}

fn client_step((at_ms, step): (i64, Step), group: &str, from: &str, detail: String) -> LifeStep {
    LifeStep {
        at_ms,
        step,
        group: Some(group.to_owned()),
        client_address: Some(from.to_owned()),
        detail: Some(detail),
        source: StepSource::Client,
        ..LifeStep::default()
    }
}

/// A client began to work on the message: told to the delivery that the log knows, or as one of its own where
/// the client fetched by itself.
fn began(
    shown: &mut MessageLife,
    (at_ms, group, retries): (i64, &str, u32),
    from: &str,
    ended: Option<(i64, &'static str)>,
) {
    let attempt = retries + 1;
    let same = |step: &&mut LifeStep| {
        step.step == Step::Delivered && step.group.as_deref() == Some(group) && step.attempt == Some(attempt)
    };
    let worked = ended.map(|(cost_ms, outcome)| format!("the client worked {cost_ms} ms: {outcome}"));
    if let Some(step) = shown.steps.iter_mut().find(same) {
        if let Some(worked) = worked {
            let before = step.detail.take().map(|detail| format!("{detail}; ")).unwrap_or_default();
            step.detail = Some(before + &worked);
        }
        return;
    }
    let mut step = client_step((at_ms, Step::Delivered), group, from, worked.unwrap_or_default());
    step.attempt = Some(attempt);
    step.took_ms = ended.map(|(cost_ms, _)| cost_ms);
    step.result = ended.map(|(_, outcome)| outcome.to_owned());
    step.detail = step.detail.filter(|detail| !detail.is_empty());
    insert(shown, step);
}

/// By time; what a group did in one millisecond in the order in which it must have been done. The log has an order of
/// its own, but not of what clients tell.
fn order(step: &LifeStep) -> (i64, u32, u8) {
    let rank = match step.step {
        Step::Retried => 0,
        Step::Delivered => 1,
        Step::Filtered | Step::Extended | Step::Reset => 2,
        Step::Failed | Step::Expired => 3,
        Step::Acked => 4,
        Step::DeadLettered => 5,
        // Done by producers or by the node itself, and told by the log alone.
        _ => return (step.at_ms, 0, 0),
    };
    (step.at_ms, step.attempt.unwrap_or(u32::MAX), rank)
}

/// Behind the steps that are not later.
fn insert(shown: &mut MessageLife, step: LifeStep) {
    let later = shown.steps.iter().skip(1).position(|known| order(known) > order(&step));
    let at = later.map_or(shown.steps.len(), |at| at + 1);
    shown.steps.insert(at, step);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(fields: &[&str]) -> String {
        fields.join("\u{1}")
    }

    #[test]
    fn records_are_understood() {
        let sent = record(&[
            "Pub",
            "100",
            "r",
            "pg",
            "t",
            "ID",
            "tag",
            "k",
            "1.2.3.4:10911",
            "5",
            "7",
            "0",
            "OFF",
            "true",
        ]);
        let told = Told::Sent { group: "pg".to_owned(), cost_ms: 7, success: true };
        assert_eq!(parse_record(&sent, "ID"), Some(told));
        assert_eq!(parse_record(&sent, "other"), None);
        let began = record(&["SubBefore", "110", "r", "cg", "REQ", "ID", "2", "k"]);
        let told = Told::Began { at_ms: 110, group: "cg".to_owned(), request: "REQ".to_owned(), retries: 2 };
        assert_eq!(parse_record(&began, "ID"), Some(told));
        let ended = record(&["SubAfter", "REQ", "ID", "9", "false", "k", "4", "120", "cg"]);
        let told = Told::Ended { request: "REQ".to_owned(), cost_ms: 9, outcome: "failed" };
        assert_eq!(parse_record(&ended, "ID"), Some(told));
        let end = record(&[
            "EndTransaction",
            "1",
            "r",
            "pg",
            "t",
            "ID",
            "",
            "",
            "h",
            "3",
            "TX",
            "COMMIT_MESSAGE",
            "true",
        ]);
        let told = Told::EndedTransaction {
            at_ms: 1,
            group: "pg".to_owned(),
            state: "COMMIT_MESSAGE".to_owned(),
            from_check: true,
        };
        assert_eq!(parse_record(&end, "ID"), Some(told));
        for garbage in ["", "Pub", "SubAfter\u{1}", "\u{1}\u{1}"] {
            assert_eq!(parse_record(garbage, "ID"), None);
        }
    }

    #[test]
    fn clients_add_what_only_they_know() {
        let mut shown = MessageLife {
            steps: vec![
                LifeStep { at_ms: 100, step: Step::Produced, ..LifeStep::default() },
                LifeStep { at_ms: 101, step: Step::Stored, ..LifeStep::default() },
                LifeStep { at_ms: 130, step: Step::Acked, ..LifeStep::default() },
            ],
            ..MessageLife::default()
        };
        let from = "10.0.0.1:5000".to_owned();
        let told = [
            (Told::Sent { group: "pg".to_owned(), cost_ms: 7, success: true }, from.clone()),
            (
                Told::Began { at_ms: 110, group: "cg".to_owned(), request: "R".to_owned(), retries: 0 },
                from.clone(),
            ),
            (Told::Ended { request: "R".to_owned(), cost_ms: 9, outcome: "success" }, from),
        ];
        lay_over(&mut shown, &told);
        let steps: Vec<_> = shown.steps.iter().map(|step| (step.step, step.took_ms)).collect();
        let wanted = [
            (Step::Produced, Some(7)),
            (Step::Stored, None),
            (Step::Delivered, Some(9)),
            (Step::Acked, None),
        ];
        assert_eq!(steps, wanted);
        let delivered = shown.steps.get(2).expect("delivered");
        assert_eq!(delivered.client_address.as_deref(), Some("10.0.0.1:5000"));
        assert_eq!((delivered.result.as_deref(), delivered.attempt), (Some("success"), Some(1)));
        assert_eq!(delivered.source, StepSource::Client);
    }

    #[test]
    fn what_clients_tell_of_one_millisecond_stands_in_the_order_of_its_causes() {
        let step = |step, attempt| LifeStep { at_ms: 7, step, attempt, ..LifeStep::default() };
        let caused = [
            step(Step::Produced, None),
            step(Step::HalfStored, None),
            step(Step::Committed, None),
            step(Step::Stored, None),
            step(Step::Delivered, Some(1)),
            step(Step::Failed, Some(1)),
            step(Step::Retried, Some(2)),
            step(Step::Delivered, Some(2)),
            step(Step::Acked, None),
        ];
        let (told, logged): (Vec<_>, Vec<_>) =
            caused.iter().cloned().partition(|step| step.step == Step::Delivered);
        for told in [told.clone(), told.into_iter().rev().collect()] {
            let mut shown = MessageLife { steps: logged.clone(), ..MessageLife::default() };
            told.into_iter().for_each(|step| insert(&mut shown, step));
            let names: Vec<_> = shown.steps.iter().map(|step| (step.step, step.attempt)).collect();
            assert_eq!(names, caused.clone().map(|step| (step.step, step.attempt)));
        }
    }
}
