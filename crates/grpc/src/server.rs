//! The protocol as listeners see it: one HTTP/2 connection after another.

use std::sync::Arc;

use async_trait::async_trait;
use base::{Budget, Doors};
use model::Engine;
use model::access::Authenticate;
use net::{Accepted, Protocol, Recognised};

use crate::config::GrpcConfig;
use crate::http2::frame::PREFACE;
use crate::metrics::Metrics;
use crate::node::Node;
use crate::wire::connection;

/// The 5.x protocol over one engine.
pub struct Grpc {
    node: Arc<Node>,
}

impl Grpc {
    /// Makes the protocol and starts its upkeep (renewals, lost clients), which ends when the
    /// protocol is dropped. Must be called where `doors.spawn` works.
    #[must_use]
    pub fn new(
        engine: Arc<dyn Engine>,
        auth: Arc<dyn Authenticate>,
        config: GrpcConfig,
        doors: Doors,
        metrics: Metrics,
    ) -> Arc<Self> {
        let node = Node::new(engine, auth, config, doors, metrics);
        node.start();
        Arc::new(Self { node })
    }

    /// Bytes of requests that are coming in, and of messages that clients have not taken.
    #[must_use]
    pub fn budgets(&self) -> (&Arc<Budget>, &Arc<Budget>) {
        (&self.node.incoming, &self.node.outgoing)
    }

    #[cfg(test)]
    pub(crate) fn node(&self) -> &Arc<Node> {
        &self.node
    }
}

#[async_trait]
impl Protocol for Grpc {
    fn name(&self) -> &'static str {
        crate::NAME
    }

    fn recognises(&self, first_bytes: &[u8]) -> Recognised {
        if first_bytes.starts_with(PREFACE) {
            Recognised::Yes
        } else if PREFACE.starts_with(first_bytes) {
            Recognised::NeedMore
        } else {
            Recognised::No
        }
    }

    async fn serve(self: Arc<Self>, accepted: Accepted) {
        connection::serve(Arc::clone(&self.node), accepted).await;
    }
}
