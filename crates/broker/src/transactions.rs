//! Transactions: half messages come in, producers end them, and those that nobody ended are asked
//! about.
//!
//! ```text
//! publish (half) -> machine: undecided -----------------> due: a check is recorded
//!                      ^                                            |
//! settle (outcome) ----+    a producer of the group <- notice <- the task here
//! ```
//! What a half message's record holds is what 4.x clients see of it: topic and queue of the system,
//! the real ones as properties.

use std::net::SocketAddr;
use std::sync::{Arc, Weak};

use model::limits::PROPERTIES_BYTES_MAX;
use model::message::flags;
use model::properties::{
    CHECK_IMMUNITY_SECONDS, DELAY, PRODUCER_GROUP, Pairs, REAL_QUEUE_ID, REAL_TOPIC, TRANSACTION_ID,
    TRANSACTION_PREPARED, UNIQUE_ID,
};
use model::record::{Placement, encode, encoded_len};
use model::verbs::{Publish, PublishError, SettleError, TransactionEnd, TransactionOutcome};
use model::{GroupName, Lsn, NewMessage, Notice, Offset, Properties, QueueId, StoredMessage, TopicName};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use replica::Proposed;
use tokio::sync::mpsc;

use crate::broker::Broker;
use crate::error::Failed;
use crate::limits::{HALF_PROPERTIES_SPARE_BYTES, PRODUCERS_ASKED_PER_CHECK_MAX};
use crate::machine::BrokerMachine;
use crate::machine::command::{Command, EndHalf, HalfOutcome, NewHalf, Outcome, Refusal};
use crate::machine::halves::{Half, half_hash};
use crate::machine::records::{EncodedMessage, kind};
use crate::machine::state::Topic;
use crate::machine::transactions::{
    AskProducers, Check, Discarded, HALF_TOPIC, encode_from_half, message_of_half,
};
use crate::members::Members;
use crate::publish::{FoundBy, KeySpace};
use crate::resolve::read_record;
use crate::timing::due_ms;

/// What is counted of transactions. The counts are those of this process.
#[derive(Debug, Clone, Default)]
pub(crate) struct TransactionMetrics {
    undecided: Gauge,
    commits_total: Counter,
    rollbacks_total: Counter,
    checks_total: Counter,
    unasked_total: Counter,
    discarded_total: Counter,
    expired_total: Counter,
    lost_total: Counter,
}

impl TransactionMetrics {
    /// Adds all metrics to `registry`.
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register(
            "half_messages",
            "Half messages whose transaction is undecided",
            self.undecided.clone(),
        );
        let mut counter = |name, help, counter: &Counter| registry.register(name, help, counter.clone());
        counter("transaction_commits", "Transactions committed", &self.commits_total);
        counter("transaction_rollbacks", "Transactions rolled back", &self.rollbacks_total);
        counter(
            "transaction_checks",
            "Questions to producers about undecided transactions",
            &self.checks_total,
        );
        counter(
            "transaction_checks_unasked",
            "Recorded questions that no producer took: they left in that moment",
            &self.unasked_total,
        );
        counter(
            "transactions_discarded",
            "Half messages moved to TRANS_CHECK_MAX_TIME_TOPIC because they were asked about too often",
            &self.discarded_total,
        );
        counter(
            "transactions_expired",
            "Half messages moved to TRANS_CHECK_MAX_TIME_TOPIC because retention was about to delete them",
            &self.expired_total,
        );
        counter(
            "transactions_lost",
            "Half messages that ended because their record is not stored any more",
            &self.lost_total,
        );
    }

    /// How many were committed and rolled back since the start.
    pub(crate) fn ended(&self) -> (u64, u64) {
        (self.commits_total.get(), self.rollbacks_total.get())
    }

    pub(crate) fn undecided(&self, count: usize) {
        self.undecided.set(i64::try_from(count).unwrap_or(i64::MAX));
    }
}

/// The group's thread speaks to producers through this.
pub(crate) struct Asker {
    members: Arc<Members>,
    checks: mpsc::Sender<Check>,
    metrics: TransactionMetrics,
}

