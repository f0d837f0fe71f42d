//! The driver of one connection: one task that reads requests, runs their calls side by side, and
//! writes their answers. No task, lock or wake-up of another stands between a request and its
//! answer.
//!
//! What calls say goes out together, once all that can run has run. Everything is bounded: the
//! number of streams bounds the calls, windows bound what each takes in, and while much waits to
//! be written nothing is read and no call goes on. A client that takes nothing of what waits for
//! it is closed by the stream below (`net`).

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use futures::StreamExt as _;
use futures::future::{AbortHandle, Abortable, BoxFuture};
use futures::stream::FuturesUnordered;
use net::{Accepted, ByteStream};
use tokio::io::AsyncWrite as _;
use tokio::sync::mpsc;
use tokio_util::io::poll_read_buf;
use tracing::{debug, info};

use crate::call::{Connection, Origin};
use crate::http2::Fault;
use crate::http2::session::{Event, Limits, Session};
use crate::limits::{
    ANSWER_BYTES_WAITING_MAX, PENDING_RESETS_MAX, STREAMS_PER_CONNECTION_MAX, TELEMETRY_BUFFER,
};
use crate::node::Node;
use crate::service::{self, Asked, Target};
use crate::wire::exchange::{Exchange, Messages, Stops};
use crate::wire::inbound::Inbound;
use crate::wire::liveness::{Liveness, Step};
use crate::wire::reply::{Reply, Work};

/// Room for one read: grows while reads fill it, so that an idle connection is small.
const READ_BYTES_MIN: usize = 4 * 1024;
const READ_BYTES_MAX: usize = 64 * 1024;
/// Calls that go on, and reads, before other connections get their turn.
const CALLS_PER_TURN_MAX: usize = 256;
const READS_PER_TURN_MAX: usize = 16;
/// A sequence is put into its stream in pieces of about so many bytes.
const PIECE_BYTES: usize = 16 * 1024;

/// Why a connection ends.
enum End {
    Closed,
    Lost(io::Error),
    Malformed(Fault),
    Silent,
    Cut,
}

/// A call and the stream that it answers.
struct Running {
    stream: u32,
    work: Work,
}

impl Future for Running {
    type Output = (u32, Reply);

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let reply = ready!(self.work.as_mut().poll(context));
        Poll::Ready((self.stream, reply))
    }
}

struct Driver {
    node: Arc<Node>,
    connection: Arc<Connection>,
    bytes: Box<dyn ByteStream>,
    inbox: BytesMut,
    read_bytes: usize,
    session: Session<Exchange>,
    events: Vec<Event>,
    running: FuturesUnordered<Abortable<Running>>,
    /// Streams whose sequences wait until something is written.
    unwritten: Vec<u32>,
    is_unflushed: bool,
    fault: Option<Fault>,
    heard: bool,
    liveness: Liveness,
    /// When the connection is looked at for signs of life.
    look: BoxFuture<'static, ()>,
    /// Ready when the server is told to stop; then when calls have had the time to end.
    drained: BoxFuture<'static, ()>,
    is_draining: bool,
}

/// Serves a connection to its end.
pub(crate) async fn serve(node: Arc<Node>, accepted: Accepted) {
    let _open = node.metrics.connection();
    let peer = accepted.peer;
    let mut driver = Driver::new(node, accepted);
    match poll_fn(|context| driver.poll(context)).await {
        End::Closed => debug!(%peer, "a connection was closed"),
        End::Lost(error) => debug!(%peer, %error, "a connection broke off"),
        End::Malformed(fault) => debug!(%peer, ?fault, "a connection was closed: the client made a mistake"),
        End::Silent => debug!(%peer, "a connection was closed: its client gave no sign of life"),
        End::Cut => info!(%peer, "a connection was cut, because its calls took too long to end"),
    }
}

impl Driver {
    fn new(node: Arc<Node>, accepted: Accepted) -> Self {
        let Accepted { stream, peer, advertised, session, certificate, drain, .. } = accepted;
        let config = &node.config;
        let limits = Limits {
            stream_window: config.stream_window_bytes,
            connection_window: config.connection_window_bytes,
            streams_max: STREAMS_PER_CONNECTION_MAX,
            resets_max: PENDING_RESETS_MAX,
        };
        let liveness = Liveness::new(
            Duration::from_millis(config.keep_alive_ms),
            Duration::from_millis(config.keep_alive_timeout_ms),
        );
        let asked = drain.clone();
        Self {
            connection: Arc::new(Connection { peer, advertised, session, certificate, drain }),
            bytes: stream,
            inbox: BytesMut::new(),
            read_bytes: READ_BYTES_MIN,
            session: Session::new(limits),
            events: Vec::new(),
            running: FuturesUnordered::new(),
            unwritten: Vec::new(),
            is_unflushed: false,
            fault: None,
            heard: false,
            look: node.doors.clock.sleep(liveness.first()),
            liveness,
            drained: Box::pin(async move { asked.requested().await }),
            is_draining: false,
            node,
        }
    }

