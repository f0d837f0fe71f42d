//! Settings first, then heartbeats; goodbye and silence.

use std::sync::Arc;

use model::membership::ConsumeHow;
use tonic::{Code as Rpc, Request};

use super::fake::{Done, stored};
use super::kit::*;
use crate::convert::time::span_of_ms;
use crate::proto::settings::PubSub;
use crate::proto::telemetry_command::Command;
use crate::proto::*;

fn beat(group: &str) -> HeartbeatRequest {
    HeartbeatRequest { group: resource(group), client_type: ClientType::PushConsumer.into() }
}

#[tokio::test]
async fn whoever_sends_no_settings_is_not_known() {
    let server = Running::start().await;
    let mut client = server.client().await;
    let status = client.heartbeat(from_client("a", beat("g"))).await.expect("answered").into_inner().status;
    assert_eq!(status.expect("set").code, 40015);
    let goodbye = from_client("a", NotifyClientTerminationRequest { group: resource("g") });
    let status = client.notify_client_termination(goodbye).await.expect("answered").into_inner().status;
    assert_eq!(status.expect("set").code, 40015);
}

#[tokio::test]
async fn a_client_without_an_id_is_refused() {
    let server = Running::start().await;
    let mut client = server.client().await;
    let status = client.heartbeat(Request::new(beat("g"))).await.expect("answered").into_inner().status;
    assert_eq!(status.expect("set").code, 40017);
}

#[tokio::test]
async fn settings_are_answered_and_make_the_client_a_member() {
    let server = Running::start().await;
    server.make_group("g", |group| {
        group.ordered = true;
        group.retry_max_times = 2;
    });
    let mut client = server.client().await;
    let mut telemetry = Telemetry::open(&mut client, "a").await;
    let agreed = telemetry.agree(consumer_settings("g")).await;
    assert_eq!(agreed.backoff_policy.expect("set").max_attempts, 3);
    let Some(PubSub::Subscription(subscription)) = agreed.pub_sub else { panic!("stays a consumer") };
    assert_eq!((subscription.fifo, subscription.receive_batch_size), (Some(true), Some(32)));
    assert_eq!(subscription.long_polling_timeout, Some(span_of_ms(20_000)));

    let status = client.heartbeat(from_client("a", beat("g"))).await.expect("answered").into_inner().status;
    assert_eq!(status.expect("set").code, 20000);
    let beats = server.engine.beats.lock();
    assert_eq!(beats.len(), 2, "one by the settings, one by the heartbeat");
    assert_eq!(beats[0].0.id, beats[1].0.id, "one session per client");
    let beat = &beats[1].1;
    assert_eq!((beat.client_id.as_str(), beat.language.as_str(), beat.version), ("a", "JAVA", 453));
    assert_eq!((beat.consumers[0].group.as_str(), beat.consumers[0].how), ("g", ConsumeHow::Push));
}

#[tokio::test]
async fn refused_settings_end_the_stream() {
    let server = Running::start().await;
    let mut client = server.client().await;
    for settings in [Settings::default(), consumer_settings("bad group"), producer_settings("bad topic")] {
        let mut telemetry = Telemetry::open(&mut client, "a").await;
        telemetry.send(settings).await;
        let status = telemetry.from_server.message().await.expect_err("refused");
        assert_eq!(status.code(), Rpc::InvalidArgument);
    }
}

#[tokio::test]
async fn clients_are_bounded() {
    let server = Running::with(crate::GrpcConfig { clients_max: 1, ..Default::default() }).await;
    let mut client = server.client().await;
    Telemetry::open(&mut client, "a").await.agree(producer_settings("t")).await;
    let mut second = Telemetry::open(&mut client, "b").await;
    second.send(producer_settings("t")).await;
    let status = second.from_server.message().await.expect_err("refused");
    assert!(status.message().contains("too many clients"), "{status}");
}

#[tokio::test]
async fn goodbye_takes_the_client_out() {
    let mut server = Running::start().await;
    let mut client = server.client().await;
    let mut telemetry = Telemetry::open(&mut client, "a").await;
    telemetry.agree(consumer_settings("g")).await;
    let session = server.engine.beats.lock()[0].0.id;
    let goodbye = from_client("a", NotifyClientTerminationRequest { group: resource("g") });
    let status = client.notify_client_termination(goodbye).await.expect("answered").into_inner().status;
    assert_eq!(status.expect("set").code, 20000);
    assert_eq!(server.done().await, Done::Left("a".to_owned()));
    assert_eq!(server.done().await, Done::Disconnected(session));
    assert!(telemetry.from_server.message().await.expect("ends well").is_none());
    let status = client.heartbeat(from_client("a", beat("g"))).await.expect("answered").into_inner().status;
    assert_eq!(status.expect("set").code, 40015);
}

#[tokio::test]
async fn an_undecided_transaction_is_asked_for_and_answered() {
    let mut server = Running::start().await;
    let mut client = server.client().await;
    let mut telemetry = Telemetry::open(&mut client, "a").await;
    telemetry.agree(producer_settings("t")).await;
    let session = server.engine.beats.lock()[0].0.clone();
    let notice = model::Notice::CheckTransaction {
        message: stored("t", model::Lsn(4_660), "UNIQ_KEY\u{1}id\u{2}TRAN_MSG\u{1}true\u{2}"),
        producer_group: group_name("t"),
        transaction_id: "inner".to_owned(),
    };
    assert!(session.notices.notify(notice));
    let Command::RecoverOrphanedTransactionCommand(asked) = telemetry.next().await else { panic!("asked") };
    let message = asked.message.expect("set");
    assert_eq!(message.topic, resource("t"));
    assert_eq!(message.system_properties.expect("set").message_id, "id");

    let end = |transaction_id: &str, resolution: TransactionResolution| EndTransactionRequest {
        topic: resource("t"),
        message_id: "id".to_owned(),
        transaction_id: transaction_id.to_owned(),
        resolution: resolution.into(),
        source: TransactionSource::SourceServerCheck.into(),
        trace_context: String::new(),
    };
    let mut code = async |request| {
        client
            .end_transaction(from_client("a", request))
            .await
            .expect("answered")
            .into_inner()
            .status
            .expect("set")
            .code
    };
    assert_eq!(code(end(&asked.transaction_id, TransactionResolution::Commit)).await, 20000);
    use model::verbs::TransactionOutcome::Commit;
    assert_eq!(server.done().await, Done::Ended(Commit, model::Lsn(4_660), true));
    let gone = model::record::offset_id(super::fake::store_host(), model::Lsn(666));
    for id in ["", "nonsense", &gone] {
        assert_eq!(code(end(id, TransactionResolution::Rollback)).await, 40008, "{id}");
    }
}

#[tokio::test]
async fn silence_takes_the_client_out_too() {
    let mut server = Running::start().await;
    let mut client = server.client().await;
    Telemetry::open(&mut client, "a").await.agree(consumer_settings("g")).await;
    let node = Arc::clone(server.grpc.node());
    node.expire().await;
    assert!(node.clients.get("a").is_some());
    server.clock.set(1_000_000 + 60_001);
    node.expire().await;
    assert!(node.clients.get("a").is_none());
    let session = server.engine.beats.lock()[0].0.id;
    assert_eq!(server.done().await, Done::Disconnected(session));
}
