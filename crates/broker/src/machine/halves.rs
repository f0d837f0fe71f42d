//! Half messages whose transactions are undecided, and when to ask about each. Pure.
//!
//! The work and the memory (about 150 bytes each) are those of the undecided only: what is decided
//! leaves nothing behind. That is why they are not in the streams of due minutes, where every half
//! message would leave an entry that comes due after its decision.
//!
//! ```text
//! object   record length u32, stream u64, queue offset u64, stored ms i64, next check ms i64,
//!          checks u32, producer group text
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use model::{GroupName, Lsn, StreamId};

use super::bytes::{Reader, Short, Writer};

/// The hash that finds a half message, from that of its unique id.
#[must_use]
pub const fn half_hash(unique_id: u64) -> u64 {
    // Another one than that of the message itself: a query by key finds only what was committed.
    unique_id.rotate_left(17) ^ 0x6861_6C66_206D_7367
}

/// A half message that waits for its outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Half {
    /// Length of its record's payload.
    pub len: u32,
    /// The queue that it is for.
    pub stream: StreamId,
    /// Its number among all half messages: what 4.x clients name it by, besides its position.
    pub offset: u64,
    pub stored_ms: i64,
    /// When a producer is to be asked next.
    pub check_ms: i64,
    /// How often a producer was asked.
    pub checks: u32,
    pub group: GroupName,
    /// A checkpoint has made an object of it.
    pub(super) has_object: bool,
}

#[derive(Debug)]
struct Kept {
    half: Half,
    /// When it is looked at next: its check time, or later if nobody was there to be asked.
    look_ms: i64,
}

/// All that are undecided.
#[derive(Debug, Default)]
pub struct Halves {
    by_lsn: BTreeMap<Lsn, Kept>,
    by_look: BTreeSet<(i64, Lsn)>,
    /// How many each producer group has; also makes them share the name.
    of_group: HashMap<GroupName, u64>,
    next_offset: u64,
}

impl Halves {
    /// A name that others bear already.
    #[must_use]
    pub fn shared_name(&self, group: &str) -> Option<GroupName> {
        self.of_group.get_key_value(group).map(|(name, _)| name.clone())
    }

    /// A half message was stored.
    pub fn on_arrived(&mut self, lsn: Lsn, mut half: Half) {
        self.next_offset = self.next_offset.max(half.offset + 1);
        match self.of_group.entry(half.group.clone()) {
            Entry::Occupied(mut group) => {
                half.group = group.key().clone();
                *group.get_mut() += 1;
            }
            Entry::Vacant(group) => drop(group.insert(1)),
        }
        self.by_look.insert((half.check_ms, lsn));
        let look_ms = half.check_ms;
        self.by_lsn.insert(lsn, Kept { half, look_ms });
    }

    /// A producer was asked; the next question is at `check_ms`.
    pub fn on_checked(&mut self, lsn: Lsn, check_ms: i64) {
        if let Some(kept) = self.by_lsn.get_mut(&lsn) {
            kept.half.checks = kept.half.checks.saturating_add(1);
            kept.half.check_ms = check_ms;
        }
        self.look_later(lsn, check_ms);
    }

    /// Looks at it again at `look_ms`. Not durable: after a restart it is looked at at once.
    pub fn look_later(&mut self, lsn: Lsn, look_ms: i64) {
        if let Some(kept) = self.by_lsn.get_mut(&lsn) {
            self.by_look.remove(&(kept.look_ms, lsn));
            self.by_look.insert((look_ms, lsn));
            kept.look_ms = look_ms;
        }
    }

    /// It is decided: nothing is known of it any more.
    pub fn on_ended(&mut self, lsn: Lsn) -> Option<Half> {
        let Kept { half, look_ms } = self.by_lsn.remove(&lsn)?;
        self.by_look.remove(&(look_ms, lsn));
        if let Some(count) = self.of_group.get_mut(&half.group) {
            *count -= 1;
            if *count == 0 {
                self.of_group.remove(&half.group);
            }
        }
        Some(half)
    }

    #[must_use]
    pub fn get(&self, lsn: Lsn) -> Option<&Half> {
        self.by_lsn.get(&lsn).map(|kept| &kept.half)
    }

