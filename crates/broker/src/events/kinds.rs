//! Every event, what it is about and what it tells. `docs/events.md` is made of this.

use model::access::UserName;
use model::quota::{Quota, QuotaScope};
use model::{GroupConfig, GroupName, TopicConfig, TopicName};
use serde_json::{Value, json};

/// What all types begin with.
pub const TYPE_PREFIX: &str = "io.apogee.";

/// Something that happened to the node.
#[derive(Debug, Clone)]
pub enum Event {
    NodeStarted {
        version: String,
        log_start: u64,
        log_end: u64,
    },
    /// The run before did not end in order.
    CrashFound {
        power_lost: bool,
    },
    /// What a start after a crash did.
    Recovered {
        replayed_frames: u64,
        torn_bytes: u64,
        corrupt_bytes: u64,
    },
    ConfigChanged {
        settings: Vec<String>,
        user: Option<String>,
    },
    /// The disk became so full that producers are refused.
    DiskFull {
        used_percent: u64,
        refuse_percent: u64,
    },
    /// Producers are taken again.
    DiskFreed {
        used_percent: u64,
        refuse_percent: u64,
    },
    ClientOnline {
        client_id: String,
        address: String,
        protocol: String,
        language: String,
    },
    ClientOffline {
        client_id: String,
        address: String,
    },
    Subscribed {
        group: GroupName,
        client_id: String,
        topics: Vec<TopicName>,
    },
    Unsubscribed {
        group: GroupName,
        client_id: String,
    },
    /// Members or subscriptions of a group changed: it shares its queues anew.
    Rebalanced {
        group: GroupName,
        members: usize,
    },
    TopicPut {
        config: Box<TopicConfig>,
        is_new: bool,
    },
    TopicDeleted {
        topic: TopicName,
    },
    GroupPut {
        config: Box<GroupConfig>,
        is_new: bool,
    },
    GroupDeleted {
        group: GroupName,
        clean_offsets: bool,
    },
    QuotaPut {
        quota: Box<Quota>,
    },
    QuotaDeleted {
        scope: QuotaScope,
        name: String,
    },
    /// Made or changed; what it proves itself by is not told.
    UserPut {
        user: UserName,
    },
    UserDeleted {
        user: UserName,
    },
    PoliciesPut {
        user: UserName,
        entries: usize,
    },
    /// Too many came at once.
    Dropped {
        count: u64,
    },
}

impl Event {
    /// The type after [`TYPE_PREFIX`], what it is about, and the data.
    #[must_use]
    pub fn told(&self) -> (&'static str, Option<String>, Value) {
        match self {
            Self::NodeStarted { version, log_start, log_end } => (
                "node.started",
                None,
                json!({ "version": version, "log_start": log_start, "log_end": log_end }),
            ),
            Self::CrashFound { power_lost } => {
                ("node.crash-found", None, json!({ "power_lost": power_lost }))
            }
            Self::Recovered { replayed_frames, torn_bytes, corrupt_bytes } => (
                "node.recovered",
                None,
                json!({
                    "replayed_frames": replayed_frames,
                    "torn_bytes": torn_bytes,
                    "corrupt_bytes": corrupt_bytes
                }),
            ),
            Self::ConfigChanged { settings, user } => {
                ("config.changed", None, json!({ "settings": settings, "user": user }))
            }
            Self::DiskFull { used_percent, refuse_percent } => {
                ("disk.full", None, json!({ "used_percent": used_percent, "refuse_percent": refuse_percent }))
            }
            Self::DiskFreed { used_percent, refuse_percent } => (
                "disk.freed",
                None,
                json!({ "used_percent": used_percent, "refuse_percent": refuse_percent }),
            ),
            Self::Dropped { count } => ("events.dropped", None, json!({ "count": count })),
            Self::ClientOnline { .. }
            | Self::ClientOffline { .. }
            | Self::Subscribed { .. }
            | Self::Unsubscribed { .. }
            | Self::Rebalanced { .. } => self.told_of_clients(),
            _ => self.told_of_catalogue(),
        }
    }

    fn told_of_clients(&self) -> (&'static str, Option<String>, Value) {
        match self {
            Self::ClientOnline { client_id, address, protocol, language } => (
                "client.online",
                Some(client_id.clone()),
                json!({
                    "client_id": client_id,
                    "address": address,
                    "protocol": protocol,
                    "language": language
                }),
            ),
            Self::ClientOffline { client_id, address } => (
                "client.offline",
                Some(client_id.clone()),
                json!({ "client_id": client_id, "address": address }),
            ),
            Self::Subscribed { group, client_id, topics } => (
                "group.subscribed",
                Some(format!("{group}/{client_id}")),
                json!({ "group": group, "client_id": client_id, "topics": topics }),
            ),
            Self::Unsubscribed { group, client_id } => (
                "group.unsubscribed",
                Some(format!("{group}/{client_id}")),
                json!({ "group": group, "client_id": client_id }),
            ),
            Self::Rebalanced { group, members } => {
                ("group.rebalanced", Some(group.to_string()), json!({ "group": group, "members": members }))
            }
            _ => ("unknown", None, Value::Null),
        }
    }

    fn told_of_catalogue(&self) -> (&'static str, Option<String>, Value) {
        match self {
            Self::TopicPut { config, is_new } => (
                if *is_new { "topic.created" } else { "topic.updated" },
                Some(config.name.to_string()),
                json!({ "topic": config.name, "config": config }),
            ),
            Self::TopicDeleted { topic } => {
                ("topic.deleted", Some(topic.to_string()), json!({ "topic": topic }))
            }
            Self::GroupPut { config, is_new } => (
                if *is_new { "group.created" } else { "group.updated" },
                Some(config.name.to_string()),
                json!({ "group": config.name, "config": config }),
            ),
            Self::GroupDeleted { group, clean_offsets } => (
                "group.deleted",
                Some(group.to_string()),
                json!({ "group": group, "clean_offsets": clean_offsets }),
            ),
            Self::QuotaPut { quota } => {
                ("quota.changed", Some(quota.name.clone()), json!({ "quota": quota }))
            }
            Self::QuotaDeleted { scope, name } => {
                ("quota.deleted", Some(name.clone()), json!({ "scope": scope, "name": name }))
            }
            Self::UserPut { user } => ("user.changed", Some(user.to_string()), json!({ "user": user })),
            Self::UserDeleted { user } => ("user.deleted", Some(user.to_string()), json!({ "user": user })),
            Self::PoliciesPut { user, entries } => {
                ("policies.changed", Some(user.to_string()), json!({ "user": user, "entries": entries }))
            }
            _ => ("unknown", None, Value::Null),
        }
    }
}
