//! The driver of one connection: one task that reads requests, runs their calls side by side, and
//! writes their answers. No task, lock or wake-up of another stands between a request and its
//! answer.
//!
//! What calls have written goes out together, once all that can run has run. The number of streams
//! bounds the calls; windows bound what each takes in, and a client that takes nothing of what
//! waits for it is closed by the stream below (`net`).

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use h2::server::{self, Builder, SendResponse};
use h2::{Ping, PingPong, RecvStream};
use http::Request;
use net::Accepted;
use tracing::{debug, info};

use crate::call::{Connection, Origin};
use crate::config::GrpcConfig;
use crate::limits::{HEADER_BYTES_MAX, PENDING_RESETS_MAX, STREAMS_PER_CONNECTION_MAX};
use crate::node::Node;
use crate::service::{self, Asked};
use crate::wire::liveness::{Liveness, Step};
use crate::wire::responder::Responder;
use crate::wire::watched::{Heard, Watched};

/// Requests taken, and calls ended, before other connections get their turn.
const TURN_MAX: usize = 256;

/// Why a connection ends.
enum End {
    Closed,
    Broken(h2::Error),
    Silent,
    Cut,
}

struct Driver {
    node: Arc<Node>,
    connection: Arc<Connection>,
    transport: server::Connection<Watched, Bytes>,
    pings: Option<PingPong>,
    running: FuturesUnordered<BoxFuture<'static, ()>>,
    liveness: Liveness,
    heard: Heard,
    /// When the connection is looked at for signs of life.
    look: BoxFuture<'static, ()>,
    /// Ready when the server is told to stop; then when calls have had the time to end.
    drained: BoxFuture<'static, ()>,
    draining: bool,
}

/// Serves a connection to its end.
pub(crate) async fn serve(node: Arc<Node>, accepted: Accepted) {
    let _open = node.metrics.connection();
    let Accepted { stream, peer, advertised, session, drain, .. } = accepted;
    let (stream, heard) = Watched::new(stream);
    let mut transport = match builder(&node.config).handshake(stream).await {
        Ok(transport) => transport,
        Err(error) => return debug!(%peer, %error, "a connection broke off before its first call"),
    };
    let liveness = Liveness::new(
        Duration::from_millis(node.config.keep_alive_ms),
        Duration::from_millis(node.config.keep_alive_timeout_ms),
    );
    let asked = drain.clone();
    let mut driver = Driver {
        pings: transport.ping_pong(),
        transport,
        running: FuturesUnordered::new(),
        heard,
        look: node.doors.clock.sleep(liveness.first()),
        liveness,
        drained: Box::pin(async move { asked.requested().await }),
        draining: false,
        connection: Arc::new(Connection { peer, advertised, session, drain }),
        node,
    };
    match poll_fn(|context| driver.poll(context)).await {
        End::Closed => debug!(%peer, "a connection was closed"),
        End::Broken(error) => debug!(%peer, %error, "a connection broke off"),
        End::Silent => debug!(%peer, "a connection was closed: its client gave no sign of life"),
        End::Cut => info!(%peer, "a connection was cut, because its calls took too long to end"),
    }
}

fn builder(config: &GrpcConfig) -> Builder {
    let mut builder = Builder::new();
    builder
        .initial_window_size(config.stream_window_bytes)
        .initial_connection_window_size(config.connection_window_bytes)
        .max_concurrent_streams(STREAMS_PER_CONNECTION_MAX)
        .max_pending_accept_reset_streams(PENDING_RESETS_MAX)
        .max_header_list_size(HEADER_BYTES_MAX);
    builder
}

impl Driver {
    /// Answers first, because reading writes what waits; then what came, which is begun at once.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<End> {
        if let Poll::Ready(end) = self.poll_time(context) {
            return Poll::Ready(end);
        }
        self.advance(context);
        loop {
            match self.accept(context) {
                Poll::Ready(Some(end)) => return Poll::Ready(end),
                Poll::Ready(None) => self.advance(context),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn poll_time(&mut self, context: &mut Context<'_>) -> Poll<End> {
        while self.drained.as_mut().poll(context).is_ready() {
            if self.draining {
                return Poll::Ready(End::Cut);
            }
            self.draining = true;
            self.transport.graceful_shutdown();
            self.drained = self.node.doors.clock.sleep(Duration::from_millis(self.node.config.drain_ms));
        }
        while self.look.as_mut().poll(context).is_ready() {
            let pause = match self.liveness.on_time(self.heard.take()) {
                Step::Wait(pause) => pause,
                Step::Ask(pause) => {
                    self.ask(context);
                    pause
                }
                Step::Dead => return Poll::Ready(End::Silent),
            };
            self.look = self.node.doors.clock.sleep(pause);
        }
        Poll::Pending
    }

    fn ask(&mut self, context: &mut Context<'_>) {
        let Some(pings) = &mut self.pings else { return };
        // Takes the answer to an earlier one; any byte is a sign of life, so that is all.
        let _ = pings.poll_pong(context);
        if let Err(error) = pings.send_ping(Ping::opaque()) {
            debug!(peer = %self.connection.peer, %error, "a ping could not be sent");
        }
    }

    /// Lets the calls run until each of them waits.
    fn advance(&mut self, context: &mut Context<'_>) {
        for _ in 0..TURN_MAX {
            match self.running.poll_next_unpin(context) {
                Poll::Ready(Some(())) => {}
                Poll::Ready(None) | Poll::Pending => return,
            }
        }
        context.waker().wake_by_ref();
    }

    /// Writes what waits, reads what is there and begins the calls of new requests. Ready with
    /// nothing: there are new calls.
    fn accept(&mut self, context: &mut Context<'_>) -> Poll<Option<End>> {
        let mut is_new = false;
        for _ in 0..TURN_MAX {
            match self.transport.poll_accept(context) {
                Poll::Ready(Some(Ok((request, respond)))) => {
                    self.begin(request, respond);
                    is_new = true;
                }
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(End::Broken(error))),
                Poll::Ready(None) => return Poll::Ready(Some(End::Closed)),
                Poll::Pending if is_new => return Poll::Ready(None),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(None)
    }

    fn begin(&mut self, request: Request<RecvStream>, respond: SendResponse<Bytes>) {
        let (head, body) = request.into_parts();
        let origin = Origin {
            connection: Arc::clone(&self.connection),
            authority: head.uri.authority().cloned(),
            headers: head.headers,
        };
        let asked = Asked { method: &head.method, path: head.uri.path(), origin, body };
        self.running.push(service::answer(&self.node, asked, Responder::new(respond)));
    }
}