    pub(super) fn get_mut(&mut self, lsn: Lsn) -> Option<&mut Half> {
        self.by_lsn.get_mut(&lsn).map(|kept| &mut kept.half)
    }

    /// Those behind a position, oldest first.
    pub fn behind(&self, after: Option<Lsn>) -> impl Iterator<Item = (Lsn, &Half)> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.by_lsn.range((from, Bound::Unbounded)).map(|(lsn, kept)| (*lsn, &kept.half))
    }

    /// The oldest below a position.
    #[must_use]
    pub fn first_below(&self, before: Lsn) -> Option<Lsn> {
        self.by_lsn.first_key_value().map(|(lsn, _)| *lsn).filter(|lsn| *lsn < before)
    }

    /// The next that is to be looked at by `now_ms`.
    #[must_use]
    pub fn next(&self, now_ms: i64) -> Option<Lsn> {
        self.by_look.first().filter(|(at, _)| *at <= now_ms).map(|(_, lsn)| *lsn)
    }

    /// When one is to be looked at.
    #[must_use]
    pub fn next_ms(&self) -> Option<i64> {
        self.by_look.first().map(|(at, _)| *at)
    }

    /// The number of the next half message.
    #[must_use]
    pub const fn next_offset(&self) -> u64 {
        self.next_offset
    }

    /// As a checkpoint says: at least this.
    pub(super) fn restore_offset(&mut self, next: u64) {
        self.next_offset = self.next_offset.max(next);
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.by_lsn.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_lsn.is_empty()
    }
}

impl Half {
    pub(super) fn encode(&self, out: &mut Writer<'_>) {
        out.u32(self.len);
        out.u64(self.stream.get());
        out.u64(self.offset);
        out.i64(self.stored_ms);
        out.i64(self.check_ms);
        out.u32(self.checks);
        out.text(self.group.as_str());
    }

    /// As a checkpoint wrote it.
    pub(super) fn decode(from: &mut Reader<'_>) -> Result<Self, Short> {
        Ok(Self {
            len: from.u32()?,
            stream: StreamId(from.u64()?),
            offset: from.u64()?,
            stored_ms: from.i64()?,
            check_ms: from.i64()?,
            checks: from.u32()?,
            group: GroupName::new(from.text()?).map_err(|_| Short)?,
            has_object: true,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn half(offset: u64, check_ms: i64) -> Half {
        Half {
            len: 1,
            stream: StreamId(1),
            offset,
            stored_ms: 0,
            check_ms,
            checks: 0,
            group: GroupName::new("p").expect("legal"),
            has_object: false,
        }
    }

    #[test]
    fn the_undecided_are_looked_at_in_order_of_time_and_the_decided_never() {
        let mut halves = Halves::default();
        for (lsn, at) in [(10, 600), (20, 500), (30, 550)] {
            halves.on_arrived(Lsn(lsn), half(lsn, at));
        }
        assert_eq!((halves.next_ms(), halves.next(499)), (Some(500), None));
        assert_eq!(halves.next(500), Some(Lsn(20)));
        assert!(halves.on_ended(Lsn(20)).is_some());
        assert_eq!(halves.next(1_000), Some(Lsn(30)));
        halves.on_checked(Lsn(30), 2_000);
        assert_eq!((halves.next(1_000), halves.get(Lsn(30)).map(|h| h.checks)), (Some(Lsn(10)), Some(1)));
        halves.look_later(Lsn(10), 3_000);
        assert_eq!(halves.next_ms(), Some(2_000));
        assert_eq!(halves.get(Lsn(10)).map(|h| (h.checks, h.check_ms)), Some((0, 600)));
        assert!(halves.on_ended(Lsn(20)).is_none());
        assert!(halves.on_ended(Lsn(10)).is_some() && halves.on_ended(Lsn(30)).is_some());
        assert_eq!((halves.len(), halves.next_ms(), halves.of_group.len()), (0, None, 0));
        assert_eq!(halves.next_offset(), 31);
    }

    #[test]
    fn an_object_keeps_all_that_is_durable() {
        let mut bytes = Vec::new();
        let before = Half { checks: 3, has_object: true, ..half(7, 9) };
        before.encode(&mut Writer(&mut bytes));
        assert_eq!(Half::decode(&mut Reader(&bytes)), Ok(before));
    }
}
