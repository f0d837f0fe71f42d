//! The driver of one connection: one task that reads requests, runs them side by side, and
//! writes their answers, notices and our own requests.
//!
//! ```text
//! bytes -> inbox -> frames -> running (handlers) -> out -> bytes
//!                                 outbox (notices) ---^
//! ```
//! Requests start in the order in which they came and end as they will. Everything is bounded:
//! while too much runs or waits to be written, nothing is read; a client that takes nothing of
//! what waits for it is closed. No task, lock or channel stands between a request and its answer.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use base::Share;
use bytes::BytesMut;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use net::{Accepted, ByteStream};
use tokio::io::{AsyncReadExt, ReadHalf, WriteHalf};
use tokio::sync::{mpsc, oneshot};

use crate::code::response;
use crate::error::Failure;
use crate::frame::{self, Command, FrameError};
use crate::handlers::{self, Work};
use crate::limits::{
    ANSWER_BYTES_WAITING_MAX, CALLS_WAITING_MAX, REQUEST_BYTES_IN_FLIGHT_MAX, REQUESTS_HELD_MAX,
    REQUESTS_IN_FLIGHT_MAX, ROOM_LOOK_MS,
};
use crate::link::{Caller, Link};
use crate::out::OutQueue;
use crate::outbox::{Outbox, Push};
use crate::server::Remoting;
use crate::under_way::{Done, Running, UnderWay};

/// Room for one read: grows while reads fill it, so that an idle connection is small.
const READ_BYTES_MIN: usize = 4 * 1024;
const READ_BYTES_MAX: usize = 64 * 1024;
const ROOM_LOOK: Duration = Duration::from_millis(ROOM_LOOK_MS);
/// Requests that are finished before others get their turn.
const PUMP_MAX: usize = 256;

/// Why a connection ends.
enum End {
    Closed,
    Idle,
    Stalled,
    Drained,
    Malformed(FrameError),
}

struct Driver {
    link: Arc<Link>,
    inbox: BytesMut,
    read_bytes: usize,
    /// Room for a large frame that is coming in, and for the answers in `out`.
    coming: Share,
    waiting: Share,
    /// There is no room for the frame that is coming in.
    is_short: bool,
    running: UnderWay,
    running_bytes: usize,
    held: usize,
    out: OutQueue,
    pushes: mpsc::Receiver<Push>,
    /// Our requests that the client has not answered, by number.
    calls: HashMap<i32, oneshot::Sender<Command>>,
    next_opaque: i32,
    last_moved: Duration,
    last_taken: Duration,
    /// Set when a drain was requested or the client has closed its side: when to give up.
    ending: Option<Ending>,
    /// Nothing can be written any more.
    lost: bool,
}

#[derive(Clone, Copy)]
struct Ending {
    /// Not before this, so that the client hears of it.
    linger_until: Duration,
    give_up_at: Duration,
    client_gone: bool,
}

/// Serves a connection to its end.
pub(crate) async fn serve(server: Arc<Remoting>, accepted: Accepted) {
    let Accepted { stream, peer, advertised, session, certificate, drain, .. } = accepted;
    let (outbox, pushes) = Outbox::new(Arc::clone(&server.doors.clock));
    let caller = Caller { id: session, peer, advertised, certificate };
    let link = Link::new(Arc::clone(&server), caller, outbox, drain);
    server.metrics.opened();
    let (reader, writer) = tokio::io::split(stream);
    let mut driver = Driver::new(Arc::clone(&link), pushes);
    let end = driver.run(reader, writer).await;
    drop(driver);
    link.close();
    server.metrics.closed();
    match end {
        End::Closed | End::Drained => tracing::debug!(%peer, "connection closed"),
        End::Idle => tracing::debug!(%peer, "connection closed: nothing moved on it"),
        End::Stalled => {
            server.metrics.was_stalled();
            tracing::info!(%peer, "connection closed: the client does not read its answers");
        }
        End::Malformed(error) => {
            server.metrics.was_malformed();
            tracing::info!(%peer, %error, "connection closed: malformed frame");
        }
    }
}

async fn pause(link: &Link) {
    link.server.doors.clock.sleep(ROOM_LOOK).await;
}

impl Driver {
    fn new(link: Arc<Link>, pushes: mpsc::Receiver<Push>) -> Self {
        let now = link.server.doors.clock.monotonic();
        let (coming, waiting) = (link.server.incoming.empty_share(), link.server.outgoing.empty_share());
        Self {
            link,
            inbox: BytesMut::new(),
            read_bytes: READ_BYTES_MIN,
            coming,
            waiting,
            is_short: false,
            running: UnderWay::default(),
            running_bytes: 0,
            held: 0,
            out: OutQueue::default(),
            pushes,
            calls: HashMap::new(),
            next_opaque: 0,
            last_moved: now,
            last_taken: now,
            ending: None,
            lost: false,
        }
    }

