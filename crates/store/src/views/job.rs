//! Background work on the views: writing a checkpoint, merging files. A job runs on any thread;
//! its last step replaces the manifest, so that it happens as a whole or not at all.

use std::sync::Arc;
use std::time::Duration;

use model::Lsn;

use super::key_file::{KeyFileMeta, KeyWriter, key_file_name};
use super::live::{Generation, LiveStream};
use super::live_objects::{KeyGeneration, Objects};
use super::merge::{merge_keys, merge_runs};
use super::run::{Run, run_name};
use super::run_writer::{Expect, RunWriter};
use super::shared::{Edit, ViewsShared};
use crate::error::JobError;
use crate::limits::{KEY_LEVEL_MAX, MERGE_WIDTH};
use crate::log::tail::Boundary;

/// Alive while a job is under way.
#[derive(Debug)]
pub(crate) struct Token;

/// A checkpoint to be written on any thread.
pub struct CheckpointJob {
    shared: Arc<ViewsShared>,
    at: Lsn,
    boundary: Boundary,
    streams: Vec<Arc<Generation>>,
    objects: Arc<Objects>,
    keys: Vec<Arc<KeyGeneration>>,
    token: Arc<Token>,
}

/// A written checkpoint, to be handed to `Views::checkpoint_finish`.
#[derive(Debug)]
#[must_use]
pub struct CheckpointDone {
    /// The log position that the views now stand at.
    pub at: Lsn,
    /// Bytes written.
    pub bytes: u64,
    _token: Arc<Token>,
}

/// A merge to be done on any thread.
pub struct MergeJob {
    shared: Arc<ViewsShared>,
    work: Work,
    token: Arc<Token>,
}

/// A finished merge, to be handed to `Views::merge_finish`.
#[derive(Debug)]
#[must_use]
pub struct MergeDone {
    /// Bytes written.
    pub bytes: u64,
    _token: Arc<Token>,
}

impl std::fmt::Debug for CheckpointJob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CheckpointJob(at {})", self.at)
    }
}

impl std::fmt::Debug for MergeJob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.work {
            Work::Runs { runs, level, .. } => write!(f, "MergeJob({} runs to level {level})", runs.len()),
            Work::Keys { files, level } => write!(f, "MergeJob({} key files to level {level})", files.len()),
        }
    }
}

impl CheckpointJob {
    pub(super) fn new(shared: Arc<ViewsShared>, at: Lsn, token: Arc<Token>) -> Self {
        let boundary = shared.log.boundary(at);
        let streams = shared.live.freeze();
        let objects = shared.objects.freeze();
        let keys = shared.keys.freeze();
        Self { shared, at, boundary, streams, objects, keys, token }
    }

    /// Writes the files. On an error the previous checkpoint stands and nothing is lost: the next
    /// checkpoint takes over what this one held.
    pub fn run(self) -> Result<CheckpointDone, JobError> {
        let before = self.shared.doors.clock.monotonic();
        let written = self.write();
        let took = since(&self.shared, before);
        match &written {
            Ok(bytes) => self.shared.log.metrics.checkpoint_written(*bytes, took),
            Err(_) => self.shared.log.metrics.job_failed(),
        }
        written.map(|bytes| CheckpointDone { at: self.at, bytes, _token: self.token })
    }

    fn write(&self) -> Result<u64, JobError> {
        let chain = match self.boundary {
            Boundary::EndOf(chain) => Some(chain),
            Boundary::Unknown => None,
            Boundary::Inside => return Err(JobError::NotABoundary { at: self.at }),
        };
        // The views must never be ahead of what the log keeps after a power cut.
        if self.shared.log.flushed() < self.at {
            self.shared.log.flush()?;
        }
        let (run, run_bytes) = self.write_run()?;
        let (keys, key_bytes) = self.write_keys()?;
        let edit =
            Edit { checkpoint: Some((self.at, chain)), add_run: run, add_keys: keys, ..Edit::default() };
        self.shared.commit(edit)?;
        self.shared.live.remember_ends(&self.streams);
        // Here and not by the owner: freeing very many streams takes longer than it may wait.
        self.shared.drop_frozen();
        Ok(run_bytes + key_bytes)
    }

    fn write_run(&self) -> Result<(Option<Arc<Run>>, u64), JobError> {
        let streams: usize = self.streams.iter().map(|g| g.len()).sum();
        if streams == 0 && self.objects.is_empty() {
            return Ok((None, 0));
        }
        let id = self.shared.take_id();
        let written = self.fill_run(id, streams);
        if written.is_err() {
            self.shared.remove_file(&run_name(id));
        }
        let bytes = written?;
        let run = Run::open(self.shared.doors.disk.as_ref(), &self.shared.runs_dir, id, 0)?;
        Ok((Some(Arc::new(run)), bytes))
    }

    fn fill_run(&self, id: u64, streams: usize) -> Result<u64, JobError> {
        let path = self.shared.runs_dir.join(run_name(id));
        let expect = Expect { streams: streams as u64, objects: self.objects.len() as u64 };
        let mut writer = RunWriter::create(self.shared.doors.disk.as_ref(), &path, expect)?;
        let mut sorted: Vec<(u64, &LiveStream)> = Vec::with_capacity(streams);
        sorted.extend(self.streams.iter().flat_map(|g| g.iter()).map(|(id, live)| (*id, live)));
        sorted.sort_unstable_by_key(|(id, _)| *id);
        for (stream, live) in sorted {
            if live.entries.is_empty() {
                writer.put_end(stream, live.end.next_offset, live.end.last_time_ms, live.reset)?;
            } else {
                writer.put_entries(stream, &live.entries, live.reset)?;
            }
        }
        for (key, value) in self.objects.iter() {
            writer.put_object(key, value.as_deref())?;
        }
        Ok(writer.finish()?)
    }

