//! What timed messages count.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Counters of what waits for its time.
#[derive(Debug, Clone, Default)]
pub struct TimerMetrics {
    minutes: Gauge,
    waiting: Gauge,
    arrived_total: Counter,
    fired_total: Counter,
    late_ms_total: Counter,
    cancelled_total: Counter,
    moved_total: Counter,
    dropped_total: Counter,
}

impl TimerMetrics {
    /// Adds all metrics to `registry`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("timer_minutes", "Minutes in which something waits", self.minutes.clone());
        registry.register("timer_waiting", "Timed messages and retries that wait", self.waiting.clone());
        let help = "Timed messages and retries that came";
        registry.register("timer_arrived", help, self.arrived_total.clone());
        registry.register("timer_fired", "Timed messages and retries fired", self.fired_total.clone());
        registry.register(
            "timer_late_ms",
            "Milliseconds by which firing came after the due time, summed",
            self.late_ms_total.clone(),
        );
        registry.register("timer_cancelled", "Timed messages cancelled", self.cancelled_total.clone());
        registry.register(
            "timer_moved",
            "What waited and was written again because its segment was deleted",
            self.moved_total.clone(),
        );
        registry.register(
            "timer_dropped",
            "What was due for a deleted topic or a message that retention has deleted",
            self.dropped_total.clone(),
        );
    }

    pub(crate) fn minutes(&self, count: usize) {
        self.minutes.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    pub(crate) fn minutes_now(&self) -> u64 {
        self.minutes.get().unsigned_abs()
    }

    pub(crate) fn fired(&self, late_ms: i64) {
        self.fired_total.inc();
        self.late_ms_total.inc_by(late_ms.max(0).unsigned_abs());
    }

    pub(crate) fn arrived(&self) {
        self.arrived_total.inc();
    }

    pub(crate) fn waiting(&self, count: u64) {
        self.waiting.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// How many came since the start, and how many wait.
    pub(crate) fn arrived_so_far(&self) -> (u64, u64) {
        (self.arrived_total.get(), self.waiting.get().unsigned_abs())
    }

    /// How many fired, and by how many milliseconds too late, summed.
    pub(crate) fn fired_so_far(&self) -> (u64, u64) {
        (self.fired_total.get(), self.late_ms_total.get())
    }

    pub(crate) fn cancelled(&self) {
        self.cancelled_total.inc();
    }

    pub(crate) fn moved(&self) {
        self.moved_total.inc();
    }

    pub(crate) fn dropped(&self) {
        self.dropped_total.inc();
    }
}
