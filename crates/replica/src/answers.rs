//! Answers leave the group's thread together.
//!
//! Each answer wakes the task that waits for it. From a thread of its own that is a system call for each, while
//! the next frame waits; from a task among those that wait it is an entry in a list. So the thread hands
//! over all answers of a flush at once.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

use crate::error::ProposeError;
use crate::machine::Machine;

/// Who waits, and what to tell.
pub(crate) type Answered<M> =
    (oneshot::Sender<Result<<M as Machine>::Outcome, ProposeError>>, <M as Machine>::Outcome);

struct Ready<M: Machine> {
    answers: Vec<Answered<M>>,
    /// Nobody hands them out any more.
    is_over: bool,
}

/// Answers on their way from the group's thread.
pub(crate) struct Answers<M: Machine> {
    ready: Mutex<Ready<M>>,
    wake: Notify,
}

impl<M: Machine> Default for Answers<M> {
    fn default() -> Self {
        Self { ready: Mutex::new(Ready { answers: Vec::new(), is_over: false }), wake: Notify::new() }
    }
}

impl<M: Machine> Answers<M> {
    /// Hands over all of `answers`.
    pub(crate) fn give(&self, answers: &mut Vec<Answered<M>>) {
        if answers.is_empty() {
            return;
        }
        let mut ready = self.ready.lock();
        if ready.is_over {
            drop(ready);
            return send_all(answers);
        }
        let was_empty = ready.answers.is_empty();
        if was_empty {
            std::mem::swap(&mut ready.answers, answers);
        } else {
            ready.answers.append(answers);
        }
        drop(ready);
        if was_empty {
            self.wake.notify_one();
        }
    }

    /// Hands out what is given from here on; ends with [`Self::end`].
    pub(crate) async fn hand_out(self: Arc<Self>) {
        let over = Over(&self);
        let mut answers = Vec::new();
        loop {
            self.wake.notified().await;
            let mut ready = self.ready.lock();
            std::mem::swap(&mut ready.answers, &mut answers);
            let is_over = ready.is_over;
            drop(ready);
            send_all(&mut answers);
            if is_over {
                drop(over);
                return;
            }
        }
    }

    /// No more will be given.
    pub(crate) fn end(&self) {
        self.ready.lock().is_over = true;
        self.wake.notify_one();
    }
}

/// However the task ends, also with its runtime: what is given afterwards goes out by itself.
struct Over<'a, M: Machine>(&'a Answers<M>);

impl<M: Machine> Drop for Over<'_, M> {
    fn drop(&mut self) {
        let mut ready = self.0.ready.lock();
        ready.is_over = true;
        let mut left = std::mem::take(&mut ready.answers);
        drop(ready);
        send_all(&mut left);
    }
}

/// Tells everybody who waits.
pub(crate) fn send_all<O>(answers: &mut Vec<(oneshot::Sender<Result<O, ProposeError>>, O)>) {
    for (reply, outcome) in answers.drain(..) {
        let _ = reply.send(Ok(outcome));
    }
}
