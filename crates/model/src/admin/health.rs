//! Shapes of the operation on health: what is at risk, riskiest first, why, and what to do.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What can be at risk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HealthSubject {
    Group,
    Topic,
    Producer,
    Node,
}

impl HealthSubject {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Group => "group",
            Self::Topic => "topic",
            Self::Producer => "producer",
            Self::Node => "node",
        }
    }
}

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    /// Messages wait, somebody is there to take them, and nothing moves.
    StuckConsumer,
    /// A message fails again and again.
    PoisonMessage,
    /// More comes in than is worked off.
    SlowConsumer,
    /// Members of a group have unequal shares of the queues.
    ImbalancedGroup,
    /// One queue of a topic takes most of what is sent.
    HotQueue,
    /// A client is refused because it sends more than it may.
    ThrottledProducer,
    /// Messages were given up.
    DeadLetters,
    /// Much waits, or for long.
    Lag,
    /// Timed messages fire late.
    TimersLate,
    /// The disk is almost full.
    Disk,
}

impl Trouble {
    pub const ALL: [Self; 10] = [
        Self::StuckConsumer,
        Self::PoisonMessage,
        Self::SlowConsumer,
        Self::ImbalancedGroup,
        Self::HotQueue,
        Self::ThrottledProducer,
        Self::DeadLetters,
        Self::Lag,
        Self::TimersLate,
        Self::Disk,
    ];

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::StuckConsumer => "stuck_consumer",
            Self::PoisonMessage => "poison_message",
            Self::SlowConsumer => "slow_consumer",
            Self::ImbalancedGroup => "imbalanced_group",
            Self::HotQueue => "hot_queue",
            Self::ThrottledProducer => "throttled_producer",
            Self::DeadLetters => "dead_letters",
            Self::Lag => "lag",
            Self::TimersLate => "timers_late",
            Self::Disk => "disk",
        }
    }
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct HealthListRequest {
    /// Most that are listed; 100 if left out, 1000 at most.
    #[serde(default)]
    pub limit: Option<u32>,
    /// Only subjects of this kind.
    #[serde(default)]
    pub subject: Option<HealthSubject>,
}

/// One trouble of one subject.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HealthItem {
    pub subject: HealthSubject,
    /// Of the group, topic or node; a producer's client id, else its address.
    pub name: String,
    /// 100 is worst.
    pub score: u8,
    pub trouble: Trouble,
    /// In words, with figures.
    pub reason: String,
    /// What to do.
    pub advice: String,
    /// When it was first seen, Unix milliseconds.
    pub since_ms: i64,
    /// The figures by themselves.
    pub facts: BTreeMap<String, Value>,
}

/// What is at risk, riskiest first. What is not named is well.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HealthReport {
    /// When it was looked, Unix milliseconds; 0 before the first look.
    pub at_ms: i64,
    pub items: Vec<HealthItem>,
}
