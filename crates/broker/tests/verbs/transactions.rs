//! Transactions through the verbs: outcomes, checks, limits, and what a restart keeps.

use std::sync::Arc;
use std::time::Duration;

use broker::BrokerConfig;
use model::membership::{Heartbeat, Membership};
use model::message::flags;
use model::verbs::{
    Fetch, KeyKind, MessageQuery, Publish, PublishError, PublishedMessage, QueryError, QueueChoice, Settle,
    SettleError, TransactionEnd, TransactionOutcome,
};
use model::{
    Lsn, Messaging, NewMessage, Notice, NoticeSink, Offset, QueueId, Session, SessionId, StoredMessage,
    TopicConfig,
};
use store::StoreConfig;
use tokio::sync::mpsc;

use TransactionOutcome::{Commit, Rollback, Unknown};

use crate::bench::{Bench, fetch_request, group, message, publish_request, text, topic};

const DISCARDED: &str = "TRANS_CHECK_MAX_TIME_TOPIC";
/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

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

/// A broker that asks quickly.
fn quick() -> BrokerConfig {
    BrokerConfig {
        transaction_timeout_ms: 20,
        transaction_check_interval_ms: 20,
        transaction_checks_max: 2,
        ..BrokerConfig::default()
    }
}

async fn bench(config: BrokerConfig) -> Bench {
    let bench = Bench::with(config, StoreConfig::default());
    bench.put_topic(TopicConfig::new(topic("t"), 2)).await.expect("created");
    bench
}

async fn try_half(
    bench: &Bench,
    body: &str,
    more: &[(&str, &str)],
) -> Result<PublishedMessage, PublishError> {
    let told = [("TRAN_MSG", "true"), ("PGROUP", "p"), ("UNIQ_KEY", body), ("TAGS", "a")];
    let plain = message(body, &[&told, more].concat());
    let half = NewMessage { flag: 7, system_flags: flags::TRANSACTION_PREPARED, ..plain };
    let queue = QueueChoice::Queue(QueueId(1));
    Ok(bench.publish(Publish { queue, ..publish_request(vec![half]) }).await?.remove(0))
}

async fn send_half(bench: &Bench, body: &str) -> PublishedMessage {
    try_half(bench, body, &[]).await.expect("stored")
}

async fn end_half(
    bench: &Bench,
    half: &PublishedMessage,
    outcome: TransactionOutcome,
) -> Result<(), SettleError> {
    settle(bench, end_of(half.lsn, Some(half.offset), outcome)).await
}

async fn settle(bench: &Bench, end: TransactionEnd) -> Result<(), SettleError> {
    bench.broker.settle(&bench.session, Settle::Transaction(end)).await
}

async fn read(bench: &Bench, name: &str, queue: u32) -> Vec<StoredMessage> {
    let (topic, queue) = (topic(name), QueueId(queue));
    let request = Fetch { topic, queue, max_messages: 100, ..fetch_request(0) };
    bench.broker.fetch(&bench.session, request).await.map(|f| f.messages).unwrap_or_default()
}

/// Bodies of what consumers see.
async fn visible(bench: &Bench) -> Vec<String> {
    read(bench, "t", 1).await.iter().map(text).collect()
}

