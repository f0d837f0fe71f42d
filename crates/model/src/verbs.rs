//! The verbs: the one inner language. Protocols translate wire to verbs and back.
//!
//! A verb is answered after commit, but for `receive` and `extend`, which are answered once
//! they stand in the leader's log (the effect of losing them is an earlier redelivery).

mod kinds;

use std::net::SocketAddr;
use std::pin::Pin;

use async_trait::async_trait;
use thiserror::Error;

use crate::filter::Filter;
use crate::ids::{Lsn, Offset, QueueId};
use crate::lite::{LiteError, LiteSync};
use crate::message::{Delivery, NewMessage, StoredMessage};
use crate::names::{GroupName, TopicName};
use crate::receipt::Receipt;
use crate::record::offset_id;
use crate::session::{Endpoint, Session};
use crate::topic::TopicConfig;

/// What the engine does with messages.
#[async_trait]
pub trait Messaging: Send + Sync + 'static {
    /// Stores messages; all or none of one call. An engine may begin at once, before the future is polled.
    async fn publish(&self, session: &Session, request: Publish) -> Result<Published, PublishError>;
    /// Hands out messages that no member of the group holds, and hides them for a time.
    async fn receive(&self, session: &Session, request: Receive) -> Result<Received, ReceiveError>;
    /// Reads a queue from an offset that the caller keeps.
    async fn fetch(&self, session: &Session, request: Fetch) -> Result<Fetched, FetchError>;
    /// Ends deliveries for good. One result per receipt, in order; an old receipt is no error of
    /// the call and changes nothing.
    async fn ack(&self, session: &Session, receipts: Vec<Receipt>) -> Vec<Result<(), AckError>>;
    /// Sets anew how long a delivery hides its message, from now. The old receipt is void.
    async fn extend(&self, session: &Session, receipt: Receipt, hide: Hide) -> Result<Receipt, AckError>;
    /// Ends a delivery by a later retry or as a dead letter, or a half message by its outcome.
    async fn settle(&self, session: &Session, request: Settle) -> Result<(), SettleError>;
    /// Cancels a timed message that has not been fired.
    async fn recall(&self, session: &Session, request: Recall) -> Result<String, RecallError>;
    /// Remembers how far a group has come in a queue.
    async fn commit_offset(&self, session: &Session, request: CommitOffset) -> Result<(), OffsetError>;
    /// Sets a group's progress anew, also while its members are connected.
    async fn seek(&self, session: &Session, request: Seek) -> Result<Vec<(QueueId, Offset)>, OffsetError>;
    /// Answers questions about offsets.
    async fn offset(&self, session: &Session, question: OffsetQuestion) -> Result<OffsetAnswer, OffsetError>;
    /// Tells where a topic's queues are.
    async fn route(&self, session: &Session, topic: &TopicName) -> Result<Route, RouteError>;
    /// Finds messages by position or key.
    async fn query(&self, session: &Session, query: MessageQuery) -> Result<Vec<StoredMessage>, QueryError>;
    /// Changes which lite topics a client wants.
    async fn sync_lite(&self, _: &Session, _: LiteSync) -> Result<(), LiteError> {
        Err(LiteError::Unavailable("this engine has no lite topics".to_owned()))
    }
    /// Compiles a filter and forgets it, to tell a client early that it is wrong.
    async fn check_filter(&self, session: &Session, filter: &Filter) -> Result<(), ReceiveError>;
}

// === publish ===

/// Messages for one topic.
#[derive(Debug, Clone)]
pub struct Publish {
    pub topic: TopicName,
    pub queue: QueueChoice,
    pub messages: Vec<NewMessage>,
    pub producer_group: Option<GroupName>,
    /// How to make the topic if it does not exist and the policy allows it.
    pub auto_create: Option<AutoCreate>,
    /// Refuse a message whose kind the topic does not take (5.x yes, 4.x no).
    pub check_kind: bool,
}

/// Which queue a message goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueChoice {
    /// The engine chooses: by sharding key if there is one, else in turn.
    Any,
    Queue(QueueId),
}

/// What a 4.x producer says of a topic that does not exist.
#[derive(Debug, Clone, Copy)]
pub struct AutoCreate {
    pub queues: u32,
}

