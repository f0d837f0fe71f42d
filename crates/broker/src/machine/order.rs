//! Order inside a queue: what blocks what, and what may be handed out now. Pure.
//!
//! ```text
//! offset   3    4    5    6    7    8
//! key      a    b    a    c    b    d
//!          hid  wait wait end  wait ahead      hid: a delivery hides it
//!               free                free
//! ```
//! A message blocks the later ones of its key while a delivery hides it, and while it waits itself.
//! A delivery whose time is over hides nothing: its message is the next of its key again. Several
//! messages of a key may go out together; then they are handed out in order.
//!
//! Keys are hashes: two message groups with one hash wait for each other, which costs time and no
//! order.

use hashbrown::HashSet;
use model::group::OrderBy;

use super::cursor::Cursor;
use super::records::DeliverPart;
use crate::streams::fnv1a;

/// What a message blocks: the later messages of the same key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrderKey(pub u64);

impl OrderKey {
    /// Not delivered in order. In the eyes of a receiver in order it blocks its whole queue.
    pub const NONE: Self = Self(0);
    /// The whole queue: conflicts with every key.
    pub const QUEUE: Self = Self(1);
    /// Messages without a message group.
    const KEYLESS: Self = Self(2);
    const FIRST_HASH: u64 = 3;

    /// The key of a message with this message group (`__SHARDINGKEY`).
    #[must_use]
    pub fn of(message_group: Option<&str>, by: OrderBy) -> Self {
        match (by, message_group) {
            (OrderBy::Queue, _) => Self::QUEUE,
            (OrderBy::Key, None | Some("")) => Self::KEYLESS,
            (OrderBy::Key, Some(group)) => Self(fnv1a(group.bytes()).max(Self::FIRST_HASH)),
        }
    }

    const fn is_whole_queue(self) -> bool {
        self.0 <= Self::QUEUE.0
    }

    /// The key under which it counts for a receiver of this order.
    const fn seen_by(self, by: OrderBy) -> Self {
        match by {
            OrderBy::Queue => Self::QUEUE,
            OrderBy::Key => self,
        }
    }
}

/// The name of a receive call as a number; 0 for a call without one.
#[must_use]
pub fn attempt_of(attempt_id: &str) -> u64 {
    if attempt_id.is_empty() { 0 } else { fnv1a(attempt_id.bytes()).max(1) }
}

/// Keys whose later messages may not go out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Blocked {
    whole_queue: bool,
    keys: HashSet<OrderKey>,
}

impl Blocked {
    #[must_use]
    pub fn blocks(&self, key: OrderKey) -> bool {
        self.whole_queue || self.keys.contains(&key) || (key.is_whole_queue() && !self.keys.is_empty())
    }

    pub fn add(&mut self, key: OrderKey) {
        self.whole_queue |= key.is_whole_queue();
        self.keys.insert(key);
    }
}

/// What an ordered receiver finds below `next`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// The same call was handed these already and did not hear of it: it gets them again.
    Again(Vec<(u64, OrderKey)>),
    Open {
        /// These may go out now, in this order.
        free: Vec<(u64, OrderKey)>,
        /// From here on. A key of `free` whose message is not taken is blocked too.
        blocked: Blocked,
        /// When the first of those that hide something stops doing so.
        until_ms: Option<i64>,
    },
}

/// One offset below `next` that is not settled.
struct Unsettled {
    offset: u64,
    key: OrderKey,
    /// Until when a delivery hides it, and to which call it went.
    hidden: Option<(i64, u64)>,
}

impl Cursor {
    /// Everything below `next` that is not settled, ascending.
    fn unsettled(&self, now_ms: i64) -> impl Iterator<Item = Unsettled> {
        let mut in_flight = self.in_flight.iter().peekable();
        let mut waiting = self.waiting.iter().peekable();
        std::iter::from_fn(move || {
            let is_held = match (in_flight.peek(), waiting.peek()) {
                (Some((held, _)), Some((waits, _))) => held < waits,
                (held, _) => held.is_some(),
            };
            if is_held {
                let (offset, held) = in_flight.next()?;
                let hidden = (held.deadline_ms > now_ms).then_some((held.deadline_ms, held.attempt_id));
                return Some(Unsettled { offset: *offset, key: held.key, hidden });
            }
            let (offset, waits) = waiting.next()?;
            Some(Unsettled { offset: *offset, key: waits.key, hidden: None })
        })
    }

