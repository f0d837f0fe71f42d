//! The ends of a process, and what the next start must find.

use std::path::Path;

use ::model::{Epoch, Lsn};
use store::{OpenError, Repair, Store, verify};

use super::check::Compare;
use super::model::{ModelViews, is_hit};
use super::{DIR, Sim, ops};
use crate::doors::SimDoors;
use crate::sim::{Checked, Violation, must};
use crate::trace::Trace;

/// What is found to be wrong with the log is found before it is changed.
fn concerns_the_log(error: &OpenError) -> bool {
    use OpenError::{Corrupt, DamagedBelowCheckpoint, LogBehind};
    matches!(error, Corrupt { .. } | DamagedBelowCheckpoint { .. } | LogBehind { .. })
}

/// How the process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Crash,
    PowerCut,
    Closed,
}

impl Sim {
    pub(super) fn crash(&mut self) -> Checked {
        self.note("crash", &[]);
        self.doors.crash_process();
        self.ended(Ending::Crash)
    }

    pub(super) fn power_cut(&mut self) -> Checked {
        self.note("power cut", &[]);
        let mut rng = self.rng.fork();
        self.doors.power_cut(&mut rng);
        self.ended(Ending::PowerCut)
    }

    /// Closes in order and starts again.
    pub(super) fn restart(&mut self) -> Checked {
        if self.shaken {
            return Ok(());
        }
        self.note("restart", &[]);
        self.close()?;
        if self.shaken { self.crash() } else { self.ended(Ending::Closed) }
    }

    pub(super) fn close(&mut self) -> Checked {
        let before = self.struck();
        self.job = None;
        let Some(store) = self.store.take() else { return Ok(()) };
        match store.close() {
            Ok(()) => {
                self.log.flushed = self.log.end();
                let report = verify(&self.doors.process(), Path::new(DIR));
                let struck = self.struck() > before;
                let is_excused = self.damage.any() || struck;
                must(is_excused || report.is_sound(), 1, || {
                    format!("a closed store does not verify: {:?}", report.problems)
                })
            }
            Err(error) => self.fenced("close", before, &error),
        }
    }

    fn ended(&mut self, ending: Ending) -> Checked {
        self.job = None;
        self.store = None;
        self.shaken = false;
        self.struck();
        self.start_again(ending)
    }

    /// The first start.
    pub(super) fn reopen(&mut self) -> Checked {
        self.start_again(Ending::Closed)
    }

    fn start_again(&mut self, ending: Ending) -> Checked {
        let mut repair = Repair::Refuse;
        for _ in 0..20 {
            let before = self.struck();
            self.doors.disk.crash_process();
            let log_files = self.doors.disk.files_below(&Path::new(DIR).join("log"));
            let opened = Store::open(&self.doors.process(), Path::new(DIR), &self.config, repair);
            match opened {
                Ok(store) => {
                    self.store = Some(store);
                    return self.opened(ending, repair);
                }
                Err(error) => {
                    let struck = self.struck() > before;
                    self.note("refused", &[]);
                    self.doors.trace.event("because", &[], || error.to_string());
                    let is_same = log_files == self.doors.disk.files_below(&Path::new(DIR).join("log"));
                    must(is_same || !concerns_the_log(&error), 3, || {
                        format!("the log was changed for nothing: {error}")
                    })?;
                    if !self.after_refusal(&error, struck, &mut repair)? {
                        return Ok(());
                    }
                }
            }
        }
        Err(Violation { invariant: 0, what: "the store does not open after twenty attempts".to_owned() })
    }

