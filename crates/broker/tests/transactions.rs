//! Transactions through the verbs: outcomes, checks, limits, and what a restart keeps.
#![expect(clippy::disallowed_methods, reason = "tests run on the real runtime")]

use std::sync::Arc;
use std::time::Duration;

use base::Doors;
use broker::{Broker, BrokerConfig, Setup};
use model::admin::{self, TopicPut, TopicPutRequest};
use model::membership::{Heartbeat, Membership};
use model::message::flags;
use model::verbs::{
    Fetch, KeyKind, MessageQuery, Publish, PublishError, PublishedMessage, QueryError, QueueChoice, Settle,
    SettleError, TransactionEnd, TransactionOutcome,
};
use model::{
    Filter, GroupName, Lsn, Messaging, NewMessage, Notice, NoticeSink, Offset, Properties, QueueId, Session,
    SessionId, StoredMessage, TopicConfig, TopicName,
};
use replica::ReplicaConfig;
use store::{Repair, StoreConfig};
use tempfile::TempDir;
use tokio::sync::mpsc;

use TransactionOutcome::{Commit, Rollback, Unknown};

const DISCARDED: &str = "TRANS_CHECK_MAX_TIME_TOPIC";
/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

fn topic(name: &str) -> TopicName {
    TopicName::new(name).expect("legal")
}

fn group(name: &str) -> GroupName {
    GroupName::new(name).expect("legal")
}

/// Hands notices to the test.
struct Sink(mpsc::UnboundedSender<(StoredMessage, String)>);

impl NoticeSink for Sink {
    fn notify(&self, notice: Notice) -> bool {
        match notice {
            Notice::CheckTransaction { message, transaction_id, .. } => {
                self.0.send((message, transaction_id)).is_ok()
            }
            _ => true,
        }
    }
}

struct Bench {
    dir: TempDir,
    broker: Arc<Broker>,
    session: Session,
    config: BrokerConfig,
}

fn open(dir: &TempDir, config: &BrokerConfig) -> Arc<Broker> {
    let setup = Setup {
        dir: dir.path().join("data"),
        broker: config.clone(),
        replica: ReplicaConfig::default(),
        store: StoreConfig::default(),
        repair: Repair::Refuse,
    };
    Broker::open(&Doors::system(), &setup).expect("opens")
}

/// A broker that asks quickly.
fn quick() -> BrokerConfig {
    BrokerConfig {
        transaction_timeout_ms: 20,
        transaction_check_interval_ms: 20,
        transaction_checks_max: 2,
        ..BrokerConfig::default()
    }
}

impl Bench {
    async fn new(config: BrokerConfig) -> Self {
        let dir = TempDir::new().expect("a folder");
        let bench = Self { broker: open(&dir, &config), dir, session: Session::internal(), config };
        let request = TopicPutRequest { config: TopicConfig::new(topic("t"), 2), update: false };
        admin::run::<TopicPut>(&*bench.broker, &bench.session, request).await.expect("created");
        bench
    }

    async fn restart(&mut self) {
        self.broker.shutdown().await.expect("closes");
        self.broker = open(&self.dir, &self.config);
    }

    async fn try_half(&self, body: &str, more: &[(&str, &str)]) -> Result<PublishedMessage, PublishError> {
        let mut properties = Properties::new();
        properties.push("TRAN_MSG", "true");
        properties.push("PGROUP", "p");
        properties.push("UNIQ_KEY", body);
        properties.push("TAGS", "a");
        more.iter().for_each(|(key, value)| properties.push(key, value));
        let message = NewMessage {
            body: body.as_bytes().to_vec().into(),
            properties,
            flag: 7,
            system_flags: flags::TRANSACTION_PREPARED,
            born_ms: 1,
            born_host: ([127, 0, 0, 1], 1).into(),
            reconsume_times: 0,
        };
        let request = Publish {
            topic: topic("t"),
            queue: QueueChoice::Queue(QueueId(1)),
            messages: vec![message],
            producer_group: None,
            auto_create: None,
            check_kind: false,
        };
        Ok(self.broker.publish(&self.session, request).await?.entries.remove(0))
    }

