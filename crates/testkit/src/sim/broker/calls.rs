//! Calls of the verbs: how they are asked, and what their answers mean for the history.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;

use ::broker::Broker;
use bytes::Bytes;
use model::message::NewMessage;
use model::verbs::{
    AckError, Fetched, OffsetAnswer, Publish, PublishError, Published, QueueChoice, RecallError, Received,
    SettleError, TransactionOutcome,
};
use model::{Messaging, Properties, Receipt, Session, StoredMessage, properties};

use super::clients::Client;
use super::{LITE_QUEUES, LITE_TOPIC, Pulled, Sim, order_of, queue_number, queue_of_receipt, topic_name};
use crate::history::{Acked, Claim, Delivered, Place, Told};
use crate::rng::Rng;
use crate::sim::{Checked, must};

/// A receipt and what it is for.
#[derive(Clone)]
pub(super) struct Outstanding {
    pub(super) group: usize,
    pub(super) client: u64,
    pub(super) claim: Claim,
    pub(super) receipt: Receipt,
}

impl std::fmt::Debug for Outstanding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { group, claim, receipt, .. } = self;
        let place = (receipt.topic.as_str(), receipt.queue.get(), receipt.offset.get());
        write!(f, "group {group} message {} nonce {} at {place:?}", claim.id, claim.nonce)
    }
}

/// What was asked.
#[derive(Debug, Clone)]
pub(super) enum Ask {
    Publish {
        topic: usize,
        ids: Vec<u64>,
        is_timed: bool,
    },
    /// One record of several messages.
    Batch {
        ids: Vec<u64>,
    },
    /// A message that was sent before, with its place if that is known.
    Again {
        id: u64,
        place: Option<Place>,
    },
    /// A timed message.
    Timed {
        id: u64,
    },
    Recall {
        id: u64,
    },
    Receive {
        client: Client,
    },
    Ack {
        items: Vec<Outstanding>,
    },
    Extend {
        item: Outstanding,
    },
    DeadLetter {
        item: Outstanding,
    },
    Commit {
        offset: u64,
    },
    Progress,
    Half {
        id: u64,
    },
    EndHalf {
        id: u64,
        outcome: TransactionOutcome,
    },
    /// Asked only for the turn that it needs.
    Tick,
    Fetch,
}

/// What was answered; errors as text, because only their kind matters here.
#[derive(Debug)]
pub(super) enum Answer {
    Published(Result<Published, PublishError>),
    Recalled(Result<String, RecallError>),
    Received(Result<Received, String>),
    Acked(Vec<Result<(), AckError>>),
    Extended(Result<Receipt, AckError>),
    DeadLettered(Result<(), SettleError>),
    HalfEnded(Result<(), SettleError>),
    Committed(Result<(), String>),
    Progress(Result<OffsetAnswer, String>),
    Fetched(Result<Fetched, String>),
}

type Answering = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// A call under way.
pub(super) struct Call {
    pub(super) ask: Ask,
    future: Answering,
}

/// The body of a message: its number, and filler that follows from it.
pub(super) fn body_of(id: u64) -> Bytes {
    let mut rng = Rng::new(id ^ 0xB0D7);
    let filler = rng.skewed(900);
    let mut body = id.to_le_bytes().to_vec();
    body.extend(rng.bytes(usize::try_from(filler).unwrap_or_default()));
    body.into()
}

/// The number in a body, if the body is whole.
pub(super) fn id_of(message: &StoredMessage) -> Option<u64> {
    let body = message.body();
    let id = u64::from_le_bytes(body.get(..8)?.try_into().ok()?);
    (body == body_of(id)).then_some(id)
}

pub(super) fn new_message(id: u64, key: u64, born_ms: i64, delay_ms: Option<u64>) -> NewMessage {
    let mut properties = Properties::new();
    properties.push(properties::UNIQUE_ID, &format!("id-{id}"));
    if key > 0 {
        properties.push(properties::SHARDING_KEY, &format!("key-{key}"));
    }
    if let Some(delay_ms) = delay_ms {
        properties.push(properties::TIMER_DELAY_MS, &delay_ms.to_string());
    }
    NewMessage {
        body: body_of(id),
        properties,
        flag: 0,
        system_flags: 0,
        born_ms,
        born_host: std::net::SocketAddr::from(([10, 0, 0, 1], 1)),
        reconsume_times: 0,
    }
}

/// The message, for a lite topic if there is one.
fn in_lite(mut message: NewMessage, room: Option<u64>) -> NewMessage {
    if let Some(room) = room {
        message.properties.push(properties::LITE_TOPIC, &format!("room-{room}"));
    }
    message
}

