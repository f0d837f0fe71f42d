//! Receives and what becomes of the messages.

use std::collections::VecDeque;
use std::sync::Arc;

use futures::StreamExt as _;
use model::verbs::{Hide, ReceiveError, Received};
use model::{Delivery, Lsn, Receipt, SessionId};
use net::Drain;
use tonic::Request;

use super::fake::{Done, stored};
use super::kit::*;
use crate::call::{Call, Connection, Origin};
use crate::convert::time::span_of_ms;
use crate::handlers::receive::receive;
use crate::http2::hpack::{Field, Head};
use crate::proto::receive_message_response::Content;
use crate::proto::*;
use crate::renew::driver;

fn request() -> ReceiveMessageRequest {
    ReceiveMessageRequest {
        group: resource("g"),
        message_queue: queue("t", -1),
        filter_expression: None,
        batch_size: 32,
        invisible_duration: Some(span_of_ms(15_000)),
        auto_renew: false,
        long_polling_timeout: Some(span_of_ms(15_000)),
        attempt_id: None,
    }
}

fn delivery(offset: u64, attempt: u32, properties: &str) -> Delivery {
    Delivery { message: stored("t", Lsn(9), properties), receipt: receipt(offset), attempt }
}

fn received(deliveries: Vec<Delivery>) -> Received {
    Received { deliveries, delivered_ms: 1_000_000, invisible_ms: 60_000, rest: 0 }
}

async fn contents(client: &mut Client, request: Request<ReceiveMessageRequest>) -> VecDeque<Content> {
    let stream = client.receive_message(request).await.expect("answered").into_inner();
    stream.map(|item| item.expect("good").content.expect("set")).collect().await
}

/// The code of an answer without messages, which still ends with a time.
async fn refusal(client: &mut Client, request: Request<ReceiveMessageRequest>) -> i32 {
    let contents = Vec::from(contents(client, request).await);
    let [Content::Status(status), Content::DeliveryTimestamp(_)] = &contents[..] else {
        panic!("{contents:?}")
    };
    status.code
}

#[tokio::test]
async fn status_first_then_messages_then_the_time() {
    let server = Running::start().await;
    let mut client = server.client().await;
    let two = vec![delivery(1, 1, "UNIQ_KEY\u{1}x\u{2}"), delivery(2, 3, "")];
    server.engine.receives.lock().push_back(Ok(received(two)));
    let contents = Vec::from(contents(&mut client, from_client("a", request())).await);
    let [
        Content::Status(status),
        Content::Message(first),
        Content::Message(second),
        Content::DeliveryTimestamp(at),
    ] = &contents[..]
    else {
        panic!("{contents:?}")
    };
    assert_eq!((status.code, at.seconds), (20000, 1_000));
    let system = first.system_properties.as_ref().expect("set");
    assert_eq!((system.message_id.as_str(), system.delivery_attempt), ("x", Some(1)));
    assert_eq!(Receipt::decode(system.receipt_handle()), Ok(receipt(1)));
    assert_eq!(second.system_properties.as_ref().expect("set").delivery_attempt, Some(3));
    assert_eq!(second.body, "hello");

    let asked = server.engine.received.lock();
    assert_eq!((asked[0].invisible_ms, asked[0].wait_ms, asked[0].queue), (15_000, 15_000, None));
}

#[tokio::test]
async fn an_answer_without_messages_says_why() {
    let server = Running::start().await;
    let mut client = server.client().await;
    assert_eq!(refusal(&mut client, from_client("a", request())).await, 40401);
    let cases = [
        (ReceiveError::TooManyWaiting { max: 1 }, 42900),
        (ReceiveError::Filter("no".to_owned()), 40010),
        (ReceiveError::TopicNotFound(topic_name("t")), 40402),
        (ReceiveError::GroupNotFound(group_name("g")), 40403),
    ];
    for (error, expected) in cases {
        server.engine.receives.lock().push_back(Err(error));
        assert_eq!(refusal(&mut client, from_client("a", request())).await, expected);
    }
}

