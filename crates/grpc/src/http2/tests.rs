//! The session by itself: frames that no well-behaved client sends, and windows.

use bytes::{BufMut as _, BytesMut};
use proptest::prelude::*;
use tonic::Status;

use super::Fault;
use super::frame::{self, Frame, PREFACE, flag, kind, setting};
use super::hpack::Field;
use super::session::{Event, Limits, Session};

/// `:method: POST`, `:path: /`.
const REQUEST: &[u8] = b"\x83\x84";
const LIMITS: Limits =
    Limits { stream_window: 100_000, connection_window: 200_000, streams_max: 3, resets_max: 2 };

struct Client {
    session: Session<()>,
    inbox: BytesMut,
    events: Vec<Event>,
}

impl Client {
    /// One that has introduced itself; what the server said meanwhile is forgotten.
    fn new() -> Self {
        let mut it =
            Self { session: Session::new(LIMITS), inbox: BytesMut::from(PREFACE), events: Vec::new() };
        it.send(kind::SETTINGS, 0, 0, &[]).expect("legal");
        it.answers();
        it
    }

    fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Result<(), Fault> {
        frame::put(&mut self.inbox, kind, flags, stream, payload);
        self.session.on_bytes(&mut self.inbox, &mut self.events)
    }

    fn request(&mut self, stream: u32) -> Result<(), Fault> {
        self.send(kind::HEADERS, flag::END_HEADERS | flag::END_STREAM, stream, REQUEST)
    }

    fn window(&mut self, stream: u32, bytes: u32) -> Result<(), Fault> {
        self.send(kind::WINDOW_UPDATE, 0, stream, &bytes.to_be_bytes())
    }

    fn first_window(&mut self, bytes: u32) -> Result<(), Fault> {
        let mut payload = BytesMut::new();
        payload.put_u16(setting::WINDOW_BYTES);
        payload.put_u32(bytes);
        self.send(kind::SETTINGS, 0, 0, &payload)
    }

    fn answers(&mut self) -> Vec<Frame> {
        let mut out = std::mem::take(&mut self.session.out);
        let frames = std::iter::from_fn(|| frame::take(&mut out).expect("well formed")).collect();
        assert!(out.is_empty(), "only whole frames are written");
        frames
    }

    /// Kind, stream and size of what the server said.
    fn said(&mut self) -> Vec<(u8, u32, usize)> {
        self.answers().iter().map(|frame| (frame.kind, frame.stream, frame.payload.len())).collect()
    }
}

#[test]
fn the_server_introduces_itself() {
    let mut session: Session<()> = Session::new(LIMITS);
    let frame = frame::take(&mut session.out).expect("well formed").expect("whole");
    assert_eq!((frame.kind, frame.stream, frame.payload.len()), (kind::SETTINGS, 0, 18));
    let frame = frame::take(&mut session.out).expect("well formed").expect("whole");
    assert_eq!((frame.kind, &frame.payload[..]), (kind::WINDOW_UPDATE, &134_465_u32.to_be_bytes()[..]));
}

#[test]
fn a_request_is_read_however_it_is_cut() {
    let mut bytes = BytesMut::from(PREFACE);
    frame::put(&mut bytes, kind::SETTINGS, 0, 0, &[]);
    frame::put(&mut bytes, kind::HEADERS, 0, 1, &REQUEST[..1]);
    frame::put(&mut bytes, kind::CONTINUATION, flag::END_HEADERS, 1, &REQUEST[1..]);
    // Padded, with a priority before the headers.
    let mut padded = BytesMut::from(&b"\x02\0\0\0\0\x10"[..]);
    padded.extend_from_slice(REQUEST);
    padded.extend_from_slice(b"\0\0");
    let flags = flag::END_HEADERS | flag::PADDED | flag::PRIORITY;
    frame::put(&mut bytes, kind::HEADERS, flags, 3, &padded);
    frame::put(&mut bytes, kind::DATA, flag::PADDED, 3, b"\x01hello\0");
    frame::put(&mut bytes, kind::DATA, flag::END_STREAM, 3, b"");
    let mut session: Session<()> = Session::new(LIMITS);
    let (mut inbox, mut events) = (BytesMut::new(), Vec::new());
    for byte in bytes {
        inbox.put_u8(byte);
        session.on_bytes(&mut inbox, &mut events).expect("legal");
    }
    let [
        Event::Request { stream: 1, is_complete: false, .. },
        Event::Request { stream: 3, head, is_complete: false },
        Event::Data { stream: 3, bytes, is_complete: false },
        Event::Data { stream: 3, is_complete: true, .. },
    ] = &events[..]
    else {
        panic!("{events:?}")
    };
    assert_eq!((head.get(Field::Method), head.get(Field::Path)), (Some("POST"), Some("/")));
    assert_eq!(bytes, "hello");
}

