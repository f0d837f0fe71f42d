//! Timed messages under faults: far and near ones, recurring ones, recalls, while the log is cut
//! behind them, the process dies across due times and the clock jumps.
//!
//! Ordinary messages only fill the log here; what they promise, the suite `broker` checks. A
//! reader follows the queues and is never far behind, so it sees everything before it is cut off.

use std::collections::BTreeMap;
use std::time::Duration;

use model::admin::{self, NodeInfo};
use model::message::NewMessage;
use model::verbs::{
    Batches, Fetch, FetchOutcome, Publish, PublishError, Published, QueueChoice, Recall, RecallError,
};
use model::{Filter, Messaging, Offset, Properties, QueueId, properties};

use super::calls::{Answer, Ask, body_of, id_of};
use super::{Sim, topic_name};
use crate::sim::{Checked, Outcome, Suite, must};
use crate::trace::Trace;

/// The suite of this file.
pub(crate) const SUITE: Suite = Suite { name: "timers", run };

const QUEUES: u32 = 3;
/// The farthest due time; the end of a run waits for it.
const DELAY_MS_MAX: u64 = 3 * 86_400_000;
const HOPS: u64 = 20;

/// Whether a message was cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cancelled {
    No,
    /// The answer never came, or the time had.
    Perhaps,
    Yes,
}

#[derive(Debug)]
struct Timed {
    due_ms: i64,
    /// How often it is to be fired.
    times: u32,
    /// Acknowledged; `None`: the answer never came.
    is_stored: Option<bool>,
    handle: Option<String>,
    lsn: u64,
    cancelled: Cancelled,
    seen: u32,
}

/// What was timed, and what a reader saw of it.
#[derive(Debug, Default)]
pub(super) struct Timers {
    all: BTreeMap<u64, Timed>,
    wall_max_ms: i64,
    next: [u64; QUEUES as usize],
    /// The log was cut before the reader came: what it missed is unknown.
    is_blind: bool,
}

fn run(seed: u64, trace: Trace) -> Outcome {
    super::run_with(seed, trace, |sim| {
        let segments = 2 + sim.rng.below(4);
        sim.setup.store.segment_bytes = 4096 << sim.rng.below(2);
        sim.setup.store.retention_bytes = Some(sim.setup.store.segment_bytes * segments);
        sim.setup.store.checkpoint_bytes = 1 + sim.rng.skewed(10_000);
        sim.live_timed()
    })
}

impl Sim {
    fn live_timed(&mut self) -> Checked {
        self.prepare()?;
        self.open()?;
        self.make_topics()?;
        let steps = 20 + self.rng.skewed(200);
        for _ in 0..steps {
            self.step_timed()?;
            self.read_new()?;
        }
        self.end_timed()
    }

    fn step_timed(&mut self) -> Checked {
        self.see_time();
        match self.rng.below(100) {
            0..14 => {
                let count = 1 + self.rng.skewed(25) as usize;
                self.ask_publish(0, count, None);
            }
            14..36 => self.ask_timed(),
            36..50 => self.ask_recall(),
            50..66 => return self.drive_noted(),
            66..86 => {
                let most = [2_000, 90_000, DELAY_MS_MAX / 3].get(self.rng.index(3)).copied().unwrap_or(1);
                let ms = self.rng.skewed(most);
                self.doors.clock.advance(Duration::from_millis(ms));
                self.see_time();
                return self.tick();
            }
            86..89 => {
                let by = self.rng.between(0, 7_200_000).cast_signed() - 3_600_000;
                self.note("jump", &[by.unsigned_abs()]);
                self.doors.clock.jump_wall(by);
                self.see_time();
                return self.tick();
            }
            89..91 => self.arm_fault(),
            91..95 => self.crash()?,
            95..98 => self.power_cut()?,
            _ => self.restart()?,
        }
        if self.doors.disk.is_halted() || (self.shaken && self.rng.percent(70)) {
            return if self.rng.percent(50) { self.crash() } else { self.power_cut() };
        }
        if self.rng.percent(50) { self.drive_noted() } else { self.poll() }
    }

