//! Prepares the next segment while the log goes on: a file of zeros, as long as a segment and durable.
//!
//! **Written** zeros are for logs whose answers wait for a flush. A flush after a write into such a file makes
//! the device write and no more. A file that grows with each write has a new length and new blocks, so that
//! each flush also writes the file system's journal and waits for the thread that does so: twice as long at the median, and far longer where others use the
//! journal too. Space that is only reserved (`fallocate`) does not help: its blocks are marked as
//! written by the first write to each, in the journal.
//!
//! **Reserved** space is for logs whose answers do not. There the write must not wait, and one that grows a file
//! waits while the flush of what came before it looks for free blocks: for hundreds of milliseconds on a busy disk.
//!
//! ```text
//! prepare_begin -> PrepareJob::run (any thread) -> prepare_finish -> the next roll takes the file
//! ```
//! A segment is left where its prepared part ends (which is at once, if it has none), once the next one
//! is ready; the more was written since the start, the longer is that one. Spare bytes are cut off when a segment is
//! sealed, and when the log is closed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base::{DiskFile, OpenMode};
use model::Lsn;

use super::Log;
use super::segments::{is_spare_name, prepared_name};
use super::shared::LogShared;
use crate::error::{IoFault, LogError};
use crate::limits::{
    PREPARE_AFTER_BYTES, PREPARE_BYTES_MIN, PREPARE_PAUSE_MAX, PREPARE_ROOM_SEGMENTS, SCAN_BYTES,
};

/// What a segment is prepared for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preparation {
    /// Flushes that answers wait for: zeros are written.
    Flushes,
    /// Writes that answers wait for: space is reserved.
    Writes,
}

/// What the log's owner knows of the next segment.
#[derive(Default)]
pub(super) struct Ahead {
    /// The file that the next segment takes.
    ready: Option<Prepared>,
    /// Ends the job under way.
    under_way: Option<Arc<AtomicBool>>,
    /// As much of the last segment was prepared.
    prepared_bytes: u64,
    /// A job has failed; not tried again before the next segment.
    has_failed: bool,
    /// Appended to the last segment by this process, and to all segments.
    appended: u64,
    appended_in_all: u64,
}

impl Ahead {
    pub(super) fn on_appended(&mut self, bytes: usize) {
        self.appended = self.appended.saturating_add(bytes as u64);
        self.appended_in_all = self.appended_in_all.saturating_add(bytes as u64);
    }

    /// The last segment is to be left before it is `bytes` long: only the next one has as much prepared.
    pub(super) const fn wants_roll(&self, bytes: u64) -> bool {
        self.ready.is_some() && bytes > self.prepared_bytes
    }

    /// What the next segment takes, if there is something.
    pub(super) const fn take(&mut self) -> Option<Prepared> {
        self.ready.take()
    }

    pub(super) const fn on_rolled(&mut self, prepared_bytes: u64) {
        self.prepared_bytes = prepared_bytes;
        self.has_failed = false;
        self.appended = 0;
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        if let Some(job) = &self.under_way {
            job.store(true, Ordering::Relaxed);
        }
    }
}

/// A segment to be prepared on any thread.
pub struct PrepareJob {
    shared: Arc<LogShared>,
    name: String,
    bytes: u64,
    preparation: Preparation,
    is_cancelled: Arc<AtomicBool>,
}

/// A prepared segment, to be handed to [`Log::prepare_finish`].
#[derive(Debug)]
#[must_use]
pub struct Prepared {
    pub(super) name: String,
    pub(super) bytes: u64,
}

impl std::fmt::Debug for PrepareJob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PrepareJob({}, {} bytes)", self.name, self.bytes)
    }
}

impl PrepareJob {
    /// Writes the file; `None` if it was cancelled. On an error there is none; nothing else has changed.
    pub fn run(self) -> Result<Option<Prepared>, LogError> {
        let before = self.shared.doors.clock.monotonic();
        let path = self.shared.dir.join(&self.name);
        let is_whole = self.fill().map_err(|error| {
            // If it cannot be removed either, it is a spare for the next start.
            let _ = self.shared.doors.disk.remove(&path);
            LogError::Io(IoFault::at(&path, &error))
        })?;
        self.shared.metrics.segment_prepared(self.shared.doors.clock.monotonic().saturating_sub(before));
        Ok(is_whole.then_some(Prepared { name: self.name, bytes: self.bytes }))
    }

