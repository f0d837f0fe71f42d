//! The newest frames as shared buffers, so that readers that keep up never touch the disk.
//!
//! Invariant: the cached frames are adjacent and end at the log's end. The owner pushes once per
//! frame; readers hold the lock for one binary search and leave with a reference to the buffer.

use std::collections::VecDeque;

use bytes::Bytes;
use model::{Epoch, Lsn};
use parking_lot::RwLock;

use super::frame::{
    FRAME_HEADER_BYTES, FrameHeader, RECORD_HEADER_BYTES, check_record, decode_record_header,
};

/// Bookkeeping per frame, counted against the budget.
const FRAME_OVERHEAD: u64 = 128;

#[derive(Debug, Clone)]
struct Cached {
    lsn: Lsn,
    bytes: Bytes,
    /// Memory that the buffer takes: it may have grown beyond its content.
    held: usize,
}

impl Cached {
    fn end(&self) -> Lsn {
        self.lsn.plus(self.bytes.len() as u64)
    }

    fn cost(&self) -> u64 {
        self.held as u64 + FRAME_OVERHEAD
    }

    fn chain(&self) -> Option<Chain> {
        FrameHeader::decode(&self.bytes).map(|h| Chain { crc: h.crc, epoch: h.epoch })
    }
}

#[derive(Debug, Default)]
struct Frames {
    queue: VecDeque<Cached>,
    cost: u64,
    /// The end of the frame before the first cached one, where known.
    before: Option<(Lsn, Chain)>,
}

impl Frames {
    fn pop_oldest(&mut self) -> Option<Cached> {
        let old = self.queue.pop_front()?;
        self.cost -= old.cost();
        self.before = old.chain().map(|chain| (old.end(), chain));
        Some(old)
    }
}

#[derive(Debug)]
pub(super) struct TailCache {
    frames: RwLock<Frames>,
    budget: u64,
}

/// A record found in memory.
#[derive(Debug, Clone)]
pub(super) struct CachedRecord {
    pub(super) kind: u8,
    pub(super) payload: Bytes,
}

impl TailCache {
    pub(super) fn new(budget: u64) -> Self {
        Self { frames: RwLock::new(Frames::default()), budget }
    }

    /// Empties the cache and names the end of the frame that the next pushed one follows.
    pub(super) fn reset(&self, before: Option<(Lsn, Chain)>) {
        *self.frames.write() = Frames { before, ..Frames::default() };
    }

    pub(super) fn push(&self, lsn: Lsn, bytes: Bytes, held: usize) {
        let cached = Cached { lsn, bytes, held };
        // What leaves is dropped after the lock: freeing large buffers takes time.
        let mut gone: smallvec::SmallVec<[Cached; 4]> = smallvec::SmallVec::new();
        let mut frames = self.frames.write();
        frames.cost += cached.cost();
        frames.queue.push_back(cached);
        while frames.cost > self.budget && frames.queue.len() > 1 {
            gone.extend(frames.pop_oldest());
        }
        drop(frames);
    }

    /// Forgets every frame at or above `to`.
    pub(super) fn cut(&self, to: Lsn) {
        let mut frames = self.frames.write();
        while frames.queue.back().is_some_and(|f| f.end() > to) {
            if let Some(old) = frames.queue.pop_back() {
                frames.cost -= old.cost();
            }
        }
    }

    /// The frame that holds `lsn`.
    fn find(&self, lsn: Lsn) -> Option<Cached> {
        let frames = self.frames.read();
        if lsn < frames.queue.front()?.lsn {
            return None;
        }
        let i = frames.queue.partition_point(|f| f.lsn <= lsn).checked_sub(1)?;
        frames.queue.get(i).filter(|f| lsn < f.end()).cloned()
    }

    pub(super) fn record(&self, lsn: Lsn, len: u32) -> Option<CachedRecord> {
        let frame = self.find(lsn)?;
        let at = usize::try_from(lsn.get() - frame.lsn.get()).ok().filter(|at| *at >= FRAME_HEADER_BYTES)?;
        let rest = frame.bytes.get(at..)?;
        let header = decode_record_header(rest, rest.len() as u64)?;
        if len == 0 {
            // Nothing but the position is known of it: the checksum tells whether a record stands here.
            check_record(rest.get(..header.len as usize)?, lsn).ok()?;
        } else if header.len != len {
            return None;
        }
        let payload = frame.bytes.slice(at + RECORD_HEADER_BYTES..at + header.len as usize);
        Some(CachedRecord { kind: header.kind, payload })
    }

    /// Whole frames from the one that begins at `from`, while they are cached, at most `max`
    /// bytes but at least one.
    pub(super) fn frames_from(&self, from: Lsn, max: usize) -> Vec<Bytes> {
        let frames = self.frames.read();
        let Ok(first) = frames.queue.binary_search_by_key(&from, |f| f.lsn) else { return Vec::new() };
        let mut total = 0;
        let mut out = Vec::new();
        for frame in frames.queue.range(first..) {
            total += frame.bytes.len();
            if total > max && !out.is_empty() {
                break;
            }
            out.push(frame.bytes.clone());
        }
        out
    }

    /// What is known of a position.
    pub(super) fn boundary(&self, at: Lsn) -> Boundary {
        let frames = self.frames.read();
        if let Some((lsn, chain)) = frames.before
            && lsn == at
        {
            return Boundary::EndOf(chain);
        }
        let Some(first) = frames.queue.front() else { return Boundary::Unknown };
        if at <= first.lsn {
            return Boundary::Unknown;
        }
        let found = frames.queue.binary_search_by_key(&at, Cached::end);
        match found.ok().and_then(|i| frames.queue.get(i)?.chain()) {
            Some(chain) => Boundary::EndOf(chain),
            None => Boundary::Inside,
        }
    }

    pub(super) fn cost(&self) -> u64 {
        self.frames.read().cost
    }
}

/// What a frame hands on to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Chain {
    pub(crate) crc: u32,
    pub(crate) epoch: Epoch,
}

/// Answer of [`TailCache::boundary`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Boundary {
    /// A frame ends here.
    EndOf(Chain),
    /// Inside a frame, or beyond the end.
    Inside,
    /// Older than what is cached.
    Unknown,
}
