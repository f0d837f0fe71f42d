//! Simulated tasks and threads: queued, and run one at a time when the simulation says so.
//!
//! Nothing runs concurrently, so a run depends on the order of the queue alone. A closure handed
//! to [`Spawn::thread`] must come to an end by itself, unless its name is known to
//! [`SimSpawn::let_take_turns`]. `blocking` work runs in the moment that it is asked for.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use base::spawn::JoinThread;
use base::{Spawn, Task};
use futures::future::BoxFuture;
use parking_lot::Mutex;

use crate::rng::Rng;
use crate::trace::Trace;
use crate::turns::TurnThread;

type Work = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct State {
    next_id: u64,
    threads: VecDeque<(u64, String, Work)>,
    /// Ended threads that may still be joined: whether they ended well.
    ended: BTreeMap<u64, bool>,
    tasks: BTreeMap<u64, BoxFuture<'static, ()>>,
    ready: VecDeque<u64>,
    /// Names of threads that loop.
    looping: Vec<&'static str>,
    /// Threads that loop, oldest first.
    turns: Vec<Arc<TurnThread>>,
    trace: Trace,
}

/// A [`Spawn`] that runs nothing by itself. Cheap to clone; clones share one queue.
#[derive(Clone, Default)]
pub struct SimSpawn {
    state: Arc<Mutex<State>>,
}

impl std::fmt::Debug for SimSpawn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = self.state.lock();
        write!(f, "SimSpawn({} threads, {} tasks)", state.threads.len(), state.tasks.len())
    }
}

impl SimSpawn {
    #[must_use]
    pub fn new(trace: Trace) -> Self {
        let spawn = Self::default();
        spawn.state.lock().trace = trace;
        spawn
    }

    /// Threads that wait for their turn.
    #[must_use]
    pub fn waiting_threads(&self) -> usize {
        self.state.lock().threads.len()
    }

    /// Runs one waiting thread, chosen by `rng`, to its end; false if none waits.
    pub fn run_one_thread(&self, rng: &mut Rng) -> bool {
        let i = rng.index(self.waiting_threads());
        self.run_thread_at(i)
    }

    /// Runs every waiting thread, oldest first.
    pub fn run_all_threads(&self) {
        while self.run_thread_at(0) {}
    }

    fn run_thread_at(&self, i: usize) -> bool {
        let Some((id, name, work)) = self.state.lock().threads.remove(i) else { return false };
        self.state.lock().trace.event("thread", &[id], || name.clone());
        let ended_well = catch_unwind(AssertUnwindSafe(work));
        self.state.lock().ended.insert(id, ended_well.is_ok());
        if let Err(panic) = ended_well {
            std::panic::resume_unwind(panic);
        }
        true
    }

    /// Threads of this name loop for ever: they run when they are given a turn, and give it back
    /// when they ask for the time.
    pub fn let_take_turns(&self, name: &'static str) {
        self.state.lock().looping.push(name);
    }

    /// Gives each looping thread one turn; false if there is none. While a task can run it runs in
    /// place of them: a thread that finds nothing to do sleeps, and would do so in true time.
    ///
    /// # Panics
    /// With what such a thread panicked with.
    pub fn give_turns(&self) -> bool {
        if !self.state.lock().ready.is_empty() {
            self.run_tasks();
            return true;
        }
        let turns = self.state.lock().turns.clone();
        let mut any = false;
        for thread in &turns {
            any |= thread.give_turn();
        }
        any
    }

    /// True while a looping thread has not come to its end.
    #[must_use]
    pub fn is_looping(&self) -> bool {
        let turns = self.state.lock().turns.clone();
        turns.iter().any(|t| t.is_alive())
    }

    /// Polls woken tasks until none is left.
    pub fn run_tasks(&self) {
        loop {
            let Some(id) = self.state.lock().ready.pop_front() else { return };
            let Some(mut task) = self.state.lock().tasks.remove(&id) else { continue };
            let waker = self.waker(id);
            if task.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
                self.state.lock().tasks.insert(id, task);
            }
        }
    }

    fn waker(&self, id: u64) -> Waker {
        Waker::from(Arc::new(Ready { id, state: Arc::clone(&self.state) }))
    }

    /// Forgets everything that waits, as the end of the process would.
    pub fn crash(&self) {
        let (threads, tasks, turns) = {
            let mut state = self.state.lock();
            state.ready.clear();
            let State { threads, tasks, turns, .. } = &mut *state;
            (std::mem::take(threads), std::mem::take(tasks), std::mem::take(turns))
        };
        drop((turns, threads, tasks));
    }

    /// Polls `future`, and the tasks and threads that it needs, until it is done. When nothing can
    /// go on, `idle` is asked to move the world (time, usually) and says whether it did.
    ///
    /// # Panics
    /// If the future cannot come to an end.
    pub fn block_on<T>(&self, future: impl Future<Output = T>, mut idle: impl FnMut() -> bool) -> T {
        let mut future = std::pin::pin!(future);
        let flag = Arc::new(Flag::default());
        let waker = Waker::from(Arc::clone(&flag));
        loop {
            *flag.0.lock() = false;
            if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                return value;
            }
            self.run_tasks();
            if !*flag.0.lock() && !self.run_thread_at(0) {
                assert!(idle(), "nothing is left that could complete the future");
            }
        }
    }
}