#[test]
fn mistakes_end_the_connection() {
    let fault = |kind: u8, flags: u8, stream: u32, payload: &[u8]| {
        let mut client = Client::new();
        client.request(1).expect("legal");
        client.send(kind, flags, stream, payload).expect_err("refused")
    };
    let cases = [
        (fault(kind::DATA, 0, 0, b"x"), Fault::PROTOCOL),
        (fault(kind::DATA, 0, 9, b"x"), Fault::PROTOCOL),
        (fault(kind::DATA, flag::PADDED, 1, b"\x09x"), Fault::PROTOCOL),
        (fault(kind::HEADERS, flag::END_HEADERS, 2, REQUEST), Fault::PROTOCOL),
        (fault(kind::HEADERS, flag::END_HEADERS, 3, b"\xFE"), Fault::COMPRESSION),
        (fault(kind::HEADERS, flag::END_HEADERS, 1, REQUEST), Fault::PROTOCOL),
        (fault(kind::CONTINUATION, 0, 1, b""), Fault::PROTOCOL),
        (fault(kind::PRIORITY, 0, 1, b"x"), Fault::FRAME_SIZE),
        (fault(kind::RST_STREAM, 0, 9, &[0; 4]), Fault::PROTOCOL),
        (fault(kind::RST_STREAM, 0, 1, &[0; 3]), Fault::FRAME_SIZE),
        (fault(kind::SETTINGS, 0, 1, b""), Fault::PROTOCOL),
        (fault(kind::SETTINGS, 0, 0, b"x"), Fault::FRAME_SIZE),
        (fault(kind::SETTINGS, flag::ACK, 0, b"x"), Fault::FRAME_SIZE),
        (fault(kind::SETTINGS, 0, 0, &[0, 4, 0x80, 0, 0, 0]), Fault::FLOW_CONTROL),
        (fault(kind::SETTINGS, 0, 0, &[0, 5, 0, 0, 0, 1]), Fault::PROTOCOL),
        (fault(kind::PUSH_PROMISE, 0, 1, b""), Fault::PROTOCOL),
        (fault(kind::PING, 0, 0, &[0; 7]), Fault::FRAME_SIZE),
        (fault(kind::PING, 0, 1, &[0; 8]), Fault::PROTOCOL),
        (fault(kind::WINDOW_UPDATE, 0, 0, &[0; 4]), Fault::PROTOCOL),
        (fault(kind::WINDOW_UPDATE, 0, 0, &[0x7F, 0xFF, 0xFF, 0xFF]), Fault::FLOW_CONTROL),
        (fault(kind::WINDOW_UPDATE, 0, 9, &[0, 0, 0, 1]), Fault::PROTOCOL),
    ];
    for (number, (found, expected)) in cases.into_iter().enumerate() {
        assert_eq!(found, expected, "case {number}");
    }
    let mut nonsense = Client { inbox: BytesMut::from("GET / HTTP/1.1\r\n\r\n"), ..Client::new() };
    nonsense.session = Session::new(LIMITS);
    assert_eq!(nonsense.session.on_bytes(&mut nonsense.inbox, &mut nonsense.events), Err(Fault::PROTOCOL));
}

#[test]
fn frames_are_bounded() {
    let mut client = Client::new();
    let huge = vec![0; frame::PAYLOAD_BYTES_MAX + 1];
    assert_eq!(client.send(kind::DATA, 0, 1, &huge), Err(Fault::FRAME_SIZE));

    let mut client = Client::new();
    client.send(kind::HEADERS, 0, 1, REQUEST).expect("legal");
    assert_eq!(client.send(kind::PING, 0, 0, &[0; 8]), Err(Fault::PROTOCOL), "headers come in one piece");

    let mut client = Client::new();
    client.send(kind::HEADERS, 0, 1, REQUEST).expect("legal");
    let flood = (0..10).find_map(|_| client.send(kind::CONTINUATION, 0, 1, &[0; 16_000]).err());
    assert_eq!(flood, Some(Fault::CALM));

    let mut client = Client::new();
    client.send(kind::HEADERS, flag::END_HEADERS, 1, REQUEST).expect("legal");
    let flood = (0..2_000).find_map(|_| client.send(kind::DATA, 0, 1, b"").err());
    assert_eq!(flood, Some(Fault::CALM));
}

