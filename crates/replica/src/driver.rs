//! The thread that runs a group, and the handle through which others reach it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use base::Doors;
use model::Lsn;
use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use crate::error::{OpenError, ProposeError};
use crate::group::{Group, Submission};
use crate::limits::QUEUED_COMMANDS_MAX;
use crate::machine::Machine;
use crate::metrics::Metrics;

struct Queue<M: Machine> {
    waiting: Vec<Submission<M>>,
    bytes: usize,
    /// Of those that the thread has taken and may still work on.
    bytes_taken: usize,
    stopping: bool,
    sleeping: bool,
}

struct Shared<M: Machine> {
    queue: Mutex<Queue<M>>,
    wake: Condvar,
    commit: Arc<AtomicU64>,
    bytes_max: usize,
    /// The views take as much memory as they may, so nothing new comes in before a checkpoint.
    memory_short: AtomicBool,
    metrics: Metrics,
}

/// Reaches a group's thread. Cheap to clone.
pub struct Handle<M: Machine> {
    shared: Arc<Shared<M>>,
}

impl<M: Machine> Clone for Handle<M> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

/// Completes when a group has closed.
pub type Closed = oneshot::Receiver<Result<(), String>>;

/// Starts the group's thread. The receiver completes when the group has closed.
///
/// # Errors
/// If the thread cannot be started.
pub fn start<M: Machine>(doors: &Doors, group: Group<M>) -> Result<(Handle<M>, Closed), OpenError> {
    let queue = Queue { waiting: Vec::new(), bytes: 0, bytes_taken: 0, stopping: false, sleeping: false };
    let shared = Arc::new(Shared {
        queue: Mutex::new(queue),
        wake: Condvar::new(),
        bytes_max: group.queued_bytes_max(),
        memory_short: AtomicBool::new(false),
        commit: group.commit_cell(),
        metrics: group.metrics().clone(),
    });
    let (closed, when_closed) = oneshot::channel();
    let handle = Handle { shared: Arc::clone(&shared) };
    let clock = Arc::clone(&doors.clock);
    let work = move || {
        let ended = Ended(&shared);
        let result = run(&*clock, group, &shared);
        drop(ended);
        let _ = closed.send(result);
    };
    doors.spawn.thread("group", Box::new(work))?;
    Ok((handle, when_closed))
}

/// However the thread ends, also by a panic, nobody waits for it any more.
struct Ended<'a, M: Machine>(&'a Shared<M>);

impl<M: Machine> Drop for Ended<'_, M> {
    fn drop(&mut self) {
        let mut queue = self.0.queue.lock();
        queue.stopping = true;
        queue.waiting.clear();
    }
}

fn run<M: Machine>(clock: &dyn base::Clock, mut group: Group<M>, shared: &Shared<M>) -> Result<(), String> {
    let mut batch = Vec::new();
    loop {
        let now_ms = clock.now_ms();
        let wait_ms = group.next_due_ms(now_ms).saturating_sub(now_ms).max(0);
        let stopping = take(shared, &mut batch, Duration::from_millis(wait_ms.unsigned_abs()));
        let now_ms = clock.now_ms();
        if !batch.is_empty() {
            group.step(now_ms, &mut batch);
        }
        group.tick(now_ms);
        shared.memory_short.store(group.is_memory_short(), Ordering::Relaxed);
        if stopping && batch.is_empty() {
            return wait_for_background(&mut group, clock).and_then(|()| group.close());
        }
    }
}

fn wait_for_background<M: Machine>(group: &mut Group<M>, clock: &dyn base::Clock) -> Result<(), String> {
    while group.background_runs() && !group.is_fenced() {
        std::thread::park_timeout(Duration::from_millis(5));
        group.tick(clock.now_ms());
    }
    Ok(())
}

/// Moves what waits into `batch`; waits up to `patience` for a first command.
fn take<M: Machine>(shared: &Shared<M>, batch: &mut Vec<Submission<M>>, patience: Duration) -> bool {
    let mut queue = shared.queue.lock();
    queue.bytes_taken = 0;
    if queue.waiting.is_empty() && !queue.stopping && !patience.is_zero() {
        queue.sleeping = true;
        shared.wake.wait_for(&mut queue, patience);
        queue.sleeping = false;
    }
    std::mem::swap(&mut queue.waiting, batch);
    queue.bytes_taken = std::mem::take(&mut queue.bytes);
    queue.stopping
}

impl<M: Machine> Handle<M> {
    /// Proposes a command and waits for its answer. `bytes` is its payload, for the queue's limit.
    ///
    /// # Errors
    /// If too much waits already, or the group takes no writes.
    pub async fn propose(&self, command: M::Command, bytes: usize) -> Result<M::Outcome, ProposeError> {
        let (reply, answer) = oneshot::channel();
        self.submit(Submission { command, reply: Some(reply), bytes })?;
        answer.await.unwrap_or(Err(ProposeError::Stopping))
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
        let is_much = queue.bytes + queue.bytes_taken >= self.shared.bytes_max
            || self.shared.memory_short.load(Ordering::Relaxed);
        if queue.waiting.len() >= QUEUED_COMMANDS_MAX || (is_much && M::brings_new(&submission.command)) {
            drop(queue);
            self.shared.metrics.overloaded();
            return Err(ProposeError::Overloaded);
        }
        queue.bytes += submission.bytes;
        queue.waiting.push(submission);
        self.shared.metrics.queued(queue.waiting.len());
        if queue.sleeping {
            queue.sleeping = false;
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

    /// Takes no more commands; the thread ends after those that wait.
    pub fn stop(&self) {
        self.shared.queue.lock().stopping = true;
        self.shared.wake.notify_one();
    }
}
