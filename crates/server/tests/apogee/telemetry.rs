//! A collector inside the test gets what the node counts, and the spans of a message from its producer to its
//! consumer in one trace.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use grpc::proto::messaging_service_client::MessagingServiceClient;
use grpc::proto::receive_message_response::Content;
use grpc::proto::{
    AckMessageEntry, AckMessageRequest, EndTransactionRequest, FilterExpression, Message, MessageQueue,
    MessageType, ReceiveMessageRequest, Resource, SendMessageRequest, SystemProperties,
    TransactionResolution,
};
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use prost::Message as _;
use rcgen::ExtendedKeyUsagePurpose;
use remoting::client::{Outgoing, Pull};
use serde_json::json;
use server::config::Config;
use server::wiring::Node;
use telemetry::exposition::parse;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Identity, Server, ServerTlsConfig};
use tonic::{Request, Response, Status};

use crate::binary;
use crate::metrics::{operate, text};
use crate::mutual_tls::Authority;
use crate::node::{address, config, connect, http, start};

const PATIENCE: Duration = Duration::from_secs(30);
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

fn traceparent(flags: &str) -> String {
    format!("00-{TRACE}-{PARENT}-{flags}")
}

/// Takes what is pushed to it.
#[derive(Clone)]
struct Sink {
    spans: mpsc::Sender<ExportTraceServiceRequest>,
    metrics: mpsc::Sender<ExportMetricsServiceRequest>,
    /// How many spans of each request it says it refuses.
    refused: i64,
}

/// What has come to a collector.
struct Collector {
    at: SocketAddr,
    spans: mpsc::Receiver<ExportTraceServiceRequest>,
    metrics: mpsc::Receiver<ExportMetricsServiceRequest>,
    seen: Vec<Span>,
}

#[tonic::async_trait]
impl TraceService for Sink {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        if request.metadata().get("api-key").is_none_or(|key| key != "hush") {
            return Err(Status::unauthenticated("who is it?"));
        }
        self.spans.send(request.into_inner()).await.map_err(|_| Status::unavailable("the test is over"))?;
        let partial = ExportTracePartialSuccess { rejected_spans: self.refused, ..Default::default() };
        Ok(Response::new(ExportTraceServiceResponse { partial_success: Some(partial) }))
    }
}

#[tonic::async_trait]
impl MetricsService for Sink {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        // Who does not look at metrics is not waited for.
        let _ = self.metrics.try_send(request.into_inner());
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}

fn sink(refused: i64) -> (Sink, Collector) {
    let (spans, traces_seen) = mpsc::channel(1_024);
    let (metrics, metrics_seen) = mpsc::channel(1_024);
    let at = SocketAddr::from(([127, 0, 0, 1], 0));
    let collector = Collector { at, spans: traces_seen, metrics: metrics_seen, seen: Vec::new() };
    (Sink { spans, metrics, refused }, collector)
}

impl Collector {
    /// Over gRPC.
    async fn listen(refused: i64) -> Self {
        Self::listen_as(Server::builder(), refused).await
    }

    async fn listen_as(mut server: Server, refused: i64) -> Self {
        let (sink, mut collector) = sink(refused);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        collector.at = listener.local_addr().expect("it is bound");
        let services = server
            .add_service(TraceServiceServer::new(sink.clone()))
            .add_service(MetricsServiceServer::new(sink));
        tokio::spawn(services.serve_with_incoming(TcpIncoming::from(listener)));
        collector
    }

    /// Over HTTP/1.1, refusing the first request.
    async fn listen_http() -> Self {
        let (sink, mut collector) = sink(0);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        collector.at = listener.local_addr().expect("it is bound");
        tokio::spawn(async move {
            for at in 0.. {
                let (mut stream, _) = listener.accept().await.expect("it listens");
                let (head, body) = read_request(&mut stream).await;
                assert!(head.contains("content-type: application/x-protobuf"), "{head}");
                if at > 0 && head.starts_with("post /base/v1/traces ") {
                    let request = ExportTraceServiceRequest::decode(body.as_slice()).expect("OTLP");
                    sink.spans.send(request).await.expect("the test goes on");
                } else if at > 0 && head.starts_with("post /base/v1/metrics ") {
                    let request = ExportMetricsServiceRequest::decode(body.as_slice()).expect("OTLP");
                    let _ = sink.metrics.try_send(request);
                }
                let status = if at == 0 { "503 Service Unavailable" } else { "200 OK" };
                let answer = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
                stream.write_all(answer.as_bytes()).await.expect("it is read");
            }
        });
        collector
    }