impl Asker {
    pub(crate) const fn new(
        members: Arc<Members>,
        checks: mpsc::Sender<Check>,
        metrics: TransactionMetrics,
    ) -> Self {
        Self { members, checks, metrics }
    }
}

impl AskProducers for Asker {
    fn room(&self) -> usize {
        self.checks.capacity()
    }

    fn has_producer(&self, group: &GroupName) -> bool {
        self.members.has_producer(group)
    }

    fn ask(&mut self, check: Check) {
        self.metrics.checks_total.inc();
        if self.checks.try_send(check).is_err() {
            self.metrics.unasked_total.inc();
        }
    }

    fn discarded(&mut self, lsn: Lsn, why: Discarded) {
        let position = lsn.get();
        match why {
            Discarded::TooManyChecks => {
                self.metrics.discarded_total.inc();
                tracing::warn!(
                    position,
                    "a transaction was asked about too often; its half message is in TRANS_CHECK_MAX_TIME_TOPIC now"
                );
            }
            Discarded::TooOld => {
                self.metrics.expired_total.inc();
                tracing::warn!(
                    position,
                    "retention deletes an undecided half message; it is in TRANS_CHECK_MAX_TIME_TOPIC now"
                );
            }
            Discarded::Lost => {
                self.metrics.lost_total.inc();
                tracing::error!(position, "an undecided half message is not stored any more; it is given up");
            }
        }
    }

    fn undecided(&mut self, count: usize) {
        self.metrics.undecided(count);
    }
}

/// A message opens a transaction. One that a 4.x consumer gives back by sending it does not,
/// though it still carries the mark.
pub(crate) fn is_half(message: &NewMessage, told: &Pairs<'_>) -> bool {
    let marked = told.get(TRANSACTION_PREPARED).is_some_and(|v| v.eq_ignore_ascii_case("true"));
    let given_back = || {
        let level = told.get(DELAY).and_then(|level| level.trim().parse::<i64>().ok());
        message.reconsume_times > 0 && level.is_some_and(|level| level > 0)
    };
    marked && !given_back()
}

/// How long a half message is not asked about: its own time, but at least the node's.
fn immunity_ms(told_seconds: Option<&str>, least_ms: i64) -> i64 {
    let told = told_seconds.and_then(|text| text.trim().parse::<i64>().ok()).unwrap_or(0);
    told.saturating_mul(1_000).max(least_ms)
}

/// Room for what marks a half message, but for very long names.
const MARK_BYTES: usize = 256;

/// Where a half message's message is for.
pub(crate) struct Target {
    pub(crate) topic: TopicName,
    pub(crate) queue: QueueId,
}

/// The outcome of a transaction on its way into the log.
struct Ending {
    waiting: Proposed<BrokerMachine>,
    is_commit: bool,
}

/// `None`: not decided yet.
const fn is_commit(outcome: TransactionOutcome) -> Option<bool> {
    match outcome {
        TransactionOutcome::Commit => Some(true),
        TransactionOutcome::Rollback => Some(false),
        TransactionOutcome::Unknown => None,
    }
}

impl Target {
    pub(crate) fn of(told: &Pairs<'_>) -> Option<Self> {
        let topic = TopicName::new(told.get(REAL_TOPIC)?).ok()?;
        let queue = told.get(REAL_QUEUE_ID)?.parse().ok()?;
        Some(Self { topic, queue: QueueId(queue) })
    }
}

