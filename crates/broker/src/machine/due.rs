//! What happens at a time: an index over the streams of due minutes. Pure.
//!
//! Everything due waits in the stream of its minute. Of a minute that is far, memory holds one
//! [`Minute`], however much waits in it; minutes near now are loaded and fired in order of (due,
//! position). Firing, cancelling and moving are log records that name what they end, and the index
//! follows from those records alone: so each thing fires at most once, across any crash.
//!
//! ```text
//! a minute's stream   old new old X new      X cancels an entry before it, by its offset
//!                      └ floor: nothing below waits
//! ```
//! Invariants: in a minute, (due, position) of what fires keeps growing: what arrives with a due
//! time before the last fired one of its minute is given that one's time; nothing below a minute's
//! floor waits; a minute in which nothing waits is forgotten, and its stream is dropped.

use std::collections::{BTreeMap, BTreeSet};

use model::Lsn;

use super::bytes::{Reader, Short, Writer};

/// How far ahead minutes are loaded, in milliseconds.
pub const LOAD_AHEAD_MS: i64 = 10_000;
/// A wall clock that was so many minutes ahead was wrong: what was loaded by it is unloaded.
const UNLOAD_MINUTES: i64 = 60;
const MINUTE_MS: i64 = 60_000;
const DAY_MINUTES: i64 = 1_440;

#[must_use]
pub const fn minute_of(due_ms: i64) -> i64 {
    due_ms.div_euclid(MINUTE_MS)
}

#[must_use]
pub const fn start_ms(minute: i64) -> i64 {
    minute * MINUTE_MS
}

/// One thing that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Waiting {
    pub due_ms: i64,
    pub lsn: Lsn,
    pub len: u32,
}

/// All that memory holds of a minute in which something waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Minute {
    pub waiting: u64,
    /// Entries of the stream that cancel others.
    pub cancels: u64,
    /// Nothing below this position waits.
    pub floor: Lsn,
    /// Due time and position of what fired last in this minute.
    pub fired: (i64, Lsn),
}

impl Minute {
    /// True unless it has fired or was moved. Whether it was cancelled, the stream tells.
    #[must_use]
    pub fn may_wait(&self, due_ms: i64, lsn: Lsn) -> bool {
        lsn >= self.floor && (due_ms, lsn) > self.fired
    }
}

/// A minute that is being loaded.
#[derive(Debug)]
struct Loading {
    minute: i64,
    /// Offset to read on at.
    next: u64,
    /// What was read, by offset, for the cancellations that follow.
    by_offset: BTreeMap<u64, Waiting>,
}

/// An entry of a minute's stream.
#[derive(Debug, Clone, Copy)]
pub enum MinuteEntry {
    Waiting {
        offset: u64,
        waiting: Waiting,
    },
    /// Ends the entry at the offset.
    Cancels {
        offset: u64,
    },
}

/// The index.
#[derive(Debug)]
pub struct Due {
    minutes: BTreeMap<i64, Minute>,
    /// Where the oldest thing that waits in a minute may stand, at the earliest.
    oldest: BTreeSet<(Lsn, i64)>,
    oldest_of: BTreeMap<i64, Lsn>,
    /// What waits in loaded minutes.
    loaded: BTreeSet<Waiting>,
    /// Minutes up to this one are loaded; the least number: none are.
    loaded_to: i64,
    loading: Option<Loading>,
    /// Days that differ from the last checkpoint.
    dirty_days: BTreeSet<i64>,
}

impl Default for Due {
    fn default() -> Self {
        Self {
            minutes: BTreeMap::new(),
            oldest: BTreeSet::new(),
            oldest_of: BTreeMap::new(),
            loaded: BTreeSet::new(),
            loaded_to: i64::MIN,
            loading: None,
            dirty_days: BTreeSet::new(),
        }
    }
}

impl Due {
    // ---- what the log says

    /// The due time that a new arrival is given.
    #[must_use]
    pub fn effective_ms(&self, due_ms: i64) -> i64 {
        self.minutes.get(&minute_of(due_ms)).map_or(due_ms, |minute| due_ms.max(minute.fired.0))
    }

    /// Something now waits. `due_ms` must come from [`Self::effective_ms`].
    pub fn on_arrived(&mut self, waiting: Waiting) {
        let at = minute_of(waiting.due_ms);
        let new = Minute { waiting: 0, cancels: 0, floor: waiting.lsn, fired: (i64::MIN, Lsn::ZERO) };
        let minute = self.minutes.entry(at).or_insert(new);
        minute.waiting += 1;
        if minute.waiting == 1 && minute.floor == waiting.lsn {
            self.set_oldest(at, waiting.lsn);
        }
        self.dirty_days.insert(at.div_euclid(DAY_MINUTES));
        if at <= self.loaded_to {
            self.loaded.insert(waiting);
        }
    }

