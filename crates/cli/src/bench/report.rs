//! What came out of a run.

use serde::Serialize;

use super::{Mode, Run};
use crate::output::{self, Format};

#[derive(Debug, Clone, Serialize)]
pub(crate) struct Report {
    mode: &'static str,
    protocol: &'static str,
    connections: u32,
    in_flight: u32,
    size: u32,
    batch: u32,
    sent: u64,
    received: u64,
    failed_requests: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_error: Option<String>,
    seconds: f64,
    messages_per_second: f64,
    mib_per_second: f64,
    /// Of a message from send to stored (send) or to receipt (end to end), or of a receive request (drain).
    latency_ms: Latency,
}

#[derive(Debug, Clone, Serialize)]
struct Latency {
    mean: f64,
    p50: f64,
    p90: f64,
    p99: f64,
    p999: f64,
    max: f64,
}

impl Report {
    pub(crate) fn of(run: &Run) -> Self {
        let (sent, received, failed_requests) = run.tally.counts();
        let seconds = run.tally.until_last().as_secs_f64();
        let moved = if run.args.mode == Mode::Send { sent } else { received };
        let messages_per_second = if seconds > 0.0 { moved as f64 / seconds } else { 0.0 };
        let latency = |share: f64| run.tally.quantile_ms(share);
        Self {
            mode: match run.args.mode {
                Mode::Send => "send",
                Mode::Drain => "drain",
                Mode::Endtoend => "endtoend",
                Mode::Start => "start",
                Mode::Timers => "timers",
                Mode::Queues => "queues",
            },
            protocol: run.args.protocol.name(),
            connections: run.args.connections,
            in_flight: run.args.in_flight,
            size: run.args.size,
            batch: run.args.batch,
            sent,
            received,
            failed_requests,
            first_error: run.tally.first_error(),
            seconds,
            messages_per_second,
            mib_per_second: messages_per_second * f64::from(run.args.size) / f64::from(1 << 20),
            latency_ms: Latency {
                mean: run.tally.mean_ms(),
                p50: latency(0.5),
                p90: latency(0.9),
                p99: latency(0.99),
                p999: latency(0.999),
                max: latency(1.0),
            },
        }
    }

    pub(crate) fn print(&self, format: Format) {
        match format {
            Format::Json => output::json(&serde_json::to_value(self).unwrap_or_default()),
            Format::Text => output::line(&self.text()),
        }
    }

    fn text(&self) -> String {
        let l = &self.latency_ms;
        let mut pairs = vec![
            (
                "run",
                format!(
                    "{} over {}, {} connections x {} in flight, {} bytes, batches of {}",
                    self.mode, self.protocol, self.connections, self.in_flight, self.size, self.batch
                ),
            ),
            ("messages", format!("{} sent, {} received, in {:.2} s", self.sent, self.received, self.seconds)),
            (
                "throughput",
                format!("{:.0} messages/s, {:.1} MiB/s", self.messages_per_second, self.mib_per_second),
            ),
            (
                self.what_is_timed(),
                format!(
                    "mean {:.2} ms, p50 {:.2}, p90 {:.2}, p99 {:.2}, p99.9 {:.2}, max {:.2}",
                    l.mean, l.p50, l.p90, l.p99, l.p999, l.max
                ),
            ),
        ];
        if self.failed_requests > 0 {
            let example = self.first_error.as_deref().unwrap_or_default();
            pairs.push(("failed", format!("{} requests, the first: {example}", self.failed_requests)));
        }
        output::pairs(&pairs)
    }

    fn what_is_timed(&self) -> &'static str {
        match self.mode {
            "send" => "until stored",
            "drain" => "a receive",
            _ => "until received",
        }
    }
}