    /// Judges a refusal, and mends what led to it. False if the run is over.
    fn after_refusal(&mut self, error: &OpenError, struck: bool, repair: &mut Repair) -> Checked<bool> {
        if self.doors.disk.fault_log().last().is_some_and(|f| f.fault == "full disk") {
            self.doors.disk.set_capacity(None);
            return Ok(true);
        }
        if struck {
            return Ok(true);
        }
        let is_damaged = self.damage.any();
        if let OpenError::Corrupt { at, .. } = error {
            let lowest = self.log.first_hit(&self.damage.log).map(|f| f.lsn);
            let is_explained = lowest.is_some_and(|l| *at >= l) || self.damage.lied || self.damage.elsewhere;
            let is_explained = is_explained || (self.damage.unsynced_tail && *at >= self.log.flushed);
            must(is_explained, 3, || format!("refused as corrupt at {at}, but nothing is damaged: {error}"))?;
        } else {
            must(is_damaged, 0, || format!("the store does not open: {error}"))?;
        }
        match (error, &repair) {
            (OpenError::Corrupt { at, .. }, Repair::Refuse) if self.rng.percent(50) => {
                self.damage.may_be_cut_at(*at);
                *repair = Repair::TruncateCorrupt;
                Ok(true)
            }
            _ if self.damage.flipped => {
                self.heal();
                *repair = Repair::Refuse;
                Ok(true)
            }
            (OpenError::Corrupt { at, .. }, Repair::Refuse) => {
                self.damage.may_be_cut_at(*at);
                *repair = Repair::TruncateCorrupt;
                Ok(true)
            }
            _ => {
                // A drive has lied and no repair helps: the replica is to be filled anew.
                must(self.damage.lied, 0, || format!("no repair opens the store: {error}"))?;
                self.is_over = true;
                Ok(false)
            }
        }
    }

    /// The store is open: what of the log must be there, is it?
    fn opened(&mut self, ending: Ending, repair: Repair) -> Checked {
        let Some(store) = &self.store else { return Ok(()) };
        let (end, start, checkpoint) = (store.log.end(), store.log.start(), store.views.checkpoint_lsn());
        let report = store.recovery().clone();
        self.note(
            "opened",
            &[start.get(), checkpoint.get(), end.get(), u64::from(ending == Ending::PowerCut)],
        );
        if let Some(frame) = self.log.tentative.take()
            && frame.lsn == self.log.end()
            && frame.end == end
        {
            self.log.frames.push(frame);
        }
        let appended = self.log.end();
        must(end <= appended, 1, || {
            format!("the log ends at {end}, but nothing was appended above {appended}")
        })?;
        must(self.log.is_boundary(end), 1, || format!("the log ends at {end}, inside a frame"))?;
        must(start <= end, 3, || format!("the log starts at {start} and ends at {end}"))?;
        must(checkpoint <= end, 14, || format!("the views stand at {checkpoint}, the log ends at {end}"))?;
        must(report.log.committed_lost.is_none() || self.damage.any(), 3, || {
            format!("committed records are said to be lost: {report:?}")
        })?;
        self.check_losses(ending, repair, end)?;
        self.damage.cut_from = None;
        // An open store stands on what is durable, whatever failed before.
        self.struck();
        self.damage.unsynced_tail = false;
        self.log.cut(end);
        self.hashes.cut(end);
        self.damage.log.retain(|r| r.start < end.get());
        self.log.flushed = end;
        self.views = ModelViews::of(&self.log);
        self.replay()?;
        if self.is_over {
            return Ok(());
        }
        self.check_everything(20)?;
        if self.rng.percent(50)
            && let Some(store) = &mut self.store
        {
            store.log.set_epoch(Epoch(store.log.epoch().get() + 1));
        }
        Ok(())
    }

    /// Whether the log may end at `end`.
    fn check_losses(&self, ending: Ending, repair: Repair, end: Lsn) -> Checked {
        let hit = self.log.first_hit(&self.damage.log);
        let first_damage = hit.map_or(Lsn(u64::MAX), |f| f.lsn);
        let first_damage = self.damage.cut_from.map_or(first_damage, |at| at.min(first_damage));
        if self.damage.lied && (hit.is_none() || end >= first_damage) {
            // The lie may concern anything, but most of all what was written last.
            return Ok(());
        }
        let kept_by_flush = self.log.flushed.min(first_damage);
        must(end >= kept_by_flush, 3, || {
            format!("the log ends at {end}, but was durable up to {kept_by_flush}")
        })?;
        let cache_survived = ending != Ending::PowerCut && !self.damage.unsynced_tail;
        if cache_survived {
            let kept = self.log.end().min(first_damage);
            must(end >= kept, 3, || format!("only the process ended, but the log lost {end}..{kept}"))?;
        }
        let is_unrepaired = repair == Repair::Refuse && self.damage.cut_from.is_none();
        if is_unrepaired && end < self.log.end() && !self.damage.lied {
            self.check_silent_cut(cache_survived, end)?;
        }
        Ok(())
    }

