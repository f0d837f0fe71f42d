//! A connection's streams and windows: frames in, events out; answers in, frames out.
//!
//! ```text
//! HEADERS -> Request        message, data + finish, refuse -> HEADERS DATA* HEADERS
//! DATA    -> Data
//! RST_STREAM, a full answer: the stream and what its owner keeps with it are dropped
//! WINDOW_UPDATE -> waiting data, then Room
//! ```
//! Invariants: a stream is in the table until its answer is written or its client gives it up; no
//! byte is written beyond a window; what waits in a stream waits in order.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use hashbrown::HashMap;
use tonic::{Code, Status};

use crate::http2::Fault;
use crate::http2::frame::{self, Frame, PAYLOAD_BYTES_MAX, PREFACE, flag, kind, setting};
use crate::http2::hpack::{Decoder, Head};
use crate::http2::stream::{Stream, WINDOW_BYTES};
use crate::limits::{EMPTY_FRAMES_MAX, HEADER_BYTES_MAX, STATUS_TEXT_BYTES_MAX};

const WINDOW_BYTES_MAX: i64 = 0x7FFF_FFFF;
const STREAM_MAX: u32 = 0x7FFF_FFFF;
/// Compressed headers are smaller than plain ones, but for pathological ones.
const BLOCK_BYTES_MAX: usize = 2 * HEADER_BYTES_MAX as usize;
/// The status of HTTP for it.
const HEADERS_TOO_LARGE: u16 = 431;
/// The ping whose answer says that the client knows of our leaving.
const DRAIN_PING: [u8; 8] = *b"draining";
const LIFE_PING: [u8; 8] = *b"anybody?";

/// `:status: 200`, `content-type: application/grpc`.
const HEAD: &[u8] = b"\x88\x0f\x10\x10application/grpc";
/// `grpc-status: 0`.
const TRAILERS_OK: &[u8] = b"\x00\x0bgrpc-status\x010";

#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) stream_window: u32,
    pub(crate) connection_window: u32,
    pub(crate) streams_max: u32,
    /// Requests taken back before they could be begun.
    pub(crate) resets_max: usize,
}

#[derive(Debug)]
pub(crate) enum Event {
    Request {
        stream: u32,
        head: Box<Head>,
        is_complete: bool,
    },
    Data {
        stream: u32,
        bytes: Bytes,
        is_complete: bool,
    },
    /// Nothing of the stream waits any more: it takes more.
    Room {
        stream: u32,
    },
}

/// Headers that come in several frames.
struct Block {
    stream: u32,
    is_complete: bool,
    bytes: BytesMut,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leaving {
    No,
    /// The client is told, and may not know it yet.
    Told,
    /// What begins now is not answered.
    Known,
}

pub(crate) struct Session<T> {
    limits: Limits,
    /// What is to be written.
    pub(crate) out: BytesMut,
    hpack: Decoder,
    streams: HashMap<u32, Stream<T>>,
    /// The newest stream.
    last: u32,
    /// The newest stream before the bytes at hand.
    last_before: u32,
    block: Option<Block>,
    receive_window: i64,
    received: u32,
    send_window: i64,
    /// Where streams' windows begin.
    first_send_window: i64,
    /// Streams that wait for the connection's window.
    listed: Vec<u32>,
    empty_frames: usize,
    resets: usize,
    leaving: Leaving,
    peer_leaves: bool,
    has_begun: bool,
}

impl<T: Default> Session<T> {
    pub(crate) fn new(limits: Limits) -> Self {
        let mut it = Self {
            limits,
            out: BytesMut::new(),
            hpack: Decoder::default(),
            streams: HashMap::new(),
            last: 0,
            last_before: 0,
            block: None,
            receive_window: i64::from(limits.connection_window).max(WINDOW_BYTES),
            received: 0,
            send_window: WINDOW_BYTES,
            first_send_window: WINDOW_BYTES,
            listed: Vec::new(),
            empty_frames: 0,
            resets: 0,
            leaving: Leaving::No,
            peer_leaves: false,
            has_begun: false,
        };
        it.introduce();
        it
    }