#[derive(Default)]
struct Flag(Mutex<bool>);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        *self.0.lock() = true;
    }
}

struct Ready {
    id: u64,
    state: Arc<Mutex<State>>,
}

impl Wake for Ready {
    fn wake(self: Arc<Self>) {
        let mut state = self.state.lock();
        if !state.ready.contains(&self.id) {
            state.ready.push_back(self.id);
        }
    }
}

struct SimThread {
    id: u64,
    spawn: SimSpawn,
}

impl JoinThread for SimThread {
    fn join(self: Box<Self>) -> bool {
        loop {
            let place = {
                let mut state = self.spawn.state.lock();
                if let Some(ended_well) = state.ended.remove(&self.id) {
                    return ended_well;
                }
                state.threads.iter().position(|(id, ..)| *id == self.id)
            };
            match place {
                Some(i) => self.spawn.run_thread_at(i),
                // It went down with its process.
                None => return false,
            };
        }
    }
}

struct LoopingThread(Arc<TurnThread>);

impl JoinThread for LoopingThread {
    fn join(self: Box<Self>) -> bool {
        while self.0.give_turn() {}
        true
    }
}

impl Spawn for SimSpawn {
    fn spawn(&self, _name: &'static str, future: BoxFuture<'static, ()>) -> Task {
        let mut state = self.state.lock();
        let id = state.next_id;
        state.next_id += 1;
        state.tasks.insert(id, future);
        state.ready.push_back(id);
        Task::detached()
    }

    fn thread(&self, name: &str, work: Work) -> io::Result<Box<dyn JoinThread>> {
        let mut state = self.state.lock();
        let id = state.next_id;
        state.next_id += 1;
        if state.looping.contains(&name) {
            let thread = Arc::new(TurnThread::start(name, work)?);
            state.turns.push(Arc::clone(&thread));
            return Ok(Box::new(LoopingThread(thread)));
        }
        state.threads.push_back((id, name.to_owned(), work));
        drop(state);
        Ok(Box::new(SimThread { id, spawn: self.clone() }))
    }

    fn blocking(&self, work: Work) -> BoxFuture<'static, ()> {
        Box::pin(Blocking(Some(work)))
    }
}

/// Runs its work when it is first polled.
struct Blocking(Option<Work>);

impl Future for Blocking {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<()> {
        if let Some(work) = self.0.take() {
            work();
        }
        Poll::Ready(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SimClock;
    use base::Clock;
    use std::time::Duration;

    #[test]
    fn a_thread_runs_when_its_turn_comes() {
        let spawn = SimSpawn::default();
        let done = Arc::new(Mutex::new(Vec::new()));
        let push = |n: u32| {
            let done = Arc::clone(&done);
            Box::new(move || done.lock().push(n))
        };
        let first = spawn.thread("first", push(1)).expect("queued");
        let second = spawn.thread("second", push(2)).expect("queued");
        assert!(done.lock().is_empty());
        assert!(second.join());
        assert_eq!(*done.lock(), [2]);
        spawn.crash();
        assert!(!first.join());
    }

    #[test]
    fn a_future_is_driven_through_time() {
        let (spawn, clock) = (SimSpawn::default(), SimClock::default());
        let (sleep, woken) = (clock.sleep(Duration::from_secs(3)), Arc::new(Mutex::new(false)));
        let flag = Arc::clone(&woken);
        spawn.spawn(
            "sleeper",
            Box::pin(async move {
                sleep.await;
                *flag.lock() = true;
            }),
        );
        let after = clock.sleep(Duration::from_secs(4));
        spawn.block_on(after, || clock.advance_to_next());
        assert!(*woken.lock());
        assert_eq!(clock.monotonic(), Duration::from_secs(4));
    }
}
