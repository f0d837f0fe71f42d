//! `publish`: which topic, which queue, is it legal; encode on the caller's thread; append.

use std::future::ready;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use model::batch::is_batch;
use model::filter::tag_hash;
use model::limits::{BODY_BYTES_MAX, PROPERTIES_BYTES_MAX, PUBLISH_MESSAGES_MAX};
use model::properties::Pairs;
use model::record::{Placement, encode, encoded_len, offset_id};
use model::verbs::{AutoCreate, Publish, PublishError, Published, PublishedMessage, Publishing, QueueChoice};
use model::{
    Lsn, MessageKind, NewMessage, Offset, QueueId, Session, StreamId, TopicConfig, TopicName, properties,
};
use replica::Proposed;
use smallvec::{SmallVec, smallvec};

use crate::batches::{Inside, count_told, look_into, singles};
use crate::broker::Broker;
use crate::dedup::identity;
use crate::error::Failed;
use crate::limits::KEYS_PER_MESSAGE_MAX;
use crate::machine::BrokerMachine;
use crate::machine::command::{Command, DueMessage, Outcome, PlacedMessage, PublishOnce, PutMode, Refusal};
use crate::machine::lite::LitePublish;
use crate::machine::records::{EncodedBatch, EncodedMessage, KeyHashes};
use crate::machine::state::Topic;
use crate::streams::{FNV1A_OF_NOTHING, fnv1a_on};
use crate::timing::{Timing, strip_level};
use crate::transactions;

/// Unique ids that producers gave.
pub(crate) type Ids = SmallVec<[Option<String>; 1]>;

/// A call that is checked and encoded.
enum Prepared {
    /// One command does it: it is handed in.
    HandedIn(Proposed<BrokerMachine>, Told),
    Apart(Box<Apart>),
}

/// What an answer says besides where the messages stand.
struct Told {
    queue: QueueId,
    store_host: SocketAddr,
    ids: Ids,
    what: What,
}

enum What {
    Messages(Timing),
    Half,
}

enum Apart {
    Cancellation { id: String, queue: QueueId, store_host: SocketAddr },
    Once { once: PublishOnce, bytes: usize, store_host: SocketAddr, ids: Ids },
}

impl Broker {
    /// Publishes. What need not be waited for is done before this returns, while the request is at hand: checked,
    /// encoded, and handed in. What waits is small, for there are many.
    pub(crate) fn do_publish<'a>(&'a self, session: &'a Session, request: Publish) -> Publishing<'a> {
        if let Err(error) = may_be_published(&request) {
            return Box::pin(ready(Err(error)));
        }
        let Some(topic) = self.state.topic(&request.topic) else {
            return Box::pin(async move {
                let topic = self.topic_to_make(&request.topic, request.auto_create).await?;
                self.publish_to(topic, session, request).await
            });
        };
        self.publish_to(topic, session, request)
    }