    async fn half(&self, body: &str) -> PublishedMessage {
        self.try_half(body, &[]).await.expect("stored")
    }

    async fn end(&self, half: &PublishedMessage, outcome: TransactionOutcome) -> Result<(), SettleError> {
        self.settle(end_of(half.lsn, Some(half.offset), outcome)).await
    }

    async fn settle(&self, end: TransactionEnd) -> Result<(), SettleError> {
        self.broker.settle(&self.session, Settle::Transaction(end)).await
    }

    async fn read(&self, name: &str, queue: u32) -> Vec<StoredMessage> {
        let request = Fetch {
            group: None,
            topic: topic(name),
            queue: QueueId(queue),
            offset: Offset(0),
            max_messages: 100,
            max_bytes: 1 << 20,
            filter: Filter::all(),
            wait_ms: 0,
            batches: model::verbs::Batches::Unpacked,
        };
        self.broker.fetch(&self.session, request).await.map(|f| f.messages).unwrap_or_default()
    }

    async fn bodies(&self) -> Vec<String> {
        let messages = self.read("t", 1).await;
        messages.iter().map(|m| String::from_utf8_lossy(&m.body()).into_owned()).collect()
    }

    /// A producer of group `p` connects.
    async fn producer(&self, number: u64) -> mpsc::UnboundedReceiver<(StoredMessage, String)> {
        let (sender, receiver) = mpsc::unbounded_channel();
        let session =
            Session { id: SessionId(number), notices: Arc::new(Sink(sender)), ..Session::internal() };
        let beat = Heartbeat {
            client_id: format!("client-{number}"),
            language: "JAVA".to_owned(),
            version: 1,
            producers: vec![group("p")],
            consumers: Vec::new(),
            with_subscriptions: true,
        };
        self.broker.heartbeat(&session, beat).await.expect("registered");
        receiver
    }
}

fn end_of(lsn: Lsn, offset: Option<Offset>, outcome: TransactionOutcome) -> TransactionEnd {
    TransactionEnd {
        topic: None,
        producer_group: Some(group("p")),
        outcome,
        lsn,
        offset,
        message_id: None,
        transaction_id: None,
        from_check: false,
    }
}

async fn asked(receiver: &mut mpsc::UnboundedReceiver<(StoredMessage, String)>) -> (StoredMessage, String) {
    tokio::time::timeout(PATIENCE, receiver.recv()).await.expect("asked in time").expect("the broker lives")
}

#[tokio::test]
async fn a_half_message_is_seen_once_it_is_committed_and_never_after_a_rollback() {
    let mut bench = Bench::new(BrokerConfig::default()).await;
    let kept = bench.half("kept").await;
    let gone = bench.half("gone").await;
    let open = bench.half("open").await;
    assert_eq!((kept.queue, kept.offset, gone.offset), (QueueId(1), Offset(0), Offset(1)));
    assert_eq!(kept.transaction_id.as_deref(), Some("kept"));
    assert!(bench.bodies().await.is_empty());
    bench.end(&open, Unknown).await.expect("heard");
    bench.end(&kept, Commit).await.expect("committed");
    bench.end(&gone, Rollback).await.expect("rolled back");
    assert_eq!(bench.bodies().await, ["kept"]);
    // What is decided stays so, also for a producer that says it again.
    for half in [&kept, &gone] {
        for outcome in [Commit, Rollback] {
            assert!(matches!(bench.end(half, outcome).await, Err(SettleError::Stale)));
        }
    }
    bench.restart().await;
    assert_eq!(bench.bodies().await, ["kept"]);
    assert!(matches!(bench.end(&gone, Commit).await, Err(SettleError::Stale)));
    bench.end(&open, Commit).await.expect("undecided until now");
    assert_eq!(bench.bodies().await, ["kept", "open"]);
    assert_eq!(bench.half("next").await.offset, Offset(3));
}

