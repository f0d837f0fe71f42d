//! The steps of a run while the store is open.

use ::model::Lsn;
use std::path::Path;
use std::time::Duration;

use store::{JobError, LogError, Preparation};

use super::model::{ModelFrame, ModelRecord};
use super::{DIR, Job, Sim, log_range, ops};
use crate::disk::fault::Fault;
use crate::rng::Rng;
use crate::sim::{Checked, must};

/// Record kinds of the simulation are below this.
const KINDS: u64 = 7;

/// What can happen next, and how often it does in a run of medium temper.
const STEPS: [(Step, u64); 20] = [
    (Step::Append, 36),
    (Step::Flush, 10),
    (Step::BeginCheckpoint, 6),
    (Step::RunJob, 8),
    (Step::BeginMerge, 4),
    (Step::Trim, 4),
    (Step::Truncate, 2),
    (Step::Look, 10),
    (Step::PassTime, 3),
    (Step::ArmFault, 4),
    (Step::ArmLie, 1),
    (Step::FlipBit, 2),
    (Step::ChangeCapacity, 2),
    (Step::Crash, 3),
    (Step::PowerCut, 3),
    (Step::Restart, 1),
    (Step::DropCaches, 2),
    (Step::CheckAll, 1),
    (Step::ArmHalt, 3),
    (Step::BeginPrepare, 4),
];

#[derive(Debug, Clone, Copy)]
enum Step {
    Append,
    Flush,
    BeginCheckpoint,
    RunJob,
    BeginMerge,
    Trim,
    Truncate,
    Look,
    PassTime,
    ArmFault,
    ArmLie,
    FlipBit,
    ChangeCapacity,
    Crash,
    PowerCut,
    Restart,
    DropCaches,
    CheckAll,
    ArmHalt,
    BeginPrepare,
}

/// How likely each step is in one run. Every seed has a temper of its own: some never crash and
/// merge a lot, some do hardly anything but crash.
#[derive(Debug)]
pub(super) struct Temper([u64; STEPS.len()]);

impl Temper {
    pub(super) fn new(rng: &mut Rng) -> Self {
        let mut weights = STEPS.map(|(_, weight)| weight * [0, 1, 1, 2, 5][rng.index(5)]);
        // Without appends nothing happens, and lies end a run.
        weights[0] = 40;
        weights[10] = u64::from(rng.one_in(10));
        Self(weights)
    }

    fn draw(&self, rng: &mut Rng) -> Step {
        let mut left = rng.below(self.0.iter().sum());
        for ((step, _), weight) in STEPS.iter().zip(self.0) {
            if left < weight {
                return *step;
            }
            left -= weight;
        }
        Step::Append
    }
}

impl Sim {
    pub(super) fn step(&mut self) -> Checked {
        match self.temper.draw(&mut self.rng) {
            Step::Append => self.append()?,
            Step::Flush => self.flush()?,
            Step::BeginCheckpoint => self.begin_checkpoint()?,
            Step::RunJob => self.run_job()?,
            Step::BeginMerge => self.begin_merge(),
            Step::Trim => self.trim()?,
            Step::Truncate => self.truncate()?,
            Step::Look => self.look()?,
            Step::PassTime => self.pass_time(),
            Step::ArmFault => self.arm_fault(),
            Step::ArmLie => self.arm_lie(),
            Step::FlipBit => self.flip_bit(),
            Step::ChangeCapacity => self.change_capacity(),
            Step::Crash => self.crash()?,
            Step::PowerCut => self.power_cut()?,
            Step::Restart => self.restart()?,
            Step::DropCaches => self.doors.disk.drop_caches(),
            Step::CheckAll => self.look_at_everything()?,
            Step::ArmHalt => self.arm_halt(),
            Step::BeginPrepare => self.begin_prepare(),
        }
        if self.doors.disk.is_halted() {
            // The process has died in the middle of something.
            return if self.rng.percent(50) { self.crash() } else { self.power_cut() };
        }
        if self.shaken && self.rng.percent(50) {
            // A fenced store is of no use: the node restarts.
            if self.rng.percent(50) { self.crash()? } else { self.power_cut()? }
        }
        Ok(())
    }

    // ---- the log

    fn append(&mut self) -> Checked {
        for _ in 0..=self.rng.skewed(6) {
            self.append_one()?;
            if self.shaken {
                break;
            }
        }
        if self.rng.percent(60) { self.flush() } else { Ok(()) }
    }

