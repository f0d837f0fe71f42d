//! The verbs over a real store in a temporary folder.
#![expect(clippy::disallowed_methods, reason = "tests run on the real runtime")]

use std::sync::Arc;
use std::time::Duration;

use base::Doors;
use broker::{Broker, BrokerConfig, Setup};
use model::admin::{self, GroupPut, GroupPutRequest, TopicPut, TopicPutRequest};
use model::verbs::{
    AckError, Batches, CommitOffset, Fetch, FetchOutcome, KeyKind, MessageQuery, OffsetAnswer,
    OffsetQuestion, Publish, PublishError, QueueChoice, Receive, Seek, SeekTo, SendBack, SendBackDelay,
    Settle, StartFrom,
};
use model::{
    Delivery, Filter, GroupConfig, GroupName, Messaging, NewMessage, Offset, Properties, QueueId, Session,
    TopicConfig, TopicName,
};
use replica::ReplicaConfig;
use store::{Repair, StoreConfig};
use tempfile::TempDir;

fn topic(name: &str) -> TopicName {
    TopicName::new(name).expect("legal")
}

fn group(name: &str) -> GroupName {
    GroupName::new(name).expect("legal")
}

fn message(body: &str, tag: &str) -> NewMessage {
    let mut properties = Properties::new();
    properties.push("TAGS", tag);
    properties.push("KEYS", body);
    NewMessage {
        body: body.as_bytes().to_vec().into(),
        properties,
        flag: 0,
        system_flags: 0,
        born_ms: 1,
        born_host: ([127, 0, 0, 1], 1).into(),
        reconsume_times: 0,
    }
}

struct Bench {
    dir: TempDir,
    broker: Arc<Broker>,
    session: Session,
}

fn open(dir: &TempDir) -> Arc<Broker> {
    let setup = Setup {
        dir: dir.path().join("data"),
        broker: BrokerConfig::default(),
        replica: ReplicaConfig::default(),
        store: StoreConfig::default(),
        repair: Repair::Refuse,
    };
    Broker::open(&Doors::system(), &setup).expect("opens")
}

impl Bench {
    async fn new(queues: u32) -> Self {
        let dir = TempDir::new().expect("a folder");
        let bench = Self { broker: open(&dir), dir, session: Session::internal() };
        let config = TopicConfig::new(topic("t"), queues);
        let request = TopicPutRequest { config, update: false };
        admin::run::<TopicPut>(&*bench.broker, &bench.session, request).await.expect("created");
        bench.put_group(GroupConfig::new(group("g"))).await;
        bench
    }

    async fn put_group(&self, config: GroupConfig) {
        let request = GroupPutRequest { config, update: true };
        admin::run::<GroupPut>(&*self.broker, &self.session, request).await.expect("created");
    }

    async fn restart(&mut self) {
        self.broker.shutdown().await.expect("closes");
        self.broker = open(&self.dir);
    }

    async fn send(&self, queue: u32, bodies: &[&str]) -> Vec<model::verbs::PublishedMessage> {
        let mut sent = Vec::new();
        for body in bodies {
            let request = Publish {
                topic: topic("t"),
                queue: QueueChoice::Queue(QueueId(queue)),
                messages: vec![message(body, "a")],
                producer_group: None,
                auto_create: None,
                check_kind: true,
            };
            sent.extend(self.broker.publish(&self.session, request).await.expect("stored").entries);
        }
        sent
    }

    fn receive_request(wait_ms: i64) -> Receive {
        Receive {
            group: group("g"),
            topic: topic("t"),
            queue: None,
            filter: Filter::all(),
            max_messages: 32,
            invisible_ms: 60_000,
            wait_ms,
            attempt_id: None,
            ordered: None,
            start: StartFrom::First,
            client_id: "c".to_owned(),
        }
    }

    async fn receive(&self, request: Receive) -> Vec<Delivery> {
        self.broker.receive(&self.session, request).await.expect("received").deliveries
    }