#[tokio::test]
async fn a_committed_message_looks_as_in_the_original() {
    let bench = Bench::new(BrokerConfig::default()).await;
    let half = bench.half("x").await;
    let stored = bench.broker.query(&bench.session, MessageQuery::Position(half.lsn)).await.expect("there");
    assert_eq!((stored[0].topic(), stored[0].queue()), ("RMQ_SYS_TRANS_HALF_TOPIC", QueueId(0)));
    assert_eq!(stored[0].system_flags() & flags::TRANSACTION_MASK, 0);
    let by_key = || MessageQuery::Key {
        topic: topic("t"),
        key: "x".to_owned(),
        kind: KeyKind::UniqueId,
        begin_ms: 0,
        end_ms: i64::MAX,
        max: 5,
    };
    let found = bench.broker.query(&bench.session, by_key()).await;
    assert!(matches!(found, Err(QueryError::NotFound)), "a half message is not found by its topic");
    bench.end(&half, Commit).await.expect("committed");
    let message = bench.read("t", 1).await.remove(0);
    assert_eq!((message.topic(), message.queue(), message.offset()), ("t", QueueId(1), Offset(0)));
    assert_eq!(message.system_flags() & flags::TRANSACTION_MASK, flags::TRANSACTION_COMMIT);
    assert_eq!((message.prepared(), message.flag(), message.born_ms()), (half.lsn, 7, 1));
    for (key, value) in
        [("TRAN_MSG", "true"), ("PGROUP", "p"), ("UNIQ_KEY", "x"), ("TAGS", "a"), ("__transactionId__", "x")]
    {
        assert_eq!(message.property(key), Some(value), "{key}");
    }
    assert_eq!((message.property("REAL_TOPIC"), message.property("REAL_QID")), (None, None));
    let found = bench.broker.query(&bench.session, by_key()).await.expect("found by key");
    assert_eq!(found[0].lsn(), message.lsn());
}

#[tokio::test]
async fn wrong_words_about_a_transaction_are_refused() {
    let bench = Bench::new(BrokerConfig::default()).await;
    let half = bench.half("x").await;
    let refused = async |end: TransactionEnd| bench.settle(end).await.expect_err("refused").to_string();
    let right = end_of(half.lsn, Some(half.offset), Commit);
    let other = TransactionEnd { producer_group: Some(group("q")), ..right.clone() };
    assert!(refused(other).await.contains("producer group wrong"));
    let other = TransactionEnd { offset: Some(Offset(9)), ..right.clone() };
    assert!(refused(other).await.contains("state table offset wrong"));
    for lsn in [Lsn(0), Lsn(half.lsn.get() + 1), Lsn(u64::MAX)] {
        let unknown = bench.settle(TransactionEnd { lsn, ..right.clone() }).await;
        assert!(matches!(unknown, Err(SettleError::MessageNotFound)), "{lsn}: {unknown:?}");
    }
    assert!(bench.bodies().await.is_empty());
    bench.settle(right).await.expect("the right word is taken still");
    assert_eq!(bench.bodies().await, ["x"]);
}

#[tokio::test]
async fn a_live_producer_is_asked_and_decides() {
    let bench = Bench::new(quick()).await;
    let half = bench.half("x").await;
    let mut producer = bench.producer(1).await;
    let (message, id) = asked(&mut producer).await;
    assert_eq!((message.topic(), message.queue(), id.as_str()), ("t", QueueId(1), "x"));
    assert_eq!((message.lsn(), message.offset(), message.body()), (half.lsn, half.offset, "x".into()));
    assert_eq!(message.property("TRANSACTION_CHECK_TIMES"), Some("1"));
    let end = end_of(message.lsn(), Some(message.offset()), Commit);
    bench.settle(TransactionEnd { from_check: true, ..end }).await.expect("decided");
    let committed = bench.read("t", 1).await.remove(0);
    assert!(committed.property("TRANSACTION_CHECK_TIMES").is_some());
}

#[tokio::test]
async fn producers_are_asked_in_turn_and_one_that_left_is_not() {
    let bench = Bench::new(BrokerConfig { transaction_checks_max: 1_000, ..quick() }).await;
    let half = bench.half("x").await;
    let (mut first, mut second) = (bench.producer(1).await, bench.producer(2).await);
    asked(&mut first).await;
    asked(&mut second).await;
    bench.broker.disconnected(SessionId(1));
    asked(&mut second).await;
    asked(&mut second).await;
    bench.end(&half, Rollback).await.expect("rolled back");
    assert!(bench.bodies().await.is_empty());
}

