//! Transactions in the machine: half messages come, are asked about, and end.
//!
//! ```text
//! Half        prefix length u16, stored ms i64, check ms i64, hash of its unique id u64, stream u64, queue offset varint,
//!             producer group text; then the message as it stands in the half topic
//! HalfEnd     position u64, ended ms i64: rolled back, or committed by a timed message in the same frame
//! HalfCheck   position u64, next check ms i64, checked ms i64
//! ```
//! A commit is the message itself, whose cause is the half message: it becomes visible and the half
//! message ends by one record, so a half message becomes visible once at most. A half message that
//! was asked about too often, or that retention is about to delete, goes to a topic of the system
//! in the same way. A check is recorded before a producer is asked; nobody there to be asked is not
//! recorded and does not count.

use std::sync::Arc;

use arc_swap::ArcSwap;
use model::message::flags;
use model::properties::Pairs;
use model::record::{Placement, Stamp, encode, encoded_len};
use model::{
    GroupName, Lsn, NewMessage, Offset, Properties, QueueId, StoredMessage, StreamId, TopicName, properties,
};
use replica::{Decision, Proposal};
use smallvec::SmallVec;
use store::{RecordRef, Views};

use super::BrokerMachine;
use super::bytes::{Reader, Short, Writer};
use super::command::{Command, EndHalf, HalfOutcome, NewHalf, Outcome, PlacedMessage, Refusal};
use super::halves::Half;
use super::objects::half_key;
use super::records::{Cause, EncodedMessage, KeyHashes, kind, prefixed, split_prefix};

/// Where half messages say that they lie.
pub const HALF_TOPIC: &str = "RMQ_SYS_TRANS_HALF_TOPIC";
/// Where those go that nobody decides.
pub const DISCARD_TOPIC: &str = "TRANS_CHECK_MAX_TIME_TOPIC";

/// Records that the checks of one tick place at most.
const CHECKS_PER_TICK_MAX: usize = 1_024;
/// When those that ask cannot keep up, or a record cannot be read: the next attempt, in milliseconds.
const LATER_MS: i64 = 1_000;
/// What a count of checks takes among the properties.
const CHECK_TIMES_BYTES: usize = properties::TRANSACTION_CHECK_TIMES.len() + 12;

/// What a half message's record holds before the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HalfPrefix {
    pub stored_ms: i64,
    pub check_ms: i64,
    /// What it is found by: see [`super::halves::half_hash`]; 0 if it has no unique id.
    pub key: u64,
    /// The queue that the message is for.
    pub stream: StreamId,
    pub offset: u64,
    pub group: GroupName,
}

/// How the undecided are treated.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    pub check_interval_ms: i64,
    pub checks_max: u32,
    pub undecided_max: usize,
}

impl Default for Rules {
    fn default() -> Self {
        Self { check_interval_ms: 30_000, checks_max: 15, undecided_max: usize::MAX }
    }
}

/// A producer is to be asked about this half message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    pub lsn: Lsn,
    pub len: u32,
    /// This one included.
    pub checks: u32,
    pub group: GroupName,
}

/// Why a half message ended without an outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Discarded {
    /// Asked about too often: moved to the discard topic.
    TooManyChecks,
    /// Retention deletes its record: moved to the discard topic.
    TooOld,
    /// Its record cannot be found any more.
    Lost,
}

/// Asks producers. Called on the group's thread: must be quick.
pub trait AskProducers: Send + 'static {
    /// How many checks it takes now.
    fn room(&self) -> usize;
    /// Whether the group has a live producer.
    fn has_producer(&self, group: &GroupName) -> bool;
    /// Ask about this one; it is recorded that it was asked about.
    fn ask(&mut self, check: Check);
    /// A half message has ended without an outcome.
    fn discarded(&mut self, lsn: Lsn, why: Discarded);
    /// So many are undecided now.
    fn undecided(&mut self, count: usize);
}

/// Asks nobody: for machines that only replay.
pub struct NobodyAsks;

impl AskProducers for NobodyAsks {
    fn room(&self) -> usize {
        0
    }

    fn has_producer(&self, _: &GroupName) -> bool {
        false
    }

    fn ask(&mut self, _: Check) {}

    fn discarded(&mut self, _: Lsn, _: Discarded) {}