    fn introduce(&mut self) {
        let settings = [
            (setting::STREAMS_MAX, self.limits.streams_max),
            (setting::WINDOW_BYTES, self.limits.stream_window),
            (setting::HEADER_BYTES, HEADER_BYTES_MAX),
        ];
        frame::put_head(&mut self.out, settings.len() * 6, kind::SETTINGS, 0, 0);
        for (id, value) in settings {
            self.out.put_u16(id);
            self.out.put_u32(value);
        }
        let more = i64::from(self.limits.connection_window) - WINDOW_BYTES;
        if let Some(more) = u32::try_from(more).ok().filter(|more| *more > 0) {
            frame::put_window_update(&mut self.out, 0, more);
        }
    }

    /// Takes what is whole off `inbox`. After a fault nothing more may be taken.
    pub(crate) fn on_bytes(&mut self, inbox: &mut BytesMut, events: &mut Vec<Event>) -> Result<(), Fault> {
        if !self.has_begun {
            let known = PREFACE.len().min(inbox.len());
            if inbox.get(..known) != PREFACE.get(..known) {
                return Err(Fault::PROTOCOL);
            }
            if known < PREFACE.len() {
                return Ok(());
            }
            inbox.advance(PREFACE.len());
            self.has_begun = true;
        }
        self.last_before = self.last;
        while let Some(frame) = frame::take(inbox)? {
            self.on_frame(frame, events)?;
        }
        Ok(())
    }

    fn on_frame(&mut self, frame: Frame, events: &mut Vec<Event>) -> Result<(), Fault> {
        let continues = |block: &Block| frame.kind == kind::CONTINUATION && frame.stream == block.stream;
        if self.block.as_ref().is_some_and(|block| !continues(block)) {
            return Err(Fault::PROTOCOL);
        }
        match frame.kind {
            kind::DATA => self.on_data(frame, events),
            kind::HEADERS => self.on_headers(frame, events),
            kind::CONTINUATION => self.on_continuation(&frame, events),
            kind::PRIORITY => expect(&frame, 5, frame.stream != 0),
            kind::RST_STREAM => self.on_reset(&frame),
            kind::SETTINGS => self.on_settings(&frame, events),
            kind::PUSH_PROMISE => Err(Fault::PROTOCOL),
            kind::PING => self.on_ping(&frame),
            kind::GOAWAY => {
                self.peer_leaves = true;
                Ok(())
            }
            kind::WINDOW_UPDATE => self.on_window(&frame, events),
            _ => Ok(()),
        }
    }

    fn on_data(&mut self, frame: Frame, events: &mut Vec<Event>) -> Result<(), Fault> {
        let (id, is_complete) = (frame.stream, frame.has(flag::END_STREAM));
        let taken = u32::try_from(frame.payload.len()).unwrap_or(u32::MAX);
        let bytes = frame.content()?;
        self.count_empty(bytes.is_empty() && !is_complete)?;
        self.receive_window -= i64::from(taken);
        if self.receive_window < 0 {
            return Err(Fault::FLOW_CONTROL);
        }
        self.received += taken;
        if self.received >= self.limits.connection_window / 2 {
            self.receive_window += i64::from(self.received);
            frame::put_window_update(&mut self.out, 0, std::mem::take(&mut self.received));
        }
        let Some(stream) = self.streams.get_mut(&id) else { return self.expect_known(id) };
        stream.receive_window -= i64::from(taken);
        if stream.is_complete || stream.receive_window < 0 {
            let why = if stream.is_complete { Fault::CLOSED } else { Fault::FLOW_CONTROL };
            self.give_up(id, why);
            return Ok(());
        }
        stream.is_complete = is_complete;
        stream.received += taken;
        if !is_complete && stream.received >= self.limits.stream_window / 2 {
            stream.receive_window += i64::from(stream.received);
            frame::put_window_update(&mut self.out, id, std::mem::take(&mut stream.received));
        }
        events.push(Event::Data { stream: id, bytes, is_complete });
        Ok(())
    }

    fn count_empty(&mut self, is_empty: bool) -> Result<(), Fault> {
        self.empty_frames = if is_empty { self.empty_frames + 1 } else { 0 };
        if self.empty_frames > EMPTY_FRAMES_MAX { Err(Fault::CALM) } else { Ok(()) }
    }

    /// Of a stream that has ended all may still come; of one that has not begun nothing.
    const fn expect_known(&self, id: u32) -> Result<(), Fault> {
        if id == 0 || id > self.last { Err(Fault::PROTOCOL) } else { Ok(()) }
    }

