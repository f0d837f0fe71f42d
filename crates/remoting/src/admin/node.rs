//! The node and its cluster (`ClusterInfo`, `KVTable` of the runtime info).

use std::collections::BTreeMap;

use model::admin::{self, NodeDescription, NodeInfo, Pace};
use serde::Serialize;

use crate::code;
use crate::error::Failure;
use crate::handlers::route::BrokerData;
use crate::handlers::{Answer, success};
use crate::header::Fields;
use crate::json::{self, KeyValueTable};
use crate::link::Link;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ClusterInfo<'a> {
    broker_addr_table: BTreeMap<&'a str, BrokerData>,
    cluster_addr_table: BTreeMap<&'a str, Vec<&'a str>>,
}

pub(super) async fn describe(link: &Link) -> Result<NodeDescription, Failure> {
    Ok(admin::run::<NodeInfo>(link.engine(), &link.session, admin::Empty {}).await?)
}

pub(super) async fn cluster(link: &Link) -> Answer {
    let node = describe(link).await?;
    let broker = BrokerData {
        broker_addrs: BTreeMap::from([("0".to_owned(), link.session.advertised.to_string())]),
        broker_name: node.broker_name.clone(),
        cluster: node.cluster.clone(),
        enable_acting_master: false,
    };
    let info = ClusterInfo {
        broker_addr_table: BTreeMap::from([(node.broker_name.as_str(), broker)]),
        cluster_addr_table: BTreeMap::from([(node.cluster.as_str(), vec![node.broker_name.as_str()])]),
    };
    Ok(success(Fields::new(), json::write(&info)))
}

/// What tools print of a broker (`prepareRuntimeInfo`). What has no counterpart here is left out, or 0
/// where a tool would fail or print `null` without it.
pub(super) async fn runtime(link: &Link) -> Answer {
    let node = describe(link).await?;
    let mut table: BTreeMap<String, String> =
        NOT_HERE.into_iter().map(|key| (key.to_owned(), "0".to_owned())).collect();
    let mut put = |key: &str, value: String| drop(table.insert(key.to_owned(), value));
    put("brokerActive", "true".to_owned());
    put("brokerVersion", code::VERSION.to_string());
    put("brokerVersionDesc", format!("Apogee {}", node.version));
    put("bootTimestamp", node.started_ms.to_string());
    put("runtime", up_for(link.now_ms().saturating_sub(node.started_ms)));
    put("commitLogMinOffset", node.log_start.to_string());
    put("commitLogMaxOffset", node.log_end.to_string());
    put("flushedPosition", node.log_committed.to_string());
    put("commitLogDiskRatio", disk_used(&node));
    put("consumeQueueDiskRatio", disk_used(&node));
    put("topicsAndGroups", format!("{} topics, {} groups", node.topics, node.groups));
    let NodeDescription { sent, received, missed, .. } = &node;
    put("putTps", triple(sent.messages_per_second));
    put("getTransferredTps", triple(received.messages_per_second));
    put("getFoundTps", triple(received.calls_per_second));
    put("getMissTps", triple(missed.calls_per_second));
    put("getTotalTps", triple(sum(received.calls_per_second, missed.calls_per_second)));
    put("putMessageTimesTotal", sent.messages.to_string());
    put("putMessageSizeTotal", sent.bytes.to_string());
    put("putMessageAverageSize", sent.bytes.checked_div(sent.messages).unwrap_or(0).to_string());
    for (name, traffic) in [("msgPutTotal", sent), ("msgGetTotal", received)] {
        put(&format!("{name}TodayNow"), traffic.messages.to_string());
        put(&format!("{name}TodayMorning"), traffic.messages_at_midnight.to_string());
        put(&format!("{name}YesterdayMorning"), traffic.messages_at_midnight_before.to_string());
    }
    Ok(success(Fields::new(), json::write(&KeyValueTable { table })))
}

/// Requests do not wait in queues before threads here, and timers are not behind.
const NOT_HERE: [&str; 13] = [
    "ackThreadPoolQueueHeadWaitTimeMills",
    "ackThreadPoolQueueSize",
    "dispatchBehindBytes",
    "pageCacheLockTimeMills",
    "pullThreadPoolQueueHeadWaitTimeMills",
    "pullThreadPoolQueueSize",
    "sendThreadPoolQueueHeadWaitTimeMills",
    "sendThreadPoolQueueSize",
    "timerCongestNum",
    "timerDequeueTps",
    "timerEnqueueTps",
    "timerOffsetBehind",
    "timerReadBehind",
];

fn triple(pace: Pace) -> String {
    let Pace { last_10s, last_1m, last_10m } = pace;
    format!("{last_10s:?} {last_1m:?} {last_10m:?}")
}

fn sum(one: Pace, other: Pace) -> Pace {
    Pace {
        last_10s: one.last_10s + other.last_10s,
        last_1m: one.last_1m + other.last_1m,
        last_10m: one.last_10m + other.last_10m,
    }
}

fn up_for(ms: i64) -> String {
    let seconds = ms.max(0) / 1_000;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    format!("[ {days} days, {hours} hours, {minutes} minutes, {} seconds ]", seconds % 60)
}

/// Which part of the disk is used, 0 to 1.
fn disk_used(node: &NodeDescription) -> String {
    let used = node.disk_total_bytes.saturating_sub(node.disk_available_bytes);
    let in_ten_thousand = u128::from(used) * 10_000 / u128::from(node.disk_total_bytes.max(1));
    format!("{}.{:04}", in_ten_thousand / 10_000, in_ten_thousand % 10_000)
}

/// `HARuntimeInfo`
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Replicas {
    ha_connection_info: [(); 0],
    in_sync_slave_nums: u32,
    master: bool,
    master_commit_log_max_offset: u64,
}

/// `GET_BROKER_HA_STATUS`: a group of one.
pub(super) async fn replicas(link: &Link) -> Answer {
    let node = describe(link).await?;
    let body = Replicas {
        ha_connection_info: [],
        in_sync_slave_nums: 0,
        master: true,
        master_commit_log_max_offset: node.log_end,
    };
    Ok(success(Fields::new(), json::write(&body)))
}