    /// Something fired. Answers the minute in which nothing waits any more, if so.
    pub fn on_fired(&mut self, due_ms: i64, lsn: Lsn) -> Option<i64> {
        self.unload(due_ms, lsn);
        let minute = self.minutes.get_mut(&minute_of(due_ms))?;
        minute.fired = minute.fired.max((due_ms, lsn));
        self.one_less(due_ms)
    }

    /// Something that waited was cancelled. Answers as [`Self::on_fired`].
    pub fn on_cancelled(&mut self, due_ms: i64, lsn: Lsn) -> Option<i64> {
        self.unload(due_ms, lsn);
        self.minutes.get_mut(&minute_of(due_ms))?.cancels += 1;
        self.one_less(due_ms)
    }

    /// Something that waits stands elsewhere now. Things of a minute move in order of position.
    pub fn on_moved(&mut self, from: Lsn, to: Waiting) {
        self.unload(to.due_ms, from);
        let at = minute_of(to.due_ms);
        if let Some(minute) = self.minutes.get_mut(&at) {
            minute.floor = Lsn(from.get() + 1);
            self.dirty_days.insert(at.div_euclid(DAY_MINUTES));
        }
        if at <= self.loaded_to {
            self.loaded.insert(to);
        }
    }

    fn unload(&mut self, due_ms: i64, lsn: Lsn) {
        let first = Waiting { due_ms, lsn, len: 0 };
        let found = self.loaded.range(first..).next().copied();
        if let Some(found) = found.filter(|w| w.due_ms == due_ms && w.lsn == lsn) {
            self.loaded.remove(&found);
        }
    }

    fn one_less(&mut self, due_ms: i64) -> Option<i64> {
        let at = minute_of(due_ms);
        self.dirty_days.insert(at.div_euclid(DAY_MINUTES));
        let minute = self.minutes.get_mut(&at)?;
        minute.waiting = minute.waiting.saturating_sub(1);
        if minute.waiting > 0 {
            return None;
        }
        self.minutes.remove(&at);
        if let Some(oldest) = self.oldest_of.remove(&at) {
            self.oldest.remove(&(oldest, at));
        }
        if self.loading.as_ref().is_some_and(|loading| loading.minute == at) {
            self.loading = None;
        }
        Some(at)
    }

    // ---- questions

    /// True if it may still fire, as far as can be told without the minute's stream.
    #[must_use]
    pub fn may_wait(&self, due_ms: i64, lsn: Lsn) -> bool {
        self.minutes.get(&minute_of(due_ms)).is_some_and(|minute| minute.may_wait(due_ms, lsn))
    }

    /// Whether a loaded minute holds it; `None` if its minute is not loaded.
    #[must_use]
    pub fn is_loaded(&self, due_ms: i64, lsn: Lsn) -> Option<bool> {
        let first = Waiting { due_ms, lsn, len: 0 };
        let found = || self.loaded.range(first..).next().is_some_and(|w| w.due_ms == due_ms && w.lsn == lsn);
        (minute_of(due_ms) <= self.loaded_to).then(found)
    }

    /// Up to `max` minutes with something waiting, from one on.
    #[must_use]
    pub fn minutes_from(&self, first: i64, max: usize) -> Vec<(i64, Minute)> {
        self.minutes.range(first..).take(max).map(|(at, minute)| (*at, *minute)).collect()
    }

    #[must_use]
    pub fn minute(&self, minute: i64) -> Option<Minute> {
        self.minutes.get(&minute).copied()
    }