#[derive(Debug, Clone)]
pub struct Published {
    /// One per message, in order.
    pub entries: Vec<PublishedMessage>,
}

#[derive(Debug, Clone)]
pub struct PublishedMessage {
    pub queue: QueueId,
    pub offset: Offset,
    pub lsn: Lsn,
    pub stored_ms: i64,
    /// The address that its 4.x message id leads back to.
    pub store_host: SocketAddr,
    /// Unique id: the producer's own, else made by the engine.
    pub message_id: String,
    /// Set for half messages.
    pub transaction_id: Option<String>,
    /// Set for timed messages.
    pub recall_handle: Option<String>,
}

impl PublishedMessage {
    /// The 4.x message id (store host and position).
    #[must_use]
    pub fn offset_id(&self) -> String {
        offset_id(self.store_host, self.lsn)
    }
}

/// Messages on their way: what [`Messaging::publish`] returns.
pub type Publishing<'a> = Pin<Box<dyn Future<Output = Result<Published, PublishError>> + Send + 'a>>;

#[derive(Debug, Clone, Error)]
pub enum PublishError {
    #[error("topic {0} does not exist: create it first")]
    TopicNotFound(TopicName),
    #[error("topic {0} belongs to the system and takes no messages")]
    TopicNotSendable(TopicName),
    #[error("topic {0} takes no messages: its permission has no write bit")]
    NotWritable(TopicName),
    #[error("queue {queue} does not exist: topic {topic} has {queues} queues to write to")]
    QueueOutOfRange { topic: TopicName, queue: QueueId, queues: u32 },
    #[error("the body has {bytes} bytes, the most allowed is {max}")]
    BodyTooLarge { bytes: usize, max: usize },
    #[error("the body is empty")]
    BodyEmpty,
    #[error("the properties have {bytes} bytes, the most allowed is {max}")]
    PropertiesTooLarge { bytes: usize, max: usize },
    #[error("a batch has {count} messages, allowed are 1 to {max}")]
    BatchSize { count: usize, max: usize },
    #[error("the message is of kind {got}, topic {topic} takes {expected}")]
    KindMismatch { topic: TopicName, got: &'static str, expected: String },
    #[error("illegal message: {0}")]
    Illegal(String),
    #[error("the delivery time is out of range: {0}")]
    DeliveryTime(String),
    #[error("illegal lite topic: {0}")]
    LiteTopic(String),
    #[error("there are {max} lite topics, more are not allowed")]
    LiteQuota { max: usize },
    #[error("the disk is {used_percent} % full: no new messages until there is room")]
    DiskFull { used_percent: u32 },
    #[error("too many requests: {0}")]
    Throttled(String),
    #[error("{0}")]
    Denied(String),
    #[error("the engine cannot write now: {0}")]
    Unavailable(String),
    #[error("internal error: {0}")]
    Internal(String),
}

// === receive ===

/// A request for messages that nobody of the group holds.
#[derive(Debug, Clone)]
pub struct Receive {
    pub group: GroupName,
    pub topic: TopicName,
    /// `None`: any readable queue of the topic, and the group's retries of it.
    pub queue: Option<QueueId>,
    pub filter: Filter,
    /// 1 to `RECEIVE_MESSAGES_MAX`.
    pub max_messages: u32,
    pub invisible_ms: i64,
    /// How long to wait for a first message; 0 answers at once.
    pub wait_ms: i64,
    /// In an ordered group: the same id gets the same messages again until they are settled.
    pub attempt_id: Option<String>,
    /// Deliver in order whatever the group says (4.x pop with `order`).
    pub ordered: Option<bool>,
    /// Where a group without progress starts in each queue.
    pub start: StartFrom,
    pub client_id: String,
}

/// Where a group without progress starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartFrom {
    First,
    /// The end; but the start, if the queue still holds its very first message.
    Last,
    /// The first message stored at or after this time (Unix milliseconds).
    Time(i64),
}

#[derive(Debug, Clone)]
pub struct Received {
    /// Empty if nothing came within the wait.
    pub deliveries: Vec<Delivery>,
    /// When they were handed out (Unix milliseconds): what receipts count from.
    pub delivered_ms: i64,
    pub invisible_ms: i64,
    /// Messages still waiting behind these, as far as known.
    pub rest: u64,
}