    fn publish_to<'a>(&'a self, topic: Arc<Topic>, session: &Session, request: Publish) -> Publishing<'a> {
        let count = request.messages.len();
        let bytes = request.messages.iter().map(|message| message.body.len()).sum();
        match self.prepare(session, request, &topic) {
            Ok(Prepared::HandedIn(waiting, told)) => Box::pin(async move {
                let outcome = waiting.await.map_err(Failed::from)?;
                let published = self.answer(&topic.config.name, told, outcome)?;
                self.count_sent(&topic, count, bytes);
                Ok(published)
            }),
            Ok(Prepared::Apart(apart)) => Box::pin(async move {
                let published = self.publish_apart(*apart, &topic).await?;
                self.count_sent(&topic, count, bytes);
                Ok(published)
            }),
            Err(error) => Box::pin(ready(Err(error))),
        }
    }

    fn count_sent(&self, topic: &Topic, count: usize, bytes: usize) {
        topic.sent.add(count, bytes);
        self.sizes.add(count, bytes);
    }

    /// All that need not be waited for.
    fn prepare(&self, session: &Session, request: Publish, topic: &Topic) -> Result<Prepared, PublishError> {
        let keeps = topic.config.keeps_batches();
        let mut request = Publish { messages: singles(request.messages, keeps)?, ..request };
        let told = taken_apart(&request.messages);
        for (message, told) in request.messages.iter().zip(&told) {
            check(message, told, topic, request.check_kind)?;
        }
        let queue = choose_queue(topic, request.queue, told.first())?;
        let store_host = self.store_host(session);
        if request.messages.iter().zip(&told).any(|(message, told)| transactions::is_half(message, told)) {
            drop(told);
            let (command, bytes, id) = self.half_to_publish(request, topic, queue, store_host)?;
            let told = Told { queue, store_host, ids: smallvec![id], what: What::Half };
            return Ok(Prepared::HandedIn(self.hand_in(command, bytes)?, told));
        }
        if let [batch] = request.messages.as_slice()
            && is_batch(batch.system_flags)
        {
            let id = told.first().and_then(|told| told.get(properties::UNIQUE_ID)).map(str::to_owned);
            let (command, bytes) = batch_to_publish(batch.clone(), topic, queue, store_host)?;
            let told = Told { queue, store_host, ids: smallvec![id], what: What::Messages(Timing::Now) };
            return Ok(Prepared::HandedIn(self.hand_in(command, bytes)?, told));
        }
        let timing = self.timing(&told)?;
        if let Timing::Cancels(id) = timing {
            return Ok(Prepared::Apart(Box::new(Apart::Cancellation { id, queue, store_host })));
        }
        let ids: Ids = told.iter().map(|told| told.get(properties::UNIQUE_ID).map(str::to_owned)).collect();
        let found_by: SmallVec<[FoundBy; 1]> = {
            let space = KeySpace::of(&topic.config.name);
            told.iter().map(|told| space.found_by(told)).collect()
        };
        drop(told);
        if matches!(timing, Timing::At(_) | Timing::Each(_)) {
            request.messages.iter_mut().for_each(|message| strip_level(&mut message.properties));
        }
        let encoded: SmallVec<[EncodedMessage; 1]> = request
            .messages
            .iter()
            .zip(found_by)
            .map(|(message, FoundBy { tag, keys })| {
                let bytes = encode_bytes(message, &topic.config.name, queue, store_host);
                EncodedMessage { bytes, tag, keys }
            })
            .collect();
        let bytes = encoded.iter().map(|message| message.bytes.len()).sum();
        let stream = topic.stream(queue);
        let lite = self.lite_topics_of(topic, &request.messages)?;
        let window = topic.config.dedup().filter(|_| timing == Timing::Now && lite.is_empty());
        if let Some((window_ms, by)) = window {
            let identities = request.messages.iter().map(|message| identity(message, by));
            let identities = identities.collect::<Result<Vec<_>, _>>()?;
            let messages = encoded.into_iter().zip(identities).collect();
            let once = PublishOnce { topic_id: topic.id, window_ms, stream, messages };
            return Ok(Prepared::Apart(Box::new(Apart::Once { once, bytes, store_host, ids })));
        }
        let command = if lite.is_empty() || timing != Timing::Now {
            command(stream, encoded, &timing)
        } else {
            let messages = lite.into_iter().zip(encoded).collect();
            let max = self.live().lite_topics_max;
            Command::PublishLite(LitePublish { parent_id: topic.id, stream, messages, max })
        };
        let told = Told { queue, store_host, ids, what: What::Messages(timing) };
        Ok(Prepared::HandedIn(self.hand_in(command, bytes)?, told))
    }

    fn answer(&self, topic: &TopicName, told: Told, outcome: Outcome) -> Result<Published, PublishError> {
        let placed = match outcome {
            Outcome::Published(placed) => placed,
            Outcome::Refused(refusal) => return Err(self.refused(refusal)),
            other => return Err(Failed::unexpected(&other).into()),
        };
        let Told { queue, store_host, ids, what } = told;
        let entry = |(place, (placed, id)): (usize, (&PlacedMessage, Option<String>))| match &what {
            What::Messages(timing) => {
                let recall_handle = self.recall_handle(topic, timing.handle_ms(place), id.as_deref());
                PublishedMessage { recall_handle, ..published(queue, store_host, *placed, id) }
            }
            What::Half => {
                let half = published(queue, store_host, *placed, id);
                PublishedMessage { transaction_id: Some(half.message_id.clone()), ..half }
            }
        };
        let mut entries = Vec::with_capacity(placed.len());
        entries.extend(placed.iter().zip(ids).enumerate().map(entry));
        Ok(Published { entries })
    }

    fn refused(&self, refusal: Refusal) -> PublishError {
        match refusal {
            Refusal::DiskFull { used_percent } => PublishError::DiskFull { used_percent },
            Refusal::TooManyDueMinutes { max } => PublishError::Throttled(format!(
                "timed messages wait in {max} different minutes, the most allowed"
            )),
            Refusal::TooManyUndecided { max } => {
                PublishError::Throttled(format!("{max} transactions are undecided already, the most allowed"))
            }
            Refusal::LiteQuota { max } => {
                self.lite_metrics.topics_refused.inc();
                PublishError::LiteQuota { max: usize::try_from(max).unwrap_or(usize::MAX) }
            }
            other => Failed::unexpected(&Outcome::Refused(other)).into(),
        }
    }

    /// What is more than one command and its answer.
    async fn publish_apart(&self, apart: Apart, topic: &Topic) -> Result<Published, PublishError> {
        match apart {
            Apart::Cancellation { id, queue, store_host } => {
                self.publish_cancellation(&topic.config.name, &id, queue, store_host).await
            }
            Apart::Once { once, bytes, store_host, ids } => {
                self.publish_once(once, bytes, store_host, ids).await
            }
        }
    }

    async fn publish_once(
        &self,
        once: PublishOnce,
        bytes: usize,
        store_host: SocketAddr,
        ids: Ids,
    ) -> Result<Published, PublishError> {
        match self.propose(Command::PublishOnce(once), bytes).await? {
            Outcome::PublishedOnce(placed) => {
                Ok(Published { entries: self.answers_once(store_host, &placed, ids).await })
            }
            Outcome::Refused(Refusal::DiskFull { used_percent }) => {
                Err(PublishError::DiskFull { used_percent })
            }
            other => Err(Failed::unexpected(&other).into()),
        }
    }

    async fn topic_to_make(
        &self,
        name: &TopicName,
        auto: Option<AutoCreate>,
    ) -> Result<Arc<Topic>, PublishError> {
        // Retry topics are made by their groups, but a client may send to one before that.
        let queues = match auto {
            _ if name.is_retry() || name.is_dead_letters() => 1,
            Some(auto) if self.live().auto_create_topics => {
                auto.queues.clamp(1, self.live().auto_create_queues_max)
            }
            _ => return Err(PublishError::TopicNotFound(name.clone())),
        };
        let config = TopicConfig::new(name.clone(), queues);
        match self.propose(Command::TopicPut { config, mode: PutMode::Ensure }, 0).await? {
            Outcome::Topic(topic) => Ok(topic),
            other => Err(Failed::unexpected(&other).into()),
        }
    }

    /// The address that message ids of the 4.x protocol lead back to.
    pub(crate) fn store_host(&self, session: &Session) -> SocketAddr {
        match session.advertised.host.parse() {
            Ok(ip) => SocketAddr::new(ip, session.advertised.port),
            Err(_) => self.config.store_host,
        }
    }
}

