//! What deduplication counts.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Counters of messages that were sent twice.
#[derive(Debug, Clone, Default)]
pub struct DedupMetrics {
    remembered: Gauge,
    repeated_total: Counter,
    forgotten_early_total: Counter,
}

impl DedupMetrics {
    /// Adds all metrics to `registry`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("dedup_remembered", "Messages whose window is open", self.remembered.clone());
        registry.register(
            "dedup_repeated",
            "Messages that were answered with an earlier one and not stored",
            self.repeated_total.clone(),
        );
        registry.register(
            "dedup_forgotten_early",
            "Messages forgotten before their window ended, because too many were remembered",
            self.forgotten_early_total.clone(),
        );
    }

    pub(crate) fn repeated(&self) {
        self.repeated_total.inc();
    }

    /// After a message was remembered: how many are, and how many had to make room.
    pub(crate) fn remembered(&self, count: usize, forgotten_early: u64) {
        self.remembered.set(i64::try_from(count).unwrap_or(i64::MAX));
        self.forgotten_early_total.inc_by(forgotten_early);
    }
}
