//! Reads streams, objects and keys from any thread.
//!
//! A read looks into memory first and into the run files second. A checkpoint publishes its run
//! before it forgets the frozen generation, so data may be seen twice (and is then taken from
//! memory) but never missed.

use std::sync::Arc;

use bytes::Bytes;
use model::{Lsn, StreamId};
use smallvec::SmallVec;

use super::directory::DirRecord;
use super::entry::Entry;
use super::key_file::KeyFile;
use super::live::Shard;
use super::live_objects::KeyEntry;
use super::merge::ObjectMerge;
use super::run::Cursor;
use super::shared::ViewsShared;
use crate::error::ReadError;
use crate::log::reader::{in_pool, pool_ended};
use crate::patience::Patience;

/// A cheap-to-clone view for readers.
#[derive(Clone)]
pub struct ViewsReader {
    shared: Arc<ViewsShared>,
    patience: Patience,
}

impl std::fmt::Debug for ViewsReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ViewsReader")
    }
}

/// The readable part of a stream: `min..max`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bounds {
    /// The first offset whose record is still in the log; `max` if there is none.
    pub min: u64,
    /// The offset that the next visible entry will have.
    pub max: u64,
}

/// Which offset a time stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Boundary {
    /// The first offset at or after the time.
    Lower,
    /// The last offset at or before the time.
    Upper,
}

/// What memory says of a stream.
struct InMemory {
    /// The first offset that memory holds; run files matter only below.
    first: Option<u64>,
    /// The stream was dropped: run files do not matter at all.
    reset: bool,
    /// [`Shard::drops`].
    drops: u64,
}

fn in_memory(shard: &Shard, stream: u64) -> InMemory {
    let current = shard.current.get(&stream);
    let frozen = shard.frozen_stream(stream).filter(|_| !current.is_some_and(|c| c.reset));
    let live = [frozen, current];
    InMemory {
        first: live.iter().flatten().find_map(|s| s.entries.first()).map(|e| e.offset),
        reset: live.iter().flatten().any(|s| s.reset),
        drops: shard.drops(),
    }
}

/// The live entries of a stream from the one that holds `from`, oldest first.
fn live_entries(shard: &Shard, stream: u64, from: u64) -> impl Iterator<Item = &Entry> {
    let current = shard.current.get(&stream);
    let frozen = shard.frozen_stream(stream).filter(|_| !current.is_some_and(|c| c.reset));
    [frozen, current].into_iter().flatten().flat_map(move |s| {
        let first = s.entries.partition_point(|e| e.next_offset() <= from);
        s.entries.get(first..).unwrap_or_default()
    })
}

/// What the views have in memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ViewsMemory {
    /// Entries, objects and keys that no checkpoint holds yet.
    pub live_bytes: usize,
    /// Ends of idle streams.
    pub ends_bytes: usize,
    /// Indexes of run files.
    pub runs_bytes: usize,
}

impl ViewsReader {
    pub(super) fn new(shared: Arc<ViewsShared>) -> Self {
        Self { shared, patience: Patience::Wait }
    }

    /// Asks something without ever blocking the caller's thread on the disk, about single streams or objects:
    /// here, if the system has in memory what it takes, or else in the pool.
    pub async fn look<T: Send + 'static>(
        &self,
        ask: impl Fn(&Self) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, ReadError> {
        let shared = Arc::clone(&self.shared);
        match ask(&Self { shared, patience: Patience::Now }) {
            Err(ReadError::NotAtHand) => {}
            known => return known,
        }
        let patient = self.clone();
        in_pool(&self.shared.log, move || ask(&patient)).await.unwrap_or_else(|| Err(pool_ended()))
    }

    // ---- streams

    /// Appends to `out` up to `max` entries from the one that holds offset `from`. Entries whose
    /// record is at or above `below` (the commit position) are invisible, as are those below the
    /// log's start. May block on the disk for entries older than the last checkpoint.
    pub fn read(
        &self,
        stream: StreamId,
        from: u64,
        max: usize,
        below: Lsn,
        out: &mut Vec<Entry>,
    ) -> Result<(), ReadError> {
        let id = stream.get();
        let start = self.shared.log.start();
        let first = out.len();
        let memory;
        {
            let shard = self.shared.live.shard(id).read();
            memory = in_memory(&shard, id);
            let visible = live_entries(&shard, id, from).take_while(|e| e.lsn < below);
            out.extend(visible.filter(|e| e.lsn >= start).take(max));
        }
        let hot = memory.reset || memory.first.is_some_and(|first| from >= first);
        if hot || max == 0 {
            return Ok(());
        }
        let hot_part = out.split_off(first);
        let end = memory.first.unwrap_or(u64::MAX);
        let mut next = from;
        self.shared.ahead.each(id, memory.drops, from, &mut |entry| {
            if entry.lsn >= below || entry.offset >= end {
                return false;
            }
            next = entry.next_offset();
            if entry.lsn >= start {
                out.push(*entry);
            }
            out.len() < first + max
        });
        if out.len() < first + max && next < end {
            self.read_chunks(id, next..end, &mut |entries| {
                let mut rest = entries.iter();
                while out.len() < first + max {
                    let Some(entry) = rest.next() else { return true };
                    if entry.lsn >= below {
                        return false;
                    }
                    if entry.lsn >= start {
                        out.push(*entry);
                    }
                }
                self.shared.ahead.keep(id, memory.drops, rest.as_slice());
                false
            })?;
        }
        let room = (first + max).saturating_sub(out.len());
        out.extend(hot_part.into_iter().take(room));
        Ok(())
    }

