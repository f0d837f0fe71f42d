//! Operations on a group's progress: back, forward, or where another group is.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::names::{GroupName, TopicName};
use crate::verbs::SeekTo;

/// Where a group's progress is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ResetTo {
    First,
    Last,
    Offset(u64),
    /// The first message stored at or after this time, Unix milliseconds.
    TimeMs(i64),
}

impl From<ResetTo> for SeekTo {
    fn from(to: ResetTo) -> Self {
        match to {
            ResetTo::First => Self::First,
            ResetTo::Last => Self::Last,
            ResetTo::Offset(offset) => Self::Offset(offset.into()),
            ResetTo::TimeMs(time_ms) => Self::Time(time_ms),
        }
    }
}

const fn yes() -> bool {
    true
}

/// Sets a group's progress anew, also while its members consume.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct GroupResetRequest {
    pub group: GroupName,
    pub topic: TopicName,
    /// Left out: all queues.
    #[serde(default)]
    pub queue: Option<u32>,
    pub to: ResetTo,
    /// By time: also where that moves the group forward.
    #[serde(default = "yes")]
    pub force: bool,
}

/// Leaves all waiting messages of a topic out.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct GroupSkipRequest {
    pub group: GroupName,
    pub topic: TopicName,
}

/// Sets a group's progress to where another group is.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct GroupCloneOffsetsRequest {
    pub from: GroupName,
    pub to: GroupName,
    /// Left out: every topic in which the other group has progress, without its retries.
    #[serde(default)]
    pub topic: Option<TopicName>,
}

/// Where a group now is in a queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct QueueOffset {
    pub topic: TopicName,
    pub queue: u32,
    pub offset: u64,
}
