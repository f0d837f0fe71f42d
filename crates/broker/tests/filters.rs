//! What filters do to calls that wait, and to what lies before a match.
#![expect(clippy::disallowed_methods, reason = "tests run on the real runtime")]

use std::sync::Arc;
use std::time::Duration;

use base::Doors;
use broker::{Broker, BrokerConfig, Setup};
use model::admin::{self, GroupPut, GroupPutRequest, TopicPut, TopicPutRequest};
use model::verbs::{Fetch, FetchOutcome, Fetched, Publish, QueueChoice, Receive, StartFrom};
use model::{
    Delivery, Filter, GroupConfig, GroupName, Messaging, NewMessage, Offset, Properties, QueueId, Session,
    TopicConfig, TopicName,
};
use replica::ReplicaConfig;
use store::{Repair, StoreConfig};
use tempfile::TempDir;

const LONG_MS: i64 = 30_000;
/// Time for a waiting call to do what it must not do.
const MOMENT: Duration = Duration::from_millis(80);

#[derive(Clone)]
struct Bench {
    _dir: Arc<TempDir>,
    broker: Arc<Broker>,
    topic: TopicName,
    group: GroupName,
}

impl Bench {
    async fn new() -> Self {
        let dir = TempDir::new().expect("a folder");
        let setup = Setup {
            dir: dir.path().join("data"),
            broker: BrokerConfig::default(),
            replica: ReplicaConfig::default(),
            store: StoreConfig::default(),
            repair: Repair::Refuse,
        };
        let broker = Broker::open(&Doors::system(), &setup).expect("opens");
        let (topic, group) = (TopicName::new("t").expect("legal"), GroupName::new("g").expect("legal"));
        let session = Session::internal();
        let request = TopicPutRequest { config: TopicConfig::new(topic.clone(), 1), update: false };
        admin::run::<TopicPut>(&*broker, &session, request).await.expect("created");
        let request = GroupPutRequest { config: GroupConfig::new(group.clone()), update: false };
        admin::run::<GroupPut>(&*broker, &session, request).await.expect("created");
        Self { _dir: Arc::new(dir), broker, topic, group }
    }

    /// Sends one message per text, with a tag and a property of that text.
    async fn send(&self, texts: &[&str]) {
        let message = |text: &&str| {
            let mut properties = Properties::new();
            properties.push("TAGS", text);
            properties.push("a", text);
            NewMessage {
                body: text.as_bytes().to_vec().into(),
                properties,
                flag: 0,
                system_flags: 0,
                born_ms: 1,
                born_host: ([127, 0, 0, 1], 1).into(),
                reconsume_times: 0,
            }
        };
        let request = Publish {
            topic: self.topic.clone(),
            queue: QueueChoice::Queue(QueueId(0)),
            messages: texts.iter().map(message).collect(),
            producer_group: None,
            auto_create: None,
            check_kind: true,
        };
        self.broker.publish(&Session::internal(), request).await.expect("stored");
    }

    async fn fetch(&self, offset: u64, filter: Filter, wait_ms: i64) -> Fetched {
        let request = Fetch {
            group: None,
            topic: self.topic.clone(),
            queue: QueueId(0),
            offset: Offset(offset),
            max_messages: 32,
            max_bytes: 1 << 20,
            filter,
            wait_ms,
            batches: model::verbs::Batches::Unpacked,
        };
        self.broker.fetch(&Session::internal(), request).await.expect("fetched")
    }

