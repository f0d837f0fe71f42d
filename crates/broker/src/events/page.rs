//! The page `docs/events.md`, made of the events themselves.

use std::fmt::Write;

use model::access::UserName;
use model::quota::{Quota, QuotaLimits, QuotaScope};
use model::{GroupConfig, GroupName, TopicConfig, TopicName};

use super::kinds::Event;
use super::{Stamp, TOPIC, cloud_event};
use crate::limits::{EVENT_GATHER_MS, EVENTS_KEPT_MAX, EVENTS_PER_WRITE_MAX, EVENTS_WAITING_MAX};

/// An example of each, and a line for people.
fn examples() -> Vec<(Event, &'static str)> {
    let topic = || TopicName::new("orders").expect("legal");
    let group = || GroupName::new("billing").expect("legal");
    let user = || "ann".parse::<UserName>().expect("legal");
    let client_id = || "10.1.2.3@4711".to_owned();
    let address = || "10.1.2.3:50123".to_owned();
    let topic_put = |is_new| Event::TopicPut { config: Box::new(TopicConfig::new(topic(), 8)), is_new };
    let group_put = |is_new| Event::GroupPut { config: Box::new(GroupConfig::new(group())), is_new };
    let limits = QuotaLimits { send_messages_per_s: Some(100), ..QuotaLimits::default() };
    let quota = Quota { scope: QuotaScope::Topic, name: "orders".to_owned(), limits };
    vec![
        (
            Event::NodeStarted { version: "0.1.0".to_owned(), log_start: 0, log_end: 134_217_728 },
            "The node has opened its data.",
        ),
        (
            Event::CrashFound { power_lost: false },
            "At its start the node found that the run before did not end in order; `power_lost`: the machine \
             itself may have gone down.",
        ),
        (
            Event::Recovered { replayed_frames: 512, torn_bytes: 1_024, corrupt_bytes: 0 },
            "What the start after a crash did: frames of the log that were replayed, bytes of an unfinished \
             write that were cut off, damaged bytes that were cut off at the operator's word.",
        ),
        (
            Event::ConfigChanged { settings: vec!["store.retention_ms".to_owned()], user: None },
            "Settings were changed while the node runs: their names, and who did it.",
        ),
        (
            Event::DiskFull { used_percent: 85, refuse_percent: 85 },
            "The disk is so full that producers are refused (`store.disk_refuse_percent`).",
        ),
        (Event::DiskFreed { used_percent: 70, refuse_percent: 85 }, "Producers are taken again."),
        (
            Event::ClientOnline {
                client_id: client_id(),
                address: address(),
                protocol: "remoting".to_owned(),
                language: "JAVA".to_owned(),
            },
            "A client gave its first sign of life.",
        ),
        (
            Event::ClientOffline { client_id: client_id(), address: address() },
            "A client said goodbye, lost its last connection, or was silent for too long.",
        ),
        (
            Event::Subscribed { group: group(), client_id: client_id(), topics: vec![topic()] },
            "A client joined a consumer group.",
        ),
        (
            Event::Unsubscribed { group: group(), client_id: client_id() },
            "A client left a consumer group, or is gone.",
        ),
        (
            Event::Rebalanced { group: group(), members: 3 },
            "Members or subscriptions of a consumer group changed: its members share the queues anew.",
        ),
        (topic_put(true), "A topic was made, by an operation or by a client."),
        (topic_put(false), "A topic was changed."),
        (Event::TopicDeleted { topic: topic() }, "A topic was deleted."),
        (group_put(true), "A consumer group was made, by an operation or by a client."),
        (group_put(false), "A consumer group was changed."),
        (
            Event::GroupDeleted { group: group(), clean_offsets: true },
            "A consumer group was deleted, with its progress or without.",
        ),
        (Event::QuotaPut { quota: Box::new(quota) }, "A quota was set."),
        (Event::QuotaDeleted { scope: QuotaScope::Topic, name: "orders".to_owned() }, "A quota was deleted."),
        (Event::UserPut { user: user() }, "A user was made or changed. Passwords are never told."),
        (Event::UserDeleted { user: user() }, "A user was deleted, with its policies."),
        (Event::PoliciesPut { user: user(), entries: 2 }, "The policies of a user were changed."),
        (Event::Dropped { count: 17 }, "More events came at once than may wait, and so many were dropped."),
    ]
}

/// The whole page, in Markdown.
#[must_use]
pub fn page() -> String {
    let mut out = format!(
        "# Events

Made from `crates/broker/src/events`; do not edit.

What happens to a node is told as [CloudEvents 1.0](https://cloudevents.io) in structured JSON, in three ways:

- as messages of the topic `{TOPIC}`, one event each: the body is the event, the tag its type, the key its
  subject. Any consumer can read it (with access control: with the action `Sub` on the topic), and nobody but the
  node can send to it. It is kept as long as other messages are.
- as a stream of server-sent events: `GET /api/v1/events`, with `?types=` for some types only (`client` means all
  types that begin with `io.apogee.client.`) and the header `Last-Event-ID` (or `?after=`) to go on where another stream
  ended. `apogee events --follow` shows it. Nothing is held for a client that reads slowly but its place.
- by the operation `event.list`: `apogee events`, `GET /api/v1/events/recent`.

The last two need the action `Get` on the cluster, and know the newest {EVENTS_KEPT_MAX} events, also those of before a
restart. The topics that RocketMQ keeps for itself (`TBW102`, `SCHEDULE_TOPIC_XXXX`, ...) and retry topics come and go without events.

An event storm does not hurt: an event that repeats the last one about the same subject while that waits to be
written takes its place (`coalesced` counts them); {EVENTS_PER_WRITE_MAX} are written every {EVENT_GATHER_MS} ms, {EVENTS_WAITING_MAX} wait, and
what comes beyond is dropped, counted by the metric `apogee_events_dropped_total` and told by an event of its own.

"
    );
    let stamp = Stamp { start_ms: 1_767_225_600_000, number: 7, now_ms: 1_767_225_612_345, coalesced: 0 };
    for (event, text) in examples() {
        let told = cloud_event("/apogee/DefaultCluster/apogee-0", &event.told(), stamp);
        let json = serde_json::to_string_pretty(&told).expect("an event is plain data");
        let _ = write!(out, "## `{}`\n\n{text}\n\n```json\n{json}\n```\n\n", told.kind);
    }
    out.trim_end().to_owned() + "\n"
}