fn may_be_published(request: &Publish) -> Result<(), PublishError> {
    let count = request.messages.len();
    if count == 0 || count > PUBLISH_MESSAGES_MAX {
        return Err(PublishError::BatchSize { count, max: PUBLISH_MESSAGES_MAX });
    }
    if !request.topic.is_sendable() {
        return Err(PublishError::TopicNotSendable(request.topic.clone()));
    }
    Ok(())
}

/// A batch that its topic keeps as it came: one record, one entry, one answer.
fn batch_to_publish(
    batch: NewMessage,
    topic: &Topic,
    queue: QueueId,
    store_host: SocketAddr,
) -> Result<(Command, usize), PublishError> {
    let name = &topic.config.name;
    let Inside { count, tags, keys } = look_into(&batch, name)?;
    let message = encode_message(&count_told(batch, count), name, queue, store_host);
    let bytes = message.bytes.len();
    let batch = EncodedBatch { message: EncodedMessage { keys, ..message }, count, tags };
    Ok((Command::PublishBatch { stream: topic.stream(queue), batch }, bytes))
}

pub(crate) fn published(
    queue: QueueId,
    store_host: SocketAddr,
    placed: PlacedMessage,
    id: Option<String>,
) -> PublishedMessage {
    let PlacedMessage { offset, lsn, stored_ms } = placed;
    let message_id = id.unwrap_or_else(|| offset_id(store_host, lsn));
    PublishedMessage {
        queue,
        offset,
        lsn,
        stored_ms,
        store_host,
        message_id,
        transaction_id: None,
        recall_handle: None,
    }
}

