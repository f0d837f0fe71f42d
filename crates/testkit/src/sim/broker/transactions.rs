//! Transactions: half messages, their outcomes, and producers that are asked. Judges invariant 24: a
//! half message is seen if and only if its commit was, once at most; and that none is lost.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::admin::{self, TransactionList, TransactionListRequest};
use model::membership::{Heartbeat, LeaveScope, Membership};
use model::verbs::{
    Batches, Fetch, Publish, PublishError, Published, QueueChoice, Settle, SettleError, TransactionEnd,
    TransactionOutcome,
};
use model::{
    Filter, GroupName, Lsn, Messaging, Notice, NoticeSink, Offset, QueueId, Session, SessionId,
    StoredMessage, TopicName, properties,
};
use parking_lot::Mutex;

use super::calls::{Answer, Ask, id_of, new_message};
use super::{Sim, queue_number, topic_name};
use crate::history::Told;
use crate::sim::{Checked, Violation, must};

/// Where the engine puts what nobody decides.
const DISCARDED: &str = "TRANS_CHECK_MAX_TIME_TOPIC";
/// Questions about one half message: few, so that runs see the last one.
pub(super) const CHECKS_MAX: u32 = 3;
const PRODUCERS: u64 = 3;

/// What is known of one half message.
#[derive(Debug, Default)]
struct Half {
    /// Where it lies, once that was told by an answer or a question.
    place: Option<(Lsn, Offset)>,
    queue: Option<u64>,
    is_acknowledged: bool,
    /// Somebody asked for a commit.
    is_commit_asked: bool,
    /// Outcomes under way, or whose answer never came.
    unanswered: u32,
    /// An outcome was refused because there was one before, and nobody knows of it.
    is_stale: bool,
    /// What an answer has said.
    decided: Option<TransactionOutcome>,
    /// The highest number that a question carried.
    checks: u32,
}

/// All half messages of a run.
#[derive(Debug, Default)]
pub(super) struct Halves {
    all: BTreeMap<u64, Half>,
    inbox: Arc<Mutex<Vec<StoredMessage>>>,
}

impl Halves {
    /// The message is visible: that must be the work of a commit.
    pub(super) fn seen(&self, id: u64) -> Checked {
        let Some(half) = self.all.get(&id) else { return Ok(()) };
        must(half.is_commit_asked && half.decided != Some(TransactionOutcome::Rollback), 24, || {
            format!("message {id} is visible, but its transaction is {half:?}")
        })
    }
}

/// Takes questions for a producer.
struct Producer(Arc<Mutex<Vec<StoredMessage>>>);

impl NoticeSink for Producer {
    fn notify(&self, notice: Notice) -> bool {
        if let Notice::CheckTransaction { message, .. } = notice {
            self.0.lock().push(message);
        }
        true
    }
}

fn producers() -> GroupName {
    GroupName::new("producers").expect("a legal name")
}

impl Sim {
    // ---- steps

    pub(super) fn ask_half(&mut self) {
        let id = self.next_id;
        self.next_id += 1;
        let now_ms = self.now_ms();
        self.history.sending(id, None, 0);
        self.halves.all.insert(id, Half::default());
        let mut message = new_message(id, 0, now_ms, None);
        message.properties.push(properties::TRANSACTION_PREPARED, "true");
        message.properties.push(properties::PRODUCER_GROUP, producers().as_str());
        let request = Publish {
            topic: topic_name(0),
            queue: QueueChoice::Any,
            messages: vec![message],
            producer_group: None,
            auto_create: None,
            check_kind: false,
        };
        self.note("half", &[id]);
        self.ask(Ask::Half { id }, |broker, session| async move {
            Answer::Published(broker.publish(&session, request).await)
        });
    }

    /// The producer's own word on a transaction, mostly an open one.
    pub(super) fn ask_end_half(&mut self) {
        let is_wanted = |half: &&Half| half.place.is_some() && half.decided.is_none();
        let open = self.halves.all.iter().filter(|(_, half)| is_wanted(half)).map(|(id, _)| *id);
        let mut candidates: Vec<u64> = open.collect();
        if candidates.is_empty() || self.rng.percent(10) {
            candidates = self.halves.all.keys().copied().collect();
        }
        let Some(id) = self.rng.pick(&candidates).copied() else { return };
        let outcome = self.an_outcome();
        self.end_half(id, outcome, false);
    }

