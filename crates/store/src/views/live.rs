//! Streams in memory: the entries since the last checkpoint, and the ends of idle streams.
//!
//! Each stream lives in one of [`SHARDS`] shards, each behind its own lock. A shard has two
//! generations: `current`, which the owner appends to, and `frozen`, which a checkpoint is
//! writing. When that is done, the streams of the frozen generation become idle: only their ends
//! stay, so that the next append need not look into the runs.
//!
//! Order of trust for the end of a stream: current, frozen, idle, runs. Only the owner and the
//! checkpoint job fill `idle`; a reader must not, because what it read may be old by then.

use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use hashbrown::HashMap;
use model::Lsn;
use parking_lot::RwLock;
use smallvec::SmallVec;

use super::entry::Entry;
use super::filter::mix;
use super::idle_ends::IdleEnds;
use crate::limits::SHARDS;

/// Hashes stream ids the same way in every process, so that a simulation can be repeated.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct StreamHasher(u64);

impl Hasher for StreamHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = super::filter::hash_bytes(bytes);
    }

    fn write_u64(&mut self, id: u64) {
        self.0 = mix(id);
    }
}

pub(crate) type StreamMap<T> = HashMap<u64, T, BuildHasherDefault<StreamHasher>>;

/// Where a stream ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) next_offset: u64,
    pub(crate) last_time_ms: i64,
}

/// What one generation says of a stream.
#[derive(Debug, Clone, Default)]
pub(crate) struct LiveStream {
    /// Most streams of a generation have one entry, which then needs no allocation of its own.
    pub(crate) entries: SmallVec<[Entry; 1]>,
    pub(crate) end: End,
    /// The stream was dropped before these entries: older generations and runs do not count.
    pub(crate) reset: bool,
}

impl LiveStream {
    pub(crate) fn push(&mut self, entry: Entry) {
        debug_assert!(self.entries.last().is_none_or(|e| e.lsn <= entry.lsn), "positions ascend in a stream");
        self.end = End { next_offset: entry.next_offset(), last_time_ms: entry.time_ms };
        self.entries.push(entry);
    }

    /// Adds what a later generation says.
    fn absorb(&mut self, later: Self) {
        if later.reset {
            *self = later;
        } else {
            self.entries.extend(later.entries);
            self.end = later.end;
        }
    }
}

pub(crate) type Generation = StreamMap<LiveStream>;

/// Streams whose ids hash alike.
#[derive(Default)]
pub(crate) struct Shard {
    pub(crate) current: Generation,
    pub(crate) frozen: Option<Arc<Generation>>,
    idle: IdleEnds,
    /// First readable offsets that were looked up, while the log starts at `mins_at`.
    mins: StreamMap<u64>,
    mins_at: Lsn,
    /// Grows whenever what was looked up before may be wrong.
    drops: u64,
    /// Most ends and first offsets that are remembered.
    idle_max: usize,
}

impl Shard {
    /// The end of a stream, if memory knows it.
    pub(crate) fn end(&self, stream: u64) -> Option<End> {
        let frozen = || self.frozen.as_ref().and_then(|f| f.get(&stream));
        let live = self.current.get(&stream).or_else(frozen).map(|s| s.end);
        live.or_else(|| self.idle.get(stream))
    }

    pub(crate) fn frozen_stream(&self, stream: u64) -> Option<&LiveStream> {
        self.frozen.as_ref()?.get(&stream)
    }

    pub(crate) fn remember_end(&mut self, stream: u64, end: End) {
        if self.idle.len() >= self.idle_max && self.idle.get(stream).is_none() {
            // Rare, and what is lost can be looked up again: simpler than tracking who is used.
            self.idle.clear();
        }
        self.idle.insert(stream, end);
    }

    pub(crate) fn drop_stream(&mut self, stream: u64) {
        self.idle.remove(stream);
        self.mins.remove(&stream);
        self.drops += 1;
        self.current.insert(stream, LiveStream { reset: true, ..LiveStream::default() });
    }

    pub(crate) fn drops(&self) -> u64 {
        self.drops
    }

    pub(crate) fn known_min(&self, stream: u64, start: Lsn) -> Option<u64> {
        (self.mins_at == start).then(|| self.mins.get(&stream).copied()).flatten()
    }

    pub(crate) fn remember_min(&mut self, stream: u64, start: Lsn, min: u64) {
        if self.mins_at != start || self.mins.len() >= self.idle_max {
            self.mins.clear();
            self.mins_at = start;
        }
        self.mins.insert(stream, min);
    }

    /// Moves the current generation to the frozen place, behind what a failed checkpoint left there.
    fn freeze(&mut self) -> Arc<Generation> {
        let current = std::mem::take(&mut self.current);
        let frozen = match self.frozen.take() {
            None => Arc::new(current),
            Some(left) => {
                let mut all = Arc::unwrap_or_clone(left);
                for (stream, live) in current {
                    all.entry(stream).or_default().absorb(live);
                }
                Arc::new(all)
            }
        };
        self.frozen = Some(Arc::clone(&frozen));
        frozen
    }

