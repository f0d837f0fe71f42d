//! When a turn begins: how long it is worth to wait for company. Pure.
//!
//! Every turn costs a write to the log and a round of answers, so commands that come close together should share
//! one. Two ways to get them together, each with a price, each used only while it pays:
//!
//! ```text
//! let others run    a look at the sockets and the wake-up of another worker: pays with many connections
//! gather            a wait of a millisecond: pays where commands that may wait come in a stream
//! ```
//! A caller that sends nothing more before it is answered makes no stream: it would be slower by the wait, and
//! nobody would come. What came late in a wait tells the two apart.

use std::time::Duration;

use crate::limits::{GATHERED_MIN, GATHERS_SKIPPED_MAX, LOOK_EVERY};

/// What a command joining has gained on average, in sixteenths of a command.
const ONE: usize = 16;
/// The newest look counts for so much of the average.
const SHARE: usize = 8;
/// What must join on average: others that come along spare a turn if each would have had its own, but those of
/// one connection would have shared the next one.
const WORTH: usize = 3 * ONE;

/// Whether to let others run before a turn.
#[derive(Debug)]
pub(crate) struct Company {
    joined: usize,
    without: u32,
}

impl Default for Company {
    fn default() -> Self {
        Self { joined: SHARE * ONE, without: 0 }
    }
}

impl Company {
    /// Whether the next turn is to let others run first: if that brought enough lately, and now and then to see
    /// whether it would.
    pub(crate) const fn is_wanted(&mut self) -> bool {
        if self.joined >= WORTH || self.without >= LOOK_EVERY {
            self.without = 0;
            return true;
        }
        self.without += 1;
        false
    }

    /// Others were let run, and so many commands came.
    pub(crate) fn came(&mut self, commands: usize) {
        let newest = commands.min(SHARE * ONE) * ONE;
        self.joined = (self.joined * (SHARE - 1) + newest) / SHARE;
    }
}

/// Whether commands that may wait are held back for others of their kind.
#[derive(Debug, Default)]
pub(crate) struct Gathering {
    /// Turns that go without, before the next try.
    skip: u32,
    useless: u32,
}

impl Gathering {
    pub(crate) const fn is_wanted(&mut self) -> bool {
        if self.skip == 0 {
            return true;
        }
        self.skip -= 1;
        false
    }

    /// So many have joined within `waited`, the last of them this long before its end.
    pub(crate) fn gathered(&mut self, joined: usize, waited: Duration, since_last: Duration) {
        if joined >= GATHERED_MIN && since_last * 2 <= waited {
            self.useless = 0;
            return;
        }
        self.useless = (self.useless + 1).min(GATHERS_SKIPPED_MAX.ilog2());
        self.skip = (1 << self.useless) - 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAIT: Duration = Duration::from_micros(1_500);

    #[test]
    fn others_are_let_run_while_that_brings_commands_and_sometimes_to_see() {
        let mut company = Company::default();
        for _ in 0..100 {
            assert!(company.is_wanted());
            company.came(5);
        }
        let mut alone = 0;
        while company.is_wanted() {
            company.came(0);
            alone += 1;
        }
        assert!(alone <= 5, "{alone} looks for nothing");
        let looks = (0..10 * LOOK_EVERY).filter(|_| company.is_wanted()).count();
        assert!((8..=10).contains(&looks), "{looks} looks");
        (0..8).for_each(|_| company.came(20));
        assert!(company.is_wanted() && company.is_wanted());
    }

    #[test]
    fn a_stream_is_gathered() {
        let mut gathering = Gathering::default();
        for _ in 0..100 {
            assert!(gathering.is_wanted());
            gathering.gathered(20, WAIT, Duration::from_micros(50));
        }
    }

    #[test]
    fn callers_that_wait_for_their_answers_are_hardly_held_back() {
        let mut gathering = Gathering::default();
        let mut held_back = 0;
        for _ in 0..10_000 {
            if gathering.is_wanted() {
                held_back += 1;
                // Sixteen callers, all of whom come at once and then wait.
                gathering.gathered(15, WAIT, Duration::from_micros(1_200));
            }
        }
        assert!(held_back < 30, "held back {held_back} times");
    }

    #[test]
    fn a_few_are_not_worth_a_wait() {
        let mut gathering = Gathering::default();
        gathering.gathered(GATHERED_MIN - 1, WAIT, Duration::ZERO);
        assert!(!gathering.is_wanted());
        assert!(gathering.is_wanted(), "tried again");
    }
}