    fn undecided(&mut self, _: usize) {}
}

/// What the machine needs for transactions besides its state.
pub(super) struct Transactions {
    pub(super) rules: Arc<ArcSwap<Rules>>,
    pub(super) asker: Box<dyn AskProducers>,
    /// Recorded, to be asked once that is committed.
    asking: Vec<Check>,
    /// Nothing is looked at before this time.
    not_before_ms: i64,
}

impl Default for Transactions {
    fn default() -> Self {
        Self { rules: Arc::default(), asker: Box::new(NobodyAsks), asking: Vec::new(), not_before_ms: 0 }
    }
}

impl HalfPrefix {
    pub fn encode(&self, out: &mut Vec<u8>) {
        prefixed(out, |out| {
            out.i64(self.stored_ms);
            out.i64(self.check_ms);
            out.u64(self.key);
            out.u64(self.stream.get());
            out.varint(self.offset);
            out.text(self.group.as_str());
        });
    }

    /// `known` finds a name that is in use already.
    ///
    /// # Errors
    /// If the payload is not that of a half message.
    pub fn decode(payload: &[u8], known: impl FnOnce(&str) -> Option<GroupName>) -> Result<Self, Short> {
        let (_, mut from) = split_prefix(payload)?;
        let named = |text| known(text).map_or_else(|| GroupName::new(text).map_err(|_| Short), Ok);
        Ok(Self {
            stored_ms: from.i64()?,
            check_ms: from.i64()?,
            key: from.u64()?,
            stream: StreamId(from.u64()?),
            offset: from.varint()?,
            group: named(from.text()?)?,
        })
    }
}

/// The message of a half message's record, as it stands in the half topic.
///
/// # Errors
/// If the payload is not that of a half message.
pub fn message_of_half(payload: &bytes::Bytes) -> Result<StoredMessage, Short> {
    let (at, _) = split_prefix(payload)?;
    StoredMessage::parse(payload.slice(at..)).map_err(|_| Short)
}

/// The message that a half message's record becomes in another topic, encoded. `told` are its
/// properties, taken apart; `checks` is shown where there were any.
pub fn encode_from_half(
    half: &StoredMessage,
    told: &Pairs<'_>,
    checks: u32,
    transaction_flag: i32,
    (topic, queue, prepared): (&TopicName, QueueId, Lsn),
) -> Vec<u8> {
    let is_commit = transaction_flag == flags::TRANSACTION_COMMIT;
    let is_kept = |key: &str| match key {
        properties::TRANSACTION_CHECK_TIMES => checks == 0,
        properties::REAL_TOPIC | properties::REAL_QUEUE_ID => !is_commit,
        _ => true,
    };
    let mut kept = Properties::kept_of(told, CHECK_TIMES_BYTES, is_kept);
    if checks > 0 {
        kept.push(properties::TRANSACTION_CHECK_TIMES, &checks.to_string());
    }
    let new = NewMessage {
        body: half.body(),
        properties: kept,
        flag: half.flag(),
        system_flags: half.system_flags() & !flags::TRANSACTION_MASK | transaction_flag,
        born_ms: half.born_ms(),
        born_host: half.born_host(),
        reconsume_times: half.reconsume_times(),
    };
    let place = Placement {
        topic: topic.as_str(),
        queue,
        offset: half.offset(),
        lsn: half.lsn(),
        stored_ms: half.stored_ms(),
        store_host: half.store_host(),
        prepared,
    };
    let mut bytes = Vec::with_capacity(encoded_len(&new, topic.as_str(), half.store_host()));
    encode(&mut bytes, &new, &place);
    bytes
}

impl BrokerMachine {
    /// Gives the machine rules, which may change, and someone who asks producers.
    #[must_use]
    pub fn with_transactions(mut self, rules: Arc<ArcSwap<Rules>>, asker: Box<dyn AskProducers>) -> Self {
        self.transactions = Transactions { rules, asker, ..Transactions::default() };
        self
    }

    // === wishes ===