    async fn receive(&self, filter: Filter, invisible_ms: i64, wait_ms: i64) -> Vec<Delivery> {
        let request = Receive {
            group: self.group.clone(),
            topic: self.topic.clone(),
            queue: None,
            filter,
            max_messages: 32,
            invisible_ms,
            wait_ms,
            attempt_id: None,
            ordered: None,
            start: StartFrom::First,
            client_id: "c".to_owned(),
        };
        self.broker.receive(&Session::internal(), request).await.expect("received").deliveries
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
}

fn bodies(deliveries: &[Delivery]) -> Vec<String> {
    deliveries.iter().map(|d| String::from_utf8_lossy(&d.message.body()).into_owned()).collect()
}

#[tokio::test]
async fn a_waiting_fetch_is_answered_by_a_match_alone() {
    // "Aa" and "BB" have one hash, so the index alone cannot tell them apart.
    for (filter, other, wanted) in [(Filter::sql92("a > 5"), "3", "8"), (Filter::tag("Aa"), "BB", "Aa")] {
        let bench = Bench::new().await;
        let waiting = tokio::spawn({
            let bench = bench.clone();
            async move { bench.fetch(0, filter, LONG_MS).await }
        });
        bench.one_waits().await;
        for _ in 0..3 {
            bench.send(&[other]).await;
            tokio::time::sleep(MOMENT).await;
            assert!(!waiting.is_finished(), "{other} answered it");
        }
        bench.send(&[wanted]).await;
        let answer = waiting.await.expect("ends");
        assert_eq!((answer.outcome, answer.next), (FetchOutcome::Found, Offset(4)));
        assert_eq!(answer.messages.len(), 1);
    }
}

#[tokio::test]
async fn a_fetch_tells_of_what_it_passed() {
    let bench = Bench::new().await;
    bench.send(&["1", "2"]).await;
    let answer = bench.fetch(0, Filter::sql92("a > 5"), LONG_MS).await;
    assert_eq!((answer.outcome, answer.next), (FetchOutcome::NoneMatched, Offset(2)), "at once");
    let waiting = tokio::spawn({
        let bench = bench.clone();
        async move { bench.fetch(2, Filter::sql92("a > 5"), 300).await }
    });
    bench.one_waits().await;
    bench.send(&["3"]).await;
    let answer = waiting.await.expect("ends");
    assert_eq!(
        (answer.outcome, answer.next),
        (FetchOutcome::NoneMatched, Offset(3)),
        "when its time is over"
    );
}

#[tokio::test]
async fn a_waiting_receive_is_answered_by_a_match_alone() {
    for (filter, other, wanted) in [(Filter::sql92("a > 5"), "3", "8"), (Filter::tag("Aa"), "BB", "Aa")] {
        let bench = Bench::new().await;
        let waiting = tokio::spawn({
            let bench = bench.clone();
            async move { bench.receive(filter, 60_000, LONG_MS).await }
        });
        bench.one_waits().await;
        for _ in 0..3 {
            bench.send(&[other]).await;
            tokio::time::sleep(MOMENT).await;
            assert!(!waiting.is_finished(), "{other} answered it");
        }
        bench.send(&[wanted]).await;
        assert_eq!(bodies(&waiting.await.expect("ends")), [wanted]);
    }
}

#[tokio::test]
async fn a_receive_looks_beyond_much_that_does_not_match() {
    for filter in [Filter::sql92("a > 5"), Filter::tag("8")] {
        let bench = Bench::new().await;
        for _ in 0..60 {
            bench.send(&["1"; 32]).await;
        }
        bench.send(&["8"]).await;
        assert_eq!(bodies(&bench.receive(filter, 60_000, 0).await), ["8"]);
    }
}

#[tokio::test]
async fn a_retried_message_passes_the_filter_that_it_passed_before() {
    for filter in [Filter::sql92("a > 5 AND TAGS = '8'"), Filter::tag("8 || 9")] {
        let bench = Bench::new().await;
        bench.send(&["1", "8"]).await;
        let first = bench.receive(filter.clone(), 30, 0).await;
        assert_eq!(bodies(&first), ["8"]);
        let again = bench.receive(filter, 60_000, LONG_MS).await;
        assert_eq!(bodies(&again), ["8"]);
        assert_eq!(again.iter().map(|delivery| delivery.attempt).collect::<Vec<_>>(), [2]);
    }
}
