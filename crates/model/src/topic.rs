//! Topics and their configuration.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::message::MessageKind;
use crate::names::TopicName;

/// What clients may do with a topic's queues. Bits as RocketMQ's `PermName`: 4 read, 2 write, 1 inherit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Permission(pub u32);

impl Default for Permission {
    fn default() -> Self {
        Self::READ_WRITE
    }
}

impl Permission {
    pub const READ: u32 = 4;
    pub const WRITE: u32 = 2;
    pub const INHERIT: u32 = 1;
    pub const READ_WRITE: Self = Self(Self::READ | Self::WRITE);

    #[must_use]
    pub const fn readable(self) -> bool {
        self.0 & Self::READ != 0
    }

    #[must_use]
    pub const fn writable(self) -> bool {
        self.0 & Self::WRITE != 0
    }
}

/// Configuration of a topic. Field names follow RocketMQ's `TopicConfig`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TopicConfig {
    pub name: TopicName,
    /// Queues that consumers read, from queue 0.
    #[serde(default = "default_queues")]
    pub read_queues: u32,
    /// Queues that producers write, from queue 0.
    #[serde(default = "default_queues")]
    pub write_queues: u32,
    #[serde(default)]
    pub permission: Permission,
    /// Global order: producers keep to their queue even when it is away.
    #[serde(default)]
    pub ordered: bool,
    /// `topicSysFlag` of the 4.x protocol, kept for its tools.
    #[serde(default)]
    pub system_flag: i32,
    /// `message.type`, `cleanup.policy`, `queue.type`, ... as RocketMQ names them.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
}

/// Queues of a topic whose maker does not say (RocketMQ's `mqadmin updateTopic`).
pub const DEFAULT_QUEUES: u32 = 8;

const fn default_queues() -> u32 {
    DEFAULT_QUEUES
}

/// The attribute that says which kind of message a topic takes.
pub const ATTRIBUTE_MESSAGE_TYPE: &str = "message.type";
/// `BatchCQ`: a batch of a 4.x producer is stored as one record.
pub const ATTRIBUTE_QUEUE_TYPE: &str = "queue.type";
/// How long a message sent twice is stored once only, in milliseconds; absent or 0: not at all.
pub const ATTRIBUTE_DEDUP_WINDOW_MS: &str = "apogee.dedup.window.ms";
/// By what such messages are known: see [`DedupBy`].
pub const ATTRIBUTE_DEDUP_BY: &str = "apogee.dedup.by";

/// What makes two messages of a topic the same one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DedupBy {
    /// The message's keys.
    Key,
    /// The unique id that the producer gave it.
    Id,
    /// The producer's own name and number: see [`crate::properties::DEDUP_SEQUENCE`].
    Sequence,
}

impl DedupBy {
    /// Values of the attribute.
    pub const NAMES: [&str; 3] = ["key", "id", "sequence"];

    /// What the attribute's value means.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "key" => Some(Self::Key),
            "id" => Some(Self::Id),
            "sequence" => Some(Self::Sequence),
            _ => None,
        }
    }
}

impl TopicConfig {
    #[must_use]
    pub fn new(name: TopicName, queues: u32) -> Self {
        Self {
            name,
            read_queues: queues,
            write_queues: queues,
            permission: Permission::READ_WRITE,
            ordered: false,
            system_flag: 0,
            attributes: BTreeMap::new(),
        }
    }

    /// Queues that exist: the larger of both numbers.
    #[must_use]
    pub fn queues(&self) -> u32 {
        self.read_queues.max(self.write_queues)
    }

    /// Its queues stand for priorities: a message of priority `p` goes to queue `p`, and the highest
    /// queue is read first.
    #[must_use]
    pub fn is_by_priority(&self) -> bool {
        self.attributes.get(ATTRIBUTE_MESSAGE_TYPE).is_some_and(|kind| kind == "PRIORITY")
    }

    /// Whether batches are stored as they came.
    #[must_use]
    pub fn keeps_batches(&self) -> bool {
        self.attributes.get(ATTRIBUTE_QUEUE_TYPE).is_some_and(|kind| kind == "BatchCQ")
    }

    /// How long, in milliseconds, and by what a message that comes twice is stored once only.
    #[must_use]
    pub fn dedup(&self) -> Option<(i64, DedupBy)> {
        let window_ms = self.attributes.get(ATTRIBUTE_DEDUP_WINDOW_MS)?.parse().ok().filter(|ms| *ms > 0)?;
        let by = self.attributes.get(ATTRIBUTE_DEDUP_BY).and_then(|name| DedupBy::named(name));
        Some((window_ms, by.unwrap_or(DedupBy::Key)))
    }

    /// Kinds of message that the topic says it takes. Without the attribute: `Normal`.
    #[must_use]
    pub fn accepts(&self) -> Vec<MessageKind> {
        match self.attributes.get(ATTRIBUTE_MESSAGE_TYPE).map(String::as_str) {
            Some("FIFO") => vec![MessageKind::Fifo],
            Some("DELAY") => vec![MessageKind::Delay],
            Some("TRANSACTION") => vec![MessageKind::Transaction],
            Some("LITE") => vec![MessageKind::Lite],
            Some("PRIORITY") => vec![MessageKind::Priority],
            Some("MIXED") => {
                vec![MessageKind::Normal, MessageKind::Fifo, MessageKind::Delay, MessageKind::Transaction]
            }
            _ => vec![MessageKind::Normal],
        }
    }
}
