//! Lite topics: very many small ordered queues inside one parent topic.
//!
//! A parent is a topic of `message.type` LITE. A message names a lite topic by its property
//! `__LITE_TOPIC`; the first one makes the lite topic. It is stored once and stands in a queue of the
//! parent and in the lite topic, which has one queue and is handed out in order.
//!
//! A group is bound to one parent by its attribute; its clients say which lite topics they want.
//! What they said is soft: clients repeat it. How far the group has come in each is durable.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::error::{Kind, Kinded};
use crate::group::GroupConfig;
use crate::names::{GroupName, TopicName};
use crate::topic::TopicConfig;

/// Topic attribute: after so many minutes without a message a lite topic is deleted; -1 or 0 never.
pub const ATTRIBUTE_EXPIRATION: &str = "lite.topic.expiration";
/// Group attribute: the parent topic.
pub const ATTRIBUTE_BIND_TOPIC: &str = "lite.bind.topic";
/// Group attribute: `Shared` or `Exclusive`.
pub const ATTRIBUTE_MODEL: &str = "lite.sub.model";
/// Group attribute: lite topics of one client.
pub const ATTRIBUTE_CLIENT_QUOTA: &str = "lite.sub.client.quota";
/// Group attribute: lite topics with news that are remembered for one client.
pub const ATTRIBUTE_CLIENT_EVENTS: &str = "lite.sub.client.max.event.cnt";
/// Group attribute: an exclusive take-over begins at the first message.
pub const ATTRIBUTE_RESET_EXCLUSIVE: &str = "lite.sub.reset.offset.exclusive";
/// Group attribute: who unsubscribes and comes back begins at the first message.
pub const ATTRIBUTE_RESET_UNSUBSCRIBE: &str = "lite.sub.reset.offset.unsubscribe";
/// Group attribute: every client has all lite topics of the parent.
pub const ATTRIBUTE_WILDCARD: &str = "lite.sub.wildcard";

/// Lite topics of one client, if the group does not say (RocketMQ's default).
pub const CLIENT_QUOTA_DEFAULT: u32 = 2_000;
/// Remembered news of one client, if the group does not say (RocketMQ's default).
pub const CLIENT_EVENTS_DEFAULT: u32 = 400;

/// How a client changes what it wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LiteAction {
    /// These too.
    Add,
    /// These no more.
    Remove,
    /// Exactly these.
    Set,
    /// Nothing any more.
    Clear,
}

/// Where a subscription begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LiteStart {
    /// Where the group stopped.
    Last,
    First,
    /// Behind the newest message.
    End,
    Offset(u64),
    /// The newest messages, so many.
    Tail(u64),
    /// The first message stored at or after this time (Unix milliseconds).
    Time(i64),
}

/// What a client wants of a parent topic.
#[derive(Debug, Clone)]
pub struct LiteSync {
    pub client_id: String,
    pub group: GroupName,
    pub topic: TopicName,
    pub action: LiteAction,
    pub lite_topics: Vec<String>,
    /// With [`LiteAction::Add`] only.
    pub start: LiteStart,
    /// Grows with each change that the client makes; 0: it does not count them.
    pub version: i64,
}

#[derive(Debug, Clone, Error)]
pub enum LiteError {
    #[error("topic {0} does not exist")]
    TopicNotFound(TopicName),
    #[error("group {0} does not exist")]
    GroupNotFound(GroupName),
    #[error("group {0} may not consume: it is disabled")]
    GroupDisabled(GroupName),
    #[error("lite group {group} is expected to bind topic {expected}, but actual is {actual}")]
    NotBound { group: GroupName, expected: TopicName, actual: String },
    #[error("topic {0} is not of type LITE")]
    NotLite(TopicName),
    #[error("illegal lite topic: {0}")]
    Illegal(String),
    #[error("lite subscription quota exceeded: {max} {of}")]
    Quota { max: usize, of: &'static str },
    #[error("a group that has all lite topics does not choose among them")]
    Wildcard,
    #[error("{0}")]
    Denied(String),
    #[error("stored data is damaged: {0}")]
    Data(String),
    #[error("the engine cannot answer now: {0}")]
    Unavailable(String),
}

impl Kinded for LiteError {
    fn kind(&self) -> Kind {
        match self {
            Self::TopicNotFound(_) | Self::GroupNotFound(_) => Kind::NotFound,
            Self::GroupDisabled(_) | Self::Denied(_) => Kind::Denied,
            Self::NotBound { .. } | Self::NotLite(_) | Self::Illegal(_) | Self::Wildcard => Kind::Invalid,
            Self::Quota { .. } => Kind::Throttled,
            Self::Data(_) => Kind::Data,
            Self::Unavailable(_) => Kind::Unavailable,
        }
    }
}

impl TopicConfig {
    /// True if the topic is a parent of lite topics.
    #[must_use]
    pub fn is_lite_parent(&self) -> bool {
        self.attributes.get(crate::topic::ATTRIBUTE_MESSAGE_TYPE).is_some_and(|kind| kind == "LITE")
    }

    /// After how many idle minutes a lite topic of this parent is deleted.
    #[must_use]
    pub fn lite_expiration_minutes(&self) -> Option<i64> {
        let minutes = self.attributes.get(ATTRIBUTE_EXPIRATION)?.parse().ok()?;
        (minutes > 0).then_some(minutes)
    }
}

impl GroupConfig {
    /// The parent topic that the group is bound to.
    #[must_use]
    pub fn lite_parent(&self) -> Option<&str> {
        self.attributes.get(ATTRIBUTE_BIND_TOPIC).map(String::as_str).filter(|topic| !topic.is_empty())
    }

