//! A broker over a real store in a temporary folder, and the requests that the tests put to it.
//!
//! Requests come with what most tests want, of topic `t` and group `g`; a test names what it wants
//! otherwise, as in `Fetch { wait_ms: 100, ..fetch_request(0) }`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base::Doors;
use broker::{Broker, BrokerConfig, Setup};
use model::admin::{self, AdminError, GroupPut, GroupPutRequest, TopicPut, TopicPutRequest};
use model::verbs::{
    Batches, Fetch, Fetched, Publish, PublishError, PublishedMessage, QueueChoice, Receive, StartFrom,
};
use model::{
    Delivery, Filter, GroupConfig, GroupName, Messaging, NewMessage, Offset, Properties, QueueId, Session,
    StoredMessage, TopicConfig, TopicName,
};
use replica::ReplicaConfig;
use store::{Repair, StoreConfig};
use tempfile::TempDir;

pub(crate) struct Bench {
    dir: TempDir,
    config: BrokerConfig,
    store: StoreConfig,
    pub(crate) broker: Arc<Broker>,
    pub(crate) session: Session,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(BrokerConfig::default(), StoreConfig::default())
    }

    pub(crate) fn with(config: BrokerConfig, store: StoreConfig) -> Self {
        let dir = TempDir::new().expect("a folder");
        let broker = open(&dir, &config, &store);
        Self { dir, config, store, broker, session: Session::internal() }
    }

    pub(crate) async fn restart(&mut self) {
        self.broker.shutdown().await.expect("closes");
        self.broker = open(&self.dir, &self.config, &self.store);
    }

    pub(crate) async fn put_topic(&self, config: TopicConfig) -> Result<TopicConfig, AdminError> {
        let request = TopicPutRequest { config, update: true };
        admin::run::<TopicPut>(&*self.broker, &self.session, request).await
    }

    pub(crate) async fn put_group(&self, config: GroupConfig) -> Result<GroupConfig, AdminError> {
        let request = GroupPutRequest { config, update: true };
        admin::run::<GroupPut>(&*self.broker, &self.session, request).await
    }

    pub(crate) async fn publish(&self, request: Publish) -> Result<Vec<PublishedMessage>, PublishError> {
        self.broker.publish(&self.session, request).await.map(|published| published.entries)
    }

    pub(crate) async fn fetch(&self, request: Fetch) -> Fetched {
        self.broker.fetch(&self.session, request).await.expect("fetched")
    }

    pub(crate) async fn receive(&self, request: Receive) -> Vec<Delivery> {
        self.broker.receive(&self.session, request).await.expect("received").deliveries
    }

    /// Acknowledges deliveries whose receipts are all good.
    pub(crate) async fn ack(&self, deliveries: &[Delivery]) {
        let receipts = deliveries.iter().map(|d| d.receipt.clone()).collect();
        let acked = self.broker.ack(&self.session, receipts).await;
        assert!(acked.iter().all(Result::is_ok), "{acked:?}");
    }

    /// Until a call waits. A call that came after a message would be told of it at once.
    pub(crate) async fn one_waits(&self) {
        let waits = async {
            while self.broker.waiting() == 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), waits).await.expect("a call waits");
    }
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

pub(crate) fn topic(name: &str) -> TopicName {
    TopicName::new(name).expect("legal")
}

pub(crate) fn group(name: &str) -> GroupName {
    GroupName::new(name).expect("legal")
}

/// Attributes of a topic or a group.
pub(crate) fn attributes(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

pub(crate) fn message(body: impl AsRef<[u8]>, told: &[(&str, &str)]) -> NewMessage {
    let mut properties = Properties::new();
    told.iter().for_each(|(key, value)| properties.push(key, value));
    NewMessage {
        body: body.as_ref().to_vec().into(),
        properties,
        flag: 0,
        system_flags: 0,
        born_ms: 1,
        born_host: ([127, 0, 0, 1], 1).into(),
        reconsume_times: 0,
    }
}

pub(crate) fn publish_request(messages: Vec<NewMessage>) -> Publish {
    Publish {
        topic: topic("t"),
        queue: QueueChoice::Any,
        messages,
        producer_group: None,
        auto_create: None,
        check_kind: false,
    }
}

pub(crate) fn fetch_request(offset: u64) -> Fetch {
    Fetch {
        group: None,
        topic: topic("t"),
        queue: QueueId(0),
        offset: Offset(offset),
        max_messages: 32,
        max_bytes: 1 << 20,
        filter: Filter::all(),
        wait_ms: 0,
        batches: Batches::Unpacked,
    }
}

pub(crate) fn receive_request() -> Receive {
    Receive {
        group: group("g"),
        topic: topic("t"),
        queue: None,
        filter: Filter::all(),
        max_messages: 32,
        invisible_ms: 60_000,
        wait_ms: 0,
        attempt_id: None,
        ordered: None,
        start: StartFrom::First,
        client_id: "c".to_owned(),
    }
}

pub(crate) fn text(message: &StoredMessage) -> String {
    String::from_utf8_lossy(&message.body()).into_owned()
}

pub(crate) fn bodies(deliveries: &[Delivery]) -> Vec<String> {
    deliveries.iter().map(|d| text(&d.message)).collect()
}