    fn see_time(&mut self) {
        let now_ms = self.now_ms();
        self.history.at(now_ms);
        self.timers.wall_max_ms = self.timers.wall_max_ms.max(now_ms);
    }

    // ---- calls

    fn ask_timed(&mut self) {
        let id = self.next_id;
        self.next_id += 1;
        let most = [3_000, 200_000, DELAY_MS_MAX].get(self.rng.index(3)).copied().unwrap_or(1);
        let delay_ms = 1 + self.rng.skewed(most);
        let now_ms = self.now_ms();
        let mut properties = Properties::new();
        properties.push(properties::UNIQUE_ID, &format!("id-{id}"));
        properties.push(properties::TIMER_DELAY_MS, &delay_ms.to_string());
        let mut times = 1;
        if self.rng.percent(15) {
            times = 1 + u32::try_from(self.rng.below(4)).unwrap_or(0);
            properties.push(properties::CRON, "*/20 * * * * *");
            properties.push(properties::CRON_TIMES, &times.to_string());
        }
        let message = NewMessage {
            body: body_of(id),
            properties,
            flag: 0,
            system_flags: 0,
            born_ms: now_ms,
            born_host: std::net::SocketAddr::from(([10, 0, 0, 1], 1)),
            reconsume_times: 0,
        };
        let timed = Timed {
            due_ms: now_ms.saturating_add_unsigned(delay_ms),
            times,
            is_stored: None,
            handle: None,
            lsn: 0,
            cancelled: Cancelled::No,
            seen: 0,
        };
        self.timers.all.insert(id, timed);
        let request = Publish {
            topic: topic_name(0),
            queue: QueueChoice::Any,
            messages: vec![message],
            producer_group: None,
            auto_create: None,
            check_kind: false,
        };
        self.note("timed", &[id, delay_ms]);
        self.ask(Ask::Timed { id }, |broker, session| async move {
            Answer::Published(broker.publish(&session, request).await)
        });
    }

    fn ask_recall(&mut self) {
        let known: Vec<(u64, String)> = self
            .timers
            .all
            .iter()
            .rev()
            .filter_map(|(id, timed)| Some((*id, timed.handle.clone()?)))
            .take(1 + self.rng.skewed(60) as usize)
            .collect();
        let Some((id, handle)) = known.get(self.rng.index(known.len().max(1))).cloned() else { return };
        let request = Recall { topic: topic_name(0), handle, producer_group: None };
        self.note("recall", &[id]);
        self.ask(Ask::Recall { id }, |broker, session| async move {
            Answer::Recalled(broker.recall(&session, request).await)
        });
    }

    // ---- answers

    pub(super) fn timed_sent(&mut self, id: u64, result: Result<Published, PublishError>) {
        let is_unavailable = matches!(result, Err(PublishError::Unavailable(_)));
        self.shaken |= is_unavailable;
        let Some(timed) = self.timers.all.get_mut(&id) else { return };
        match result {
            Ok(published) => {
                timed.is_stored = Some(true);
                if let Some(entry) = published.entries.first() {
                    timed.handle.clone_from(&entry.recall_handle);
                    timed.lsn = entry.lsn.get();
                }
            }
            Err(PublishError::DiskFull { .. }) => timed.is_stored = Some(false),
            Err(_) => {}
        }
    }

    pub(super) fn recalled(&mut self, id: u64, result: Result<String, RecallError>) -> Checked {
        self.see_time();
        let wall_max_ms = self.timers.wall_max_ms;
        let Some(timed) = self.timers.all.get_mut(&id) else { return Ok(()) };
        match result {
            Ok(name) => {
                let is_ahead = wall_max_ms < timed.due_ms && timed.times == 1;
                let now = if is_ahead { Cancelled::Yes } else { Cancelled::Perhaps };
                if timed.cancelled != Cancelled::Yes {
                    timed.cancelled = now;
                }
                must(name == format!("id-{id}"), 23, || format!("the recall of message {id} names {name}"))
            }
            Err(RecallError::TooLate) => must(wall_max_ms >= timed.due_ms, 23, || {
                format!(
                    "the recall of message {id} is said to be late at {wall_max_ms}, due at {}",
                    timed.due_ms
                )
            }),
            Err(error) => {
                self.recall_unanswered(id);
                self.failed("recall", &error.to_string())
            }
        }
    }

