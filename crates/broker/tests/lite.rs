//! Lite topics: many small ordered queues in one parent, subscriptions, expiry.
#![expect(clippy::disallowed_methods, reason = "tests run on the real runtime")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base::Doors;
use broker::{Broker, BrokerConfig, Setup};
use model::admin::{
    self, GroupPut, GroupPutRequest, LiteClient, LiteDelete, LiteGet, LiteGroup, LiteList, LiteNode,
    LiteParent, TopicDelete, TopicPut, TopicPutRequest, TopicRequest,
};
use model::lite::{
    LiteAction, LiteClientRequest, LiteError, LiteGroupRequest, LiteListRequest, LiteParentRequest,
    LiteStart, LiteSync, LiteTopicRequest,
};
use model::session::NoticeSink;
use model::verbs::{
    AckError, Batches, Fetch, Publish, PublishError, QueueChoice, Receive, ReceiveError, Settle, StartFrom,
};
use model::{
    Delivery, Filter, GroupConfig, GroupName, Messaging, NewMessage, Notice, Offset, Properties, QueueId,
    Session, TopicConfig, TopicName,
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

#[derive(Default)]
struct Heard(Mutex<Vec<String>>);

impl NoticeSink for Heard {
    fn notify(&self, notice: Notice) -> bool {
        if let Notice::LiteTaken { lite_topic, client_id, .. } = notice {
            self.0.lock().expect("no panic").push(format!("{client_id} lost {lite_topic}"));
        }
        true
    }
}

struct Bench {
    dir: TempDir,
    config: BrokerConfig,
    broker: Arc<Broker>,
    session: Session,
    heard: Arc<Heard>,
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

impl Bench {
    async fn new() -> Self {
        Self::with(BrokerConfig::default(), &[]).await
    }

    async fn with(config: BrokerConfig, attributes: &[(&str, &str)]) -> Self {
        let dir = TempDir::new().expect("a folder");
        let heard = Arc::new(Heard::default());
        let sink: Arc<dyn NoticeSink> = Arc::clone(&heard) as Arc<dyn NoticeSink>;
        let session = Session { notices: sink, ..Session::internal() };
        let bench = Self { broker: open(&dir, &config), dir, config, session, heard };
        bench.put_topic("parent", &[("message.type", "LITE"), ("lite.topic.expiration", "60")]).await;
        bench.put_topic("plain", &[]).await;
        let bound = [("lite.bind.topic", "parent")].into_iter().chain(attributes.iter().copied());
        bench.put_group("g", bound.collect()).await;
        bench
    }

    async fn put_topic(&self, name: &str, attributes: &[(&str, &str)]) {
        let mut config = TopicConfig::new(topic(name), 4);
        config.attributes = attributes.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let request = TopicPutRequest { config, update: true };
        admin::run::<TopicPut>(&*self.broker, &self.session, request).await.expect("made");
    }

    async fn put_group(&self, name: &str, attributes: Vec<(&str, &str)>) {
        let mut config = GroupConfig::new(group(name));
        config.attributes = attributes.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let request = GroupPutRequest { config, update: true };
        admin::run::<GroupPut>(&*self.broker, &self.session, request).await.expect("made");
    }

    async fn restart(&mut self) {
        self.broker.shutdown().await.expect("closes");
        self.broker = open(&self.dir, &self.config);
    }

    async fn try_send(&self, to: &str, lite: Option<&str>, body: &str) -> Result<(), PublishError> {
        let mut properties = Properties::new();
        if let Some(lite) = lite {
            properties.push("__LITE_TOPIC", lite);
        }
        let message = NewMessage {
            body: body.as_bytes().to_vec().into(),
            properties,
            flag: 0,
            system_flags: 0,
            born_ms: 1,
            born_host: ([127, 0, 0, 1], 1).into(),
            reconsume_times: 0,
        };
        let request = Publish {
            topic: topic(to),
            queue: QueueChoice::Any,
            messages: vec![message],
            producer_group: None,
            auto_create: None,
            check_kind: true,
        };
        self.broker.publish(&self.session, request).await.map(|_| ())
    }

    async fn send(&self, lite: &str, bodies: &[&str]) {
        for body in bodies {
            self.try_send("parent", Some(lite), body).await.expect("stored");
        }
    }

    async fn sync(
        &self,
        client_id: &str,
        action: LiteAction,
        lite_topics: &[&str],
        start: LiteStart,
    ) -> Result<(), LiteError> {
        let sync = LiteSync {
            client_id: client_id.to_owned(),
            group: group("g"),
            topic: topic("parent"),
            action,
            lite_topics: lite_topics.iter().map(|name| (*name).to_owned()).collect(),
            start,
            version: 0,
        };
        self.broker.sync_lite(&self.session, sync).await
    }

    async fn subscribe(&self, client_id: &str, lite_topics: &[&str]) {
        self.sync(client_id, LiteAction::Add, lite_topics, LiteStart::Last).await.expect("subscribed");
    }

    fn request(client_id: &str, wait_ms: i64) -> Receive {
        Receive {
            group: group("g"),
            topic: topic("parent"),
            queue: None,
            filter: Filter::all(),
            max_messages: 32,
            invisible_ms: 60_000,
            wait_ms,
            attempt_id: None,
            ordered: None,
            start: StartFrom::Last,
            client_id: client_id.to_owned(),
        }
    }

    async fn receive(&self, client_id: &str) -> Vec<Delivery> {
        let received = self.broker.receive(&self.session, Self::request(client_id, 0)).await;
        received.expect("answered").deliveries
    }

    async fn ack(&self, deliveries: &[Delivery]) {
        let receipts = deliveries.iter().map(|delivery| delivery.receipt.clone()).collect();
        for result in self.broker.ack(&self.session, receipts).await {
            result.expect("the receipt is good");
        }
    }

    /// What a client gets, by lite topic, acknowledged at once until nothing comes.
    async fn drain(&self, client_id: &str) -> BTreeMap<String, Vec<String>> {
        let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
        loop {
            let deliveries = self.receive(client_id).await;
            if deliveries.is_empty() {
                return all;
            }
            for delivery in &deliveries {
                all.entry(lite_of(delivery)).or_default().push(body(delivery));
            }
            self.ack(&deliveries).await;
        }
    }
}

fn body(delivery: &Delivery) -> String {
    String::from_utf8_lossy(&delivery.message.body()).into_owned()
}

fn lite_of(delivery: &Delivery) -> String {
    delivery.message.property("__LITE_TOPIC").unwrap_or_default().to_owned()
}

fn expected(lists: &[(&str, &[&str])]) -> BTreeMap<String, Vec<String>> {
    lists
        .iter()
        .map(|(lite, bodies)| ((*lite).to_owned(), bodies.iter().map(|b| (*b).to_owned()).collect()))
        .collect()
}

#[tokio::test]
async fn a_client_gets_what_it_subscribed_to_in_order() {
    let bench = Bench::new().await;
    bench.send("a", &["a1", "a2"]).await;
    bench.send("b", &["b1"]).await;
    bench.send("c", &["c1"]).await;
    bench.subscribe("one", &["a", "b"]).await;
    assert_eq!(bench.drain("one").await, expected(&[("a", &["a1", "a2"]), ("b", &["b1"])]));
    bench.send("a", &["a3"]).await;
    bench.send("c", &["c2"]).await;
    assert_eq!(bench.drain("one").await, expected(&[("a", &["a3"])]));
    bench.sync("one", LiteAction::Remove, &["a"], LiteStart::Last).await.expect("unsubscribed");
    bench.send("a", &["a4"]).await;
    assert!(bench.receive("one").await.is_empty());
}

#[tokio::test]
async fn a_message_is_stored_once_and_stands_in_the_parent_too() {
    let bench = Bench::new().await;
    bench.send("a", &["a1"]).await;
    bench.subscribe("one", &["a"]).await;
    let deliveries = bench.receive("one").await;
    let [delivery] = &deliveries[..] else { panic!("{deliveries:?}") };
    assert_eq!(delivery.receipt.topic.as_str(), "%LMQ%$parent$a");
    assert_eq!((delivery.receipt.queue, delivery.receipt.offset), (QueueId(0), Offset(0)));
    let queue = delivery.message.queue();
    let fetch = Fetch {
        group: None,
        topic: topic("parent"),
        queue,
        offset: Offset(0),
        max_messages: 10,
        max_bytes: 1 << 20,
        filter: Filter::all(),
        wait_ms: 0,
        batches: Batches::Unpacked,
    };
    let fetched = bench.broker.fetch(&bench.session, fetch).await.expect("read");
    assert_eq!(fetched.messages.len(), 1);
    assert_eq!(fetched.messages[0].lsn(), delivery.message.lsn(), "one stored copy");
}

#[tokio::test]
async fn a_lite_topic_waits_for_what_is_in_flight() {
    let bench = Bench::new().await;
    bench.subscribe("one", &["a", "b"]).await;
    bench.send("a", &["a1"]).await;
    let first = bench.receive("one").await;
    bench.send("a", &["a2"]).await;
    bench.send("b", &["b1"]).await;
    let second = bench.receive("one").await;
    assert_eq!(second.iter().map(body).collect::<Vec<_>>(), ["b1"], "a waits for a1");
    bench.ack(&first).await;
    assert_eq!(bench.receive("one").await.iter().map(body).collect::<Vec<_>>(), ["a2"]);
}

#[tokio::test]
async fn what_is_not_acknowledged_comes_again_in_place() {
    let bench = Bench::new().await;
    bench.subscribe("one", &["a"]).await;
    bench.send("a", &["a1", "a2"]).await;
    let first = bench.receive("one").await;
    assert_eq!(first.iter().map(|d| d.attempt).collect::<Vec<_>>(), [1, 1]);
    bench.broker.extend(&bench.session, first[0].receipt.clone(), 0).await.expect("given back");
    bench.broker.extend(&bench.session, first[1].receipt.clone(), 0).await.expect("given back");
    let waited = bench.broker.receive(&bench.session, Bench::request("one", 10_000)).await.expect("answered");
    let again = waited.deliveries;
    assert_eq!(again.iter().map(body).collect::<Vec<_>>(), ["a1", "a2"]);
    assert_eq!(again[0].attempt, 2);
    let stale = bench.broker.ack(&bench.session, vec![first[0].receipt.clone()]).await;
    assert!(matches!(stale[..], [Err(AckError::Stale)]));
    let dead = Settle::DeadLetter { receipt: again[0].receipt.clone(), max_attempts: None };
    bench.broker.settle(&bench.session, dead).await.expect("dead");
    bench.ack(&again[1..]).await;
    assert!(bench.receive("one").await.is_empty());
}

#[tokio::test]
async fn a_waiting_client_is_woken() {
    let bench = Bench::new().await;
    bench.subscribe("one", &["a"]).await;
    let broker = Arc::clone(&bench.broker);
    let session = bench.session.clone();
    let waiting = tokio::spawn(async move { broker.receive(&session, Bench::request("one", 30_000)).await });
    // Whether it waits already or not, it must hear of the message.
    tokio::time::sleep(Duration::from_millis(50)).await;
    bench.send("a", &["a1"]).await;
    let received = tokio::time::timeout(Duration::from_secs(10), waiting).await.expect("woken");
    let deliveries = received.expect("no panic").expect("answered").deliveries;
    assert_eq!(deliveries.iter().map(body).collect::<Vec<_>>(), ["a1"]);
}

#[tokio::test]
async fn progress_outlives_a_restart_and_subscriptions_are_repeated() {
    let mut bench = Bench::new().await;
    bench.send("a", &["a1", "a2"]).await;
    bench.subscribe("one", &["a", "b"]).await;
    assert_eq!(bench.drain("one").await.len(), 1);
    bench.send("a", &["a3"]).await;
    let held = bench.receive("one").await;
    bench.send("b", &["b1"]).await;
    bench.restart().await;
    assert!(bench.receive("one").await.is_empty(), "what the client wants is not known yet");
    bench.sync("one", LiteAction::Set, &["a", "b"], LiteStart::Last).await.expect("subscribed");
    assert_eq!(bench.drain("one").await, expected(&[("b", &["b1"])]), "a3 is still held");
    bench.ack(&held).await;
    bench.send("a", &["a4"]).await;
    assert_eq!(bench.drain("one").await, expected(&[("a", &["a4"])]));
}

#[tokio::test]
async fn a_subscription_begins_where_it_says() {
    let bench = Bench::new().await;
    bench.send("a", &["a0", "a1", "a2", "a3"]).await;
    let from = |start: LiteStart, bodies: &'static [&'static str]| {
        let bench = &bench;
        async move {
            bench.sync("one", LiteAction::Remove, &["a"], LiteStart::Last).await.expect("unsubscribed");
            bench.sync("one", LiteAction::Add, &["a"], start).await.expect("subscribed");
            let lists: BTreeMap<_, _> =
                if bodies.is_empty() { BTreeMap::new() } else { expected(&[("a", bodies)]) };
            assert_eq!(bench.drain("one").await, lists, "{start:?}");
        }
    };
    from(LiteStart::End, &[]).await;
    from(LiteStart::First, &["a0", "a1", "a2", "a3"]).await;
    from(LiteStart::Last, &[]).await;
    from(LiteStart::Tail(2), &["a2", "a3"]).await;
    from(LiteStart::Offset(1), &["a1", "a2", "a3"]).await;
    from(LiteStart::Offset(99), &[]).await;
    from(LiteStart::Time(0), &["a0", "a1", "a2", "a3"]).await;
    from(LiteStart::Time(i64::MAX), &[]).await;
}

#[tokio::test]
async fn clients_of_a_shared_group_divide_messages() {
    let bench = Bench::new().await;
    bench.subscribe("one", &["a"]).await;
    bench.subscribe("two", &["a"]).await;
    bench.send("a", &["a1"]).await;
    let first = bench.receive("one").await;
    assert_eq!(first.len(), 1);
    assert!(bench.receive("two").await.is_empty());
    bench.send("a", &["a2"]).await;
    bench.ack(&first).await;
    assert_eq!(bench.receive("two").await.iter().map(body).collect::<Vec<_>>(), ["a2"]);
    assert!(bench.heard.0.lock().expect("no panic").is_empty());
}

#[tokio::test]
async fn an_exclusive_lite_topic_goes_to_the_newest() {
    let bench = Bench::with(BrokerConfig::default(), &[("lite.sub.model", "Exclusive")]).await;
    bench.subscribe("one", &["a", "b"]).await;
    bench.subscribe("two", &["a"]).await;
    assert_eq!(*bench.heard.0.lock().expect("no panic"), ["one lost a"]);
    bench.send("a", &["a1"]).await;
    bench.send("b", &["b1"]).await;
    assert_eq!(bench.drain("one").await, expected(&[("b", &["b1"])]));
    assert_eq!(bench.drain("two").await, expected(&[("a", &["a1"])]));
    // The loser repeats its list before it has heard: it is told again, and gets nothing.
    bench.sync("one", LiteAction::Set, &["a", "b"], LiteStart::Last).await.expect("answered");
    assert_eq!(bench.heard.0.lock().expect("no panic").len(), 2);
    bench.send("a", &["a2"]).await;
    assert!(bench.receive("one").await.is_empty());
}

#[tokio::test]
async fn a_wildcard_group_gets_every_lite_topic() {
    let bench = Bench::with(BrokerConfig::default(), &[("lite.sub.wildcard", "true")]).await;
    bench.send("a", &["a1"]).await;
    bench.send("b", &["b1"]).await;
    bench.sync("one", LiteAction::Set, &[], LiteStart::Last).await.expect("subscribed");
    assert_eq!(bench.drain("one").await, expected(&[("a", &["a1"]), ("b", &["b1"])]));
    bench.send("new", &["n1"]).await;
    assert_eq!(bench.drain("one").await, expected(&[("new", &["n1"])]));
    let refused = bench.sync("one", LiteAction::Add, &["a"], LiteStart::Last).await;
    assert!(matches!(refused, Err(LiteError::Wildcard)));
}

#[tokio::test]
async fn limits_have_their_own_errors() {
    let config = BrokerConfig { lite_topics_max: 2, lite_subscriptions_max: 3, ..BrokerConfig::default() };
    let bench = Bench::with(config, &[("lite.sub.client.quota", "2")]).await;
    bench.send("a", &["a1"]).await;
    bench.send("b", &["b1"]).await;
    let third = bench.try_send("parent", Some("c"), "c1").await;
    assert!(matches!(third, Err(PublishError::LiteQuota { max: 2 })), "{third:?}");
    bench.send("a", &["a2"]).await;
    bench.subscribe("one", &["a", "b"]).await;
    let third = bench.sync("one", LiteAction::Add, &["c"], LiteStart::Last).await;
    assert!(matches!(third, Err(LiteError::Quota { max: 2, .. })), "{third:?}");
    let third = bench.sync("two", LiteAction::Set, &["a", "b", "c"], LiteStart::Last).await;
    assert!(matches!(third, Err(LiteError::Quota { max: 2, .. })), "{third:?}");
    let fourth = bench.sync("two", LiteAction::Add, &["a", "b"], LiteStart::Last).await;
    assert!(matches!(fourth, Err(LiteError::Quota { max: 3, .. })), "{fourth:?}");
}

#[tokio::test]
async fn bad_input_is_refused() {
    let bench = Bench::new().await;
    let long = "x".repeat(65);
    for name in ["a b", "a.b", "", &long] {
        let sent = bench.try_send("parent", Some(name), "x").await;
        let is_kind = matches!(sent, Err(PublishError::KindMismatch { .. }));
        assert!(is_kind && name.is_empty() || matches!(sent, Err(PublishError::LiteTopic(_))), "{sent:?}");
        let wanted = bench.sync("one", LiteAction::Add, &[name], LiteStart::Last).await;
        assert!(matches!(wanted, Err(LiteError::Illegal(_))), "{wanted:?}");
    }
    let without = bench.try_send("parent", None, "x").await;
    assert!(matches!(without, Err(PublishError::KindMismatch { .. })), "{without:?}");
    let elsewhere = bench.try_send("plain", Some("a"), "x").await;
    assert!(matches!(elsewhere, Err(PublishError::KindMismatch { .. })), "{elsewhere:?}");
    bench.put_group("loose", Vec::new()).await;
    let sync = |group_name: &str, to: &str| LiteSync {
        client_id: "one".to_owned(),
        group: group(group_name),
        topic: topic(to),
        action: LiteAction::Add,
        lite_topics: vec!["a".to_owned()],
        start: LiteStart::Last,
        version: 0,
    };
    let unbound = bench.broker.sync_lite(&bench.session, sync("loose", "parent")).await;
    assert!(matches!(unbound, Err(LiteError::NotBound { .. })), "{unbound:?}");
    let other = bench.broker.sync_lite(&bench.session, sync("g", "plain")).await;
    assert!(matches!(other, Err(LiteError::NotBound { .. })), "{other:?}");
    let nobody = bench.broker.sync_lite(&bench.session, sync("nobody", "parent")).await;
    assert!(matches!(nobody, Err(LiteError::GroupNotFound(_))), "{nobody:?}");
    let request = Receive { topic: topic("plain"), ..Bench::request("one", 0) };
    let elsewhere = bench.broker.receive(&bench.session, request).await;
    assert!(matches!(elsewhere, Err(ReceiveError::NotBound { .. })), "{elsewhere:?}");
}

#[tokio::test]
async fn tools_see_lite_topics_and_delete_them() {
    let bench = Bench::new().await;
    for i in 0..30 {
        bench.send(&format!("room-{i}"), &["x", "y"]).await;
    }
    bench.subscribe("one", &["room-3", "unborn"]).await;
    let mut names = Vec::new();
    let mut after = None;
    loop {
        let prefix = Some("room-1".to_owned());
        let request = LiteListRequest { topic: topic("parent"), prefix, after, limit: Some(4) };
        let page = admin::run::<LiteList>(&*bench.broker, &bench.session, request).await.expect("listed");
        assert!(page.lite_topics.len() <= 4);
        names.extend(page.lite_topics.into_iter().map(|state| state.lite_topic));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    names.sort_unstable();
    assert_eq!(names.len(), 11, "room-1 and room-10 to room-19: {names:?}");
    let room = LiteTopicRequest { topic: topic("parent"), lite_topic: "room-3".to_owned() };
    let found = admin::run::<LiteGet>(&*bench.broker, &bench.session, room.clone()).await.expect("found");
    assert_eq!(found.state.expect("it exists").max_offset, 2);
    assert_eq!(found.subscribers.len(), 1);
    let client = LiteClientRequest {
        topic: topic("parent"),
        group: group("g"),
        client_id: "one".to_owned(),
        limit: None,
    };
    let client = admin::run::<LiteClient>(&*bench.broker, &bench.session, client).await.expect("known");
    assert_eq!(client.lite_topics, ["room-3", "unborn"]);
    let held = bench.receive("one").await;
    assert_eq!(held.len(), 2);
    bench.ack(&held[..1]).await;
    let behind = LiteGroupRequest { group: group("g"), lite_topic: None, top: None };
    let behind = admin::run::<LiteGroup>(&*bench.broker, &bench.session, behind).await.expect("known");
    assert_eq!((behind.lag, behind.most_behind[0].lite_topic.as_str()), (1, "room-3"));
    admin::run::<LiteDelete>(&*bench.broker, &bench.session, room.clone()).await.expect("deleted");
    let gone = admin::run::<LiteGet>(&*bench.broker, &bench.session, room.clone()).await.expect("answered");
    assert!(gone.state.is_none() && gone.subscribers.is_empty());
    let again = admin::run::<LiteDelete>(&*bench.broker, &bench.session, room).await;
    assert!(again.is_err());
    let late = bench.broker.ack(&bench.session, vec![held[1].receipt.clone()]).await;
    assert!(late[0].is_err(), "what was held ended with the lite topic");
    // The name may be used again, from the beginning.
    bench.send("room-3", &["again"]).await;
    bench.subscribe("one", &["room-3"]).await;
    assert_eq!(bench.drain("one").await, expected(&[("room-3", &["again"])]));
    let parent = LiteParentRequest { topic: topic("parent") };
    let parent = admin::run::<LiteParent>(&*bench.broker, &bench.session, parent).await.expect("described");
    assert_eq!((parent.lite_topics, parent.expiration_minutes), (30, Some(60)));
}

#[tokio::test]
async fn lite_topics_end_with_their_parent() {
    let mut bench = Bench::new().await;
    bench.send("a", &["a1"]).await;
    bench.subscribe("one", &["a"]).await;
    assert_eq!(bench.drain("one").await.len(), 1);
    assert_eq!(bench.broker.sweep_lite().await, Ok(0), "nothing is idle for an hour");
    let request = TopicRequest { topic: topic("parent") };
    admin::run::<TopicDelete>(&*bench.broker, &bench.session, request).await.expect("deleted");
    bench.restart().await;
    assert_eq!(bench.broker.sweep_lite().await, Ok(1));
    let node =
        admin::run::<LiteNode>(&*bench.broker, &bench.session, admin::Empty {}).await.expect("counted");
    assert_eq!((node.lite_topics, node.subscriptions, node.cursors_in_memory), (0, 0, 0));
}