/// A producer of group `p` connects.
async fn producer(bench: &Bench, number: u64) -> mpsc::UnboundedReceiver<(StoredMessage, String)> {
    let (sender, receiver) = mpsc::unbounded_channel();
    let session = Session { id: SessionId(number), notices: Arc::new(Sink(sender)), ..Session::internal() };
    let beat = Heartbeat {
        client_id: format!("client-{number}"),
        language: "JAVA".to_owned(),
        version: 1,
        producers: vec![group("p")],
        consumers: Vec::new(),
        with_subscriptions: true,
    };
    bench.broker.heartbeat(&session, beat).await.expect("registered");
    receiver
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
    let mut bench = bench(BrokerConfig::default()).await;
    let kept = send_half(&bench, "kept").await;
    let gone = send_half(&bench, "gone").await;
    let open = send_half(&bench, "open").await;
    assert_eq!((kept.queue, kept.offset, gone.offset), (QueueId(1), Offset(0), Offset(1)));
    assert_eq!(kept.transaction_id.as_deref(), Some("kept"));
    assert!(visible(&bench).await.is_empty());
    end_half(&bench, &open, Unknown).await.expect("heard");
    end_half(&bench, &kept, Commit).await.expect("committed");
    end_half(&bench, &gone, Rollback).await.expect("rolled back");
    assert_eq!(visible(&bench).await, ["kept"]);
    // What is decided stays so, also for a producer that says it again.
    for half in [&kept, &gone] {
        for outcome in [Commit, Rollback] {
            assert!(matches!(end_half(&bench, half, outcome).await, Err(SettleError::Stale)));
        }
    }
    bench.restart().await;
    assert_eq!(visible(&bench).await, ["kept"]);
    assert!(matches!(end_half(&bench, &gone, Commit).await, Err(SettleError::Stale)));
    end_half(&bench, &open, Commit).await.expect("undecided until now");
    assert_eq!(visible(&bench).await, ["kept", "open"]);
    assert_eq!(send_half(&bench, "next").await.offset, Offset(3));
}

#[tokio::test]
async fn a_committed_message_looks_as_in_the_original() {
    let bench = bench(BrokerConfig::default()).await;
    let half = send_half(&bench, "x").await;
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
    end_half(&bench, &half, Commit).await.expect("committed");
    let message = read(&bench, "t", 1).await.remove(0);
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
    let bench = bench(BrokerConfig::default()).await;
    let half = send_half(&bench, "x").await;
    let refused = async |end: TransactionEnd| settle(&bench, end).await.expect_err("refused").to_string();
    let right = end_of(half.lsn, Some(half.offset), Commit);
    let other = TransactionEnd { producer_group: Some(group("q")), ..right.clone() };
    assert!(refused(other).await.contains("producer group wrong"));
    let other = TransactionEnd { offset: Some(Offset(9)), ..right.clone() };
    assert!(refused(other).await.contains("state table offset wrong"));
    for lsn in [Lsn(0), Lsn(half.lsn.get() + 1), Lsn(u64::MAX)] {
        let unknown = settle(&bench, TransactionEnd { lsn, ..right.clone() }).await;
        assert!(matches!(unknown, Err(SettleError::MessageNotFound)), "{lsn}: {unknown:?}");
    }
    assert!(visible(&bench).await.is_empty());
    settle(&bench, right).await.expect("the right word is taken still");
    assert_eq!(visible(&bench).await, ["x"]);
}

#[tokio::test]
async fn a_live_producer_is_asked_and_decides() {
    let bench = bench(quick()).await;
    let half = send_half(&bench, "x").await;
    let mut producer = producer(&bench, 1).await;
    let (message, id) = asked(&mut producer).await;
    assert_eq!((message.topic(), message.queue(), id.as_str()), ("t", QueueId(1), "x"));
    assert_eq!((message.lsn(), message.offset(), message.body()), (half.lsn, half.offset, "x".into()));
    assert_eq!(message.property("TRANSACTION_CHECK_TIMES"), Some("1"));
    let end = end_of(message.lsn(), Some(message.offset()), Commit);
    settle(&bench, TransactionEnd { from_check: true, ..end }).await.expect("decided");
    let committed = read(&bench, "t", 1).await.remove(0);
    assert!(committed.property("TRANSACTION_CHECK_TIMES").is_some());
}

#[tokio::test]
async fn producers_are_asked_in_turn_and_one_that_left_is_not() {
    let bench = bench(BrokerConfig { transaction_checks_max: 1_000, ..quick() }).await;
    let half = send_half(&bench, "x").await;
    let (mut first, mut second) = (producer(&bench, 1).await, producer(&bench, 2).await);
    asked(&mut first).await;
    asked(&mut second).await;
    bench.broker.disconnected(SessionId(1));
    asked(&mut second).await;
    asked(&mut second).await;
    end_half(&bench, &half, Rollback).await.expect("rolled back");
    assert!(visible(&bench).await.is_empty());
}

