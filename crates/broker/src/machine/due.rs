//! What happens at a time: an index over the streams of due minutes. Pure.
//!
//! Everything due waits in the stream of its minute; minutes near now are loaded into memory and
//! fired in order of (due, position). A firing is a log record that names both, and the index
//! follows from those records alone: so each thing fires exactly once, across any crash.
//!
//! Invariants: fired positions never come again; what arrives with a due time before the last
//! fired one is given that one's time, so that (due, position) keeps growing.

use std::collections::{BTreeMap, BTreeSet};

use model::Lsn;

use super::bytes::{Reader, Short, Writer};

/// How far ahead minutes are loaded, in milliseconds.
pub const LOAD_AHEAD_MS: i64 = 10_000;
const MINUTE_MS: i64 = 60_000;

#[must_use]
pub const fn minute_of(due_ms: i64) -> i64 {
    due_ms.div_euclid(MINUTE_MS)
}

/// One thing that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Waiting {
    pub due_ms: i64,
    pub lsn: Lsn,
    pub len: u32,
}

/// The index.
#[derive(Debug, Default)]
pub struct Due {
    /// Due time and position of what fired last.
    fired: (i64, Lsn),
    /// Minutes with something waiting, and how much.
    minutes: BTreeMap<i64, u64>,
    /// What waits in loaded minutes.
    loaded: BTreeSet<Waiting>,
    /// Minutes up to this one are loaded.
    loaded_to: i64,
}

impl Due {
    /// The due time that a new arrival is given.
    #[must_use]
    pub fn effective_ms(&self, due_ms: i64) -> i64 {
        due_ms.max(self.fired.0)
    }

    /// Something now waits. `due_ms` must come from [`Self::effective_ms`].
    pub fn on_arrived(&mut self, waiting: Waiting) {
        let minute = minute_of(waiting.due_ms);
        *self.minutes.entry(minute).or_default() += 1;
        if minute <= self.loaded_to {
            self.loaded.insert(waiting);
        }
    }

    /// Something fired. Answers the minute that is now empty, if it is.
    pub fn on_fired(&mut self, due_ms: i64, lsn: Lsn) -> Option<i64> {
        self.fired = self.fired.max((due_ms, lsn));
        let first = Waiting { due_ms, lsn, len: 0 };
        if let Some(found) =
            self.loaded.range(first..).next().copied().filter(|w| w.due_ms == due_ms && w.lsn == lsn)
        {
            self.loaded.remove(&found);
        }
        let minute = minute_of(due_ms);
        let left = self.minutes.get_mut(&minute)?;
        *left = left.saturating_sub(1);
        if *left > 0 {
            return None;
        }
        self.minutes.remove(&minute);
        Some(minute)
    }

    /// Minutes that must be loaded by now, first to last.
    #[must_use]
    pub fn to_load(&self, now_ms: i64) -> Vec<i64> {
        let last = minute_of(now_ms + LOAD_AHEAD_MS);
        if last <= self.loaded_to {
            return Vec::new();
        }
        self.minutes.range(self.loaded_to + 1..=last).map(|(minute, _)| *minute).collect()
    }

    /// A minute's waiting things were read; those that fired already are passed over.
    pub fn on_loaded(&mut self, waiting: impl Iterator<Item = Waiting>) {
        let fired = self.fired;
        self.loaded.extend(waiting.filter(|w| (w.due_ms, w.lsn) > fired));
    }

    /// All minutes up to the one near `now_ms` are loaded.
    pub fn loaded_up_to(&mut self, now_ms: i64) {
        self.loaded_to = self.loaded_to.max(minute_of(now_ms + LOAD_AHEAD_MS));
    }

    /// The next thing due by `now_ms`.
    #[must_use]
    pub fn next(&self, now_ms: i64) -> Option<Waiting> {
        self.loaded.first().copied().filter(|w| w.due_ms <= now_ms)
    }

    /// When there is something to load or fire.
    #[must_use]
    pub fn next_ms(&self) -> Option<i64> {
        let fire = self.loaded.first().map(|w| w.due_ms);
        let load = self.minutes.range(self.loaded_to + 1..).next();
        let load = load.map(|(minute, _)| minute * MINUTE_MS - LOAD_AHEAD_MS);
        [fire, load].into_iter().flatten().min()
    }

    /// How much waits.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.minutes.values().sum()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.minutes.is_empty()
    }

    pub(super) fn encode(&self, out: &mut Writer<'_>) {
        out.i64(self.fired.0);
        out.u64(self.fired.1.get());
        out.u32(u32::try_from(self.minutes.len()).unwrap_or(u32::MAX));
        for (minute, count) in &self.minutes {
            out.i64(*minute);
            out.u64(*count);
        }
    }

    pub(super) fn decode(from: &mut Reader<'_>) -> Result<Self, Short> {
        let mut due = Self { fired: (from.i64()?, Lsn(from.u64()?)), ..Self::default() };
        for _ in 0..from.u32()? {
            let (minute, count) = (from.i64()?, from.u64()?);
            due.minutes.insert(minute, count);
        }
        Ok(due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(due_ms: i64, lsn: u64) -> Waiting {
        Waiting { due_ms, lsn: Lsn(lsn), len: 1 }
    }

    #[test]
    fn fires_in_order_of_time_then_position() {
        let mut due = Due::default();
        due.loaded_up_to(120_000);
        for w in [waiting(500, 30), waiting(400, 20), waiting(500, 10)] {
            due.on_arrived(w);
        }
        let mut order = Vec::new();
        while let Some(w) = due.next(1_000) {
            order.push((w.due_ms, w.lsn.get()));
            due.on_fired(w.due_ms, w.lsn);
        }
        assert_eq!(order, [(400, 20), (500, 10), (500, 30)]);
        assert!(due.is_empty());
    }

    #[test]
    fn what_is_far_is_loaded_when_its_minute_comes() {
        let mut due = Due::default();
        due.loaded_up_to(0);
        due.on_arrived(waiting(600_000, 1));
        assert_eq!(due.next(600_000), None);
        assert_eq!(due.next_ms(), Some(590_000));
        assert_eq!(due.to_load(595_000), [10]);
        due.on_loaded([waiting(600_000, 1)].into_iter());
        due.loaded_up_to(595_000);
        assert_eq!(due.next_ms(), Some(600_000));
        assert_eq!(due.on_fired(600_000, Lsn(1)), Some(10));
    }

    #[test]
    fn a_late_arrival_comes_after_what_fired() {
        let mut due = Due::default();
        due.loaded_up_to(1_000_000);
        due.on_arrived(waiting(900, 5));
        due.on_fired(900, Lsn(5));
        assert_eq!(due.effective_ms(100), 900);
        let mut bytes = Vec::new();
        due.encode(&mut Writer(&mut bytes));
        let mut again = Due::decode(&mut Reader(&bytes)).expect("whole");
        again.on_loaded([waiting(900, 5), waiting(900, 6)].into_iter());
        assert_eq!(again.next(1_000), Some(waiting(900, 6)));
    }
}
