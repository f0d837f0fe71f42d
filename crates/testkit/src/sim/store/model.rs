//! What the store must hold: the frames that were appended, and the views as plain maps.

use std::collections::BTreeMap;
use std::ops::Range;

use model::Lsn;
use store::{Bounds, Entry};

use super::ops::{ViewOp, changes};

/// A record as it was appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ModelRecord {
    pub(super) lsn: Lsn,
    pub(super) kind: u8,
    pub(super) len: u32,
    pub(super) payload: Vec<u8>,
}

/// A frame as it was appended.
#[derive(Debug, Clone)]
pub(super) struct ModelFrame {
    pub(super) lsn: Lsn,
    pub(super) end: Lsn,
    pub(super) records: Vec<ModelRecord>,
    /// Everything before it was durable when it was written.
    pub(super) flushed_before: bool,
}

/// The log and what is known of its durability.
#[derive(Debug, Clone, Default)]
pub(super) struct ModelLog {
    pub(super) frames: Vec<ModelFrame>,
    /// Everything below was reported durable.
    pub(super) flushed: Lsn,
    /// A frame whose append failed in a way that may have left it whole.
    pub(super) tentative: Option<ModelFrame>,
}

impl ModelLog {
    pub(super) fn end(&self) -> Lsn {
        self.frames.last().map_or(Lsn::ZERO, |f| f.end)
    }

    pub(super) fn is_boundary(&self, at: Lsn) -> bool {
        at == Lsn::ZERO || self.frames.binary_search_by_key(&at, |f| f.end).is_ok()
    }

    /// Forgets everything at or above the boundary `to`.
    pub(super) fn cut(&mut self, to: Lsn) {
        self.frames.truncate(self.frames.partition_point(|f| f.end <= to));
        self.flushed = self.flushed.min(to);
    }

    pub(super) fn records(&self) -> impl Iterator<Item = &ModelRecord> {
        self.frames.iter().flat_map(|f| &f.records)
    }

    /// The lowest frame that overlaps one of the ranges.
    pub(super) fn first_hit(&self, ranges: &[Range<u64>]) -> Option<&ModelFrame> {
        self.frames.iter().find(|f| is_hit(f, ranges))
    }
}

pub(super) fn is_hit(frame: &ModelFrame, ranges: &[Range<u64>]) -> bool {
    ranges.iter().any(|r| r.start < frame.end.get() && frame.lsn.get() < r.end)
}

/// A stream as the log makes it.
#[derive(Debug, Clone, Default)]
pub(super) struct ModelStream {
    pub(super) entries: Vec<Entry>,
    pub(super) next_offset: u64,
    pub(super) last_time_ms: i64,
}

impl ModelStream {
    fn visible(&self, start: Lsn, below: Lsn) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(move |e| e.lsn >= start && e.lsn < below)
    }

    pub(super) fn bounds(&self, start: Lsn, below: Lsn) -> Bounds {
        let seen = self.entries.partition_point(|e| e.lsn < below);
        let last = seen.checked_sub(1).and_then(|i| self.entries.get(i));
        let max = last
            .map_or_else(|| self.entries.first().map_or(self.next_offset, |e| e.offset), Entry::next_offset);
        let min = self.visible(start, below).next().map_or(max, |e| e.offset);
        Bounds { min, max }
    }

    pub(super) fn read(&self, from: u64, max: usize, start: Lsn, below: Lsn) -> Vec<Entry> {
        self.visible(start, below).filter(|e| e.next_offset() > from).take(max).copied().collect()
    }

    pub(super) fn first_at_or_after(&self, time_ms: i64, start: Lsn, below: Lsn) -> u64 {
        let found = self.visible(start, below).find(|e| e.time_ms >= time_ms);
        found.map_or_else(|| self.bounds(start, below).max, |e| e.offset)
    }
}

/// The views as plain maps.
#[derive(Debug, Clone, Default)]
pub(super) struct ModelViews {
    pub(super) streams: BTreeMap<u64, ModelStream>,
    pub(super) objects: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Hash, position, time.
    pub(super) keys: Vec<(u64, Lsn, i64)>,
}

impl ModelViews {
    /// What a whole log makes of empty views.
    pub(super) fn of(log: &ModelLog) -> Self {
        let mut views = Self::default();
        log.records().for_each(|record| views.apply(record));
        views
    }

    pub(super) fn apply(&mut self, record: &ModelRecord) {
        for change in changes(&record.payload, record.lsn, record.len) {
            match change {
                ViewOp::Append { stream, entry: e } => {
                    let stream = self.streams.entry(stream).or_default();
                    let entry = Entry {
                        offset: stream.next_offset,
                        lsn: e.lsn,
                        len: e.len,
                        tag: e.tag,
                        time_ms: e.time_ms,
                        count: e.count,
                        flags: e.flags,
                    };
                    stream.next_offset = entry.next_offset();
                    stream.last_time_ms = entry.time_ms;
                    stream.entries.push(entry);
                }
                ViewOp::Put { key, value } => drop(self.objects.insert(key, value)),
                ViewOp::Remove { key } => drop(self.objects.remove(&key)),
                ViewOp::Index { hash, time_ms } => self.keys.push((hash, record.lsn, time_ms)),
                ViewOp::Drop { stream } => drop(self.streams.remove(&stream)),
            }
        }
    }

    /// Positions under a hash, newest first.
    pub(super) fn lookup(&self, hash: u64, start: Lsn, below: Lsn, max: usize) -> Vec<Lsn> {
        let found = self.keys.iter().rev().filter(|(h, lsn, _)| *h == hash && *lsn >= start && *lsn < below);
        found.map(|(_, lsn, _)| *lsn).take(max).collect()
    }
}