    /// Hands the entries of the run files in a range of offsets to `f`, in order, until it
    /// returns false.
    fn read_runs(
        &self,
        stream: u64,
        offsets: std::ops::Range<u64>,
        f: &mut dyn FnMut(Entry) -> bool,
    ) -> Result<(), ReadError> {
        self.read_chunks(stream, offsets, &mut |entries| entries.iter().all(|entry| f(*entry)))
    }

    /// As [`Self::read_runs`], as many entries at a time as stand together.
    fn read_chunks(
        &self,
        stream: u64,
        offsets: std::ops::Range<u64>,
        f: &mut dyn FnMut(&[Entry]) -> bool,
    ) -> Result<(), ReadError> {
        let start = self.shared.log.start();
        let mut entries = Vec::new();
        self.each_record(stream, offsets.start, &mut |cursor, record| {
            if record.next_offset <= offsets.start || record.last_lsn < start {
                return Ok(true);
            }
            if record.first_offset >= offsets.end {
                return Ok(false);
            }
            entries.clear();
            cursor.run().chunk(&record, &mut entries, self.patience)?;
            let first = entries.partition_point(|e| e.next_offset() <= offsets.start);
            let behind = entries.partition_point(|e| e.offset < offsets.end).max(first);
            Ok(f(entries.get(first..behind).unwrap_or_default()))
        })
    }

    /// Hands the directory records of a stream, from the chunk that holds `from`, oldest first,
    /// to `f` until it returns false.
    fn each_record(
        &self,
        stream: u64,
        from: u64,
        f: &mut dyn FnMut(&Cursor, DirRecord) -> Result<bool, ReadError>,
    ) -> Result<(), ReadError> {
        let files = self.shared.files();
        let mut cursors: SmallVec<[Cursor; 4]> = SmallVec::new();
        for run in files.runs.iter().rev() {
            let Some(cursor) = run.seek(stream, from, self.patience)? else { continue };
            let Some(record) = cursor.current() else { continue };
            cursors.push(cursor);
            // Older runs have only lower offsets.
            if record.reset || record.first_offset <= from {
                break;
            }
        }
        for cursor in cursors.iter_mut().rev() {
            while let Some(record) = cursor.current() {
                if !f(cursor, record)? {
                    return Ok(());
                }
                cursor.take()?;
            }
        }
        Ok(())
    }

    /// The readable part of a stream.
    pub fn bounds(&self, stream: StreamId, below: Lsn) -> Result<Bounds, ReadError> {
        let max = self.max(stream.get(), below)?;
        let min = self.min(stream.get(), below, max)?;
        Ok(Bounds { min: min.min(max), max })
    }

    fn max(&self, stream: u64, below: Lsn) -> Result<u64, ReadError> {
        let runs_are_visible = below >= self.shared.durable_checkpoint();
        let memory;
        {
            let shard = self.shared.live.shard(stream).read();
            memory = in_memory(&shard, stream);
            if let Some(end) = shard.end(stream) {
                let mut last_seen = None;
                let current = shard.current.get(&stream);
                let frozen = shard.frozen_stream(stream).filter(|_| !current.is_some_and(|c| c.reset));
                for live in [frozen, current].into_iter().flatten() {
                    let visible = live.entries.partition_point(|e| e.lsn < below);
                    last_seen = visible.checked_sub(1).and_then(|i| live.entries.get(i)).or(last_seen);
                }
                match (last_seen, memory.first) {
                    (Some(last), _) => return Ok(last.next_offset()),
                    (None, Some(first)) if memory.reset || runs_are_visible => return Ok(first),
                    (None, None) if memory.reset || runs_are_visible => return Ok(end.next_offset),
                    _ => {}
                }
            }
        }
        if runs_are_visible {
            return Ok(self
                .shared
                .end_in_runs(stream, self.patience)?
                .next_offset
                .min(memory.first.unwrap_or(u64::MAX)));
        }
        let mut max = 0;
        self.each_record(stream, 0, &mut |_, record| {
            if record.entries == 0 || record.last_lsn < below {
                max = record.next_offset;
                return Ok(true);
            }
            Ok(record.first_lsn < below)
        })?;
        self.read_runs(stream, max..memory.first.unwrap_or(u64::MAX), &mut |entry| {
            let visible = entry.lsn < below;
            max = if visible { entry.next_offset() } else { max };
            visible
        })?;
        Ok(max)
    }

