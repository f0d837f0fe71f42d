//! One group commit: commands in, a frame out, answers after commit.
//!
//! Invariants: an answer that waits for commit is given only after the flush (in sync mode);
//! the commit position never decreases and never passes the end of the log; after an error of
//! the log nothing is written any more and every command is refused.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base::Doors;
use model::{Epoch, Lsn};
use parking_lot::Mutex;
use store::{
    CheckpointDone, DiskState, Flusher, FrameBuilder, LogError, LogReader, MergeDone, Preparation, Prepared,
    RecoveryReport, Repair, Store, StoreConfig, ViewsReader,
};
use tokio::sync::oneshot;

use crate::answers::{Answered, Answers, send_all};
use crate::config::{Flush, ReplicaConfig};
use crate::error::{OpenError, ProposeError};
use crate::limits::{
    CHECKPOINT_CHANGES_MAX, CHECKPOINT_CHANGES_QUIET, FRAME_BYTES_SOFT_MAX, FRAME_RECORDS_SOFT_MAX,
};
use crate::machine::{Decision, Machine, Proposal};
use crate::metrics::Metrics;

/// Record kind of the first record of an epoch; all other kinds are the machine's.
pub const KIND_EPOCH_START: u8 = 255;
/// How often retention, disk space and background work are looked at.
pub(crate) const HOUSEKEEPING_MS: i64 = 1_000;
/// How often a checkpoint that producers wait for is looked at.
const JOB_LOOK_MS: i64 = 5;
/// The log counts as quiet after so many looks at an end that stays.
const QUIET_LOOKS: u32 = 5;
/// Between two steps of keeping what must survive a trim, so that commands come in between.
const TRIM_PAUSE_MS: i64 = 20;

type Answer<M> = Result<<M as Machine>::Outcome, ProposeError>;

/// A command and where its answer goes.
pub struct Submission<M: Machine> {
    pub command: M::Command,
    /// `None`: nobody waits.
    pub reply: Option<oneshot::Sender<Answer<M>>>,
    /// Payload bytes, for the queue's limit.
    pub bytes: usize,
}

enum Background {
    Checkpoint(Result<CheckpointDone, String>),
    Merge(Result<MergeDone, String>),
    Prepare(Result<Option<Prepared>, LogError>),
}

type Slot = Arc<Mutex<Option<Background>>>;

/// A log, its views, and the machine that they belong to.
pub struct Group<M: Machine> {
    doors: Doors,
    config: ReplicaConfig,
    /// As configured, until it is changed.
    flush_interval_ms: Arc<AtomicU64>,
    checkpoint_bytes: u64,
    live_bytes_max: usize,
    metrics: Metrics,
    store: Store,
    machine: M,
    commit: Arc<AtomicU64>,
    fenced: Option<String>,
    checkpoint: Option<Slot>,
    /// A checkpoint that failed is not tried again before, however little memory is left.
    checkpoint_not_before_ms: i64,
    merge: Option<Slot>,
    /// The next segment of the log is being prepared.
    prepare: Option<Slot>,
    last_flush_ms: i64,
    last_housekeeping_ms: i64,
    /// The log's end at the last look of the housekeeping, and looks since it moved.
    quiet_end: Lsn,
    quiet_looks: u32,
    /// A trim that kept only a part of what must survive goes on then.
    trim_again_ms: Option<i64>,
    refuse_messages: Option<u32>,
    /// Answers that wait for commit, with what to answer.
    waiting: Vec<Answered<M>>,
    soft: Vec<Answered<M>>,
    /// By whom answers leave; `None`: at once, by whoever runs the group.
    answers: Option<Arc<Answers<M>>>,
    commit_wanted: bool,
}

