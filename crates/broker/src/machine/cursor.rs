//! What a group was handed from one queue, and what of it is in flight. Pure.
//!
//! ```text
//! offset   0 1 2 3 4 5 6 7 8 9
//!          ack'd │ f a w a│ ahead      f in flight, a acked, w waits
//!          committed=3    next=7
//! ```
//! What waits was looked at and not handed out, because its key is blocked ([`super::order`]), or was
//! handed out to a caller that had gone and was taken back.
//!
//! Invariants: every offset below `next` is acknowledged, in flight in exactly one delivery, or waits;
//! a nonce that is not the newest of its offset changes nothing; `attempt` never decreases.

use std::collections::BTreeMap;

use model::Lsn;

use super::bytes::{Reader, Short, Writer};
use super::order::OrderKey;
use super::records::DeliverPart;

/// One unsettled delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InFlight {
    /// Until when it is hidden, Unix milliseconds.
    pub deadline_ms: i64,
    /// Position of the record that delivered or extended it.
    pub nonce: Lsn,
    /// Deliveries from this queue, from 1. Grows only in ordered groups: others retry elsewhere.
    pub attempt: u32,
    /// What it blocks; [`OrderKey::NONE`] if it was not delivered in order.
    pub key: OrderKey,
    /// The receive call that it was handed to, 0 if that had no name: see [`super::order::attempt_of`].
    pub attempt_id: u64,
}

/// An offset below `next` that is to be handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    pub key: OrderKey,
    /// Deliveries so far.
    pub attempts: u32,
}

/// Progress of a group in a queue.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cursor {
    /// First offset never handed out.
    pub next: u64,
    pub in_flight: BTreeMap<u64, InFlight>,
    pub waiting: BTreeMap<u64, Waiting>,
    /// How many of those in flight were delivered in order: most cursors have none, and need not look.
    keyed: usize,
}

