//! The node and its cluster (`ClusterInfo`, `KVTable` of the runtime info).

use std::collections::BTreeMap;

use model::admin::{self, NodeDescription, NodeInfo};
use serde::Serialize;

use crate::code::{self, response};
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

async fn describe(link: &Link) -> Result<NodeDescription, Failure> {
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

/// What tools print of a broker; what we do not measure here is left out.
pub(super) async fn runtime(link: &Link) -> Answer {
    let node = describe(link).await?;
    let entry = |key: &str, value: String| (key.to_owned(), value);
    let table = BTreeMap::from([
        entry("brokerActive", "true".to_owned()),
        entry("brokerVersion", code::VERSION.to_string()),
        entry("brokerVersionDesc", format!("Apogee {}", node.version)),
        entry("commitLogMinOffset", node.log_start.to_string()),
        entry("commitLogMaxOffset", node.log_end.to_string()),
        entry("flushedPosition", node.log_committed.to_string()),
        entry("getTotalTps", "0.0 0.0 0.0".to_owned()),
        entry("putTps", "0.0 0.0 0.0".to_owned()),
        entry("runtime", format!("{} topics, {} groups", node.topics, node.groups)),
    ]);
    Ok(success(Fields::new(), json::write(&KeyValueTable { table })))
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

/// Properties text, the few that tools look at.
pub(super) async fn config(link: &Link) -> Answer {
    let node = describe(link).await?;
    let at = &link.session.advertised;
    let text = format!(
        "brokerClusterName={}\nbrokerId=0\nbrokerIP1={}\nbrokerName={}\nlistenPort={}\n",
        node.cluster, at.host, node.broker_name, at.port
    );
    let fields = Fields::new().with("version", r#"{"counter":0,"stateVersion":0,"timestamp":0}"#);
    Ok(success(fields, text.into()))
}

pub(super) fn update_config() -> Answer {
    let remark = "settings are read from the configuration file at start: change them there";
    Err(Failure::new(response::NO_PERMISSION, remark))
}
