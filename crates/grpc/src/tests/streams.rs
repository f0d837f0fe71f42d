//! Streams of HTTP/2, by a client that does what no client of gRPC does.

use bytes::{BufMut as _, Bytes, BytesMut};
use h2::client::{Builder, SendRequest};
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Method, Request, Response};
use model::verbs::{Hide, Received};
use model::{Delivery, Lsn};
use prost::Message as _;
use tokio::net::TcpStream;

use super::fake::{Done, stored};
use super::kit::*;
use crate::convert::time::span_of_ms;
use crate::proto::*;

type Raw = SendRequest<Bytes>;

async fn raw(server: &Running, window_bytes: u32) -> Raw {
    let stream = TcpStream::connect(("127.0.0.1", server.port)).await.expect("listening");
    let mut builder = Builder::new();
    builder.initial_window_size(window_bytes);
    let (client, connection) = builder.handshake(stream).await.expect("speaks HTTP/2");
    let driven = async move { drop(connection.await) };
    drop(base::Doors::system().spawn.spawn("raw-client", Box::pin(driven)));
    client
}

fn request(call: &str) -> Request<()> {
    Request::builder()
        .method(Method::POST)
        .uri(format!("http://seen.example.com/apache.rocketmq.v2.MessagingService/{call}"))
        .header("content-type", "application/grpc")
        .header("x-mq-client-id", "a")
        .body(())
        .expect("well formed")
}

async fn begin(client: &mut Raw, request: Request<()>, end: bool) -> (Asked, SendStream<Bytes>) {
    std::future::poll_fn(|context| client.poll_ready(context)).await.expect("open");
    client.send_request(request, end).expect("open")
}

type Asked = h2::client::ResponseFuture;

fn framed(message: &impl prost::Message) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_u8(0);
    bytes.put_u32(u32::try_from(message.encoded_len()).expect("small"));
    message.encode_raw(&mut bytes);
    bytes.freeze()
}

async fn rest(mut body: RecvStream) -> (Bytes, Option<HeaderMap>) {
    let mut bytes = BytesMut::new();
    while let Some(piece) = body.data().await {
        let piece = piece.expect("not broken off");
        body.flow_control().release_capacity(piece.len()).expect("taken");
        bytes.extend_from_slice(&piece);
    }
    (bytes.freeze(), body.trailers().await.expect("not broken off"))
}

fn grpc_status(headers: &HeaderMap) -> &str {
    headers.get("grpc-status").expect("set").to_str().expect("ascii")
}

async fn refused(client: &mut Raw, request: Request<()>) -> Response<RecvStream> {
    begin(client, request, true).await.0.await.expect("answered")
}

#[tokio::test]
async fn what_is_no_call_of_ours_is_told_so() {
    let server = Running::start().await;
    let mut client = raw(&server, 65_535).await;
    let unknown = refused(&mut client, request("Nonsense")).await;
    assert_eq!((unknown.status().as_u16(), grpc_status(unknown.headers())), (200, "12"));

    let mut compressed = request("Heartbeat");
    compressed.headers_mut().insert("grpc-encoding", "gzip".parse().expect("ascii"));
    let compressed = refused(&mut client, compressed).await;
    assert_eq!(grpc_status(compressed.headers()), "12");
    assert_eq!(compressed.headers()["grpc-accept-encoding"], "identity");

    let mut page = request("Heartbeat");
    *page.method_mut() = Method::GET;
    assert_eq!(refused(&mut client, page).await.status().as_u16(), 405);
    let mut form = request("Heartbeat");
    form.headers_mut().insert("content-type", "text/html".parse().expect("ascii"));
    assert_eq!(refused(&mut client, form).await.status().as_u16(), 415);

    let empty = refused(&mut client, request("Heartbeat")).await;
    assert_eq!(grpc_status(empty.headers()), "13", "no message came");
}

#[tokio::test]
async fn a_request_may_come_in_the_smallest_pieces() {
    let server = Running::start().await;
    let mut client = raw(&server, 65_535).await;
    let (answer, mut body) = begin(&mut client, request("SendMessage"), false).await;
    let bytes = framed(&SendMessageRequest { messages: vec![message("t", "1")] });
    for at in 0..bytes.len() {
        body.send_data(bytes.slice(at..=at), at + 1 == bytes.len()).expect("open");
    }
    let (answer, trailers) = rest(answer.await.expect("answered").into_body()).await;
    assert_eq!(grpc_status(&trailers.expect("set")), "0");
    let answer = SendMessageResponse::decode(answer.slice(5..)).expect("well formed");
    assert_eq!(answer.status.expect("set").code, 20000);
    assert_eq!(server.engine.published.lock().len(), 1);
}