/// An answer for the trace, without the bodies.
fn short(answer: &Answer) -> String {
    match answer {
        Answer::Received(Ok(received)) => format!("{} deliveries", received.deliveries.len()),
        Answer::Fetched(Ok(fetched)) => format!("{:?}, {} messages", fetched.outcome, fetched.messages.len()),
        other => format!("{other:?}"),
    }
}

impl Sim {
    /// Starts a call; it goes on when the simulation polls it.
    pub(super) fn ask<F>(&mut self, ask: Ask, call: impl FnOnce(Arc<Broker>, Session) -> F)
    where
        F: Future<Output = Answer> + Send + 'static,
    {
        let Some(broker) = self.broker.clone() else { return };
        self.doors.trace.event("ask", &[self.calls.len() as u64], || format!("{ask:?}"));
        let future = Box::pin(call(broker, self.session.clone()));
        self.calls.push(Call { ask, future });
    }

    pub(super) fn ask_publish(&mut self, topic: usize, count: usize, delay_ms: Option<u64>) {
        let ids: Vec<u64> = (0..count as u64).map(|i| self.next_id + i).collect();
        self.next_id += ids.len() as u64;
        let now_ms = self.now_ms();
        let due_ms = delay_ms.map_or(0, |d| now_ms.saturating_add_unsigned(d));
        // Key 0: no message group. Messages of one call go to one queue, and so does a key.
        let key = if topic == 1 { self.rng.below(self.clients.keys + 1) } else { 0 };
        for id in &ids {
            self.history.sending_keyed(*id, key, None, due_ms);
        }
        let lite = (topic >= LITE_TOPIC).then(|| self.rng.below(LITE_QUEUES.len() as u64));
        if let Some(room) = lite.filter(|_| topic == LITE_TOPIC) {
            ids.iter().for_each(|id| self.history.in_queue(*id, LITE_QUEUES[0] + room));
        }
        let request = Publish {
            topic: topic_name(topic),
            queue: QueueChoice::Any,
            messages: ids.iter().map(|id| in_lite(new_message(*id, key, now_ms, delay_ms), lite)).collect(),
            producer_group: None,
            auto_create: None,
            check_kind: false,
        };
        let ask = Ask::Publish { topic, ids, is_timed: delay_ms.is_some() };
        self.ask(
            ask,
            |broker, session| async move { Answer::Published(broker.publish(&session, request).await) },
        );
    }

    /// Polls every call once; hands the answers that came to the history.
    pub(super) fn poll(&mut self) -> Checked {
        let mut context = Context::from_waker(futures::task::noop_waker_ref());
        let mut answers = Vec::new();
        for mut call in std::mem::take(&mut self.calls) {
            match call.future.as_mut().poll(&mut context) {
                std::task::Poll::Ready(answer) => answers.push((call.ask, answer)),
                std::task::Poll::Pending => self.calls.push(call),
            }
        }
        // What was handed out in this turn stands before what was committed in it.
        let (first, last): (Vec<_>, Vec<_>) =
            answers.into_iter().partition(|(_, answer)| matches!(answer, Answer::Received(_)));
        for (ask, answer) in first.into_iter().chain(last) {
            self.answered(&ask, answer)?;
        }
        Ok(())
    }

    /// Lets the calls go on until all are answered, or the process has died.
    pub(super) fn drive(&mut self) -> Checked {
        for _ in 0..10_000 {
            self.doors.spawn.run_tasks();
            self.poll()?;
            if self.calls.is_empty() || self.doors.disk.is_halted() {
                return Ok(());
            }
            self.doors.spawn.give_turns();
        }
        must(false, 0, || format!("{} calls are never answered", self.calls.len()))
    }

    /// Runs one future of the engine to its end.
    pub(super) fn wait_for<T>(&mut self, future: impl Future<Output = T>) -> Checked<T> {
        let mut future = std::pin::pin!(future);
        let mut context = Context::from_waker(futures::task::noop_waker_ref());
        for _ in 0..10_000 {
            self.doors.spawn.run_tasks();
            if let std::task::Poll::Ready(value) = future.as_mut().poll(&mut context) {
                return Ok(value);
            }
            self.doors.spawn.run_all_threads();
            self.doors.spawn.give_turns();
        }
        Err(super::Violation { invariant: 0, what: "a call of the simulation is never answered".to_owned() })
    }

    // ---- answers

