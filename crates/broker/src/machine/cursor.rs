//! What a group was handed from one queue, and what of it is in flight. Pure.
//!
//! ```text
//! offset   0 1 2 3 4 5 6 7 8 9
//!          ack'd │ f a f a│ ahead      f in flight, a acked
//!          committed=3    next=7
//! ```
//! Invariants: every offset below `next` is acknowledged or in flight, in exactly one delivery;
//! a nonce that is not the newest of its offset changes nothing; `attempt` never decreases.

use std::collections::BTreeMap;

use model::Lsn;

use super::bytes::{Reader, Short, Writer};

/// One unsettled delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InFlight {
    /// Until when it is hidden, Unix milliseconds.
    pub deadline_ms: i64,
    /// Position of the record that delivered or extended it.
    pub nonce: Lsn,
    /// Deliveries from this queue, from 1. Grows only in ordered groups: others retry elsewhere.
    pub attempt: u32,
}

/// Progress of a group in a queue.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cursor {
    /// First offset never handed out.
    pub next: u64,
    pub in_flight: BTreeMap<u64, InFlight>,
    /// Ordered groups: whose delivery is in flight.
    pub attempt_id: String,
}

/// What an ordered queue would hand out now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ordered {
    /// Earlier messages are in flight: until when the first of them is hidden.
    Blocked { until_ms: i64 },
    /// These were handed out before and come again, then those from `next` on.
    Again(Vec<u64>),
}

impl Cursor {
    #[must_use]
    pub fn starting_at(next: u64) -> Self {
        Self { next, ..Self::default() }
    }

    /// First offset that is not settled: what a fetching client of the group would resume at.
    #[must_use]
    pub fn committed(&self) -> u64 {
        self.in_flight.keys().next().map_or(self.next, |first| self.next.min(*first))
    }

    /// Hands out `offsets` and moves on to `next`. The same attempt again does not count as one.
    pub fn deliver(&mut self, next: u64, offsets: &[u64], nonce: Lsn, deadline_ms: i64, attempt_id: &str) {
        let same_attempt = !attempt_id.is_empty() && self.attempt_id == attempt_id;
        for offset in offsets {
            let attempt = match self.in_flight.get(offset) {
                Some(before) if same_attempt => before.attempt,
                Some(before) => before.attempt.saturating_add(1),
                None => 1,
            };
            self.in_flight.insert(*offset, InFlight { deadline_ms, nonce, attempt });
        }
        self.next = self.next.max(next);
        attempt_id.clone_into(&mut self.attempt_id);
    }

    /// True if `nonce` is the newest of an unsettled delivery.
    #[must_use]
    pub fn holds(&self, offset: u64, nonce: Lsn) -> bool {
        self.in_flight.get(&offset).is_some_and(|held| held.nonce == nonce)
    }

    /// Ends a delivery.
    pub fn settle(&mut self, offset: u64) {
        self.in_flight.remove(&offset);
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
    }

    /// Offsets whose time to be hidden is over.
    #[must_use]
    pub fn expired(&self, now_ms: i64, max: usize) -> Vec<u64> {
        self.in_flight
            .iter()
            .filter(|(_, held)| held.deadline_ms <= now_ms)
            .map(|(o, _)| *o)
            .take(max)
            .collect()
    }

    /// When the next delivery stops being hidden.
    #[must_use]
    pub fn first_deadline_ms(&self) -> Option<i64> {
        self.in_flight.values().map(|held| held.deadline_ms).min()
    }

    /// What an ordered group may have now.
    #[must_use]
    pub fn ordered(&self, now_ms: i64, attempt_id: &str) -> Ordered {
        let same_attempt = !attempt_id.is_empty() && self.attempt_id == attempt_id;
        let hidden =
            self.in_flight.values().map(|held| held.deadline_ms).filter(|deadline| *deadline > now_ms).min();
        match hidden {
            Some(until_ms) if !same_attempt => Ordered::Blocked { until_ms },
            _ => Ordered::Again(self.in_flight.keys().copied().collect()),
        }
    }

    pub(super) fn encode(&self, out: &mut Writer<'_>) {
        out.u64(self.next);
        out.text(&self.attempt_id);
        out.u32(u32::try_from(self.in_flight.len()).expect("in-flight is limited per queue"));
        for (offset, held) in &self.in_flight {
            out.u64(*offset);
            out.i64(held.deadline_ms);
            out.u64(held.nonce.get());
            out.u32(held.attempt);
        }
    }

    pub(super) fn decode(bytes: &mut Reader<'_>) -> Result<Self, Short> {
        let mut cursor = Self::starting_at(bytes.u64()?);
        bytes.text()?.clone_into(&mut cursor.attempt_id);
        for _ in 0..bytes.u32()? {
            let offset = bytes.u64()?;
            let held =
                InFlight { deadline_ms: bytes.i64()?, nonce: Lsn(bytes.u64()?), attempt: bytes.u32()? };
            cursor.in_flight.insert(offset, held);
        }
        Ok(cursor)
    }
}

#[cfg(test)]
#[path = "cursor_tests.rs"]
mod tests;
