//! Who is there: members of groups, what they subscribe to, which queues they hold.
//! All of it is soft: it is rebuilt from the clients' heartbeats.

use async_trait::async_trait;
use thiserror::Error;

use crate::error::{Kind, Kinded};
use crate::filter::Filter;
use crate::ids::{QueueId, SessionId};
use crate::names::{GroupName, TopicName};
use crate::session::Session;

/// What the engine knows of live clients.
#[async_trait]
pub trait Membership: Send + Sync + 'static {
    /// Registers a client with all it does, or keeps it alive. Groups (and their retry topics)
    /// that do not exist are made if the policy allows.
    async fn heartbeat(&self, session: &Session, beat: Heartbeat) -> Result<HeartbeatAnswer, MemberError>;
    /// Takes a client out of a group, or of everything.
    async fn leave(&self, session: &Session, client_id: &str, scope: LeaveScope);
    /// A session's connection is gone: its clients leave everything.
    fn disconnected(&self, session: SessionId);
    /// Members of a consumer group.
    async fn members(&self, session: &Session, group: &GroupName) -> Result<Vec<Member>, MemberError>;
    /// Producers of a group.
    async fn producers(&self, session: &Session, group: &GroupName) -> Result<Vec<Member>, MemberError>;
    /// Takes leases on queues for ordered consumption; answers those that the client now holds.
    async fn lock(&self, session: &Session, request: LockQueues) -> Result<Vec<TopicQueue>, MemberError>;
    async fn unlock(&self, session: &Session, request: LockQueues);
    /// Which queues a client should read, balanced by the server.
    async fn assign(&self, session: &Session, request: Assign) -> Result<Assignment, MemberError>;
    /// How clients of the group read the topic when the server balances.
    async fn set_request_mode(&self, session: &Session, request: SetRequestMode) -> Result<(), MemberError>;
}

/// A sign of life, with all that a client does.
#[derive(Debug, Clone)]
pub struct Heartbeat {
    pub client_id: String,
    /// For tools: `JAVA`, `GO`, ... and the client's version number.
    pub language: String,
    pub version: i32,
    pub producers: Vec<GroupName>,
    pub consumers: Vec<ConsumerBeat>,
    /// `false`: the subscriptions are those of the last beat and are left out.
    pub with_subscriptions: bool,
}

#[derive(Debug, Clone)]
pub struct ConsumerBeat {
    pub group: GroupName,
    pub how: ConsumeHow,
    pub model: ConsumeModel,
    pub start: BeatStart,
    pub subscriptions: Vec<Subscription>,
}

/// How messages reach the consumer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConsumeHow {
    /// `CONSUME_ACTIVELY`: the application pulls.
    Pull,
    /// `CONSUME_PASSIVELY`: the client pulls on the application's behalf.
    Push,
    /// `CONSUME_POP`.
    Pop,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConsumeModel {
    Clustering,
    Broadcasting,
}

/// `consumeFromWhere` of a 4.x client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BeatStart {
    Last,
    First,
    Time,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    pub topic: TopicName,
    pub filter: Filter,
    pub version: i64,
}

#[derive(Debug, Clone, Default)]
pub struct HeartbeatAnswer {
    /// A subscription of a group differs from the last beat.
    pub subscriptions_changed: bool,
}

#[derive(Debug, Clone)]
pub enum LeaveScope {
    Everything,
    Groups { producer: Option<GroupName>, consumer: Option<GroupName> },
}

#[derive(Debug, Clone)]
pub struct Member {
    pub client_id: String,
    pub session: Session,
    pub language: String,
    pub version: i32,
    pub since_ms: i64,
    pub last_seen_ms: i64,
    /// `None` for producers.
    pub consumer: Option<ConsumerBeat>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TopicQueue {
    pub topic: TopicName,
    pub queue: QueueId,
    pub broker_name: String,
}

#[derive(Debug, Clone)]
pub struct LockQueues {
    pub group: GroupName,
    pub client_id: String,
    pub queues: Vec<TopicQueue>,
}

#[derive(Debug, Clone)]
pub struct Assign {
    pub group: GroupName,
    pub topic: TopicName,
    pub client_id: String,
    /// `AVG`, `AVG_BY_CIRCLE`, ...
    pub strategy: String,
    pub model: ConsumeModel,
}

#[derive(Debug, Clone)]
pub struct Assignment {
    pub mode: RequestMode,
    /// In pop mode with shared queues: one entry per broker with queue `None`.
    pub queues: Vec<(String, Option<QueueId>)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestMode {
    Pull,
    Pop,
}

#[derive(Debug, Clone)]
pub struct SetRequestMode {
    pub group: GroupName,
    pub topic: TopicName,
    pub mode: RequestMode,
    pub pop_share_queues: i32,
}

#[derive(Debug, Clone, Error)]
pub enum MemberError {
    #[error("group {0} does not exist")]
    GroupNotFound(GroupName),
    #[error("topic {0} does not exist")]
    TopicNotFound(TopicName),
    #[error("the filter of topic {topic} does not parse: {reason}")]
    Filter { topic: TopicName, reason: String },
    #[error("too many members: at most {max}")]
    TooMany { max: usize },
    #[error("{0}")]
    Denied(String),
    #[error("the engine cannot answer now: {0}")]
    Unavailable(String),
}

impl Kinded for MemberError {
    fn kind(&self) -> Kind {
        match self {
            Self::GroupNotFound(_) | Self::TopicNotFound(_) => Kind::NotFound,
            Self::Filter { .. } => Kind::Invalid,
            Self::TooMany { .. } => Kind::Throttled,
            Self::Denied(_) => Kind::Denied,
            Self::Unavailable(_) => Kind::Unavailable,
        }
    }
}