    fn answered(&mut self, ask: &Ask, answer: Answer) -> Checked {
        let now_ms = self.now_ms();
        self.history.at(now_ms);
        self.doors.trace.event("answer", &[], || format!("to {ask:?}: {}", short(&answer)));
        match (ask, answer) {
            (Ask::Batch { ids }, Answer::Published(result)) => {
                self.batch_published(ids, result);
                Ok(())
            }
            (Ask::Again { id, place }, Answer::Published(result)) => self.sent_again(*id, *place, result),
            (Ask::Publish { topic, ids, is_timed }, Answer::Published(result)) => {
                self.published(*topic, ids, *is_timed, result);
                Ok(())
            }
            (Ask::Timed { id }, Answer::Published(result)) => {
                self.timed_sent(*id, result);
                Ok(())
            }
            (Ask::Recall { id }, Answer::Recalled(result)) => self.recalled(*id, result),
            (Ask::Receive { client }, Answer::Received(result)) => match result {
                Ok(received) => self.received(client, received),
                Err(error) => self.failed("receive", &error),
            },
            (Ask::Ack { items }, Answer::Acked(results)) => {
                must(items.len() == results.len(), 0, || "an ack has not one answer per receipt".to_owned())?;
                items.iter().zip(results).try_for_each(|(item, result)| self.acked(item, result))
            }
            (Ask::Extend { item }, Answer::Extended(result)) => self.extended(item, result),
            (Ask::DeadLetter { item }, Answer::DeadLettered(result)) => self.dead_lettered(item, result),
            (Ask::Commit { offset }, Answer::Committed(result)) => {
                match result {
                    Ok(()) => {
                        self.pulled.acknowledged = *offset;
                        self.pulled.possible.clear();
                    }
                    Err(error) => {
                        self.pulled.possible.push(*offset);
                        self.failed("commit", &error)?;
                    }
                }
                Ok(())
            }
            (Ask::Progress, Answer::Progress(result)) => match result {
                Ok(answer) => self.check_progress(answer),
                Err(error) => self.failed("progress", &error),
            },
            (Ask::Tick, Answer::Progress(_)) => Ok(()),
            (Ask::Half { id }, Answer::Published(result)) => {
                self.half_published(*id, result);
                Ok(())
            }
            (Ask::EndHalf { id, outcome }, Answer::HalfEnded(result)) => {
                self.half_ended(*id, *outcome, result)
            }
            (Ask::Fetch, Answer::Fetched(result)) => match result {
                Ok(fetched) => self.fetched(&fetched),
                Err(error) => self.failed("fetch", &error),
            },
            (ask, answer) => must(false, 0, || format!("{ask:?} was answered with {answer:?}")),
        }
    }

    fn published(
        &mut self,
        topic: usize,
        ids: &[u64],
        is_timed: bool,
        result: Result<Published, PublishError>,
    ) {
        match result {
            Ok(published) => {
                for (id, entry) in ids.iter().zip(&published.entries) {
                    let place = Place { queue: queue_number(topic, entry.queue), offset: entry.offset.get() };
                    if topic >= LITE_TOPIC {
                        // It stands in two queues; the group sees the other.
                        self.history.sent(*id, Told::Ok, None);
                        continue;
                    }
                    self.history.sent(*id, Told::Ok, (!is_timed).then_some(place));
                    if is_timed {
                        self.history.in_queue(*id, place.queue);
                    } else if topic == 0 {
                        self.may_repeat(*id, Some(place));
                    }
                }
                self.history.flushed();
            }
            Err(PublishError::DiskFull { .. }) => {
                ids.iter().for_each(|id| self.history.sent(*id, Told::Failed, None));
            }
            Err(error) => {
                self.shaken |= matches!(error, PublishError::Unavailable(_));
                for id in ids {
                    self.history.sent(*id, Told::Unknown, None);
                    if topic == 0 && !is_timed {
                        self.may_repeat(*id, None);
                    }
                }
            }
        }
    }

    fn received(&mut self, client: &Client, received: Received) -> Checked {
        let (group, call) = (client.group, client.call());
        if !received.deliveries.is_empty() && !self.hears(client) {
            return Ok(());
        }
        let deadline_ms = received.delivered_ms.saturating_add(received.invisible_ms);
        let mut batch = Vec::new();
        for delivery in received.deliveries {
            let id = id_of(&delivery.message);
            must(id.is_some(), 1, || {
                format!("a message was handed out whose body is not what was sent: {:?}", delivery.receipt)
            })?;
            let nonce = delivery.receipt.nonce.get();
            let id = id.unwrap_or_default();
            self.halves.seen(id)?;
            let place =
                Place { queue: queue_of_receipt(&delivery.receipt), offset: delivery.receipt.offset.get() };
            batch.push(Delivered { id, place, nonce, attempt: delivery.attempt, deadline_ms, call });
            let claim = Claim { id, nonce };
            let client = client.number;
            self.receipts.push(Outstanding { group, client, claim, receipt: delivery.receipt });
        }
        self.doors.trace.event("delivered", &[group as u64, batch.len() as u64], || format!("{batch:?}"));
        self.history.delivered(group as u64, &batch, order_of(group))
    }

