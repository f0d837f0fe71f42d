//! Consumer groups and their configuration.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::names::GroupName;

/// Delay levels 1 to 18 in milliseconds (RocketMQ's `messageDelayLevel`).
pub const DELAY_LEVELS_MS: [i64; 18] = [
    1_000, 5_000, 10_000, 30_000, 60_000, 120_000, 180_000, 240_000, 300_000, 360_000, 420_000, 480_000,
    540_000, 600_000, 1_200_000, 1_800_000, 3_600_000, 7_200_000,
];

/// How long a message waits before each retry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum RetryPolicy {
    /// Step `n` (from 0) for retry `n`; the last step repeats.
    Customized { next_ms: Vec<i64> },
    /// `initial * multiplier ^ n`, at most `max`.
    Exponential { initial_ms: i64, max_ms: i64, multiplier: i64 },
}

impl Default for RetryPolicy {
    /// 1 s, 5 s, ... 2 h (RocketMQ's `CustomizedRetryPolicy`).
    fn default() -> Self {
        Self::Customized { next_ms: DELAY_LEVELS_MS.to_vec() }
    }
}

impl RetryPolicy {
    /// RocketMQ's `ExponentialRetryPolicy` defaults.
    #[must_use]
    pub const fn exponential() -> Self {
        Self::Exponential { initial_ms: 5_000, max_ms: 7_200_000, multiplier: 2 }
    }

    /// The wait before the retry that follows `reconsume_times` earlier retries.
    ///
    /// As RocketMQ's `nextDelayDuration`: the customized schedule starts at its third step,
    /// because the first two are shorter than a client's own cycle.
    #[must_use]
    pub fn delay_ms(&self, reconsume_times: u32) -> i64 {
        match self {
            Self::Customized { next_ms } => {
                let index = (reconsume_times as usize).saturating_add(2).min(next_ms.len().saturating_sub(1));
                next_ms.get(index).copied().unwrap_or(10_000)
            }
            Self::Exponential { initial_ms, max_ms, multiplier } => {
                let factor = multiplier.max(&1).saturating_pow(reconsume_times.min(32));
                initial_ms.saturating_mul(factor).min(*max_ms)
            }
        }
    }
}

/// The attribute of an ordered group that says what waits for what: `key` or `queue`.
pub const ATTRIBUTE_ORDER_BY: &str = "order.by";

/// What waits for what in a queue that is delivered in order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OrderBy {
    /// A message waits for the earlier ones of its message group; messages without one are a group.
    #[default]
    Key,
    /// A message waits for all earlier ones of its queue, as in RocketMQ.
    Queue,
}

/// Configuration of a consumer group. Defaults are RocketMQ's `SubscriptionGroupConfig`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GroupConfig {
    pub name: GroupName,
    #[serde(default = "yes")]
    pub consume_enabled: bool,
    #[serde(default = "yes")]
    pub consume_from_min_enabled: bool,
    #[serde(default = "yes")]
    pub consume_broadcast_enabled: bool,
    /// Deliver in order: a queue or key waits for its earlier messages.
    #[serde(default)]
    pub ordered: bool,
    #[serde(default = "one")]
    pub retry_queues: u32,
    /// Retries before a message goes to the dead letters.
    #[serde(default = "sixteen")]
    pub retry_max_times: u32,
    #[serde(default)]
    pub retry_policy: RetryPolicy,
    #[serde(default = "yes")]
    pub notify_members_changed: bool,
    #[serde(default)]
    pub system_flag: i32,
    #[serde(default = "fifteen")]
    pub consume_timeout_minutes: u32,
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
}

const fn yes() -> bool {
    true
}
const fn one() -> u32 {
    1
}
const fn sixteen() -> u32 {
    16
}
const fn fifteen() -> u32 {
    15
}

impl GroupConfig {
    /// What the attribute says; anything but `queue` is the default.
    #[must_use]
    pub fn order_by(&self) -> OrderBy {
        match self.attributes.get(ATTRIBUTE_ORDER_BY).map(String::as_str) {
            Some("queue") => OrderBy::Queue,
            _ => OrderBy::Key,
        }
    }

    #[must_use]
    pub fn new(name: GroupName) -> Self {
        Self {
            name,
            consume_enabled: true,
            consume_from_min_enabled: true,
            consume_broadcast_enabled: true,
            ordered: false,
            retry_queues: 1,
            retry_max_times: 16,
            retry_policy: RetryPolicy::default(),
            notify_members_changed: true,
            system_flag: 0,
            consume_timeout_minutes: 15,
            attributes: BTreeMap::new(),
        }
    }
}
