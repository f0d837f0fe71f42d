//! What the process spends its processor time on: stacks of its threads, looked at many times a second of that time.
//!
//! The kernel looks (`perf_event_open`): no signal interrupts a thread, none of our code runs there, so there is no
//! lock that a look could meet. For each look it leaves the registers and a piece of the stack in a ring of memory
//! that it shares with us:
//!
//! ```text
//!  thread ── kernel's timer ──> ring ── [watch] ──> registers, stack ── [images] ──> addresses ── [names] ──> text
//! ```
//!
//! A thread of its own reads the rings and walks the stacks. What is held has limits: the rings' bytes, the number of
//! different stacks, the text. Nothing is held and nothing is slowed while no profile is taken.

mod images;
mod names;
#[cfg(test)]
mod tests;
mod watch;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use thiserror::Error;
use tokio::sync::oneshot;

use crate::Spawn;
use images::Images;
use watch::{Look, Watch};

/// Looks in a second of a thread's processor time: no multiple of what happens each 1 or 10 ms.
const LOOKS_PER_S: u64 = 99;
/// Time between two readings of the rings, in which a busy thread is looked at twice or three times.
const READ_EVERY: Duration = Duration::from_millis(20);
/// Readings between two looks for threads that are new, or gone.
const READINGS_PER_SCAN: u32 = 5;
/// Different stacks that are told apart; what else is seen is told as `[others]`. At most 32 MiB.
const STACKS_MAX: usize = 16_384;
/// Frames of a stack that are kept, from the innermost.
const FRAMES_MAX: usize = 256;
/// Of the answer's text. What is seen least is told as `[others]`, if all is more.
const FOLDED_BYTES_MAX: usize = 16 * 1024 * 1024;

static IS_TAKEN: AtomicBool = AtomicBool::new(false);

#[derive(Debug, Error)]
pub enum ProfileError {
    #[error("a profile is being taken already: there is one at a time")]
    Busy,
    #[error("{0}")]
    Refused(String),
    #[error("the profile broke off: {0}")]
    Failed(String),
}

/// A profile while it is taken. Dropped, it ends.
#[derive(Debug)]
pub struct Profiling {
    /// Dropped to end it.
    stop: SyncSender<()>,
    done: oneshot::Receiver<Profile>,
}

/// What was seen.
#[derive(Debug)]
pub struct Profile {
    /// Stacks that were seen, each as often as it was.
    pub looks: u64,
    /// Looks that the kernel had no room for.
    pub lost: u64,
    /// Threads for which there was no memory or no file descriptor.
    pub threads_left_out: u64,
    /// A line for each stack: the thread's name, then the functions from the outermost, with `;` between them, and how
    /// often it was seen.
    pub folded: String,
}

/// The right to take one.
struct Turn;

impl Turn {
    fn take() -> Result<Self, ProfileError> {
        if IS_TAKEN.swap(true, Ordering::AcqRel) { Err(ProfileError::Busy) } else { Ok(Self) }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        IS_TAKEN.store(false, Ordering::Release);
    }
}

impl Profiling {
    /// Returns when the threads are being looked at.
    ///
    /// # Errors
    /// If another one is being taken, or the system does not allow it.
    pub async fn begin(spawn: &dyn Spawn) -> Result<Self, ProfileError> {
        let turn = Turn::take()?;
        let (stop, stopped) = sync_channel(1);
        let (begun, has_begun) = oneshot::channel();
        let (told, done) = oneshot::channel();
        let work = move || run(turn, begun, &stopped, told);
        spawn.thread("profile", Box::new(work)).map_err(|error| ProfileError::Failed(error.to_string()))?;
        has_begun.await.map_err(|_| broken_off())??;
        Ok(Self { stop, done })
    }

    /// Ends it, and gives the functions their names.
    ///
    /// # Errors
    /// If that fails.
    pub async fn finish(self) -> Result<Profile, ProfileError> {
        drop(self.stop);
        self.done.await.map_err(|_| broken_off())
    }
}

fn broken_off() -> ProfileError {
    ProfileError::Failed("its thread ended".to_owned())
}

/// The thread's work. The turn is over before anybody is told that it is.
fn run(
    turn: Turn,
    begun: oneshot::Sender<Result<(), ProfileError>>,
    stopped: &Receiver<()>,
    told: oneshot::Sender<Profile>,
) {
    let mut taking = match Taking::begin() {
        Ok(taking) => taking,
        Err(error) => {
            drop(turn);
            let _ = begun.send(Err(error));
            return;
        }
    };
    if begun.send(Ok(())).is_err() {
        return;
    }
    let mut readings = 0_u32;
    while stopped.recv_timeout(READ_EVERY) == Err(RecvTimeoutError::Timeout) {
        readings = readings.wrapping_add(1);
        taking.read();
        if readings.is_multiple_of(READINGS_PER_SCAN) {
            taking.watch.scan();
        }
    }
    // Whoever asked may have gone.
    if !told.is_closed() {
        let profile = taking.finish();
        drop(turn);
        let _ = told.send(profile);
    }
}

/// A stack as addresses, innermost first.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Stack {
    thread: Arc<str>,
    frames: Box<[u64]>,
    /// Whether the outermost frame was reached.
    is_whole: bool,
}

struct Taking {
    watch: Watch,
    images: Images,
    seen: Seen,
}

#[derive(Default)]
struct Seen {
    stacks: HashMap<Stack, u64>,
    /// Looks at stacks for which there was no room.
    others: u64,
}

impl Taking {
    fn begin() -> Result<Self, ProfileError> {
        // The kernel is asked first: it costs nothing if it says no.
        watch::ask()?;
        let images = Images::of_this_process();
        Ok(Self { watch: Watch::begin(), images, seen: Seen::default() })
    }

    fn read(&mut self) {
        let Self { watch, images, seen } = self;
        watch.read(|thread, look| seen.add(thread, look, images));
    }

    fn finish(mut self) -> Profile {
        self.read();
        let Self { watch, images, seen } = self;
        let (lost, threads_left_out) = (watch.lost, watch.left_out());
        drop(watch);
        let looks = seen.stacks.values().sum::<u64>() + seen.others;
        let names = images.names(seen.stacks.keys().flat_map(|stack| stack.frames.iter().copied()));
        let name = |address: &u64| names.get(address).map_or("[unknown]", String::as_str);
        let folded = names::fold(&seen.stacks, seen.others, name, FOLDED_BYTES_MAX);
        Profile { looks, lost, threads_left_out, folded }
    }
}

impl Seen {
    fn add(&mut self, thread: &Arc<str>, look: &Look<'_>, images: &mut Images) {
        let (frames, is_whole) = images.walk(look, FRAMES_MAX);
        let stack = Stack { thread: Arc::clone(thread), frames: frames.into(), is_whole };
        if self.stacks.len() >= STACKS_MAX && !self.stacks.contains_key(&stack) {
            self.others += 1;
        } else {
            *self.stacks.entry(stack).or_default() += 1;
        }
    }
}