    fn append_one(&mut self) -> Checked {
        let now = self.now_ms();
        let last = self.log.records().last().map_or(0, |r| ops::time_of(&r.payload));
        let commit = self.log.flushed;
        let before = self.struck();
        let Some(store) = &mut self.store else { return Ok(()) };
        let mut frame = store.log.begin_frame(commit);
        let at = frame.lsn();
        let mut records = Vec::new();
        for _ in 0..=self.rng.skewed(8) {
            let filler = if self.rng.one_in(40) { self.rng.skewed(30_000) } else { self.rng.skewed(700) };
            let payload = ops::payload(self.rng.next_u64(), now.max(last), filler as usize);
            let kind = self.rng.below(KINDS) as u8;
            let placed = frame.push(kind, |_, out| out.extend_from_slice(&payload));
            records.push(ModelRecord { lsn: placed.lsn, kind, len: placed.len, payload });
        }
        let end = at.plus(frame.bytes() as u64);
        let flushed_before = store.log.flushed() == at;
        let made = ModelFrame { lsn: at, end, records, flushed_before };
        let result = store.log.append(frame);
        let real_end = store.log.end();
        self.note("append", &[at.get(), end.get(), u64::from(result.is_ok())]);
        match result {
            Ok(new_end) => {
                must(new_end == end && real_end == end, 1, || {
                    format!("a frame of {at}..{end} ends at {new_end}")
                })?;
                self.adopt(made);
                Ok(())
            }
            Err(LogError::DiskFull) => {
                self.excused("append", before, "disk full")?;
                if self.rng.percent(20) {
                    self.doors.disk.set_capacity(None);
                }
                must(real_end == at, 1, || format!("a refused frame moved the end to {real_end}"))
            }
            Err(error) => {
                self.fenced("append", before, &error)?;
                if self.log.tentative.is_none() {
                    self.log.tentative = Some(made);
                }
                Ok(())
            }
        }
    }

    /// The frame stands: the model and the views follow.
    fn adopt(&mut self, frame: ModelFrame) {
        for record in &frame.records {
            self.views.apply(record);
            if let Some(store) = &mut self.store {
                ops::apply(&mut store.views, &record.payload, record.lsn, record.len);
            }
        }
        self.log.frames.push(frame);
        self.notice_fence();
    }

    /// Views that cannot read an end fence the log; the next append or flush says so.
    pub(super) fn notice_fence(&mut self) {
        if self.struck() > 0 || self.damage.any() {
            let is_fenced = self.store.as_mut().is_some_and(|s| {
                let frame = s.log.begin_frame(Lsn::ZERO);
                s.log.append(frame).is_err()
            });
            self.shaken |= is_fenced;
        }
    }

    pub(super) fn flush(&mut self) -> Checked {
        let before = self.struck();
        let Some(store) = &mut self.store else { return Ok(()) };
        let result = store.log.flush();
        self.note("flush", &[u64::from(result.is_ok())]);
        match result {
            Ok(flushed) => {
                let end = self.log.end();
                must(flushed == end, 5, || format!("a flush of everything up to {end} says {flushed}"))?;
                must(!self.shaken, 6, || "a fenced log was flushed".to_owned())?;
                self.log.flushed = flushed;
                Ok(())
            }
            Err(error) => self.fenced("flush", before, &error),
        }
    }

    fn trim(&mut self) -> Checked {
        let before = self.struck();
        let now = self.now_ms();
        let Some(store) = &mut self.store else { return Ok(()) };
        let target = store.log.retention_target(now);
        let result = store.log.trim(target);
        let start = store.log.start();
        self.note("trim", &[target.get(), start.get(), u64::from(result.is_ok())]);
        must(self.log.is_boundary(start), 3, || format!("the log now starts at {start}, inside a frame"))?;
        must(start <= target, 3, || format!("trimmed to {start}, asked for {target}"))?;
        match result {
            Ok(_) => Ok(()),
            Err(error) => self.excused("trim", before, &error.to_string()),
        }
    }

