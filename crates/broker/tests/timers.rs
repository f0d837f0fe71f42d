//! Timed messages at the verbs, over a real store in a temporary folder.
#![expect(clippy::disallowed_methods, reason = "tests run on the real runtime")]

use std::sync::Arc;
use std::time::Duration;

use base::Doors;
use broker::{Broker, BrokerConfig, Setup};
use model::admin::{
    self, AdminError, NodeInfo, TimerDelete, TimerDeleteRequest, TimerList, TimerListRequest, TimerPage,
    TopicPut, TopicPutRequest,
};
use model::verbs::{
    Batches, Fetch, Fetched, Publish, PublishError, PublishedMessage, QueueChoice, Recall, RecallError,
};
use model::{Filter, Messaging, NewMessage, Offset, Properties, QueueId, Session, TopicConfig, TopicName};
use replica::ReplicaConfig;
use store::{Repair, StoreConfig};
use tempfile::TempDir;

struct Bench {
    dir: TempDir,
    config: BrokerConfig,
    store: StoreConfig,
    broker: Arc<Broker>,
    session: Session,
}

fn open(dir: &TempDir, broker: &BrokerConfig, store: &StoreConfig) -> Arc<Broker> {
    let setup = Setup {
        dir: dir.path().join("data"),
        broker: broker.clone(),
        replica: ReplicaConfig::default(),
        store: store.clone(),
        repair: Repair::Refuse,
    };
    Broker::open(&Doors::system(), &setup).expect("opens")
}

fn topic() -> TopicName {
    TopicName::new("t").expect("legal")
}

fn now_ms() -> i64 {
    Doors::system().clock.now_ms()
}

impl Bench {
    async fn new(config: BrokerConfig, store: StoreConfig) -> Self {
        let dir = TempDir::new().expect("a folder");
        let broker = open(&dir, &config, &store);
        let bench = Self { dir, config, store, broker, session: Session::internal() };
        let request = TopicPutRequest { config: TopicConfig::new(topic(), 1), update: false };
        admin::run::<TopicPut>(&*bench.broker, &bench.session, request).await.expect("created");
        bench
    }

    async fn restart(&mut self) {
        self.broker.shutdown().await.expect("closes");
        self.broker = open(&self.dir, &self.config, &self.store);
    }

    async fn try_send(&self, id: &str, pairs: &[(&str, &str)]) -> Result<PublishedMessage, PublishError> {
        let mut properties = Properties::new();
        properties.push("UNIQ_KEY", id);
        pairs.iter().for_each(|(key, value)| properties.push(key, value));
        let message = NewMessage {
            body: id.as_bytes().to_vec().into(),
            properties,
            flag: 0,
            system_flags: 0,
            born_ms: 1,
            born_host: ([127, 0, 0, 1], 1).into(),
            reconsume_times: 0,
        };
        let request = Publish {
            topic: topic(),
            queue: QueueChoice::Any,
            messages: vec![message],
            producer_group: None,
            auto_create: None,
            check_kind: false,
        };
        let sent = self.broker.publish(&self.session, request).await?;
        Ok(sent.entries.into_iter().next().expect("one entry"))
    }

    /// Sends a message that is due at a time, and answers its recall handle.
    async fn send_at(&self, id: &str, due_ms: i64) -> String {
        let due = due_ms.to_string();
        let sent = self.try_send(id, &[("TIMER_DELIVER_MS", &due), ("KEYS", "k")]).await.expect("stored");
        sent.recall_handle.expect("a handle")
    }

    async fn recall(&self, handle: &str) -> Result<String, RecallError> {
        let request = Recall { topic: topic(), handle: handle.to_owned(), producer_group: None };
        self.broker.recall(&self.session, request).await
    }

    async fn list(&self, request: TimerListRequest) -> TimerPage {
        admin::run::<TimerList>(&*self.broker, &self.session, request).await.expect("listed")
    }

    async fn listed(&self) -> Vec<String> {
        let mut request =
            TimerListRequest { topic: topic(), from_ms: None, to_ms: None, max: Some(3), after: None };
        let mut ids = Vec::new();
        loop {
            let page = self.list(request.clone()).await;
            ids.extend(page.timers.into_iter().map(|timer| timer.message_id));
            let Some(next) = page.next else { return ids };
            request.after = Some(next);
        }
    }

