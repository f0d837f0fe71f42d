//! How long calls take, counted so cheaply that every call is: one addition.
//!
//! Buckets grow by a quarter of a power of two, so that a quantile is right to a fifth.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Four for each power of two up to 2^26 µs (a minute), and one for what takes longer.
pub const BUCKETS: usize = 26 * 4 + 1;

/// Counts of calls by how long they took.
#[derive(Debug)]
pub struct Latencies([AtomicU64; BUCKETS]);

/// The counts at one time.
pub type LatencyCounts = [u64; BUCKETS];

impl Default for Latencies {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

impl Latencies {
    pub fn add(&self, took: Duration) {
        if let Some(bucket) = self.0.get(bucket_of(took)) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[must_use]
    pub fn read(&self) -> LatencyCounts {
        std::array::from_fn(|i| self.0[i].load(Ordering::Relaxed))
    }
}

fn bucket_of(took: Duration) -> usize {
    let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    if us < 4 {
        return usize::try_from(us).unwrap_or_default();
    }
    let power = us.ilog2();
    let quarter = (us >> (power - 2)) & 3;
    ((power as usize - 1) * 4 + usize::try_from(quarter).unwrap_or_default()).min(BUCKETS - 1)
}

/// Where a bucket ends, in microseconds.
const fn end_us(bucket: usize) -> u64 {
    if bucket < 4 {
        return bucket as u64 + 1;
    }
    let (power, quarter) = (bucket / 4 + 1, bucket as u64 % 4);
    (5 + quarter) << (power - 2)
}

/// What so many of a hundred calls between two readings took no longer than, in microseconds; 0 if there
/// was no call.
#[must_use]
pub fn percentile_us(before: &LatencyCounts, after: &LatencyCounts, percent: u64) -> u64 {
    let count = |i: usize| after[i].saturating_sub(before[i]);
    let total: u64 = (0..BUCKETS).map(count).sum();
    if total == 0 {
        return 0;
    }
    let wanted = (total * percent).div_ceil(100);
    let mut seen = 0;
    for bucket in 0..BUCKETS {
        seen += count(bucket);
        if seen >= wanted {
            return end_us(bucket);
        }
    }
    end_us(BUCKETS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_ends_where_the_next_begins() {
        for bucket in 0..BUCKETS - 1 {
            let end = Duration::from_micros(end_us(bucket));
            assert_eq!(bucket_of(end), bucket + 1, "{bucket}");
            assert_eq!(bucket_of(end - Duration::from_micros(1)), bucket);
        }
        assert_eq!(bucket_of(Duration::MAX), BUCKETS - 1);
    }

    #[test]
    fn percentiles_are_those_of_the_interval() {
        let latencies = Latencies::default();
        latencies.add(Duration::from_secs(1));
        let before = latencies.read();
        assert_eq!(percentile_us(&before, &latencies.read(), 99), 0);
        for us in 1..=100 {
            latencies.add(Duration::from_micros(us));
        }
        let after = latencies.read();
        let about = |percent, us: u64| {
            let got = percentile_us(&before, &after, percent);
            assert!(got >= us && got <= us + us / 4 + 1, "{percent}: {got}");
        };
        about(50, 50);
        about(99, 99);
    }
}
