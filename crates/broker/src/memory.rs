//! Who in the broker, its replica group and its store holds how much memory.
//!
//! Read when metrics are, so that nothing is counted where messages pass.

use crate::broker::Broker;

/// A minute in which something waits.
const MINUTE_BYTES: u64 = 150;
/// An undecided transaction.
const HALF_BYTES: u64 = 150;

fn bytes(count: usize) -> u64 {
    count as u64
}

impl Broker {
    /// Owners of memory and what each holds, in bytes, about.
    #[must_use]
    pub fn memory(&self) -> Vec<(&'static str, u64)> {
        let (tail_cache, cold_reads) = self.log.memory_bytes();
        let views = self.views.memory();
        vec![
            ("tail_cache", tail_cache),
            ("cold_reads", cold_reads),
            ("live_index", bytes(views.live_bytes)),
            ("stream_ends", bytes(views.ends_bytes)),
            ("run_indexes", bytes(views.runs_bytes)),
            ("commands", bytes(self.queued_bytes())),
            ("cursors", bytes(self.state.cursor_bytes())),
            ("transactions", bytes(self.state.halves.lock().len()) * HALF_BYTES),
            ("timers", self.timer_metrics.minutes_now() * MINUTE_BYTES),
            ("lite_topics", bytes(self.lite.counts().memory_bytes)),
        ]
    }
}
