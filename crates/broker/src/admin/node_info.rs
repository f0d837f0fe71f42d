//! `node.info`: what this node is and how far its log has come.

use model::Session;
use model::admin::{AdminError, Empty, NodeDescription, NodeInfo, RateOf};

use super::Run;
use crate::broker::Broker;

impl Run for NodeInfo {
    async fn run(broker: &Broker, _: &Session, _: Empty) -> Result<NodeDescription, AdminError> {
        let (topics, groups) = broker.state.counts();
        let space =
            broker.doors.disk.space(&broker.dir).map_err(|error| AdminError::Internal(error.to_string()))?;
        Ok(NodeDescription {
            cluster: broker.config.cluster.clone(),
            broker_name: broker.config.name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            log_start: broker.log.start().get(),
            log_end: broker.log.end().get(),
            log_committed: broker.committed().get(),
            topics: topics as u64,
            groups: groups as u64,
            started_ms: broker.started_ms(),
            disk_total_bytes: space.total_bytes,
            disk_available_bytes: space.available_bytes,
            sent: broker.traffic(RateOf::Sent),
            received: broker.traffic(RateOf::Received),
            missed: broker.traffic(RateOf::Missed),
        })
    }
}
