//! Reports of what clients measure: who is told to make them, and over a socket to the metrics' text.

use http::uri::PathAndQuery;
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::metrics::v1::AggregationTemporality::{Cumulative, Delta};
use prometheus_client::registry::Registry;
use tonic::transport::Channel;
use tonic::{Code as Rpc, Request, Status};
use tonic_prost::ProstCodec;

use super::kit::*;
use crate::proto::{Address, AddressScheme, Endpoints, Metric, NotifyClientTerminationRequest};
use crate::reports::PATH;
use crate::reports::tests::{cached, point, request, sends};
use crate::{GrpcConfig, Metrics};

type Answered = Result<ExportMetricsServiceResponse, Status>;

async fn export_to(
    server: &Running,
    path: &'static str,
    request: Request<ExportMetricsServiceRequest>,
) -> Answered {
    let url = format!("http://127.0.0.1:{}", server.port);
    let channel = Channel::from_shared(url).expect("an address").connect().await.expect("listening");
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await.expect("open");
    let codec: ProstCodec<ExportMetricsServiceRequest, ExportMetricsServiceResponse> = ProstCodec::default();
    Ok(client.unary(request, PathAndQuery::from_static(path), codec).await?.into_inner())
}

async fn export(server: &Running, request: Request<ExportMetricsServiceRequest>) -> Answered {
    export_to(server, PATH, request).await
}

fn text(metrics: &Metrics, server: &Running) -> String {
    let mut registry = Registry::with_prefix("rocketmq");
    metrics.register_rocketmq(&mut registry, server.clock.clone());
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).expect("it can be written");
    text
}

#[tokio::test]
async fn clients_are_told_to_report_where_they_came_in() {
    let server = Running::start().await;
    let mut client = server.client().await;
    let mut telemetry = Telemetry::open(&mut client, "a").await;
    let address = Address { host: "127.0.0.1".to_owned(), port: i32::from(server.port) };
    let endpoints = Endpoints { scheme: AddressScheme::IPv4.into(), addresses: vec![address] };
    let told = telemetry.agree(producer_settings("t")).await.metric;
    assert_eq!(told, Some(Metric { on: true, endpoints: Some(endpoints) }));
}

#[tokio::test]
async fn clients_that_would_report_by_another_protocol_are_not_told_to() {
    let off = Some(Metric { on: false, endpoints: None });
    let server = Running::start().await;
    let mut client = server.client().await;
    for language in ["GO", "CPP"] {
        let mut telemetry = Telemetry::open_of(&mut client, "a", language).await;
        assert_eq!(telemetry.agree(producer_settings("t")).await.metric, off, "{language}");
    }
    let server = Running::with(GrpcConfig { client_metrics: false, ..GrpcConfig::default() }).await;
    let mut telemetry = Telemetry::open(&mut server.client().await, "a").await;
    assert_eq!(telemetry.agree(producer_settings("t")).await.metric, off);
    let status = export(&server, from_client("a", request(Vec::new()))).await.expect_err("switched off");
    assert_eq!(status.code(), Rpc::Unimplemented);
}

#[tokio::test]
async fn what_is_reported_is_shown() {
    let server = Running::start().await;
    let mut client = server.client().await;
    Telemetry::open(&mut client, "a").await.agree(consumer_settings("g")).await;
    let sent = [("topic", "t"), ("client_id", "a"), ("invocation_status", "success")];
    let held = [("topic", "t"), ("client_id", "a"), ("consumer_group", "g")];
    let report = |more: u64| {
        let points = vec![point(&sent, 1_000_000, [1 + more, 2, 0, 0, 0, 0, 0, 4])];
        from_client("a", request(vec![sends(points, Cumulative), cached(&held, 3.0)]))
    };
    for more in [0, 1, 1] {
        let answer = export(&server, report(more)).await.expect("taken");
        assert_eq!(answer.partial_success, None);
    }
    let metrics = server.grpc.node().metrics.clone();
    let shown = text(&metrics, &server);
    for line in [
        "rocketmq_send_cost_time_sum{topic=\"t\",invocation_status=\"success\"} 8.0",
        "rocketmq_send_cost_time_count{topic=\"t\",invocation_status=\"success\"} 8",
        "rocketmq_send_cost_time_bucket{le=\"1.0\",topic=\"t\",invocation_status=\"success\"} 2",
        "rocketmq_send_cost_time_bucket{le=\"5.0\",topic=\"t\",invocation_status=\"success\"} 4",
        "rocketmq_send_cost_time_bucket{le=\"+Inf\",topic=\"t\",invocation_status=\"success\"} 8",
        "rocketmq_consumer_cached_messages{topic=\"t\",consumer_group=\"g\"} 3.0",
    ] {
        assert!(shown.lines().any(|its| its == line), "{line} is not in\n{shown}");
    }
    let goodbye = from_client("a", NotifyClientTerminationRequest { group: resource("g") });
    client.notify_client_termination(goodbye).await.expect("answered");
    export(&server, report(2)).await.expect("taken");
    let shown = text(&metrics, &server);
    assert!(!shown.contains("rocketmq_consumer_cached_messages{"), "the client is gone:\n{shown}");
    assert!(
        shown.contains("_count{topic=\"t\",invocation_status=\"success\"} 9"),
        "its last words:\n{shown}"
    );
}

#[tokio::test]
async fn reports_that_are_no_good_are_refused() {
    let server = Running::start().await;
    let empty = || request(Vec::new());
    export(&server, from_client("a", empty())).await.expect("nothing to say is fine");
    let status = export(&server, Request::new(empty())).await.expect_err("of nobody");
    assert_eq!(status.code(), Rpc::InvalidArgument);
    let path = "/apache.rocketmq.v2.MessagingService/ExportMetrics";
    let status = export_to(&server, path, from_client("a", empty())).await.expect_err("no such call");
    assert_eq!(status.code(), Rpc::Unimplemented);
    let huge = (0..10_000).map(|_| point(&[("topic", "t")], 1_000_000, [1; 8])).collect();
    let huge = from_client("a", request(vec![sends(huge, Delta)]));
    assert_eq!(export(&server, huge).await.expect_err("too large").code(), Rpc::OutOfRange);
    let odd = from_client("a", request(vec![sends(vec![point(&[], 1_000_000, [1; 8])], Delta)]));
    let rejected = export(&server, odd).await.expect("in part").partial_success.expect("told");
    assert_eq!(rejected.rejected_data_points, 1);
    assert!(rejected.error_message.contains("labels"), "{}", rejected.error_message);
}

#[tokio::test]
async fn bytes_that_are_no_report_are_refused() {
    let server = Running::start().await;
    let url = format!("http://127.0.0.1:{}", server.port);
    let channel = Channel::from_shared(url).expect("an address").connect().await.expect("listening");
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await.expect("open");
    // Its first field is text, where a report has a message.
    let codec: ProstCodec<Address, ExportMetricsServiceResponse> = ProstCodec::default();
    let request = from_client("a", Address { host: "no report".to_owned(), port: 1 });
    let answer = client.unary(request, PathAndQuery::from_static(PATH), codec).await;
    assert_eq!(answer.expect_err("malformed").code(), Rpc::Internal);
}