    /// Until a call waits. A call that came after a message would be told of it at once.
    async fn one_waits(&self) {
        let waits = async {
            while self.broker.waiting() == 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), waits).await.expect("a call waits");
    }

    async fn fetch(&self, topic_name: &str, offset: u64, wait_ms: i64) -> model::verbs::Fetched {
        let request = Fetch {
            group: None,
            topic: topic(topic_name),
            queue: QueueId(0),
            offset: Offset(offset),
            max_messages: 32,
            max_bytes: 1 << 20,
            filter: Filter::all(),
            wait_ms,
            batches: Batches::Unpacked,
        };
        self.broker.fetch(&self.session, request).await.expect("fetched")
    }
}

fn bodies(deliveries: &[Delivery]) -> Vec<String> {
    deliveries.iter().map(|d| String::from_utf8_lossy(&d.message.body()).into_owned()).collect()
}

#[tokio::test]
async fn what_is_sent_is_received_once_and_acked() {
    let bench = Bench::new(2).await;
    bench.send(0, &["a", "b"]).await;
    bench.send(1, &["c"]).await;
    let deliveries = bench.receive(Bench::receive_request(0)).await;
    let mut got = bodies(&deliveries);
    got.sort();
    assert_eq!(got, ["a", "b", "c"]);
    assert!(deliveries.iter().all(|d| d.attempt == 1 && d.message.topic() == "t"));
    assert!(bench.receive(Bench::receive_request(0)).await.is_empty(), "all are in flight");
    let receipts: Vec<_> = deliveries.iter().map(|d| d.receipt.clone()).collect();
    assert!(bench.broker.ack(&bench.session, receipts.clone()).await.iter().all(Result::is_ok));
    let again = bench.broker.ack(&bench.session, receipts).await;
    assert!(again.iter().all(|result| matches!(result, Err(AckError::Stale))));
}

#[tokio::test]
async fn an_unacked_message_comes_again_under_its_own_topic() {
    let bench = Bench::new(1).await;
    bench.send(0, &["a"]).await;
    let request = Receive { invisible_ms: 50, ..Bench::receive_request(0) };
    let first = bench.receive(request.clone()).await;
    assert_eq!(bodies(&first), ["a"]);
    let second = bench.receive(Receive { wait_ms: 10_000, ..request }).await;
    assert_eq!(bodies(&second), ["a"]);
    let delivery = &second[0];
    assert_eq!((delivery.attempt, delivery.message.reconsume_times(), delivery.message.topic()), (2, 1, "t"));
    assert_eq!(delivery.receipt.topic.as_str(), "%RETRY%g_t");
    let old = bench.broker.ack(&bench.session, vec![first[0].receipt.clone()]).await;
    assert!(matches!(old[0], Err(AckError::Stale)));
    assert!(bench.broker.ack(&bench.session, vec![delivery.receipt.clone()]).await[0].is_ok());
}

#[tokio::test]
async fn an_extension_replaces_the_receipt() {
    let bench = Bench::new(1).await;
    bench.send(0, &["a"]).await;
    let first = bench.receive(Bench::receive_request(0)).await.remove(0).receipt;
    let longer = bench.broker.extend(&bench.session, first.clone(), 30_000).await.expect("extended");
    let results = bench.broker.ack(&bench.session, vec![first, longer]).await;
    assert!(matches!(results[0], Err(AckError::Stale)) && results[1].is_ok());
}

#[tokio::test]
async fn a_waiting_receiver_is_woken() {
    let bench = Bench::new(1).await;
    let broker = Arc::clone(&bench.broker);
    let waiting = tokio::spawn(async move {
        broker
            .receive(&Session::internal(), Bench::receive_request(20_000))
            .await
            .expect("received")
            .deliveries
    });
    bench.send(0, &["a"]).await;
    let got = tokio::time::timeout(Duration::from_secs(5), waiting).await.expect("woken").expect("no panic");
    assert_eq!(bodies(&got), ["a"]);
}

