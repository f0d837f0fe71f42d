//! Which message is due when: evenly spread at random, and the same for the same number.

use std::sync::atomic::{AtomicU64, Ordering};

use base::Doors;
use bytes::Bytes;

use super::super::wire::{Parcel, STAMP_BYTES, stamped};

/// A body begins with its run, when it is due (microseconds), and its number in the run.
pub(super) const INDEX_END: usize = STAMP_BYTES + 8;

pub(super) struct Plan {
    pub(super) run: u64,
    pub(super) count: u64,
    begin_ms: i64,
    within_ms: u64,
    given: AtomicU64,
}

impl Plan {
    pub(super) fn new(doors: &Doors, count: u64, begin_ms: i64, within_ms: u64) -> Self {
        let run = doors.chance.next_u64();
        Self { run, count, begin_ms, within_ms: within_ms.max(1), given: AtomicU64::new(0) }
    }

    /// The next messages to send, at most `max`; none: all were given.
    pub(super) fn next(&self, max: u64, filling: &[u8]) -> Vec<Parcel> {
        let first = self.given.fetch_add(max, Ordering::Relaxed).min(self.count);
        (first..self.count.min(first + max)).map(|index| self.parcel(index, filling)).collect()
    }

    fn due_ms(&self, index: u64) -> i64 {
        // SplitMix64: neighbours are due at unrelated times.
        let mut x = (self.run ^ index).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        self.begin_ms.saturating_add_unsigned((x ^ (x >> 31)) % self.within_ms)
    }

    fn parcel(&self, index: u64, filling: &[u8]) -> Parcel {
        let due_ms = self.due_ms(index);
        let mut body = stamped(filling, self.run, due_ms.unsigned_abs() * 1_000).to_vec();
        if let Some(place) = body.get_mut(STAMP_BYTES..INDEX_END) {
            place.copy_from_slice(&index.to_be_bytes());
        }
        Parcel { body: body.into(), due_ms: Some(due_ms) }
    }
}

/// When a message was due, Unix milliseconds, and its number; `None` if it is of another run.
pub(super) fn planned(body: &Bytes, run: u64) -> Option<(i64, u64)> {
    let due_us = super::super::wire::sent_us(body, run)?;
    let index = body.get(STAMP_BYTES..INDEX_END)?.try_into().ok()?;
    Some((i64::try_from(due_us / 1_000).ok()?, u64::from_be_bytes(index)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_given_once_and_due_within_the_time() {
        let plan = Plan { run: 7, count: 10, begin_ms: 1_000, within_ms: 50, given: AtomicU64::new(0) };
        let mut seen = Vec::new();
        loop {
            let some = plan.next(4, &[b'x'; 40]);
            if some.is_empty() {
                break;
            }
            for parcel in some {
                let (due_ms, index) = planned(&parcel.body, 7).expect("its own");
                assert_eq!((parcel.due_ms, parcel.body.len()), (Some(due_ms), 40));
                assert!((1_000..1_050).contains(&due_ms), "{due_ms}");
                seen.push(index);
            }
        }
        assert_eq!(seen, (0..10).collect::<Vec<_>>());
        assert!(plan.next(4, &[0; 40]).is_empty());
        assert_eq!(planned(&plan.parcel(3, &[0; 40]).body, 8), None);
    }
}