    /// Of entries, and of the ends and first offsets that are remembered.
    fn memory_bytes(&self) -> (usize, usize) {
        let live = |g: &Generation| {
            let spilled =
                g.values().filter(|s| s.entries.spilled()).map(|s| s.entries.capacity()).sum::<usize>();
            g.capacity() * size_of::<(u64, LiveStream)>() + spilled * size_of::<Entry>()
        };
        let frozen = self.frozen.as_ref().map_or(0, |f| live(f));
        let ends = self.idle.allocation_bytes() + self.mins.allocation_size();
        (live(&self.current) + frozen, ends)
    }
}

/// All shards.
pub(crate) struct LiveStreams {
    shards: Vec<RwLock<Shard>>,
    /// The shard of a hash by its upper bits.
    places: Box<[u8; PLACES]>,
}

/// Shares of the hashes that shards are given.
const PLACES: usize = 4_096;

/// The largest shard gets twice the share of the smallest, with all shares in between: a table doubles
/// when it is full, and shards of one size would all stand half empty at the same number of streams.
fn places() -> Box<[u8; PLACES]> {
    Box::new(std::array::from_fn(|place| {
        let doubling = (1.0 + place as f64 / PLACES as f64).log2();
        // Below SHARDS, which is 64.
        (doubling * SHARDS as f64) as u8
    }))
}

impl LiveStreams {
    pub(crate) fn new(idle_max: usize) -> Self {
        let places = places();
        let shard = |shard: usize| {
            let share = places.iter().filter(|place| usize::from(**place) == shard).count();
            Shard { idle_max: (idle_max * share / PLACES).max(1), ..Shard::default() }
        };
        let shards = (0..SHARDS).map(|i| RwLock::new(shard(i))).collect();
        Self { shards, places }
    }

    pub(crate) fn shard(&self, stream: u64) -> &RwLock<Shard> {
        // The maps inside use the low bits of the same hash.
        let i = self.places.get((mix(stream) >> 48) as usize % PLACES).copied().unwrap_or_default();
        self.shards.get(usize::from(i)).expect("the index is below the number of shards")
    }

    pub(crate) fn freeze(&self) -> Vec<Arc<Generation>> {
        self.shards.iter().map(|s| s.write().freeze()).collect()
    }

    /// Keeps the ends of written streams, one shard at a time, so that nobody waits for long.
    pub(crate) fn remember_ends(&self, written: &[Arc<Generation>]) {
        for (shard, generation) in self.shards.iter().zip(written) {
            let mut shard = shard.write();
            for (stream, live) in generation.iter() {
                if live.end.next_offset == 0 {
                    shard.idle.remove(*stream);
                } else {
                    shard.remember_end(*stream, live.end);
                }
            }
        }
    }

    /// Remembers an end unless one is known that is newer, as long as there is room.
    pub(crate) fn learn_end(&self, stream: u64, end: End) {
        let mut shard = self.shard(stream).write();
        if shard.idle.len() < shard.idle_max {
            shard.idle.insert_if_unknown(stream, end);
        }
    }

    /// Forgets the ends of streams that were dropped: there may be many.
    pub(crate) fn forget_dropped(&self) {
        for shard in &self.shards {
            shard.write().idle.retain(|end| end.next_offset > 0);
        }
    }

    /// Forgets the frozen generations, which the runs hold now.
    pub(crate) fn drop_frozen(&self) {
        for shard in &self.shards {
            let frozen = shard.write().frozen.take();
            drop(frozen);
        }
    }

    /// Forgets everything that no checkpoint holds.
    pub(crate) fn rewind(&self) {
        for shard in &self.shards {
            let mut shard = shard.write();
            shard.current = Generation::default();
            shard.idle = IdleEnds::default();
            shard.mins = StreamMap::default();
            shard.drops += 1;
        }
    }

    /// A copy of all live streams, both generations as one, in id order: for hashing.
    pub(crate) fn snapshot(&self) -> Vec<(u64, LiveStream)> {
        let mut all: Vec<(u64, LiveStream)> = Vec::new();
        for shard in &self.shards {
            let shard = shard.read();
            let mut merged = shard.frozen.as_ref().map(|f| Generation::clone(f)).unwrap_or_default();
            for (stream, live) in &shard.current {
                merged.entry(*stream).or_default().absorb(live.clone());
            }
            all.extend(merged);
        }
        all.sort_unstable_by_key(|(stream, _)| *stream);
        all
    }

    /// Of entries, and of what is remembered of idle streams.
    pub(crate) fn memory_bytes(&self) -> (usize, usize) {
        self.shards.iter().fold((0, 0), |(live, ends), shard| {
            let of_shard = shard.read().memory_bytes();
            (live + of_shard.0, ends + of_shard.1)
        })
    }

    /// Streams with entries in memory, and streams of which only the end is kept.
    pub(crate) fn counts(&self) -> (usize, usize) {
        self.shards.iter().fold((0, 0), |(live, idle), shard| {
            let shard = shard.read();
            (
                live + shard.current.len() + shard.frozen.as_ref().map_or(0, |f| f.len()),
                idle + shard.idle.len(),
            )
        })
    }
}
