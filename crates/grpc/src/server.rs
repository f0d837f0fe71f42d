//! The protocol as listeners see it: one HTTP/2 connection after another.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base::{Doors, Spawn};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use model::Engine;
use net::{Accepted, Protocol, Recognised};
use tower::Service as _;
use tracing::{debug, info};

use crate::budget::Metered;
use crate::call::{Connection, Origin};
use crate::config::GrpcConfig;
use crate::limits::{HEADER_BYTES_MAX, PENDING_RESETS_MAX, REQUEST_BYTES_MAX, STREAMS_PER_CONNECTION_MAX};
use crate::metrics::Metrics;
use crate::node::Node;
use crate::proto::messaging_service_server::MessagingServiceServer;
use crate::service::Service;

/// With this every client that knows HTTP/2 beforehand begins.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The 5.x protocol over one engine.
pub struct Grpc {
    node: Arc<Node>,
    service: MessagingServiceServer<Service>,
}

impl Grpc {
    /// Makes the protocol and starts its upkeep (renewals, lost clients), which ends when the
    /// protocol is dropped. Must be called where `doors.spawn` works.
    #[must_use]
    pub fn new(engine: Arc<dyn Engine>, config: GrpcConfig, doors: Doors, metrics: Metrics) -> Arc<Self> {
        let node = Node::new(engine, config, doors, metrics);
        node.start();
        let service =
            MessagingServiceServer::new(Service(node.clone())).max_decoding_message_size(REQUEST_BYTES_MAX);
        Arc::new(Self { node, service })
    }

    #[cfg(test)]
    pub(crate) fn node(&self) -> &Arc<Node> {
        &self.node
    }

    fn http2(&self) -> http2::Builder<Spawner> {
        let config = &self.node.config;
        let mut builder = http2::Builder::new(Spawner(self.node.doors.spawn.clone()));
        builder
            .timer(TokioTimer::new())
            .initial_stream_window_size(config.stream_window_bytes)
            .initial_connection_window_size(config.connection_window_bytes)
            .max_concurrent_streams(STREAMS_PER_CONNECTION_MAX)
            .max_pending_accept_reset_streams(PENDING_RESETS_MAX)
            .max_header_list_size(HEADER_BYTES_MAX)
            .keep_alive_interval(Duration::from_millis(config.keep_alive_ms))
            .keep_alive_timeout(Duration::from_millis(config.keep_alive_timeout_ms));
        builder
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
        let _open = self.node.metrics.connection();
        let Accepted { stream, peer, advertised, session, drain, .. } = accepted;
        let connection = Arc::new(Connection { peer, advertised, session, drain: drain.clone() });
        let service = self.service.clone();
        let incoming = self.node.incoming.clone();
        let answer = service_fn(move |request: http::Request<Incoming>| {
            let authority = request.uri().authority().cloned();
            // Telemetry lives as long as its client, so its bytes never sum up to anything.
            let counts = !request.uri().path().ends_with("/Telemetry");
            let share = if counts { incoming.take(0) } else { None };
            let mut request = request.map(|body| Metered::new(body, share));
            request.extensions_mut().insert(Origin { connection: connection.clone(), authority });
            let mut service = service.clone();
            async move { service.call(request).await }
        });
        let serving = self.http2().serve_connection(TokioIo::new(stream), answer);
        let mut serving = std::pin::pin!(serving);
        let ended = tokio::select! {
            ended = serving.as_mut() => ended,
            () = drain.requested() => {
                serving.as_mut().graceful_shutdown();
                let patience = Duration::from_millis(self.node.config.drain_ms);
                tokio::select! {
                    ended = serving.as_mut() => ended,
                    () = self.node.doors.clock.sleep(patience) => {
                        info!(%peer, "a connection was cut, because its calls took too long to end");
                        return;
                    }
                }
            }
        };
        if let Err(error) = ended {
            debug!(%peer, %error, "a connection broke off");
        }
    }
}

/// Runs hyper's tasks through the door.
#[derive(Clone)]
struct Spawner(Arc<dyn Spawn>);

impl<F> hyper::rt::Executor<F> for Spawner
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, future: F) {
        drop(self.0.spawn("grpc-call", Box::pin(future)));
    }
}
