//! The newest frames as shared buffers, so that readers that keep up never touch the disk.
//!
//! Invariant: the cached frames are adjacent and end at the log's end. The owner pushes once per
//! frame; readers hold the lock for one binary search and leave with a reference to the buffer.
//!
//! Frames are copied into chunks of memory, and a chunk whose frames are all gone is filled again:
//! memory that is asked of the system anew for every frame costs more than the copy.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use model::{Epoch, Lsn};
use parking_lot::{Mutex, RwLock};

use super::frame::{
    FRAME_HEADER_BYTES, FrameHeader, RECORD_HEADER_BYTES, check_record, decode_record_header,
};

/// Bookkeeping per frame, counted against the budget.
const FRAME_OVERHEAD: u64 = 128;

#[derive(Debug, Clone)]
struct Cached {
    lsn: Lsn,
    bytes: Bytes,
}

impl Cached {
    fn end(&self) -> Lsn {
        self.lsn.plus(self.bytes.len() as u64)
    }

    fn cost(&self) -> u64 {
        self.bytes.len() as u64 + FRAME_OVERHEAD
    }

    fn holds(&self, lsn: Lsn) -> bool {
        self.lsn <= lsn && lsn < self.end()
    }

    /// The kind of a record, and where its payload stands.
    fn record(&self, lsn: Lsn, len: u32) -> Option<(u8, Part<'_>)> {
        let at = usize::try_from(lsn.get() - self.lsn.get()).ok().filter(|at| *at >= FRAME_HEADER_BYTES)?;
        let rest = self.bytes.get(at..)?;
        let header = decode_record_header(rest, rest.len() as u64)?;
        if len == 0 {
            // Nothing but the position is known of it: the checksum tells whether a record stands here.
            check_record(rest.get(..header.len as usize)?, lsn).ok()?;
        } else if header.len != len {
            return None;
        }
        let payload = Part::of(&self.bytes, at + RECORD_HEADER_BYTES..at + header.len as usize)?;
        Some((header.kind, payload))
    }

    fn chain(&self) -> Option<Chain> {
        FrameHeader::decode(&self.bytes).map(|h| Chain { crc: h.crc, epoch: h.epoch })
    }
}

/// A part of a buffer that others read too: looked at where it stands, or shared.
#[derive(Debug, Clone)]
pub(super) struct Part<'a> {
    whole: &'a Bytes,
    range: std::ops::Range<usize>,
}

impl<'a> Part<'a> {
    /// `None` if it reaches beyond the whole.
    pub(super) fn of(whole: &'a Bytes, range: std::ops::Range<usize>) -> Option<Self> {
        whole.get(range.clone()).map(|_| Self { whole, range })
    }

    pub(super) fn bytes(&self) -> &'a [u8] {
        self.whole.get(self.range.clone()).unwrap_or_default()
    }

    pub(super) fn share(&self) -> Bytes {
        self.whole.slice(self.range.clone())
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
    fn find(&self, lsn: Lsn) -> Option<&Cached> {
        if lsn < self.queue.front()?.lsn {
            return None;
        }
        let i = self.queue.partition_point(|f| f.lsn <= lsn).checked_sub(1)?;
        self.queue.get(i).filter(|f| f.holds(lsn))
    }

    fn pop_oldest(&mut self) -> Option<Cached> {
        let old = self.queue.pop_front()?;
        self.cost -= old.cost();
        self.before = old.chain().map(|chain| (old.end(), chain));
        Some(old)
    }
}

/// Largest chunk; a budget has at least [`CHUNKS_MIN`] of them.
const CHUNK_BYTES_MAX: usize = 1 << 20;
const CHUNK_BYTES_MIN: usize = 4 << 10;
const CHUNKS_MIN: u64 = 16;

/// Memory for frames.
#[derive(Debug)]
struct Chunks {
    bytes: usize,
    /// What is left of the chunk that is being filled.
    filling: Option<BytesMut>,
    /// Full ones, oldest first: kept to be filled again.
    full: VecDeque<BytesMut>,
    full_max: usize,
}