    /// True if the call `attempt_id` was handed something that is still hidden for it.
    #[must_use]
    pub fn repeats(&self, now_ms: i64, attempt_id: u64) -> bool {
        let is_theirs = |held: &super::cursor::InFlight| held.attempt_id == attempt_id;
        attempt_id != 0 && self.in_flight.values().any(|held| is_theirs(held) && held.deadline_ms > now_ms)
    }

    /// What an ordered receiver may have now.
    #[must_use]
    pub fn standing(&self, now_ms: i64, attempt_id: u64, by: OrderBy) -> Standing {
        if self.repeats(now_ms, attempt_id) {
            let theirs = self.in_flight.iter().filter(|(_, held)| held.attempt_id == attempt_id);
            let still = theirs.filter(|(_, held)| held.deadline_ms > now_ms);
            return Standing::Again(still.map(|(offset, held)| (*offset, held.key)).collect());
        }
        let (mut free, mut blocked, mut until_ms) = (Vec::new(), Blocked::default(), None::<i64>);
        for Unsettled { offset, key, hidden } in self.unsettled(now_ms) {
            if let Some((deadline_ms, _)) = hidden {
                blocked.add(key.seen_by(by));
                until_ms = Some(until_ms.map_or(deadline_ms, |until| until.min(deadline_ms)));
            } else if blocked.blocks(key.seen_by(by)) {
                blocked.add(key.seen_by(by));
            } else {
                free.push((offset, key.seen_by(by)));
            }
        }
        Standing::Open { free, blocked, until_ms }
    }

    /// What a receiver without order finds below `next`: what waits, and what was delivered in
    /// order before the group gave up its order.
    #[must_use]
    pub fn behind(&self, now_ms: i64, max: usize) -> Vec<u64> {
        if self.is_plain() {
            return Vec::new();
        }
        let is_free = |unsettled: &Unsettled| {
            unsettled.hidden.is_none()
                && (unsettled.key != OrderKey::NONE || self.waiting.contains_key(&unsettled.offset))
        };
        self.unsettled(now_ms).filter(is_free).map(|unsettled| unsettled.offset).take(max).collect()
    }

    /// A choice of `part` still stands: what it repeats is free or goes to the same call again, and
    /// nothing in it overtakes an earlier message of its key.
    #[must_use]
    pub fn allows_in_order(&self, part: &DeliverPart, now_ms: i64, attempt_id: u64, by: OrderBy) -> bool {
        let mut blocked = Blocked::default();
        let mut chosen = part.offsets.iter().zip(&part.keys).peekable();
        let mut passed = part.passed.iter().peekable();
        for Unsettled { offset, key, hidden } in self.unsettled(now_ms) {
            if chosen.next_if(|(next, _)| **next == offset).is_some() {
                let is_free = hidden.is_none_or(|(_, to)| attempt_id != 0 && to == attempt_id);
                if !is_free || blocked.blocks(key.seen_by(by)) {
                    return false;
                }
            } else if passed.next_if(|next| **next == offset).is_some() {
                if hidden.is_some() {
                    return false;
                }
            } else {
                blocked.add(key.seen_by(by));
            }
        }
        // What is left over is new; what is passed over now blocks as well.
        let mut waiting = part.waiting.iter().peekable();
        passed.peek().is_none()
            && chosen.all(|(offset, key)| {
                while let Some((_, waits)) = waiting.next_if(|(next, _)| next < offset) {
                    blocked.add(waits.seen_by(by));
                }
                *offset >= self.next && !blocked.blocks(key.seen_by(by))
            })
    }

    /// A choice without order still stands: what it repeats or ends is free.
    #[must_use]
    pub fn allows_unordered(&self, part: &DeliverPart, now_ms: i64) -> bool {
        let is_free = |offset: &u64| {
            self.waiting.contains_key(offset)
                || self
                    .in_flight
                    .get(offset)
                    .is_some_and(|held| held.key != OrderKey::NONE && held.deadline_ms <= now_ms)
        };
        let repeated = part.offsets.iter().filter(|offset| **offset < self.next);
        repeated.chain(&part.passed).all(is_free)
    }
}

#[cfg(test)]
#[path = "order_tests.rs"]
mod tests;