#[tokio::test]
async fn no_answer_comes_before_the_request_is_complete() {
    let server = Running::start().await;
    let mut client = raw(&server, 65_535).await;
    let bytes = framed(&SendMessageRequest { messages: vec![message("t", "1")] });
    let (early, mut body) = begin(&mut client, request("SendMessage"), false).await;
    body.send_data(bytes.clone(), false).expect("open");
    let (later, mut whole) = begin(&mut client, request("SendMessage"), false).await;
    whole.send_data(bytes, true).expect("open");
    later.await.expect("answered");
    assert_eq!(server.engine.published.lock().len(), 1, "the first is not complete");
    body.send_data(Bytes::new(), true).expect("open");
    let (_, trailers) = rest(early.await.expect("answered").into_body()).await;
    assert_eq!(grpc_status(&trailers.expect("set")), "0");
    assert_eq!(server.engine.published.lock().len(), 2);
}

#[tokio::test]
async fn half_a_message_is_no_message() {
    let server = Running::start().await;
    let mut client = raw(&server, 65_535).await;
    let (answer, mut body) = begin(&mut client, request("SendMessage"), false).await;
    let bytes = framed(&SendMessageRequest { messages: vec![message("t", "1")] });
    body.send_data(bytes.slice(..bytes.len() - 1), true).expect("open");
    assert_eq!(grpc_status(answer.await.expect("answered").headers()), "13");
    assert!(server.engine.published.lock().is_empty());
}

/// As `ClientActivity` completes its side when the client has completed its own.
#[tokio::test]
async fn a_telemetry_stream_whose_client_has_said_all_is_answered_and_ends_well() {
    let server = Running::start().await;
    let mut client = raw(&server, 65_535).await;
    let settings = TelemetryCommand {
        status: None,
        command: Some(telemetry_command::Command::Settings(consumer_settings("g"))),
    };
    for ends_along in [true, false] {
        let (answer, mut body) = begin(&mut client, request("Telemetry"), false).await;
        body.send_data(framed(&settings), ends_along).expect("open");
        if !ends_along {
            body.send_data(Bytes::new(), true).expect("open");
        }
        let (answer, trailers) = rest(answer.await.expect("answered").into_body()).await;
        assert_eq!(grpc_status(&trailers.expect("set")), "0", "along: {ends_along}");
        let answer = TelemetryCommand::decode(answer.slice(5..)).expect("well formed");
        assert_eq!(answer.status.expect("set").code, 20000);
    }
}

/// Its client says goodbye in its own time, which is no request without a message.
#[tokio::test]
async fn a_telemetry_stream_that_is_refused_may_be_ended_by_its_client_too() {
    let server = Running::start().await;
    let mut client = raw(&server, 65_535).await;
    let mut nameless = request("Telemetry");
    nameless.headers_mut().remove("x-mq-client-id");
    let (answer, mut body) = begin(&mut client, nameless, false).await;
    body.send_data(framed(&TelemetryCommand::default()), false).expect("open");
    body.send_data(Bytes::new(), true).expect("open");
    let answer = answer.await.expect("answered");
    assert_eq!(grpc_status(answer.headers()), "3");
}

#[tokio::test]
async fn a_call_that_nobody_waits_for_is_given_up() {
    let mut server = Running::start().await;
    server.engine.waits.store(true, std::sync::atomic::Ordering::Relaxed);
    let mut client = raw(&server, 65_535).await;
    let (answer, mut body) = begin(&mut client, request("ReceiveMessage"), false).await;
    body.send_data(framed(&receive()), true).expect("open");
    assert_eq!(server.done().await, Done::Waits);
    body.send_reset(Reason::CANCEL);
    assert_eq!(server.done().await, Done::GivenUp);
    drop(answer);
}

#[tokio::test]
async fn a_lost_connection_gives_its_calls_up() {
    let mut server = Running::start().await;
    server.engine.waits.store(true, std::sync::atomic::Ordering::Relaxed);
    let stream = TcpStream::connect(("127.0.0.1", server.port)).await.expect("listening");
    let (mut client, mut connection) = h2::client::handshake(stream).await.expect("speaks HTTP/2");
    let asking = async {
        let (_answer, mut body) = begin(&mut client, request("ReceiveMessage"), false).await;
        body.send_data(framed(&receive()), true).expect("open");
        assert_eq!(server.done().await, Done::Waits);
    };
    tokio::select! {
        () = asking => {}
        ended = &mut connection => panic!("{ended:?}"),
    }
    drop(connection);
    assert_eq!(server.done().await, Done::GivenUp);
}

