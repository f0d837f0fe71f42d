//! What a group runs: a deterministic function of its log.

use model::Lsn;
use store::{FrameBuilder, LogReader, Placed, RecordRef, Views, ViewsReader};
use thiserror::Error;

/// A record that the machine does not understand, or that contradicts its state: a fault of ours
/// or damage that the checksums did not see. Never ignored.
#[derive(Debug, Clone, Error)]
#[error("the record at position {lsn} of kind {kind} cannot be applied: {reason}")]
pub struct ApplyError {
    pub lsn: Lsn,
    pub kind: u8,
    pub reason: String,
}

/// What becomes of a command.
#[derive(Debug)]
pub enum Decision<O> {
    /// Answer once the records placed are committed.
    Committed(O),
    /// Answer once they stand in this node's log.
    Appended(O),
    /// Nothing was placed; answer at once.
    Now(O),
}

/// The frame that is being filled, and the views that its records change.
pub struct Proposal<'a> {
    pub frame: &'a mut FrameBuilder,
    pub views: &'a mut Views,
    pub now_ms: i64,
    /// Set when the disk is too full for new messages: how full, in percent.
    pub refuse_messages: Option<u32>,
}

impl Proposal<'_> {
    /// Places a record; `write` appends its payload and is told its position.
    pub fn push(&mut self, kind: u8, write: impl FnOnce(Lsn, &mut Vec<u8>)) -> Placed {
        self.frame.push(kind, write)
    }
}

/// A deterministic state machine over a log.
///
/// `apply` is the only way state changes, and sees exactly what a replay sees: `propose` places a
/// record and applies it by the same function, or puts the record off to the frame's end at the latest. State that is not in the views is written to them
/// as objects by `checkpoint` and read back by `restore`.
pub trait Machine: Send + 'static {
    type Command: Send + 'static;
    type Outcome: Send + 'static;

    /// Hands over readers of the log and views, before anything else is called.
    fn attach(&mut self, _log: LogReader, _views: ViewsReader) {}
    /// Loads what the last checkpoint holds.
    ///
    /// # Errors
    /// If an object does not decode.
    fn restore(&mut self, objects: &ViewsReader) -> Result<(), ApplyError>;
    /// Applies one record.
    ///
    /// # Errors
    /// If the record cannot be what this machine wrote.
    fn apply(&mut self, views: &mut Views, record: &RecordRef<'_>) -> Result<(), ApplyError>;
    /// Checks a command, places the records it causes, applies them.
    fn propose(&mut self, command: Self::Command, proposal: &mut Proposal<'_>) -> Decision<Self::Outcome>;
    /// Whether a command brings something new, so that it is refused while memory is short. What ends
    /// earlier work never is.
    fn brings_new(_command: &Self::Command) -> bool {
        false
    }
    /// Whether a command's answer may come a little later, so that it shares a write with others of its kind.
    fn may_wait(_command: &Self::Command) -> bool {
        false
    }
    /// The frame is about to be written: places what [`Self::propose`] has applied and put off, so that
    /// commands of one kind share a record.
    fn close_frame(&mut self, _proposal: &mut Proposal<'_>) {}
    /// Does what time demands. Called when [`Self::next_due_ms`] has come.
    fn tick(&mut self, proposal: &mut Proposal<'_>);
    /// Wall time (Unix milliseconds) at which `tick` has work, if any.
    fn next_due_ms(&self, now_ms: i64) -> Option<i64>;
    /// Everything below `commit` counts from now on.
    fn committed(&mut self, commit: Lsn);
    /// Writes changed state to the views as objects.
    fn checkpoint(&mut self, views: &mut Views);
    /// The log is about to be cut below `before`: what is placed here keeps what must survive.
    /// Answers up to where it may be cut now; where that is less, it is asked again soon.
    fn trimming(&mut self, before: Lsn, _proposal: &mut Proposal<'_>) -> Lsn {
        before
    }
}
