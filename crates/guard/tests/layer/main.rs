//! What the layer adds to an engine: refusals, limits, counts.
#![expect(clippy::disallowed_methods, reason = "tests run in real time")]

mod access;
mod quotas;
mod stub;

use std::sync::Arc;

use base::{SystemChance, SystemClock};
use guard::spans::{SpanMetrics, Tracer, TracerSettings};
use guard::{Action, AllowAll, GuardConfig, Guarded, Metrics, Permit};
use model::admin::AdminPermission;
use model::membership::MemberError;
use model::verbs::{AckError, Publish, PublishError, QueueChoice, RouteError};
use model::{Admin, AdminError, Membership, Messaging, NewMessage, Properties, Receipt, Session, TopicName};
use prometheus_client::registry::Registry;
use stub::Stub;

fn topic(name: &str) -> TopicName {
    TopicName::new(name).expect("a legal name")
}

fn receipt() -> Receipt {
    Receipt {
        group: model::GroupName::new("g").expect("a legal name"),
        topic: topic("t"),
        queue: 0.into(),
        offset: 0.into(),
        nonce: 1.into(),
        delivered_ms: 0,
        invisible_ms: 10_000,
    }
}

struct Rig {
    stub: Arc<Stub>,
    guarded: Arc<Guarded<Stub>>,
    registry: Registry,
}

fn rig(config: &GuardConfig, permit: Arc<dyn Permit>) -> Rig {
    let stub = Arc::new(Stub::default());
    let metrics = Metrics::default();
    let mut registry = Registry::default();
    metrics.register(&mut registry);
    let guarded = Guarded::new(Arc::clone(&stub), config, Arc::new(SystemClock), permit, metrics);
    Rig { stub, guarded: Arc::new(guarded), registry }
}

impl Rig {
    /// The value of one line of the metrics.
    fn metric(&self, line: &str) -> Option<f64> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).expect("memory does not fail");
        text.lines().find_map(|l| l.strip_prefix(line)?.trim().parse().ok())
    }
}

#[tokio::test]
async fn calls_pass_and_are_counted() {
    let rig = rig(&GuardConfig::default(), Arc::new(AllowAll));
    let session = Session::internal();
    let error = rig.guarded.route(&session, &topic("t")).await.expect_err("the stub knows no topics");
    assert!(matches!(error, RouteError::TopicNotFound(_)));
    assert_eq!(rig.guarded.ack(&session, vec![receipt(), receipt()]).await.len(), 2);
    assert_eq!(rig.metric("verb_errors_total{verb=\"route\",kind=\"not_found\"}"), Some(1.0));
    assert_eq!(rig.metric("verb_seconds_count{verb=\"route\"}"), Some(1.0));
    assert_eq!(rig.metric("verb_errors_total{verb=\"ack\",kind=\"conflict\"}"), Some(2.0));
    assert_eq!(rig.metric("verb_running{verb=\"route\"}"), Some(0.0));
}

#[tokio::test]
async fn a_drain_lets_only_ends_pass() {
    let rig = rig(&GuardConfig::default(), Arc::new(AllowAll));
    let session = Session::internal();
    rig.guarded.drain();
    let refused = rig.guarded.route(&session, &topic("t")).await;
    assert!(matches!(refused, Err(RouteError::Unavailable(_))));
    let acked = rig.guarded.ack(&session, vec![receipt()]).await;
    assert!(matches!(acked.as_slice(), [Err(AckError::Stale)]), "the engine answered: {acked:?}");
    let members = rig.guarded.members(&session, &receipt().group).await;
    assert!(matches!(members, Err(MemberError::Unavailable(_))), "{members:?}");
}

#[tokio::test]
async fn one_session_cannot_take_all_places() {
    let rig = rig(&GuardConfig { calls_per_session_max: 1, ..GuardConfig::default() }, Arc::new(AllowAll));
    let gate = rig.stub.gate.lock().await;
    let waiting = tokio::spawn({
        let guarded = Arc::clone(&rig.guarded);
        async move { guarded.route(&Session::internal(), &topic("t")).await }
    });
    while rig.metric("verb_running{verb=\"route\"}") != Some(1.0) {
        tokio::task::yield_now().await;
    }
    let second = rig.guarded.route(&Session::internal(), &topic("t")).await;
    assert!(matches!(&second, Err(RouteError::Unavailable(why)) if why.contains("calls open")), "{second:?}");
    let mut other = Session::internal();
    other.id = 7.into();
    drop(gate);
    assert!(matches!(rig.guarded.route(&other, &topic("t")).await, Err(RouteError::TopicNotFound(_))));
    assert!(matches!(waiting.await.expect("no panic"), Err(RouteError::TopicNotFound(_))));
    assert!(matches!(
        rig.guarded.route(&Session::internal(), &topic("t")).await,
        Err(RouteError::TopicNotFound(_))
    ));
}

