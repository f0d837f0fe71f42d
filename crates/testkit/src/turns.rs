//! Threads that loop for ever, made to take turns with the simulation.
//!
//! A thread that waits for commands cannot be run to its end when its turn comes. It gets an
//! operating system's thread, but only ever runs while it holds the turn; it gives the turn back
//! whenever it asks what time it is, which every loop that waits for work does.
//!
//! ```text
//! simulation: give_turn ──► thread: ... work ... now_ms() ──► simulation goes on
//! ```
//! So one thread runs at a time, and a run depends on the seed alone.

use std::cell::RefCell;
use std::io;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

use crate::caught::caught;

/// Carried by the panic that ends a thread whose process is gone.
struct Killed;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holder {
    Simulation,
    Thread,
    /// The thread has come to its end.
    Nobody,
}

#[derive(Debug)]
struct Baton {
    holder: Holder,
    killed: bool,
    /// What the thread panicked with, unless it was killed.
    panic: Option<String>,
}

#[derive(Debug)]
struct Turn {
    baton: Mutex<Baton>,
    moved: Condvar,
}

thread_local! {
    /// The turn of a thread that takes turns.
    static MINE: RefCell<Option<Arc<Turn>>> = const { RefCell::new(None) };
}

/// A thread that takes turns.
#[derive(Debug)]
pub(crate) struct TurnThread {
    turn: Arc<Turn>,
    handle: Option<std::thread::JoinHandle<()>>,
}

/// Gives the turn back, if this thread takes turns; returns when it has it again.
pub(crate) fn yield_turn() {
    if std::thread::panicking() {
        return;
    }
    let turn = MINE.with_borrow(Clone::clone);
    if let Some(turn) = turn {
        turn.pass(Holder::Simulation);
        turn.wait();
    }
}

impl Turn {
    fn pass(&self, to: Holder) {
        self.baton.lock().holder = to;
        self.moved.notify_all();
    }

    /// Waits for the thread's turn.
    fn wait(&self) {
        let mut baton = self.baton.lock();
        while baton.holder != Holder::Thread {
            self.moved.wait(&mut baton);
        }
        let is_killed = baton.killed;
        drop(baton);
        if is_killed {
            std::panic::resume_unwind(Box::new(Killed));
        }
    }
}

impl TurnThread {
    /// A thread that waits for its first turn.
    pub(crate) fn start(name: &str, work: Box<dyn FnOnce() + Send>) -> io::Result<Self> {
        let baton = Baton { holder: Holder::Simulation, killed: false, panic: None };
        let turn = Arc::new(Turn { baton: Mutex::new(baton), moved: Condvar::new() });
        let mine = Arc::clone(&turn);
        let run = move || {
            MINE.set(Some(Arc::clone(&mine)));
            let ended = caught(|| {
                mine.wait();
                work();
            });
            let mut baton = mine.baton.lock();
            baton.panic = ended.err().filter(|_| !baton.killed);
            baton.holder = Holder::Nobody;
            drop(baton);
            mine.moved.notify_all();
        };
        let handle = std::thread::Builder::new().name(name.to_owned()).spawn(run)?;
        Ok(Self { turn, handle: Some(handle) })
    }

    /// True until the thread has come to its end.
    pub(crate) fn is_alive(&self) -> bool {
        self.turn.baton.lock().holder != Holder::Nobody
    }

    /// Lets the thread run until it gives the turn back; false if it has ended.
    ///
    /// # Panics
    /// If the thread panicked, with what it said.
    pub(crate) fn give_turn(&self) -> bool {
        let mut baton = self.turn.baton.lock();
        if baton.holder != Holder::Nobody {
            baton.holder = Holder::Thread;
            self.turn.moved.notify_all();
            while baton.holder == Holder::Thread {
                self.turn.moved.wait(&mut baton);
            }
        }
        if let Some(panic) = baton.panic.take() {
            drop(baton);
            panic!("a thread {panic}");
        }
        baton.holder != Holder::Nobody
    }

    /// Ends the thread at the place where it waits for its turn.
    fn kill(&mut self) {
        self.turn.baton.lock().killed = true;
        while self.is_alive() {
            let mut baton = self.turn.baton.lock();
            baton.holder = Holder::Thread;
            self.turn.moved.notify_all();
            while baton.holder == Holder::Thread {
                self.turn.moved.wait(&mut baton);
            }
        }
        if let Some(handle) = self.handle.take() {
            let _ = handle.join();
        }
    }
}

impl Drop for TurnThread {
    fn drop(&mut self) {
        self.kill();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counting(rounds: u32) -> (TurnThread, Arc<Mutex<u32>>) {
        let count = Arc::new(Mutex::new(0));
        let mine = Arc::clone(&count);
        let work = move || {
            for _ in 0..rounds {
                *mine.lock() += 1;
                yield_turn();
            }
        };
        (TurnThread::start("counter", Box::new(work)).expect("a thread"), count)
    }

    #[test]
    fn a_thread_runs_only_in_its_turn() {
        let (thread, count) = counting(2);
        assert_eq!(*count.lock(), 0);
        assert!(thread.give_turn());
        assert_eq!(*count.lock(), 1);
        assert!(thread.give_turn());
        assert!(!thread.give_turn(), "it has ended");
        assert_eq!(*count.lock(), 2);
    }

    #[test]
    fn a_killed_thread_ends_where_it_waits() {
        let (thread, count) = counting(100);
        thread.give_turn();
        drop(thread);
        assert_eq!(*count.lock(), 1);
        assert_eq!(Arc::strong_count(&count), 1, "what it held is gone");
    }

    #[test]
    #[should_panic(expected = "a thread panicked")]
    fn its_panic_is_ours() {
        let thread = TurnThread::start("broken", Box::new(|| panic!("oh"))).expect("a thread");
        thread.give_turn();
    }
}