    fn on_headers(&mut self, frame: Frame, events: &mut Vec<Event>) -> Result<(), Fault> {
        if frame.stream.is_multiple_of(2) {
            return Err(Fault::PROTOCOL);
        }
        let (stream, is_complete) = (frame.stream, frame.has(flag::END_STREAM));
        let is_whole = frame.has(flag::END_HEADERS);
        let content = frame.content()?;
        if is_whole {
            return self.on_block(stream, is_complete, &content, events);
        }
        self.block = Some(Block { stream, is_complete, bytes: BytesMut::from(content) });
        Ok(())
    }

    fn on_continuation(&mut self, frame: &Frame, events: &mut Vec<Event>) -> Result<(), Fault> {
        let mut block = self.block.take().ok_or(Fault::PROTOCOL)?;
        self.count_empty(frame.payload.is_empty())?;
        block.bytes.extend_from_slice(&frame.payload);
        if block.bytes.len() > BLOCK_BYTES_MAX {
            return Err(Fault::CALM);
        }
        if frame.has(flag::END_HEADERS) {
            return self.on_block(block.stream, block.is_complete, &block.bytes, events);
        }
        self.block = Some(block);
        Ok(())
    }

    fn on_block(
        &mut self,
        id: u32,
        is_complete: bool,
        block: &[u8],
        events: &mut Vec<Event>,
    ) -> Result<(), Fault> {
        let head = self.hpack.decode(block)?;
        if let Some(stream) = self.streams.get_mut(&id) {
            // The client's trailers.
            if !is_complete || stream.is_complete {
                return Err(Fault::PROTOCOL);
            }
            stream.is_complete = true;
            events.push(Event::Data { stream: id, bytes: Bytes::new(), is_complete });
            return Ok(());
        }
        if id <= self.last {
            return Ok(());
        }
        self.last = id;
        if self.leaving == Leaving::Known || self.streams.len() >= self.limits.streams_max as usize {
            frame::put_reset(&mut self.out, id, Fault::REFUSED);
            return Ok(());
        }
        let (ours, theirs) = (i64::from(self.limits.stream_window).max(WINDOW_BYTES), self.first_send_window);
        self.streams.insert(id, Stream::new(T::default(), ours, theirs, is_complete));
        if head.is_too_large() {
            self.http_status(id, HEADERS_TOO_LARGE);
        } else {
            events.push(Event::Request { stream: id, head: Box::new(head), is_complete });
        }
        Ok(())
    }

    fn on_reset(&mut self, frame: &Frame) -> Result<(), Fault> {
        expect(frame, 4, frame.stream != 0)?;
        self.expect_known(frame.stream)?;
        if self.streams.remove(&frame.stream).is_some() && frame.stream > self.last_before {
            self.resets += 1;
            if self.resets > self.limits.resets_max {
                return Err(Fault::CALM);
            }
        }
        Ok(())
    }

    /// Forgets earlier requests that were taken back; called now and then.
    pub(crate) const fn forgive(&mut self) {
        self.resets = 0;
    }

    /// Gives back room that is not needed now.
    pub(crate) fn shrink(&mut self) {
        self.streams.shrink_to_fit();
        self.listed.shrink_to_fit();
        if self.out.is_empty() {
            self.out = BytesMut::new();
        }
    }

    fn on_settings(&mut self, frame: &Frame, events: &mut Vec<Event>) -> Result<(), Fault> {
        if frame.stream != 0 {
            return Err(Fault::PROTOCOL);
        }
        if frame.has(flag::ACK) {
            return expect(frame, 0, true);
        }
        if !frame.payload.len().is_multiple_of(6) {
            return Err(Fault::FRAME_SIZE);
        }
        let mut payload = frame.payload.clone();
        while payload.has_remaining() {
            let (id, value) = (payload.get_u16(), payload.get_u32());
            match id {
                setting::WINDOW_BYTES => self.on_first_window(i64::from(value))?,
                setting::ENABLE_PUSH if value > 1 => return Err(Fault::PROTOCOL),
                setting::FRAME_BYTES if !(0x4000..=0xFF_FFFF).contains(&value) => {
                    return Err(Fault::PROTOCOL);
                }
                _ => {}
            }
        }
        frame::put(&mut self.out, kind::SETTINGS, flag::ACK, 0, &[]);
        let waiting = self.streams.iter().filter(|(_, stream)| !stream.waiting.is_empty());
        for id in waiting.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.flush(id, events);
        }
        Ok(())
    }

