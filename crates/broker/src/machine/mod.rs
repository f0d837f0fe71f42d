//! The machine behind the verbs: a deterministic function of the log. No I/O but reading records.
//!
//! Reading order: [`records`] (all that can happen), [`state`], [`cursor`], [`order`], [`due`], [`dedup`], [`command`],
//! [`propose`] (checks a wish, places records), [`apply`] (the only place where state changes),
//! [`tick`] (what time demands), [`timers`] (what waits for its time), [`transactions`] and
//! [`halves`], [`objects`] (checkpoints).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::{Lsn, StreamId};
use replica::{ApplyError, Decision, Machine, Proposal};
use store::{LogReader, RecordRef, Views, ViewsReader};

pub mod access;
mod apply;
pub mod bytes;
mod changes;
pub mod clients;
pub mod command;
pub mod cursor;
pub mod dedup;
pub mod due;
pub mod due_records;
pub mod halves;
pub mod lite;
mod objects;
mod once;
pub mod order;
mod propose;
pub mod quotas;
pub mod records;
pub mod state;
mod tick;
pub(crate) mod timers;
pub mod transactions;

use command::{Command, Outcome};
use dedup::Dedup;
use due::Due;
use state::{CursorKey, State};
use transactions::Transactions;

/// What a commit changed about a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Touch {
    /// An entry with this hash of its tag; 0 if it has none.
    Entry { tag: u32 },
    /// A batch of messages with more tags than it names.
    Many,
    /// A group's place in it, or what it holds of it: only its receivers have to look.
    Cursor,
}

use crate::events::Event;
use crate::limits::{CURSORS_KEPT_MAX, CURSORS_PER_COMMAND};
use crate::timer_metrics::TimerMetrics;

/// Told what became visible. Called on the group's thread: must be quick.
pub trait CommitListener: Send + 'static {
    fn on_committed(&mut self, touched: &[(StreamId, Touch)]);
    /// Told what of the catalogue changed, once that is committed.
    fn on_changed(&mut self, _changes: Vec<Event>) {}
}

/// What a change marked as different from the last checkpoint.
#[derive(Debug, Default)]
struct Dirty {
    groups: BTreeSet<u32>,
    cursors: BTreeSet<CursorKey>,
    key_values: BTreeSet<(String, String)>,
    halves: BTreeSet<Lsn>,
}

/// The machine of one replica group.
pub struct BrokerMachine {
    state: Arc<State>,
    listener: Box<dyn CommitListener>,
    due: Due,
    dedup: Dedup,
    /// Where what can be recalled last changed, by its hash: see `timers::cancel_due`.
    due_changes: Box<[Lsn]>,
    /// The minute that is being moved, and the offset in its stream to read on at.
    moving: Option<timers::Moving>,
    timer_metrics: TimerMetrics,
    /// After a read that failed: nothing due is tried before this time.
    due_not_before_ms: i64,
    transactions: Transactions,
    next_topic_id: u32,
    next_group_id: u32,
    /// Cursors by the time of their next deadline.
    deadlines: BTreeSet<(i64, CursorKey)>,
    deadline_of: BTreeMap<CursorKey, i64>,
    dirty: Dirty,
    /// Deliveries that were acknowledged by the last commands, and whose record is still to be placed.
    settling: Vec<(CursorKey, u64)>,
    /// Streams that changed since the last commit.
    touched: Vec<(StreamId, Touch)>,
    /// Changes of the catalogue since the last commit, to be told of: none of a replay.
    changes: Vec<Event>,
    /// A command or a tick came: what is applied from now on is new.
    is_live: bool,
    lite: lite::LiteState,
    named: clients::NamedClients,
    log: Option<LogReader>,
    views: Option<ViewsReader>,
}

impl BrokerMachine {
    #[must_use]
    pub fn new(state: Arc<State>, listener: Box<dyn CommitListener>, timer_metrics: TimerMetrics) -> Self {
        Self {
            state,
            listener,
            due: Due::default(),
            dedup: Dedup::default(),
            due_changes: timers::no_changes(),
            moving: None,
            timer_metrics,
            due_not_before_ms: 0,
            transactions: Transactions::default(),
            next_topic_id: 1,
            next_group_id: 1,
            deadlines: BTreeSet::new(),
            deadline_of: BTreeMap::new(),
            dirty: Dirty::default(),
            settling: Vec::new(),
            touched: Vec::new(),
            changes: Vec::new(),
            is_live: false,
            lite: lite::LiteState::default(),
            named: clients::NamedClients::default(),
            log: None,
            views: None,
        }
    }