/// The properties of each message, taken apart once.
fn taken_apart(messages: &[NewMessage]) -> SmallVec<[Pairs<'_>; 1]> {
    messages.iter().map(|message| message.properties.pairs()).collect()
}

fn check(
    message: &NewMessage,
    told: &Pairs<'_>,
    topic: &Topic,
    check_kind: bool,
) -> Result<(), PublishError> {
    let name = &topic.config.name;
    if !topic.config.permission.writable() {
        return Err(PublishError::NotWritable(name.clone()));
    }
    if message.body.len() > BODY_BYTES_MAX {
        return Err(PublishError::BodyTooLarge { bytes: message.body.len(), max: BODY_BYTES_MAX });
    }
    let properties = message.properties.as_encoded().len();
    if properties > PROPERTIES_BYTES_MAX {
        return Err(PublishError::PropertiesTooLarge { bytes: properties, max: PROPERTIES_BYTES_MAX });
    }
    let exempt = name.is_retry() || name.is_dead_letters() || told.has(properties::TRANSFER_FLAG);
    if check_kind && !exempt {
        let kind = MessageKind::told_by(told);
        let accepted = topic.config.accepts();
        if !accepted.contains(&kind) {
            let expected: Vec<_> = accepted.iter().map(|kind| kind.name()).collect();
            return Err(PublishError::KindMismatch {
                topic: name.clone(),
                got: kind.name(),
                expected: expected.join(", "),
            });
        }
    }
    Ok(())
}