#[test]
fn headers_of_one_request_are_bounded() {
    let mut client = Client::new();
    let mut block = BytesMut::from(REQUEST);
    // A literal of 100 bytes that the table keeps, named ever again.
    block.put_slice(b"\x40\x01x\x64");
    block.put_slice(&[b'y'; 100]);
    block.put_bytes(0xBE, 200);
    client.send(kind::HEADERS, flag::END_HEADERS | flag::END_STREAM, 1, &block).expect("legal");
    assert!(client.events.is_empty(), "{:?}", client.events);
    assert_eq!(client.said(), [(kind::HEADERS, 1, 5)], "431");
}

#[test]
fn streams_and_their_giving_up_are_bounded() {
    let mut client = Client::new();
    for stream in [1, 3, 5] {
        client.request(stream).expect("legal");
    }
    client.request(7).expect("legal");
    assert_eq!(client.said(), [(kind::RST_STREAM, 7, 4)]);
    client.send(kind::RST_STREAM, 0, 1, &[0; 4]).expect("legal");
    client.request(9).expect("there is room again");
    assert!(client.session.owner(9).is_some() && client.session.owner(1).is_none());

    let mut client = Client::new();
    for stream in [1, 3, 5, 7] {
        frame::put(&mut client.inbox, kind::HEADERS, flag::END_HEADERS, stream, REQUEST);
        frame::put(&mut client.inbox, kind::RST_STREAM, 0, stream, &[0; 4]);
    }
    assert_eq!(client.session.on_bytes(&mut client.inbox, &mut client.events), Err(Fault::CALM));
}

#[test]
fn what_a_client_sends_is_given_back_to_its_windows() {
    let mut client = Client::new();
    client.send(kind::HEADERS, flag::END_HEADERS, 1, REQUEST).expect("legal");
    let mut given = (0, 0);
    for _ in 0..60 {
        client.send(kind::DATA, 0, 1, &[0; 10_000]).expect("within the windows");
        for frame in client.answers() {
            assert_eq!(frame.kind, kind::WINDOW_UPDATE);
            let bytes = u32::from_be_bytes(frame.payload[..].try_into().expect("four bytes"));
            *(if frame.stream == 0 { &mut given.0 } else { &mut given.1 }) += bytes;
        }
    }
    assert_eq!(given, (600_000, 600_000));
    // One frame beyond what a stream is given at once.
    let mut client = Client::new();
    client.session = Session::new(Limits { stream_window: 70_000, connection_window: 1_000_000, ..LIMITS });
    client.inbox = BytesMut::from(PREFACE);
    client.send(kind::HEADERS, flag::END_HEADERS, 1, REQUEST).expect("legal");
    client.answers();
    client.send(kind::DATA, flag::END_STREAM, 1, b"all").expect("legal");
    client.send(kind::DATA, 0, 1, b"more").expect("only the stream ends");
    assert_eq!(client.said(), [(kind::RST_STREAM, 1, 4)]);
}

#[test]
fn an_answer_waits_for_windows() {
    let mut client = Client::new();
    client.first_window(10).expect("legal");
    client.request(1).expect("legal");
    client.request(3).expect("legal");
    client.answers();
    client.session.message(1, &[1; 5]);
    let whole = client.said();
    assert_eq!(
        whole.iter().map(|(kind, ..)| *kind).collect::<Vec<_>>(),
        [kind::HEADERS, kind::DATA, kind::HEADERS]
    );
    client.session.message(3, &[3; 25]);
    assert_eq!(client.said()[1], (kind::DATA, 3, 10));
    client.window(3, 5).expect("legal");
    assert_eq!(client.said(), [(kind::DATA, 3, 5)]);
    client.first_window(20).expect("legal");
    let rest = client.said();
    assert_eq!((rest[1], rest[2].0), ((kind::DATA, 3, 10), kind::HEADERS));
    assert!(client.session.owner(3).is_none());
}

