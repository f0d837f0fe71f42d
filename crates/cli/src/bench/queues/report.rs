//! What came out, as a table and as JSON.

use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use super::super::engine::data;
use super::super::tally::Tally;
use crate::output::{self, Format};

/// How long sends took.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct SendTimes {
    pub(super) sent: u64,
    /// Answers that said "busy", after which the message was sent again.
    pub(super) refused: u64,
    pub(super) seconds: f64,
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
    pub(super) p999_ms: f64,
    pub(super) max_ms: f64,
}

impl SendTimes {
    pub(super) fn of(tally: &Tally, refused: u64) -> Self {
        Self {
            sent: tally.counts().0,
            refused,
            seconds: tally.until_last().as_secs_f64(),
            p50_ms: tally.quantile_ms(0.5),
            p99_ms: tally.quantile_ms(0.99),
            p999_ms: tally.quantile_ms(0.999),
            max_ms: tally.quantile_ms(1.0),
        }
    }

    fn text(&self) -> String {
        let Self { sent, refused, seconds, p50_ms, p99_ms, p999_ms, max_ms } = self;
        let busy = if *refused > 0 { format!("; \"busy\" {refused} times") } else { String::new() };
        format!(
            "{sent} in {seconds:.1} s; p50 {p50_ms:.2} ms, p99 {p99_ms:.2}, p99.9 {p999_ms:.2}, max {max_ms:.2}{busy}"
        )
    }
}

/// What a node takes, when nothing happens.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(super) struct Taken {
    pub(super) resident_bytes: u64,
    /// Run files: where the queues stand, and what is known of topics.
    pub(super) runs_bytes: u64,
    /// Where messages are found by their ids.
    pub(super) keys_bytes: u64,
    /// The messages themselves.
    pub(super) log_bytes: u64,
}

impl Taken {
    pub(super) fn of(folder: &Path, resident_kib: u64) -> Self {
        let mut taken = Self { resident_bytes: resident_kib * 1_024, ..Self::default() };
        taken.count(&data(folder));
        taken
    }

    fn count(&mut self, folder: &Path) {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let bytes = entry.metadata().map_or(0, |metadata| metadata.len());
            match path.extension().and_then(|ending| ending.to_str()) {
                _ if path.is_dir() => self.count(&path),
                Some("run") => self.runs_bytes += bytes,
                Some("keys") => self.keys_bytes += bytes,
                _ => self.log_bytes += bytes,
            }
        }
    }
}

/// A restart.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(super) struct Restart {
    /// Until the process had ended.
    pub(super) stop_seconds: f64,
    /// From the start of the process to the first message that it accepts.
    pub(super) serving_seconds: f64,
    /// Queues whose content was read back then and found right.
    pub(super) checked: u64,
    pub(super) checked_seconds: f64,
    /// Once it has settled.
    pub(super) resident_bytes: u64,
}

#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Report {
    pub(super) mode: &'static str,
    pub(super) topics: u32,
    pub(super) queues_per_topic: u32,
    pub(super) lite: bool,
    pub(super) queues: u32,
    pub(super) body_bytes: u32,
    /// Without any queue, just started.
    pub(super) empty: Taken,
    /// After as many messages as there are queues, all in one topic.
    pub(super) warm: Taken,
    pub(super) topics_made_seconds: f64,
    /// A first message for each queue, as fast as answers came.
    pub(super) fill: SendTimes,
    /// All queues with a message each, settled.
    pub(super) idle: Taken,
    pub(super) traffic_rate: u64,
    /// At this rate, to one topic, before there are queues: what this machine gives.
    pub(super) reference: SendTimes,
    /// Another message for each queue, at the same rate.
    pub(super) traffic: SendTimes,
    pub(super) killed: Restart,
    pub(super) stopped: Restart,
    /// After the clean restart.
    pub(super) restarted: Taken,
    pub(super) deleted_seconds: f64,
    /// Sends to another topic while the queues are deleted.
    pub(super) beside: SendTimes,
    pub(super) after: Taken,
    pub(super) per_queue: PerQueue,
}

/// Bytes per queue.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(super) struct PerQueue {
    /// Idle, above the same traffic without the queues.
    pub(super) memory_bytes: f64,
    /// After a clean restart, above an empty node.
    pub(super) memory_restarted_bytes: f64,
    /// Run files of idle queues that have a message each, above those without the queues.
    pub(super) disk_bytes: f64,
}

pub(super) fn seconds(time: Duration) -> f64 {
    time.as_secs_f64()
}

impl Report {
    pub(super) fn fill_per_queue(&mut self) {
        let queues = f64::from(self.queues.max(1));
        let per = |after: u64, before: u64| (after as f64 - before as f64) / queues;
        self.per_queue = PerQueue {
            memory_bytes: per(self.idle.resident_bytes, self.warm.resident_bytes),
            memory_restarted_bytes: per(self.restarted.resident_bytes, self.empty.resident_bytes),
            disk_bytes: per(self.idle.runs_bytes, self.warm.runs_bytes),
        };
    }

    pub(super) fn print(&self, format: Format) {
        match format {
            Format::Json => output::json(&serde_json::to_value(self).unwrap_or_default()),
            Format::Text => output::line(&self.text()),
        }
    }

    fn text(&self) -> String {
        let mib = |bytes: u64| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20));
        let shape = if self.lite {
            format!("{} lite topics of one parent", self.queues)
        } else {
            format!("{} queues: {} topics x {}", self.queues, self.topics, self.queues_per_topic)
        };
        let restart = |r: &Restart| {
            let Restart { stop_seconds, serving_seconds, resident_bytes, checked, checked_seconds } = *r;
            let memory = mib(resident_bytes);
            format!(
                "end {stop_seconds:.2} s, serving {serving_seconds:.2} s after the start; {checked} queues read back in {checked_seconds:.1} s; settled at {memory}"
            )
        };
        let per = &self.per_queue;
        output::pairs(&[
            ("fleet", format!("{shape}, bodies of {} bytes", self.body_bytes)),
            ("topics made", format!("{:.2} s", self.topics_made_seconds)),
            ("first message for each", self.fill.text()),
            (
                "memory per idle queue",
                format!("{:.1} B, {:.1} B after a restart", per.memory_bytes, per.memory_restarted_bytes),
            ),
            ("disk per idle queue", format!("{:.1} B, without messages", per.disk_bytes)),
            (
                "resident",
                format!(
                    "{} empty, {} after as much traffic in one topic, {} with all idle, {} after deletion",
                    mib(self.empty.resident_bytes),
                    mib(self.warm.resident_bytes),
                    mib(self.idle.resident_bytes),
                    mib(self.after.resident_bytes)
                ),
            ),
            (
                "on disk, idle",
                format!(
                    "runs {}, keys {}, log {}; runs after deletion {}",
                    mib(self.idle.runs_bytes),
                    mib(self.idle.keys_bytes),
                    mib(self.idle.log_bytes),
                    mib(self.after.runs_bytes)
                ),
            ),
            ("traffic in one topic", format!("{} a second: {}", self.traffic_rate, self.reference.text())),
            ("traffic in all", format!("{} a second: {}", self.traffic_rate, self.traffic.text())),
            ("killed", restart(&self.killed)),
            ("stopped", restart(&self.stopped)),
            (
                "deleted",
                format!(
                    "{:.2} s; sends to another topic meanwhile: {}",
                    self.deleted_seconds,
                    self.beside.text()
                ),
            ),
        ])
    }
}