    fn acked(&mut self, item: &Outstanding, result: Result<(), AckError>) -> Checked {
        let group = item.group as u64;
        match result {
            Ok(()) => {
                self.history.acked(group, item.claim, Acked::Ok)?;
                self.history.flushed();
                Ok(())
            }
            Err(AckError::Stale | AckError::OffsetOutOfRange { .. } | AckError::TopicNotFound(_)) => {
                self.refused(item)
            }
            Err(error) => {
                self.history.acked(group, item.claim, Acked::Unknown)?;
                self.failed("ack", &error.to_string())
            }
        }
    }

    fn extended(&mut self, item: &Outstanding, result: Result<Receipt, AckError>) -> Checked {
        let group = item.group as u64;
        match result {
            Ok(receipt) => {
                let deadline_ms = receipt.delivered_ms.saturating_add(receipt.invisible_ms);
                let nonce = receipt.nonce.get();
                self.history.extended(group, item.claim, nonce, deadline_ms)?;
                let claim = Claim { id: item.claim.id, nonce };
                let (group, client) = (item.group, item.client);
                self.receipts.push(Outstanding { group, client, claim, receipt });
                Ok(())
            }
            Err(AckError::Stale | AckError::OffsetOutOfRange { .. } | AckError::TopicNotFound(_)) => {
                self.refused(item)
            }
            Err(error) => {
                self.history.uncertain(group, item.claim.id);
                self.failed("extend", &error.to_string())
            }
        }
    }

    fn dead_lettered(&mut self, item: &Outstanding, result: Result<(), SettleError>) -> Checked {
        let group = item.group as u64;
        match result {
            Ok(()) => {
                self.history.acked(group, item.claim, Acked::Ok)?;
                self.history.flushed();
                Ok(())
            }
            Err(SettleError::Stale | SettleError::MessageNotFound) => self.refused(item),
            Err(SettleError::Illegal(_)) if !self.has_struck() => self.refused(item),
            Err(error) => {
                self.history.acked(group, item.claim, Acked::Unknown)?;
                self.failed("dead letter", &error.to_string())
            }
        }
    }

    /// A receipt was refused. If another call that settles the same claim is under way, it may
    /// have been first.
    fn refused(&mut self, item: &Outstanding) -> Checked {
        let is_same = |other: &Outstanding| other.group == item.group && other.claim.id == item.claim.id;
        let is_contested = self.calls.iter().any(|call| match &call.ask {
            Ask::Ack { items } => items.iter().any(is_same),
            Ask::Extend { item } | Ask::DeadLetter { item } => is_same(item),
            _ => false,
        });
        if is_contested { Ok(()) } else { self.history.acked(item.group as u64, item.claim, Acked::Stale) }
    }

    /// A fault has struck since the broker was opened.
    pub(super) fn has_struck(&mut self) -> bool {
        self.notice_faults();
        self.struck_since_open > 0
    }

    fn check_progress(&mut self, answer: OffsetAnswer) -> Checked {
        let Pulled { acknowledged, possible } = &self.pulled;
        let found = match answer {
            OffsetAnswer::Offset(offset) => offset.get(),
            _ => 0,
        };
        must(found == *acknowledged || possible.contains(&found), 3, || {
            format!("the puller's progress is {found}, it was told {acknowledged}, perhaps {possible:?}")
        })
    }

    fn fetched(&mut self, fetched: &Fetched) -> Checked {
        for message in &fetched.messages {
            let id = id_of(message);
            must(id.is_some(), 1, || format!("offset {} holds a body that nobody sent", message.offset()))?;
        }
        Ok(())
    }

    /// An error must have a cause: something struck since the broker was opened.
    pub(super) fn failed(&mut self, what: &str, error: &str) -> Checked {
        self.doors.trace.event("failed", &[], || format!("{what}: {error}"));
        self.shaken = true;
        must(self.has_struck(), 0, || format!("{what} failed without a cause: {error}"))
    }
}
