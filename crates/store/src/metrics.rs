//! Metrics of one store. Methods are named by what happened.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

/// Counters and gauges of one store.
#[derive(Debug)]
pub struct Metrics {
    append: Histogram,
    appended_bytes: Counter,
    flush: Histogram,
    cold_read: Histogram,
    cold_read_bytes: Counter,
    corrupt_reads: Counter,
    disk_full: Counter,
    fenced: Gauge,
    checkpoint: Histogram,
    merge: Histogram,
    prepare: Histogram,
    run_bytes_written: Counter,
    jobs_failed: Counter,
    trimmed_bytes: Counter,
}

fn latency() -> Histogram {
    Histogram::new(exponential_buckets(0.000_01, 2.0, 20))
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            append: latency(),
            appended_bytes: Counter::default(),
            flush: latency(),
            cold_read: latency(),
            cold_read_bytes: Counter::default(),
            corrupt_reads: Counter::default(),
            disk_full: Counter::default(),
            fenced: Gauge::default(),
            checkpoint: latency(),
            merge: latency(),
            prepare: latency(),
            run_bytes_written: Counter::default(),
            jobs_failed: Counter::default(),
            trimmed_bytes: Counter::default(),
        }
    }
}

impl Metrics {
    /// Makes the metrics visible in a registry, each with its unit and meaning.
    pub fn register(&self, r: &mut Registry) {
        let s = Unit::Seconds;
        let b = Unit::Bytes;
        r.register_with_unit("append", "Time to write one frame", s.clone(), self.append.clone());
        r.register_with_unit("appended", "Written to the log", b.clone(), self.appended_bytes.clone());
        r.register_with_unit("flush", "Time to make the log durable", s.clone(), self.flush.clone());
        r.register_with_unit("cold_read", "Time of one read from disk", s.clone(), self.cold_read.clone());
        r.register_with_unit("cold_read", "Read from disk", b.clone(), self.cold_read_bytes.clone());
        r.register("corrupt_reads", "Reads that found damaged bytes", self.corrupt_reads.clone());
        r.register("disk_full", "Frames refused for lack of space", self.disk_full.clone());
        r.register("fenced", "1 after a failed write or flush", self.fenced.clone());
        r.register_with_unit("checkpoint", "Time to write a checkpoint", s.clone(), self.checkpoint.clone());
        r.register_with_unit("merge", "Time to merge runs", s.clone(), self.merge.clone());
        r.register_with_unit("prepare", "Time to prepare a segment", s, self.prepare.clone());
        r.register_with_unit(
            "run_written",
            "Written to run files",
            b.clone(),
            self.run_bytes_written.clone(),
        );
        r.register("jobs_failed", "Checkpoints and merges that failed", self.jobs_failed.clone());
        r.register_with_unit("trimmed", "Freed by retention", b, self.trimmed_bytes.clone());
    }

    pub(crate) fn frame_appended(&self, bytes: usize, took: Duration) {
        self.append.observe(took.as_secs_f64());
        self.appended_bytes.inc_by(bytes as u64);
    }

    pub(crate) fn log_flushed(&self, took: Duration) {
        self.flush.observe(took.as_secs_f64());
    }

    pub(crate) fn read_from_disk(&self, bytes: u64, took: Duration) {
        self.cold_read.observe(took.as_secs_f64());
        self.cold_read_bytes.inc_by(bytes);
    }

    pub(crate) fn corruption_found(&self) {
        self.corrupt_reads.inc();
    }

    pub(crate) fn disk_was_full(&self) {
        self.disk_full.inc();
    }

    pub(crate) fn log_fenced(&self) {
        self.fenced.set(1);
    }

    pub(crate) fn checkpoint_written(&self, bytes: u64, took: Duration) {
        self.checkpoint.observe(took.as_secs_f64());
        self.run_bytes_written.inc_by(bytes);
    }

    pub(crate) fn runs_merged(&self, bytes: u64, took: Duration) {
        self.merge.observe(took.as_secs_f64());
        self.run_bytes_written.inc_by(bytes);
    }

    pub(crate) fn segment_prepared(&self, took: Duration) {
        self.prepare.observe(took.as_secs_f64());
    }

    pub(crate) fn job_failed(&self) {
        self.jobs_failed.inc();
    }

    pub(crate) fn log_trimmed(&self, bytes: u64) {
        self.trimmed_bytes.inc_by(bytes);
    }
}