    /// Producers come, go, and answer what they were asked.
    pub(super) fn produce(&mut self) -> Checked {
        self.take_questions()?;
        let number = self.rng.below(PRODUCERS);
        let Some(broker) = self.broker.clone() else { return Ok(()) };
        let client_id = format!("producer-{number}");
        if self.rng.percent(25) {
            self.note("producer goes", &[number]);
            let session = self.session.clone();
            return self.wait_for(async move {
                broker.leave(&session, &client_id, LeaveScope::Everything).await;
            });
        }
        self.note("producer comes", &[number]);
        let notices = Arc::new(Producer(Arc::clone(&self.halves.inbox)));
        let session = Session { id: SessionId(1_000 + number), notices, ..Session::internal() };
        let beat = Heartbeat {
            client_id,
            language: "RUST".to_owned(),
            version: 1,
            producers: vec![producers()],
            consumers: Vec::new(),
            with_subscriptions: true,
        };
        self.wait_for(async move { broker.heartbeat(&session, beat).await })?.map_err(fail)?;
        Ok(())
    }

    /// Reads what producers were asked; answers some of it.
    pub(super) fn take_questions(&mut self) -> Checked {
        let questions = std::mem::take(&mut *self.halves.inbox.lock());
        for question in questions {
            let id = id_of(&question);
            must(id.is_some(), 1, || "a producer was asked about a body that nobody sent".to_owned())?;
            let id = id.unwrap_or_default();
            let half = self.halves.all.get_mut(&id);
            must(half.is_some(), 24, || format!("a producer was asked about {id}, no half message"))?;
            let Some(half) = half else { continue };
            let place = (question.lsn(), question.offset());
            must(half.place.is_none_or(|told| told == place), 24, || {
                format!("message {id} is asked about at {place:?}, its producer was told {:?}", half.place)
            })?;
            let times = question.property(properties::TRANSACTION_CHECK_TIMES);
            let times: u32 = times.and_then(|text| text.parse().ok()).unwrap_or_default();
            must((1..=CHECKS_MAX).contains(&times) && times > half.checks, 24, || {
                format!("question {times} about message {id} comes after question {}", half.checks)
            })?;
            half.checks = times;
            half.place = Some(place);
            half.queue = Some(queue_number(0, question.queue()));
            self.note("question", &[id, u64::from(times)]);
            if self.rng.percent(60) {
                let outcome = self.an_outcome();
                self.end_half(id, outcome, true);
            }
        }
        Ok(())
    }

    fn an_outcome(&mut self) -> TransactionOutcome {
        match self.rng.below(10) {
            0..=4 => TransactionOutcome::Commit,
            5..=7 => TransactionOutcome::Rollback,
            _ => TransactionOutcome::Unknown,
        }
    }

    fn end_half(&mut self, id: u64, outcome: TransactionOutcome, from_check: bool) {
        let Some(half) = self.halves.all.get_mut(&id) else { return };
        let Some((lsn, offset)) = half.place else { return };
        half.is_commit_asked |= outcome == TransactionOutcome::Commit;
        half.unanswered += u32::from(outcome != TransactionOutcome::Unknown);
        let end = TransactionEnd {
            topic: None,
            producer_group: Some(producers()),
            outcome,
            lsn,
            offset: Some(offset),
            message_id: None,
            transaction_id: None,
            from_check,
        };
        self.note("end half", &[id]);
        self.ask(Ask::EndHalf { id, outcome }, |broker, session| async move {
            Answer::HalfEnded(broker.settle(&session, Settle::Transaction(end)).await)
        });
    }

    // ---- answers

    pub(super) fn half_published(&mut self, id: u64, result: Result<Published, PublishError>) {
        match result {
            Ok(published) => {
                let entry = published.entries.first();
                if let (Some(half), Some(entry)) = (self.halves.all.get_mut(&id), entry) {
                    half.is_acknowledged = true;
                    half.place = Some((entry.lsn, entry.offset));
                    half.queue = Some(queue_number(0, entry.queue));
                }
                self.history.flushed();
            }
            Err(PublishError::DiskFull { .. } | PublishError::Throttled(_)) => {
                self.history.sent(id, Told::Failed, None);
            }
            Err(error) => self.shaken |= matches!(error, PublishError::Unavailable(_)),
        }
    }

