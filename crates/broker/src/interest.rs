//! Long polling: who waits for which stream, woken by commits.
//!
//! ```text
//! caller                                   group's thread
//! register  (the seat stands in the table) makes entries readable
//! look      (nothing there)                on_committed: finds the seat
//! wait
//! ```
//! No wake-up is lost: a caller registers **before** it looks, the group's thread makes entries
//! readable **before** it calls [`Interest::on_committed`]. Both pass a sequentially consistent
//! fence in between, so one of the two sees the other. A wake-up that comes before the wait is kept.
//!
//! Who is woken by an entry:
//! - every reader ([`Interest::register`]) whose tags take it;
//! - of receivers that compete ([`Interest::register_receiver`] with one `contest`: same group, topic
//!   and filter) one per entry, those in turn that are not awake yet, because the rest would come
//!   for nothing.
//!
//! A wake-up of a receiver is a debt: it is paid by [`Waiter::done`] or by waiting again (having
//! looked and found nothing). A waiter that is dropped in debt, because its caller was cancelled or
//! left messages behind, passes the wake-up on to another of its contest. So messages are never left
//! lying while somebody who would take them sleeps.
//!
//! An entry without a tag has tag 0 and wakes nobody who wants tags. A change of a group's place
//! ([`Touch::Cursor`]) wakes receivers, of every filter, and no readers.
//!
//! Cost: a commit visits the streams that it touched and their seats; leaving is a visit per stream.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering, fence};

use hashbrown::HashMap;
use model::StreamId;
use parking_lot::Mutex;
use smallvec::SmallVec;
use tokio::sync::Notify;

use crate::machine::Touch;

/// Waiters of one stream: a commit visits all of them under one lock.
pub const WAITERS_PER_STREAM_MAX: usize = 16_384;
/// Seats in the whole table, some 20 bytes each: a waiter has one per stream.
pub const SEATS_MAX: usize = 8 * 1024 * 1024;
/// Locks of the table: enough that callers seldom meet.
const SHARDS: usize = 64;

/// Too many wait already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many waiting calls")]
pub struct TooManyWaiting;

/// Has not been woken, or has looked since.
const ASLEEP: u8 = 0;
/// Woken, and has not noticed yet.
const WOKEN: u8 = 1;
/// Has noticed, and is looking.
const LOOKING: u8 = 2;

/// One waiter, as all its streams know it.
#[derive(Debug)]
struct Seat {
    state: AtomicU8,
    notify: Notify,
    /// Tags wanted, sorted; `None`: all.
    tags: Option<Box<[u32]>>,
    contest: Option<u64>,
}

impl Seat {
    fn wants(&self, touch: Touch) -> bool {
        match touch {
            Touch::Entry { tag } => self.tags.as_ref().is_none_or(|tags| tags.binary_search(&tag).is_ok()),
            Touch::Many => true,
            Touch::Cursor => self.contest.is_some(),
        }
    }

    fn is(&self, state: u8) -> bool {
        self.state.load(Ordering::Acquire) == state
    }

    fn change(&self, from: u8, to: u8) -> bool {
        self.state.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    fn wake(&self) {
        self.state.store(WOKEN, Ordering::Release);
        self.notify.notify_one();
    }

    /// Wakes it only if it is in `state`, so that two who wake at once wake two.
    fn wake_from(&self, state: u8) -> bool {
        let woken = self.change(state, WOKEN);
        if woken {
            self.notify.notify_one();
        }
        woken
    }
}

/// The seats of one stream. Places do not move, so that leaving needs no search.
#[derive(Debug, Default)]
struct Row {
    seats: SmallVec<[Option<Arc<Seat>>; 2]>,
    vacant: Vec<u32>,
    /// Where the next search for a sleeping receiver begins: they are woken in turn.
    next: usize,
}

impl Row {
    fn taken(&self) -> usize {
        self.seats.len() - self.vacant.len()
    }

    fn sit(&mut self, seat: Arc<Seat>) -> u32 {
        if let Some(place) = self.vacant.pop() {
            if let Some(empty) = self.seats.get_mut(place as usize) {
                *empty = Some(seat);
            }
            return place;
        }
        self.seats.push(Some(seat));
        u32::try_from(self.seats.len() - 1).expect("a row has WAITERS_PER_STREAM_MAX places at most")
    }

