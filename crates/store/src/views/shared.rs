//! The part of the views that their owner, their readers and the background jobs share.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use base::Doors;
use model::Lsn;
use parking_lot::Mutex;

use super::ahead::ReadAhead;
use super::key_file::{KeyFileMeta, key_file_name, parse_key_file_name};
use super::live::{End, LiveStreams};
use super::live_objects::{LiveKeys, LiveObjects};
use super::manifest::{Manifest, save};
use super::run::{Run, parse_run_name, run_name};
use crate::config::StoreConfig;
use crate::error::{IoFault, OpenError, ReadError, at};
use crate::limits::LEARN_REPLAY_BYTES_PER_STREAM;
use crate::log::shared::LogShared;
use crate::patience::Patience;

/// The immutable files that make up the views, replaced as a whole.
#[derive(Default)]
pub(crate) struct Files {
    /// Oldest first.
    pub(crate) runs: Vec<Arc<Run>>,
    /// Oldest first.
    pub(crate) keys: Vec<KeyFileMeta>,
}

pub(crate) struct ViewsShared {
    pub(crate) doors: Doors,
    /// The store's folder, where the manifest stands.
    root: PathBuf,
    pub(crate) runs_dir: PathBuf,
    pub(crate) log: Arc<LogShared>,
    pub(crate) live: LiveStreams,
    pub(crate) objects: LiveObjects,
    pub(crate) keys: LiveKeys,
    pub(crate) ahead: ReadAhead,
    files: ArcSwap<Files>,
    /// The manifest on disk. Held while one is being replaced, which takes flushes: readers do not
    /// look here.
    durable: Mutex<Manifest>,
    /// The checkpoint that it names, once its files can be read.
    readable_checkpoint: AtomicU64,
    next_id: AtomicU64,
}

/// What a job changes in the manifest.
#[derive(Default)]
pub(crate) struct Edit {
    pub(crate) checkpoint: Option<(Lsn, Option<crate::log::tail::Chain>)>,
    pub(crate) remove_runs: Vec<u64>,
    /// Takes the place of the removed runs, or the newest place.
    pub(crate) add_run: Option<Arc<Run>>,
    pub(crate) remove_keys: Vec<u64>,
    pub(crate) add_keys: Option<KeyFileMeta>,
}

impl ViewsShared {
    pub(crate) fn open(
        doors: &Doors,
        root: &Path,
        config: &StoreConfig,
        manifest: Manifest,
        log: Arc<LogShared>,
    ) -> Result<Self, OpenError> {
        let runs_dir = root.join("runs");
        doors.disk.create_dir_all(&runs_dir).map_err(at(&runs_dir))?;
        remove_orphans(doors, &runs_dir, &manifest)?;
        let mut files = Files { runs: Vec::new(), keys: manifest.keys.clone() };
        for meta in &manifest.runs {
            let run =
                Run::open(doors.disk.as_ref(), &runs_dir, meta.id, meta.level).map_err(|e| match e {
                    ReadError::Io(fault) => OpenError::Io(fault),
                    other => {
                        OpenError::BadFile { path: runs_dir.join(run_name(meta.id)), what: other.to_string() }
                    }
                })?;
            files.runs.push(Arc::new(run));
        }
        let next_id = AtomicU64::new(manifest.next_id);
        let readable_checkpoint = AtomicU64::new(manifest.checkpoint.get());
        Ok(Self {
            doors: doors.clone(),
            root: root.to_owned(),
            runs_dir,
            log,
            live: LiveStreams::new(config.idle_streams_max),
            objects: LiveObjects::default(),
            keys: LiveKeys::default(),
            ahead: ReadAhead::default(),
            files: ArcSwap::from_pointee(files),
            durable: Mutex::new(manifest),
            readable_checkpoint,
            next_id,
        })
    }

    pub(crate) fn files(&self) -> Arc<Files> {
        self.files.load_full()
    }

    /// Forgets what was frozen, which the run files hold by now.
    pub(crate) fn drop_frozen(&self) {
        self.live.drop_frozen();
        self.objects.drop_frozen();
        self.keys.drop_frozen();
    }

    pub(crate) fn take_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn durable_checkpoint(&self) -> Lsn {
        Lsn(self.readable_checkpoint.load(Ordering::Acquire))
    }

    /// The end of a stream as the runs have it.
    pub(crate) fn end_in_runs(&self, stream: u64, patience: Patience) -> Result<End, ReadError> {
        for run in self.files.load().runs.iter().rev() {
            if let Some(last) = run.last_record(stream, patience)? {
                return Ok(End { next_offset: last.next_offset, last_time_ms: last.last_time_ms });
            }
        }
        Ok(End::default())
    }