#[tokio::test]
async fn a_fetcher_reads_waits_and_is_told_where_to_go_on() {
    let bench = Bench::new(1).await;
    bench.send(0, &["a", "b"]).await;
    let found = bench.fetch("t", 0, 0).await;
    assert_eq!((found.outcome, found.messages.len(), found.next), (FetchOutcome::Found, 2, Offset(2)));
    assert_eq!(bench.fetch("t", 2, 0).await.outcome, FetchOutcome::AtEnd);
    let beyond = bench.fetch("t", 9, 0).await;
    assert_eq!((beyond.outcome, beyond.next), (FetchOutcome::OutOfRange, Offset(2)));
    let broker = Arc::clone(&bench.broker);
    let waiting = tokio::spawn(async move {
        let request = Fetch {
            group: None,
            topic: topic("t"),
            queue: QueueId(0),
            offset: Offset(2),
            max_messages: 32,
            max_bytes: 1 << 20,
            filter: Filter::sql92("TAGS = 'a' AND KEYS = 'd'"),
            wait_ms: 20_000,
            batches: Batches::Unpacked,
        };
        broker.fetch(&Session::internal(), request).await.expect("fetched")
    });
    bench.one_waits().await;
    bench.send(0, &["c", "d"]).await;
    let one = tokio::time::timeout(Duration::from_secs(5), waiting).await.expect("woken").expect("no panic");
    assert_eq!((one.outcome, one.messages.len(), one.next), (FetchOutcome::Found, 1, Offset(4)));
}

#[tokio::test]
async fn state_survives_a_restart() {
    let mut bench = Bench::new(1).await;
    bench.send(0, &["a", "b", "c"]).await;
    let request = Receive { max_messages: 2, ..Bench::receive_request(0) };
    let deliveries = bench.receive(request).await;
    assert_eq!(bodies(&deliveries), ["a", "b"]);
    assert!(bench.broker.ack(&bench.session, vec![deliveries[0].receipt.clone()]).await[0].is_ok());
    bench.restart().await;
    assert_eq!(bodies(&bench.receive(Bench::receive_request(0)).await), ["c"], "b is still in flight");
    assert!(bench.broker.ack(&bench.session, vec![deliveries[1].receipt.clone()]).await[0].is_ok());
    bench.restart().await;
    bench.send(0, &["d"]).await;
    let found = bench.fetch("t", 0, 0).await;
    assert_eq!(found.max, Offset(4));
    assert_eq!(found.messages.iter().map(|m| m.body()).collect::<Vec<_>>(), ["a", "b", "c", "d"]);
}

#[tokio::test]
async fn a_message_sent_back_is_read_from_the_retry_topic() {
    let bench = Bench::new(1).await;
    let sent = bench.send(0, &["a"]).await.remove(0);
    let back = |lsn, delay| {
        Settle::SendBack(SendBack {
            group: group("g"),
            lsn,
            delay,
            max_retries: Some(1),
            origin_message_id: None,
        })
    };
    bench.broker.settle(&bench.session, back(sent.lsn, SendBackDelay::Level(1))).await.expect("sent back");
    let again = bench.fetch("%RETRY%g", 0, 10_000).await;
    assert_eq!(again.outcome, FetchOutcome::Found);
    let retried = &again.messages[0];
    assert_eq!((retried.topic(), retried.reconsume_times()), ("%RETRY%g", 1));
    assert_eq!(retried.property("RETRY_TOPIC"), Some("t"));
    assert_eq!(retried.body(), "a");
    bench
        .broker
        .settle(&bench.session, back(retried.lsn(), SendBackDelay::Schedule))
        .await
        .expect("sent back");
    let dead = bench.fetch("%DLQ%g", 0, 0).await;
    assert_eq!(dead.messages[0].property("DLQ_ORIGIN_TOPIC"), Some("t"), "one retry was allowed");
}

