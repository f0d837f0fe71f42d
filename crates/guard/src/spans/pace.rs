//! How many traces begin a second. The ratio that was asked for gives way to a bound, so that what is sampled of
//! much traffic costs no more than what is sampled of some.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use crate::spans::context::Sampler;

/// Between two looks at what began.
const LOOK: Duration = Duration::from_secs(1);

/// By such a part of itself the ratio rises at most.
const RISE: u64 = 8;

/// The sampler in force.
#[derive(Debug)]
pub(super) struct Pace {
    asked: Sampler,
    in_force: AtomicU64,
    /// None: as many as the ratio says.
    traces_per_s_max: Option<u64>,
    begun: AtomicU64,
    looked: Mutex<Duration>,
}

impl Pace {
    /// `traces_per_s_max` 0: no bound.
    pub(super) fn new(ratio: f64, traces_per_s_max: u32, now: Duration) -> Self {
        let asked = Sampler::new(ratio);
        Self {
            asked,
            in_force: AtomicU64::new(asked.below()),
            traces_per_s_max: Some(u64::from(traces_per_s_max)).filter(|max| *max > 0),
            begun: AtomicU64::new(0),
            looked: Mutex::new(now),
        }
    }

    pub(super) fn sampler(&self) -> Sampler {
        Sampler::at(self.in_force.load(Ordering::Relaxed))
    }

    /// A trace began that the ratio chose.
    pub(super) fn begun(&self) {
        self.begun.fetch_add(1, Ordering::Relaxed);
    }

    /// Once in a second it counts what began meanwhile: too much lowers the ratio at once, too little raises it, by
    /// no more than an eighth, as far as it was asked for. So a pause of a few seconds between two bursts does not make
    /// the second one dear.
    pub(super) fn look(&self, now: Duration) {
        let Some(max) = self.traces_per_s_max else { return };
        let passed = {
            let mut looked = self.looked.lock();
            let passed = now.saturating_sub(*looked);
            if passed < LOOK {
                return;
            }
            *looked = now;
            passed
        };
        let begun = self.begun.swap(0, Ordering::Relaxed);
        let in_force = self.in_force.load(Ordering::Relaxed);
        let allowed = u128::from(max) * passed.as_millis() / 1_000;
        let fits = u128::from(in_force) * allowed / u128::from(begun.max(1));
        let fits = u64::try_from(fits).unwrap_or(u64::MAX);
        let highest = self.asked.below().min(in_force.saturating_add(in_force / RISE).max(1));
        self.in_force.store(fits.min(highest), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ratios in force after each second in which so many messages came.
    fn ratios(pace: &Pace, seconds: std::ops::Range<u64>, messages: u64) -> Vec<f64> {
        let ratio = |pace: &Pace| pace.sampler().ratio();
        let second = |second: u64| {
            let begun = (messages as f64 * ratio(pace)).round() as u64;
            (0..begun).for_each(|_| pace.begun());
            pace.look(Duration::from_secs(second + 1));
            ratio(pace)
        };
        seconds.map(second).collect()
    }

    fn is_near(left: f64, right: f64) -> bool {
        (left / right - 1.0).abs() < 0.02
    }

    #[test]
    fn much_traffic_lowers_the_ratio_and_little_raises_it_again() {
        let pace = Pace::new(0.01, 100, Duration::ZERO);
        let busy = ratios(&pace, 0..5, 100_000);
        assert!(busy.iter().all(|ratio| is_near(*ratio, 0.001)), "{busy:?}");
        let calm = ratios(&pace, 5..30, 1_000);
        assert!(is_near(calm[0], 0.001_125) && is_near(calm[1], 0.001_266), "{calm:?}");
        assert!(calm[20..].iter().all(|ratio| is_near(*ratio, 0.01)), "{calm:?}");
        assert!(ratios(&pace, 30..33, 0).iter().all(|ratio| is_near(*ratio, 0.01)), "nothing comes");
    }

    #[test]
    fn without_a_bound_the_ratio_stays() {
        let pace = Pace::new(0.5, 0, Duration::ZERO);
        assert!(ratios(&pace, 0..3, 1_000_000).iter().all(|ratio| is_near(*ratio, 0.5)));
    }

    #[test]
    fn a_look_too_early_changes_nothing() {
        let pace = Pace::new(1.0, 1, Duration::ZERO);
        (0..1_000).for_each(|_| pace.begun());
        pace.look(Duration::from_millis(999));
        assert_eq!(pace.sampler().below(), Sampler::new(1.0).below());
        pace.look(Duration::from_millis(1_000));
        assert_eq!(pace.sampler().below(), Sampler::new(1.0).below() / 1_000);
    }
}