impl<M: Machine> Group<M> {
    /// Opens the store, restores the machine and starts a new epoch.
    ///
    /// # Errors
    /// If the store is damaged or taken, or the log does not fit the machine.
    pub fn open(
        doors: &Doors,
        dir: &Path,
        config: ReplicaConfig,
        store_config: &StoreConfig,
        repair: Repair,
        mut machine: M,
    ) -> Result<Self, OpenError> {
        let mut store = Store::open(doors, dir, store_config, repair)?;
        replay(&mut store, &mut machine)?;
        let end = store.log.end();
        let mut group = Self {
            doors: doors.clone(),
            flush_interval_ms: Arc::new(AtomicU64::new(config.flush_interval_ms)),
            config,
            checkpoint_bytes: store_config.checkpoint_bytes,
            live_bytes_max: store_config.live_bytes_max,
            metrics: Metrics::default(),
            store,
            machine,
            commit: Arc::new(AtomicU64::new(end.get())),
            fenced: None,
            checkpoint: None,
            checkpoint_not_before_ms: 0,
            merge: None,
            prepare: None,
            last_flush_ms: doors.clock.now_ms(),
            last_housekeeping_ms: 0,
            quiet_end: Lsn::ZERO,
            quiet_looks: 0,
            trim_again_ms: None,
            refuse_messages: None,
            waiting: Vec::new(),
            soft: Vec::new(),
            answers: None,
            commit_wanted: false,
        };
        group.start_epoch()?;
        Ok(group)
    }

    /// A leader never resumes an epoch: its first frame opens a new one.
    fn start_epoch(&mut self) -> Result<(), LogError> {
        let epoch = Epoch(self.store.log.epoch().get() + 1);
        self.store.log.set_epoch(epoch);
        let mut frame = self.store.log.begin_frame(self.committed());
        frame.push(KIND_EPOCH_START, |_, out| out.extend_from_slice(&epoch.get().to_le_bytes()));
        let end = self.store.log.append(frame)?;
        self.store.log.flush()?;
        self.set_commit(end);
        Ok(())
    }

    #[must_use]
    pub fn committed(&self) -> Lsn {
        Lsn(self.commit.load(Ordering::Acquire))
    }

