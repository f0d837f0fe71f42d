//! What a cluster's catalogue becomes here.
//!
//! Queues of several brokers become queues of one topic, side by side: first those of the first
//! broker by name, and so on. So each queue keeps its order.

use std::collections::{BTreeMap, BTreeSet};

use model::names::{DLQ_PREFIX, LITE_PREFIX, RETRY_PREFIX};
use model::topic::{ATTRIBUTE_QUEUE_TYPE, Permission};
use model::{GroupConfig, GroupName, RetryPolicy, TopicConfig, TopicName};
use serde_json::Value;

use crate::import::source::{Told, TopicBody};
use crate::import::state::SourceQueue;

/// Groups that every broker has for itself.
const OWN_GROUPS: [&str; 7] = [
    "TOOLS_CONSUMER",
    "FILTERSRV_CONSUMER",
    "SELF_TEST_C_GROUP",
    "CID_ONSAPI_OWNER",
    "CID_ONSAPI_PERMISSION",
    "CID_ONSAPI_PULL",
    "CID_ONS-HTTP-PROXY",
];
const OWN_GROUP_PREFIXES: [&str; 3] = ["CID_RMQ_SYS_", "CID_SYS_RMQ_", "CID_DefaultHeartBeat"];

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) topics: BTreeMap<String, Topic>,
    pub(super) groups: Vec<GroupConfig>,
    /// What does not come along, and why.
    pub(super) notes: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Topic {
    pub(super) config: TopicConfig,
    /// Each queue of the source, and its number here.
    pub(super) queues: Vec<(SourceQueue, u32)>,
}

impl Topic {
    /// As it is while messages are copied: they are sent to it, and read from it after a kill.
    pub(super) fn open(&self) -> TopicConfig {
        let bits = self.config.permission.0 | Permission::READ_WRITE.0;
        TopicConfig { permission: Permission(bits), ..self.config.clone() }
    }

    /// It may not be written or read for good.
    pub(super) fn is_closed(&self) -> bool {
        self.is_made_here() && self.open() != self.config
    }

    /// Retries and dead letters are made by the first message.
    pub(super) fn is_made_here(&self) -> bool {
        self.config.name.derived_from().is_none()
    }
}

impl Plan {
    pub(super) fn of(told: &Told) -> Self {
        let mut plan = Self::default();
        let mut groups = BTreeMap::new();
        for broker in told.brokers.values() {
            for (name, body) in &broker.groups {
                if !is_own_group(name)
                    && let Some(config) = group(name, body)
                {
                    groups.insert(name.clone(), config);
                }
            }
        }
        let mut own: BTreeSet<&str> = told.clusters.iter().map(String::as_str).collect();
        own.extend(told.brokers.keys().map(String::as_str));
        for (broker, held) in &told.brokers {
            for (name, body) in &held.topics {
                let of_group = name.strip_prefix(RETRY_PREFIX).or_else(|| name.strip_prefix(DLQ_PREFIX));
                if own.contains(name.as_str()) || is_system(name) || of_group.is_some_and(is_own_group) {
                    continue;
                }
                match wanted(name, body, &groups) {
                    Ok(name) => plan.add(name, broker, body),
                    Err(why) => plan.notes.push(format!("{name} stays behind: {why}")),
                }
            }
        }
        plan.groups = groups.into_values().collect();
        plan
    }

    fn add(&mut self, name: TopicName, broker: &str, body: &TopicBody) {
        let count = body.read_queue_nums.max(body.write_queue_nums);
        let topic = self.topics.entry(name.to_string()).or_insert_with(|| Topic {
            config: TopicConfig {
                permission: Permission(body.perm),
                ordered: body.order,
                attributes: body.attributes.clone().unwrap_or_default(),
                ..TopicConfig::new(name.clone(), 0)
            },
            queues: Vec::new(),
        });
        // What one broker allows, the topic's queues of that broker were used for.
        topic.config.permission.0 |= body.perm;
        let first = topic.config.queues();
        let is_read = Permission(body.perm).readable();
        if !is_read {
            self.notes.push(format!("messages of {name} on {broker} stay behind: it cannot be read there"));
        }
        for queue in (0..count).filter(|_| is_read) {
            let of = SourceQueue { topic: name.to_string(), broker: broker.to_owned(), queue };
            topic.queues.push((of, first + queue));
        }
        let is_first = first == 0;
        topic.config.read_queues = if is_first { body.read_queue_nums } else { first + count };
        topic.config.write_queues = first + count;
    }
}

fn is_system(name: &str) -> bool {
    let system = TopicName::new(name).is_ok_and(|name| name.is_system() || !name.is_sendable());
    system || name.ends_with("_REPLY_TOPIC") || name.starts_with("rocketmq-") || name.starts_with(LITE_PREFIX)
}