    /// Learns the ends of all streams, newest run first, as far as memory may hold them.
    pub(crate) fn learn_ends(&self, replay_bytes: u64) -> Result<(), ReadError> {
        let runs = &self.files.load().runs;
        let streams: u64 = runs.iter().map(|run| run.footer.streams).sum();
        if replay_bytes < streams.saturating_mul(LEARN_REPLAY_BYTES_PER_STREAM) {
            return Ok(());
        }
        for run in runs.iter().rev() {
            run.each_end(|stream, end| self.live.learn_end(stream, end))?;
        }
        self.live.forget_dropped();
        Ok(())
    }

    /// Makes an edit durable, then visible, then removes the files that are no longer named.
    /// When it fails, nothing has changed for this process, but the manifest on disk may be the old
    /// or the new one: files of the attempt stay until the next start, and the log is not cut
    /// below its checkpoint.
    pub(crate) fn commit(&self, edit: Edit) -> Result<(), IoFault> {
        self.doors.disk.sync_dir(&self.runs_dir).map_err(at(&self.runs_dir))?;
        let mut durable = self.durable.lock();
        let old = self.files.load_full();
        let log_start = self.log.start();
        let mut files = Files { runs: old.runs.clone(), keys: old.keys.clone() };
        let place =
            files.runs.iter().position(|r| edit.remove_runs.contains(&r.id)).unwrap_or(files.runs.len());
        files.runs.retain(|r| !edit.remove_runs.contains(&r.id));
        if let Some(run) = edit.add_run {
            files.runs.insert(place, run);
        }
        let place =
            files.keys.iter().position(|k| edit.remove_keys.contains(&k.id)).unwrap_or(files.keys.len());
        files.keys.retain(|k| !edit.remove_keys.contains(&k.id));
        if let Some(keys) = edit.add_keys {
            files.keys.insert(place, keys);
        }
        files.keys.retain(|k| k.max_lsn >= log_start);
        let (checkpoint, chain) = edit.checkpoint.unwrap_or((durable.checkpoint, durable.chain));
        self.log.raise_cut_floor(checkpoint);
        let manifest = Manifest {
            checkpoint,
            chain,
            log_start,
            next_id: self.next_id.load(Ordering::Relaxed),
            runs: files.runs.iter().map(|r| super::manifest::RunMeta { id: r.id, level: r.level }).collect(),
            keys: files.keys.clone(),
            sealed_ms: self.log.sealed_times(),
        };
        save(&self.doors, &self.root, &manifest).map_err(at(&self.root))?;
        *durable = manifest;
        self.files.store(Arc::new(files));
        self.readable_checkpoint.store(checkpoint.get(), Ordering::Release);
        drop(durable);
        self.remove_unnamed(&old);
        Ok(())
    }

    /// Removes what `old` names and the current files do not. Readers that hold an open file go
    /// on reading it; what cannot be removed now is removed at the next start.
    fn remove_unnamed(&self, old: &Files) {
        let now = self.files.load();
        let runs = old.runs.iter().filter(|r| !now.runs.iter().any(|n| n.id == r.id)).map(|r| run_name(r.id));
        let keys =
            old.keys.iter().filter(|k| !now.keys.iter().any(|n| n.id == k.id)).map(|k| key_file_name(k.id));
        for name in runs.chain(keys) {
            self.remove_file(&name);
        }
    }

    pub(crate) fn remove_file(&self, name: &str) {
        let path = self.runs_dir.join(name);
        if let Err(error) = self.doors.disk.remove(&path) {
            tracing::warn!(path = %path.display(), %error, "cannot remove an unused file; trying again at the next start");
        }
    }
}

/// Removes files of attempts that no manifest names.
fn remove_orphans(doors: &Doors, dir: &Path, manifest: &Manifest) -> Result<(), OpenError> {
    for name in doors.disk.list(dir).map_err(at(dir))? {
        let run = parse_run_name(&name).is_some_and(|id| manifest.runs.iter().any(|r| r.id == id));
        let keys = parse_key_file_name(&name).is_some_and(|id| manifest.keys.iter().any(|k| k.id == id));
        let ours = parse_run_name(&name).is_some() || parse_key_file_name(&name).is_some();
        if ours && !run && !keys {
            let path = dir.join(&name);
            doors.disk.remove(&path).map_err(at(&path))?;
        }
    }
    Ok(())
}
