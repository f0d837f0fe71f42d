//! What came out.

use std::time::Duration;

use serde::Serialize;

use super::super::tally::Tally;
use crate::output::{self, Format};

#[derive(Debug, Clone, Serialize)]
pub(super) struct Report {
    pub(super) mode: &'static str,
    pub(super) protocol: &'static str,
    pub(super) connections: u32,
    pub(super) in_flight: u32,
    pub(super) size: u32,
    pub(super) batch: u32,
    pub(super) days: u64,
    pub(super) scheduled: Scheduled,
    pub(super) pending: Pending,
    pub(super) killed: Restart,
    pub(super) stopped: Restart,
    pub(super) burst_scheduled: Scheduled,
    pub(super) burst: Fired,
}

/// Messages that were scheduled.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Scheduled {
    pub(super) messages: u64,
    pub(super) seconds: f64,
    pub(super) per_second: f64,
    /// Of the server, for a million.
    pub(super) cpu_seconds_per_million: f64,
    /// Of a request, from send to stored.
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
    pub(super) p999_ms: f64,
}

impl Scheduled {
    pub(super) fn of(messages: u64, seconds: f64, cpu: Duration, tally: &Tally) -> Self {
        Self {
            messages,
            seconds,
            per_second: messages as f64 / seconds.max(1e-9),
            cpu_seconds_per_million: cpu.as_secs_f64() * 1e6 / messages.max(1) as f64,
            p50_ms: tally.quantile_ms(0.5),
            p99_ms: tally.quantile_ms(0.99),
            p999_ms: tally.quantile_ms(0.999),
        }
    }

    fn text(&self) -> String {
        format!(
            "{} in {:.1} s: {:.0}/s, {:.2} CPU-s per million; a request p50 {:.1} ms, p99 {:.1}, p99.9 {:.1}",
            self.messages,
            self.seconds,
            self.per_second,
            self.cpu_seconds_per_million,
            self.p50_ms,
            self.p99_ms,
            self.p999_ms
        )
    }
}

/// What the waiting ones take, once the server has nothing to do.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Pending {
    pub(super) messages: u64,
    pub(super) resident_bytes: u64,
    pub(super) memory_bytes_each: f64,
    pub(super) disk_bytes_each: f64,
}

impl Pending {
    pub(super) fn of(messages: u64, resident_bytes: u64, memory: u64, disk: u64) -> Self {
        let each = |bytes: u64| bytes as f64 / messages.max(1) as f64;
        Self { messages, resident_bytes, memory_bytes_each: each(memory), disk_bytes_each: each(disk) }
    }
}

/// After an end, with all of them waiting.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Restart {
    /// Until the first message is accepted.
    pub(super) seconds: f64,
    pub(super) resident_bytes: u64,
}

impl Restart {
    fn text(&self) -> String {
        format!(
            "{:.2} s to the first message, then {:.0} MiB resident",
            self.seconds,
            mib(self.resident_bytes)
        )
    }
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct Fired {
    pub(super) messages: u64,
    pub(super) received: u64,
    pub(super) missing: u64,
    pub(super) repeated: u64,
    pub(super) early: u64,
    pub(super) failed_requests: u64,
    /// Of the server, from before the burst until all are received and settled.
    pub(super) cpu_seconds: f64,
    /// From due to stored in its queue.
    pub(super) late_in_log_ms: Lateness,
    /// From due to received.
    pub(super) late_at_consumer_ms: Lateness,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct Lateness {
    p50: f64,
    p99: f64,
    p999: f64,
    max: f64,
}

impl Lateness {
    pub(super) fn of(tally: &Tally) -> Self {
        let at = |share: f64| tally.quantile_ms(share);
        Self { p50: at(0.5), p99: at(0.99), p999: at(0.999), max: at(1.0) }
    }

    fn text(&self) -> String {
        let Self { p50, p99, p999, max } = self;
        format!("p50 {p50:.1} ms, p99 {p99:.1}, p99.9 {p999:.1}, max {max:.1}")
    }
}

impl Report {
    pub(super) fn print(&self, format: Format) {
        match format {
            Format::Json => output::json(&serde_json::to_value(self).unwrap_or_default()),
            Format::Text => output::line(&self.text()),
        }
    }

    fn text(&self) -> String {
        let Self { pending, killed, stopped, burst, .. } = self;
        output::pairs(&[
            (
                "run",
                format!(
                    "timers over {}, {} connections x {} in flight, {} bytes, batches of {}, {} days",
                    self.protocol, self.connections, self.in_flight, self.size, self.batch, self.days
                ),
            ),
            ("scheduled", self.scheduled.text()),
            (
                "each that waits",
                format!(
                    "{:.1} B memory, {:.0} B disk ({:.0} MiB resident in all)",
                    pending.memory_bytes_each,
                    pending.disk_bytes_each,
                    mib(pending.resident_bytes)
                ),
            ),
            ("killed and restarted", killed.text()),
            ("stopped and restarted", stopped.text()),
            ("burst scheduled", self.burst_scheduled.text()),
            (
                "burst",
                format!(
                    "{} of {} received, {} repeated, {} early, {} requests failed, {:.1} CPU-s",
                    burst.received,
                    burst.messages,
                    burst.repeated,
                    burst.early,
                    burst.failed_requests,
                    burst.cpu_seconds
                ),
            ),
            ("late in the log", burst.late_in_log_ms.text()),
            ("late at the consumer", burst.late_at_consumer_ms.text()),
        ])
    }
}