    fn fill(&self) -> std::io::Result<bool> {
        let (disk, dir) = (&self.shared.doors.disk, &self.shared.dir);
        let path = dir.join(&self.name);
        let mode = if disk.exists(&path) { OpenMode::ReadWrite } else { OpenMode::CreateNew };
        let file = disk.open(&path, mode)?;
        let is_whole = match self.preparation {
            Preparation::Flushes => self.write_zeros(&*file)?,
            Preparation::Writes => {
                // What a recycled file has from before stays: it is behind the end of the log.
                file.reserve(self.bytes)?;
                true
            }
        };
        if is_whole {
            file.set_len(self.bytes)?;
            file.sync()?;
            disk.sync_dir(dir)?;
        }
        Ok(is_whole)
    }

    /// Tells whether it was not cancelled.
    fn write_zeros(&self, file: &dyn DiskFile) -> std::io::Result<bool> {
        let zeros = vec![0; SCAN_BYTES];
        let clock = &self.shared.doors.clock;
        let mut at = 0;
        while at < self.bytes {
            if self.is_cancelled.load(Ordering::Relaxed) {
                return Ok(false);
            }
            let before = clock.monotonic();
            let len = usize::try_from(self.bytes - at).unwrap_or(SCAN_BYTES).min(SCAN_BYTES);
            file.write_at(zeros.get(..len).unwrap_or_default(), at)?;
            at += len as u64;
            // A flush of the log must not find much of this to write, and is to have the disk half of the time.
            file.sync()?;
            if at < self.bytes {
                std::thread::park_timeout(clock.monotonic().saturating_sub(before).min(PREPARE_PAUSE_MAX));
            }
        }
        Ok(true)
    }
}

impl Log {
    /// The next segment, if it is time to prepare it. Hand what becomes of it to [`Log::prepare_finish`].
    pub fn prepare_begin(&mut self, preparation: Preparation) -> Option<PrepareJob> {
        let whole = self.config.segment_bytes;
        // A node that writes little needs none, and one that has not written much yet no whole segment.
        let bytes = self.ahead.appended_in_all.saturating_mul(2).max(PREPARE_BYTES_MIN).min(whole);
        let due = match self.ahead.prepared_bytes {
            0 => PREPARE_AFTER_BYTES.min(whole / 4),
            // The first three quarters of it are time enough for the next.
            prepared => prepared / 4,
        };
        let is_wanted = self.config.prepare_segments
            && self.ahead.ready.is_none()
            && self.ahead.under_way.is_none()
            && !self.ahead.has_failed
            && self.ahead.appended >= due;
        if !is_wanted || self.shared.check_fence().is_err() {
            return None;
        }
        let space = self.shared.doors.disk.space(&self.shared.dir).ok()?;
        if space.available_bytes < whole.saturating_mul(PREPARE_ROOM_SEGMENTS) {
            return None;
        }
        let name =
            self.spares.pop().unwrap_or_else(|| prepared_name(self.shared.segments.load().last().base));
        debug_assert!(is_spare_name(&name));
        let is_cancelled = Arc::new(AtomicBool::new(false));
        self.ahead.under_way = Some(Arc::clone(&is_cancelled));
        Some(PrepareJob { shared: Arc::clone(&self.shared), name, bytes, preparation, is_cancelled })
    }

    /// Takes what a [`PrepareJob`] has made, for the next segment.
    pub fn prepare_finish(&mut self, prepared: Result<Option<Prepared>, LogError>) -> Result<(), LogError> {
        self.ahead.under_way = None;
        self.ahead.has_failed = prepared.is_err();
        self.ahead.ready = prepared?;
        Ok(())
    }

    /// Ends the preparation under way.
    pub fn prepare_cancel(&self) {
        if let Some(job) = &self.ahead.under_way {
            job.store(true, Ordering::Relaxed);
        }
    }

    /// A sealed segment has no bytes behind its end. Not durably so: where the next one begins is what says
    /// where it ends.
    pub(super) fn cut_spare_bytes(&self, end: Lsn) -> Result<(), LogError> {
        let segments = self.shared.segments.load();
        let last = segments.last();
        let used = end.get() - last.base.get();
        let cut = || if self.active.len()? > used { self.active.set_len(used) } else { Ok(()) };
        cut().map_err(|e: std::io::Error| self.shared.fence(IoFault::at(&last.path, &e).to_string()))
    }
}
