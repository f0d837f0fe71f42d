//! Retention and disk space: which segments may go, and whether producers must wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use model::Lsn;

use super::shared::LogShared;

use super::Log;
use super::segments::{Segment, Segments, spare_name};
use crate::config::StoreConfig;
use crate::error::{IoFault, LogError};
use crate::limits::SPARE_SEGMENTS_MAX;

/// What the disk allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskState {
    Ok,
    /// Fuller than `disk_refuse_percent`: producers are refused, acks and other control records
    /// still pass.
    RefuseProducers,
    /// The last append found no space at all.
    Full,
}

/// How full the disk is, and what that means, in percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskUse {
    pub used_percent: u64,
    /// From here on producers are refused.
    pub refuse_percent: u64,
    /// Below this they are taken again.
    pub resume_percent: u64,
}

impl LogShared {
    /// Asks the disk how full it is.
    pub(super) fn disk_use(&self) -> Result<DiskUse, IoFault> {
        let space = self.doors.disk.space(&self.dir).map_err(|error| IoFault::at(&self.dir, &error))?;
        let used = space.total_bytes.saturating_sub(space.available_bytes);
        let used_percent = used.saturating_mul(100).checked_div(space.total_bytes).unwrap_or(0);
        let SpaceRules { refuse_percent, resume_percent, .. } = **self.rules.load();
        let (refuse_percent, resume_percent) = (u64::from(refuse_percent), u64::from(resume_percent));
        Ok(DiskUse { used_percent, refuse_percent, resume_percent })
    }
}

/// When segments go and producers wait.
#[derive(Debug, Clone, Copy)]
pub(super) struct SpaceRules {
    retention_ms: Option<i64>,
    retention_bytes: Option<u64>,
    refuse_percent: u8,
    resume_percent: u8,
}

impl SpaceRules {
    pub(super) const fn of(config: &StoreConfig) -> Self {
        Self {
            retention_ms: config.retention_ms,
            retention_bytes: config.retention_bytes,
            refuse_percent: config.disk_refuse_percent,
            resume_percent: config.disk_resume_percent,
        }
    }
}

/// Remembers which side of the two thresholds the disk was on.
#[derive(Debug, Default)]
pub(super) struct SpaceWatch {
    refusing: AtomicBool,
    full: AtomicBool,
}

impl SpaceWatch {
    pub(super) fn on_disk_full(&self) {
        self.full.store(true, Ordering::Relaxed);
    }

    pub(super) fn on_append_succeeded(&self) {
        self.full.store(false, Ordering::Relaxed);
    }

    fn on_measured(&self, used_percent: u64, refuse: u8, resume: u8) -> DiskState {
        let was = self.refusing.load(Ordering::Relaxed);
        let threshold = if was { resume } else { refuse };
        let refusing = used_percent >= u64::from(threshold);
        self.refusing.store(refusing, Ordering::Relaxed);
        match (refusing, self.full.load(Ordering::Relaxed)) {
            (_, true) => DiskState::Full,
            (true, false) => DiskState::RefuseProducers,
            (false, false) => DiskState::Ok,
        }
    }
}

impl Log {
    /// Asks the disk how full it is. Meant to be called about once a second, not per message.
    pub fn space(&self) -> Result<DiskState, LogError> {
        let used = self.shared.disk_use()?;
        let rules = self.shared.rules.load();
        Ok(self.space.on_measured(used.used_percent, rules.refuse_percent, rules.resume_percent))
    }

    /// How full the disk may be before producers are refused, in percent.
    #[must_use]
    pub fn refuse_percent(&self) -> u8 {
        self.shared.rules.load().refuse_percent
    }

    /// Up to where retention would delete the log now. Hand it to [`Log::trim`].
    #[must_use]
    pub fn retention_target(&self, now_ms: i64) -> Lsn {
        let segments = self.shared.segments.load();
        let SpaceRules { retention_ms, retention_bytes, .. } = **self.shared.rules.load();
        let end = self.end();
        let mut target = self.start();
        for (i, segment) in segments.list.iter().enumerate() {
            let segment_end = segments.end_of(i, end);
            let sealed = segment.sealed_ms();
            let is_old = retention_ms.is_some_and(|ms| sealed != 0 && sealed.saturating_add(ms) <= now_ms);
            let bytes = end.get() - segment.base.get();
            let is_much = retention_bytes.is_some_and(|max| bytes > max);
            if i + 1 == segments.list.len() || !(is_old || is_much) {
                break;
            }
            target = segment_end;
        }
        target
    }

    /// Deletes whole segments below `before`, oldest first, never above the checkpoint. Returns
    /// the freed bytes. Readers of what goes get an error that says so. A file that cannot be
    /// removed is no part of the log any more; the next trim tries again before it does anything else.
    pub fn trim(&mut self, before: Lsn) -> Result<u64, LogError> {
        self.remove_trimmed()?;
        let before = before.min(self.shared.checkpoint()).min(self.flushed());
        let segments = self.shared.segments.load_full();
        let mut freed = 0;
        let ends: Vec<Lsn> = (0..segments.list.len()).map(|i| segments.end_of(i, self.end())).collect();
        for (segment, end) in segments.list.iter().zip(ends).take(segments.list.len() - 1) {
            if end > before {
                break;
            }
            self.forget_oldest(end);
            self.trimmed.push_back(Arc::clone(segment));
            self.remove_trimmed()?;
            freed += end.get() - segment.base.get();
        }
        self.shared.metrics.log_trimmed(freed);
        Ok(freed)
    }

    fn forget_oldest(&self, new_start: Lsn) {
        self.shared.start.store(new_start.get(), Ordering::Release);
        let list = self.shared.segments.load().list.iter().skip(1).map(Arc::clone).collect();
        self.shared.segments.store(Arc::new(Segments { list }));
    }

    /// Removes the files of trimmed segments, oldest first, one durable step each, so that neither
    /// a crash nor a file that resists leaves a hole.
    pub(super) fn remove_trimmed(&mut self) -> Result<(), LogError> {
        while let Some(segment) = self.trimmed.front().map(Arc::clone) {
            self.remove_file(&segment)?;
            self.trimmed.pop_front();
        }
        Ok(())
    }

    fn remove_file(&mut self, segment: &Segment) -> Result<(), LogError> {
        let (disk, dir) = (&self.shared.doors.disk, &self.shared.dir);
        let gone = if !disk.exists(&segment.path) {
            // Removed before, but the folder could not be synced.
            Ok(())
        } else if self.config.recycle_segments && self.spares.len() < SPARE_SEGMENTS_MAX {
            let spare = spare_name(segment.base);
            let renamed = disk.rename(&segment.path, &dir.join(&spare));
            self.spares.extend(renamed.is_ok().then_some(spare));
            renamed
        } else {
            disk.remove(&segment.path)
        };
        gone.map_err(|e| IoFault::at(&segment.path, &e))?;
        disk.sync_dir(dir).map_err(|e| IoFault::at(dir, &e))?;
        Ok(())
    }
}
