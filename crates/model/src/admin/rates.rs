//! Shapes of operations on how much is sent and received.

use std::ops::AddAssign;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::names::{GroupName, TopicName};

/// What is counted.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema, Default,
)]
#[serde(rename_all = "snake_case")]
pub enum RateOf {
    /// By clients, into a topic.
    #[default]
    Sent,
    /// By a group, out of a topic.
    Received,
    /// Given back by a group, to be delivered again.
    SentBack,
    /// Calls for messages that found none; only of the whole node.
    Missed,
}

impl RateOf {
    pub const ALL: [Self; 4] = [Self::Sent, Self::Received, Self::SentBack, Self::Missed];

    /// Its place in [`Self::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Received => "received",
            Self::SentBack => "sent back",
            Self::Missed => "asked for in vain",
        }
    }
}

/// Without topic and group: of the whole node. Else the sum of all that fits.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct RatesRequest {
    #[serde(default)]
    pub of: RateOf,
    #[serde(default)]
    pub topic: Option<TopicName>,
    /// Only of what is received or sent back.
    #[serde(default)]
    pub group: Option<GroupName>,
}

/// What passed in a span of time, up to now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Window {
    pub calls: u64,
    pub messages: u64,
    pub bytes: u64,
    /// Messages a second.
    pub per_second: f64,
    pub bytes_per_second: f64,
    /// How long the span is: less than its name says until the node has run so long.
    pub over_ms: u64,
}

impl AddAssign for Window {
    fn add_assign(&mut self, other: Self) {
        self.calls += other.calls;
        self.messages += other.messages;
        self.bytes += other.bytes;
        self.per_second += other.per_second;
        self.bytes_per_second += other.bytes_per_second;
        self.over_ms = self.over_ms.max(other.over_ms);
    }
}

/// Sampled every 10 seconds, 10 minutes and hour; the newest part is exact.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Rates {
    pub minute: Window,
    pub hour: Window,
    pub day: Window,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct RatesListRequest {
    #[serde(default)]
    pub of: RateOf,
    /// Most that are listed; 100 if left out, 1000 at most.
    #[serde(default)]
    pub max: Option<u32>,
}

/// A topic, or a group in a topic.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct RatesRow {
    pub topic: TopicName,
    pub group: Option<GroupName>,
    pub minute: Window,
    pub day: Window,
}

/// What passed through a node since it started.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
pub struct NodeTraffic {
    pub calls: u64,
    pub messages: u64,
    pub bytes: u64,
    /// `messages` at the last midnight, UTC; 0 if the node started later.
    pub messages_at_midnight: u64,
    /// `messages` at the midnight before that.
    pub messages_at_midnight_before: u64,
    pub messages_per_second: Pace,
    pub calls_per_second: Pace,
}

/// How many a second, of late.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
pub struct Pace {
    pub last_10s: f64,
    pub last_1m: f64,
    pub last_10m: f64,
}