#[derive(Debug, Clone, Error)]
pub enum ReceiveError {
    #[error("topic {0} does not exist")]
    TopicNotFound(TopicName),
    #[error("group {0} does not exist")]
    GroupNotFound(GroupName),
    #[error("group {0} may not consume: it is disabled")]
    GroupDisabled(GroupName),
    #[error("topic {0} may not be read: its permission has no read bit")]
    NotReadable(TopicName),
    #[error("queue {queue} does not exist: topic {topic} has {queues} queues to read from")]
    QueueOutOfRange { topic: TopicName, queue: QueueId, queues: u32 },
    #[error("asked for {asked} messages, allowed are 1 to {max}")]
    BatchSize { asked: u32, max: u32 },
    /// A lite group that receives from something else than the parent that it is bound to.
    #[error("lite group {group} is expected to bind topic {topic}, but actual is {bound}")]
    NotBound { group: GroupName, topic: TopicName, bound: String },
    #[error("the filter does not parse: {0}")]
    Filter(String),
    #[error("too many waiting receivers: at most {max}")]
    TooManyWaiting { max: usize },
    #[error("too many requests: {0}")]
    Throttled(String),
    /// As throttled, and it passes soon.
    #[error("too many requests: {0}")]
    OverQuota(String),
    #[error("{0}")]
    Denied(String),
    #[error("stored data is damaged: {0}")]
    Data(String),
    #[error("the engine cannot answer now: {0}")]
    Unavailable(String),
    #[error("internal error: {0}")]
    Internal(String),
}

// === fetch ===

/// A read of one queue from an offset that the caller keeps.
#[derive(Debug, Clone)]
pub struct Fetch {
    /// For statistics, and for the group's own filters; `None` for tools.
    pub group: Option<GroupName>,
    pub topic: TopicName,
    pub queue: QueueId,
    pub offset: Offset,
    pub max_messages: u32,
    pub max_bytes: usize,
    pub filter: Filter,
    /// How long to wait for a matching message at the end of the queue; 0 answers at once.
    pub wait_ms: i64,
    pub batches: Batches,
}

/// How messages come that are stored as one batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Batches {
    /// As they are stored: the reader takes them apart.
    Whole,
    /// One by one, from the asked offset on.
    Unpacked,
}

#[derive(Debug, Clone)]
pub struct Fetched {
    pub outcome: FetchOutcome,
    pub messages: Vec<StoredMessage>,
    /// Where to read on.
    pub next: Offset,
    pub min: Offset,
    pub max: Offset,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FetchOutcome {
    Found,
    /// There were messages, none matched: read on at `next` at once.
    NoneMatched,
    /// The offset is the end of the queue.
    AtEnd,
    /// The offset lies outside the queue: `next` is the nearest that does not.
    OutOfRange,
}

#[derive(Debug, Clone, Error)]
pub enum FetchError {
    #[error("topic {0} does not exist")]
    TopicNotFound(TopicName),
    #[error("group {0} does not exist")]
    GroupNotFound(GroupName),
    #[error("group {0} may not consume: it is disabled")]
    GroupDisabled(GroupName),
    #[error("topic {0} may not be read: its permission has no read bit")]
    NotReadable(TopicName),
    #[error("queue {queue} does not exist: topic {topic} has {queues} queues to read from")]
    QueueOutOfRange { topic: TopicName, queue: QueueId, queues: u32 },
    #[error("the filter does not parse: {0}")]
    Filter(String),
    #[error("too many waiting readers: at most {max}")]
    TooManyWaiting { max: usize },
    #[error("too many requests: {0}")]
    Throttled(String),
    /// As throttled, and it passes soon.
    #[error("too many requests: {0}")]
    OverQuota(String),
    #[error("{0}")]
    Denied(String),
    #[error("stored data is damaged: {0}")]
    Data(String),
    #[error("the engine cannot answer now: {0}")]
    Unavailable(String),
}

// === ack, extend, settle, recall ===

/// For how long a delivery hides its message from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hide {
    pub for_ms: i64,
    pub why: HideWhy,
}

/// Why the time changes. Only told to those who look at the message later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HideWhy {
    /// Whoever has it asks for more time, or for less; it is not known why.
    Asked,
    /// Its consumer failed and wants it again after that time.
    Failed,
}