    async fn fetch(&self, offset: u64, wait_ms: i64) -> Fetched {
        let request = Fetch {
            group: None,
            topic: topic(),
            queue: QueueId(0),
            offset: Offset(offset),
            max_messages: 100,
            max_bytes: 1 << 20,
            filter: Filter::all(),
            wait_ms,
            batches: Batches::Unpacked,
        };
        self.broker.fetch(&self.session, request).await.expect("fetched")
    }

    /// Bodies of the first `count` messages, once they are there.
    async fn first(&self, count: usize) -> Vec<String> {
        let mut bodies: Vec<String> = Vec::new();
        while bodies.len() < count {
            let fetched = self.fetch(bodies.len() as u64, 20_000).await;
            assert!(!fetched.messages.is_empty(), "{} of {count} came", bodies.len());
            let texts = fetched.messages.iter().map(|m| String::from_utf8_lossy(&m.body()).into_owned());
            bodies.extend(texts);
        }
        bodies
    }
}

async fn bench() -> Bench {
    Bench::new(BrokerConfig::default(), StoreConfig::default()).await
}

#[tokio::test]
async fn what_is_recalled_never_comes_also_after_a_restart() {
    let mut bench = bench().await;
    let due_ms = now_ms() + 1_500;
    let one = bench.send_at("one", due_ms).await;
    bench.send_at("two", due_ms).await;
    let three = bench.send_at("three", due_ms).await;
    assert_eq!(bench.recall(&one).await.expect("recalled"), "one");
    bench.restart().await;
    assert_eq!(bench.recall(&three).await.expect("recalled"), "three");
    assert_eq!(bench.recall(&three).await.expect("nothing is left to do"), "three");
    assert_eq!(bench.listed().await, ["two"]);
    assert_eq!(bench.first(1).await, ["two"]);
    bench.send_at("four", now_ms() + 100).await;
    assert_eq!(bench.first(2).await, ["two", "four"]);
    assert!(matches!(bench.recall(&three).await, Err(RecallError::TooLate)));
}

#[tokio::test]
async fn a_message_that_was_sent_again_is_recalled_as_a_whole() {
    let bench = bench().await;
    let due_ms = now_ms() + 3_600_000;
    bench.send_at("twice", due_ms).await;
    bench.send_at("twice", due_ms + 120_000).await;
    let request = TimerDeleteRequest { topic: topic(), message_id: "twice".to_owned() };
    let deleted = admin::run::<TimerDelete>(&*bench.broker, &bench.session, request.clone()).await;
    assert_eq!(deleted.expect("deleted").cancelled, 2);
    let again = admin::run::<TimerDelete>(&*bench.broker, &bench.session, request).await;
    assert!(matches!(again, Err(AdminError::NotFound(_))), "{again:?}");
    assert!(bench.listed().await.is_empty());
}

#[tokio::test]
async fn wrong_recalls_are_told_apart() {
    let bench = bench().await;
    let handle = bench.send_at("far", now_ms() + 86_400_000).await;
    for bad in ["", "nonsense", "!!!", "djEgdCBhcG9nZWUtMCAx"] {
        assert!(matches!(bench.recall(bad).await, Err(RecallError::Handle)), "{bad}");
    }
    let elsewhere = TopicName::new("none").expect("legal");
    let request = Recall { topic: elsewhere, handle: handle.clone(), producer_group: None };
    let result = bench.broker.recall(&bench.session, request).await;
    assert!(matches!(result, Err(RecallError::TopicNotFound(_))));
    let off = BrokerConfig { recall_enabled: false, ..BrokerConfig::default() };
    let off = Bench::new(off, StoreConfig::default()).await;
    assert!(matches!(off.recall(&handle).await, Err(RecallError::Disabled)));
    let due = (now_ms() + 1_000_000).to_string();
    let sent = off.try_send("far", &[("TIMER_DELIVER_MS", &due)]).await.expect("stored");
    assert_eq!(sent.recall_handle, None);
}

#[tokio::test]
async fn timers_are_listed_by_time_and_in_pages() {
    let mut bench = bench().await;
    let base = now_ms() + 3_600_000;
    for number in (0..8).rev() {
        bench.send_at(&format!("m{number}"), base + number * 60_000).await;
    }
    let expected: Vec<String> = (0..8).map(|number| format!("m{number}")).collect();
    assert_eq!(bench.listed().await, expected);
    bench.restart().await;
    let request = TimerListRequest {
        topic: topic(),
        from_ms: Some(base + 60_000),
        to_ms: Some(base + 180_000),
        max: None,
        after: None,
    };
    let page = bench.list(request).await;
    let due: Vec<i64> = page.timers.iter().map(|timer| timer.due_ms - base).collect();
    assert_eq!((due, page.next), (vec![60_000, 120_000], None));
    assert_eq!(page.timers[0].keys, "k");
    assert_eq!(page.timers[0].body_bytes, 2);
}