fn is_own_group(name: &str) -> bool {
    OWN_GROUPS.contains(&name) || OWN_GROUP_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

fn wanted(name: &str, body: &TopicBody, groups: &BTreeMap<String, GroupConfig>) -> Result<TopicName, String> {
    let topic = TopicName::new(name).map_err(|error| error.to_string())?;
    if name.starts_with(DLQ_PREFIX) {
        return Err("dead letters are not copied; send them again there first".to_owned());
    }
    if let Some(group) = name.strip_prefix(RETRY_PREFIX)
        && !groups.contains_key(group)
    {
        return Err("retries of popping consumers are not copied; let them be consumed there".to_owned());
    }
    let queue_type = body.attributes.as_ref().and_then(|attributes| attributes.get(ATTRIBUTE_QUEUE_TYPE));
    if queue_type.is_some_and(|kind| kind == "BatchCQ") {
        return Err("it holds batches as single records (queue.type BatchCQ)".to_owned());
    }
    Ok(topic)
}

/// `SubscriptionGroupConfig`.
fn group(name: &str, body: &Value) -> Option<GroupConfig> {
    let defaults = GroupConfig::new(GroupName::new(name).ok()?);
    let flag = |field: &str, default: bool| body.get(field).and_then(Value::as_bool).unwrap_or(default);
    let number = |field: &str, default: u32| {
        let number = body.get(field).and_then(Value::as_i64);
        number.map_or(default, |number| u32::try_from(number.max(0)).unwrap_or(u32::MAX))
    };
    let attributes = body.get("attributes").and_then(|found| serde_json::from_value(found.clone()).ok());
    Some(GroupConfig {
        consume_enabled: flag("consumeEnable", defaults.consume_enabled),
        consume_from_min_enabled: flag("consumeFromMinEnable", defaults.consume_from_min_enabled),
        consume_broadcast_enabled: flag("consumeBroadcastEnable", defaults.consume_broadcast_enabled),
        ordered: flag("consumeMessageOrderly", defaults.ordered),
        retry_queues: number("retryQueueNums", defaults.retry_queues),
        retry_max_times: number("retryMaxTimes", defaults.retry_max_times),
        retry_policy: body.get("groupRetryPolicy").map_or(defaults.retry_policy, retries),
        notify_members_changed: flag("notifyConsumerIdsChangedEnable", defaults.notify_members_changed),
        consume_timeout_minutes: number("consumeTimeoutMinute", defaults.consume_timeout_minutes),
        attributes: attributes.unwrap_or_default(),
        name: defaults.name,
        system_flag: 0,
    })
}

/// `GroupRetryPolicy`.
fn retries(body: &Value) -> RetryPolicy {
    if body.get("type").and_then(Value::as_str) == Some("EXPONENTIAL") {
        let policy = body.get("exponentialRetryPolicy");
        let number = |field: &str| policy.and_then(|policy| policy.get(field)).and_then(Value::as_i64);
        return match (number("initial"), number("max"), number("multiplier")) {
            (Some(initial_ms), Some(max_ms), Some(multiplier)) => {
                RetryPolicy::Exponential { initial_ms, max_ms, multiplier }
            }
            _ => RetryPolicy::exponential(),
        };
    }
    let next = body.get("customizedRetryPolicy").and_then(|policy| policy.get("next"));
    let next: Option<Vec<i64>> = next.and_then(|next| serde_json::from_value(next.clone()).ok());
    match next {
        Some(next_ms) if !next_ms.is_empty() => RetryPolicy::Customized { next_ms },
        _ => RetryPolicy::default(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::source::Broker;
    use super::*;

    fn broker(topics: &[(&str, u32)]) -> Broker {
        let body = |queues| TopicBody {
            read_queue_nums: queues,
            write_queue_nums: queues,
            perm: if queues == 3 { Permission::READ } else { Permission::READ_WRITE.0 },
            order: false,
            attributes: None,
        };
        Broker {
            topics: topics.iter().map(|(name, queues)| ((*name).to_owned(), body(*queues))).collect(),
            groups: BTreeMap::from([("g".to_owned(), json!({ "retryMaxTimes": 3, "consumeEnable": false }))]),
        }
    }

    #[test]
    fn brokers_stand_side_by_side_and_what_is_their_own_stays() {
        let mut told = Told { clusters: vec!["DefaultCluster".to_owned()], ..Told::default() };
        let own = [("broker-a", 1), ("TBW102", 8), ("DefaultCluster", 16), ("SCHEDULE_TOPIC_XXXX", 18)];
        let topics = [("t", 4), ("%RETRY%g", 1), ("%RETRY%g_t", 1), ("%DLQ%g", 1)];
        told.brokers.insert("broker-a".to_owned(), broker(&[&own[..], &topics[..]].concat()));
        told.brokers.insert("broker-b".to_owned(), broker(&[("t", 2)]));
        let plan = Plan::of(&told);
        assert_eq!(plan.topics.keys().collect::<Vec<_>>(), ["%RETRY%g", "t"]);
        let topic = &plan.topics["t"];
        assert_eq!((topic.config.read_queues, topic.config.write_queues), (6, 6));
        let numbers: Vec<_> = topic.queues.iter().map(|(of, n)| (of.broker.as_str(), of.queue, *n)).collect();
        assert_eq!(numbers.get(3..5), Some(&[("broker-a", 3, 3), ("broker-b", 0, 4)][..]));
        assert_eq!(plan.notes.len(), 2, "{:?}", plan.notes);
        assert!(!topic.is_closed());
        assert_eq!((plan.groups[0].retry_max_times, plan.groups[0].consume_enabled), (3, false));
    }

    #[test]
    fn a_topic_that_may_not_be_written_is_open_only_while_it_is_copied() {
        let mut told = Told::default();
        told.brokers.insert("broker-a".to_owned(), broker(&[("t", 3)]));
        let plan = Plan::of(&told);
        let topic = &plan.topics["t"];
        assert_eq!(topic.config.permission, Permission(Permission::READ));
        assert_eq!(topic.open().permission, Permission::READ_WRITE);
        assert!(topic.is_closed());
    }
}