impl Chunks {
    fn new(budget: u64) -> Self {
        let bytes = usize::try_from(budget / CHUNKS_MIN).unwrap_or(usize::MAX);
        let bytes = bytes.clamp(CHUNK_BYTES_MIN, CHUNK_BYTES_MAX);
        let full_max = usize::try_from(budget).unwrap_or(usize::MAX) / bytes + 1;
        Self { bytes, filling: None, full: VecDeque::new(), full_max }
    }

    fn copy(&mut self, frame: &[u8]) -> Bytes {
        if frame.len() > self.bytes / 4 {
            return Bytes::copy_from_slice(frame);
        }
        let mut chunk = match self.filling.take() {
            Some(chunk) if chunk.capacity() >= frame.len() => chunk,
            full => {
                self.full.extend(full);
                self.emptied().unwrap_or_else(|| BytesMut::with_capacity(self.bytes))
            }
        };
        chunk.extend_from_slice(frame);
        let copy = chunk.split().freeze();
        self.filling = Some(chunk);
        copy
    }

    /// The oldest chunk, if nobody reads it any more.
    fn emptied(&mut self) -> Option<BytesMut> {
        if self.full.front_mut()?.try_reclaim(self.bytes) {
            return self.full.pop_front();
        }
        if self.full.len() > self.full_max {
            // A reader holds it: it is freed when that one leaves.
            self.full.pop_front();
        }
        None
    }
}

#[derive(Debug)]
pub(super) struct TailCache {
    frames: RwLock<Frames>,
    /// The owner's: never contended.
    chunks: Mutex<Chunks>,
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
        Self { frames: RwLock::default(), chunks: Mutex::new(Chunks::new(budget)), budget }
    }

    /// Empties the cache and names the end of the frame that the next pushed one follows.
    pub(super) fn reset(&self, before: Option<(Lsn, Chain)>) {
        *self.frames.write() = Frames { before, ..Frames::default() };
    }

    pub(super) fn push(&self, lsn: Lsn, frame: &[u8]) {
        let bytes = self.chunks.lock().copy(frame);
        let cached = Cached { lsn, bytes };
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
        self.frames.read().find(lsn).cloned()
    }

    pub(super) fn record(&self, lsn: Lsn, len: u32) -> Option<CachedRecord> {
        let frame = self.find(lsn)?;
        frame.record(lsn, len).map(|(kind, payload)| CachedRecord { kind, payload: payload.share() })
    }

    /// Hands each want to `each`, with its payload if it is in memory.
    pub(super) fn payloads(&self, wants: &[(Lsn, u32)], mut each: impl FnMut((Lsn, u32), Option<Part<'_>>)) {
        let frames = self.frames.read();
        // Those that are wanted together often stand together.
        let mut last: Option<&Cached> = None;
        for (lsn, len) in wants {
            last = last.filter(|frame| frame.holds(*lsn)).or_else(|| frames.find(*lsn));
            let record = last.and_then(|frame| frame.record(*lsn, *len));
            each((*lsn, *len), record.map(|(_, payload)| payload));
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_is_filled_again_once_nobody_reads_it() {
        let mut chunks = Chunks::new(64 * 1024);
        let frame = vec![7; 1000];
        let mut cached: VecDeque<Bytes> = VecDeque::new();
        let mut places = std::collections::BTreeSet::new();
        for _ in 0..1_000 {
            cached.push_back(chunks.copy(&frame));
            places.insert(cached.back().map(|bytes| bytes.as_ptr() as usize));
            if cached.len() > 40 {
                cached.pop_front();
            }
        }
        assert!(cached.iter().all(|bytes| *bytes == frame));
        assert!(places.len() < 100, "{} places for 40 frames", places.len());
    }

    #[test]
    fn a_chunk_that_is_read_for_long_is_left_to_its_reader() {
        let mut chunks = Chunks::new(64 * 1024);
        let held = chunks.copy(&[1; 1000]);
        for _ in 0..1_000 {
            assert_eq!(chunks.copy(&[2; 1000]), [2; 1000].as_slice());
        }
        assert_eq!(held, [1; 1000].as_slice());
        assert!(chunks.full.len() <= chunks.full_max + 1);
        let large = chunks.copy(&[3; 50_000]);
        assert_eq!(large.len(), 50_000);
    }
}
