//! How many messages, for how long, and when each is due.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base::Clock;

pub(crate) struct Pace {
    clock: Arc<dyn Clock>,
    started: OnceLock<Duration>,
    count: Option<u64>,
    duration: Option<Duration>,
    per_second: Option<u64>,
    given: AtomicU64,
}

/// Leave to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticket {
    pub(crate) messages: u64,
    /// Latency counts from here: in a paced run from when the request was due, so that a server
    /// that falls behind cannot hide it.
    pub(crate) due: Duration,
}

impl Pace {
    pub(crate) fn new(
        clock: Arc<dyn Clock>,
        count: Option<u64>,
        duration: Option<Duration>,
        per_second: Option<u64>,
    ) -> Self {
        Self { clock, started: OnceLock::new(), count, duration, per_second, given: AtomicU64::new(0) }
    }

    pub(crate) fn start(&self) {
        self.started.get_or_init(|| self.clock.monotonic());
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.started.get().map_or(Duration::ZERO, |started| self.clock.monotonic().saturating_sub(*started))
    }

    pub(crate) fn count(&self) -> Option<u64> {
        self.count
    }

    pub(crate) fn duration(&self) -> Option<Duration> {
        self.duration
    }

    /// Whether the time is over.
    pub(crate) fn is_over(&self) -> bool {
        self.duration.is_some_and(|duration| self.elapsed() >= duration)
    }

    /// Waits until the next request is due. `None`: all are sent.
    pub(crate) async fn ticket(&self, batch: u64) -> Option<Ticket> {
        if self.is_over() {
            return None;
        }
        let before = self.given.fetch_add(batch, Ordering::Relaxed);
        let messages = self.count.map_or(batch, |count| batch.min(count.saturating_sub(before)));
        if messages == 0 {
            return None;
        }
        let Some(rate) = self.per_second else {
            return Some(Ticket { messages, due: self.clock.monotonic() });
        };
        let at = Duration::from_secs_f64(before as f64 / rate as f64);
        let wait = at.saturating_sub(self.elapsed());
        if !wait.is_zero() {
            self.clock.sleep(wait).await;
        }
        let started = self.started.get().copied().unwrap_or_default();
        (!self.is_over()).then_some(Ticket { messages, due: started + at })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::SystemClock;

    fn pace(count: Option<u64>, duration: Option<Duration>, rate: Option<u64>) -> Pace {
        let pace = Pace::new(Arc::new(SystemClock), count, duration, rate);
        pace.start();
        pace
    }

    #[tokio::test]
    async fn the_count_is_kept_to_the_last_message() {
        let pace = pace(Some(5), None, None);
        let mut given = Vec::new();
        while let Some(ticket) = pace.ticket(2).await {
            given.push(ticket.messages);
        }
        assert_eq!(given, [2, 2, 1]);
    }

    #[tokio::test]
    async fn requests_are_due_evenly() {
        let pace = pace(Some(3), None, Some(100));
        let first = pace.ticket(1).await.expect("there are three").due;
        let second = pace.ticket(1).await.expect("there are three").due;
        assert_eq!(second.saturating_sub(first), Duration::from_millis(10));
        assert!(pace.elapsed() >= Duration::from_millis(10));
    }

    #[tokio::test]
    async fn time_ends_it() {
        assert_eq!(pace(None, Some(Duration::ZERO), None).ticket(1).await, None);
    }
}