#[tokio::test]
async fn a_dead_letter_ends_its_delivery() {
    let bench = Bench::new(1).await;
    bench.send(0, &["a"]).await;
    let receipt = bench.receive(Bench::receive_request(0)).await.remove(0).receipt;
    let settle = Settle::DeadLetter { receipt: receipt.clone(), max_attempts: None };
    bench.broker.settle(&bench.session, settle).await.expect("forwarded");
    assert_eq!(bench.fetch("%DLQ%g", 0, 0).await.messages[0].body(), "a");
    assert!(matches!(bench.broker.ack(&bench.session, vec![receipt]).await[0], Err(AckError::Stale)));
}

#[tokio::test]
async fn a_timed_message_comes_when_it_is_due_and_not_before() {
    let mut bench = Bench::new(1).await;
    let mut new = message("later", "a");
    let due_ms = Doors::system().clock.now_ms() + 700;
    new.properties.push("TIMER_DELIVER_MS", &due_ms.to_string());
    let request = Publish {
        topic: topic("t"),
        queue: QueueChoice::Any,
        messages: vec![new],
        producer_group: None,
        auto_create: None,
        check_kind: false,
    };
    bench.broker.publish(&bench.session, request).await.expect("stored");
    assert_eq!(bench.fetch("t", 0, 0).await.outcome, FetchOutcome::AtEnd);
    bench.restart().await;
    let found = bench.fetch("t", 0, 10_000).await;
    assert_eq!(found.messages[0].body(), "later");
    assert!(found.messages[0].stored_ms() >= due_ms);
    bench.restart().await;
    assert_eq!(bench.fetch("t", 0, 0).await.max, Offset(1), "it fired once");
}

#[tokio::test]
async fn an_ordered_group_blocks_a_queue_and_repeats_an_attempt() {
    let bench = Bench::new(1).await;
    bench.put_group(GroupConfig { ordered: true, ..GroupConfig::new(group("g")) }).await;
    bench.send(0, &["a", "b", "c"]).await;
    let with = |attempt: &str, max_messages| Receive {
        attempt_id: Some(attempt.to_owned()),
        max_messages,
        ..Bench::receive_request(0)
    };
    let first = bench.receive(with("one", 2)).await;
    assert_eq!(bodies(&first), ["a", "b"]);
    assert!(bench.receive(with("two", 2)).await.is_empty());
    let same = bench.receive(with("one", 2)).await;
    assert_eq!(bodies(&same), ["a", "b"]);
    assert!(same.iter().all(|d| d.attempt == 1));
    let receipts = same.iter().map(|d| d.receipt.clone()).collect();
    assert!(bench.broker.ack(&bench.session, receipts).await.iter().all(Result::is_ok));
    assert_eq!(bodies(&bench.receive(with("two", 2)).await), ["c"]);
}

#[tokio::test]
async fn offsets_are_committed_sought_and_asked_for() {
    let bench = Bench::new(1).await;
    bench.send(0, &["a", "b", "c"]).await;
    let committed = OffsetQuestion::Committed { group: group("g"), topic: topic("t"), queue: QueueId(0) };
    let none = bench.broker.offset(&bench.session, committed.clone()).await.expect("answered");
    assert_eq!(none, OffsetAnswer::None { start_at_zero: true });
    let commit = CommitOffset { group: group("g"), topic: topic("t"), queue: QueueId(0), offset: Offset(2) };
    bench.broker.commit_offset(&bench.session, commit).await.expect("committed");
    let two = bench.broker.offset(&bench.session, committed.clone()).await.expect("answered");
    assert_eq!(two, OffsetAnswer::Offset(Offset(2)));
    assert_eq!(bodies(&bench.receive(Bench::receive_request(0)).await), ["c"], "receivers go on from there");
    let seek = Seek { group: group("g"), topic: topic("t"), queue: None, to: SeekTo::First, force: true };
    bench.broker.seek(&bench.session, seek).await.expect("sought");
    assert_eq!(bodies(&bench.receive(Bench::receive_request(0)).await), ["a", "b", "c"]);
}

