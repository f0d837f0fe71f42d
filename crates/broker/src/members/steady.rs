//! Time that only goes forward, and not by leaps: made of a wall clock that may jump.
//!
//! Silence and leases are measured by it. A step back counts as none, a leap forward as
//! `CLOCK_STEP_MS_MAX`. Scans come more often than that, so real time is never cut.

use super::limits::CLOCK_STEP_MS_MAX;

#[derive(Debug, Default)]
pub(super) struct Steady {
    last_ms: Option<i64>,
    steady_ms: i64,
}

impl Steady {
    /// The steady time at wall time `now_ms`.
    pub(super) fn advance(&mut self, now_ms: i64) -> i64 {
        let step_ms = self.last_ms.map_or(0, |last_ms| now_ms.saturating_sub(last_ms));
        self.last_ms = Some(now_ms);
        self.steady_ms += step_ms.clamp(0, CLOCK_STEP_MS_MAX);
        self.steady_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_count_and_leaps_do_not() {
        let mut steady = Steady::default();
        assert_eq!(steady.advance(1_000_000), 0);
        assert_eq!(steady.advance(1_010_000), 10_000);
        assert_eq!(steady.advance(5), 10_000, "back");
        assert_eq!(steady.advance(1_005), 11_000);
        assert_eq!(steady.advance(i64::MAX), 11_000 + CLOCK_STEP_MS_MAX, "a leap");
    }
}