    fn on_first_window(&mut self, bytes: i64) -> Result<(), Fault> {
        if bytes > WINDOW_BYTES_MAX {
            return Err(Fault::FLOW_CONTROL);
        }
        let more = bytes - std::mem::replace(&mut self.first_send_window, bytes);
        for stream in self.streams.values_mut() {
            stream.send_window += more;
            if stream.send_window > WINDOW_BYTES_MAX {
                return Err(Fault::FLOW_CONTROL);
            }
        }
        Ok(())
    }

    fn on_ping(&mut self, frame: &Frame) -> Result<(), Fault> {
        expect(frame, 8, frame.stream == 0)?;
        if !frame.has(flag::ACK) {
            frame::put(&mut self.out, kind::PING, flag::ACK, 0, &frame.payload);
        } else if frame.payload == DRAIN_PING[..] && self.leaving == Leaving::Told {
            self.leaving = Leaving::Known;
            frame::put_go_away(&mut self.out, self.last, Fault::NONE);
        }
        Ok(())
    }

    fn on_window(&mut self, frame: &Frame, events: &mut Vec<Event>) -> Result<(), Fault> {
        expect(frame, 4, true)?;
        let more = i64::from(frame.payload.clone().get_u32() & 0x7FFF_FFFF);
        if frame.stream == 0 {
            self.send_window += more;
            if more == 0 || self.send_window > WINDOW_BYTES_MAX {
                return Err(if more == 0 { Fault::PROTOCOL } else { Fault::FLOW_CONTROL });
            }
            for id in std::mem::take(&mut self.listed) {
                if let Some(stream) = self.streams.get_mut(&id) {
                    stream.is_listed = false;
                    self.flush(id, events);
                }
            }
            return Ok(());
        }
        let Some(stream) = self.streams.get_mut(&frame.stream) else {
            return self.expect_known(frame.stream);
        };
        stream.send_window += more;
        if more == 0 || stream.send_window > WINDOW_BYTES_MAX {
            self.give_up(frame.stream, if more == 0 { Fault::PROTOCOL } else { Fault::FLOW_CONTROL });
        } else if !stream.waiting.is_empty() {
            self.flush(frame.stream, events);
        }
        Ok(())
    }

    /// What is kept with a stream; `None`: it has ended.
    pub(crate) fn owner(&mut self, id: u32) -> Option<&mut T> {
        self.streams.get_mut(&id).map(|stream| &mut stream.owner)
    }

