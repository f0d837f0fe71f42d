//! Calls that took long leave a line in the log (target `slow`), at most so many a minute.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use model::Session;
use prometheus_client::metrics::counter::Counter;

use crate::config::GuardConfig;
use crate::metrics::Verb;

const MINUTE_MS: u64 = 60_000;

/// What is slow, and how much of it was told in this minute.
#[derive(Debug, Default)]
pub(crate) struct SlowCalls {
    after_ms: AtomicU64,
    lines_per_min_max: AtomicU32,
    minute: AtomicU64,
    lines: AtomicU32,
    pub(crate) slow: Counter,
    pub(crate) untold: Counter,
}

impl SlowCalls {
    pub(crate) fn configure(&self, config: &GuardConfig) {
        self.after_ms.store(config.slow_call_ms, Ordering::Relaxed);
        self.lines_per_min_max.store(config.slow_calls_per_min_max, Ordering::Relaxed);
    }

    /// A call has ended. Those that wait for messages wait by design and do not count.
    pub(crate) fn ended(&self, session: &Session, verb: Verb, took: Duration, now: Duration) {
        let after_ms = self.after_ms.load(Ordering::Relaxed);
        let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        if after_ms == 0 || took_ms < after_ms || matches!(verb, Verb::Receive | Verb::Fetch) {
            return;
        }
        self.slow.inc();
        if self.may_tell(u64::try_from(now.as_millis()).unwrap_or(u64::MAX) / MINUTE_MS) {
            let (verb, protocol, peer) = (verb.name(), session.protocol, session.peer);
            tracing::info!(target: "slow", verb, protocol, %peer, took_ms, "a call took long");
        } else {
            self.untold.inc();
        }
    }

    fn may_tell(&self, minute: u64) -> bool {
        if self.minute.swap(minute, Ordering::Relaxed) != minute {
            self.lines.store(0, Ordering::Relaxed);
        }
        self.lines.fetch_add(1, Ordering::Relaxed) < self.lines_per_min_max.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_slow_calls_are_told_each_minute() {
        let calls = SlowCalls::default();
        calls.configure(&GuardConfig {
            slow_call_ms: 100,
            slow_calls_per_min_max: 2,
            ..GuardConfig::default()
        });
        let session = Session::internal();
        let (fast, slow) = (Duration::from_millis(99), Duration::from_millis(100));
        for (verb, took, at_s) in [
            (Verb::Publish, fast, 0),
            (Verb::Receive, slow, 0),
            (Verb::Publish, slow, 0),
            (Verb::Ack, slow, 1),
            (Verb::Ack, slow, 2),
            (Verb::Ack, slow, 61),
        ] {
            calls.ended(&session, verb, took, Duration::from_secs(at_s));
        }
        assert_eq!((calls.slow.get(), calls.untold.get()), (4, 1));
        calls.configure(&GuardConfig { slow_call_ms: 0, ..GuardConfig::default() });
        calls.ended(&session, Verb::Publish, slow, Duration::ZERO);
        assert_eq!(calls.slow.get(), 4, "0 is never");
    }
}
