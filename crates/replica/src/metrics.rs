//! What a group counts.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Counters of one replica group.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    frames_total: Counter,
    records_bytes_total: Counter,
    commands_total: Counter,
    flushes_total: Counter,
    checkpoints_total: Counter,
    checkpoints_failed_total: Counter,
    overloaded_total: Counter,
    queued_commands: Gauge,
    fenced: Gauge,
}

impl Metrics {
    /// Adds all metrics to `registry`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("replica_frames", "Frames written (group commits)", self.frames_total.clone());
        registry.register("replica_frame_bytes", "Bytes of frames written", self.records_bytes_total.clone());
        registry.register("replica_commands", "Commands taken", self.commands_total.clone());
        registry.register("replica_flushes", "Flushes to the disk", self.flushes_total.clone());
        registry.register("replica_checkpoints", "Checkpoints finished", self.checkpoints_total.clone());
        registry.register(
            "replica_checkpoints_failed",
            "Checkpoints or merges that failed",
            self.checkpoints_failed_total.clone(),
        );
        registry.register(
            "replica_overloaded",
            "Commands refused because too many waited",
            self.overloaded_total.clone(),
        );
        registry.register(
            "replica_queued_commands",
            "Commands waiting for the group's thread",
            self.queued_commands.clone(),
        );
        registry.register("replica_fenced", "1 if the log takes no writes any more", self.fenced.clone());
    }

    pub(crate) fn frame_written(&self, bytes: u64) {
        self.frames_total.inc();
        self.records_bytes_total.inc_by(bytes);
    }

    /// How many frames were written.
    #[cfg(test)]
    pub(crate) fn frames(&self) -> u64 {
        self.frames_total.get()
    }

    pub(crate) fn commands_taken(&self, count: usize) {
        self.commands_total.inc_by(count as u64);
    }

    pub(crate) fn flushed(&self) {
        self.flushes_total.inc();
    }

    pub(crate) fn checkpoint_finished(&self) {
        self.checkpoints_total.inc();
    }

    pub(crate) fn background_failed(&self) {
        self.checkpoints_failed_total.inc();
    }

    pub(crate) fn overloaded(&self) {
        self.overloaded_total.inc();
    }

    pub(crate) fn queued(&self, count: usize) {
        self.queued_commands.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    pub(crate) fn fenced(&self) {
        self.fenced.set(1);
    }
}