#[tokio::test]
async fn one_that_nobody_decides_is_kept_aside_after_its_last_check() {
    let bench = Bench::new(quick()).await;
    let half = bench.half("x").await;
    let mut producer = bench.producer(1).await;
    asked(&mut producer).await;
    let (last, _) = asked(&mut producer).await;
    assert_eq!(last.property("TRANSACTION_CHECK_TIMES"), Some("2"));
    let aside = tokio::time::timeout(PATIENCE, async {
        loop {
            if let Some(message) = bench.read(DISCARDED, 0).await.pop() {
                return message;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    let aside = aside.await.expect("kept aside");
    assert_eq!((aside.property("REAL_TOPIC"), aside.property("UNIQ_KEY")), (Some("t"), Some("x")));
    assert_eq!((aside.property("TRANSACTION_CHECK_TIMES"), aside.body()), (Some("2"), "x".into()));
    assert!(matches!(bench.end(&half, Commit).await, Err(SettleError::Stale)));
    assert!(bench.bodies().await.is_empty() && producer.try_recv().is_err());
}

#[tokio::test]
async fn questions_without_anybody_to_ask_do_not_count() {
    let mut bench = Bench::new(quick()).await;
    bench.half("x").await;
    // Many times as long as all questions would take.
    tokio::time::sleep(Duration::from_millis(200)).await;
    bench.restart().await;
    let mut producer = bench.producer(1).await;
    let (message, _) = asked(&mut producer).await;
    assert_eq!(message.property("TRANSACTION_CHECK_TIMES"), Some("1"));
}

#[tokio::test]
async fn the_undecided_are_limited() {
    let config = BrokerConfig { transactions_undecided_max: 2, ..BrokerConfig::default() };
    let bench = Bench::new(config).await;
    let first = bench.half("a").await;
    bench.half("b").await;
    assert!(matches!(bench.try_half("c", &[]).await, Err(PublishError::Throttled(_))));
    bench.end(&first, Rollback).await.expect("rolled back");
    bench.half("c").await;
}

#[tokio::test]
async fn a_producer_that_asked_for_a_time_has_no_say_after_it_until_it_is_asked() {
    let config = BrokerConfig { transaction_timeout_ms: 10, ..BrokerConfig::default() };
    let bench = Bench::new(config).await;
    let half = bench.try_half("x", &[("CHECK_IMMUNITY_TIME_IN_SECONDS", "0")]).await.expect("stored");
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert!(matches!(bench.end(&half, Commit).await, Err(SettleError::TooLate { .. })));
    let end = end_of(half.lsn, Some(half.offset), Commit);
    bench.settle(TransactionEnd { from_check: true, ..end }).await.expect("asked");
    assert_eq!(bench.bodies().await, ["x"]);
}

#[tokio::test]
async fn a_time_counts_from_the_commit() {
    let bench = Bench::new(BrokerConfig::default()).await;
    let half = bench.try_half("x", &[("TIMER_DELAY_MS", "150")]).await.expect("stored");
    bench.end(&half, Commit).await.expect("committed");
    assert!(bench.bodies().await.is_empty(), "not before its time");
    let seen = tokio::time::timeout(PATIENCE, async {
        while bench.bodies().await.is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    seen.await.expect("delivered");
    assert!(matches!(bench.end(&half, Commit).await, Err(SettleError::Stale)));
    assert_eq!(bench.bodies().await, ["x"]);
}

#[tokio::test]
async fn illegal_half_messages_are_refused() {
    let bench = Bench::new(BrokerConfig::default()).await;
    let refused = bench.try_half("x", &[("TIMER_DELAY_SEC", "never")]).await;
    assert!(matches!(refused, Err(PublishError::DeliveryTime(_))));
    let long = "v".repeat(model::limits::PROPERTIES_BYTES_MAX - 80);
    let refused = bench.try_half("x", &[("k", &long)]).await;
    assert!(matches!(refused, Err(PublishError::PropertiesTooLarge { .. })));
}
