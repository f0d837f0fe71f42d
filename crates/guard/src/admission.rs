//! Whether a call may start now: not in a drain, and not too many of one session.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use model::SessionId;
use parking_lot::Mutex;

use crate::refuse::Refusal;

/// Sessions are spread over so many locks: calls of different connections seldom meet.
const SHARDS: usize = 16;

pub(crate) struct Admission {
    max: AtomicU32,
    draining: AtomicBool,
    open: [Mutex<HashMap<SessionId, u32>>; SHARDS],
}

/// A call's place, free again when dropped.
pub(crate) struct Seat<'a> {
    admission: &'a Admission,
    session: SessionId,
}

impl Admission {
    pub(crate) fn new(max: u32) -> Self {
        Self { max: AtomicU32::new(max), draining: AtomicBool::new(false), open: Default::default() }
    }

    /// From now on; calls that run go on.
    pub(crate) fn set_max(&self, max: u32) {
        self.max.store(max, Ordering::Relaxed);
    }

    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// `ends_work`: it finishes something begun earlier, so it is taken in a drain too.
    pub(crate) fn enter(&self, session: SessionId, ends_work: bool) -> Result<Seat<'_>, Refusal> {
        if !ends_work && self.draining.load(Ordering::Relaxed) {
            return Err(Refusal::Draining);
        }
        let max = self.max.load(Ordering::Relaxed);
        let mut open = self.shard(session).lock();
        let count = open.entry(session).or_default();
        if *count >= max {
            return Err(Refusal::TooMany { max });
        }
        *count += 1;
        Ok(Seat { admission: self, session })
    }

    fn shard(&self, session: SessionId) -> &Mutex<HashMap<SessionId, u32>> {
        let index = usize::try_from(session.get() % SHARDS as u64).unwrap_or_default();
        // The remainder is below the array's length.
        &self.open[index]
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        let mut open = self.admission.shard(self.session).lock();
        if let Entry::Occupied(mut count) = open.entry(self.session) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}