    /// Answers first, then what comes in, which is begun at once.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<End> {
        if let Poll::Ready(end) = self.poll_time(context) {
            return Poll::Ready(end);
        }
        for _ in 0..READS_PER_TURN_MAX {
            self.advance(context);
            if let Err(error) = self.write(context) {
                return Poll::Ready(End::Lost(error));
            }
            if self.session.out.is_empty() && !self.is_unflushed {
                if let Some(fault) = self.fault {
                    return Poll::Ready(End::Malformed(fault));
                }
                if self.session.is_over() {
                    return Poll::Ready(End::Closed);
                }
            }
            if self.fault.is_some() || !self.may_work() {
                return Poll::Pending;
            }
            match ready!(self.poll_read(context)) {
                Ok(0) => return Poll::Ready(End::Closed),
                Ok(bytes) => self.on_read(bytes),
                Err(error) => return Poll::Ready(End::Lost(error)),
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    fn poll_time(&mut self, context: &mut Context<'_>) -> Poll<End> {
        while self.drained.as_mut().poll(context).is_ready() {
            if std::mem::replace(&mut self.is_draining, true) {
                return Poll::Ready(End::Cut);
            }
            self.session.leave();
            self.drained = self.node.doors.clock.sleep(Duration::from_millis(self.node.config.drain_ms));
        }
        while self.look.as_mut().poll(context).is_ready() {
            self.session.forgive();
            let pause = match self.liveness.on_time(std::mem::take(&mut self.heard)) {
                Step::Wait(pause) => pause,
                Step::Ask(pause) => {
                    self.shrink();
                    self.session.ping();
                    pause
                }
                Step::Dead => return Poll::Ready(End::Silent),
            };
            self.look = self.node.doors.clock.sleep(pause);
        }
        Poll::Pending
    }

    /// A silent connection needs no room for what it once carried.
    fn shrink(&mut self) {
        self.session.shrink();
        self.events = Vec::new();
        self.read_bytes = READ_BYTES_MIN;
        if self.inbox.is_empty() {
            self.inbox = BytesMut::new();
        }
    }

    fn may_work(&self) -> bool {
        self.session.out.len() < ANSWER_BYTES_WAITING_MAX
    }

    /// Lets calls go on until each of them waits.
    fn advance(&mut self, context: &mut Context<'_>) {
        if self.fault.is_some() {
            return;
        }
        self.on_events();
        for _ in 0..CALLS_PER_TURN_MAX {
            if !self.may_work() {
                return;
            }
            match self.running.poll_next_unpin(context) {
                Poll::Ready(Some(Ok((stream, reply)))) => {
                    self.on_reply(stream, reply);
                    self.on_events();
                }
                // Stopped.
                Poll::Ready(Some(Err(_))) => {}
                Poll::Ready(None) | Poll::Pending => return,
            }
        }
        context.waker().wake_by_ref();
    }

    fn write(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        loop {
            while !self.session.out.is_empty() {
                match Pin::new(&mut self.bytes).poll_write(context, &self.session.out) {
                    Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                    Poll::Ready(Ok(bytes)) => self.session.out.advance(bytes),
                    Poll::Ready(Err(error)) => return Err(error),
                    Poll::Pending => return Ok(()),
                }
                self.is_unflushed = true;
            }
            if self.session.out.capacity() > ANSWER_BYTES_WAITING_MAX {
                self.session.out = BytesMut::new();
            }
            for stream in std::mem::take(&mut self.unwritten) {
                self.pump(stream);
            }
            if self.session.out.is_empty() {
                break;
            }
        }
        if self.is_unflushed && Pin::new(&mut self.bytes).poll_flush(context)?.is_ready() {
            self.is_unflushed = false;
        }
        Ok(())
    }

    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.inbox.capacity() - self.inbox.len() < self.read_bytes {
            self.inbox.reserve(self.read_bytes);
        }
        poll_read_buf(Pin::new(&mut self.bytes), context, &mut self.inbox)
    }

    fn on_read(&mut self, bytes: usize) {
        self.heard = true;
        self.read_bytes = if bytes >= self.read_bytes {
            (self.read_bytes * 2).min(READ_BYTES_MAX)
        } else {
            (self.read_bytes / 2).max(READ_BYTES_MIN)
        };
        if let Err(fault) = self.session.on_bytes(&mut self.inbox, &mut self.events) {
            self.session.accuse(fault);
            self.fault = Some(fault);
        }
    }

    fn on_events(&mut self) {
        while !self.events.is_empty() {
            // What is to be done may bring about more.
            for event in std::mem::take(&mut self.events) {
                match event {
                    Event::Request { stream, head, is_complete } => {
                        let origin = Origin { connection: Arc::clone(&self.connection), head };
                        self.on_request(stream, origin, is_complete);
                    }
                    Event::Data { stream, bytes, is_complete } => self.on_data(stream, bytes, is_complete),
                    Event::Room { stream } => self.on_room(stream),
                }
            }
        }
    }

    fn on_request(&mut self, stream: u32, origin: Origin, is_complete: bool) {
        let Some(exchange) = self.session.owner(stream) else { return };
        match service::target(&origin.head) {
            Target::Unary(call) => {
                exchange.ask(Asked { call, origin }, self.node.incoming.take(0));
                if is_complete {
                    let missing = exchange.missing();
                    self.session.refuse(stream, &missing, &mut self.events);
                }
            }
            Target::Telemetry => {
                let (messages, inbound) = mpsc::channel(TELEMETRY_BUFFER);
                if !is_complete {
                    let incoming = Arc::clone(&self.node.incoming);
                    exchange.talk(Messages { to: messages, incoming });
                }
                let work = service::telemetry(Arc::clone(&self.node), origin, Inbound::new(inbound));
                self.start(stream, work);
            }
            Target::Refused(status) => self.session.refuse(stream, &status, &mut self.events),
            Target::NotGrpc(status) => self.session.http_status(stream, status.as_u16()),
        }
    }

    fn on_data(&mut self, stream: u32, bytes: Bytes, is_complete: bool) {
        let Some(exchange) = self.session.owner(stream) else { return };
        match exchange.on_data(bytes, is_complete) {
            Ok(None) => {}
            Ok(Some((asked, message))) => {
                let work = service::answer(Arc::clone(&self.node), asked, message);
                self.start(stream, work);
            }
            Err(status) => self.session.refuse(stream, &status, &mut self.events),
        }
    }

    fn on_room(&mut self, stream: u32) {
        let Some(exchange) = self.session.owner(stream) else { return };
        match exchange.paused.take() {
            Some(work) => self.start(stream, work),
            None => self.pump(stream),
        }
    }

    fn start(&mut self, stream: u32, work: Work) {
        let Some(exchange) = self.session.owner(stream) else { return };
        let (handle, registration) = AbortHandle::new_pair();
        exchange.stops = Some(Stops(handle));
        self.running.push(Abortable::new(Running { stream, work }, registration));
    }

    fn on_reply(&mut self, stream: u32, reply: Reply) {
        let Some(exchange) = self.session.owner(stream) else { return };
        match reply {
            Reply::Message(bytes) => self.session.message(stream, &bytes),
            Reply::Refused(status) => self.session.refuse(stream, &status, &mut self.events),
            Reply::Sequence(sequence) => {
                exchange.sequence = Some(sequence);
                self.pump(stream);
            }
            Reply::More(bytes, work) => {
                exchange.paused = Some(work);
                if let Some(data) = self.session.data(stream) {
                    data.extend_from_slice(&bytes);
                }
                self.session.flush(stream, &mut self.events);
            }
            Reply::End(status) => self.session.finish(stream, status.as_ref(), &mut self.events),
        }
    }

    /// Puts as much of a sequence into its stream as the client takes.
    fn pump(&mut self, stream: u32) {
        let Some(mut sequence) = self.session.owner(stream).and_then(|exchange| exchange.sequence.take())
        else {
            return;
        };
        let mut room = Vec::new();
        loop {
            let Some(data) = self.session.data(stream) else { return };
            let mut is_over = false;
            while !is_over && data.len() < PIECE_BYTES {
                is_over = !sequence.put_next(data);
            }
            if is_over {
                return self.session.finish(stream, None, &mut self.events);
            }
            room.clear();
            self.session.flush(stream, &mut room);
            let is_taken = !room.is_empty();
            if !is_taken || !self.may_work() {
                if is_taken {
                    self.unwritten.push(stream);
                }
                break;
            }
        }
        if let Some(exchange) = self.session.owner(stream) {
            exchange.sequence = Some(sequence);
        }
    }
}