#[tokio::test]
async fn an_abandoned_call_frees_its_place() {
    let rig = rig(&GuardConfig { calls_per_session_max: 1, ..GuardConfig::default() }, Arc::new(AllowAll));
    let gate = rig.stub.gate.lock().await;
    {
        let (session, topic) = (Session::internal(), topic("t"));
        let call = rig.guarded.route(&session, &topic);
        tokio::select! {
            biased;
            _ = call => panic!("the gate is closed"),
            () = tokio::task::yield_now() => {}
        }
    }
    drop(gate);
    assert_eq!(rig.metric("verb_abandoned_total{verb=\"route\"}"), Some(1.0));
    let after = rig.guarded.route(&Session::internal(), &topic("t")).await;
    assert!(matches!(after, Err(RouteError::TopicNotFound(_))));
}

fn publish(bytes: usize) -> Publish {
    let message = NewMessage {
        body: vec![0; bytes].into(),
        properties: Properties::new(),
        flag: 0,
        system_flags: 0,
        born_ms: 0,
        born_host: ([127, 0, 0, 1], 1).into(),
        reconsume_times: 0,
    };
    Publish {
        topic: topic("t"),
        queue: QueueChoice::Any,
        messages: vec![message],
        producer_group: None,
        auto_create: None,
        check_kind: false,
    }
}

#[tokio::test]
async fn requests_together_hold_no_more_than_memory_allows() {
    let config = GuardConfig { request_bytes_max: 10_000, ..GuardConfig::default() };
    let rig = rig(&config, Arc::new(AllowAll));
    let session = Session::internal();
    let passed = rig.guarded.publish(&session, publish(6_000)).await;
    assert!(matches!(passed, Err(PublishError::TopicNotFound(_))), "the stub was asked: {passed:?}");
    assert_eq!(rig.guarded.requests().used(), 0, "what is done holds nothing");
    let others = rig.guarded.requests().take(6_000).expect("room");
    let refused = rig.guarded.publish(&session, publish(6_000)).await;
    assert!(matches!(refused, Err(PublishError::Throttled(_))), "{refused:?}");
    assert_eq!(rig.metric("verb_errors_total{verb=\"publish\",kind=\"throttled\"}"), Some(1.0));
    drop(others);
    let passed = rig.guarded.publish(&session, publish(6_000)).await;
    assert!(matches!(passed, Err(PublishError::TopicNotFound(_))), "{passed:?}");
}

#[tokio::test]
async fn a_send_that_never_reaches_the_engine_is_told_too() {
    let config = GuardConfig { request_bytes_max: 1_000, ..GuardConfig::default() };
    let settings =
        TracerSettings { sample_ratio: 1.0, traces_per_s_max: 0, spans_waiting_max: 8, deliveries_max: 8 };
    let (clock, chance) = (Arc::new(SystemClock), Arc::new(SystemChance));
    let (tracer, mut spans) = Tracer::new(&settings, clock, chance, SpanMetrics::default());
    let rig = rig(&config, Arc::new(AllowAll));
    let guarded =
        Arc::into_inner(rig.guarded).expect("nobody else has it").with_tracer(Some(Arc::new(tracer)));
    for (bytes, why) in [(1, "not_found"), (2_000, "throttled")] {
        let mut request = publish(bytes);
        request.messages[0].properties.push("UNIQ_KEY", "id");
        guarded.publish(&Session::internal(), request).await.expect_err("the stub knows no topics");
        for operation in ["send", "publish"] {
            let span = spans.try_recv().expect("it is told");
            assert_eq!((span.operation, span.error.map(|error| error.kind)), (operation, Some(why)));
        }
    }
    guarded.publish(&Session::internal(), publish(1)).await.expect_err("the stub knows no topics");
    assert!(spans.try_recv().is_err(), "a message without an id is not told");
}

struct OnlyReading;

impl Permit for OnlyReading {
    fn may(&self, _session: &Session, action: Action<'_>) -> Result<(), String> {
        match action {
            Action::Admin { permission: AdminPermission::Write, operation, .. } => {
                Err(format!("{operation} writes"))
            }
            _ => Ok(()),
        }
    }
}

#[tokio::test]
async fn the_permit_decides_by_the_catalogue() {
    let rig = rig(&GuardConfig::default(), Arc::new(OnlyReading));
    let session = Session::internal();
    assert_eq!(rig.guarded.operations().len(), 2);
    let read = rig.guarded.run(&session, "topic.list", serde_json::json!({})).await;
    assert!(read.is_ok(), "{read:?}");
    for name in ["topic.delete", "no.such"] {
        let refused = rig.guarded.run(&session, name, serde_json::json!({})).await;
        assert!(matches!(refused, Err(AdminError::Denied(_))), "{refused:?}");
    }
}
