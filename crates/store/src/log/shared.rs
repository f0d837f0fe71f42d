//! The part of the log that its owner, its readers and the background jobs share.
//!
//! `end` is published after a frame has been written and cached, so that whoever sees a position
//! below `end` can read it. `flushed` and `fenced` may also be moved by a checkpoint job, which
//! flushes the log up to its position before it names it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arc_swap::ArcSwap;
use base::Doors;
use bytes::Bytes;
use model::Lsn;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use super::blocks::Blocks;
use super::cold_room::ColdRoom;
use super::frame::{RECORD_HEADER_BYTES, check_record, decode_record_header};
use super::segments::{Handles, Segments};
use super::space::SpaceRules;
use super::tail::{Boundary, CachedRecord, TailCache};
use crate::config::StoreConfig;
use crate::error::{IoFault, LogError, ReadError};
use crate::limits::{COLD_BLOCK_BYTES, COLD_BLOCKS_BYTES_MAX, FRAME_BYTES_MAX};
use crate::metrics::Metrics;
use crate::patience::Patience;

pub(crate) struct LogShared {
    pub(crate) doors: Doors,
    pub(crate) dir: PathBuf,
    pub(crate) metrics: Arc<Metrics>,
    pub(super) start: AtomicU64,
    pub(super) end: AtomicU64,
    pub(super) flushed: AtomicU64,
    /// Where the durable checkpoint stands; the log is never trimmed above it.
    pub(super) checkpoint: AtomicU64,
    /// The highest checkpoint that may stand on disk, known to be durable or not; the log is never
    /// cut below it.
    cut_floor: AtomicU64,
    pub(super) segments: ArcSwap<Segments>,
    /// What of the settings can change while the log is open.
    pub(super) rules: ArcSwap<SpaceRules>,
    pub(super) handles: Handles,
    pub(super) tail: TailCache,
    pub(super) blocks: Blocks,
    pub(super) cold_reads: Semaphore,
    pub(super) cold_room: ColdRoom,
    is_fenced: AtomicBool,
    /// Why the log is fenced. Held while syncing, so that two syncs never race about an error.
    fence: Mutex<Option<String>>,
}

/// A record read by position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub kind: u8,
    pub payload: Bytes,
    /// Bytes of the whole record, header included.
    pub len: u32,
}

impl From<CachedRecord> for Record {
    fn from(record: CachedRecord) -> Self {
        let len = u32::try_from(record.payload.len() + RECORD_HEADER_BYTES).expect("a record is below 4 GiB");
        Self { kind: record.kind, payload: record.payload, len }
    }
}

impl LogShared {
    pub(super) fn new(doors: &Doors, dir: &Path, config: &StoreConfig) -> Self {
        let block_bytes = COLD_BLOCKS_BYTES_MAX.min(config.cold_read_bytes_max / 2);
        Self {
            doors: doors.clone(),
            dir: dir.to_owned(),
            metrics: Arc::default(),
            start: AtomicU64::new(0),
            end: AtomicU64::new(0),
            flushed: AtomicU64::new(0),
            checkpoint: AtomicU64::new(0),
            cut_floor: AtomicU64::new(0),
            segments: ArcSwap::default(),
            rules: ArcSwap::from_pointee(SpaceRules::of(config)),
            handles: Handles::new(Arc::clone(&doors.disk)),
            tail: TailCache::new(config.tail_cache_bytes),
            blocks: Blocks::new(block_bytes),
            cold_reads: Semaphore::new(config.cold_read_concurrency),
            cold_room: ColdRoom::new(config.cold_read_bytes_max - block_bytes, Arc::clone(&doors.clock)),
            is_fenced: AtomicBool::new(false),
            fence: Mutex::new(None),
        }
    }

    pub(crate) fn start(&self) -> Lsn {
        Lsn(self.start.load(Ordering::Acquire))
    }

    pub(crate) fn end(&self) -> Lsn {
        Lsn(self.end.load(Ordering::Acquire))
    }

