//! A token bucket as one number, without a clock of its own.
//!
//! The number is the time at which the bucket is full again, in nanoseconds. What is taken moves it
//! on; it may not lie more than the burst ahead of now, or the bucket is empty:
//!
//! ```text
//! now                 now + burst
//!  |---- taken ----|······ left ······|
//!                full at
//! ```
//! Whoever finds something left may take more than that: the bucket is then in debt, and what comes
//! next waits until it is paid. So a message larger than the burst passes, and what is received can
//! be counted when it is known.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::limits::QUOTA_DEBT_MS_MAX;

const NS_PER_S: u128 = 1_000_000_000;
const DEBT_NS_MAX: u64 = QUOTA_DEBT_MS_MAX * 1_000_000;

/// How fast a bucket fills, and how much it holds, as the time in which it fills.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rate {
    pub(crate) per_s: u64,
    pub(crate) burst_ns: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Bucket(AtomicU64);

impl Bucket {
    /// How long until something is left; 0 if something is.
    pub(crate) fn wait_ns(&self, now_ns: u64, rate: Rate) -> u64 {
        let full_at = self.0.load(Ordering::Relaxed);
        let end = now_ns.saturating_add(rate.burst_ns);
        if full_at < end { 0 } else { (full_at - end).saturating_add(1) }
    }

    /// What is left, rounded up.
    pub(crate) fn left(&self, now_ns: u64, rate: Rate) -> u64 {
        let full_at = self.0.load(Ordering::Relaxed).max(now_ns);
        let left_ns = now_ns.saturating_add(rate.burst_ns).saturating_sub(full_at);
        let left = (u128::from(left_ns) * u128::from(rate.per_s)).div_ceil(NS_PER_S);
        u64::try_from(left).unwrap_or(u64::MAX)
    }

    /// Takes so much, whether it is left or not.
    pub(crate) fn take(&self, now_ns: u64, rate: Rate, amount: u64) {
        let cost_ns = (u128::from(amount) * NS_PER_S).div_ceil(u128::from(rate.per_s.max(1)));
        let cost_ns = u64::try_from(cost_ns).unwrap_or(u64::MAX);
        let deepest = now_ns.saturating_add(rate.burst_ns).saturating_add(DEBT_NS_MAX);
        let taken = |full_at: u64| Some(full_at.max(now_ns).saturating_add(cost_ns).min(deepest));
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken);
    }

    /// Whether it is full, so that nothing is lost if it is forgotten.
    pub(crate) fn is_full(&self, now_ns: u64) -> bool {
        self.0.load(Ordering::Relaxed) <= now_ns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;
    const TEN: Rate = Rate { per_s: 10, burst_ns: 1_000 * MS };

    /// Takes one after the other while something is left; how many that were.
    fn drain(bucket: &Bucket, now_ns: u64, rate: Rate) -> u64 {
        let mut taken = 0;
        while bucket.wait_ns(now_ns, rate) == 0 {
            bucket.take(now_ns, rate, 1);
            taken += 1;
        }
        taken
    }

    #[test]
    fn a_burst_passes_and_then_the_rate() {
        let bucket = Bucket::default();
        assert_eq!(drain(&bucket, 5_000 * MS, TEN), 10);
        assert_eq!(bucket.wait_ns(5_000 * MS, TEN), 1);
        assert_eq!(drain(&bucket, 5_000 * MS + 1, TEN), 1, "a moment later something is left");
        assert_eq!(drain(&bucket, 5_500 * MS + 1, TEN), 5);
        assert_eq!(drain(&bucket, 60_000 * MS, TEN), 10, "it holds no more than the burst");
    }

    #[test]
    fn a_large_message_passes_and_is_paid_for_later() {
        let bucket = Bucket::default();
        bucket.take(0, TEN, 35);
        assert_eq!(bucket.wait_ns(0, TEN), 2_500 * MS + 1);
        assert_eq!(bucket.left(0, TEN), 0);
        assert_eq!(bucket.wait_ns(2_500 * MS + 1, TEN), 0);
        assert_eq!(bucket.left(2_600 * MS, TEN), 1);
    }

    #[test]
    fn debts_have_a_limit() {
        let bucket = Bucket::default();
        for _ in 0..3 {
            bucket.take(0, TEN, u64::MAX);
        }
        assert_eq!(bucket.wait_ns(0, TEN), DEBT_NS_MAX + 1);
        assert!(!bucket.is_full(DEBT_NS_MAX) && bucket.is_full(DEBT_NS_MAX + 1_000 * MS));
    }

    #[test]
    fn over_a_long_time_the_rate_holds_exactly() {
        for per_s in [1, 3, 7, 999, 1_000_000, 3_000_000_000] {
            let (rate, bucket) = (Rate { per_s, burst_ns: 100 * MS }, Bucket::default());
            let mut taken = 0_u64;
            for tick in 0..10_000_u64 {
                let now_ns = tick * 7 * MS;
                let amount = bucket.left(now_ns, rate);
                bucket.take(now_ns, rate, amount);
                taken += amount;
            }
            let allowed = u128::from(per_s) * (70_000 + 100) / 1_000 + 1;
            assert!(u128::from(taken) <= allowed, "{taken} of {allowed} at {per_s}/s");
            assert!(u128::from(taken) >= allowed * 95 / 100 - 2, "{taken} of {allowed} at {per_s}/s");
        }
    }
}