    /// The commit position, shared with readers.
    #[must_use]
    pub fn commit_cell(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.commit)
    }

    /// The flush interval, shared with who may change it.
    #[must_use]
    pub fn flush_interval_cell(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.flush_interval_ms)
    }

    #[must_use]
    pub fn log_reader(&self) -> LogReader {
        self.store.log.reader()
    }

    #[must_use]
    pub fn views_reader(&self) -> ViewsReader {
        self.store.views.reader()
    }

    #[must_use]
    pub const fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// What the group's store counts.
    #[must_use]
    pub fn store_metrics(&self) -> Arc<store::Metrics> {
        Arc::clone(self.store.log.metrics())
    }

    pub fn machine(&mut self) -> &mut M {
        &mut self.machine
    }

    pub fn store(&mut self) -> &mut Store {
        &mut self.store
    }

    #[must_use]
    pub const fn is_fenced(&self) -> bool {
        self.fenced.is_some()
    }

    /// From here on answers leave by `answers`.
    pub(crate) fn answer_by(&mut self, answers: Arc<Answers<M>>) {
        self.answers = Some(answers);
    }

    /// Bytes of commands that may wait for this group.
    #[must_use]
    pub const fn queued_bytes_max(&self) -> usize {
        self.config.queued_bytes_max
    }

    /// What the views hold in memory takes as much as it may: only a checkpoint frees some.
    #[must_use]
    pub const fn is_memory_short(&self) -> bool {
        self.store.views.live_bytes() >= self.live_bytes_max
    }

    /// Answers do not wait for the disk: carrying out commands never blocks for long.
    #[must_use]
    pub fn acknowledges_before_flush(&self) -> bool {
        self.config.flush == Flush::Async
    }

    /// A checkpoint is to begin before memory is short.
    fn wants_memory_back(&self, now_ms: i64) -> bool {
        self.checkpoint.is_none()
            && self.fenced.is_none()
            && self.store.views.live_bytes() >= self.live_bytes_max / 2
            && now_ms >= self.checkpoint_not_before_ms
    }

    /// What the start found.
    #[must_use]
    pub fn recovery(&self) -> &RecoveryReport {
        self.store.recovery()
    }

    /// When [`Self::tick`] next has work, Unix milliseconds.
    #[must_use]
    pub fn next_due_ms(&self, now_ms: i64) -> i64 {
        let mut due = self.last_housekeeping_ms.saturating_add(HOUSEKEEPING_MS);
        if self.store.log.flushed() < self.store.log.end() {
            due = due.min(
                self.last_flush_ms.saturating_add_unsigned(self.flush_interval_ms.load(Ordering::Relaxed)),
            );
        }
        if let Some(at) = self.trim_again_ms {
            due = due.min(at);
        }
        if self.wants_memory_back(now_ms) {
            due = now_ms;
        }
        if self.checkpoint.is_some() && self.is_memory_short() {
            due = due.min(now_ms.saturating_add(JOB_LOOK_MS));
        }
        if let Some(machine_due) = self.machine.next_due_ms(now_ms) {
            due = due.min(machine_due);
        }
        // A wall clock that was set back must not make anyone wait for it.
        due.clamp(now_ms, now_ms.saturating_add(HOUSEKEEPING_MS))
    }

    /// Takes commands, writes their records in one or more frames, commits, answers.
    pub fn step(&mut self, now_ms: i64, batch: &mut Vec<Submission<M>>) {
        self.metrics.commands_taken(batch.len());
        if let Some(reason) = self.fenced.clone() {
            for submission in batch.drain(..) {
                refuse::<M>(submission.reply, &reason);
            }
            return;
        }
        let mut frame = self.store.log.begin_frame(self.committed());
        for submission in batch.drain(..) {
            self.propose(now_ms, submission, &mut frame);
            if is_full(&frame) {
                self.close_frame(now_ms, &mut frame);
                frame = match self.append(frame) {
                    Ok(()) => self.store.log.begin_frame(self.committed()),
                    Err(error) => return self.fence(&error),
                };
            }
        }
        self.close_frame(now_ms, &mut frame);
        self.finish(now_ms, frame);
    }

    fn close_frame(&mut self, now_ms: i64, frame: &mut FrameBuilder) {
        let refuse_messages = self.refuse_messages;
        let views = &mut self.store.views;
        self.machine.close_frame(&mut Proposal { frame, views, now_ms, refuse_messages });
    }

    fn propose(&mut self, now_ms: i64, submission: Submission<M>, frame: &mut FrameBuilder) {
        if let Some(reason) = self.fenced.clone() {
            return refuse::<M>(submission.reply, &reason);
        }
        let mut proposal =
            Proposal { frame, views: &mut self.store.views, now_ms, refuse_messages: self.refuse_messages };
        let decision = self.machine.propose(submission.command, &mut proposal);
        let Some(reply) = submission.reply else {
            self.commit_wanted |= matches!(decision, Decision::Committed(_));
            return;
        };
        match decision {
            Decision::Now(outcome) => drop(reply.send(Ok(outcome))),
            Decision::Appended(outcome) => self.soft.push((reply, outcome)),
            Decision::Committed(outcome) => {
                self.commit_wanted = true;
                self.waiting.push((reply, outcome));
            }
        }
    }

    fn finish(&mut self, now_ms: i64, frame: FrameBuilder) {
        if let Err(error) = self.append(frame) {
            return self.fence(&error);
        }
        give(self.answers.as_deref(), &mut self.soft);
        if std::mem::take(&mut self.commit_wanted) {
            self.commit(now_ms);
        }
    }

    fn append(&mut self, frame: FrameBuilder) -> Result<(), LogError> {
        if frame.is_empty() {
            self.store.log.give_back(frame);
            return Ok(());
        }
        let before = self.store.log.end();
        let end = self.store.log.append(frame)?;
        self.metrics.frame_written(end.get() - before.get());
        Ok(())
    }

    /// The commit rule of a group of one.
    fn commit(&mut self, now_ms: i64) {
        if self.config.flush == Flush::Sync
            && let Err(error) = self.flush(now_ms)
        {
            return self.fence(&error);
        }
        self.set_commit(self.store.log.end());
        give(self.answers.as_deref(), &mut self.waiting);
    }

    fn flush(&mut self, now_ms: i64) -> Result<(), LogError> {
        self.store.log.flush()?;
        self.metrics.flushed();
        self.last_flush_ms = now_ms;
        Ok(())
    }

    fn set_commit(&mut self, commit: Lsn) {
        debug_assert!(commit >= self.committed() && commit <= self.store.log.end());
        self.commit.store(commit.get(), Ordering::Release);
        self.machine.committed(commit);
    }

    /// Does what time demands: due work of the machine, flushes, checkpoints, retention.
    pub fn tick(&mut self, now_ms: i64) {
        if self.fenced.is_some() {
            return;
        }
        if self.machine.next_due_ms(now_ms).is_some_and(|due| due <= now_ms) {
            self.tick_machine(now_ms);
        }
        if self.fenced.is_some() {
            // What the machine placed is not in the log: to commit what is would tell it otherwise.
            return;
        }
        if self.is_flush_due(now_ms) {
            match self.flush(now_ms) {
                Ok(()) => self.set_commit(self.store.log.end()),
                Err(error) => return self.fence(&error),
            }
        }
        self.finish_background(now_ms);
        if self.wants_memory_back(now_ms) {
            self.start_checkpoint(now_ms);
        }
        if now_ms >= self.last_housekeeping_ms.saturating_add(HOUSEKEEPING_MS)
            || now_ms < self.last_housekeeping_ms
        {
            self.last_housekeeping_ms = now_ms;
            self.trim_again_ms = None;
            self.housekeep(now_ms);
        } else if self.trim_again_ms.is_some_and(|at| at <= now_ms) {
            self.trim_again_ms = None;
            self.trim(now_ms);
        }
    }

    fn is_flush_due(&self, now_ms: i64) -> bool {
        let is_time =
            self.last_flush_ms.saturating_add_unsigned(self.flush_interval_ms.load(Ordering::Relaxed))
                <= now_ms
                || now_ms < self.last_flush_ms;
        is_time && self.store.log.flushed() < self.store.log.end()
    }

    /// A flush that is due and can be done while others go on writing: answers do not wait for it.
    /// Tell [`Self::on_flushed`] how it went.
    #[must_use]
    pub fn flush_due(&self, now_ms: i64) -> Option<Flusher> {
        let is_due = self.fenced.is_none() && self.acknowledges_before_flush() && self.is_flush_due(now_ms);
        is_due.then(|| self.store.log.flusher())
    }

    /// What [`Self::flush_due`] asked for is done.
    pub fn on_flushed(&mut self, now_ms: i64, flushed: Result<Lsn, LogError>) {
        match flushed {
            Ok(_) => {
                self.metrics.flushed();
                self.last_flush_ms = now_ms;
                if self.fenced.is_none() {
                    self.set_commit(self.store.log.end());
                }
            }
            Err(error) => self.fence(&error),
        }
    }

    fn tick_machine(&mut self, now_ms: i64) {
        let mut frame = self.store.log.begin_frame(self.committed());
        let mut proposal = Proposal {
            frame: &mut frame,
            views: &mut self.store.views,
            now_ms,
            refuse_messages: self.refuse_messages,
        };
        self.machine.tick(&mut proposal);
        self.commit_wanted |= !frame.is_empty();
        let placed_nothing = frame.is_empty();
        self.finish(now_ms, frame);
        if placed_nothing && self.committed() == self.store.log.end() {
            // Time alone may have changed what can be handed out, and no commit will come to tell of it.
            self.machine.committed(self.committed());
        }
    }

    fn housekeep(&mut self, now_ms: i64) {
        self.refuse_messages = match self.store.log.space() {
            Ok(DiskState::Ok) => None,
            Ok(DiskState::RefuseProducers) => Some(u32::from(self.store.log.refuse_percent())),
            Ok(DiskState::Full) => Some(100),
            Err(error) => {
                tracing::error!(%error, "free disk space cannot be told");
                self.refuse_messages
            }
        };
        self.trim(now_ms);
        let since = self.store.log.end().get().saturating_sub(self.store.views.checkpoint_lsn().get());
        let changes = self.store.views.changes();
        let is_quiet = self.is_quiet() && changes >= CHECKPOINT_CHANGES_QUIET;
        if since >= self.checkpoint_bytes || changes >= CHECKPOINT_CHANGES_MAX || is_quiet {
            self.start_checkpoint(now_ms);
        }
        if self.merge.is_none()
            && let Some(job) = self.store.views.merge_begin()
        {
            let work = move || Background::Merge(job.run().map_err(|e| e.to_string()));
            self.merge = self.in_background("merge", work);
        }
        self.prepare_segment();
    }

    fn prepare_segment(&mut self) {
        let preparation = match self.config.flush {
            Flush::Sync => Preparation::Flushes,
            Flush::Async => Preparation::Writes,
        };
        if self.prepare.is_none()
            && let Some(job) = self.store.log.prepare_begin(preparation)
        {
            self.prepare = self.in_background("prepare", move || Background::Prepare(job.run()));
        }
    }

    /// Whether nothing was written over some looks; this is one.
    fn is_quiet(&mut self) -> bool {
        let end = self.store.log.end();
        self.quiet_looks = if end == self.quiet_end { self.quiet_looks.saturating_add(1) } else { 0 };
        self.quiet_end = end;
        self.quiet_looks >= QUIET_LOOKS
    }

    fn trim(&mut self, now_ms: i64) {
        let target = self.store.log.retention_target(now_ms).min(self.store.views.checkpoint_lsn());
        if target <= self.store.log.start() {
            return;
        }
        let mut frame = self.store.log.begin_frame(self.committed());
        let mut proposal = Proposal {
            frame: &mut frame,
            views: &mut self.store.views,
            now_ms,
            refuse_messages: self.refuse_messages,
        };
        let free = self.machine.trimming(target, &mut proposal).min(target);
        let is_moved = !frame.is_empty();
        self.commit_wanted |= is_moved;
        self.finish(now_ms, frame);
        if is_moved && self.fenced.is_none() {
            // What was kept must be durable before the place that it was kept from is gone.
            match self.flush(now_ms) {
                Ok(()) => self.set_commit(self.store.log.end()),
                Err(error) => return self.fence(&error),
            }
        }
        if free < target {
            self.trim_again_ms = Some(now_ms.saturating_add(TRIM_PAUSE_MS));
        }
        if self.fenced.is_none()
            && let Err(error) = self.store.log.trim(free)
        {
            tracing::error!(%error, "old segments could not be removed");
        }
    }

    /// Writes a checkpoint of everything committed, in the background.
    pub fn start_checkpoint(&mut self, now_ms: i64) {
        if self.checkpoint.is_some() || self.fenced.is_some() {
            return;
        }
        // What a checkpoint holds must be committed, and durable in the log: its job sees to that, too.
        if self.config.flush == Flush::Sync
            && let Err(error) = self.flush(now_ms)
        {
            return self.fence(&error);
        }
        self.set_commit(self.store.log.end());
        self.machine.checkpoint(&mut self.store.views);
        let job = self.store.views.checkpoint_begin(self.store.log.end());
        let work = move || Background::Checkpoint(job.run().map_err(|e| e.to_string()));
        self.checkpoint = self.in_background("checkpoint", work);
    }

    fn in_background(
        &mut self,
        name: &str,
        work: impl FnOnce() -> Background + Send + 'static,
    ) -> Option<Slot> {
        let slot: Slot = Arc::default();
        let done = Arc::clone(&slot);
        let run = Box::new(move || *done.lock() = Some(work()));
        match self.doors.spawn.thread(name, run) {
            Ok(_) => Some(slot),
            Err(error) => {
                // The frozen part would never be finished: nothing more can be checkpointed.
                self.fence_with(&format!("no thread for a {name}: {error}"));
                None
            }
        }
    }

    fn finish_background(&mut self, now_ms: i64) {
        for slot in [&mut self.checkpoint, &mut self.merge, &mut self.prepare] {
            let Some(done) = slot.as_ref().and_then(|slot| slot.lock().take()) else { continue };
            *slot = None;
            match done {
                Background::Checkpoint(Ok(done)) => {
                    self.store.views.checkpoint_finish(done);
                    self.metrics.checkpoint_finished();
                }
                Background::Prepare(done) => {
                    if let Err(error) = self.store.log.prepare_finish(done) {
                        self.metrics.background_failed();
                        tracing::warn!(%error, "the next segment could not be prepared; flushes or writes take longer");
                    }
                }
                Background::Merge(Ok(done)) => self.store.views.merge_finish(done),
                Background::Merge(Err(error)) => {
                    self.metrics.background_failed();
                    tracing::error!(error, "run files could not be merged");
                }
                Background::Checkpoint(Err(error)) => {
                    self.checkpoint_not_before_ms = now_ms.saturating_add(HOUSEKEEPING_MS);
                    self.metrics.background_failed();
                    tracing::error!(error, "a checkpoint failed; it will be tried again");
                }
            }
        }
    }

    /// The group is about to close: what only the time after that would need is not waited for.
    pub fn cancel_background(&self) {
        self.store.log.prepare_cancel();
    }

    /// True while a checkpoint, a merge or the preparation of a segment runs.
    #[must_use]
    pub const fn background_runs(&self) -> bool {
        self.checkpoint.is_some() || self.merge.is_some() || self.prepare.is_some()
    }

    fn fence(&mut self, error: &LogError) {
        self.fence_with(&error.to_string());
    }

    fn fence_with(&mut self, reason: &str) {
        tracing::error!(
            reason,
            "the log takes no writes any more; restart the node once the cause is mended"
        );
        self.metrics.fenced();
        self.store.log.prepare_cancel();
        self.fenced = Some(reason.to_owned());
        let waiting = self.waiting.drain(..).chain(self.soft.drain(..));
        for (reply, _) in waiting {
            let _ = reply.send(Err(ProposeError::Fenced(reason.to_owned())));
        }
    }

    /// Ends cleanly: everything flushed and checkpointed, so that the next start is quick.
    ///
    /// # Errors
    /// If the disk fails; what was acknowledged before stays safe in sync mode.
    pub fn close(mut self) -> Result<(), String> {
        if let Some(reason) = self.fenced {
            return Err(reason);
        }
        self.finish_background(0);
        self.store.log.flush().map_err(|e| e.to_string())?;
        if self.checkpoint.is_none() {
            self.machine.checkpoint(&mut self.store.views);
            let done =
                self.store.views.checkpoint_begin(self.store.log.end()).run().map_err(|e| e.to_string())?;
            self.store.views.checkpoint_finish(done);
        }
        self.store.close().map_err(|e| e.to_string())
    }
}