    pub(super) fn publish_half(&mut self, new: NewHalf, proposal: &mut Proposal<'_>) -> Decision<Outcome> {
        if let Some(used_percent) = proposal.refuse_messages {
            return Decision::Now(Outcome::Refused(Refusal::DiskFull { used_percent }));
        }
        let (count, offset) = {
            let halves = self.state.halves.lock();
            (halves.len(), halves.next_offset())
        };
        let max = self.transactions.rules.load().undecided_max;
        if count >= max {
            return Decision::Now(Outcome::Refused(Refusal::TooManyUndecided { max }));
        }
        let NewHalf { stream, group, key, bytes, check_after_ms } = new;
        let stored_ms = proposal.now_ms;
        let check_ms = stored_ms.saturating_add(check_after_ms);
        let prefix = HalfPrefix { stored_ms, check_ms, key, stream, offset, group };
        let placed = proposal.push(kind::HALF, |lsn, out| {
            prefix.encode(out);
            let at = out.len();
            out.extend_from_slice(&bytes);
            let record = out.get_mut(at..).expect("the message was just appended");
            Stamp { offset: Offset(offset), lsn, stored_ms }
                .put(record)
                .expect("callers hand in whole encoded messages");
        });
        self.apply_placed(proposal);
        self.transactions.asker.undecided(count + 1);
        let placed = PlacedMessage { offset: Offset(offset), lsn: placed.lsn, stored_ms };
        Decision::Committed(Outcome::Published(SmallVec::from_elem(placed, 1)))
    }

    pub(super) fn end_half(&mut self, end: EndHalf, proposal: &mut Proposal<'_>) -> Decision<Outcome> {
        let EndHalf { lsn, outcome } = end;
        if self.state.halves.lock().get(lsn).is_none() {
            return Decision::Now(Outcome::Settled(false));
        }
        match outcome {
            HalfOutcome::Rollback => self.place_half_end(lsn, proposal),
            HalfOutcome::Commit { stream, message, due_ms: Some(due_ms) } if due_ms > proposal.now_ms => {
                let timed = Command::publish_due(stream, message, due_ms);
                if let Decision::Now(refused) = self.propose_command(timed, proposal) {
                    return Decision::Now(refused);
                }
                // Records of one command stand in one frame: both count or neither.
                self.place_half_end(lsn, proposal);
            }
            HalfOutcome::Commit { stream, message, .. } => {
                self.place_message(stream, &message, Cause::EndsHalf { lsn }, proposal);
            }
        }
        let count = self.state.halves.lock().len();
        self.transactions.asker.undecided(count);
        Decision::Committed(Outcome::Settled(true))
    }

    fn place_half_end(&mut self, lsn: Lsn, proposal: &mut Proposal<'_>) {
        let now_ms = proposal.now_ms;
        proposal.push(kind::HALF_END, |_, out| {
            let mut out = Writer(out);
            out.u64(lsn.get());
            out.i64(now_ms);
        });
        self.apply_placed(proposal);
    }

    // === records ===

    pub(super) fn apply_half(&mut self, views: &mut Views, record: &RecordRef<'_>) -> Result<(), Short> {
        let mut halves = self.state.halves.lock();
        let prefix = HalfPrefix::decode(record.payload, |name| halves.shared_name(name))?;
        let HalfPrefix { stored_ms, check_ms, key, stream, offset, group } = prefix;
        if key != 0 {
            views.index_key(key, record.lsn, stored_ms);
        }
        let half = Half {
            len: record.len,
            stream,
            offset,
            stored_ms,
            check_ms,
            checks: 0,
            group,
            has_object: false,
        };
        halves.on_arrived(record.lsn, half);
        drop(halves);
        self.dirty.halves.insert(record.lsn);
        Ok(())
    }

    pub(super) fn apply_half_end(&mut self, views: &mut Views, payload: &[u8]) -> Result<(), Short> {
        let lsn = Lsn(Reader(payload).u64()?);
        self.apply_half_ended(views, lsn);
        Ok(())
    }

    pub(super) fn apply_half_ended(&mut self, views: &mut Views, lsn: Lsn) {
        let ended = self.state.halves.lock().on_ended(lsn);
        self.dirty.halves.remove(&lsn);
        if ended.is_some_and(|half| half.has_object) {
            views.remove_object(&half_key(lsn));
        }
    }

    pub(super) fn apply_half_check(&mut self, payload: &[u8]) -> Result<(), Short> {
        let mut from = Reader(payload);
        let (lsn, check_ms) = (Lsn(from.u64()?), from.i64()?);
        let mut halves = self.state.halves.lock();
        if halves.get(lsn).is_some() {
            halves.on_checked(lsn, check_ms);
            self.dirty.halves.insert(lsn);
        }
        Ok(())
    }

