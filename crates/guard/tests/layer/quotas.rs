//! Quotas: who is refused, who waits, and that others do not feel it. Time is told by the tests.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base::Clock;
use futures::future::BoxFuture;
use guard::{AllowAll, GuardConfig, Guarded, Metrics, QuotaConfig};
use model::quota::{Quota, QuotaBook, QuotaLimits, QuotaScope};
use model::record::{Placement, encode};
use model::verbs::{Batches, Fetch, FetchError, PublishError};
use model::{Filter, Lsn, Membership, Messaging, Session, StoredMessage};
use prometheus_client::registry::Registry;

use super::stub::Stub;
use super::{publish, topic};

/// Stands still, but for sleeps.
#[derive(Default)]
struct Hands(AtomicU64);

impl Clock for Hands {
    fn now_ms(&self) -> i64 {
        0
    }
    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::Relaxed))
    }
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let ms = u64::try_from(duration.as_millis()).expect("short").max(1);
        self.0.fetch_add(ms, Ordering::Relaxed);
        Box::pin(async {})
    }
}

struct Rig {
    stub: Arc<Stub>,
    guarded: Guarded<Stub>,
    book: Arc<QuotaBook>,
    clock: Arc<Hands>,
    registry: Registry,
}

fn rig(config: &QuotaConfig) -> Rig {
    let stub = Arc::new(Stub { stock: Some(stored()), ..Stub::default() });
    let (metrics, mut registry) = (Metrics::default(), Registry::default());
    metrics.register(&mut registry);
    let (book, clock): (Arc<QuotaBook>, Arc<Hands>) = Default::default();
    let door: Arc<dyn Clock> = clock.clone();
    let guarded = Guarded::new(Arc::clone(&stub), &GuardConfig::default(), door, Arc::new(AllowAll), metrics)
        .with_quotas(Arc::clone(&book), config);
    Rig { stub, guarded, book, clock, registry }
}

/// A message of 100 bytes body.
fn stored() -> StoredMessage {
    let message = publish(100).messages.remove(0);
    let mut bytes = Vec::new();
    let place = Placement {
        topic: "t",
        queue: 0.into(),
        store_host: ([127, 0, 0, 1], 1).into(),
        offset: 0.into(),
        lsn: Lsn::ZERO,
        stored_ms: 0,
        prepared: Lsn::ZERO,
    };
    encode(&mut bytes, &message, &place);
    StoredMessage::parse(bytes.into()).expect("whole")
}

fn fetch(wait_ms: i64) -> Fetch {
    Fetch {
        group: None,
        topic: topic("t"),
        queue: 0.into(),
        offset: 0.into(),
        max_messages: 32,
        max_bytes: 1 << 20,
        filter: Filter::all(),
        wait_ms,
        batches: Batches::Whole,
    }
}

fn client(id: u64) -> Session {
    Session { id: id.into(), ..Session::internal() }
}

impl Rig {
    /// How many of so many messages are not refused for a quota.
    async fn send(&self, session: &Session, name: &str, count: u32) -> u32 {
        let mut passed = 0;
        for _ in 0..count {
            let request = model::verbs::Publish { topic: topic(name), ..publish(100) };
            match self.guarded.publish(session, request).await {
                Err(PublishError::Throttled(why)) => assert!(why.contains("over its quota"), "{why}"),
                Err(PublishError::TopicNotFound(_)) => passed += 1,
                other => panic!("the stub knows no topics: {other:?}"),
            }
        }
        passed
    }

    fn put(&self, scope: QuotaScope, name: &str, limits: QuotaLimits) {
        self.book.put(Quota { scope, name: name.to_owned(), limits });
    }

    fn metric(&self, line: &str) -> Option<f64> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).expect("memory does not fail");
        text.lines().find_map(|l| l.strip_prefix(line)?.trim().parse().ok())
    }
}

fn sends(per_s: u64) -> QuotaLimits {
    QuotaLimits { send_messages_per_s: Some(per_s), ..QuotaLimits::default() }
}

#[tokio::test]
async fn each_client_has_its_own_quota() {
    let config = QuotaConfig { client_send_messages_per_s: 10, ..QuotaConfig::default() };
    let rig = rig(&config);
    assert_eq!(rig.send(&client(1), "t", 50).await, 10);
    assert_eq!(rig.send(&client(2), "t", 5).await, 5, "another one does not feel it");
    rig.clock.0.fetch_add(500, Ordering::Relaxed);
    assert_eq!(rig.send(&client(1), "t", 50).await, 5);
    let line = "quota_refused_total{scope=\"client\",limit=\"send_messages_per_s\"}";
    assert_eq!(rig.metric(line), Some(85.0));
    assert_eq!(rig.metric("calls_refused_total{reason=\"quota\"}"), Some(85.0));
    assert_eq!(rig.metric("quota_buckets"), Some(2.0));
    rig.guarded.disconnected(1.into());
    assert_eq!(rig.metric("quota_buckets"), Some(1.0), "who goes is forgotten");
}

