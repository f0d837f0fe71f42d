//! Below the calls: recognising, limits, draining, calls that are not there.

use net::{Protocol as _, Recognised};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tonic::Code as Rpc;

use super::kit::*;
use crate::GrpcConfig;
use crate::proto::*;

#[tokio::test]
async fn the_preface_of_http2_is_recognised() {
    let server = Running::start().await;
    let says = |bytes: &[u8]| server.grpc.recognises(bytes);
    assert_eq!(says(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0"), Recognised::Yes);
    assert_eq!(says(b"PRI * HTTP/2.0"), Recognised::NeedMore);
    assert_eq!(says(b""), Recognised::NeedMore);
    assert_eq!(says(b"PRI * HTTP/1.1"), Recognised::No);
    assert_eq!(says(b"\0\0\x01\x02"), Recognised::No);
}

#[tokio::test]
async fn a_drain_ends_the_telemetry_without_a_word_to_reconnect() {
    let server = Running::start().await;
    let mut client = server.client().await;
    let mut telemetry = Telemetry::open(&mut client, "a").await;
    telemetry.agree(producer_settings("t")).await;
    server.drain.request();
    assert!(telemetry.from_server.message().await.expect("ends well").is_none());
}

#[tokio::test]
async fn garbage_after_the_preface_closes_the_connection() {
    let server = Running::start().await;
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", server.port)).await.expect("listening");
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.expect("open");
    stream.write_all(&[0xFF; 64]).await.expect("open");
    let mut rest = Vec::new();
    // Whether by a goodbye or a reset: it ends.
    let _ = stream.read_to_end(&mut rest).await;
    assert_eq!(stream.read(&mut [0]).await.unwrap_or(0), 0);
}

#[tokio::test]
async fn a_request_larger_than_any_message_is_refused_unread() {
    let server = Running::start().await;
    let mut client = server.client().await;
    let mut huge = message("t", "1");
    huge.body = vec![0; 6 * 1024 * 1024].into();
    let request = from_client("a", SendMessageRequest { messages: vec![huge] });
    let status = client.send_message(request).await.expect_err("refused");
    assert_eq!(status.code(), Rpc::OutOfRange);
    assert!(server.engine.published.lock().is_empty());
}

#[tokio::test]
async fn requests_that_are_still_coming_in_are_bounded() {
    let server = Running::with(GrpcConfig { incoming_bytes_max: 1_000, ..GrpcConfig::default() }).await;
    let mut client = server.client().await;
    let mut large = message("t", "1");
    large.body = vec![0; 2_000].into();
    let request = from_client("a", SendMessageRequest { messages: vec![large] });
    assert_eq!(client.send_message(request).await.expect_err("refused").code(), Rpc::ResourceExhausted);
    let small = from_client("a", SendMessageRequest { messages: vec![message("t", "1")] });
    let status = client.send_message(small).await.expect("what was taken came back").into_inner().status;
    assert_eq!(status.expect("set").code, 20000);
}

#[tokio::test]
async fn what_a_telemetry_stream_has_said_is_not_held_against_it() {
    let server = Running::with(GrpcConfig { incoming_bytes_max: 100, ..GrpcConfig::default() }).await;
    let mut client = server.client().await;
    let mut telemetry = Telemetry::open(&mut client, "a").await;
    for _ in 0..20 {
        telemetry.agree(producer_settings("t")).await;
    }
    let mut large = producer_settings("t");
    large.client_properties.insert("k".to_owned(), "v".repeat(100));
    telemetry.send(large).await;
    let status = telemetry.from_server.message().await.expect_err("more than can be held");
    assert_eq!(status.code(), Rpc::ResourceExhausted);
}

#[tokio::test]
async fn calls_that_are_not_there_yet_say_so() {
    let server = Running::start().await;
    let mut client = server.client().await;
    let request = SyncLiteSubscriptionRequest {
        topic: resource("t"),
        group: resource("g"),
        ..SyncLiteSubscriptionRequest::default()
    };
    let response =
        client.sync_lite_subscription(from_client("a", request)).await.expect("answered").into_inner();
    assert_eq!(response.status.expect("set").code, 50001);
}

#[tokio::test]
async fn too_many_calls_at_once_are_told_to_slow_down() {
    let server = Running::with(GrpcConfig { requests_max: 0, ..GrpcConfig::default() }).await;
    let mut client = server.client().await;
    let request = QueryRouteRequest { topic: resource("t"), endpoints: None };
    let response = client.query_route(from_client("a", request)).await.expect("answered").into_inner();
    assert_eq!(response.status.expect("set").code, 42900);
}