impl Cursor {
    /// Memory of what is in flight and what waits, in bytes, about: trees are two thirds full.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let in_flight = self.in_flight.len() * size_of::<(u64, InFlight)>();
        let waiting = self.waiting.len() * size_of::<(u64, Waiting)>();
        (in_flight + waiting) * 3 / 2
    }

    #[must_use]
    pub fn starting_at(next: u64) -> Self {
        Self { next, ..Self::default() }
    }

    /// First offset that is not settled: what a fetching client of the group would resume at.
    #[must_use]
    pub fn committed(&self) -> u64 {
        let firsts = [self.in_flight.keys().next(), self.waiting.keys().next(), Some(&self.next)];
        firsts.into_iter().flatten().min().copied().unwrap_or(self.next)
    }

    /// Hands out a part's offsets, lets others wait or end, and moves on to its `next`. The same
    /// attempt again does not count as one.
    pub fn deliver(&mut self, part: &DeliverPart, nonce: Lsn, deadline_ms: i64, attempt_id: u64) {
        for (at, offset) in part.offsets.iter().enumerate() {
            let waited = self.waiting.remove(offset).map_or(0, |waiting| waiting.attempts);
            let attempt = match self.in_flight.get(offset) {
                Some(before) if attempt_id != 0 && before.attempt_id == attempt_id => before.attempt,
                Some(before) => before.attempt.saturating_add(1),
                None => waited.saturating_add(1),
            };
            let key = part.keys.get(at).copied().unwrap_or(OrderKey::NONE);
            self.put(*offset, InFlight { deadline_ms, nonce, attempt, key, attempt_id });
        }
        for (offset, key) in &part.waiting {
            self.waiting.insert(*offset, Waiting { key: *key, attempts: 0 });
        }
        for offset in &part.passed {
            self.settle(*offset);
            self.waiting.remove(offset);
        }
        self.next = self.next.max(part.next);
    }

    /// Takes a delivery back that nobody got: it waits, and does not count.
    pub fn release(&mut self, offset: u64, nonce: Lsn) {
        if !self.holds(offset, nonce) {
            return;
        }
        let Some(held) = self.settle(offset) else { return };
        let attempts = held.attempt.saturating_sub(1);
        self.waiting.insert(offset, Waiting { key: held.key, attempts });
    }

    /// True if `nonce` is the newest of an unsettled delivery.
    #[must_use]
    pub fn holds(&self, offset: u64, nonce: Lsn) -> bool {
        self.in_flight.get(&offset).is_some_and(|held| held.nonce == nonce)
    }

    /// Ends a delivery; answers what it was.
    pub fn settle(&mut self, offset: u64) -> Option<InFlight> {
        let held = self.in_flight.remove(&offset)?;
        self.keyed -= usize::from(held.key != OrderKey::NONE);
        Some(held)
    }

    fn put(&mut self, offset: u64, held: InFlight) {
        self.settle(offset);
        self.keyed += usize::from(held.key != OrderKey::NONE);
        self.in_flight.insert(offset, held);
    }

    /// Nothing in it was delivered in order, and nothing waits.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.keyed == 0 && self.waiting.is_empty()
    }

    pub fn extend(&mut self, offset: u64, nonce: Lsn, deadline_ms: i64) {
        if let Some(held) = self.in_flight.get_mut(&offset) {
            held.nonce = nonce;
            held.deadline_ms = deadline_ms;
        }
    }

    /// Progress set from outside: what is in flight is given up.
    pub fn seek(&mut self, to: u64) {
        *self = Self::starting_at(to);
    }

    /// Progress told by a client that keeps its own count.
    pub fn commit(&mut self, to: u64) {
        self.next = to;
        self.in_flight = self.in_flight.split_off(&to);
        self.keyed = self.in_flight.values().filter(|held| held.key != OrderKey::NONE).count();
        // What waits from there on is ahead again.
        self.waiting.clear();
    }

    /// Offsets whose time to be hidden is over and whose retry goes another way, with their attempts;
    /// those that were delivered in order come again from here.
    #[must_use]
    pub fn expired(&self, now_ms: i64, max: usize) -> Vec<(u64, u32)> {
        self.in_flight
            .iter()
            .filter(|(_, held)| held.deadline_ms <= now_ms && held.key == OrderKey::NONE)
            .map(|(offset, held)| (*offset, held.attempt))
            .take(max)
            .collect()
    }

    /// How many deliveries in order have stopped being hidden.
    #[must_use]
    pub fn in_order_over(&self, now_ms: i64) -> usize {
        if self.keyed == 0 {
            return 0;
        }
        let over = |held: &&InFlight| held.deadline_ms <= now_ms && held.key != OrderKey::NONE;
        self.in_flight.values().filter(over).count()
    }

    /// When the cursor is to be looked at after `now_ms`: a delivery in order that is over stays, and
    /// is not looked at again.
    #[must_use]
    pub fn next_deadline_ms(&self, now_ms: i64) -> Option<i64> {
        let ahead = |held: &&InFlight| held.deadline_ms > now_ms || held.key == OrderKey::NONE;
        self.in_flight.values().filter(ahead).map(|held| held.deadline_ms).min()
    }

    /// When the next delivery stops being hidden.
    #[must_use]
    pub fn first_deadline_ms(&self) -> Option<i64> {
        self.in_flight.values().map(|held| held.deadline_ms).min()
    }

    pub(super) fn encode(&self, out: &mut Writer<'_>) {
        out.u64(self.next);
        out.u32(u32::try_from(self.in_flight.len()).expect("in-flight is limited per queue"));
        for (offset, held) in &self.in_flight {
            out.u64(*offset);
            out.i64(held.deadline_ms);
            out.u64(held.nonce.get());
            out.u32(held.attempt);
            out.u64(held.key.0);
            out.u64(held.attempt_id);
        }
        out.u32(u32::try_from(self.waiting.len()).expect("what waits is limited per queue"));
        for (offset, waiting) in &self.waiting {
            out.u64(*offset);
            out.u64(waiting.key.0);
            out.u32(waiting.attempts);
        }
    }

    pub(super) fn decode(bytes: &mut Reader<'_>) -> Result<Self, Short> {
        let mut cursor = Self::starting_at(bytes.u64()?);
        for _ in 0..bytes.u32()? {
            let offset = bytes.u64()?;
            let held = InFlight {
                deadline_ms: bytes.i64()?,
                nonce: Lsn(bytes.u64()?),
                attempt: bytes.u32()?,
                key: OrderKey(bytes.u64()?),
                attempt_id: bytes.u64()?,
            };
            cursor.put(offset, held);
        }
        for _ in 0..bytes.u32()? {
            let offset = bytes.u64()?;
            let waiting = Waiting { key: OrderKey(bytes.u64()?), attempts: bytes.u32()? };
            cursor.waiting.insert(offset, waiting);
        }
        Ok(cursor)
    }
}

#[cfg(test)]
#[path = "cursor_tests.rs"]
mod tests;