impl Hide {
    #[must_use]
    pub const fn asked(for_ms: i64) -> Self {
        Self { for_ms, why: HideWhy::Asked }
    }

    #[must_use]
    pub const fn failed(for_ms: i64) -> Self {
        Self { for_ms, why: HideWhy::Failed }
    }
}

#[derive(Debug, Clone, Error)]
pub enum AckError {
    /// Settled already, or handed out again since.
    #[error("the receipt is no longer valid: the message was settled or handed out again")]
    Stale,
    #[error("topic {0} does not exist")]
    TopicNotFound(TopicName),
    #[error("group {0} does not exist")]
    GroupNotFound(GroupName),
    #[error("offset {offset} is outside the queue, which holds {min} to {max}")]
    OffsetOutOfRange { offset: Offset, min: Offset, max: Offset },
    #[error("the invisible time is {asked} ms, allowed are {min} to {max}")]
    InvisibleTime { asked: i64, min: i64, max: i64 },
    #[error("{0}")]
    Denied(String),
    #[error("the engine cannot write now: {0}")]
    Unavailable(String),
    #[error("internal error: {0}")]
    Internal(String),
}

/// How something pending ends.
#[derive(Debug, Clone)]
pub enum Settle {
    /// 4.x `CONSUMER_SEND_MSG_BACK`: the message at `lsn` comes back to the group later.
    SendBack(SendBack),
    /// A received message goes to the group's dead letters, and its delivery ends.
    DeadLetter { receipt: Receipt, max_attempts: Option<u32> },
    /// The outcome of a transaction.
    Transaction(TransactionEnd),
}

#[derive(Debug, Clone)]
pub struct SendBack {
    pub group: GroupName,
    /// Position of the message as the consumer saw it (in its retry queue, if it was retried).
    pub lsn: Lsn,
    pub delay: SendBackDelay,
    /// The consumer's own limit, which overrides the group's.
    pub max_retries: Option<u32>,
    pub origin_message_id: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendBackDelay {
    /// By the 4.x schedule: level 3 + retries so far.
    Schedule,
    /// One of the 18 levels, from 1.
    Level(u32),
    /// At once to the dead letters.
    DeadLetter,
}

#[derive(Debug, Clone)]
pub struct TransactionEnd {
    pub topic: Option<TopicName>,
    pub producer_group: Option<GroupName>,
    pub outcome: TransactionOutcome,
    /// Position of the half message.
    pub lsn: Lsn,
    pub offset: Option<Offset>,
    pub message_id: Option<String>,
    pub transaction_id: Option<String>,
    /// The answer to a check, not the producer's own word.
    pub from_check: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionOutcome {
    Commit,
    Rollback,
    Unknown,
}

#[derive(Debug, Clone, Error)]
pub enum SettleError {
    #[error("the receipt is no longer valid: the message was settled or handed out again")]
    Stale,
    #[error("the message is not there (any more)")]
    MessageNotFound,
    #[error("group {0} does not exist")]
    GroupNotFound(GroupName),
    #[error("illegal: {0}")]
    Illegal(String),
    /// A producer's own word on a transaction after the time that it asked not to be checked in.
    #[error(
        "the outcome comes {passed_ms} ms after the half message, later than the {max_ms} ms asked for: wait to be asked"
    )]
    TooLate { passed_ms: i64, max_ms: i64 },
    #[error("{0}")]
    Denied(String),
    #[error("the engine cannot write now: {0}")]
    Unavailable(String),
    #[error("internal error: {0}")]
    Internal(String),
}

#[derive(Debug, Clone)]
pub struct Recall {
    pub topic: TopicName,
    pub handle: String,
    pub producer_group: Option<GroupName>,
}

#[derive(Debug, Clone, Error)]
pub enum RecallError {
    #[error("the recall handle is malformed")]
    Handle,
    #[error("topic {0} does not exist")]
    TopicNotFound(TopicName),
    #[error("the message has been delivered already, or is about to be")]
    TooLate,
    #[error("recall is switched off")]
    Disabled,
    #[error("{0}")]
    Denied(String),
    #[error("the engine cannot write now: {0}")]
    Unavailable(String),
}

