//! `node.writes`: whether routes send producers to this node.

use std::sync::atomic::Ordering;

use model::Session;
use model::admin::{AdminError, NodeWrites, NodeWritesPut, NodeWritesRequest};

use super::Run;
use crate::broker::Broker;

impl Run for NodeWritesPut {
    async fn run(broker: &Broker, _: &Session, request: NodeWritesRequest) -> Result<NodeWrites, AdminError> {
        let before = broker.routes_writes.swap(request.allowed, Ordering::Relaxed);
        let (topics, _) = broker.state.counts();
        Ok(NodeWrites { topics: if before == request.allowed { 0 } else { topics as u64 } })
    }
}