fn choose_queue(
    topic: &Topic,
    choice: QueueChoice,
    first: Option<&Pairs<'_>>,
) -> Result<QueueId, PublishError> {
    let queues = topic.config.write_queues.max(1);
    match choice {
        QueueChoice::Queue(queue) if queue.get() < queues => Ok(queue),
        QueueChoice::Queue(queue) => {
            Err(PublishError::QueueOutOfRange { topic: topic.config.name.clone(), queue, queues })
        }
        QueueChoice::Any => {
            let property = |name| first.and_then(|told: &Pairs<'_>| told.get(name));
            if let Some(queue) = priority_queue(topic, first) {
                return Ok(queue);
            }
            let key = property(properties::SHARDING_KEY).or_else(|| property(properties::LITE_TOPIC));
            let number = match key {
                // Not `tag_hash`'s remainder: Java's hash of short keys is small and uneven.
                Some(key) => crc32(key.as_bytes()),
                None => topic.turn.fetch_add(1, Ordering::Relaxed),
            };
            Ok(QueueId(number % queues))
        }
    }
}

/// Where a message goes by its priority: only in a topic of that kind.
fn priority_queue(topic: &Topic, told: Option<&Pairs<'_>>) -> Option<QueueId> {
    let told = told.filter(|_| topic.config.is_by_priority())?;
    if MessageKind::told_by(told) != MessageKind::Priority {
        return None;
    }
    let priority: u32 = told.get(properties::PRIORITY)?.trim().parse().ok()?;
    Some(QueueId(priority.min(topic.config.write_queues.max(1) - 1)))
}

fn crc32(bytes: &[u8]) -> u32 {
    model::record::body_crc(bytes)
}

fn command(stream: StreamId, encoded: SmallVec<[EncodedMessage; 1]>, timing: &Timing) -> Command {
    let one = |encoded: SmallVec<[EncodedMessage; 1]>| {
        encoded.into_iter().next().expect("this timing is that of one message")
    };
    match *timing {
        Timing::At(due_ms) => Command::publish_due(stream, one(encoded), due_ms),
        Timing::Each(ref times) => {
            let due = |(message, due_ms): (_, &Option<i64>)| DueMessage {
                message,
                due_ms: due_ms.unwrap_or(i64::MIN),
            };
            Command::PublishDue { stream, messages: encoded.into_iter().zip(times).map(due).collect() }
        }
        Timing::Recurs { first_ms, .. } => {
            Command::PublishRecurring { stream, message: one(encoded), due_ms: first_ms }
        }
        Timing::Now | Timing::Cancels(_) => Command::Publish { stream, messages: encoded },
    }
}

/// Encodes a message as it will stand in the log but for its stamp, on the caller's thread.
pub(crate) fn encode_message(
    message: &NewMessage,
    topic: &TopicName,
    queue: QueueId,
    store_host: SocketAddr,
) -> EncodedMessage {
    let FoundBy { tag, keys } = KeySpace::of(topic).found_by(&message.properties.pairs());
    EncodedMessage { bytes: encode_bytes(message, topic, queue, store_host), tag, keys }
}

fn encode_bytes(message: &NewMessage, topic: &TopicName, queue: QueueId, store_host: SocketAddr) -> Vec<u8> {
    let place = Placement {
        topic: topic.as_str(),
        queue,
        offset: Offset(0),
        lsn: Lsn::ZERO,
        stored_ms: 0,
        store_host,
        prepared: Lsn::ZERO,
    };
    let mut bytes = Vec::with_capacity(encoded_len(message, topic.as_str(), store_host));
    encode(&mut bytes, message, &place);
    bytes
}

/// What the index knows of a message.
pub(crate) struct FoundBy {
    /// Hash of its tag, 0 if it has none.
    pub(crate) tag: u32,
    pub(crate) keys: KeyHashes,
}

/// The keys of one topic: each is hashed with the topic's name before it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeySpace {
    /// Hash of `topic#`.
    hash: u64,
}

impl KeySpace {
    pub(crate) fn of(topic: &TopicName) -> Self {
        Self { hash: fnv1a_on(fnv1a_on(FNV1A_OF_NOTHING, topic.as_str().as_bytes()), b"#") }
    }

    /// Hash of `topic#key`.
    pub(crate) fn key(self, key: &str) -> u64 {
        fnv1a_on(self.hash, key.as_bytes())
    }

    /// Hash of `topic#T#tag`: no key has a `T#` of its own in front.
    pub(crate) fn tag(self, tag: &str) -> u64 {
        fnv1a_on(fnv1a_on(self.hash, b"T#"), tag.as_bytes())
    }

    /// What a message is found by: its unique id, each of its keys, and its tag.
    pub(crate) fn found_by(self, told: &Pairs<'_>) -> FoundBy {
        let unique = told.get(properties::UNIQUE_ID).into_iter();
        let keys = told.get(properties::KEYS).unwrap_or_default().split(' ').filter(|key| !key.is_empty());
        let tag = told.get(properties::TAGS);
        let all = unique.chain(keys).take(KEYS_PER_MESSAGE_MAX).map(|key| self.key(key));
        let keys = all.chain(tag.map(|tag| self.tag(tag))).collect();
        FoundBy { tag: tag.map_or(0, |tag| tag_hash(tag).cast_unsigned()), keys }
    }
}