// === offsets ===

#[derive(Debug, Clone)]
pub struct CommitOffset {
    pub group: GroupName,
    pub topic: TopicName,
    pub queue: QueueId,
    pub offset: Offset,
}

/// Sets the progress of a group.
#[derive(Debug, Clone)]
pub struct Seek {
    pub group: GroupName,
    pub topic: TopicName,
    /// `None`: all queues.
    pub queue: Option<QueueId>,
    pub to: SeekTo,
    /// For a seek by time: also where that moves the group forward.
    pub force: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeekTo {
    Offset(Offset),
    /// The first message stored at or after this time.
    Time(i64),
    First,
    Last,
}

#[derive(Debug, Clone)]
pub enum OffsetQuestion {
    /// How far the group has come.
    Committed {
        group: GroupName,
        topic: TopicName,
        queue: QueueId,
    },
    Min {
        topic: TopicName,
        queue: QueueId,
    },
    Max {
        topic: TopicName,
        queue: QueueId,
    },
    ByTime {
        topic: TopicName,
        queue: QueueId,
        time_ms: i64,
        boundary: Boundary,
    },
    /// Store time of the oldest message (Unix milliseconds).
    EarliestTime {
        topic: TopicName,
        queue: QueueId,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Boundary {
    /// The first message at or after the time.
    Lower,
    /// The last message at or before the time.
    Upper,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OffsetAnswer {
    Offset(Offset),
    TimeMs(i64),
    /// A group without progress, or an empty queue. `start_at_zero`: the queue still holds its
    /// very first message, so a new group of a 4.x client starts there.
    None {
        start_at_zero: bool,
    },
}

#[derive(Debug, Clone, Error)]
pub enum OffsetError {
    #[error("topic {0} does not exist")]
    TopicNotFound(TopicName),
    #[error("group {0} does not exist")]
    GroupNotFound(GroupName),
    #[error("queue {queue} does not exist: topic {topic} has {queues} queues")]
    QueueOutOfRange { topic: TopicName, queue: QueueId, queues: u32 },
    #[error("offset {offset} is outside {min} to {max}")]
    OffsetOutOfRange { offset: Offset, min: Offset, max: Offset },
    #[error("{0}")]
    Denied(String),
    #[error("stored data is damaged: {0}")]
    Data(String),
    #[error("the engine cannot answer now: {0}")]
    Unavailable(String),
}

// === route, query ===

/// Where a topic's queues are.
#[derive(Debug, Clone)]
pub struct Route {
    pub config: TopicConfig,
    /// One per replica group ("broker name").
    pub shares: Vec<RouteShare>,
    /// `ORDER_TOPIC_CONFIG` of the topic, if set.
    pub order_config: Option<String>,
}

/// The part of a topic that one replica group holds.
#[derive(Debug, Clone)]
pub struct RouteShare {
    pub cluster: String,
    pub broker_name: String,
    /// Broker id (0 leads) and address, as told to this session.
    pub replicas: Vec<(u64, Endpoint)>,
    pub read_queues: u32,
    pub write_queues: u32,
}

#[derive(Debug, Clone, Error)]
pub enum RouteError {
    #[error("No topic route info in name server for the topic: {0}")]
    TopicNotFound(TopicName),
    #[error("{0}")]
    Denied(String),
    #[error("the engine cannot answer now: {0}")]
    Unavailable(String),
}

#[derive(Debug, Clone)]
pub enum MessageQuery {
    Position(Lsn),
    Offset { topic: TopicName, queue: QueueId, offset: Offset },
    Key { topic: TopicName, key: String, kind: KeyKind, begin_ms: i64, end_ms: i64, max: usize },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// One of the message's keys, or its unique id.
    Key,
    UniqueId,
    Tag,
}

#[derive(Debug, Clone, Error)]
pub enum QueryError {
    #[error("no message found")]
    NotFound,
    #[error("topic {0} does not exist")]
    TopicNotFound(TopicName),
    #[error("illegal query: {0}")]
    Illegal(String),
    #[error("{0}")]
    Denied(String),
    #[error("stored data is damaged: {0}")]
    Data(String),
    #[error("the engine cannot answer now: {0}")]
    Unavailable(String),
}