    /// True if a lite topic has one client of the group at most.
    #[must_use]
    pub fn is_lite_exclusive(&self) -> bool {
        self.attributes.get(ATTRIBUTE_MODEL).is_some_and(|model| model.eq_ignore_ascii_case("Exclusive"))
    }

    #[must_use]
    pub fn is_lite_wildcard(&self) -> bool {
        self.lite_flag(ATTRIBUTE_WILDCARD)
    }

    /// True if an attribute says so.
    #[must_use]
    pub fn lite_flag(&self, attribute: &str) -> bool {
        self.attributes.get(attribute).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    /// Lite topics of one client.
    #[must_use]
    pub fn lite_client_quota(&self) -> usize {
        self.lite_number(ATTRIBUTE_CLIENT_QUOTA, CLIENT_QUOTA_DEFAULT)
    }

    /// Remembered news of one client.
    #[must_use]
    pub fn lite_client_events(&self) -> usize {
        self.lite_number(ATTRIBUTE_CLIENT_EVENTS, CLIENT_EVENTS_DEFAULT).max(1)
    }

    fn lite_number(&self, attribute: &str, default: u32) -> usize {
        let said = self.attributes.get(attribute).and_then(|value| value.parse::<u32>().ok());
        said.unwrap_or(default) as usize
    }
}

// === what tools are told ===

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct LiteTopicRequest {
    pub topic: TopicName,
    pub lite_topic: String,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct LiteTopicPage {
    pub lite_topics: Vec<LiteTopicState>,
    /// Where to go on; nothing if this is the end.
    pub next: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct LiteListRequest {
    pub topic: TopicName,
    /// Only names that begin with this.
    #[serde(default)]
    pub prefix: Option<String>,
    /// `next` of the page before.
    #[serde(default)]
    pub after: Option<String>,
    /// About how many names, at most 1,000; a page may hold a few more.
    #[serde(default)]
    pub limit: Option<u32>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct LiteTopicState {
    pub lite_topic: String,
    pub min_offset: u64,
    pub max_offset: u64,
    /// Store time of the newest message, Unix milliseconds.
    pub last_stored_ms: i64,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct LiteTopicDescription {
    pub topic: TopicName,
    /// `None`: there is no such lite topic now; it may have subscribers.
    pub state: Option<LiteTopicState>,
    pub subscribers: Vec<LiteSubscriber>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LiteSubscriber {
    pub group: GroupName,
    pub client_id: String,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct LiteParentRequest {
    pub topic: TopicName,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct LiteParentDescription {
    pub topic: TopicName,
    pub expiration_minutes: Option<i64>,
    pub groups: Vec<GroupName>,
    pub lite_topics: u64,
    /// In all parents of this node.
    pub lite_topics_in_all: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct LiteNodeDescription {
    pub lite_topics: u64,
    pub lite_topics_max: u64,
    pub subscriptions: u64,
    pub subscriptions_max: u64,
    pub clients: u64,
    /// Clients that have news waiting.
    pub clients_with_news: u64,
    /// Groups' places in lite topics that are in memory.
    pub cursors_in_memory: u64,
    /// Minutes by parent; -1 never.
    pub parents: std::collections::BTreeMap<String, i64>,
    /// Bound groups by parent.
    pub groups: std::collections::BTreeMap<String, Vec<GroupName>>,
    /// Bytes that subscriptions and their clients take in memory, about.
    pub memory_bytes: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct LiteClientRequest {
    pub topic: TopicName,
    pub group: GroupName,
    pub client_id: String,
    #[serde(default)]
    pub limit: Option<u32>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct LiteClientDescription {
    /// `None`: the client is not known.
    pub count: Option<u64>,
    /// Some of them, up to the limit.
    pub lite_topics: Vec<String>,
    pub last_seen_ms: i64,
    pub last_received_ms: i64,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct LiteGroupRequest {
    pub group: GroupName,
    /// Without it: the whole group.
    #[serde(default)]
    pub lite_topic: Option<String>,
    /// How many of the lite topics that are most behind to name.
    #[serde(default)]
    pub top: Option<u32>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct LiteGroupDescription {
    pub group: GroupName,
    pub topic: TopicName,
    /// Messages not settled yet; -1 if the lite topic does not exist.
    pub lag: i64,
    /// Store time of the oldest of them, Unix milliseconds; 0 if there is none.
    pub oldest_ms: i64,
    /// Of the one lite topic that was asked for.
    pub place: Option<LitePlace>,
    pub most_behind: Vec<LiteLag>,
    pub longest_behind: Vec<LiteLag>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct LitePlace {
    pub max_offset: u64,
    pub committed_offset: u64,
    /// Store time of the last settled message, Unix milliseconds; 0 if there is none.
    pub last_settled_ms: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LiteLag {
    pub lite_topic: String,
    pub lag: i64,
    pub oldest_ms: i64,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct LiteDispatchRequest {
    pub group: GroupName,
    /// Without it: all clients of the group.
    #[serde(default)]
    pub client_id: Option<String>,
}
