//! Who runs a group, and the handle through which others reach it.
//!
//! A group has one owner at a time: whoever has taken it out of its slot. Its thread does what time
//! demands. Who carries out the commands depends on what an answer waits for:
//!
//! ```text
//! flush = sync    caller ──queue──► thread: frame, write, flush ──► answers, by a task among the callers
//! flush = async   caller ──queue──► turn-taker (a task among the callers): frame, write ──► answers
//!                                   thread: flushes, checkpoints, retention, what is due
//! ```
//! A flush blocks, so it needs the thread. A write to the page cache does not: a task that lets all other tasks
//! run first that can run, and then writes what they asked for as one frame, answers them without
//! a switch to another thread and back.
//!
//! Invariants: commands are carried out in the order of the queue; a turn that finds the group
//! taken is asked for again by the one who has it.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use base::{Clock, Doors};
use model::Lsn;
use parking_lot::{Condvar, Mutex};
use tokio::sync::{Notify, oneshot};

use crate::answers::Answers;
use crate::error::{OpenError, ProposeError};
use crate::group::{Group, HOUSEKEEPING_MS, Submission};
use crate::limits::{GATHER_MS, QUEUED_COMMANDS_MAX};
use crate::machine::Machine;
use crate::metrics::Metrics;
use crate::turns::{Company, Gathering};

struct Queue<M: Machine> {
    waiting: Vec<Submission<M>>,
    bytes: usize,
    /// Of those that were taken and may still be worked on.
    bytes_taken: usize,
    stopping: bool,
    /// The turn-taker was told that something waits.
    turn_asked: bool,
    /// Some of it may not wait for others.
    in_a_hurry: bool,
    /// When the last command came, while others are waited for.
    last_came: Option<Duration>,
    /// When the group next has work without being asked, Unix milliseconds.
    due_ms: i64,
    /// Until when the thread sleeps, if it does.
    asleep_until_ms: Option<i64>,
}

struct Shared<M: Machine> {
    queue: Mutex<Queue<M>>,
    wake: Condvar,
    clock: Arc<dyn Clock>,
    /// The turn-taker waits here. `None`: the thread carries out all commands.
    turns: Option<Notify>,
    /// Locked before the queue. Empty while the group is being run, after its end, and for good
    /// if what ran it panicked.
    slot: Mutex<Option<Box<Group<M>>>>,
    commit: Arc<AtomicU64>,
    flush_interval_ms: Arc<AtomicU64>,
    bytes_max: usize,
    /// The views take as much memory as they may, so nothing new comes in before a checkpoint.
    memory_short: AtomicBool,
    metrics: Metrics,
}

/// Reaches a group. Cheap to clone.
pub struct Handle<M: Machine> {
    shared: Arc<Shared<M>>,
}

/// A command that was handed in, until its answer comes.
pub struct Proposed<M: Machine>(oneshot::Receiver<Result<M::Outcome, ProposeError>>);

impl<M: Machine> Future for Proposed<M> {
    type Output = Result<M::Outcome, ProposeError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map(|answer| answer.unwrap_or(Err(ProposeError::Stopping)))
    }
}

impl<M: Machine> Clone for Handle<M> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

/// Completes when a group has closed.
pub type Closed = oneshot::Receiver<Result<(), String>>;