    pub(super) fn half_ended(
        &mut self,
        id: u64,
        outcome: TransactionOutcome,
        result: Result<(), SettleError>,
    ) -> Checked {
        let has_struck = self.has_struck();
        let Some(half) = self.halves.all.get_mut(&id) else { return Ok(()) };
        match result {
            Ok(()) if outcome == TransactionOutcome::Unknown => Ok(()),
            Ok(()) => {
                must(half.decided.is_none(), 24, || format!("message {id} was decided twice: {half:?}"))?;
                half.decided = Some(outcome);
                half.unanswered -= 1;
                let told = if outcome == TransactionOutcome::Commit { Told::Ok } else { Told::Failed };
                let queue = half.queue;
                self.history.sent(id, told, None);
                if let Some(queue) = queue {
                    self.history.in_queue(id, queue);
                }
                self.history.flushed();
                Ok(())
            }
            Err(SettleError::Stale) => {
                half.unanswered -= 1;
                half.is_stale |= half.decided.is_none() && half.unanswered == 0;
                Ok(())
            }
            Err(SettleError::MessageNotFound) => {
                half.unanswered -= 1;
                must(has_struck, 24, || format!("half message {id} is not found: {half:?}"))
            }
            Err(error) => self.failed("end half", &error.to_string()),
        }
    }

    // ---- the end

    /// What is acknowledged and undecided is open still, or was kept aside; never both or neither.
    pub(super) fn check_halves(&mut self) -> Checked {
        let open = self.open_halves()?;
        let aside = self.discarded_halves()?;
        for id in aside.keys() {
            self.note("kept aside", &[*id]);
        }
        for (id, half) in &self.halves.all {
            let is_open = half.place.is_some_and(|(lsn, _)| open.contains(&lsn.get()));
            let was_put_aside = aside.get(id).copied().unwrap_or_default();
            must(was_put_aside <= 1 && !(is_open && was_put_aside > 0), 24, || {
                format!("message {id} was kept aside {was_put_aside} times, open: {is_open}")
            })?;
            let is_pending = is_open || was_put_aside > 0;
            must(half.decided.is_none() || !is_pending, 24, || {
                format!("message {id} is decided and pending: {half:?}")
            })?;
            let may_be_decided = half.decided.is_some() || half.unanswered > 0;
            must(is_pending || may_be_decided || !half.is_acknowledged, 24, || {
                format!("half message {id} is lost: {half:?}")
            })?;
            must(!half.is_stale || was_put_aside > 0 || may_be_decided, 24, || {
                format!("message {id} was said to be decided, but nobody did: {half:?}")
            })?;
        }
        Ok(())
    }

    fn open_halves(&mut self) -> Checked<Vec<u64>> {
        let Some(broker) = self.broker.clone() else { return Ok(Vec::new()) };
        let session = self.session.clone();
        let mut open = Vec::new();
        loop {
            let request = TransactionListRequest {
                after: open.last().copied(),
                max: Some(50),
                ..TransactionListRequest::default()
            };
            let found = self.wait_for(admin::run::<TransactionList>(&*broker, &session, request))?;
            let found = found.map_err(fail)?;
            if found.is_empty() {
                return Ok(open);
            }
            open.extend(found.iter().map(|transaction| transaction.position));
        }
    }

    fn discarded_halves(&mut self) -> Checked<BTreeMap<u64, u32>> {
        let Some(broker) = self.broker.clone() else { return Ok(BTreeMap::new()) };
        let session = self.session.clone();
        let mut counts = BTreeMap::new();
        let mut offset = Offset(0);
        loop {
            let request = Fetch {
                group: None,
                topic: TopicName::new(DISCARDED).expect("a legal name"),
                queue: QueueId(0),
                offset,
                max_messages: 100,
                max_bytes: 1 << 20,
                filter: Filter::all(),
                wait_ms: 0,
                batches: Batches::Unpacked,
            };
            // Without discarded messages there is no topic.
            let Ok(fetched) = self.wait_for(broker.fetch(&session, request))? else { return Ok(counts) };
            if fetched.messages.is_empty() {
                return Ok(counts);
            }
            for message in &fetched.messages {
                *counts.entry(id_of(message).unwrap_or_default()).or_default() += 1;
            }
            offset = fetched.next;
        }
    }
}

fn fail(what: impl ToString) -> Violation {
    Violation { invariant: 0, what: what.to_string() }
}