#[tokio::test]
async fn malformed_receives_are_refused() {
    let server = Running::start().await;
    let mut client = server.client().await;
    let invisible = |ms| ReceiveMessageRequest { invisible_duration: Some(span_of_ms(ms)), ..request() };
    let cases = [
        (ReceiveMessageRequest { group: None, ..request() }, 40003),
        (ReceiveMessageRequest { message_queue: None, ..request() }, 40002),
        (ReceiveMessageRequest { batch_size: 0, ..request() }, 40000),
        (invisible(9_999), 40011),
        (invisible(12 * 3_600_000 + 1), 40011),
        (ReceiveMessageRequest { invisible_duration: None, ..request() }, 40011),
    ];
    for (request, expected) in cases {
        assert_eq!(refusal(&mut client, from_client("a", request)).await, expected);
    }
    assert_eq!(refusal(&mut client, Request::new(request())).await, 40017);
    assert!(server.engine.received.lock().is_empty());
}

#[tokio::test]
async fn the_wait_keeps_within_bounds_and_deadline() {
    let server = Running::start().await;
    let mut client = server.client().await;
    let mut wait = async |asked_ms: i64, timeout: &str, version: &str| {
        let asked = ReceiveMessageRequest { long_polling_timeout: Some(span_of_ms(asked_ms)), ..request() };
        let mut request = from_client("a", asked);
        request.metadata_mut().insert("grpc-timeout", timeout.parse().expect("ascii"));
        request.metadata_mut().insert("x-mq-client-version", version.parse().expect("ascii"));
        let code = refusal(&mut client, request).await;
        (code, server.engine.received.lock().pop().map(|receive| receive.wait_ms))
    };
    assert_eq!(wait(1_000, "60S", "5.2.0").await, (40401, Some(5_000)));
    assert_eq!(wait(60_000, "60S", "5.2.0").await, (40401, Some(20_000)));
    assert_eq!(wait(20_000, "8S", "5.2.0").await, (40401, Some(7_900)));
    assert_eq!(wait(20_000, "5S", "5.2.0").await, (40018, None));
    assert_eq!(wait(20_000, "5S", "5.0.2").await, (40000, None));
}

