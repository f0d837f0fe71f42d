//! Whether a silent connection still has somebody at its other end: a pure machine.
//!
//! ```text
//! heard --interval without a byte--> asked --a byte--> heard
//!                                      \--timeout without a byte--> dead
//! ```

use std::time::Duration;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Look again after so long.
    Wait(Duration),
    /// Send a ping and look again after so long.
    Ask(Duration),
    Dead,
}

#[derive(Debug)]
pub(crate) struct Liveness {
    interval: Duration,
    timeout: Duration,
    asked: bool,
}

impl Liveness {
    pub(crate) const fn new(interval: Duration, timeout: Duration) -> Self {
        Self { interval, timeout, asked: false }
    }

    pub(crate) const fn first(&self) -> Duration {
        self.interval
    }

    /// The time of the last step is up; `heard`: bytes have come meanwhile.
    pub(crate) fn on_time(&mut self, heard: bool) -> Step {
        if heard {
            self.asked = false;
            Step::Wait(self.interval)
        } else if self.asked {
            Step::Dead
        } else {
            self.asked = true;
            Step::Ask(self.timeout)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_asked_once_and_then_ends_the_connection() {
        let (interval, timeout) = (Duration::from_secs(60), Duration::from_secs(20));
        let mut liveness = Liveness::new(interval, timeout);
        assert_eq!(liveness.on_time(true), Step::Wait(interval));
        assert_eq!(liveness.on_time(false), Step::Ask(timeout));
        assert_eq!(liveness.on_time(true), Step::Wait(interval), "the answer to a ping is a byte too");
        assert_eq!(liveness.on_time(false), Step::Ask(timeout));
        assert_eq!(liveness.on_time(false), Step::Dead);
    }
}