    pub(crate) fn flushed(&self) -> Lsn {
        Lsn(self.flushed.load(Ordering::Acquire))
    }

    pub(crate) fn checkpoint(&self) -> Lsn {
        Lsn(self.checkpoint.load(Ordering::Acquire))
    }

    pub(crate) fn set_checkpoint(&self, at: Lsn) {
        self.raise_cut_floor(at);
        self.checkpoint.store(at.get(), Ordering::Release);
    }

    pub(crate) fn cut_floor(&self) -> Lsn {
        Lsn(self.cut_floor.load(Ordering::Acquire))
    }

    /// Called before a checkpoint is tried: an attempt that fails at its last step may stand on
    /// disk all the same, and a start from it would find the log cut away below it.
    pub(crate) fn raise_cut_floor(&self, at: Lsn) {
        self.cut_floor.fetch_max(at.get(), Ordering::AcqRel);
    }

    pub(crate) fn boundary(&self, at: Lsn) -> Boundary {
        self.tail.boundary(at)
    }

    /// When each sealed segment was sealed, for the manifest.
    pub(crate) fn sealed_times(&self) -> Vec<(Lsn, i64)> {
        let segments = self.segments.load();
        segments.list.iter().map(|s| (s.base, s.sealed_ms())).filter(|(_, ms)| *ms != 0).collect()
    }

    /// Memory of the newest frames, and of cold reads under way.
    pub(super) fn memory_bytes(&self) -> (u64, u64) {
        (self.tail.cost(), self.cold_room.used_bytes() + self.blocks.cost())
    }

    // ---- fence and flush

    pub(super) fn check_fence(&self) -> Result<(), LogError> {
        if !self.is_fenced.load(Ordering::Acquire) {
            return Ok(());
        }
        let what = self.fence.lock().clone().unwrap_or_default();
        Err(LogError::Fenced { what })
    }

    pub(crate) fn fence(&self, what: String) -> LogError {
        self.set_fence(&mut self.fence.lock(), what)
    }

    fn set_fence(&self, slot: &mut Option<String>, what: String) -> LogError {
        tracing::error!(%what, "the log is fenced");
        let what = slot.get_or_insert(what).clone();
        self.is_fenced.store(true, Ordering::Release);
        self.metrics.log_fenced();
        LogError::Fenced { what }
    }

    /// Makes everything appended so far durable.
    pub(crate) fn flush(&self) -> Result<Lsn, LogError> {
        let mut fence = self.fence.lock();
        if let Some(what) = fence.as_ref() {
            return Err(LogError::Fenced { what: what.clone() });
        }
        // Sealed segments are durable already, so only the last one is left to sync. A roll
        // cannot slip in between: it takes the same lock for its own sync.
        let end = self.end();
        if self.flushed() >= end {
            return Ok(self.flushed());
        }
        let before = self.doors.clock.monotonic();
        let segments = self.segments.load();
        let last = segments.last();
        let synced = self.handles.get(last, &segments).and_then(|file| file.sync());
        if let Err(error) = synced {
            let what = IoFault::at(&last.path, &error).to_string();
            return Err(self.set_fence(&mut fence, what));
        }
        let flushed = self.flushed.fetch_max(end.get(), Ordering::AcqRel).max(end.get());
        self.metrics.log_flushed(self.doors.clock.monotonic().saturating_sub(before));
        Ok(Lsn(flushed))
    }

    // ---- reads

    /// Reads `len` bytes at `lsn` from the segment file that holds them.
    pub(super) fn pread(&self, lsn: Lsn, len: u64) -> Result<Vec<u8>, ReadError> {
        let mut bytes = vec![0; usize::try_from(len).expect("checked against a frame's size")];
        self.pread_into(lsn, &mut bytes, Patience::Wait)?;
        Ok(bytes)
    }