    /// Answers with one message, and ends the stream.
    pub(crate) fn message(&mut self, id: u32, bytes: &[u8]) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let needed = i64::try_from(bytes.len()).unwrap_or(i64::MAX);
        if bytes.len() > PAYLOAD_BYTES_MAX || needed > stream.send_window.min(self.send_window) {
            stream.waiting.extend_from_slice(bytes);
            // Nobody waits to put more in.
            self.finish(id, None, &mut Vec::new());
            return;
        }
        self.send_window -= needed;
        frame::put(&mut self.out, kind::HEADERS, flag::END_HEADERS, id, HEAD);
        frame::put(&mut self.out, kind::DATA, 0, id, bytes);
        self.end(id, TRAILERS_OK);
    }

    /// Where to put more data of an answer, to be sent by [`Self::flush`] or [`Self::finish`].
    pub(crate) fn data(&mut self, id: u32) -> Option<&mut BytesMut> {
        let stream = self.streams.get_mut(&id)?;
        if !std::mem::replace(&mut stream.is_begun, true) {
            frame::put(&mut self.out, kind::HEADERS, flag::END_HEADERS, id, HEAD);
        }
        Some(&mut stream.waiting)
    }

    /// Ends an answer after its data.
    pub(crate) fn finish(&mut self, id: u32, status: Option<&Status>, events: &mut Vec<Event>) {
        if self.data(id).is_none() {
            return;
        }
        let trailers = match status {
            None => BytesMut::from(TRAILERS_OK),
            Some(status) => status_block(BytesMut::new(), status),
        };
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.trailers = Some(trailers);
        }
        self.flush(id, events);
    }

    /// Writes what waits in a stream, as far as windows allow.
    pub(crate) fn flush(&mut self, id: u32, events: &mut Vec<Event>) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        while !stream.waiting.is_empty() {
            let window = usize::try_from(stream.send_window.min(self.send_window)).unwrap_or(0);
            let bytes = stream.waiting.len().min(window).min(PAYLOAD_BYTES_MAX);
            if bytes == 0 {
                if stream.send_window > 0 && !std::mem::replace(&mut stream.is_listed, true) {
                    self.listed.push(id);
                }
                return;
            }
            frame::put(&mut self.out, kind::DATA, 0, id, stream.waiting.get(..bytes).unwrap_or_default());
            stream.waiting.advance(bytes);
            let spent = i64::try_from(bytes).unwrap_or(i64::MAX);
            stream.send_window -= spent;
            self.send_window -= spent;
        }
        match stream.trailers.take() {
            Some(trailers) => self.end(id, &trailers),
            None => events.push(Event::Room { stream: id }),
        }
    }

    /// Answers that the call is not done.
    pub(crate) fn refuse(&mut self, id: u32, status: &Status, events: &mut Vec<Event>) {
        let Some(stream) = self.streams.get(&id) else { return };
        if stream.is_begun {
            return self.finish(id, Some(status), events);
        }
        let block = status_block(BytesMut::from(HEAD), status);
        self.end(id, &block);
    }

    /// Answers what is no request of gRPC.
    pub(crate) fn http_status(&mut self, id: u32, status: u16) {
        let mut block = BytesMut::new();
        // The name of the eighth entry of the static table.
        block.put_slice(b"\x08\x03");
        block.put_slice(status.to_string().as_bytes());
        self.end(id, &block);
    }

    fn end(&mut self, id: u32, block: &[u8]) {
        frame::put(&mut self.out, kind::HEADERS, flag::END_HEADERS | flag::END_STREAM, id, block);
        if self.streams.remove(&id).is_some_and(|stream| !stream.is_complete) {
            // Whatever the client would still send is of no use.
            frame::put_reset(&mut self.out, id, Fault::NONE);
        }
    }

    fn give_up(&mut self, id: u32, why: Fault) {
        self.streams.remove(&id);
        frame::put_reset(&mut self.out, id, why);
    }

    /// Asks for a sign of life.
    pub(crate) fn ping(&mut self) {
        frame::put(&mut self.out, kind::PING, 0, 0, &LIFE_PING);
    }

    /// Tells the client that we leave: what it has begun is answered.
    pub(crate) fn leave(&mut self) {
        self.leaving = Leaving::Told;
        frame::put_go_away(&mut self.out, STREAM_MAX, Fault::NONE);
        frame::put(&mut self.out, kind::PING, 0, 0, &DRAIN_PING);
    }

    /// Tells the client its mistake.
    pub(crate) fn accuse(&mut self, fault: Fault) {
        frame::put_go_away(&mut self.out, self.last, fault);
    }

    /// One side leaves, and nothing is left to answer.
    pub(crate) fn is_over(&self) -> bool {
        (self.peer_leaves || self.leaving == Leaving::Known) && self.streams.is_empty()
    }
}

fn expect(frame: &Frame, bytes: usize, is_legal: bool) -> Result<(), Fault> {
    if frame.payload.len() != bytes {
        Err(Fault::FRAME_SIZE)
    } else if is_legal {
        Ok(())
    } else {
        Err(Fault::PROTOCOL)
    }
}

fn status_block(mut block: BytesMut, status: &Status) -> BytesMut {
    put_header(&mut block, "grpc-status", (status.code() as i32).to_string().as_bytes());
    if !status.message().is_empty() {
        put_header(&mut block, "grpc-message", &percent_encoded(status.message()));
    }
    if status.code() == Code::Unimplemented {
        put_header(&mut block, "grpc-accept-encoding", b"identity");
    }
    block
}

/// A header that no table keeps.
fn put_header(block: &mut BytesMut, name: &str, value: &[u8]) {
    block.put_u8(0);
    for text in [name.as_bytes(), value] {
        put_length(block, text.len());
        block.put_slice(text);
    }
}

/// The length of a plain string.
fn put_length(block: &mut BytesMut, mut length: usize) {
    if length < 0x7F {
        return block.put_uint(length as u64, 1);
    }
    block.put_u8(0x7F);
    length -= 0x7F;
    while length >= 0x80 {
        block.put_uint((length & 0x7F | 0x80) as u64, 1);
        length >>= 7;
    }
    block.put_uint(length as u64, 1);
}

/// What is no visible ASCII, as gRPC has it in `grpc-message`.
fn percent_encoded(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for byte in text.bytes().take(STATUS_TEXT_BYTES_MAX) {
        if (0x20..0x7F).contains(&byte) && byte != b'%' {
            out.push(byte);
        } else {
            out.extend_from_slice(format!("%{byte:02X}").as_bytes());
        }
    }
    out
}
