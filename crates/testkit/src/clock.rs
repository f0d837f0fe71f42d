//! Simulated time: it stands still until the simulation moves it.
//!
//! Monotonic time only goes forward, and wall time goes along with it; [`SimClock::jump_wall`]
//! also moves wall time alone, in both directions, as an operator or a time server would.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use base::Clock;
use futures::future::BoxFuture;
use parking_lot::Mutex;

/// Wall time at the beginning of every simulation: 2023-11-14 22:13:20 UTC.
pub const START_MS: i64 = 1_700_000_000_000;

#[derive(Debug, Default)]
struct State {
    monotonic: Duration,
    /// How far wall time is from [`START_MS`] plus monotonic time.
    skew_ms: i64,
    next_sleeper: u64,
    sleepers: BTreeMap<(Duration, u64), Option<Waker>>,
}

impl State {
    fn take_due(&mut self) -> Vec<Waker> {
        let later = self.sleepers.split_off(&(self.monotonic + Duration::from_nanos(1), 0));
        std::mem::replace(&mut self.sleepers, later).into_values().flatten().collect()
    }
}

/// A [`Clock`] moved by hand. Cheap to clone; clones share one time.
#[derive(Debug, Clone, Default)]
pub struct SimClock {
    state: Arc<Mutex<State>>,
}

impl SimClock {
    /// Lets time pass; wakes the sleepers whose time has come.
    pub fn advance(&self, by: Duration) {
        let due = {
            let mut state = self.state.lock();
            state.monotonic += by;
            state.take_due()
        };
        due.into_iter().for_each(Waker::wake);
    }

    /// Moves wall time alone.
    pub fn jump_wall(&self, by_ms: i64) {
        let mut state = self.state.lock();
        state.skew_ms = state.skew_ms.saturating_add(by_ms);
    }

    /// How long until the first sleeper is due.
    #[must_use]
    pub fn next_due(&self) -> Option<Duration> {
        let state = self.state.lock();
        let ((at, _), _) = state.sleepers.first_key_value()?;
        Some(at.saturating_sub(state.monotonic))
    }

    /// How many sleep.
    #[must_use]
    pub fn sleepers(&self) -> usize {
        self.state.lock().sleepers.len()
    }

    /// Lets time pass until the first sleeper is due; false if nobody sleeps.
    pub fn advance_to_next(&self) -> bool {
        let due = self.next_due();
        if let Some(by) = due {
            self.advance(by);
        }
        due.is_some()
    }
}

impl Clock for SimClock {
    fn now_ms(&self) -> i64 {
        // A thread that loops gives its turn back here.
        crate::turns::yield_turn();
        let state = self.state.lock();
        let passed = i64::try_from(state.monotonic.as_millis()).unwrap_or(i64::MAX);
        START_MS.saturating_add(passed).saturating_add(state.skew_ms)
    }

    fn monotonic(&self) -> Duration {
        self.state.lock().monotonic
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let mut state = self.state.lock();
        let key = (state.monotonic + duration, state.next_sleeper);
        state.next_sleeper += 1;
        state.sleepers.insert(key, None);
        Box::pin(Sleep { state: Arc::clone(&self.state), key })
    }
}

struct Sleep {
    state: Arc<Mutex<State>>,
    key: (Duration, u64),
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state.lock();
        if state.monotonic >= self.key.0 {
            state.sleepers.remove(&self.key);
            return Poll::Ready(());
        }
        state.sleepers.insert(self.key, Some(cx.waker().clone()));
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.state.lock().sleepers.remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[test]
    fn sleepers_wake_when_time_is_moved() {
        let clock = SimClock::default();
        let mut long = clock.sleep(Duration::from_secs(2)).boxed();
        let mut short = clock.sleep(Duration::from_secs(1)).boxed();
        assert!((&mut short).now_or_never().is_none());
        assert_eq!(clock.next_due(), Some(Duration::from_secs(1)));
        assert!(clock.advance_to_next());
        assert!((&mut short).now_or_never().is_some());
        assert!((&mut long).now_or_never().is_none());
        drop(long);
        assert!(!clock.advance_to_next(), "a dropped sleep is nobody's");
    }

    #[test]
    fn wall_time_jumps_alone() {
        let clock = SimClock::default();
        clock.jump_wall(-5_000);
        clock.advance(Duration::from_millis(1_500));
        assert_eq!(clock.now_ms(), START_MS - 3_500);
        assert_eq!(clock.monotonic(), Duration::from_millis(1_500));
    }
}
