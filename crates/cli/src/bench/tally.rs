//! What happened: counts and latencies of all workers.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use hdrhistogram::Histogram;
use parking_lot::Mutex;

/// Latencies up to a minute, to three digits.
const LATENCY_US_MAX: u64 = 60_000_000;

#[derive(Default)]
pub(crate) struct Tally {
    sent: AtomicU64,
    received: AtomicU64,
    errors: AtomicU64,
    /// The first error, as an example.
    error: Mutex<Option<String>>,
    producers_done: AtomicBool,
    /// When the last message came or went, in microseconds since the start.
    last_us: AtomicU64,
    latencies: Mutex<Option<Histogram<u64>>>,
}

/// One worker's latencies, merged at its end: workers do not wait for each other.
pub(crate) struct Latencies(Histogram<u64>);

impl Latencies {
    pub(crate) fn new() -> Self {
        Self(Histogram::new_with_max(LATENCY_US_MAX, 3).expect("the bounds are legal"))
    }

    pub(crate) fn add(&mut self, latency: Duration, times: u64) {
        let us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX).clamp(1, LATENCY_US_MAX);
        self.0.saturating_record_n(us, times);
    }
}

impl Tally {
    pub(crate) fn sent(&self, messages: u64, at: Duration) {
        self.sent.fetch_add(messages, Ordering::Relaxed);
        self.moved(at);
    }

    /// Answers how many were received before.
    pub(crate) fn received(&self, messages: u64, at: Duration) -> u64 {
        self.moved(at);
        self.received.fetch_add(messages, Ordering::Relaxed)
    }

    fn moved(&self, at: Duration) {
        self.last_us.fetch_max(u64::try_from(at.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Counts an error. Answers how many there were before.
    pub(crate) fn failed(&self, error: &anyhow::Error) -> u64 {
        self.error.lock().get_or_insert_with(|| format!("{error:#}"));
        self.errors.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn producers_done(&self) {
        self.producers_done.store(true, Ordering::Release);
    }

    pub(crate) fn are_producers_done(&self) -> bool {
        self.producers_done.load(Ordering::Acquire)
    }

    pub(crate) fn merge(&self, latencies: Latencies) {
        let mut all = self.latencies.lock();
        match all.as_mut() {
            // Both have the same bounds.
            Some(all) => all.add(latencies.0).expect("the bounds are equal"),
            None => *all = Some(latencies.0),
        }
    }

    pub(crate) fn counts(&self) -> (u64, u64, u64) {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (count(&self.sent), count(&self.received), count(&self.errors))
    }

    pub(crate) fn first_error(&self) -> Option<String> {
        self.error.lock().clone()
    }

    pub(crate) fn until_last(&self) -> Duration {
        Duration::from_micros(self.last_us.load(Ordering::Relaxed))
    }

    /// The latency that a share of all messages stays below, in milliseconds.
    pub(crate) fn quantile_ms(&self, share: f64) -> f64 {
        self.latencies.lock().as_ref().map_or(0.0, |all| all.value_at_quantile(share) as f64 / 1_000.0)
    }

    pub(crate) fn mean_ms(&self) -> f64 {
        self.latencies.lock().as_ref().map_or(0.0, |all| all.mean() / 1_000.0)
    }
}