    async fn run(
        &mut self,
        mut reader: ReadHalf<Box<dyn ByteStream>>,
        mut writer: WriteHalf<Box<dyn ByteStream>>,
    ) -> End {
        let link = Arc::clone(&self.link);
        let mut drained = std::pin::pin!(link.drained());
        let mut tick = self.tick();
        loop {
            if let Err(error) = self.start_requests() {
                return End::Malformed(error);
            }
            self.pump();
            if let Some(end) = self.ended() {
                return end;
            }
            self.make_room();
            let may_read = self.may_start() && !self.client_gone() && !self.is_short;
            let may_work = self.may_work();
            tokio::select! {
                read = reader.read_buf(&mut self.inbox), if may_read => match read {
                    Ok(0) => tick = self.on_client_gone(),
                    Ok(bytes) => self.on_read(bytes),
                    Err(error) => tick = self.on_lost(&error),
                },
                Some(done) = self.running.next(), if may_work && !self.running.is_empty() => self.on_done(done),
                Some(push) = self.pushes.recv(), if may_work => self.on_push(push),
                written = self.out.write_some(&mut writer), if !self.out.is_empty() => match written {
                    Ok(_) => self.on_written(),
                    Err(error) => tick = self.on_lost(&error),
                },
                () = pause(&link), if self.is_short => {}
                () = &mut drained, if self.ending.is_none() => tick = self.on_drain(),
                () = &mut tick => {
                    tick = self.tick();
                    if let Some(end) = self.on_tick() {
                        return end;
                    }
                }
            }
        }
    }

    fn now(&self) -> Duration {
        self.link.server.doors.clock.monotonic()
    }