impl Broker {
    /// What stores a half message, its bytes, and its unique id. The queue offset of the answer is its number
    /// among half messages.
    pub(crate) fn half_to_publish(
        &self,
        request: Publish,
        topic: &Topic,
        queue: QueueId,
        store_host: SocketAddr,
    ) -> Result<(Command, usize, Option<String>), PublishError> {
        let Publish { messages, producer_group, .. } = request;
        let Ok([mut message]) = <[NewMessage; 1]>::try_from(messages) else {
            return Err(PublishError::Illegal("half messages cannot be sent in a batch".to_owned()));
        };
        let told = message.properties.pairs();
        let group = producer_group_of(&told, producer_group).ok_or_else(|| {
            PublishError::Illegal("a half message must name its producer group (PGROUP)".to_owned())
        })?;
        // What the commit will do must be possible.
        due_ms(&told, self.now_ms(), self.live().timer_delay_max_ms)?;
        let least_ms = self.live().transaction_timeout_ms;
        let check_after_ms = immunity_ms(told.get(CHECK_IMMUNITY_SECONDS), least_ms);
        let unique = told.get(UNIQUE_ID).filter(|id| !id.is_empty()).map(str::to_owned);
        let marked = marked_as_half(&told, &group, unique.as_deref(), &topic.config.name, queue)?;
        drop(told);
        message.properties = marked;
        message.system_flags &= !flags::TRANSACTION_MASK;
        let bytes = encode_half(&message, store_host);
        let size = bytes.len();
        let space = KeySpace::of(&topic.config.name);
        let key = unique.as_deref().map_or(0, |id| half_hash(space.key(id)));
        let new = NewHalf { stream: topic.stream(queue), group, key, bytes, check_after_ms };
        Ok((Command::PublishHalf(new), size, unique))
    }

    /// Ends a transaction as its producer says.
    pub(crate) async fn end_transaction(&self, end: TransactionEnd) -> Result<(), SettleError> {
        let Some(is_commit) = is_commit(end.outcome) else { return Ok(()) };
        // What is looked at stands apart, so that what waits for the answer is small.
        let ending = Box::pin(self.begin_end(end, is_commit)).await?;
        self.ended(ending).await
    }

    async fn begin_end(&self, end: TransactionEnd, is_commit: bool) -> Result<Ending, SettleError> {
        let (undecided, half) = self.half_at(end.lsn).await?;
        let told = Pairs::of(half.properties());
        if !end.from_check
            && let Some(seconds) = told.get(CHECK_IMMUNITY_SECONDS).filter(|text| !text.is_empty())
        {
            let immune_ms = immunity_ms(Some(seconds), self.live().transaction_timeout_ms);
            let passed_ms = self.now_ms().saturating_sub(half.stored_ms());
            if passed_ms > immune_ms {
                return Err(SettleError::TooLate { passed_ms, max_ms: immune_ms });
            }
        }
        if told.get(PRODUCER_GROUP) != end.producer_group.as_ref().map(GroupName::as_str) {
            return Err(SettleError::Illegal("The producer group wrong".to_owned()));
        }
        if end.offset.is_some_and(|offset| offset != half.offset()) {
            return Err(SettleError::Illegal("The transaction state table offset wrong".to_owned()));
        }
        let undecided = undecided.ok_or(SettleError::Stale)?;
        self.begin_decision(end.lsn, &undecided, (&half, &told), is_commit)
    }

