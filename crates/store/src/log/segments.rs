//! The list of segment files and their open handles.
//!
//! A segment's name is its first position; it ends where the next begins, the last one at the
//! log's end. Sealed segments are durable: the log syncs one before it makes the next.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use base::{Disk, DiskFile, OpenMode};
use model::Lsn;
use parking_lot::Mutex;

use crate::limits::OPEN_SEGMENTS_MAX;

const SUFFIX: &str = ".log";
const SPARE_SUFFIX: &str = ".spare";

/// The file name of the segment that begins at `base`.
pub(crate) fn segment_name(base: Lsn) -> String {
    format!("{:020}{SUFFIX}", base.get())
}

/// The position that a segment's file name stands for.
pub(crate) fn parse_segment_name(name: &str) -> Option<Lsn> {
    let digits = name.strip_suffix(SUFFIX).filter(|d| d.len() == 20)?;
    digits.parse().ok().map(Lsn)
}

/// The file name of a trimmed segment that waits for reuse.
pub(crate) fn spare_name(base: Lsn) -> String {
    format!("{:020}{SPARE_SUFFIX}", base.get())
}

/// The file name of a segment that is prepared while the one at `base` is written. Not that which this one
/// would have as a spare.
pub(crate) fn prepared_name(base: Lsn) -> String {
    format!("{:020}.ahead{SPARE_SUFFIX}", base.get())
}

pub(crate) fn is_spare_name(name: &str) -> bool {
    name.ends_with(SPARE_SUFFIX)
}

/// One segment file.
pub(crate) struct Segment {
    pub(crate) base: Lsn,
    pub(crate) path: PathBuf,
    /// When the next segment was begun; 0 while this is the last one.
    sealed_ms: AtomicI64,
    file: Mutex<Option<Arc<dyn DiskFile>>>,
    used_at: AtomicU64,
}

impl Segment {
    pub(crate) fn new(dir: &Path, base: Lsn, file: Option<Arc<dyn DiskFile>>) -> Self {
        Self {
            base,
            path: dir.join(segment_name(base)),
            sealed_ms: AtomicI64::new(0),
            file: Mutex::new(file),
            used_at: AtomicU64::new(0),
        }
    }

    pub(crate) fn sealed_ms(&self) -> i64 {
        self.sealed_ms.load(Ordering::Relaxed)
    }

    pub(crate) fn set_sealed_ms(&self, ms: i64) {
        self.sealed_ms.store(ms, Ordering::Relaxed);
    }
}

/// All segments, oldest first. Never empty once the log is open. Replaced as a whole.
#[derive(Default)]
pub(crate) struct Segments {
    pub(crate) list: Vec<Arc<Segment>>,
}

impl Segments {
    /// The segment that holds `lsn` and where it ends, given the log's end.
    pub(crate) fn find(&self, lsn: Lsn, log_end: Lsn) -> Option<(&Arc<Segment>, Lsn)> {
        let i = self.list.partition_point(|s| s.base <= lsn).checked_sub(1)?;
        Some((self.list.get(i)?, self.end_of(i, log_end)))
    }

    pub(crate) fn end_of(&self, i: usize, log_end: Lsn) -> Lsn {
        self.list.get(i + 1).map_or(log_end, |next| next.base)
    }

    pub(crate) fn last(&self) -> &Arc<Segment> {
        self.list.last().expect("an open log has a segment")
    }
}

/// Opens segment files on demand and keeps a bounded number of them open.
pub(crate) struct Handles {
    disk: Arc<dyn Disk>,
    clock: AtomicU64,
    open: AtomicU64,
}

impl Handles {
    pub(crate) fn new(disk: Arc<dyn Disk>) -> Self {
        Self { disk, clock: AtomicU64::new(0), open: AtomicU64::new(0) }
    }

    /// The open file of `segment`. When too many are open, the longest unused one other than the
    /// last is closed.
    pub(crate) fn get(&self, segment: &Segment, all: &Segments) -> io::Result<Arc<dyn DiskFile>> {
        segment.used_at.store(self.clock.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        let mut slot = segment.file.lock();
        if let Some(file) = slot.as_ref() {
            return Ok(Arc::clone(file));
        }
        let file = self.disk.open(&segment.path, OpenMode::ReadWrite)?;
        *slot = Some(Arc::clone(&file));
        drop(slot);
        if self.open.fetch_add(1, Ordering::Relaxed) >= OPEN_SEGMENTS_MAX as u64 {
            self.close_oldest(segment.base, all);
        }
        Ok(file)
    }

    fn close_oldest(&self, except: Lsn, all: &Segments) {
        let Some((_, sealed)) = all.list.split_last() else { return };
        let open = sealed.iter().filter(|s| s.base != except && s.file.lock().is_some());
        if let Some(oldest) = open.min_by_key(|s| s.used_at.load(Ordering::Relaxed)) {
            *oldest.file.lock() = None;
            self.open.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