    // === time ===

    pub(super) fn next_half_ms(&self) -> Option<i64> {
        let next = self.state.halves.lock().next_ms()?;
        Some(next.max(self.transactions.not_before_ms))
    }

    pub(super) fn tick_halves(&mut self, proposal: &mut Proposal<'_>) {
        let now_ms = proposal.now_ms;
        if now_ms < self.transactions.not_before_ms {
            return;
        }
        let mut room = self.transactions.asker.room().saturating_sub(self.transactions.asking.len());
        let Rules { check_interval_ms, checks_max, .. } = **self.transactions.rules.load();
        let again_ms = now_ms.saturating_add(check_interval_ms);
        let mut looked = 0;
        loop {
            let next = {
                let halves = self.state.halves.lock();
                halves.next(now_ms).and_then(|lsn| Some((lsn, halves.get(lsn)?.clone())))
            };
            let Some((lsn, half)) = next else { return };
            looked += 1;
            if looked > CHECKS_PER_TICK_MAX {
                return;
            }
            if half.checks >= checks_max {
                if !self.discard_half(lsn, half.len, Discarded::TooManyChecks, proposal) {
                    self.transactions.not_before_ms = now_ms + LATER_MS;
                    return;
                }
            } else if !self.transactions.asker.has_producer(&half.group) {
                self.state.halves.lock().look_later(lsn, again_ms);
            } else if room == 0 {
                self.transactions.not_before_ms = now_ms + LATER_MS;
                return;
            } else {
                room -= 1;
                proposal.push(kind::HALF_CHECK, |_, out| {
                    let mut out = Writer(out);
                    out.u64(lsn.get());
                    out.i64(again_ms);
                    out.i64(now_ms);
                });
                self.apply_placed(proposal);
                let Half { len, checks, group, .. } = half;
                self.transactions.asking.push(Check { lsn, len, checks: checks + 1, group });
            }
        }
    }

    /// What was recorded is committed: producers are asked.
    pub(super) fn ask_about_halves(&mut self) {
        for check in std::mem::take(&mut self.transactions.asking) {
            self.transactions.asker.ask(check);
        }
    }

    /// Retention is about to delete the log below `before`.
    pub(super) fn discard_halves_below(&mut self, before: Lsn, proposal: &mut Proposal<'_>) {
        loop {
            let first = {
                let halves = self.state.halves.lock();
                halves.first_below(before).and_then(|lsn| Some((lsn, halves.get(lsn)?.len)))
            };
            let Some((lsn, len)) = first else { return };
            if !self.discard_half(lsn, len, Discarded::TooOld, proposal) {
                // Not readable now; when it is looked at next it is found to be lost.
                return;
            }
        }
    }

    /// Moves a half message to the discard topic. `false`: it cannot be read now.
    fn discard_half(&mut self, lsn: Lsn, len: u32, why: Discarded, proposal: &mut Proposal<'_>) -> bool {
        let Ok(payload) = self.read_record(lsn, len) else { return false };
        let half = payload.and_then(|payload| message_of_half(&payload).ok());
        let why = match half {
            Some(half) => {
                let name = TopicName::new(DISCARD_TOPIC).expect("a legal name");
                let topic = self.ensure_topic(&name, 1, proposal);
                let checks = self.state.halves.lock().get(lsn).map_or(0, |half| half.checks);
                let told = Pairs::of(half.properties());
                let bytes = encode_from_half(&half, &told, checks, 0, (&name, QueueId(0), Lsn::ZERO));
                let tag = told.get(properties::TAGS).map_or(0, model::filter::tag_hash).cast_unsigned();
                let message = EncodedMessage { bytes, tag, keys: KeyHashes::new() };
                self.place_message(topic.stream(QueueId(0)), &message, Cause::EndsHalf { lsn }, proposal);
                why
            }
            None => {
                self.place_half_end(lsn, proposal);
                Discarded::Lost
            }
        };
        let count = self.state.halves.lock().len();
        self.transactions.asker.undecided(count);
        self.transactions.asker.discarded(lsn, why);
        true
    }
}
