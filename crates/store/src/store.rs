//! A store: one log and the views of it, in one folder.
//!
//! ```text
//! LOCK  STATE  MANIFEST  log/  runs/
//! ```
//!
//! Opening reads the manifest, opens the run files it names, removes files that it does not name,
//! finds the end of the log and cuts a torn tail. The views then stand at
//! `views.checkpoint_lsn()`, and the caller replays the log from there.

use std::path::{Path, PathBuf};

use base::Doors;

use crate::config::StoreConfig;
use crate::error::{LogError, OpenError, at};
use crate::log::Log;
use crate::log::recover::{Known, LogRecovery};
use crate::state_file::{StateFile, read_state, write_state};
use crate::views::Views;

/// What to do about damage that cannot be a torn tail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Repair {
    /// Do not open: another replica or a backup may have what is lost here.
    #[default]
    Refuse,
    /// Cut the log at the damage: the operator's word, or that of a replica that will be refilled.
    TruncateCorrupt,
}

/// What opening found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecoveryReport {
    /// The store was closed in order the last time (or is new).
    pub clean: bool,
    /// The machine may have restarted since the store was last written: unflushed data may be lost.
    pub power_lost: bool,
    pub log: LogRecovery,
}

/// One log and the views of it. Two public parts, so that a replay can borrow both.
pub struct Store {
    pub log: Log,
    pub views: Views,
    doors: Doors,
    dir: PathBuf,
    report: RecoveryReport,
    _lock: Box<dyn Send + Sync>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Store({}, {:?})", self.dir.display(), self.log)
    }
}

impl Store {
    /// Opens the store in `dir`, making it if it does not exist.
    pub fn open(doors: &Doors, dir: &Path, config: &StoreConfig, repair: Repair) -> Result<Self, OpenError> {
        config.validate().map_err(OpenError::Config)?;
        doors.disk.create_dir_all(dir).map_err(at(dir))?;
        let lock = doors.disk.lock(dir).map_err(|e| match e.kind() {
            std::io::ErrorKind::WouldBlock => OpenError::Locked { dir: dir.to_owned() },
            _ => at(dir)(e).into(),
        })?;
        let state = read_state(doors, dir)?;
        if let (None, Some(parent)) = (&state, dir.parent().filter(|p| !p.as_os_str().is_empty())) {
            doors.disk.sync_dir(parent).map_err(at(parent))?;
        }
        let boot_id = doors.disk.boot_id();
        let manifest = crate::views::manifest::load(doors, dir)?;
        // What is done from here on relies on the manifest, which a failed job may have left
        // without a sync of its name.
        doors.disk.sync_dir(dir).map_err(at(dir))?;
        let is_new = state.is_none() && manifest.is_none();
        let manifest = manifest.unwrap_or_default();
        let last_boot_id = state.as_ref().and_then(|s| s.boot_id.as_ref());
        let same_boot = last_boot_id.is_some() && last_boot_id == boot_id.as_ref();
        let has_restarted = last_boot_id.is_some() && boot_id.is_some() && !same_boot;
        let clean_end = state.as_ref().and_then(|s| s.clean_end);
        let known = Known {
            checkpoint: manifest.checkpoint,
            chain: manifest.chain,
            log_start: manifest.log_start,
            durable: clean_end.unwrap_or_default(),
            power_lost: !same_boot && clean_end.is_none(),
            is_unsure: !has_restarted && clean_end.is_none(),
            sealed_ms: manifest.sealed_ms.clone(),
        };
        let (log, log_report) = Log::open(doors, &dir.join("log"), config, &known, repair)?;
        let views = Views::open(doors, dir, config, manifest, std::sync::Arc::clone(log.shared()))?;
        write_state(doors, dir, &StateFile { boot_id, clean_end: None }).map_err(at(dir))?;
        let clean = clean_end.is_some() || is_new;
        let report = RecoveryReport { clean, power_lost: known.power_lost && !is_new, log: log_report };
        Ok(Self { log, views, doors: doors.clone(), dir: dir.to_owned(), report, _lock: lock })
    }

    /// What opening found.
    #[must_use]
    pub fn recovery(&self) -> &RecoveryReport {
        &self.report
    }

    /// Flushes the log and leaves a mark that all of it is durable.
    pub fn close(mut self) -> Result<(), LogError> {
        let end = self.log.close()?;
        let state = StateFile { boot_id: self.doors.disk.boot_id(), clean_end: Some(end) };
        write_state(&self.doors, &self.dir, &state).map_err(at(&self.dir))?;
        Ok(())
    }
}