#[test]
fn all_streams_share_the_connection_window() {
    let mut client = Client::new();
    client.first_window(1_000_000).expect("legal");
    for stream in [1, 3] {
        client.request(stream).expect("legal");
    }
    client.answers();
    client.session.message(1, &[1; 60_000]);
    client.session.message(3, &[3; 60_000]);
    let sent = |frames: &[(u8, u32, usize)], stream: u32| {
        frames
            .iter()
            .filter(|(kind, of, _)| (*kind, *of) == (kind::DATA, stream))
            .map(|frame| frame.2)
            .sum::<usize>()
    };
    let frames = client.said();
    assert_eq!((sent(&frames, 1), sent(&frames, 3)), (60_000, 5_535));
    client.window(0, 100_000).expect("legal");
    let frames = client.said();
    assert_eq!((sent(&frames, 3), frames.last().map(|frame| frame.0)), (54_465, Some(kind::HEADERS)));
}

#[test]
fn more_is_asked_for_when_all_is_taken() {
    let mut client = Client::new();
    client.request(1).expect("legal");
    client.answers();
    client.session.data(1).expect("open").put_slice(b"some");
    client.session.flush(1, &mut client.events);
    assert!(matches!(client.events.last(), Some(Event::Room { stream: 1 })));
    client.session.finish(1, Some(&Status::internal("100 % no\n")), &mut client.events);
    let trailers = client.answers().pop().expect("the trailers").payload;
    let text = String::from_utf8_lossy(&trailers).into_owned();
    assert!(text.contains("grpc-status\u{2}13") && text.contains("100 %25 no%0A"), "{text:?}");
}

#[test]
fn a_refusal_is_trailers_alone_and_stops_the_request() {
    let mut client = Client::new();
    client.send(kind::HEADERS, flag::END_HEADERS, 1, REQUEST).expect("legal");
    client.answers();
    let long = "x".repeat(300);
    client.session.refuse(1, &Status::internal(long.clone()), &mut client.events);
    let answers = client.answers();
    assert!(answers[0].has(flag::END_STREAM) && answers[0].has(flag::END_HEADERS));
    assert!(String::from_utf8_lossy(&answers[0].payload).contains(&long));
    assert_eq!((answers[1].kind, &answers[1].payload[..]), (kind::RST_STREAM, &[0; 4][..]));
    client.send(kind::DATA, flag::END_STREAM, 1, b"late").expect("it may be under way");
}

#[test]
fn leaving_lets_the_client_know_and_ends_with_the_last_answer() {
    let mut client = Client::new();
    client.request(1).expect("legal");
    client.answers();
    client.session.leave();
    let [going, ping] = &client.answers()[..] else { panic!("two frames") };
    assert_eq!((going.kind, ping.kind), (kind::GOAWAY, kind::PING));
    client.request(3).expect("it did not know");
    assert!(client.session.owner(3).is_some());
    client.send(kind::PING, flag::ACK, 0, &ping.payload.clone()).expect("legal");
    let last = client.answers().pop().expect("said");
    assert_eq!((last.kind, &last.payload[..4]), (kind::GOAWAY, &3_u32.to_be_bytes()[..]));
    client.request(5).expect("legal");
    assert_eq!(client.said(), [(kind::RST_STREAM, 5, 4)]);
    client.session.message(1, b"a");
    assert!(!client.session.is_over());
    client.session.message(3, b"b");
    assert!(client.session.is_over());
}

proptest! {
    /// Whatever comes: no panic, no frame beyond its size, no stream beyond the limit.
    #[test]
    fn nothing_makes_it_fall(
        frames in proptest::collection::vec(
            (0_u8..11, any::<u8>(), 0_u32..9, proptest::collection::vec(any::<u8>(), 0..30)),
            0..60,
        ),
    ) {
        let mut client = Client::new();
        for (kind, flags, stream, payload) in frames {
            let is_request = kind == kind::HEADERS && flags & flag::PADDED == 0 && payload.len() < 15;
            let payload = if is_request { REQUEST } else { &payload };
            if client.send(kind, flags, stream, payload).is_err() {
                client.session.accuse(Fault::PROTOCOL);
                break;
            }
            for event in std::mem::take(&mut client.events) {
                if let Event::Request { stream, .. } = event {
                    match stream % 3 {
                        0 => client.session.message(stream, &[0; 50_000]),
                        1 => client.session.refuse(stream, &Status::internal("no"), &mut client.events),
                        _ => {}
                    }
                }
            }
            prop_assert!((0..9).filter(|stream| client.session.owner(*stream).is_some()).count() <= 3);
        }
        client.answers();
    }

    #[test]
    fn no_headers_make_the_decoder_fall(blocks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..60), 1..8)) {
        let mut decoder = super::hpack::Decoder::default();
        for block in blocks {
            if decoder.decode(&block).is_err() {
                break;
            }
            prop_assert!(decoder.bytes() <= 4_096);
        }
    }
}