#[tokio::test]
async fn other_tags_are_passed_over_and_worn_out_messages_are_dead_letters() {
    let mut server = Running::start().await;
    server.make_group("g", |group| group.retry_max_times = 2);
    let mut client = server.client().await;
    let some = vec![
        delivery(1, 1, "TAGS\u{1}a\u{2}"),
        delivery(2, 1, "TAGS\u{1}other\u{2}"),
        delivery(3, 3, "TAGS\u{1}b\u{2}"),
        delivery(4, 4, "TAGS\u{1}b\u{2}"),
    ];
    server.engine.receives.lock().push_back(Ok(received(some)));
    let filter = FilterExpression { r#type: FilterType::Tag.into(), expression: "a || b".to_owned() };
    let request = ReceiveMessageRequest { filter_expression: Some(filter), ..request() };
    let contents = contents(&mut client, from_client("a", request)).await;
    assert_eq!(contents.len(), 4, "{contents:?}");
    assert_eq!(server.done().await, Done::Acked(receipt(2)));
    assert_eq!(server.done().await, Done::DeadLetter(receipt(4), Some(3)));
}

fn ack(handles: &[String]) -> AckMessageRequest {
    let entries = handles.iter().map(|handle| AckMessageEntry {
        message_id: "m".to_owned(),
        receipt_handle: handle.clone(),
        lite_topic: None,
    });
    AckMessageRequest { group: resource("g"), topic: resource("t"), entries: entries.collect() }
}

#[tokio::test]
async fn each_ack_has_its_own_status() {
    let mut server = Running::start().await;
    let mut client = server.client().await;
    server.engine.stale.lock().push(receipt(2));
    let of_others = Receipt { group: group_name("other"), ..receipt(3) };
    let handles = [receipt(1).encode(), "nonsense".to_owned(), receipt(2).encode(), of_others.encode()];
    let response = client.ack_message(from_client("a", ack(&handles))).await.expect("answered").into_inner();
    assert_eq!(response.status.expect("set").code, 30000);
    let codes: Vec<i32> =
        response.entries.iter().map(|entry| entry.status.as_ref().expect("set").code).collect();
    assert_eq!(codes, [20000, 40013, 40013, 40013]);
    assert_eq!(response.entries[1].receipt_handle, "nonsense");
    assert_eq!(server.done().await, Done::Acked(receipt(1)));
    let response = client.ack_message(from_client("a", ack(&[]))).await.expect("answered").into_inner();
    assert_eq!(response.status.expect("set").code, 40000);
}

#[tokio::test]
async fn a_push_consumer_that_hides_a_message_anew_has_failed() {
    let mut server = Running::start().await;
    let mut client = server.client().await;
    for (id, kind, suspend, expected) in [
        ("push", ClientType::PushConsumer, None, Hide::failed(5_000)),
        ("lite", ClientType::PushConsumer, Some(true), Hide::asked(5_000)),
        ("simple", ClientType::SimpleConsumer, None, Hide::asked(5_000)),
    ] {
        let mut telemetry = Telemetry::open(&mut client, id).await;
        let settings = Settings { client_type: Some(kind.into()), ..consumer_settings("g") };
        telemetry.agree(settings).await;
        let request = ChangeInvisibleDurationRequest {
            group: resource("g"),
            topic: resource("t"),
            receipt_handle: receipt(1).encode(),
            invisible_duration: Some(span_of_ms(5_000)),
            suspend,
            ..ChangeInvisibleDurationRequest::default()
        };
        client.change_invisible_duration(from_client(id, request)).await.expect("answered");
        assert_eq!(server.done().await, Done::Extended(receipt(1), expected), "{id}");
    }
}

#[tokio::test]
async fn a_delivery_can_be_hidden_anew_or_given_up() {
    let mut server = Running::start().await;
    let mut client = server.client().await;
    let change = |ms: i64, handle: String| ChangeInvisibleDurationRequest {
        group: resource("g"),
        topic: resource("t"),
        receipt_handle: handle,
        invisible_duration: Some(span_of_ms(ms)),
        ..ChangeInvisibleDurationRequest::default()
    };
    let mut changed = async |request| {
        let response =
            client.change_invisible_duration(from_client("a", request)).await.expect("answered").into_inner();
        (response.status.expect("set").code, Receipt::decode(&response.receipt_handle).ok())
    };
    let (code, newer) = changed(change(5_000, receipt(1).encode())).await;
    assert_eq!((code, newer.map(|receipt| receipt.nonce)), (20000, Some(Lsn(1_000))));
    assert_eq!(server.done().await, Done::Extended(receipt(1), Hide::asked(5_000)));
    assert_eq!(changed(change(13 * 3_600_000, receipt(1).encode())).await.0, 40011);
    assert_eq!(changed(change(5_000, "nonsense".to_owned())).await.0, 40013);

    let forward = ForwardMessageToDeadLetterQueueRequest {
        group: resource("g"),
        topic: resource("t"),
        receipt_handle: receipt(2).encode(),
        max_delivery_attempts: 16,
        ..ForwardMessageToDeadLetterQueueRequest::default()
    };
    let response =
        client.forward_message_to_dead_letter_queue(from_client("a", forward)).await.expect("answered");
    assert_eq!(response.into_inner().status.expect("set").code, 20000);
    assert_eq!(server.done().await, Done::DeadLetter(receipt(2), Some(16)));
}

#[tokio::test]
async fn the_server_renews_and_acks_with_the_newest_receipt() {
    let mut server = Running::start().await;
    let mut client = server.client().await;
    Telemetry::open(&mut client, "a").await.agree(consumer_settings("g")).await;
    server.engine.receives.lock().push_back(Ok(received(vec![delivery(1, 1, "")])));
    let renewed = ReceiveMessageRequest { auto_renew: true, invisible_duration: None, ..request() };
    assert_eq!(contents(&mut client, from_client("a", renewed)).await.len(), 3);
    assert_eq!(server.engine.received.lock()[0].invisible_ms, 60_000);

    server.clock.set(1_050_000);
    let node = server.grpc.node().clone();
    let known = node.clients.get("a").expect("has sent settings");
    driver::scan(node.clone(), known.clone()).await;
    assert_eq!(server.done().await, Done::Extended(receipt(1), Hide::asked(60_000)));
    let newest = Receipt { nonce: Lsn(1_000), ..receipt(1) };

    let response = client.ack_message(from_client("a", ack(&[receipt(1).encode()]))).await.expect("answered");
    let response = response.into_inner();
    assert_eq!(response.status.expect("set").code, 20000);
    assert_eq!(
        response.entries[0].receipt_handle,
        receipt(1).encode(),
        "the client knows its own handle only"
    );
    assert_eq!(server.done().await, Done::Acked(newest));
    assert_eq!(known.renewals.lock().len(), 0);
}

#[tokio::test]
async fn what_a_leaving_client_holds_goes_back() {
    let mut server = Running::start().await;
    let mut client = server.client().await;
    Telemetry::open(&mut client, "a").await.agree(consumer_settings("g")).await;
    server.engine.receives.lock().push_back(Ok(received(vec![delivery(1, 1, "")])));
    contents(&mut client, from_client("a", ReceiveMessageRequest { auto_renew: true, ..request() })).await;
    let goodbye = from_client("a", NotifyClientTerminationRequest { group: resource("g") });
    client.notify_client_termination(goodbye).await.expect("answered");
    assert_eq!(server.done().await, Done::Left("a".to_owned()));
    assert_eq!(server.done().await, Done::Extended(receipt(1), Hide::asked(1_000)));
}

#[tokio::test]
async fn a_client_that_has_not_said_its_settings_is_renewed_for_too() {
    let mut server = Running::start().await;
    let mut client = server.client().await;
    server.engine.receives.lock().push_back(Ok(received(vec![delivery(1, 1, "")])));
    contents(&mut client, from_client("a", ReceiveMessageRequest { auto_renew: true, ..request() })).await;
    let beat = HeartbeatRequest { group: resource("g"), client_type: ClientType::PushConsumer.into() };
    let status = client.heartbeat(from_client("a", beat)).await.expect("answered").into_inner().status;
    assert_eq!(status.expect("set").code, 40015, "it is still to send them");
    server.clock.set(1_000_000 + 60_001);
    let node = server.grpc.node().clone();
    node.expire().await;
    assert_eq!(server.done().await, Done::Extended(receipt(1), Hide::asked(1_000)));
    assert!(node.clients.get("a").is_none());
}

#[tokio::test]
async fn messages_that_clients_do_not_take_are_bounded() {
    let config = crate::GrpcConfig { outgoing_bytes_max: 10, ..Default::default() };
    let mut server = Running::with(config).await;
    let mut client = server.client().await;
    server.engine.receives.lock().push_back(Ok(received(vec![delivery(1, 1, "")])));
    assert_eq!(refusal(&mut client, from_client("a", request())).await, 42900);
    assert_eq!(server.done().await, Done::Extended(receipt(1), Hide::asked(1_000)));
}

#[tokio::test]
async fn messages_that_cannot_be_written_go_back_at_once() {
    let mut server = Running::start().await;
    let node = server.grpc.node().clone();
    let connection = Connection {
        peer: super::fake::store_host(),
        advertised: super::fake::store_host().into(),
        session: SessionId(1),
        certificate: None,
        drain: Drain::new(),
    };
    let head = Box::new(Head::default().with(Field::ClientId, "a"));
    let origin = Origin { connection: Arc::new(connection), head };
    let call = Call::new(&node, origin).expect("well formed");
    server.engine.receives.lock().push_back(Ok(received(vec![delivery(1, 1, ""), delivery(2, 1, "")])));
    let mut answering = receive(call, request()).await;
    assert!(answering.next().is_some(), "the status");
    assert!(answering.next().is_some(), "the first message");
    drop(answering);
    assert_eq!(server.done().await, Done::Extended(receipt(2), Hide::asked(1_000)));
    assert!(server.done.try_recv().is_err(), "only what was not written");
}
