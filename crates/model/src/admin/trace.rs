//! Shapes of `message.trace`: what became of a message, step by step.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::names::{GroupName, TopicName};

/// Which messages: by `message_id`, by `topic` and `key`, or by `topic` and a window of time.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct MessageTraceRequest {
    /// The id that the producer was told: the unique id, or the one that names an offset in the log.
    /// Without `topic`, topics are tried one after another.
    #[serde(default)]
    pub message_id: Option<String>,
    #[serde(default)]
    pub topic: Option<TopicName>,
    /// One of the message's keys.
    #[serde(default)]
    pub key: Option<String>,
    /// Stored at or after this, Unix milliseconds.
    #[serde(default)]
    pub from_ms: Option<i64>,
    /// Stored before this, Unix milliseconds.
    #[serde(default)]
    pub to_ms: Option<i64>,
    /// Most messages of one answer; the node has a limit of its own. Default 16.
    #[serde(default)]
    pub max: Option<usize>,
    /// How far behind a message the log is looked through for what became of it; the node has a limit of
    /// its own. Default 256 MiB.
    #[serde(default)]
    pub look_bytes_max: Option<u64>,
}

/// The lives of the messages that were found.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct MessageTrace {
    /// Oldest first.
    pub messages: Vec<MessageLife>,
    /// What was read of the log for this.
    pub looked_at_bytes: u64,
    /// Everything behind the messages was looked at. Else later steps may be missing.
    pub complete: bool,
}

/// A message and its life.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct MessageLife {
    pub topic: String,
    /// The unique id, or the offset id of a message that has none.
    pub message_id: String,
    pub offset_message_id: String,
    pub queue: u32,
    /// None for what stands in no queue (yet): a timed message that waits, an undecided transaction.
    pub offset: Option<u64>,
    /// `normal`, `fifo`, `delay`, `transaction`, `priority`, `lite`
    pub kind: String,
    pub keys: Vec<String>,
    pub tag: Option<String>,
    /// When the producer made it, by its clock. Unix milliseconds.
    pub born_at_ms: i64,
    /// Where it came from, `ip:port`.
    pub born_host: String,
    /// When the engine took it.
    pub stored_at_ms: i64,
    /// Of the whole record.
    pub size_bytes: u64,
    /// In the order in which they happened.
    pub steps: Vec<LifeStep>,
    /// How it stands now with each group that reads its queue.
    pub groups: Vec<LifeInGroup>,
}

/// Something that happened to a message.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct LifeStep {
    /// Unix milliseconds.
    pub at_ms: i64,
    pub step: Step,
    /// The consumer group, of what happened in one; the producer group of a transaction.
    pub group: Option<String>,
    pub client_id: Option<String>,
    /// `ip:port`
    pub client_address: Option<String>,
    /// Which delivery to the group it was, from 1.
    pub attempt: Option<u32>,
    /// What the step took: a send until it was stored, a delivery until it ended.
    pub took_ms: Option<i64>,
    /// How a delivery ended: `acked`, `failed`, `expired`, `dead_lettered`; or what a client reported.
    pub result: Option<String>,
    /// More, for people.
    pub detail: Option<String>,
    pub source: StepSource,
}

/// What happened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// A producer made it and sent it.
    Produced,
    /// It stands in its queue.
    #[default]
    Stored,
    /// It waits for its time.
    Scheduled,
    /// Its time has come.
    Fired,
    /// A half message waits for the outcome of its transaction.
    HalfStored,
    /// A producer was asked for the outcome.
    Checked,
    Committed,
    RolledBack,
    /// It was taken back before its time.
    Recalled,
    /// A group passed over it: its filter does not want it, or it was not stored any more.
    Filtered,
    /// It was handed to a client.
    Delivered,
    /// The client asked for more time, or for the next attempt at a time.
    Extended,
    /// The group is done with it.
    Acked,
    /// A client said that it could not do it.
    Failed,
    /// The client's time was over.
    Expired,
    /// It was put up for the next attempt.
    Retried,
    DeadLettered,
    /// The group's progress was set anew: to it again, or past it.
    Reset,
}

impl Step {
    /// The name in answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Produced => "produced",
            Self::Stored => "stored",
            Self::Scheduled => "scheduled",
            Self::Fired => "fired",
            Self::HalfStored => "half_stored",
            Self::Checked => "checked",
            Self::Committed => "committed",
            Self::RolledBack => "rolled_back",
            Self::Recalled => "recalled",
            Self::Filtered => "filtered",
            Self::Delivered => "delivered",
            Self::Extended => "extended",
            Self::Acked => "acked",
            Self::Failed => "failed",
            Self::Expired => "expired",
            Self::Retried => "retried",
            Self::DeadLettered => "dead_lettered",
            Self::Reset => "reset",
        }
    }
}

/// Who knows of a step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StepSource {
    /// A record in the engine's log.
    #[default]
    Engine,
    /// What a 4.x client wrote into the trace topic.
    Client,
}

/// How a message stands with a group now.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct LifeInGroup {
    pub group: GroupName,
    pub state: GroupState,
    /// Messages of the queue that the group comes to before it.
    pub behind: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GroupState {
    /// The group has not come to it.
    Ahead,
    /// Handed to a client that has not settled it.
    InFlight,
    /// Passed over for now, because an earlier message of its message group is not settled.
    Waiting,
    /// The group is past it.
    Done,
}
