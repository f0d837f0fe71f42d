//! Merging: several adjacent runs into one, oldest first decides the order of a stream's chunks,
//! newest first decides an object's value.
//!
//! Left out: chunks wholly below the log's start, what a dropped stream had before, removed
//! objects and emptied drops once nothing older can hold them. Kept: the end of every stream that
//! was not dropped, even when all its entries are gone, because its offsets must never repeat.

use std::path::Path;
use std::sync::Arc;

use base::Disk;
use bytes::Bytes;
use model::Lsn;
use smallvec::SmallVec;

use super::entry::Entry;
use super::key_file::{KeyFile, KeyFileMeta, KeyScan, KeyWriter};
use super::run::{Cursor, ObjectCursor, Piece, Run};
use super::run_writer::{Expect, RunWriter};
use crate::error::{IoFault, JobError, ReadError};
use crate::limits::CHUNK_ENTRIES_MAX;

/// Walks over the streams of several runs at once.
pub(crate) struct StreamMerge {
    sources: Vec<Cursor>,
}

/// What several runs together say of a stream.
pub(crate) struct Merged {
    pub(crate) stream: u64,
    /// Oldest first, beginning behind the last drop.
    pub(crate) pieces: SmallVec<[Piece; 4]>,
    /// The stream was dropped before these records.
    pub(crate) reset: bool,
}

impl StreamMerge {
    /// `runs`: oldest first.
    pub(crate) fn new(runs: &[Arc<Run>]) -> Self {
        Self { sources: runs.iter().map(Run::scan).collect() }
    }

    pub(crate) fn next(&mut self) -> Result<Option<Merged>, ReadError> {
        let mut lowest: Option<u64> = None;
        for source in &mut self.sources {
            if let Some(record) = source.peek()? {
                lowest = Some(lowest.map_or(record.stream, |l| l.min(record.stream)));
            }
        }
        let Some(stream) = lowest else { return Ok(None) };
        let mut merged = Merged { stream, pieces: SmallVec::new(), reset: false };
        for source in &mut self.sources {
            while source.peek()?.is_some_and(|r| r.stream == stream) {
                let Some(piece) = source.take_piece()? else { break };
                if piece.record.reset {
                    merged.pieces.clear();
                    merged.reset = true;
                }
                merged.pieces.push(piece);
            }
        }
        Ok(Some(merged))
    }
}

/// Walks over the objects of several runs at once, each key once with its newest value.
pub(crate) struct ObjectMerge {
    /// Newest first.
    sources: Vec<ObjectCursor>,
}

impl ObjectMerge {
    /// `runs`: oldest first.
    pub(crate) fn new(runs: &[Arc<Run>], from: &[u8]) -> Self {
        Self { sources: runs.iter().rev().map(|r| r.objects_from(from)).collect() }
    }

    pub(crate) fn next(&mut self) -> Result<Option<(Bytes, Option<Bytes>)>, ReadError> {
        let mut lowest: Option<Bytes> = None;
        for source in &mut self.sources {
            if let Some((key, _)) = source.peek()?
                && lowest.as_ref().is_none_or(|l| key < l)
            {
                lowest = Some(key.clone());
            }
        }
        let Some(key) = lowest else { return Ok(None) };
        let mut newest = None;
        for source in &mut self.sources {
            if source.peek()?.is_some_and(|(k, _)| *k == key) {
                let popped = source.pop();
                newest = newest.or(popped);
            }
        }
        Ok(newest)
    }
}

/// Merges adjacent runs (oldest first) into a new file; returns its length.
pub(crate) fn merge_runs(
    disk: &dyn Disk,
    path: &Path,
    runs: &[Arc<Run>],
    log_start: Lsn,
    with_oldest: bool,
) -> Result<u64, JobError> {
    let expect = Expect {
        streams: runs.iter().map(|r| r.footer.streams).sum(),
        objects: runs.iter().map(|r| r.footer.objects).sum(),
    };
    let mut writer = RunWriter::create(disk, path, expect)?;
    let mut streams = StreamMerge::new(runs);
    let mut pending = Vec::new();
    while let Some(merged) = streams.next()? {
        write_stream(&mut writer, &merged, log_start, with_oldest, &mut pending)?;
    }
    let mut objects = ObjectMerge::new(runs, b"");
    while let Some((key, value)) = objects.next()? {
        if value.is_some() || !with_oldest {
            writer.put_object(&key, value.as_deref())?;
        }
    }
    Ok(writer.finish()?)
}

fn write_stream(
    writer: &mut RunWriter,
    merged: &Merged,
    log_start: Lsn,
    with_oldest: bool,
    pending: &mut Vec<Entry>,
) -> Result<(), JobError> {
    let stream = merged.stream;
    let mut reset = merged.reset && !with_oldest;
    let mut is_empty = true;
    pending.clear();
    for piece in &merged.pieces {
        let record = &piece.record;
        if record.entries == 0 || record.last_lsn < log_start {
            continue;
        }
        is_empty = false;
        // Small chunks are joined, so that a stream that grows slowly does not stay in pieces.
        if pending.is_empty() && record.entries as usize >= CHUNK_ENTRIES_MAX / 2 {
            writer.put_raw_chunk(record, &piece.chunk_bytes()?, reset)?;
            reset = false;
            continue;
        }
        piece.entries(pending)?;
        if pending.len() >= CHUNK_ENTRIES_MAX {
            writer.put_entries(stream, pending, reset)?;
            reset = false;
            pending.clear();
        }
    }
    writer.put_entries(stream, pending, reset)?;
    let end = merged.pieces.last().filter(|_| is_empty).map(|p| &p.record);
    if let Some(last) = end
        && (last.next_offset > 0 || reset)
    {
        writer.put_end(stream, last.next_offset, last.last_time_ms, reset)?;
    }
    Ok(())
}

/// Merges adjacent key files into a new one.
pub(crate) fn merge_keys(
    disk: &dyn Disk,
    dir: &Path,
    (id, level): (u64, u8),
    files: &[KeyFileMeta],
    log_start: Lsn,
) -> Result<(KeyFileMeta, u64), JobError> {
    let open = |meta: &KeyFileMeta| KeyFile::open(disk, dir, meta).map(KeyFile::scan);
    let mut sources = files.iter().map(open).collect::<Result<Vec<_>, _>>()?;
    let mut writer = KeyWriter::create(disk, dir, id, level)?;
    while let Some(entry) = pop_lowest(&mut sources)? {
        if entry.lsn >= log_start {
            writer.push(entry)?;
        }
    }
    writer.finish().map_err(|fault: IoFault| fault.into())
}

fn pop_lowest(sources: &mut [KeyScan]) -> Result<Option<super::live_objects::KeyEntry>, ReadError> {
    let mut lowest = None;
    for (i, source) in sources.iter_mut().enumerate() {
        if let Some(entry) = source.peek()?
            && lowest.is_none_or(|(l, _)| entry < l)
        {
            lowest = Some((entry, i));
        }
    }
    if let Some((_, i)) = lowest
        && let Some(source) = sources.get_mut(i)
    {
        source.pop();
    }
    Ok(lowest.map(|(entry, _)| entry))
}
