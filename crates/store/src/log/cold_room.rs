//! Memory for what cold reads bring, over all readers.
//!
//! Who reads waits for all of its room before it reads anything, so that two readers never wait for
//! each other. What was read keeps its room until its reader takes it up; a reader that does not come
//! for it (its client takes nothing, so nobody polls it) loses it once others wait for room, and reads
//! again when it comes. So all that was read is counted, and nobody is held up.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::time::Duration;

use base::Clock;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::reader::Found;
use crate::limits::UNTAKEN_READ_MS;

const UNTAKEN_READ: Duration = Duration::from_millis(UNTAKEN_READ_MS);

pub(super) struct ColdRoom {
    free: Arc<Semaphore>,
    max: u32,
    clock: Arc<dyn Clock>,
    /// Oldest first.
    untaken: Mutex<VecDeque<Weak<Untaken>>>,
}

/// Room of one read, free again when dropped.
pub(super) type Room = OwnedSemaphorePermit;

/// What was read, until it is taken up or given up.
pub(super) struct Untaken {
    since: Duration,
    found: Mutex<Option<(Found, Room)>>,
}

impl Untaken {
    /// `None`: somebody else needed the room.
    pub(super) fn take(&self) -> Option<Found> {
        self.found.lock().take().map(|(found, _room)| found)
    }
}

impl ColdRoom {
    const UNIT_BYTES: usize = 4 * 1024;

    pub(super) fn new(bytes: usize, clock: Arc<dyn Clock>) -> Self {
        let max = u32::try_from(bytes / Self::UNIT_BYTES).unwrap_or(u32::MAX).max(1);
        Self { free: Arc::new(Semaphore::new(max as usize)), max, clock, untaken: Mutex::default() }
    }

    /// Room for so many bytes. A read larger than all the room gets all of it. `None`: the log is closed.
    pub(super) async fn take(&self, bytes: u64) -> Option<Room> {
        let units = u32::try_from(bytes.div_ceil(Self::UNIT_BYTES as u64)).unwrap_or(u32::MAX);
        let mut room = std::pin::pin!(Arc::clone(&self.free).acquire_many_owned(units.clamp(1, self.max)));
        loop {
            tokio::select! {
                biased;
                room = &mut room => return room.ok(),
                () = self.clock.sleep(UNTAKEN_READ) => self.give_up_untaken(),
            }
        }
    }

    /// Keeps what was read, and its room, for the reader.
    pub(super) fn keep(&self, found: Found, room: Room) -> Arc<Untaken> {
        let untaken =
            Arc::new(Untaken { since: self.clock.monotonic(), found: Mutex::new(Some((found, room))) });
        let mut all = self.untaken.lock();
        // Most are taken up at once, and leave from the front.
        while all.front().is_some_and(|untaken| untaken.strong_count() == 0) {
            all.pop_front();
        }
        all.push_back(Arc::downgrade(&untaken));
        untaken
    }

    fn give_up_untaken(&self) {
        let now = self.clock.monotonic();
        let mut all = self.untaken.lock();
        while let Some(oldest) = all.front() {
            if let Some(oldest) = oldest.upgrade() {
                if now.saturating_sub(oldest.since) < UNTAKEN_READ {
                    return;
                }
                oldest.take();
            }
            all.pop_front();
        }
    }

    pub(super) fn used_bytes(&self) -> u64 {
        (self.max as usize - self.free.available_permits()) as u64 * Self::UNIT_BYTES as u64
    }
}