#[tokio::test]
async fn one_that_nobody_decides_is_kept_aside_after_its_last_check() {
    let bench = bench(quick()).await;
    let half = send_half(&bench, "x").await;
    let mut producer = producer(&bench, 1).await;
    asked(&mut producer).await;
    let (last, _) = asked(&mut producer).await;
    assert_eq!(last.property("TRANSACTION_CHECK_TIMES"), Some("2"));
    let aside = tokio::time::timeout(PATIENCE, async {
        loop {
            if let Some(message) = read(&bench, DISCARDED, 0).await.pop() {
                return message;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    let aside = aside.await.expect("kept aside");
    assert_eq!((aside.property("REAL_TOPIC"), aside.property("UNIQ_KEY")), (Some("t"), Some("x")));
    assert_eq!((aside.property("TRANSACTION_CHECK_TIMES"), aside.body()), (Some("2"), "x".into()));
    assert!(matches!(end_half(&bench, &half, Commit).await, Err(SettleError::Stale)));
    assert!(visible(&bench).await.is_empty() && producer.try_recv().is_err());
}

#[tokio::test]
async fn questions_without_anybody_to_ask_do_not_count() {
    let mut bench = bench(quick()).await;
    send_half(&bench, "x").await;
    // Many times as long as all questions would take.
    tokio::time::sleep(Duration::from_millis(200)).await;
    bench.restart().await;
    let mut producer = producer(&bench, 1).await;
    let (message, _) = asked(&mut producer).await;
    assert_eq!(message.property("TRANSACTION_CHECK_TIMES"), Some("1"));
}

#[tokio::test]
async fn the_undecided_are_limited() {
    let config = BrokerConfig { transactions_undecided_max: 2, ..BrokerConfig::default() };
    let bench = bench(config).await;
    let first = send_half(&bench, "a").await;
    send_half(&bench, "b").await;
    assert!(matches!(try_half(&bench, "c", &[]).await, Err(PublishError::Throttled(_))));
    end_half(&bench, &first, Rollback).await.expect("rolled back");
    send_half(&bench, "c").await;
}

#[tokio::test]
async fn a_producer_that_asked_for_a_time_has_no_say_after_it_until_it_is_asked() {
    let config = BrokerConfig { transaction_timeout_ms: 10, ..BrokerConfig::default() };
    let bench = bench(config).await;
    let half = try_half(&bench, "x", &[("CHECK_IMMUNITY_TIME_IN_SECONDS", "0")]).await.expect("stored");
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert!(matches!(end_half(&bench, &half, Commit).await, Err(SettleError::TooLate { .. })));
    let end = end_of(half.lsn, Some(half.offset), Commit);
    settle(&bench, TransactionEnd { from_check: true, ..end }).await.expect("asked");
    assert_eq!(visible(&bench).await, ["x"]);
}

#[tokio::test]
async fn a_time_counts_from_the_commit() {
    let bench = bench(BrokerConfig::default()).await;
    let half = try_half(&bench, "x", &[("TIMER_DELAY_MS", "150")]).await.expect("stored");
    end_half(&bench, &half, Commit).await.expect("committed");
    assert!(visible(&bench).await.is_empty(), "not before its time");
    let seen = tokio::time::timeout(PATIENCE, async {
        while visible(&bench).await.is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    seen.await.expect("delivered");
    assert!(matches!(end_half(&bench, &half, Commit).await, Err(SettleError::Stale)));
    assert_eq!(visible(&bench).await, ["x"]);
}

#[tokio::test]
async fn illegal_half_messages_are_refused() {
    let bench = bench(BrokerConfig::default()).await;
    let refused = try_half(&bench, "x", &[("TIMER_DELAY_SEC", "never")]).await;
    assert!(matches!(refused, Err(PublishError::DeliveryTime(_))));
    let long = "v".repeat(model::limits::PROPERTIES_BYTES_MAX - 80);
    let refused = try_half(&bench, "x", &[("k", &long)]).await;
    assert!(matches!(refused, Err(PublishError::PropertiesTooLarge { .. })));
}