    /// Without an operator's word, damage is cut off only where no later frame proves it.
    fn check_silent_cut(&self, cache_survived: bool, end: Lsn) -> Checked {
        let cut = self.log.frames.iter().filter(|f| f.lsn > end && !is_hit(f, &self.damage.log));
        // A damaged state file does not tell that the machine was not restarted.
        let cache_survived = cache_survived && !self.damage.elsewhere;
        let proof = cut.filter(|f| f.end <= self.log.flushed || cache_survived);
        let proof = proof.filter(|f| cache_survived || f.flushed_before).map(|f| f.lsn).next();
        must(proof.is_none(), 3, || {
            format!("the log was cut at {end} although the whole frame at {proof:?} proves damage")
        })
    }

    /// Brings the views to the end of the log, as every start does.
    pub(super) fn replay(&mut self) -> Checked {
        let before = self.struck();
        let Some(store) = &mut self.store else { return Ok(()) };
        let Store { log, views, .. } = store;
        let from = views.checkpoint_lsn().max(log.start());
        let result = log.replay(from, log.end(), &mut |record| {
            ops::apply(views, record.payload, record.lsn, record.len);
            Ok(())
        });
        self.views = ModelViews::of(&self.log);
        if let Err(error) = result {
            self.excused("replay", before, &error.to_string())?;
            self.doors.trace.event("replay", &[], || error.to_string());
            self.doors.disk.disarm();
            self.heal();
            if self.damage.lied {
                self.is_over = true;
                return Ok(());
            }
            return self.crash();
        }
        self.notice_fence();
        if self.shaken {
            // The end of a stream could not be read: the views are not to be used.
            self.excused("replay", before, "the log is fenced")?;
            self.heal();
            if self.damage.any() {
                self.is_over = true;
                return Ok(());
            }
            return self.crash();
        }
        Ok(())
    }

    /// The whole log, applied to an empty store, gives the same state.
    pub(super) fn rederive(&mut self) -> Checked {
        let Some(store) = self.store.as_ref().filter(|s| s.log.start() == Lsn::ZERO) else { return Ok(()) };
        if self.damage.any() {
            return Ok(());
        }
        let fail = |what: String| Violation { invariant: 15, what };
        let other = SimDoors::with_trace(1, Trace::default());
        let opened = Store::open(&other.process(), Path::new("/other"), &self.config, Repair::Refuse);
        let mut derived = opened.map_err(|e| fail(e.to_string()))?;
        let frames = store.log.reader().frames(Lsn::ZERO, usize::MAX).map_err(|e| fail(e.to_string()))?;
        for frame in frames {
            derived.log.append_copy(frame).map_err(|e| fail(format!("a copied frame is refused: {e}")))?;
        }
        must(derived.log.end() == store.log.end(), 2, || "the copy of the log ends elsewhere".to_owned())?;
        let Store { log, views, .. } = &mut derived;
        let replayed = log.replay(Lsn::ZERO, log.end(), &mut |record| {
            ops::apply(views, record.payload, record.lsn, record.len);
            Ok(())
        });
        replayed.map_err(|e| fail(e.to_string()))?;
        let (here, there) = (store.views.state_hash(), derived.views.state_hash());
        must(here == there, 15, || {
            format!("the state is {here:x}, derived anew from the log it is {there:x}")
        })?;
        let compare = Compare { store: &derived, log: &self.log, views: &self.views, is_excused: false };
        compare.whole_log()
    }
}