    fn write_keys(&self) -> Result<(Option<KeyFileMeta>, u64), JobError> {
        let mut sorted: Vec<_> = self.keys.iter().flat_map(|part| part.sorted()).collect();
        if sorted.is_empty() {
            return Ok((None, 0));
        }
        // Stable only because that sort makes use of what is sorted already.
        sorted.sort();
        let id = self.shared.take_id();
        let write = || {
            let mut writer =
                KeyWriter::create(self.shared.doors.disk.as_ref(), &self.shared.runs_dir, id, 0)?;
            sorted.into_iter().try_for_each(|key| writer.push(key))?;
            writer.finish()
        };
        match write() {
            Ok((meta, bytes)) => Ok((Some(meta), bytes)),
            Err(fault) => {
                self.shared.remove_file(&key_file_name(id));
                Err(fault.into())
            }
        }
    }
}

fn since(shared: &ViewsShared, before: Duration) -> Duration {
    shared.doors.clock.monotonic().saturating_sub(before)
}

enum Work {
    Runs { runs: Vec<Arc<Run>>, level: u8, with_oldest: bool },
    Keys { files: Vec<KeyFileMeta>, level: u8 },
}

impl MergeJob {
    /// What is most worth merging now.
    pub(super) fn pick(shared: &Arc<ViewsShared>, token: Arc<Token>) -> Option<Self> {
        let files = shared.files();
        let work = pick_runs(&files.runs, shared.log.start()).or_else(|| pick_keys(&files.keys))?;
        Some(Self { shared: Arc::clone(shared), work, token })
    }

    /// Writes the merged file, puts it in the place of its sources and removes them. On an error
    /// the sources stay.
    pub fn run(self) -> Result<MergeDone, JobError> {
        let before = self.shared.doors.clock.monotonic();
        let merged = match &self.work {
            Work::Runs { runs, level, with_oldest } => self.merge_runs(runs, *level, *with_oldest),
            Work::Keys { files, level } => self.merge_keys(files, *level),
        };
        let took = since(&self.shared, before);
        match &merged {
            Ok(bytes) => self.shared.log.metrics.runs_merged(*bytes, took),
            Err(_) => self.shared.log.metrics.job_failed(),
        }
        merged.map(|bytes| MergeDone { bytes, _token: self.token })
    }

    fn merge_runs(&self, runs: &[Arc<Run>], level: u8, with_oldest: bool) -> Result<u64, JobError> {
        let id = self.shared.take_id();
        let path = self.shared.runs_dir.join(run_name(id));
        let disk = self.shared.doors.disk.as_ref();
        let merged = merge_runs(disk, &path, runs, self.shared.log.start(), with_oldest);
        if merged.is_err() {
            self.shared.remove_file(&run_name(id));
        }
        let bytes = merged?;
        let run = Run::open(disk, &self.shared.runs_dir, id, level)?;
        let remove_runs = runs.iter().map(|r| r.id).collect();
        self.shared.commit(Edit { remove_runs, add_run: Some(Arc::new(run)), ..Edit::default() })?;
        Ok(bytes)
    }

    fn merge_keys(&self, files: &[KeyFileMeta], level: u8) -> Result<u64, JobError> {
        let id = self.shared.take_id();
        let disk = self.shared.doors.disk.as_ref();
        let merged = merge_keys(disk, &self.shared.runs_dir, (id, level), files, self.shared.log.start());
        if merged.is_err() {
            self.shared.remove_file(&key_file_name(id));
        }
        let (meta, bytes) = merged?;
        let remove_keys = files.iter().map(|f| f.id).collect();
        self.shared.commit(Edit { remove_keys, add_keys: Some(meta), ..Edit::default() })?;
        Ok(bytes)
    }
}

/// The oldest [`MERGE_WIDTH`] runs of the lowest level that has as many; or the oldest run if all
/// its entries are below the log's start.
fn pick_runs(runs: &[Arc<Run>], log_start: Lsn) -> Option<Work> {
    // Levels descend from the oldest to the newest, so equal ones are adjacent.
    let mut newest = runs.len();
    while let Some(last) = newest.checked_sub(1).and_then(|i| runs.get(i)) {
        let first = runs[..newest].iter().rposition(|r| r.level != last.level).map_or(0, |i| i + 1);
        if newest - first >= MERGE_WIDTH {
            let runs = runs[first..first + MERGE_WIDTH].to_vec();
            return Some(Work::Runs { runs, level: last.level.saturating_add(1), with_oldest: first == 0 });
        }
        newest = first;
    }
    let oldest = runs.first().filter(|r| r.footer.entries > 0 && r.footer.max_lsn < log_start)?;
    let level = oldest.level;
    Some(Work::Runs { runs: runs.iter().take(2).cloned().collect(), level, with_oldest: true })
}

fn pick_keys(files: &[KeyFileMeta]) -> Option<Work> {
    let window = files.windows(MERGE_WIDTH).find(|w| {
        let level = w.first().map(|f| f.level);
        level.is_some_and(|l| l < KEY_LEVEL_MAX) && w.iter().all(|f| Some(f.level) == level)
    })?;
    let level = window.first()?.level + 1;
    Some(Work::Keys { files: window.to_vec(), level })
}