    /// Waits until `count` spans of the trace have come.
    async fn spans(&mut self, trace: &str, count: usize) -> Vec<Span> {
        loop {
            let of_trace = || self.seen.iter().filter(|span| hex::encode(&span.trace_id) == trace);
            if of_trace().count() >= count {
                return of_trace().cloned().collect();
            }
            let request = tokio::time::timeout(PATIENCE, self.spans.recv()).await;
            let request =
                request.unwrap_or_else(|_| panic!("these came: {:#?}", self.seen)).expect("it listens");
            for of_node in request.resource_spans {
                let resource = of_node.resource.expect("it is told who tells");
                assert_eq!(text_of(&resource.attributes, "service.name"), "apogee");
                assert_eq!(text_of(&resource.attributes, "service.instance.id"), "apogee-0");
                self.seen.extend(of_node.scope_spans.into_iter().flat_map(|scoped| scoped.spans));
            }
        }
    }
}

/// Head in lower case, and body.
async fn read_request(stream: &mut tokio::net::TcpStream) -> (String, Vec<u8>) {
    let mut bytes = Vec::new();
    loop {
        let head = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        if let Some(end) = head {
            let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
            let (_, len) = head.split_once("content-length: ").expect("a length");
            let len: usize = len.lines().next().and_then(|len| len.trim().parse().ok()).expect("a number");
            if bytes.len() >= end + 4 + len {
                return (head, bytes[end + 4..].to_vec());
            }
        }
        assert!(stream.read_buf(&mut bytes).await.expect("it is sent") > 0, "it broke off");
    }
}

fn find<'a>(attributes: &'a [KeyValue], name: &str) -> Option<&'a Any> {
    attributes.iter().find(|attribute| attribute.key == name)?.value.as_ref()?.value.as_ref()
}

fn text_of(attributes: &[KeyValue], name: &str) -> String {
    match find(attributes, name) {
        Some(Any::StringValue(text)) => text.clone(),
        other => panic!("{name} is {other:?} of {attributes:?}"),
    }
}

fn named<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    let found: Vec<&Span> = spans.iter().filter(|span| span.name == name).collect();
    assert_eq!(found.len(), 1, "{name}: {spans:#?}");
    found[0]
}

fn pushing_to(collector: &Collector, dir: &TempDir) -> Config {
    let mut config = config(dir);
    config.telemetry.otlp_endpoint = format!("http://{}", collector.at);
    config.telemetry.headers = vec!["api-key=hush".to_owned()];
    config.telemetry.metrics_interval_ms = 100;
    config.telemetry.sample_ratio = 0.0;
    config
}

async fn make(node: &Node, topic: &str, kind: &str) {
    let rest = address(node, "http");
    let attributes = json!({ "message.type": kind });
    let config = json!({ "name": topic, "read_queues": 1, "write_queues": 1, "attributes": attributes });
    operate(rest, "topic.put", json!({ "config": config })).await;
    operate(rest, "group.put", json!({ "config": { "name": "g" }, "update": true })).await;
}

type Grpc = MessagingServiceClient<Channel>;

async fn client(node: &Node) -> Grpc {
    let address = format!("http://{}", address(node, "grpc"));
    Grpc::connect(address).await.expect("it listens")
}

fn resource(name: &str) -> Option<Resource> {
    Some(Resource { resource_namespace: String::new(), name: name.to_owned() })
}

fn request<T>(body: T) -> Request<T> {
    let mut request = Request::new(body);
    request.metadata_mut().insert("x-mq-client-id", "client-5".parse().expect("ascii"));
    request.set_timeout(PATIENCE);
    request
}

/// The receipt of what was sent: transaction id, message id.
async fn send(client: &mut Grpc, topic: &str, kind: MessageType, context: &str) -> (String, String) {
    let system = SystemProperties {
        message_id: format!("{:034X}", 77),
        message_type: kind.into(),
        trace_context: Some(context.to_owned()),
        tag: Some("red".to_owned()),
        ..SystemProperties::default()
    };
    let body = b"hello".to_vec().into();
    let message =
        Message { topic: resource(topic), body, system_properties: Some(system), ..Message::default() };
    let answer = client.send_message(request(SendMessageRequest { messages: vec![message] })).await;
    let entry = answer.expect("answered").into_inner().entries.remove(0);
    assert_eq!(entry.status.expect("a status").code, 20_000);
    (entry.transaction_id, entry.message_id)
}