    /// Often enough to keep the shortest of our promises.
    fn tick(&self) -> BoxFuture<'static, ()> {
        let config = &self.link.server.config;
        let shortest =
            if self.ending.is_some() { config.drain_ms } else { config.idle_ms.min(config.stall_ms) };
        let period = Duration::from_millis((shortest / 4).clamp(10, 10_000));
        self.link.server.doors.clock.sleep(period)
    }

    fn client_gone(&self) -> bool {
        self.ending.is_some_and(|ending| ending.client_gone)
    }

    /// While its client has something to take, a connection adds no more to what memory allows for all.
    fn may_work(&self) -> bool {
        self.out.is_empty()
            || (self.out.bytes() < ANSWER_BYTES_WAITING_MAX && !self.link.server.outgoing.is_used_up())
    }

    fn may_start(&self) -> bool {
        self.may_work()
            && self.running_bytes < REQUEST_BYTES_IN_FLIGHT_MAX
            && self.running.len() - self.held < REQUESTS_IN_FLIGHT_MAX
    }

    /// A large frame gets all of its room before it is read on, so that two that come in at the
    /// same time never wait for each other.
    fn make_room(&mut self) {
        let awaited = frame::awaited(&self.inbox);
        if awaited <= READ_BYTES_MAX {
            self.coming.set(0);
            self.is_short = false;
        } else if self.coming.bytes() < awaited {
            let more = awaited - self.coming.bytes();
            let was_short = std::mem::replace(&mut self.is_short, !self.coming.grow(more));
            if !self.is_short {
                self.inbox.reserve(awaited.saturating_sub(self.inbox.len()));
            } else if !was_short {
                self.link.server.metrics.was_short();
            }
        }
        if self.inbox.capacity() - self.inbox.len() < self.read_bytes {
            self.inbox.reserve(self.read_bytes);
        }
    }

    fn on_read(&mut self, bytes: usize) {
        self.last_moved = self.now();
        self.read_bytes = if bytes >= self.read_bytes {
            (self.read_bytes * 2).min(READ_BYTES_MAX)
        } else {
            (self.read_bytes / 2).max(READ_BYTES_MIN)
        };
    }

    fn start_requests(&mut self) -> Result<(), FrameError> {
        let is_draining = self.link.is_draining();
        while self.may_start() {
            match frame::decode(&mut self.inbox)? {
                Some(command) if command.is_response() => self.on_answer(command),
                Some(command) => self.on_request(command, is_draining),
                None => break,
            }
        }
        Ok(())
    }

    fn on_answer(&mut self, command: Command) {
        if let Some(waiting) = self.calls.remove(&command.opaque) {
            // The asker may have given up.
            let _ = waiting.send(command);
        }
    }

    fn on_request(&mut self, request: Command, is_draining: bool) {
        self.link.server.metrics.requested();
        self.link.outbox.saw_version(request.version);
        if is_draining && self.link.outbox.understands_go_away() && !request.is_oneway() {
            return self.send(handlers::refuse(request.opaque, Failure::go_away()));
        }
        let held = handlers::waits(request.code);
        if held && self.held >= REQUESTS_HELD_MAX {
            let busy =
                Failure::new(response::SYSTEM_BUSY, "too many requests of this connection wait for messages");
            return self.send(handlers::refuse(request.opaque, busy));
        }
        if held && self.link.server.outgoing.is_used_up() {
            let busy = Failure::new(
                response::SYSTEM_BUSY,
                "clients have yet to take as many bytes of answers as memory allows: try again later",
            );
            return self.send(handlers::refuse(request.opaque, busy));
        }
        let body_bytes = request.body.len();
        self.running_bytes += body_bytes;
        self.held += usize::from(held);
        let Work { in_turn, answer } = handlers::handle(&self.link, request);
        let running = Running { work: answer, body_bytes, held };
        if in_turn && self.running.has_new() {
            // What came before it begins before it.
            self.pump();
        }
        if !in_turn {
            self.running.other(running);
        } else if let Some(done) = self.running.in_turn(running) {
            self.on_done(done);
        }
    }

    /// Starts what is new and takes what is finished, without waiting.
    fn pump(&mut self) {
        for _ in 0..PUMP_MAX {
            if !self.may_work() {
                return;
            }
            match self.running.next().now_or_never() {
                Some(Some(done)) => self.on_done(done),
                Some(None) | None => break,
            }
        }
        while self.may_work() {
            match self.pushes.try_recv() {
                Ok(push) => self.on_push(push),
                Err(_) => return,
            }
        }
    }

    fn on_done(&mut self, done: Done) {
        self.running_bytes = self.running_bytes.saturating_sub(done.body_bytes);
        self.held -= usize::from(done.held);
        let Some(answer) = done.answer else { return };
        if answer.code == response::GO_AWAY && !self.link.outbox.understands_go_away() {
            return;
        }
        if answer.remark.is_some() && answer.code != response::SUCCESS {
            self.link.server.metrics.failed();
        }
        self.send(answer);
    }

    fn on_push(&mut self, push: Push) {
        self.next_opaque = self.next_opaque.wrapping_add(1) & i32::MAX;
        let opaque = self.next_opaque;
        match push {
            Push::Tell(command) => self.send(Command { opaque, ..command }),
            Push::Ask(command, waiting) => {
                if self.calls.len() >= CALLS_WAITING_MAX {
                    self.calls.retain(|_, waiting| !waiting.is_closed());
                }
                if self.calls.len() < CALLS_WAITING_MAX {
                    self.calls.insert(opaque, waiting);
                    self.send(Command { opaque, ..command });
                }
            }
        }
    }

    fn send(&mut self, command: Command) {
        if self.lost {
            return;
        }
        if self.out.is_empty() {
            self.last_taken = self.now();
        }
        self.out.push(command);
        self.waiting.set(self.out.bytes());
    }

    fn on_written(&mut self) {
        self.waiting.set(self.out.bytes());
        let now = self.now();
        self.last_moved = now;
        self.last_taken = now;
    }

    /// What runs still ends: a client may send its last words and close at once.
    fn on_client_gone(&mut self) -> BoxFuture<'static, ()> {
        let now = self.now();
        let give_up_at = now + Duration::from_millis(self.link.server.config.stall_ms);
        self.ending = Some(Ending { linger_until: now, give_up_at, client_gone: true });
        self.tick()
    }

    fn on_lost(&mut self, error: &io::Error) -> BoxFuture<'static, ()> {
        tracing::debug!(peer = %self.link.session.peer, %error, "connection lost");
        self.lost = true;
        self.out = OutQueue::default();
        self.waiting.set(0);
        self.on_client_gone()
    }

    fn on_drain(&mut self) -> BoxFuture<'static, ()> {
        let now = self.now();
        let grace = Duration::from_millis(self.link.server.config.drain_ms);
        let linger = if self.link.outbox.understands_go_away() { grace } else { Duration::ZERO };
        self.ending =
            Some(Ending { linger_until: now + linger, give_up_at: now + grace * 5, client_gone: false });
        self.tick()
    }

    fn ended(&self) -> Option<End> {
        let ending = self.ending?;
        let end = || if ending.client_gone { End::Closed } else { End::Drained };
        // Who is gone does not wait for messages any more.
        let held = if ending.client_gone { self.held } else { 0 };
        let quiet = self.running.len() == held && self.out.is_empty();
        let now = self.now();
        ((quiet && now >= ending.linger_until) || now >= ending.give_up_at).then(end)
    }

    fn on_tick(&self) -> Option<End> {
        let config = &self.link.server.config;
        let now = self.now();
        if !self.out.is_empty()
            && now.saturating_sub(self.last_taken) >= Duration::from_millis(config.stall_ms)
        {
            return Some(End::Stalled);
        }
        let idle = now.saturating_sub(self.last_moved) >= Duration::from_millis(config.idle_ms);
        idle.then_some(End::Idle)
    }
}

#[cfg(test)]
mod tests;