    fn rise(&mut self, place: u32) {
        if self.seats.get_mut(place as usize).and_then(Option::take).is_some() {
            self.vacant.push(place);
        }
    }

    fn sitting(&self) -> impl Iterator<Item = &Seat> {
        self.seats.iter().flatten().map(Arc::as_ref)
    }

    /// Wakes those who want the entries, which are all of this row's stream.
    fn on_entries(&mut self, entries: &[(StreamId, Touch)]) {
        let mut left: SmallVec<[(u64, usize); 4]> = SmallVec::new();
        let (later, sooner) = self.seats.split_at(self.next.min(self.seats.len()));
        let turn = sooner.iter().enumerate().map(|(i, seat)| (i + later.len(), seat));
        let mut next = self.next;
        for (place, seat) in turn.chain(later.iter().enumerate()) {
            let Some(seat) = seat else { continue };
            let Some(contest) = seat.contest else {
                if entries.iter().any(|(_, touch)| seat.wants(*touch)) {
                    seat.wake();
                }
                continue;
            };
            let budget =
                budget(&mut left, contest, || entries.iter().filter(|(_, touch)| seat.wants(*touch)).count());
            if *budget > 0 && seat.wake_from(ASLEEP) {
                *budget -= 1;
                next = place + 1;
            }
        }
        self.next = if next < self.seats.len() { next } else { 0 };
        for (contest, left) in left {
            // Nobody else sleeps: those who look now may have looked too early.
            let looking = self.sitting().filter(|seat| seat.contest == Some(contest));
            looking.filter(|seat| seat.wake_from(LOOKING)).take(left).for_each(drop);
        }
    }

    /// Wakes one of a contest, unless one is awake already and will look.
    fn pass_on(&self, contest: u64) {
        let of_contest = || self.sitting().filter(|seat| seat.contest == Some(contest));
        if of_contest().any(|seat| seat.is(WOKEN)) {
            return;
        }
        let _found = of_contest().any(|seat| seat.wake_from(ASLEEP))
            || of_contest().any(|seat| seat.wake_from(LOOKING));
    }
}

/// How many more of a contest are to be woken.
fn budget(left: &mut SmallVec<[(u64, usize); 4]>, contest: u64, count: impl FnOnce() -> usize) -> &mut usize {
    let known = left.iter().position(|(known, _)| *known == contest);
    let index = known.unwrap_or_else(|| {
        left.push((contest, count()));
        left.len() - 1
    });
    &mut left.get_mut(index).expect("it was found or pushed").1
}

type Shard = Mutex<HashMap<StreamId, Row>>;

/// The table of waiters.
#[derive(Debug)]
pub struct Interest {
    shards: Box<[Shard]>,
    waiting: AtomicUsize,
    seats: AtomicUsize,
    max: usize,
}

impl Interest {
    /// A table for `max` waiters.
    #[must_use]
    pub fn new(max: usize) -> Self {
        let shards = (0..SHARDS).map(|_| Shard::default()).collect();
        Self { shards, waiting: AtomicUsize::new(0), seats: AtomicUsize::new(0), max }
    }

    fn shard(&self, stream: StreamId) -> &Shard {
        let mixed = stream.get().wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        let index = usize::try_from(mixed).unwrap_or(0) % SHARDS;
        self.shards.get(index).expect("the index is taken modulo the number of shards")
    }

    /// Waits for entries in any of `streams`; with `tags`, only for those whose tag is one of them.
    ///
    /// # Errors
    /// If too many wait, in all or for one of the streams.
    pub fn register(
        self: &Arc<Self>,
        streams: &[StreamId],
        tags: Option<&[i32]>,
    ) -> Result<Waiter, TooManyWaiting> {
        self.enter(streams, tags, None)
    }

    /// As [`Self::register`], for a receiver that competes with the others of `contest`: a hash of
    /// group, topic and filter, so that what one of them would take any other would take too.
    ///
    /// # Errors
    /// As [`Self::register`].
    pub fn register_receiver(
        self: &Arc<Self>,
        streams: &[StreamId],
        tags: Option<&[i32]>,
        contest: u64,
    ) -> Result<Waiter, TooManyWaiting> {
        self.enter(streams, tags, Some(contest))
    }