    /// The first offset whose record is in the log.
    fn min(&self, stream: u64, below: Lsn, max: u64) -> Result<u64, ReadError> {
        let start = self.shared.log.start();
        let (memory, drops);
        {
            let shard = self.shared.live.shard(stream).read();
            drops = shard.drops();
            if let Some(min) = shard.known_min(stream, start) {
                return Ok(min);
            }
            memory = in_memory(&shard, stream);
            let live = live_entries(&shard, stream, 0).find(|e| e.lsn >= start).map(|e| e.offset);
            if memory.reset {
                return Ok(live.unwrap_or(max));
            }
        }
        let mut min = None;
        let below_memory = 0..memory.first.unwrap_or(u64::MAX);
        self.read_runs(stream, below_memory, &mut |entry| {
            min = (entry.lsn >= start && entry.lsn < below).then_some(entry.offset);
            min.is_none()
        })?;
        let mut shard = self.shared.live.shard(stream).write();
        let min = min.or_else(|| live_entries(&shard, stream, 0).find(|e| e.lsn >= start).map(|e| e.offset));
        let min = min.filter(|min| *min < max);
        // What is readable now is the first readable until the log's start moves on, unless the
        // stream was dropped while we looked.
        if let Some(min) = min
            && shard.drops() == drops
            && self.shared.log.start() == start
        {
            shard.remember_min(stream, start, min);
        }
        Ok(min.unwrap_or(max))
    }

    /// The offset that a time stands for; the stream's bounds if the time lies outside.
    pub fn offset_by_time(
        &self,
        stream: StreamId,
        time_ms: i64,
        boundary: Boundary,
        below: Lsn,
    ) -> Result<u64, ReadError> {
        let bounds = self.bounds(stream, below)?;
        let lower = |time_ms| self.first_at_or_after(stream.get(), time_ms, bounds, below);
        match boundary {
            Boundary::Lower => lower(time_ms),
            Boundary::Upper => {
                let above = match time_ms.checked_add(1) {
                    Some(next) => lower(next)?,
                    None => bounds.max,
                };
                Ok(above.saturating_sub(1).max(bounds.min))
            }
        }
    }

    /// The first readable offset with a time not below `time_ms`, or `bounds.max`.
    fn first_at_or_after(
        &self,
        stream: u64,
        time_ms: i64,
        bounds: Bounds,
        below: Lsn,
    ) -> Result<u64, ReadError> {
        let memory;
        let live;
        {
            let shard = self.shared.live.shard(stream).read();
            memory = in_memory(&shard, stream);
            let mut wanted = live_entries(&shard, stream, bounds.min).filter(|e| e.lsn < below);
            live = wanted.find(|e| e.time_ms >= time_ms).map(|e| e.offset);
        }
        let mut found = None;
        if !memory.reset && memory.first.is_none_or(|first| bounds.min < first) {
            let mut entries = Vec::new();
            self.each_record(stream, bounds.min, &mut |cursor, record| {
                if record.last_time_ms < time_ms || record.next_offset <= bounds.min || record.entries == 0 {
                    return Ok(true);
                }
                entries.clear();
                cursor.run().chunk(&record, &mut entries, self.patience)?;
                let in_bounds = |e: &&Entry| e.next_offset() > bounds.min && e.offset < bounds.max;
                found = entries.iter().filter(in_bounds).find(|e| e.time_ms >= time_ms).map(|e| e.offset);
                Ok(found.is_none())
            })?;
        }
        Ok(found.or(live).unwrap_or(bounds.max).clamp(bounds.min, bounds.max))
    }

    // ---- objects and keys

    /// The value of an object.
    pub fn object(&self, key: &[u8]) -> Result<Option<Bytes>, ReadError> {
        if let Some(known) = self.shared.objects.get(key) {
            return Ok(known);
        }
        for run in self.shared.files().runs.iter().rev() {
            if let Some(known) = run.object(key, self.patience)? {
                return Ok(known);
            }
        }
        Ok(None)
    }