/// Starts what runs the group. The receiver completes when the group has closed.
///
/// # Errors
/// If the thread cannot be started.
pub fn start<M: Machine>(doors: &Doors, mut group: Group<M>) -> Result<(Handle<M>, Closed), OpenError> {
    let queue = Queue {
        waiting: Vec::new(),
        bytes: 0,
        bytes_taken: 0,
        stopping: false,
        turn_asked: false,
        in_a_hurry: false,
        last_came: None,
        due_ms: i64::MIN,
        asleep_until_ms: None,
    };
    let by_turns = group.acknowledges_before_flush();
    let answers = (!by_turns).then(|| Arc::new(Answers::default()));
    if let Some(answers) = &answers {
        group.answer_by(Arc::clone(answers));
        doors.spawn.spawn("group-answers", Box::pin(Arc::clone(answers).hand_out()));
    }
    let shared = Arc::new(Shared {
        queue: Mutex::new(queue),
        wake: Condvar::new(),
        clock: Arc::clone(&doors.clock),
        turns: by_turns.then(Notify::new),
        bytes_max: group.queued_bytes_max(),
        memory_short: AtomicBool::new(false),
        commit: group.commit_cell(),
        flush_interval_ms: group.flush_interval_cell(),
        metrics: group.metrics().clone(),
        slot: Mutex::new(Some(Box::new(group))),
    });
    if by_turns {
        doors.spawn.spawn("group-turns", Box::pin(take_turns(Arc::clone(&shared))));
    }
    let (closed, when_closed) = oneshot::channel();
    let handle = Handle { shared: Arc::clone(&shared) };
    let clock = Arc::clone(&doors.clock);
    let work = move || {
        let ended = Ended(&shared);
        let result = run(&*clock, &shared);
        drop(ended);
        if let Some(answers) = answers {
            answers.end();
        }
        let _ = closed.send(result);
    };
    doors.spawn.thread("group", Box::new(work))?;
    Ok((handle, when_closed))
}

/// However the thread ends, also by a panic, nobody waits for the group any more.
struct Ended<'a, M: Machine>(&'a Shared<M>);

impl<M: Machine> Drop for Ended<'_, M> {
    fn drop(&mut self) {
        let mut queue = self.0.queue.lock();
        queue.stopping = true;
        let waiting = std::mem::take(&mut queue.waiting);
        drop(queue);
        drop(waiting);
        self.0.wake_both();
    }
}

// === the thread ===

fn run<M: Machine>(clock: &dyn Clock, shared: &Shared<M>) -> Result<(), String> {
    let mut batch = Vec::new();
    loop {
        let stopping = sleep(shared, clock.now_ms());
        if shared.turns.is_some() {
            flush_if_due(clock, shared);
        }
        let now_ms = clock.now_ms();
        let ran = shared.owning(now_ms, |group| {
            if stopping || shared.turns.is_none() {
                shared.take(&mut batch);
            }
            let is_idle = batch.is_empty();
            if !is_idle {
                group.step(now_ms, &mut batch);
            }
            group.tick(now_ms);
            is_idle
        });
        match ran {
            None => return Err("what ran the group has ended before it could be closed".to_owned()),
            Some(is_idle) if stopping && is_idle => return close(clock, shared),
            Some(_) => shared.ask_again(),
        }
    }
}

/// Waits until the group has something to do; answers whether it is to stop.
fn sleep<M: Machine>(shared: &Shared<M>, now_ms: i64) -> bool {
    let mut queue = shared.queue.lock();
    // A wall clock that was set back must not make anyone wait for it.
    let patience_ms = queue.due_ms.saturating_sub(now_ms).min(HOUSEKEEPING_MS);
    let has_commands = shared.turns.is_none() && !queue.waiting.is_empty();
    if !has_commands && !queue.stopping && patience_ms > 0 {
        queue.asleep_until_ms = Some(queue.due_ms);
        shared.wake.wait_for(&mut queue, Duration::from_millis(patience_ms.unsigned_abs()));
        queue.asleep_until_ms = None;
    }
    queue.stopping
}

/// Flushes what no answer waits for while others go on writing.
fn flush_if_due<M: Machine>(clock: &dyn Clock, shared: &Shared<M>) {
    let now_ms = clock.now_ms();
    let Some(flusher) = shared.owning(now_ms, |group| group.flush_due(now_ms)).flatten() else { return };
    shared.ask_again();
    let flushed = flusher.flush();
    let now_ms = clock.now_ms();
    shared.owning(now_ms, |group| group.on_flushed(now_ms, flushed));
}

fn close<M: Machine>(clock: &dyn Clock, shared: &Shared<M>) -> Result<(), String> {
    let group = shared.slot.lock().take();
    let Some(mut group) = group else { return Ok(()) };
    group.cancel_background();
    while group.background_runs() && !group.is_fenced() {
        std::thread::park_timeout(Duration::from_millis(5));
        group.tick(clock.now_ms());
    }
    group.close()
}

// === the task that takes turns ===