async fn receive(client: &mut Grpc, topic: &str) -> SystemProperties {
    let seconds = |seconds| Some(prost_types::Duration { seconds, nanos: 0 });
    let body = ReceiveMessageRequest {
        group: resource("g"),
        message_queue: Some(MessageQueue { topic: resource(topic), id: -1, ..MessageQueue::default() }),
        filter_expression: Some(FilterExpression {
            expression: "*".to_owned(),
            ..FilterExpression::default()
        }),
        batch_size: 1,
        invisible_duration: seconds(30),
        long_polling_timeout: seconds(20),
        ..ReceiveMessageRequest::default()
    };
    let mut answers = client.receive_message(request(body)).await.expect("answered").into_inner();
    let mut found = None;
    while let Some(answer) = answers.message().await.expect("no broken stream") {
        if let Some(Content::Message(message)) = answer.content {
            found = message.system_properties;
        }
    }
    found.expect("a message")
}

async fn ack(client: &mut Grpc, topic: &str, received: &SystemProperties) {
    let entry = AckMessageEntry {
        message_id: received.message_id.clone(),
        receipt_handle: received.receipt_handle.clone().expect("a receipt"),
        ..AckMessageEntry::default()
    };
    let body = AckMessageRequest { group: resource("g"), topic: resource(topic), entries: vec![entry] };
    let answer = client.ack_message(request(body)).await.expect("answered").into_inner();
    assert_eq!(answer.status.expect("a status").code, 20_000);
}