/// Messages that a client with a small window does not take wait here, and go back with it.
#[tokio::test]
async fn what_a_client_does_not_take_goes_back() {
    const MESSAGES: u64 = 200;
    let mut server = Running::start().await;
    let mut client = raw(&server, 500).await;
    let delivery =
        |offset| Delivery { message: stored("t", Lsn(9), ""), receipt: receipt(offset), attempt: 1 };
    let received = Received {
        deliveries: (0..MESSAGES).map(delivery).collect(),
        delivered_ms: 1_000_000,
        invisible_ms: 60_000,
        rest: 0,
    };
    server.engine.receives.lock().push_back(Ok(received));
    let (answer, mut body) = begin(&mut client, request("ReceiveMessage"), false).await;
    body.send_data(framed(&receive()), true).expect("open");
    let mut answer = answer.await.expect("answered").into_body();
    let first = answer.data().await.expect("more than nothing").expect("not broken off");
    assert!(first.len() <= 500, "the window holds");
    body.send_reset(Reason::CANCEL);
    let Done::Extended(back, Hide { for_ms: 1_000, .. }) = server.done().await else {
        panic!("the rest goes back")
    };
    assert!(back.offset.get() > 0, "what was written does not");
    for offset in back.offset.get() + 1..MESSAGES {
        assert_eq!(server.done().await, Done::Extended(receipt(offset), Hide::asked(1_000)));
    }
}

/// A client with endless windows that reads nothing: what waits for it here is bounded.
#[tokio::test]
async fn what_is_not_read_is_not_written() {
    const MESSAGES: u64 = 900;
    let mut server = Running::start().await;
    let large = format!("x\u{1}{}\u{2}", "y".repeat(30_000));
    let delivery =
        |offset| Delivery { message: stored("t", Lsn(9), &large), receipt: receipt(offset), attempt: 1 };
    let received = Received {
        deliveries: (0..MESSAGES).map(delivery).collect(),
        delivered_ms: 1_000_000,
        invisible_ms: 60_000,
        rest: 0,
    };
    server.engine.receives.lock().push_back(Ok(received));
    let stream = TcpStream::connect(("127.0.0.1", server.port)).await.expect("listening");
    let mut builder = Builder::new();
    builder.initial_window_size(u32::MAX >> 1).initial_connection_window_size(u32::MAX >> 1);
    let (mut client, mut connection) = builder.handshake::<_, Bytes>(stream).await.expect("speaks HTTP/2");
    let asking = async {
        let (answer, mut body) = begin(&mut client, request("ReceiveMessage"), false).await;
        body.send_data(framed(&receive()), true).expect("open");
        answer.await.expect("answered").into_body()
    };
    let answer = tokio::select! {
        answer = asking => answer,
        ended = &mut connection => panic!("{ended:?}"),
    };
    // The rest is in the buffers of the system and ours; ours are small.
    drop(connection);
    drop(answer);
    let Done::Extended(back, Hide { for_ms: 1_000, .. }) = server.done().await else {
        panic!("the rest goes back")
    };
    assert!((1..MESSAGES - 1).contains(&back.offset.get()), "{back:?}");
}

fn receive() -> ReceiveMessageRequest {
    ReceiveMessageRequest {
        group: resource("g"),
        message_queue: queue("t", -1),
        batch_size: 32,
        invisible_duration: Some(span_of_ms(15_000)),
        long_polling_timeout: Some(span_of_ms(15_000)),
        ..ReceiveMessageRequest::default()
    }
}

#[tokio::test]
async fn a_drain_ends_the_connection_when_its_calls_have_ended() {
    let mut server = Running::start().await;
    server.engine.waits.store(true, std::sync::atomic::Ordering::Relaxed);
    let mut client = raw(&server, 65_535).await;
    let (answer, mut body) = begin(&mut client, request("ReceiveMessage"), false).await;
    body.send_data(framed(&receive()), true).expect("open");
    assert_eq!(server.done().await, Done::Waits);
    server.drain.request();
    let (answer, trailers) = rest(answer.await.expect("answered").into_body()).await;
    assert_eq!(grpc_status(&trailers.expect("set")), "0");
    assert!(!answer.is_empty(), "whoever waits is told that there is nothing");
    std::future::poll_fn(|context| client.poll_ready(context)).await.expect_err("closed");
}