#[tokio::test]
async fn messages_are_found_by_key_and_position() {
    let bench = Bench::new(1).await;
    let sent = bench.send(0, &["a", "b"]).await;
    let by_key = |key: &str| MessageQuery::Key {
        topic: topic("t"),
        key: key.to_owned(),
        kind: KeyKind::Key,
        begin_ms: 0,
        end_ms: i64::MAX,
        max: 10,
    };
    let found = bench.broker.query(&bench.session, by_key("b")).await.expect("found");
    assert_eq!(found.iter().map(|m| m.body()).collect::<Vec<_>>(), ["b"]);
    assert!(bench.broker.query(&bench.session, by_key("z")).await.is_err());
    let at = MessageQuery::Position(sent[0].lsn);
    assert_eq!(bench.broker.query(&bench.session, at).await.expect("found")[0].body(), "a");
    assert!(bench.broker.query(&bench.session, MessageQuery::Position(model::Lsn(3))).await.is_err());
}

#[tokio::test]
async fn what_is_illegal_is_refused() {
    let bench = Bench::new(1).await;
    let publish = |name: &str, queue, new: NewMessage| Publish {
        topic: topic(name),
        queue: QueueChoice::Queue(QueueId(queue)),
        messages: vec![new],
        producer_group: None,
        auto_create: None,
        check_kind: true,
    };
    let refused = async |request| bench.broker.publish(&bench.session, request).await.expect_err("refused");
    assert!(matches!(refused(publish("none", 0, message("a", "a"))).await, PublishError::TopicNotFound(_)));
    assert!(matches!(
        refused(publish("t", 1, message("a", "a"))).await,
        PublishError::QueueOutOfRange { .. }
    ));
    let mut big = message("a", "a");
    big.body = vec![0; model::limits::BODY_BYTES_MAX + 1].into();
    assert!(matches!(refused(publish("t", 0, big)).await, PublishError::BodyTooLarge { .. }));
    let mut fifo = message("a", "a");
    fifo.properties.push("__SHARDINGKEY", "k");
    assert!(matches!(refused(publish("t", 0, fifo)).await, PublishError::KindMismatch { .. }));
    for (key, value) in [("TIMER_DELIVER_MS", "soon"), ("TIMER_DELAY_SEC", "3200000000")] {
        let mut bad = message("a", "a");
        bad.properties.push(key, value);
        let request = Publish { check_kind: false, ..publish("t", 0, bad) };
        assert!(matches!(refused(request).await, PublishError::DeliveryTime(_)), "{key}={value}");
    }
}

#[tokio::test]
async fn a_hundred_receivers_share_without_taking_twice() {
    let bench = Bench::new(4).await;
    for queue in 0..4 {
        let numbers: Vec<String> = (0..100).map(|n| format!("{queue}-{n}")).collect();
        bench.send(queue, &numbers.iter().map(String::as_str).collect::<Vec<_>>()).await;
    }
    let mut tasks = Vec::new();
    for _ in 0..100 {
        let broker = Arc::clone(&bench.broker);
        tasks.push(tokio::spawn(async move {
            let request = Receive { max_messages: 16, ..Bench::receive_request(0) };
            let mut got = Vec::new();
            loop {
                let received = broker.receive(&Session::internal(), request.clone()).await.expect("received");
                if received.deliveries.is_empty() {
                    return got;
                }
                got.extend(bodies(&received.deliveries));
            }
        }));
    }
    let mut all = Vec::new();
    for task in tasks {
        all.extend(task.await.expect("no panic"));
    }
    all.sort();
    let count = all.len();
    all.dedup();
    assert_eq!((count, all.len()), (400, 400));
}

#[tokio::test]
async fn a_new_group_of_a_young_topic_starts_at_its_beginning_also_after_a_restart() {
    let mut bench = Bench::new(1).await;
    bench.send(0, &["a", "b"]).await;
    bench.restart().await;
    let request = Receive { start: StartFrom::Last, ..Bench::receive_request(0) };
    assert_eq!(bodies(&bench.receive(request).await), ["a", "b"]);
}