    /// How much waits. Walks over all minutes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.minutes.values().map(|minute| minute.waiting).sum()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.minutes.is_empty()
    }

    /// In how many minutes something waits: what the index costs.
    #[must_use]
    pub fn minute_count(&self) -> usize {
        self.minutes.len()
    }

    /// Whether a new thing would need a minute more.
    #[must_use]
    pub fn is_new_minute(&self, due_ms: i64) -> bool {
        !self.minutes.contains_key(&minute_of(due_ms))
    }

    // ---- loading and firing

    /// The minute to load next, and the offset in its stream to read on at, if it is time.
    pub fn to_load(&mut self, now_ms: i64) -> Option<(i64, u64)> {
        let last = minute_of(now_ms.saturating_add(LOAD_AHEAD_MS));
        if self.loaded_to > last.saturating_add(UNLOAD_MINUTES) {
            self.loaded.retain(|w| minute_of(w.due_ms) <= last);
            self.loaded_to = last;
            self.loading = None;
        }
        if last <= self.loaded_to {
            return None;
        }
        let first = self.minutes.range(self.loaded_to + 1..=last).next().map(|(minute, _)| *minute);
        let Some(minute) = first else {
            self.loaded_to = last;
            self.loading = None;
            return None;
        };
        if self.loading.as_ref().is_none_or(|loading| loading.minute != minute) {
            // Things of a minute that was begun and is not the first any more are read again.
            self.loading = Some(Loading { minute, next: 0, by_offset: BTreeMap::new() });
        }
        self.loading.as_ref().map(|loading| (loading.minute, loading.next))
    }

    /// A part of the minute that [`Self::to_load`] named was read; none: that was all.
    pub fn on_loaded(&mut self, entries: &[MinuteEntry], next: u64) {
        let Some(loading) = &mut self.loading else { return };
        let Some(minute) = self.minutes.get(&loading.minute) else { return };
        if entries.is_empty() {
            self.loaded_to = loading.minute;
            self.loading = None;
            return;
        }
        loading.next = next;
        for entry in entries {
            match *entry {
                MinuteEntry::Waiting { offset, waiting } => {
                    if minute.may_wait(waiting.due_ms, waiting.lsn) {
                        self.loaded.insert(waiting);
                        if minute.cancels > 0 {
                            loading.by_offset.insert(offset, waiting);
                        }
                    }
                }
                MinuteEntry::Cancels { offset } => {
                    if let Some(waiting) = loading.by_offset.remove(&offset) {
                        self.loaded.remove(&waiting);
                    }
                }
            }
        }
    }

    /// The next thing due by `now_ms`.
    #[must_use]
    pub fn next(&self, now_ms: i64) -> Option<Waiting> {
        let is_whole = |w: &Waiting| minute_of(w.due_ms) <= self.loaded_to;
        self.loaded.first().copied().filter(|w| w.due_ms <= now_ms && is_whole(w))
    }

    /// When there is something to load or fire.
    #[must_use]
    pub fn next_ms(&self) -> Option<i64> {
        let fire = self.loaded.first().map(|w| w.due_ms);
        let load = self.minutes.range(self.loaded_to + 1..).next();
        let load = load.map(|(minute, _)| start_ms(*minute) - LOAD_AHEAD_MS);
        [fire, load].into_iter().flatten().min()
    }

    // ---- what a cut of the log would take

    /// The minute whose oldest thing may stand below a position, and where.
    #[must_use]
    pub fn oldest_below(&self, before: Lsn) -> Option<(Lsn, i64)> {
        self.oldest.first().copied().filter(|(lsn, _)| *lsn < before)
    }

    /// The oldest thing that waits in a minute stands here at the earliest.
    pub fn set_oldest(&mut self, minute: i64, lsn: Lsn) {
        if let Some(before) = self.oldest_of.insert(minute, lsn) {
            self.oldest.remove(&(before, minute));
        }
        self.oldest.insert((lsn, minute));
    }

    // ---- checkpoints

    /// Days that changed since this was last asked.
    pub(super) fn take_dirty_days(&mut self) -> BTreeSet<i64> {
        std::mem::take(&mut self.dirty_days)
    }

    /// The minutes of a day; `false` if nothing waits in it.
    ///
    /// ```text
    /// { minute of the day u16, waiting varint, cancels varint, floor u64,
    ///   fired: ms of the minute u16 (65535 none), position u64 }
    /// ```
    pub(super) fn encode_day(&self, day: i64, out: &mut Writer<'_>) -> bool {
        let first = day * DAY_MINUTES;
        let mut is_some = false;
        for (at, minute) in self.minutes.range(first..first + DAY_MINUTES) {
            is_some = true;
            out.u16(u16::try_from(at - first).unwrap_or(0));
            out.varint(minute.waiting);
            out.varint(minute.cancels);
            out.u64(minute.floor.get());
            out.u16(u16::try_from(minute.fired.0.saturating_sub(start_ms(*at))).unwrap_or(u16::MAX));
            out.u64(minute.fired.1.get());
        }
        is_some
    }

    pub(super) fn decode_day(&mut self, day: i64, from: &mut Reader<'_>) -> Result<(), Short> {
        while !from.0.is_empty() {
            let at = day * DAY_MINUTES + i64::from(from.u16()?);
            let (waiting, cancels, floor) = (from.varint()?, from.varint()?, Lsn(from.u64()?));
            let (ms, lsn) = (from.u16()?, Lsn(from.u64()?));
            let fired = if ms == u16::MAX { i64::MIN } else { start_ms(at) + i64::from(ms) };
            self.minutes.insert(at, Minute { waiting, cancels, floor, fired: (fired, lsn) });
            self.set_oldest(at, floor);
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "due_tests.rs"]
mod tests;