#[tokio::test]
async fn a_series_fires_until_it_is_done() {
    let bench = bench().await;
    let pairs = [("APOGEE_CRON", "* * * * * *"), ("APOGEE_CRON_TIMES", "2")];
    let sent = bench.try_send("tick", &pairs).await.expect("stored");
    assert!(sent.recall_handle.is_some());
    assert_eq!(bench.listed().await, ["tick"]);
    let twice = bench.fetch(0, 5_000).await.messages.len() as u64;
    let rest = bench.fetch(twice, 5_000).await.messages.len() as u64;
    assert_eq!((twice, rest), (1, 1));
    assert!(bench.listed().await.is_empty(), "the series has ended");
    let refused = bench.try_send("bad", &[("APOGEE_CRON", "often")]).await.expect_err("refused");
    assert!(matches!(&refused, PublishError::Illegal(why) if why.contains("APOGEE_CRON")), "{refused}");
}

/// The log is cut behind timers that wait; they fire all the same, and can still be recalled.
#[tokio::test]
async fn timers_outlive_the_segments_that_they_were_written_to() {
    let store = StoreConfig {
        segment_bytes: 1 << 20,
        retention_bytes: Some(3 << 20),
        checkpoint_bytes: 1 << 18,
        ..StoreConfig::default()
    };
    let mut bench = Bench::new(BrokerConfig::default(), store).await;
    let due_ms = now_ms() + 15_000;
    for number in 0..50 {
        bench.send_at(&format!("kept-{number}"), due_ms + number).await;
    }
    let gone = bench.send_at("gone", due_ms).await;
    let far = bench.send_at("far", now_ms() + 86_400_000 * 365 * 50).await;
    let early = bench.send_at("early", due_ms).await;
    assert_eq!(bench.recall(&early).await.expect("recalled"), "early");
    let filler = "x".repeat(30_000);
    let sent_until = async || {
        loop {
            bench.try_send("filler", &[("filler", &filler)]).await.expect("stored");
            let node = admin::run::<NodeInfo>(&*bench.broker, &bench.session, admin::Empty {}).await;
            if node.expect("answers").log_start > 4 << 20 {
                return;
            }
            assert!(now_ms() < due_ms, "the log is not cut in time");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    sent_until().await;
    assert_eq!(bench.recall(&gone).await.expect("recalled"), "gone");
    bench.restart().await;
    assert_eq!(bench.listed().await.len(), 51);
    let mut offset = 0;
    let mut fired = Vec::new();
    while fired.len() < 50 {
        let fetched = bench.fetch(offset, 20_000).await;
        assert!(offset != fetched.next.get(), "{} of 50 came", fired.len());
        offset = fetched.next.get();
        for message in fetched.messages.iter().filter(|m| m.body() != "filler") {
            assert!(message.stored_ms() >= due_ms);
            fired.push(String::from_utf8_lossy(&message.body()).into_owned());
        }
    }
    let expected: Vec<String> = (0..50).map(|number| format!("kept-{number}")).collect();
    assert_eq!(fired, expected);
    assert_eq!(bench.listed().await, ["far"]);
    assert_eq!(bench.recall(&far).await.expect("recalled"), "far");
    assert!(bench.listed().await.is_empty());
}

/// A minute that holds more than one step loads, with cancellations between.
#[tokio::test]
async fn a_full_minute_fires_whole() {
    let bench = Arc::new(bench().await);
    let due_ms = now_ms() + 8_000;
    let mut sending = tokio::task::JoinSet::new();
    for part in 0..50 {
        let bench = Arc::clone(&bench);
        sending.spawn(async move {
            for number in 0..100 {
                let handle = bench.send_at(&format!("{part}-{number}"), due_ms + number).await;
                if number % 10 == 3 {
                    bench.recall(&handle).await.expect("recalled");
                }
            }
        });
    }
    sending.join_all().await;
    let Ok(mut bench) = Arc::try_unwrap(bench) else { panic!("all senders have ended") };
    bench.restart().await;
    let fired = bench.first(4_500).await;
    assert!(fired.iter().all(|id| !id.ends_with('3')));
    assert_eq!(bench.fetch(4_500, 300).await.max, Offset(4_500));
}
