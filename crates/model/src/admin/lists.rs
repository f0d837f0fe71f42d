//! Shapes of long lists, page by page: what people look at of thousands of topics and groups.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::names::{GroupName, TopicName};
use crate::topic::Permission;

/// Rows of one page, if the caller does not say.
pub const ROWS_DEFAULT: u32 = 50;
/// Most rows of one page.
pub const ROWS_MAX: u32 = 500;

/// By what a list of topics is sorted. What is counted goes largest first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TopicOrder {
    #[default]
    Name,
    /// Messages that are stored.
    Messages,
    /// Messages a second that were sent in the last minute.
    Sent,
    /// Messages a second that were received in the last minute.
    Received,
    /// Time of the newest message.
    LastStored,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct TopicPageRequest {
    /// Only names that contain this, in any case of letters.
    #[serde(default)]
    pub search: Option<String>,
    /// Only the one that is called just as `search` says.
    #[serde(default)]
    pub exact: bool,
    /// Also topics of the system, retries and dead letters.
    #[serde(default)]
    pub all: bool,
    /// How many rows to leave out.
    #[serde(default)]
    pub offset: u32,
    /// Most rows of the answer; 50 if left out, 500 at most.
    #[serde(default)]
    pub limit: Option<u32>,
    #[serde(default)]
    pub sort: TopicOrder,
    /// The other way round.
    #[serde(default)]
    pub reverse: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct TopicPageAnswer {
    /// How many fit, on all pages.
    pub total: u64,
    pub rows: Vec<TopicRow>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct TopicRow {
    pub name: TopicName,
    /// Attribute `message.type`; empty if the topic has none.
    pub message_type: String,
    pub read_queues: u32,
    pub write_queues: u32,
    pub permission: Permission,
    /// Stored in all queues.
    pub messages: u64,
    /// Store time of the newest message, Unix milliseconds; 0 if there is none.
    pub last_stored_ms: i64,
    /// Groups with progress in, or members subscribed to, the topic.
    pub groups: u32,
    /// Messages a second, in the last minute.
    pub sent_per_second: f64,
    pub received_per_second: f64,
    pub sent_bytes_per_second: f64,
    /// In the last day, or since the node started.
    pub sent_bytes_day: u64,
    pub sent_messages_day: u64,
    pub received_messages_day: u64,
}

/// By what a list of groups is sorted. What is counted goes largest first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GroupOrder {
    #[default]
    Name,
    /// Messages not settled.
    Lag,
    Members,
    DeadLetters,
    Received,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct GroupPageRequest {
    /// Only names that contain this, in any case of letters.
    #[serde(default)]
    pub search: Option<String>,
    /// Only the one that is called just as `search` says.
    #[serde(default)]
    pub exact: bool,
    /// Only groups that have dead letters.
    #[serde(default)]
    pub dead_letters: bool,
    /// How many rows to leave out.
    #[serde(default)]
    pub offset: u32,
    /// Most rows of the answer; 50 if left out, 500 at most.
    #[serde(default)]
    pub limit: Option<u32>,
    #[serde(default)]
    pub sort: GroupOrder,
    /// The other way round.
    #[serde(default)]
    pub reverse: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct GroupPageAnswer {
    /// How many fit, on all pages.
    pub total: u64,
    pub rows: Vec<GroupRow>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct GroupRow {
    pub name: GroupName,
    pub ordered: bool,
    pub consume_enabled: bool,
    pub members: u32,
    /// Topics in which the group has progress, without its retries.
    pub topics: u32,
    /// Messages not settled.
    pub lag: u64,
    pub in_flight: u64,
    /// How long the oldest message that is not settled has been stored; 0 if there is none.
    pub lag_ms: i64,
    pub dead_letters: u64,
    /// Messages a second, in the last minute.
    pub received_per_second: f64,
    /// In the last day, or since the node started.
    pub received_messages_day: u64,
    /// Given back to be delivered again, in the last day.
    pub sent_back_messages_day: u64,
}

/// What a reset would do to a queue.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct QueueMove {
    pub topic: TopicName,
    pub queue: u32,
    pub min_offset: u64,
    pub max_offset: u64,
    /// First offset that is not settled now; none if the group has no progress in the queue.
    pub from: Option<u64>,
    pub to: u64,
    /// Messages that would be delivered again.
    pub again: u64,
    /// Messages that would never be delivered.
    pub skipped: u64,
}