    /// Cuts an uncommitted tail, as a replica does that followed another leader.
    fn truncate(&mut self) -> Checked {
        if self.job.is_some() || self.shaken {
            return Ok(());
        }
        let before = self.struck();
        let Some(store) = &mut self.store else { return Ok(()) };
        let (checkpoint, floor) = (store.views.checkpoint_lsn(), store.log.cut_floor());
        must(floor >= checkpoint && floor <= checkpoint.max(self.half_checkpoint), 14, || {
            format!("the log may be cut down to {floor}, the views stand at {checkpoint}")
        })?;
        let low = floor.max(store.log.start());
        let choices: Vec<Lsn> =
            self.log.frames.iter().rev().take(12).map(|f| f.end).filter(|e| *e >= low).collect();
        let Some(to) = self.rng.pick(&choices).copied() else { return Ok(()) };
        let result = store.log.truncate(to);
        self.note("truncate", &[to.get(), u64::from(result.is_ok())]);
        match result {
            Ok(()) => {
                self.log.cut(to);
                self.hashes.cut(to);
                self.damage.log.retain(|r| r.start < to.get());
                let Some(store) = &mut self.store else { return Ok(()) };
                store.views.rewind();
                self.replay()
            }
            Err(LogError::BadCut { what, .. }) => self.excused("truncate", before, what),
            // The log may be cut or not: nothing is certain any more but what lies below.
            Err(error) => {
                self.fenced("truncate", before, &error)?;
                self.log.flushed = self.log.flushed.min(to);
                self.damage.may_be_cut_at(to);
                Ok(())
            }
        }
    }

    // ---- jobs

    fn begin_checkpoint(&mut self) -> Checked {
        if self.job.is_some() || self.shaken {
            return Ok(());
        }
        if self.rng.percent(70) {
            self.flush()?;
        }
        let Some(store) = &mut self.store else { return Ok(()) };
        let at = store.log.end();
        let job = store.views.checkpoint_begin(at);
        self.job = Some(Job::Checkpoint(job, at));
        self.note("checkpoint", &[at.get()]);
        Ok(())
    }

    fn begin_merge(&mut self) {
        if self.job.is_none()
            && let Some(job) = self.store.as_mut().and_then(|s| s.views.merge_begin())
        {
            self.job = Some(Job::Merge(job));
            self.note("merge", &[]);
        }
    }

    fn begin_prepare(&mut self) {
        let preparation = if self.rng.percent(50) { Preparation::Flushes } else { Preparation::Writes };
        if self.job.is_none()
            && let Some(job) = self.store.as_mut().and_then(|s| s.log.prepare_begin(preparation))
        {
            self.job = Some(Job::Prepare(job));
            self.note("prepare", &[]);
        }
    }

    fn run_job(&mut self) -> Checked {
        let before = self.struck();
        let failed = match self.job.take() {
            None => return Ok(()),
            Some(Job::Checkpoint(job, at)) => {
                let result = job.run();
                self.note("checkpointed", &[at.get(), u64::from(result.is_ok())]);
                match (result, &mut self.store) {
                    (Ok(done), Some(store)) => {
                        self.log.flushed = self.log.flushed.max(at);
                        if self.rng.percent(10) {
                            // The process ends before the owner hears of it.
                            drop(done);
                            return if self.rng.percent(50) { self.crash() } else { self.power_cut() };
                        }
                        store.views.checkpoint_finish(done);
                        let stands = store.views.checkpoint_lsn();
                        must(stands <= self.log.flushed, 14, || {
                            format!("the views stand at {stands}, which is not durable")
                        })?;
                        None
                    }
                    (result, _) => {
                        self.half_checkpoint = at;
                        result.err()
                    }
                }
            }
            Some(Job::Merge(job)) => {
                let result = job.run();
                self.note("merged", &[u64::from(result.is_ok())]);
                match (result, &mut self.store) {
                    (Ok(done), Some(store)) => {
                        store.views.merge_finish(done);
                        None
                    }
                    (result, _) => result.err(),
                }
            }
            Some(Job::Prepare(job)) => {
                let result = job.run();
                self.note("prepared", &[u64::from(result.is_ok())]);
                let Some(store) = &mut self.store else { return Ok(()) };
                // The log goes on without: nothing of it was touched.
                return match store.log.prepare_finish(result) {
                    Ok(()) => Ok(()),
                    Err(error) => self.excused("prepare", before, &error.to_string()),
                };
            }
        };
        match failed {
            None => Ok(()),
            Some(JobError::Log(error)) => self.fenced("job", before, &error),
            Some(error) => self.excused("job", before, &error.to_string()),
        }
    }

    // ---- looking