/// The spans of one message that was sent, received and acknowledged hang together.
fn check_life(spans: &[Span], topic: &str) {
    let one = |operation: &str| named(spans, &format!("{operation} {topic}"));
    let (producer, node, consumer, end) = (one("send"), one("publish"), one("process"), one("ack"));
    assert_eq!(hex::encode(&producer.parent_span_id), PARENT, "the span that the sender was in");
    assert_eq!(node.parent_span_id, producer.span_id);
    assert_eq!(consumer.parent_span_id, producer.span_id);
    assert_eq!(end.parent_span_id, consumer.span_id);
    let kinds = [producer, node, consumer, end].map(Span::kind);
    assert_eq!(kinds, [SpanKind::Producer, SpanKind::Server, SpanKind::Consumer, SpanKind::Server]);
    let ids: BTreeSet<&Vec<u8>> = spans.iter().map(|span| &span.span_id).collect();
    assert_eq!(ids.len(), spans.len(), "each has an id of its own");
    for span in spans {
        assert_eq!(text_of(&span.attributes, "messaging.system"), "rocketmq");
        assert_eq!(text_of(&span.attributes, "messaging.destination.name"), topic);
        assert!(span.start_time_unix_nano > 0 && span.start_time_unix_nano <= span.end_time_unix_nano);
        assert_eq!(span.status, None, "nothing failed");
    }
    assert!(node.start_time_unix_nano <= consumer.end_time_unix_nano);
    assert_eq!(text_of(&consumer.attributes, "messaging.consumer.group.name"), "g");
    assert_eq!(text_of(&consumer.attributes, "apogee.delivery.result"), "acked");
    let id = text_of(&node.attributes, "messaging.message.id");
    assert_eq!(text_of(&consumer.attributes, "messaging.message.id"), id);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_5x_message_is_one_trace_from_producer_to_consumer() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut collector = Collector::listen(0).await;
    let node = start(&pushing_to(&collector, &dir)).await;
    make(&node, "t", "NORMAL").await;
    let mut client = client(&node).await;
    send(&mut client, "t", MessageType::Normal, &traceparent("01")).await;
    let received = receive(&mut client, "t").await;
    assert_eq!(received.trace_context, Some(traceparent("01")), "it is handed on");
    ack(&mut client, "t", &received).await;
    let spans = collector.spans(TRACE, 4).await;
    check_life(&spans, "t");
    let consumer = named(&spans, "process t");
    assert_eq!(text_of(&consumer.attributes, "messaging.client.id"), "client-5");
    assert_eq!(text_of(&consumer.attributes, "messaging.rocketmq.message.tag"), "red");
    let metrics = text(address(&node, "http")).await;
    for line in ["apogee_spans_made_total 4", "apogee_spans_dropped_total 0", "apogee_spans_deliveries 0"] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
    node.stop().await.expect("it stops in order");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_and_a_timer_stay_in_their_trace() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut collector = Collector::listen(0).await;
    let node = start(&pushing_to(&collector, &dir)).await;
    let (mut client, rest) = (client(&node).await, address(&node, "http"));
    make(&node, "tx", "TRANSACTION").await;
    let (transaction_id, message_id) =
        send(&mut client, "tx", MessageType::Transaction, &traceparent("01")).await;
    let body = EndTransactionRequest {
        topic: resource("tx"),
        message_id,
        transaction_id,
        resolution: TransactionResolution::Commit.into(),
        ..EndTransactionRequest::default()
    };
    let ended = client.end_transaction(request(body)).await.expect("answered").into_inner();
    assert_eq!(ended.status.expect("a status").code, 20_000);
    let received = receive(&mut client, "tx").await;
    ack(&mut client, "tx", &received).await;
    let spans = collector.spans(TRACE, 4).await;
    check_life(&spans, "tx");
    let kind = "messaging.rocketmq.message.type";
    assert_eq!(text_of(&named(&spans, "publish tx").attributes, kind), "transaction");

    make(&node, "later", "DELAY").await;
    let other = TRACE.replace('0', "1");
    let message = json!({ "body": "x", "delay_ms": 300 }).to_string();
    let head = format!(
        "POST /api/v1/topics/later/messages HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTraceparent: {}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        traceparent("01").replace(TRACE, &other),
        message.len()
    );
    let sent = http(rest, &(head + &message)).await;
    assert!(sent.starts_with("HTTP/1.1 200"), "{sent}");
    let received = receive(&mut client, "later").await;
    ack(&mut client, "later", &received).await;
    check_life(&collector.spans(&other, 4).await, "later");
    node.stop().await.expect("it stops in order");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_4x_message_is_one_trace_and_crosses_to_5x() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut collector = Collector::listen(1).await;
    let node = start(&pushing_to(&collector, &dir)).await;
    make(&node, "t", "NORMAL").await;
    let broker = connect(address(&node, "broker")).await;
    for (at, flags) in ["01", "00"].iter().enumerate() {
        let properties = format!("UNIQ_KEY\u{1}id-{at}\u{2}traceparent\u{1}{}\u{2}", traceparent(flags));
        broker.send("t", 0, Outgoing { body: "x".into(), properties }).await.expect("it is taken");
    }
    let pull =
        Pull { group: "g", topic: "t", queue: 0, offset: 0, max_messages: 8, expression: "*", wait_ms: 0 };
    let pulled = broker.pull(&pull).await.expect("the topic is there").messages;
    assert_eq!(pulled[0].property("traceparent"), Some(traceparent("01").as_str()));
    let mut client = client(&node).await;
    let received = receive(&mut client, "t").await;
    assert_eq!(received.trace_context, Some(traceparent("01")), "5.x clients look for it there");
    let spans = collector.spans(TRACE, 3).await;
    let (producer, pulled) = (named(&spans, "send t"), named(&spans, "receive t"));
    assert_eq!(
        (pulled.parent_span_id.as_slice(), pulled.kind()),
        (producer.span_id.as_slice(), SpanKind::Consumer)
    );
    // The collector says of each request that it refused one.
    while text(address(&node, "http")).await.contains("apogee_telemetry_spans_lost_total 0") {
        tokio::task::yield_now().await;
    }
    node.stop().await.expect("it stops in order");
    // What is under way when the node stops is told then.
    let spans = collector.spans(TRACE, 4).await;
    let open = named(&spans, "process t");
    assert_eq!(text_of(&open.attributes, "apogee.delivery.result"), "open");
    assert!(
        spans.iter().all(|span| text_of(&span.attributes, "messaging.message.id") == "id-0"),
        "an unsampled message has no spans: {spans:#?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_context_a_message_is_sampled_by_its_id() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut collector = Collector::listen_http().await;
    let mut config = pushing_to(&collector, &dir);
    config.telemetry.otlp_endpoint += "/base/v1/traces";
    config.telemetry.sample_ratio = 1.0;
    let node = start(&config).await;
    make(&node, "t", "NORMAL").await;
    let broker = connect(address(&node, "broker")).await;
    // A resend of the same message stays in its trace.
    for _ in 0..2 {
        let properties = "UNIQ_KEY\u{1}7F0000010D2A18B4AAC2000000000001\u{2}".to_owned();
        broker.send("t", 0, Outgoing { body: "x".into(), properties }).await.expect("it is taken");
    }
    let spans = collector.spans("f878643ef6b865459a9f850b6f72521b", 4).await;
    assert!(spans.iter().filter(|span| span.name == "send t").all(|span| span.parent_span_id.is_empty()));
    collector.metrics.recv().await.expect("metrics come too");
    let failed = "apogee_telemetry_pushes_failed_total";
    let metrics = text(address(&node, "http")).await;
    let failures = metrics.lines().filter(|line| line.starts_with(failed) && line.ends_with(" 1")).count();
    assert_eq!(failures, 1, "the first request was refused, and made again: {metrics}");
    node.stop().await.expect("it stops in order");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_is_reached_over_tls_if_the_machine_trusts_it() {
    let (trusted, other) = (Authority::new("trusted"), Authority::new("other"));
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("authorities.pem");
    std::fs::write(&file, &trusted.pem).expect("it is writable");
    let file = file.to_str().expect("text").to_owned();
    for (authority, is_trusted) in [(&trusted, true), (&other, false)] {
        let pem = authority.sign(ExtendedKeyUsagePurpose::ServerAuth);
        let tls = ServerTlsConfig::new().identity(Identity::from_pem(&pem, &pem));
        let mut collector = Collector::listen_as(Server::builder().tls_config(tls).expect("sound"), 0).await;
        let endpoint = format!("https://localhost:{}", collector.at.port());
        let file = file.clone();
        let log = tokio::task::spawn_blocking(move || {
            let variables = [
                ("SSL_CERT_FILE", file.as_str()),
                ("APOGEE_TELEMETRY_OTLP_ENDPOINT", endpoint.as_str()),
                ("APOGEE_TELEMETRY_HEADERS", "api-key=hush"),
                ("APOGEE_TELEMETRY_SAMPLE_RATIO", "1.0"),
            ];
            let server = binary::Server::start_with(&["--ephemeral"], &variables);
            server.succeed(&["topic", "create", "demo"]);
            server.succeed(&["send", "demo", "-b", "x"]);
            server.stop().2
        });
        let log = log.await.expect("no panic");
        assert_eq!(log.contains("telemetry is not taken"), !is_trusted, "{log}");
        assert_eq!(collector.spans.try_recv().is_ok(), is_trusted, "{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_pushed_is_what_metrics_shows() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut collector = Collector::listen(0).await;
    let mut config = pushing_to(&collector, &dir);
    config.telemetry.traces = false;
    let node = start(&config).await;
    make(&node, "t", "NORMAL").await;
    let broker = connect(address(&node, "broker")).await;
    broker.send("t", 0, Outgoing { body: "x".into(), properties: String::new() }).await.expect("it is taken");
    let families = parse(&text(address(&node, "http")).await).expect("sound");
    let shown = families.iter().filter(|family| !family.samples.is_empty());
    let shown: BTreeSet<&str> = shown.map(|family| family.name.as_str()).collect();
    assert!(shown.contains("rocketmq_messages_in") && shown.contains("apogee_verb_seconds"), "{shown:?}");
    let mut missing = shown.clone();
    let mut pushed = BTreeSet::new();
    while !missing.is_empty() {
        let request = tokio::time::timeout(PATIENCE, collector.metrics.recv()).await;
        let request = request.unwrap_or_else(|_| panic!("{missing:?} did not come")).expect("it listens");
        for metric in request.resource_metrics.iter().flat_map(|of_node| &of_node.scope_metrics[0].metrics) {
            missing.remove(metric.name.as_str());
            pushed.insert(metric.name.clone());
        }
    }
    let families = parse(&text(address(&node, "http")).await).expect("sound");
    let known: BTreeSet<&str> = families.iter().map(|family| family.name.as_str()).collect();
    assert!(pushed.iter().all(|name| known.contains(name.as_str())), "{pushed:?}");
    node.stop().await.expect("it stops in order");
}