    /// Fills `bytes` from the segment file that holds them; `false`: that would take waiting.
    pub(super) fn pread_into(
        &self,
        lsn: Lsn,
        bytes: &mut [u8],
        patience: Patience,
    ) -> Result<bool, ReadError> {
        let len = bytes.len() as u64;
        let (start, end) = (self.start(), self.end());
        if lsn < start {
            return Err(ReadError::Trimmed { lsn, start });
        }
        if lsn >= end {
            return Err(ReadError::BeyondEnd { lsn, end });
        }
        let segments = self.segments.load();
        let found = segments.find(lsn, end);
        let Some((segment, segment_end)) = found else { return Err(ReadError::Trimmed { lsn, start }) };
        if lsn.get() + len > segment_end.get() {
            return Err(ReadError::corrupt_at(lsn, "the record would cross the end of its segment"));
        }
        let before = self.doors.clock.monotonic();
        let at = lsn.get() - segment.base.get();
        let read = self.handles.get(segment, &segments).and_then(|file| patience.fill(bytes, &*file, at));
        match read {
            Ok(is_read) => {
                if is_read {
                    self.metrics.read_from_disk(len, self.doors.clock.monotonic().saturating_sub(before));
                }
                Ok(is_read)
            }
            // Trimmed while we were at it.
            Err(_) if lsn < self.start() => Err(ReadError::Trimmed { lsn, start: self.start() }),
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                Err(ReadError::corrupt_at(lsn, "the segment file is too short"))
            }
            Err(error) => Err(IoFault::at(&segment.path, &error).into()),
        }
    }

    /// Where the block begins that holds `lsn`, and how long it is by now. Blocks do not cross segments.
    pub(super) fn block_of(&self, lsn: Lsn) -> Option<(Lsn, usize)> {
        let end = self.end();
        let segments = self.segments.load();
        let (segment, segment_end) = segments.find(lsn, end).filter(|_| lsn < end)?;
        let size = COLD_BLOCK_BYTES as u64;
        let from = segment.base.plus((lsn.get() - segment.base.get()) / size * size);
        let len = (segment_end.get() - from.get()).min(size);
        Some((from, usize::try_from(len).ok()?))
    }

    /// Reads one record from disk. `len` 0: unknown.
    pub(super) fn read_cold(&self, lsn: Lsn, len: u32) -> Result<Record, ReadError> {
        let len = if len == 0 { self.record_len(lsn)? } else { len };
        if (len as usize) < RECORD_HEADER_BYTES || len as usize > FRAME_BYTES_MAX {
            return Err(ReadError::corrupt_at(lsn, "no record has this length"));
        }
        let bytes = self.pread(lsn, u64::from(len))?;
        self.checked(lsn, Bytes::from(bytes))
    }

    fn record_len(&self, lsn: Lsn) -> Result<u32, ReadError> {
        let head = self.pread(lsn, RECORD_HEADER_BYTES as u64)?;
        match decode_record_header(&head, u64::MAX) {
            Some(header) => Ok(header.len),
            None => Err(self.corrupt_or_trimmed(lsn, "no record header")),
        }
    }

    /// The record that `bytes`, read at `lsn`, must be.
    pub(super) fn checked(&self, lsn: Lsn, bytes: Bytes) -> Result<Record, ReadError> {
        match check_record(&bytes, lsn) {
            Ok(header) => {
                Ok(Record { kind: header.kind, payload: bytes.slice(RECORD_HEADER_BYTES..), len: header.len })
            }
            Err(what) => Err(self.corrupt_or_trimmed(lsn, what)),
        }
    }

    /// A segment that is trimmed and reused while it is read looks damaged; it is not.
    fn corrupt_or_trimmed(&self, lsn: Lsn, what: &'static str) -> ReadError {
        let start = self.start();
        if lsn < start {
            return ReadError::Trimmed { lsn, start };
        }
        self.metrics.corruption_found();
        tracing::error!(%lsn, what, "damaged record in the log");
        ReadError::corrupt_at(lsn, what)
    }
}