#[tokio::test]
async fn a_name_has_its_own_quota_or_that_of_each() {
    let rig = rig(&QuotaConfig { topic_send_messages_per_s: 7, ..QuotaConfig::default() });
    assert_eq!(rig.send(&client(1), "default", 50).await, 7);
    rig.put(QuotaScope::Topic, "*", sends(5));
    rig.put(QuotaScope::Topic, "own", sends(20));
    rig.put(
        QuotaScope::Topic,
        "free",
        QuotaLimits { receive_bytes_per_s: Some(1), ..QuotaLimits::default() },
    );
    assert_eq!(rig.send(&client(1), "each", 50).await, 5);
    assert_eq!(rig.send(&client(1), "own", 50).await, 20);
    assert_eq!(rig.send(&client(1), "free", 50).await, 50, "its own quota says nothing of sending");
    rig.book.delete(QuotaScope::Topic, "own");
    rig.clock.0.fetch_add(10_000, Ordering::Relaxed);
    assert_eq!(rig.send(&client(1), "own", 50).await, 5);
}

#[tokio::test]
async fn all_of_a_user_and_all_of_a_namespace_count_together() {
    let rig = rig(&QuotaConfig::default());
    rig.put(QuotaScope::User, "ann", sends(10));
    let ann = |id| Session { user: Some("ann".into()), ..client(id) };
    assert_eq!(rig.send(&ann(1), "t", 8).await + rig.send(&ann(2), "u", 8).await, 10);
    let shown = Session { certificate: Some("bob".into()), ..client(3) };
    rig.put(QuotaScope::User, "bob", sends(3));
    assert_eq!(rig.send(&shown, "t", 8).await, 3);
    rig.put(QuotaScope::Namespace, "shop", sends(4));
    let sent = rig.send(&client(4), "shop%a", 3).await + rig.send(&client(4), "%RETRY%shop%g", 3).await;
    assert_eq!(sent, 4);
    assert_eq!(rig.send(&client(4), "a", 9).await, 9);
}

#[tokio::test]
async fn bytes_count_too_and_a_refused_call_takes_nothing() {
    let rig = rig(&QuotaConfig::default());
    let limits = QuotaLimits { send_bytes_per_s: Some(250), ..sends(1_000) };
    rig.put(QuotaScope::Topic, "t", limits);
    assert_eq!(rig.send(&client(1), "t", 50).await, 3, "the third one is owed in part");
    rig.clock.0.fetch_add(1_201, Ordering::Relaxed);
    assert_eq!(rig.send(&client(1), "t", 50).await, 3);
}

#[tokio::test]
async fn a_receiver_gets_no_more_than_is_left_and_waits_for_more() {
    let rig = rig(&QuotaConfig::default());
    let limits = QuotaLimits { receive_messages_per_s: Some(40), ..QuotaLimits::default() };
    rig.put(QuotaScope::Client, "*", limits);
    let mut got = 0;
    for _ in 0..2 {
        got += rig.guarded.fetch(&client(1), fetch(0)).await.expect("fetched").messages.len();
    }
    assert_eq!(got, 40);
    let refused = rig.guarded.fetch(&client(1), fetch(0)).await;
    assert!(matches!(&refused, Err(FetchError::OverQuota(_))), "{:?}", refused.err());
    assert_eq!(rig.stub.fetches.load(Ordering::Relaxed), 2, "the engine was not asked");
    let waited = rig.guarded.fetch(&client(1), fetch(10_000)).await.expect("it waits");
    assert_eq!(waited.messages.len(), 1);
    assert!(rig.clock.0.load(Ordering::Relaxed) < 100, "no longer than it must");
    let line = "quota_refused_total{scope=\"client\",limit=\"receive_messages_per_s\"}";
    assert_eq!(rig.metric(line), Some(1.0), "who waited was not refused");
}

#[tokio::test]
async fn what_is_received_at_once_is_made_up_for() {
    let rig = rig(&QuotaConfig::default());
    let limits = QuotaLimits { receive_bytes_per_s: Some(1_000), ..QuotaLimits::default() };
    rig.put(QuotaScope::Topic, "t", limits);
    let len = stored().bytes().len() as u64;
    assert_eq!(rig.guarded.fetch(&client(1), fetch(0)).await.expect("fetched").messages.len(), 32);
    let before = rig.clock.0.load(Ordering::Relaxed);
    rig.guarded.fetch(&client(1), fetch(60_000)).await.expect("it waits");
    let waited_ms = rig.clock.0.load(Ordering::Relaxed) - before;
    assert!((32 * len - 1_000..32 * len - 950).contains(&waited_ms), "{waited_ms} ms for {len} bytes each");
}

#[tokio::test]
async fn more_names_than_buckets_share() {
    let config = QuotaConfig { topic_send_messages_per_s: 10, buckets_max: 20, ..QuotaConfig::default() };
    let rig = rig(&config);
    let mut passed = 0;
    for number in 0..1_000 {
        passed += rig.send(&client(1), &format!("t{number}"), 1).await;
    }
    assert_eq!(passed, 30, "20 with a bucket each, 10 out of the one that all others share");
    assert_eq!(rig.metric("quota_buckets"), Some(20.0));
}

#[tokio::test]
async fn defaults_can_change_while_running() {
    let rig = rig(&QuotaConfig::default());
    assert_eq!(rig.send(&client(1), "t", 100).await, 100);
    assert_eq!(rig.metric("quota_buckets"), Some(0.0), "without a quota nothing is counted");
    rig.guarded.set_quotas(&QuotaConfig { client_send_messages_per_s: 1, ..QuotaConfig::default() });
    assert_eq!(rig.send(&client(1), "t", 100).await, 1);
    rig.guarded.set_quotas(&QuotaConfig::default());
    assert_eq!(rig.send(&client(1), "t", 100).await, 100);
}