    /// Ends an undecided transaction. `Stale`: it was decided meanwhile.
    pub(crate) async fn decide(
        &self,
        lsn: Lsn,
        undecided: &Half,
        (half, told): (&StoredMessage, &Pairs<'_>),
        outcome: TransactionOutcome,
    ) -> Result<(), SettleError> {
        let Some(is_commit) = is_commit(outcome) else { return Ok(()) };
        let ending = self.begin_decision(lsn, undecided, (half, told), is_commit)?;
        self.ended(ending).await
    }

    fn begin_decision(
        &self,
        lsn: Lsn,
        undecided: &Half,
        (half, told): (&StoredMessage, &Pairs<'_>),
        is_commit: bool,
    ) -> Result<Ending, SettleError> {
        let (outcome, bytes) = if is_commit {
            let (stream, message) = self.committed_message(lsn, undecided, half, told)?;
            let due_ms = due_ms(told, self.now_ms(), self.live().timer_delay_max_ms)
                .map_err(|error| SettleError::Illegal(error.to_string()))?;
            let bytes = message.bytes.len();
            (HalfOutcome::Commit { stream, message, due_ms }, bytes)
        } else {
            (HalfOutcome::Rollback, 0)
        };
        let waiting = self.hand_in(Command::EndHalf(EndHalf { lsn, outcome }), bytes)?;
        Ok(Ending { waiting, is_commit })
    }

    async fn ended(&self, Ending { waiting, is_commit }: Ending) -> Result<(), SettleError> {
        match waiting.await.map_err(Failed::from)? {
            Outcome::Settled(true) => {
                let metrics = &self.transaction_metrics;
                let counter = if is_commit { &metrics.commits_total } else { &metrics.rollbacks_total };
                counter.inc();
                Ok(())
            }
            Outcome::Settled(false) => Err(SettleError::Stale),
            Outcome::Refused(Refusal::DiskFull { used_percent }) => {
                Err(SettleError::Unavailable(format!("the disk is {used_percent} % full")))
            }
            Outcome::Refused(why) => Err(SettleError::Unavailable(format!("{why:?}"))),
            other => Err(Failed::unexpected(&other).into()),
        }
    }

    /// What a commit makes visible, and where. The half message's other properties stay.
    fn committed_message(
        &self,
        lsn: Lsn,
        undecided: &Half,
        half: &StoredMessage,
        told: &Pairs<'_>,
    ) -> Result<(model::StreamId, EncodedMessage), SettleError> {
        let target = Target::of(told)
            .ok_or_else(|| SettleError::Internal("a half message has no topic".to_owned()))?;
        let topic = self
            .state
            .topic(&target.topic)
            .ok_or_else(|| SettleError::Illegal(format!("topic {} does not exist any more", target.topic)))?;
        let checks = undecided.checks;
        let place = (&target.topic, target.queue, lsn);
        let bytes = encode_from_half(half, told, checks, flags::TRANSACTION_COMMIT, place);
        let FoundBy { tag, keys } = KeySpace::of(&target.topic).found_by(told);
        Ok((topic.stream(target.queue), EncodedMessage { bytes, tag, keys }))
    }

    /// The half message at a position, and what is known of it if it is undecided.
    pub(crate) async fn half_at(&self, lsn: Lsn) -> Result<(Option<Half>, StoredMessage), SettleError> {
        if lsn >= self.committed() {
            return Err(SettleError::MessageNotFound);
        }
        let undecided = self.state.halves.lock().get(lsn).cloned();
        let payload = match &undecided {
            Some(half) => read_record(&self.log, lsn, half.len).await?,
            None => {
                // A position that a client made up need not be the start of a record: that is no damage.
                let record = self.log.look_for(lsn).await.ok_or(SettleError::MessageNotFound)?;
                if record.kind != kind::HALF {
                    return Err(SettleError::MessageNotFound);
                }
                record.payload
            }
        };
        let half = message_of_half(&payload).map_err(|error| SettleError::Internal(error.to_string()))?;
        Ok((undecided, half))
    }

    /// Takes checks from the group's thread until the broker is gone.
    pub(crate) async fn ask_about(broker: Weak<Self>, mut checks: mpsc::Receiver<Check>) {
        while let Some(check) = checks.recv().await {
            let Some(broker) = broker.upgrade() else { return };
            broker.ask_producer(check).await;
        }
    }

    async fn ask_producer(&self, check: Check) {
        let Check { lsn, len, checks, group } = check;
        if self.state.halves.lock().get(lsn).is_none() {
            return;
        }
        let half = match read_record(&self.log, lsn, len).await {
            Ok(payload) => message_of_half(&payload).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        let half = match half {
            Ok(half) => half,
            Err(error) => {
                tracing::warn!(
                    position = lsn.get(),
                    error,
                    "a half message could not be read to ask about it"
                );
                return;
            }
        };
        let told = Pairs::of(half.properties());
        let Some(target) = Target::of(&told) else { return };
        // To the producer it is the message that it sent; offset and position name the half message.
        let bytes = encode_from_half(&half, &told, checks, 0, (&target.topic, target.queue, Lsn::ZERO));
        let Ok(message) = StoredMessage::parse(bytes.into()) else { return };
        let transaction_id = told.get(UNIQUE_ID).map_or_else(|| half.offset_id(), str::to_owned);
        for _ in 0..PRODUCERS_ASKED_PER_CHECK_MAX {
            let Some(producer) = self.members.pick_producer(&group) else { break };
            let notice = Notice::CheckTransaction {
                message: message.clone(),
                producer_group: group.clone(),
                transaction_id: transaction_id.clone(),
            };
            if producer.session.notices.notify(notice) {
                return;
            }
        }
        self.transaction_metrics.unasked_total.inc();
    }
}

/// The group that a half message names itself, else the one of its request.
fn producer_group_of(told: &Pairs<'_>, asked: Option<GroupName>) -> Option<GroupName> {
    let Some(name) = told.get(PRODUCER_GROUP) else { return asked };
    match asked {
        Some(asked) if asked.as_str() == name => Some(asked),
        asked => GroupName::new(name).ok().or(asked),
    }
}

/// A half message's properties: what its record adds to those that came.
fn marked_as_half(
    told: &Pairs<'_>,
    group: &GroupName,
    unique: Option<&str>,
    topic: &TopicName,
    queue: QueueId,
) -> Result<Properties, PublishError> {
    let names_group = told.get(PRODUCER_GROUP) == Some(group.as_str());
    let is_kept = |key: &str| match key {
        PRODUCER_GROUP => names_group,
        TRANSACTION_ID => unique.is_none(),
        REAL_TOPIC | REAL_QUEUE_ID => false,
        _ => true,
    };
    let mut marked = Properties::kept_of(told, MARK_BYTES, is_kept);
    if !names_group {
        marked.push(PRODUCER_GROUP, group.as_str());
    }
    if let Some(unique) = unique {
        marked.push(TRANSACTION_ID, unique);
    }
    marked.push(REAL_TOPIC, topic.as_str());
    marked.push(REAL_QUEUE_ID, &queue.get().to_string());
    let (bytes, max) = (marked.as_encoded().len(), PROPERTIES_BYTES_MAX - HALF_PROPERTIES_SPARE_BYTES);
    if bytes > max {
        return Err(PublishError::PropertiesTooLarge { bytes, max });
    }
    Ok(marked)
}

/// A half message as it stands in the half topic, but for its stamp.
fn encode_half(message: &NewMessage, store_host: SocketAddr) -> Vec<u8> {
    let place = Placement {
        topic: HALF_TOPIC,
        queue: QueueId(0),
        offset: Offset(0),
        lsn: Lsn::ZERO,
        stored_ms: 0,
        store_host,
        prepared: Lsn::ZERO,
    };
    let mut bytes = Vec::with_capacity(encoded_len(message, HALF_TOPIC, store_host));
    encode(&mut bytes, message, &place);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(reconsume_times: u32, pairs: &[(&str, &str)]) -> NewMessage {
        let mut properties = Properties::new();
        for (key, value) in pairs {
            properties.push(key, value);
        }
        NewMessage {
            body: bytes::Bytes::new(),
            properties,
            flag: 0,
            system_flags: 0,
            born_ms: 0,
            born_host: ([127, 0, 0, 1], 1).into(),
            reconsume_times,
        }
    }

    fn opens(message: &NewMessage) -> bool {
        is_half(message, &message.properties.pairs())
    }

    #[test]
    fn the_mark_opens_a_transaction_but_not_when_a_consumer_gives_the_message_back() {
        assert!(opens(&message(0, &[("TRAN_MSG", "true")])));
        assert!(opens(&message(0, &[("TRAN_MSG", "TRUE"), ("DELAY", "3")])));
        assert!(opens(&message(2, &[("TRAN_MSG", "true")])));
        assert!(!opens(&message(2, &[("TRAN_MSG", "true"), ("DELAY", "4")])));
        assert!(!opens(&message(0, &[("TRAN_MSG", "false")])));
        assert!(!opens(&message(0, &[])));
    }

    #[test]
    fn a_message_may_ask_for_a_later_first_check_but_not_for_an_earlier_one() {
        assert_eq!(immunity_ms(Some("30"), 6_000), 30_000);
        assert_eq!(immunity_ms(Some("1"), 6_000), 6_000);
        assert_eq!(immunity_ms(Some("soon"), 6_000), 6_000);
        assert_eq!(immunity_ms(Some("9223372036854775807"), 6_000), i64::MAX);
        assert_eq!(immunity_ms(None, 6_000), 6_000);
    }
}