    pub(super) fn recall_unanswered(&mut self, id: u64) {
        if let Some(timed) = self.timers.all.get_mut(&id).filter(|t| t.cancelled == Cancelled::No) {
            timed.cancelled = Cancelled::Perhaps;
        }
    }

    // ---- the reader

    /// Reads what came since the last time, as far as the engine can be read.
    fn read_new(&mut self) -> Checked {
        let Some(broker) = self.broker.clone().filter(|_| !self.doors.disk.is_halted() && !self.shaken)
        else {
            return Ok(());
        };
        let session = self.session.clone();
        let start = self.wait_for(admin::run::<NodeInfo>(&*broker, &session, admin::Empty {}))?;
        let start = start.map_or(0, |node| node.log_start);
        for queue in 0..QUEUES {
            loop {
                let at = self.timers.next.get(queue as usize).copied().unwrap_or(0);
                let request = Fetch {
                    group: None,
                    topic: topic_name(0),
                    queue: QueueId(queue),
                    offset: Offset(at),
                    max_messages: 100,
                    max_bytes: 1 << 20,
                    filter: Filter::all(),
                    wait_ms: 0,
                    batches: Batches::Unpacked,
                };
                // A read that failed is tried again after the next step.
                let Ok(fetched) = self.wait_for(broker.fetch(&session, request))? else { return Ok(()) };
                if fetched.outcome == FetchOutcome::OutOfRange && fetched.next.get() > at {
                    self.note("blind", &[]);
                    self.timers.is_blind = true;
                }
                for message in &fetched.messages {
                    let id = id_of(message).unwrap_or_default();
                    self.saw(id, message.stored_ms(), start)?;
                }
                if let Some(next) = self.timers.next.get_mut(queue as usize) {
                    *next = fetched.next.get().max(at);
                }
                if fetched.messages.is_empty() && fetched.outcome != FetchOutcome::OutOfRange {
                    break;
                }
            }
        }
        Ok(())
    }

    fn saw(&mut self, id: u64, stored_ms: i64, log_start: u64) -> Checked {
        let Some(timed) = self.timers.all.get_mut(&id) else { return Ok(()) };
        timed.seen += 1;
        let Timed { due_ms, times, seen, cancelled, is_stored, lsn, .. } = *timed;
        must(seen <= times, 23, || format!("message {id} was fired {seen} times, {times} were asked for"))?;
        must(stored_ms >= due_ms, 23, || format!("message {id} was fired at {stored_ms}, due at {due_ms}"))?;
        must(cancelled != Cancelled::Yes, 23, || format!("message {id} was fired after its recall"))?;
        must(is_stored != Some(false), 5, || format!("message {id} was fired, but was refused"))?;
        self.note("fired", &[id]);
        if lsn > 0 && lsn < log_start {
            self.note("survived", &[id]);
        }
        Ok(())
    }

    // ---- the reckoning

    fn end_timed(&mut self) -> Checked {
        self.note("end", &[]);
        self.doors.disk.disarm();
        self.doors.disk.set_capacity(None);
        self.power_cut()?;
        self.read_new()?;
        for hop in 0..HOPS {
            let ms = if hop < HOPS / 2 { DELAY_MS_MAX / 9 } else { 40_000 };
            self.doors.clock.advance(Duration::from_millis(ms));
            // Segments go only once what waits in them has moved, step by step.
            for _ in 0..3 {
                self.see_time();
                self.tick()?;
                self.read_new()?;
                self.doors.spawn.run_all_threads();
                self.doors.clock.advance(Duration::from_millis(1_000));
            }
        }
        self.see_time();
        self.tick()?;
        self.read_new()?;
        let Timers { all, is_blind, .. } = std::mem::take(&mut self.timers);
        for (id, timed) in all {
            let must_come = timed.is_stored == Some(true) && timed.cancelled == Cancelled::No && !is_blind;
            must(!must_come || timed.seen == timed.times, 23, || {
                format!("message {id} was acknowledged and is gone: {timed:?}")
            })?;
        }
        Ok(())
    }
}