    #[must_use]
    pub const fn state(&self) -> &Arc<State> {
        &self.state
    }

    /// Remembers when the cursor's first delivery ends, so that [`tick`] looks at it then.
    fn watch_deadline(&mut self, key: CursorKey, deadline_ms: Option<i64>) {
        let before = self.deadline_of.get(&key).copied();
        if before == deadline_ms {
            return;
        }
        if let Some(before) = before {
            self.deadlines.remove(&(before, key));
            self.deadline_of.remove(&key);
        }
        if let Some(deadline_ms) = deadline_ms {
            self.deadlines.insert((deadline_ms, key));
            self.deadline_of.insert(key, deadline_ms);
        }
    }

    /// A delivery was made or extended: look at the cursor no later than this.
    fn watch_no_later(&mut self, key: CursorKey, deadline_ms: i64) {
        if self.deadline_of.get(&key).is_none_or(|before| deadline_ms < *before) {
            self.watch_deadline(key, Some(deadline_ms));
        }
    }
}

impl Machine for BrokerMachine {
    type Command = Command;
    type Outcome = Outcome;

    fn attach(&mut self, log: LogReader, views: ViewsReader) {
        self.log = Some(log);
        self.views = Some(views);
    }

    fn restore(&mut self, objects: &ViewsReader) -> Result<(), ApplyError> {
        self.load_objects(objects)
    }

    fn apply(&mut self, views: &mut Views, record: &RecordRef<'_>) -> Result<(), ApplyError> {
        self.apply_record(views, record)
    }

    fn propose(&mut self, command: Command, proposal: &mut Proposal<'_>) -> Decision<Outcome> {
        self.is_live = true;
        let decision = self.propose_command(command, proposal);
        self.store_cursors(CURSORS_KEPT_MAX, CURSORS_PER_COMMAND, proposal.views);
        decision
    }

    fn close_frame(&mut self, proposal: &mut Proposal<'_>) {
        self.place_settling(proposal);
    }

    fn brings_new(command: &Command) -> bool {
        matches!(
            command,
            Command::Publish { .. }
                | Command::PublishOnce(_)
                | Command::PublishBatch { .. }
                | Command::PublishLite(_)
                | Command::PublishDue { .. }
                | Command::PublishHalf(_)
                | Command::PublishRecurring { .. }
        )
    }

    /// Acknowledgements, and outcomes of transactions, which 4.x producers tell without waiting.
    fn may_wait(command: &Command) -> bool {
        matches!(command, Command::Ack(_) | Command::EndHalf(_))
    }

    fn tick(&mut self, proposal: &mut Proposal<'_>) {
        self.is_live = true;
        self.tick_all(proposal);
    }

    fn next_due_ms(&self, now_ms: i64) -> Option<i64> {
        let deadline = self.deadlines.first().map(|(at, _)| *at);
        let not_before_ms = self.due_not_before_ms(now_ms);
        let due = self.due.next_ms().map(|at| at.max(not_before_ms));
        [deadline, due, self.next_half_ms()].into_iter().flatten().min()
    }

    fn committed(&mut self, _commit: Lsn) {
        self.ask_about_halves();
        if !self.changes.is_empty() {
            self.listener.on_changed(std::mem::take(&mut self.changes));
        }
        if !self.touched.is_empty() {
            self.listener.on_committed(&self.touched);
            self.touched.clear();
        }
    }

    fn checkpoint(&mut self, views: &mut Views) {
        debug_assert!(self.settling.is_empty(), "what a checkpoint holds stands in the log");
        self.store_objects(views);
    }

    fn trimming(&mut self, before: Lsn, proposal: &mut Proposal<'_>) -> Lsn {
        let free = self.move_due(before, proposal);
        self.discard_halves_below(free, proposal);
        free
    }
}