    /// Hands every object whose key begins with `prefix` to `f`, in key order.
    pub fn scan_objects(&self, prefix: &[u8], f: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), ReadError> {
        // Memory first: what moves to a run file meanwhile is then seen in one of the two.
        let changed = self.shared.objects.with_prefix(prefix);
        let files = self.shared.files();
        let mut stored = ObjectMerge::new(&files.runs, prefix);
        let mut changed = changed.into_iter().peekable();
        while let Some((key, value)) = stored.next()? {
            if !key.starts_with(prefix) {
                break;
            }
            while let Some((k, v)) = changed.next_if(|(k, _)| **k < *key) {
                v.inspect(|v| f(&k, v));
            }
            match changed.next_if(|(k, _)| **k == *key) {
                Some((_, newer)) => newer.inspect(|v| f(&key, v)),
                None => value.inspect(|v| f(&key, v)),
            };
        }
        for (k, v) in changed {
            v.inspect(|v| f(&k, v));
        }
        Ok(())
    }

    /// Positions of up to `max` records that were indexed under a hash with a time in
    /// `from_ms..=to_ms`, newest first. Different keys may share a hash: check the records.
    pub fn lookup_key(
        &self,
        hash: u64,
        from_ms: i64,
        to_ms: i64,
        max: usize,
        below: Lsn,
    ) -> Result<Vec<Lsn>, ReadError> {
        let start = self.shared.log.start();
        let times = from_ms..=to_ms;
        let wanted = |e: &KeyEntry| e.lsn >= start && e.lsn < below && times.contains(&e.time_ms);
        let mut out = Vec::new();
        self.shared.keys.find(hash, &wanted, max, &mut out);
        let spread = super::filter::mix(hash);
        let mut found = Vec::new();
        for meta in self.shared.files().keys.iter().rev() {
            if out.len() >= max {
                break;
            }
            if self.patience == Patience::Now {
                return Err(ReadError::NotAtHand);
            }
            if meta.max_ms < from_ms || meta.min_ms > to_ms || meta.max_lsn < start {
                continue;
            }
            found.clear();
            let file = KeyFile::open(self.shared.doors.disk.as_ref(), &self.shared.runs_dir, meta);
            match file.and_then(|file| file.find(spread, &mut found)) {
                Ok(()) => {}
                // Merged or trimmed away since we took the list: ask again with the new one.
                Err(_) if self.is_gone(meta.id) => {
                    return self.lookup_key(hash, from_ms, to_ms, max, below);
                }
                Err(error) => return Err(error),
            }
            for entry in found.iter().rev().filter(|e| wanted(e)) {
                // A checkpoint that is written but not finished is in memory too.
                if !out.contains(&entry.lsn) {
                    out.push(entry.lsn);
                }
            }
        }
        out.sort_unstable_by(|a, b| b.cmp(a));
        out.truncate(max);
        Ok(out)
    }

    fn is_gone(&self, key_file: u64) -> bool {
        !self.shared.files().keys.iter().any(|k| k.id == key_file)
    }

    // ---- figures

    /// Streams with entries in memory, and streams of which only the end is in memory.
    #[must_use]
    pub fn streams_in_memory(&self) -> (usize, usize) {
        self.shared.live.counts()
    }

    /// Streams on disk, counted once per run that holds them: an upper bound of their number.
    #[must_use]
    pub fn stream_count(&self) -> u64 {
        self.shared.files().runs.iter().map(|r| r.footer.streams).sum()
    }

    /// Memory of live entries, ends, objects, keys and the indexes of run files.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let memory = self.memory();
        memory.live_bytes + memory.ends_bytes + memory.runs_bytes
    }

    /// The same by what it is taken for.
    #[must_use]
    pub fn memory(&self) -> ViewsMemory {
        let runs = &self.shared.files().runs;
        let (entries, ends_bytes) = self.shared.live.memory_bytes();
        ViewsMemory {
            live_bytes: entries + self.shared.objects.memory_bytes() + self.shared.keys.memory_bytes(),
            ends_bytes,
            runs_bytes: runs.iter().map(|r| r.memory_bytes()).sum::<usize>()
                + self.shared.ahead.memory_bytes(),
        }
    }

    /// Bytes of run files and key files.
    #[must_use]
    pub fn disk_bytes(&self) -> u64 {
        let files = self.shared.files();
        let keys: u64 = files.keys.iter().map(|k| k.entries * 24).sum();
        files.runs.iter().map(|r| r.bytes).sum::<u64>() + keys
    }

    /// Number of run files and key files.
    #[must_use]
    pub fn file_counts(&self) -> (usize, usize) {
        let files = self.shared.files();
        (files.runs.len(), files.keys.len())
    }
}
