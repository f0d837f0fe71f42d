//! The node's last hour, a point every five seconds: what the console draws. Soft: it begins anew with the
//! node.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use model::admin::{History, HistoryPoint, RateOf};
use model::latency::{Latencies, LatencyCounts, percentile_us};
use parking_lot::Mutex;

use crate::broker::Broker;
use crate::limits::{HISTORY_INTERVAL_MS, HISTORY_POINTS_MAX};
use crate::rates::Count;

/// What was counted at one time.
#[derive(Debug, Clone, Copy)]
struct Reading {
    at: Duration,
    sent: Count,
    received: Count,
    sent_back: Count,
    sends: LatencyCounts,
    log_end: u64,
}

/// Points, oldest first, and what sends add their times to.
#[derive(Debug, Default)]
pub(crate) struct Hour {
    points: Mutex<VecDeque<HistoryPoint>>,
    pub(crate) sends: Arc<Latencies>,
}

impl Hour {
    fn push(&self, point: HistoryPoint) {
        let mut points = self.points.lock();
        if points.len() >= HISTORY_POINTS_MAX {
            points.pop_front();
        }
        points.push_back(point);
    }

    pub(crate) fn after(&self, after_ms: i64) -> History {
        let points = self.points.lock();
        let points = points.iter().filter(|point| point.at_ms > after_ms).copied().collect();
        History { interval_ms: HISTORY_INTERVAL_MS, points }
    }
}

fn point(before: &Reading, after: &Reading, at_ms: i64, disk_available_bytes: u64) -> HistoryPoint {
    let seconds = after.at.saturating_sub(before.at).as_secs_f64().max(0.001);
    #[expect(clippy::cast_precision_loss, reason = "a rate need not be exact")]
    let per_second = |amount: u64| amount as f64 / seconds;
    let [sent, received, sent_back] = [
        after.sent.since(before.sent),
        after.received.since(before.received),
        after.sent_back.since(before.sent_back),
    ];
    HistoryPoint {
        at_ms,
        sent_per_second: per_second(sent.messages),
        received_per_second: per_second(received.messages),
        sent_back_per_second: per_second(sent_back.messages),
        sent_bytes_per_second: per_second(sent.bytes),
        received_bytes_per_second: per_second(received.bytes),
        send_p50_us: percentile_us(&before.sends, &after.sends, 50),
        send_p99_us: percentile_us(&before.sends, &after.sends, 99),
        log_bytes: after.log_end.saturating_sub(before.log_end),
        disk_available_bytes,
    }
}

impl Broker {
    fn reading(&self) -> Reading {
        let [sent, received, sent_back] = self.totals([RateOf::Sent, RateOf::Received, RateOf::SentBack]);
        Reading {
            at: self.doors.clock.monotonic(),
            sent,
            received,
            sent_back,
            sends: self.hour.sends.read(),
            log_end: self.log.end().get(),
        }
    }

    /// What sends add their times to.
    #[must_use]
    pub fn send_latencies(&self) -> &Arc<Latencies> {
        &self.hour.sends
    }

    pub(crate) fn start_hour(self: &Arc<Self>) {
        let broker = Arc::downgrade(self);
        let clock = Arc::clone(&self.doors.clock);
        let mut before = self.reading();
        let sampling = async move {
            loop {
                clock.sleep(Duration::from_millis(HISTORY_INTERVAL_MS)).await;
                let Some(broker) = broker.upgrade() else { return };
                let after = broker.reading();
                let space = broker.doors.disk.space(&broker.dir);
                let available = space.map_or(0, |space| space.available_bytes);
                broker.hour.push(point(&before, &after, broker.now_ms(), available));
                before = after;
            }
        };
        self.doors.spawn.spawn("broker-hour", Box::pin(sampling));
    }
}

#[cfg(test)]
mod tests {
    use model::latency::BUCKETS;

    use super::*;

    fn reading(seconds: u64, messages: u64) -> Reading {
        let count = Count { calls: messages, messages, bytes: 100 * messages };
        let mut sends = [0; BUCKETS];
        sends[0] = messages;
        let at = Duration::from_secs(seconds);
        Reading { at, sent: count, received: count, sent_back: count, sends, log_end: 1_000 * messages }
    }

    #[test]
    fn a_point_is_what_passed_since_the_one_before() {
        let point = point(&reading(10, 100), &reading(15, 150), 7, 9);
        assert!((point.sent_per_second - 10.0).abs() < 1e-9);
        assert!((point.received_bytes_per_second - 1_000.0).abs() < 1e-9);
        assert_eq!((point.at_ms, point.log_bytes, point.disk_available_bytes), (7, 50_000, 9));
        assert_eq!(point.send_p99_us, 1);
    }

    #[test]
    fn an_hour_is_kept() {
        let hour = Hour::default();
        for at_ms in 0..HISTORY_POINTS_MAX as i64 + 5 {
            hour.push(HistoryPoint { at_ms, ..HistoryPoint::default() });
        }
        let all = hour.after(i64::MIN).points;
        assert_eq!((all.len(), all.first().map(|point| point.at_ms)), (HISTORY_POINTS_MAX, Some(5)));
        assert_eq!(hour.after(720).points.len(), 4);
    }
}