async fn take_turns<M: Machine>(shared: Arc<Shared<M>>) {
    let Some(turns) = &shared.turns else { return };
    let _over = TurnsOver(&shared);
    let mut batch = Vec::new();
    let (mut company, mut gathering) = (Company::default(), Gathering::default());
    loop {
        turns.notified().await;
        let Some(waiting) = shared.waiting() else { return };
        if waiting.commands == 0 {
            continue;
        }
        if !waiting.in_a_hurry && gathering.is_wanted() {
            gather(&shared, turns, &mut gathering, waiting.commands).await;
        } else if company.is_wanted() {
            tokio::task::yield_now().await;
            let Some(now) = shared.waiting() else { return };
            company.came(now.commands.saturating_sub(waiting.commands));
        }
        if shared.waiting().is_none() {
            return;
        }
        let now_ms = shared.clock.now_ms();
        shared.try_owning(now_ms, |group| {
            shared.take(&mut batch);
            if !batch.is_empty() {
                group.step(now_ms, &mut batch);
            }
        });
    }
}

/// Waits for more commands of the kind that may wait; ends with the first that may not.
async fn gather<M: Machine>(shared: &Shared<M>, turns: &Notify, gathering: &mut Gathering, commands: usize) {
    let began = shared.clock.monotonic();
    shared.queue.lock().last_came = Some(began);
    let is_hurried = tokio::select! {
        biased;
        () = turns.notified() => true,
        () = shared.clock.sleep(Duration::from_millis(GATHER_MS)) => false,
    };
    let mut queue = shared.queue.lock();
    let last_came = queue.last_came.take().unwrap_or(began);
    let joined = queue.waiting.len().saturating_sub(commands);
    drop(queue);
    if !is_hurried {
        let now = shared.clock.monotonic();
        gathering.gathered(joined, now.saturating_sub(began), now.saturating_sub(last_came));
    }
}

/// What a turn finds.
struct Waiting {
    commands: usize,
    in_a_hurry: bool,
}

/// However the turns end, also by a panic or with the runtime: what still waits is left to the thread.
struct TurnsOver<'a, M: Machine>(&'a Shared<M>);

impl<M: Machine> Drop for TurnsOver<'_, M> {
    fn drop(&mut self) {
        self.0.queue.lock().stopping = true;
        self.0.wake.notify_one();
    }
}

impl<M: Machine> Shared<M> {
    /// What waits now; `None` if the thread is to carry it out, because the group stops.
    fn waiting(&self) -> Option<Waiting> {
        let queue = self.queue.lock();
        let waiting = Waiting { commands: queue.waiting.len(), in_a_hurry: queue.in_a_hurry };
        (!queue.stopping).then_some(waiting)
    }

    /// Moves what waits into `batch`.
    fn take(&self, batch: &mut Vec<Submission<M>>) {
        let mut queue = self.queue.lock();
        std::mem::swap(&mut queue.waiting, batch);
        queue.bytes_taken = std::mem::take(&mut queue.bytes);
        queue.turn_asked = false;
        queue.in_a_hurry = false;
    }

    /// Runs the group when nobody else does any more; `None` if there is none left.
    fn owning<T>(&self, now_ms: i64, work: impl FnOnce(&mut Group<M>) -> T) -> Option<T> {
        self.with(&mut self.slot.lock(), now_ms, work)
    }

    /// Runs the group unless somebody else does.
    fn try_owning<T>(&self, now_ms: i64, work: impl FnOnce(&mut Group<M>) -> T) -> Option<T> {
        self.with(&mut *self.slot.try_lock()?, now_ms, work)
    }

    /// The group is out of its slot meanwhile, so that a panic leaves none behind.
    fn with<T>(
        &self,
        slot: &mut Option<Box<Group<M>>>,
        now_ms: i64,
        work: impl FnOnce(&mut Group<M>) -> T,
    ) -> Option<T> {
        let mut group = slot.take()?;
        let result = work(&mut group);
        let due_ms = group.next_due_ms(now_ms);
        self.memory_short.store(group.is_memory_short(), Ordering::Relaxed);
        *slot = Some(group);
        let mut queue = self.queue.lock();
        queue.bytes_taken = 0;
        queue.due_ms = due_ms;
        let is_late = queue.asleep_until_ms.is_some_and(|until| due_ms < until);
        if is_late {
            queue.asleep_until_ms = None;
        }
        drop(queue);
        if is_late {
            self.wake.notify_one();
        }
        Some(result)
    }

