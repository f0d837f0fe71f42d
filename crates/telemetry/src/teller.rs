//! Tells the log that the collector takes nothing: once in a while, not for each request.

use std::sync::Arc;
use std::time::Duration;

use base::Clock;

use crate::limits::WARN_EVERY;
use crate::metrics::Signal;

pub(crate) struct Teller {
    clock: Arc<dyn Clock>,
    signal: Signal,
    /// The collector's host and port: nothing else of its address is told.
    place: String,
    warned_at: Option<Duration>,
    is_failing: bool,
}

impl Teller {
    pub(crate) const fn new(clock: Arc<dyn Clock>, signal: Signal, place: String) -> Self {
        Self { clock, signal, place, warned_at: None, is_failing: false }
    }

    pub(crate) fn failed(&mut self, why: &str) {
        let may_warn = self.may_warn();
        let (collector, signal) = (&self.place, self.signal.name());
        if may_warn {
            tracing::warn!(
                collector,
                signal,
                why,
                "telemetry is not taken; what cannot wait is dropped and counted"
            );
        } else {
            tracing::debug!(collector, signal, why, "telemetry is not taken");
        }
    }

    fn may_warn(&mut self) -> bool {
        let now = self.clock.monotonic();
        let is_due = self.warned_at.is_none_or(|at| now.saturating_sub(at) >= WARN_EVERY);
        if is_due {
            self.warned_at = Some(now);
            self.is_failing = true;
        }
        is_due
    }

    pub(crate) fn worked(&mut self) {
        if std::mem::take(&mut self.is_failing) {
            let (collector, signal) = (&self.place, self.signal.name());
            tracing::info!(collector, signal, "telemetry is taken again");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;

    use parking_lot::Mutex;

    use super::*;

    #[derive(Default)]
    struct Hand(Mutex<Duration>);

    impl Clock for Hand {
        fn now_ms(&self) -> i64 {
            0
        }

        fn monotonic(&self) -> Duration {
            *self.0.lock()
        }

        fn sleep(&self, _: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
            Box::pin(std::future::ready(()))
        }
    }

    #[test]
    fn a_warning_comes_once_in_a_while() {
        let clock = Arc::new(Hand::default());
        let mut teller = Teller::new(clock.clone(), Signal::Traces, String::new());
        let mut warned = 0;
        for _ in 0..180 {
            warned += u32::from(teller.may_warn());
            teller.worked();
            *clock.0.lock() += Duration::from_secs(1);
        }
        assert_eq!(warned, 3, "in three minutes");
    }
}