fn is_full(frame: &FrameBuilder) -> bool {
    frame.bytes() >= FRAME_BYTES_SOFT_MAX || frame.len() >= FRAME_RECORDS_SOFT_MAX
}

fn give<M: Machine>(answers: Option<&Answers<M>>, ready: &mut Vec<Answered<M>>) {
    match answers {
        Some(answers) => answers.give(ready),
        None => send_all(ready),
    }
}

fn refuse<M: Machine>(reply: Option<oneshot::Sender<Answer<M>>>, reason: &str) {
    if let Some(reply) = reply {
        let _ = reply.send(Err(ProposeError::Fenced(reason.to_owned())));
    }
}

/// Brings a machine from the store's checkpoint to the end of its log.
pub(crate) fn replay<M: Machine>(store: &mut Store, machine: &mut M) -> Result<(), OpenError> {
    machine.attach(store.log.reader(), store.views.reader());
    machine.restore(&store.views.reader())?;
    let from = store.views.checkpoint_lsn().max(store.log.start());
    let bytes = store.log.end().get().saturating_sub(from.get());
    if let Err(error) = store.views.learn_ends(bytes) {
        // What a replay needs of the damaged part it asks for by itself, and fails then.
        tracing::error!(%error, "a run file is damaged; see `apogee verify`");
    }
    let Store { log, views, .. } = store;
    let outcome = log.replay(from, log.end(), &mut |record| {
        if record.kind == KIND_EPOCH_START {
            return Ok(());
        }
        machine.apply(views, &record).map_err(|error| store::ReplayError::apply(record.lsn, error))
    });
    outcome.map_err(|error| OpenError::Replay(error.to_string()))
}

#[cfg(test)]
mod tests;