    /// A turn may have found the group taken.
    fn ask_again(&self) {
        if let Some(turns) = &self.turns
            && !self.queue.lock().waiting.is_empty()
        {
            turns.notify_one();
        }
    }

    fn wake_both(&self) {
        self.wake.notify_one();
        if let Some(turns) = &self.turns {
            turns.notify_one();
        }
    }
}

impl<M: Machine> Handle<M> {
    /// Proposes a command and waits for its answer. `bytes` is its payload, for the queue's limit.
    ///
    /// # Errors
    /// If too much waits already, or the group takes no writes.
    pub async fn propose(&self, command: M::Command, bytes: usize) -> Result<M::Outcome, ProposeError> {
        self.hand_in(command, bytes)?.await
    }

    /// As [`Self::propose`], in two steps: what is returned only waits, and holds nothing of the command.
    ///
    /// # Errors
    /// As [`Self::propose`], as far as known at once.
    pub fn hand_in(&self, command: M::Command, bytes: usize) -> Result<Proposed<M>, ProposeError> {
        let (reply, answer) = oneshot::channel();
        self.submit(Submission { command, reply: Some(reply), bytes })?;
        Ok(Proposed(answer))
    }

    /// Proposes a command whose answer nobody waits for.
    ///
    /// # Errors
    /// As [`Self::propose`], as far as known at once.
    pub fn propose_only(&self, command: M::Command, bytes: usize) -> Result<(), ProposeError> {
        self.submit(Submission { command, reply: None, bytes })
    }

    fn submit(&self, submission: Submission<M>) -> Result<(), ProposeError> {
        let mut queue = self.shared.queue.lock();
        if queue.stopping {
            return Err(ProposeError::Stopping);
        }
        let is_much = queue.bytes + queue.bytes_taken >= self.shared.bytes_max;
        let is_short = self.shared.memory_short.load(Ordering::Relaxed);
        if queue.waiting.len() >= QUEUED_COMMANDS_MAX
            || ((is_much || is_short) && M::brings_new(&submission.command))
        {
            drop(queue);
            self.shared.metrics.overloaded();
            return Err(if is_short { ProposeError::MemoryShort } else { ProposeError::Overloaded });
        }
        queue.bytes += submission.bytes;
        let may_wait = M::may_wait(&submission.command);
        queue.waiting.push(submission);
        self.shared.metrics.queued(queue.waiting.len());
        if let Some(turns) = &self.shared.turns {
            let mut asked = std::mem::replace(&mut queue.turn_asked, true);
            if !may_wait {
                asked &= std::mem::replace(&mut queue.in_a_hurry, true);
            } else if queue.last_came.is_some() {
                queue.last_came = Some(self.shared.clock.monotonic());
            }
            drop(queue);
            if !asked {
                turns.notify_one();
            }
        } else if queue.asleep_until_ms.take().is_some() {
            drop(queue);
            self.shared.wake.notify_one();
        }
        Ok(())
    }

    /// Bytes of commands that wait, or that the thread works on.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        let queue = self.shared.queue.lock();
        queue.bytes + queue.bytes_taken
    }

    /// Everything below this position counts.
    #[must_use]
    pub fn committed(&self) -> Lsn {
        Lsn(self.shared.commit.load(Ordering::Acquire))
    }

    /// How long what no answer waits for may stay unflushed: from the group's next look on, which is at most a
    /// second away.
    pub fn set_flush_interval_ms(&self, interval_ms: u64) {
        self.shared.flush_interval_ms.store(interval_ms, Ordering::Relaxed);
    }

    /// Takes no more commands; the group closes after those that wait.
    pub fn stop(&self) {
        self.shared.queue.lock().stopping = true;
        self.shared.wake_both();
    }
}

#[cfg(test)]
mod tests;
