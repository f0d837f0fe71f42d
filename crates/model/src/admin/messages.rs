//! Shapes of operations that show stored messages.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::names::TopicName;

/// Messages of one answer, if the caller does not say.
pub const MESSAGES_DEFAULT: u32 = 32;
/// Most messages of one answer.
pub const MESSAGES_MAX: u32 = 256;
/// Bytes of each body that are shown, if the caller does not say.
pub const BODY_BYTES_DEFAULT: u32 = 1_024;

/// A place in a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct QueuePosition {
    pub queue: u32,
    pub offset: u64,
}

/// Which messages: with a key or an id those that have it, else those of the queues in the order of
/// their store times, from a place or a time on.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct MessageBrowseRequest {
    /// Also `%RETRY%group` and `%DLQ%group`.
    pub topic: TopicName,
    /// Only this queue.
    #[serde(default)]
    pub queue: Option<u32>,
    /// Where to start in the queues; others start at their beginning, or end.
    #[serde(default)]
    pub positions: Vec<QueuePosition>,
    /// Start at the first message stored at or after this time (backwards: the last before), Unix milliseconds.
    #[serde(default)]
    pub time_ms: Option<i64>,
    /// Newest first: what lies before the positions.
    #[serde(default)]
    pub backwards: bool,
    /// One of the message's keys.
    #[serde(default)]
    pub key: Option<String>,
    /// The unique id that its sender was told.
    #[serde(default)]
    pub message_id: Option<String>,
    #[serde(default)]
    pub tag: Option<String>,
    /// Most messages; 32 if left out, 256 at most.
    #[serde(default)]
    pub limit: Option<u32>,
    /// Most bytes of each body; 1024 if left out.
    #[serde(default)]
    pub body_bytes_max: Option<u32>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct MessagePage {
    pub messages: Vec<MessageView>,
    /// Where the next page starts, to be given as `positions`; empty for a search by key or id.
    pub next: Vec<QueuePosition>,
    /// Whether there is a next page.
    pub more: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct MessageGetRequest {
    pub topic: TopicName,
    pub queue: u32,
    pub offset: u64,
    /// Most bytes of the body; all of it if left out.
    #[serde(default)]
    pub body_bytes_max: Option<u32>,
}

/// A message as it is stored, its body made readable.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct MessageView {
    pub topic: TopicName,
    pub queue: u32,
    pub offset: u64,
    /// Place in the log.
    pub position: u64,
    /// The sender's id of the message, or the 4.x offset id if it gave none.
    pub message_id: String,
    /// The 4.x id: the node's address and the place in the log.
    pub offset_id: String,
    /// `NORMAL`, `FIFO`, `DELAY`, `TRANSACTION`, `LITE`, `PRIORITY`
    pub kind: String,
    pub tag: Option<String>,
    pub keys: Vec<String>,
    pub message_group: Option<String>,
    pub born_ms: i64,
    pub born_host: String,
    pub stored_ms: i64,
    /// How often it was delivered before, where it is a retry or a dead letter.
    pub reconsume_times: u32,
    /// Of the application.
    pub properties: BTreeMap<String, String>,
    /// Of the protocol.
    pub system_properties: BTreeMap<String, String>,
    /// The body as text, without its compression.
    pub body: Option<String>,
    /// Instead of `body`, where that is no text.
    pub body_base64: Option<String>,
    /// Of the body without its compression.
    pub body_bytes: u64,
    /// Only the body's beginning is shown.
    pub truncated: bool,
    /// Was sent compressed.
    pub compressed: bool,
}