    fn enter(
        self: &Arc<Self>,
        streams: &[StreamId],
        tags: Option<&[i32]>,
        contest: Option<u64>,
    ) -> Result<Waiter, TooManyWaiting> {
        let tags = tags.map(|tags| {
            let mut tags: Vec<u32> = tags.iter().map(|tag| tag.cast_unsigned()).collect();
            tags.sort_unstable();
            tags.into_boxed_slice()
        });
        let seat = Seat { state: AtomicU8::new(ASLEEP), notify: Notify::new(), tags, contest };
        // From here on, dropping the waiter undoes what was done.
        let before = self.waiting.fetch_add(1, Ordering::SeqCst);
        let mut waiter = Waiter { interest: Arc::clone(self), seat: Arc::new(seat), places: SmallVec::new() };
        if before >= self.max {
            return Err(TooManyWaiting);
        }
        for stream in streams {
            waiter.sit(*stream)?;
        }
        fence(Ordering::SeqCst);
        Ok(waiter)
    }

    /// Wakes those who wait for what has just been committed: streams and what changed about
    /// them, the changes of one stream best in a row.
    pub fn on_committed(&self, touched: &[(StreamId, Touch)]) {
        fence(Ordering::SeqCst);
        if self.waiting.load(Ordering::SeqCst) == 0 {
            return;
        }
        for entries in touched.chunk_by(|a, b| a.0 == b.0) {
            let Some((stream, _)) = entries.first() else { continue };
            if let Some(row) = self.shard(*stream).lock().get_mut(stream) {
                row.on_entries(entries);
            }
        }
    }

    /// Wakes everybody, so that they see that the engine is about to stop.
    pub fn wake_all(&self) {
        for shard in &self.shards {
            shard.lock().values().flat_map(Row::sitting).for_each(Seat::wake);
        }
    }

    /// How many wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }
}

/// A seat in the table, given up when dropped.
#[derive(Debug)]
pub struct Waiter {
    interest: Arc<Interest>,
    seat: Arc<Seat>,
    places: SmallVec<[(StreamId, u32); 4]>,
}

impl Waiter {
    fn sit(&mut self, stream: StreamId) -> Result<(), TooManyWaiting> {
        let seats = &self.interest.seats;
        if seats.load(Ordering::Relaxed) >= SEATS_MAX {
            return Err(TooManyWaiting);
        }
        let mut shard = self.interest.shard(stream).lock();
        let row = shard.entry(stream).or_default();
        if row.taken() >= WAITERS_PER_STREAM_MAX {
            return Err(TooManyWaiting);
        }
        seats.fetch_add(1, Ordering::Relaxed);
        self.places.push((stream, row.sit(Arc::clone(&self.seat))));
        Ok(())
    }

    /// Completes with `true` when something wanted is committed (or was, since registering or since
    /// the last wake-up), with `false` when `patience` completes first. May be called again.
    pub async fn wait(&mut self, patience: impl Future<Output = ()>) -> bool {
        tokio::pin!(patience);
        self.seat.change(LOOKING, ASLEEP);
        loop {
            if self.seat.change(WOKEN, LOOKING) {
                return true;
            }
            // A permit without the state is left over from a wake-up that was seen before it.
            tokio::select! {
                biased;
                () = self.seat.notify.notified() => {}
                () = &mut patience => return self.seat.change(WOKEN, LOOKING),
            }
        }
    }

    /// Leaves, having taken all that there was: the wake-up is not passed on. A receiver whose
    /// answer is full does not know, and is just dropped.
    pub fn done(self) {
        self.seat.change(LOOKING, ASLEEP);
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        for (stream, place) in &self.places {
            let mut shard = self.interest.shard(*stream).lock();
            let Some(row) = shard.get_mut(stream) else { continue };
            row.rise(*place);
            if row.taken() == 0 {
                shard.remove(stream);
            }
        }
        self.interest.seats.fetch_sub(self.places.len(), Ordering::Relaxed);
        self.interest.waiting.fetch_sub(1, Ordering::SeqCst);
        if let Some(contest) = self.seat.contest.filter(|_| !self.seat.is(ASLEEP)) {
            for (stream, _) in &self.places {
                if let Some(row) = self.interest.shard(*stream).lock().get(stream) {
                    row.pass_on(contest);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