    fn look(&mut self) -> Checked {
        if self.shaken {
            // A fenced store may show entries of frames that never count.
            return Ok(());
        }
        let before = self.struck();
        let mut rng = self.rng.fork();
        let kind = rng.below(8);
        self.note("look", &[kind]);
        let mut is_excused = self.damage.any() || self.doors.disk.armed() > 0;
        let Some(compare) = self.compare(is_excused) else { return Ok(()) };
        let (checkpoint, end) = (compare.store.views.checkpoint_lsn(), compare.store.log.end());
        let visible: Vec<Lsn> = self
            .log
            .frames
            .iter()
            .map(|f| f.end)
            .filter(|e| *e >= checkpoint.max(self.log.flushed))
            .collect();
        let below = if rng.percent(50) { end } else { rng.pick(&visible).copied().unwrap_or(end) };
        match kind {
            0 => compare.whole_log()?,
            1 => compare.some_records(&mut rng)?,
            2..5 => compare.streams(6, below, &mut rng)?,
            5 => compare.objects(&mut rng)?,
            6 => compare.keys(below, &mut rng)?,
            _ => {
                is_excused |= self.struck() > before;
                if let Some(store) = &self.store {
                    self.hashes.check(store, is_excused)?;
                }
            }
        }
        self.notice_fence();
        Ok(())
    }

    // ---- the world

    fn look_at_everything(&mut self) -> Checked {
        self.struck();
        self.note("look at all", &[]);
        if !self.shaken {
            self.check_everything(100)?;
            self.notice_fence();
        }
        Ok(())
    }

    fn pass_time(&mut self) {
        let ms = self.rng.skewed(120_000);
        self.doors.clock.advance(Duration::from_millis(ms));
        if self.rng.percent(20) {
            let jump = self.rng.between(0, 20_000).cast_signed() - 10_000;
            self.doors.clock.jump_wall(jump);
        }
        self.note("time", &[ms]);
    }

    fn arm_fault(&mut self) {
        let faults = [
            Fault::TornWrite,
            Fault::WriteError,
            Fault::SyncError,
            Fault::SyncDirError,
            Fault::ReadError,
            Fault::NameError,
            Fault::Slow(Duration::from_millis(700)),
        ];
        if let Some(fault) = self.rng.pick(&faults).copied() {
            self.arm(fault);
        }
    }

    fn arm_lie(&mut self) {
        let fault = if self.rng.percent(50) { Fault::MisdirectedWrite } else { Fault::LostWrite };
        self.arm(fault);
    }

    fn arm_halt(&mut self) {
        self.doors.disk.arm(Fault::Halt, "", self.rng.skewed(40));
        self.note("arm", &[]);
    }

    fn arm(&mut self, fault: Fault) {
        let place = ["/log/", "/runs/", "MANIFEST", "STATE", ""][self.rng.index(5)];
        self.doors.disk.arm(fault, place, self.rng.skewed(6));
        self.note("arm", &[]);
    }

    fn flip_bit(&mut self) {
        let files = self.doors.disk.files_below(Path::new(DIR));
        let Some((path, len)) = self.rng.pick(&files).filter(|(_, len)| *len > 0).cloned() else { return };
        let (at, bit) = (self.rng.below(len), self.rng.below(8) as u8);
        if !self.doors.disk.flip_bit(&path, at, bit).unwrap_or(false) {
            return;
        }
        match log_range(&path, at, 1) {
            Some(range) => self.damage.log.push(range),
            None => self.damage.elsewhere |= !path.ends_with("LOCK"),
        }
        self.damage.flipped = true;
        self.note("flip", &[at, u64::from(bit)]);
    }

    fn change_capacity(&mut self) {
        let capacity = self.rng.percent(50).then(|| self.doors.disk.used_bytes() + self.rng.skewed(60_000));
        self.doors.disk.set_capacity(capacity);
        self.note("capacity", &[capacity.unwrap_or_default()]);
    }

    // ---- excuses

    /// An error must have a cause: a fault that struck meanwhile, or damage that is there.
    pub(super) fn excused(&mut self, what: &str, struck_before: usize, error: &str) -> Checked {
        let is_excused = self.struck() > struck_before || self.damage.any() || self.shaken;
        must(is_excused, 0, || format!("{what} failed without a cause: {error}"))
    }

    /// As [`Self::excused`], for an error after which the log takes nothing more.
    pub(super) fn fenced(&mut self, what: &str, struck_before: usize, error: &LogError) -> Checked {
        self.excused(what, struck_before, &error.to_string())?;
        self.shaken = true;
        Ok(())
    }
}
