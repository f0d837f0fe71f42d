//! Lite topics: many small ordered queues in one parent, subscriptions, expiry.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use broker::BrokerConfig;
use model::admin::{
    self, LiteClient, LiteDelete, LiteGet, LiteGroup, LiteList, LiteNode, LiteParent, TopicDelete,
    TopicRequest,
};
use model::lite::{
    LiteAction, LiteClientRequest, LiteError, LiteGroupRequest, LiteListRequest, LiteParentRequest,
    LiteStart, LiteSync, LiteTopicRequest,
};
use model::session::NoticeSink;
use model::verbs::{AckError, Fetch, Hide, Publish, PublishError, Receive, ReceiveError, Settle, StartFrom};
use model::{Delivery, GroupConfig, Messaging, Notice, Offset, QueueId, TopicConfig};
use store::StoreConfig;

use crate::bench::{
    Bench, attributes, bodies, fetch_request, group, message, publish_request, receive_request, text, topic,
};

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

/// What clients of the bench hear from now on.
fn listen(bench: &mut Bench) -> Arc<Heard> {
    let heard = Arc::new(Heard::default());
    bench.session.notices = Arc::clone(&heard) as Arc<dyn NoticeSink>;
    heard
}

async fn bench() -> Bench {
    bench_with(BrokerConfig::default(), &[]).await
}

async fn bench_with(config: BrokerConfig, pairs: &[(&str, &str)]) -> Bench {
    let bench = Bench::with(config, StoreConfig::default());
    put_topic(&bench, "parent", &[("message.type", "LITE"), ("lite.topic.expiration", "60")]).await;
    put_topic(&bench, "plain", &[]).await;
    put_group(&bench, "g", &[&[("lite.bind.topic", "parent")], pairs].concat()).await;
    bench
}

async fn put_topic(bench: &Bench, name: &str, pairs: &[(&str, &str)]) {
    let config = TopicConfig { attributes: attributes(pairs), ..TopicConfig::new(topic(name), 4) };
    bench.put_topic(config).await.expect("made");
}

async fn put_group(bench: &Bench, name: &str, pairs: &[(&str, &str)]) {
    let config = GroupConfig { attributes: attributes(pairs), ..GroupConfig::new(group(name)) };
    bench.put_group(config).await.expect("made");
}

async fn try_send(bench: &Bench, to: &str, lite: Option<&str>, body: &str) -> Result<(), PublishError> {
    let told: Vec<_> = lite.map(|lite| ("__LITE_TOPIC", lite)).into_iter().collect();
    let messages = vec![message(body, &told)];
    let request = Publish { topic: topic(to), check_kind: true, ..publish_request(messages) };
    bench.publish(request).await.map(|_| ())
}

async fn send(bench: &Bench, lite: &str, bodies: &[&str]) {
    for body in bodies {
        try_send(bench, "parent", Some(lite), body).await.expect("stored");
    }
}

async fn sync(
    bench: &Bench,
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
    bench.broker.sync_lite(&bench.session, sync).await
}

async fn subscribe(bench: &Bench, client_id: &str, lite_topics: &[&str]) {
    sync(bench, client_id, LiteAction::Add, lite_topics, LiteStart::Last).await.expect("subscribed");
}

fn request(client_id: &str, wait_ms: i64) -> Receive {
    Receive {
        topic: topic("parent"),
        wait_ms,
        start: StartFrom::Last,
        client_id: client_id.to_owned(),
        ..receive_request()
    }
}

async fn receive(bench: &Bench, client_id: &str) -> Vec<Delivery> {
    bench.receive(request(client_id, 0)).await
}

/// What a client gets, by lite topic, acknowledged at once until nothing comes.
async fn drain(bench: &Bench, client_id: &str) -> BTreeMap<String, Vec<String>> {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    loop {
        let deliveries = receive(bench, client_id).await;
        if deliveries.is_empty() {
            return all;
        }
        for delivery in &deliveries {
            all.entry(lite_of(delivery)).or_default().push(text(&delivery.message));
        }
        bench.ack(&deliveries).await;
    }
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
    let bench = bench().await;
    send(&bench, "a", &["a1", "a2"]).await;
    send(&bench, "b", &["b1"]).await;
    send(&bench, "c", &["c1"]).await;
    subscribe(&bench, "one", &["a", "b"]).await;
    assert_eq!(drain(&bench, "one").await, expected(&[("a", &["a1", "a2"]), ("b", &["b1"])]));
    send(&bench, "a", &["a3"]).await;
    send(&bench, "c", &["c2"]).await;
    assert_eq!(drain(&bench, "one").await, expected(&[("a", &["a3"])]));
    sync(&bench, "one", LiteAction::Remove, &["a"], LiteStart::Last).await.expect("unsubscribed");
    send(&bench, "a", &["a4"]).await;
    assert!(receive(&bench, "one").await.is_empty());
}

#[tokio::test]
async fn a_message_is_stored_once_and_stands_in_the_parent_too() {
    let bench = bench().await;
    send(&bench, "a", &["a1"]).await;
    subscribe(&bench, "one", &["a"]).await;
    let deliveries = receive(&bench, "one").await;
    let [delivery] = &deliveries[..] else { panic!("{deliveries:?}") };
    assert_eq!(delivery.receipt.topic.as_str(), "%LMQ%$parent$a");
    assert_eq!((delivery.receipt.queue, delivery.receipt.offset), (QueueId(0), Offset(0)));
    let queue = delivery.message.queue();
    let wanted = Fetch { topic: topic("parent"), queue, max_messages: 10, ..fetch_request(0) };
    let fetched = bench.fetch(wanted).await;
    assert_eq!(fetched.messages.len(), 1);
    assert_eq!(fetched.messages[0].lsn(), delivery.message.lsn(), "one stored copy");
}

#[tokio::test]
async fn a_lite_topic_waits_for_what_is_in_flight() {
    let bench = bench().await;
    subscribe(&bench, "one", &["a", "b"]).await;
    send(&bench, "a", &["a1"]).await;
    let first = receive(&bench, "one").await;
    send(&bench, "a", &["a2"]).await;
    send(&bench, "b", &["b1"]).await;
    let second = receive(&bench, "one").await;
    assert_eq!(bodies(&second), ["b1"], "a waits for a1");
    bench.ack(&first).await;
    assert_eq!(bodies(&receive(&bench, "one").await), ["a2"]);
}

#[tokio::test]
async fn what_is_not_acknowledged_comes_again_in_place() {
    let bench = bench().await;
    subscribe(&bench, "one", &["a"]).await;
    send(&bench, "a", &["a1", "a2"]).await;
    let first = receive(&bench, "one").await;
    assert_eq!(first.iter().map(|d| d.attempt).collect::<Vec<_>>(), [1, 1]);
    bench.broker.extend(&bench.session, first[0].receipt.clone(), Hide::asked(0)).await.expect("given back");
    bench.broker.extend(&bench.session, first[1].receipt.clone(), Hide::asked(0)).await.expect("given back");
    let again = bench.receive(request("one", 10_000)).await;
    assert_eq!(bodies(&again), ["a1", "a2"]);
    assert_eq!(again[0].attempt, 2);
    let stale = bench.broker.ack(&bench.session, vec![first[0].receipt.clone()]).await;
    assert!(matches!(stale[..], [Err(AckError::Stale)]));
    let dead = Settle::DeadLetter { receipt: again[0].receipt.clone(), max_attempts: None };
    bench.broker.settle(&bench.session, dead).await.expect("dead");
    bench.ack(&again[1..]).await;
    assert!(receive(&bench, "one").await.is_empty());
}

#[tokio::test]
async fn a_waiting_client_is_woken() {
    let bench = bench().await;
    subscribe(&bench, "one", &["a"]).await;
    let broker = Arc::clone(&bench.broker);
    let session = bench.session.clone();
    let waiting = tokio::spawn(async move { broker.receive(&session, request("one", 30_000)).await });
    // Whether it waits already or not, it must hear of the message.
    tokio::time::sleep(Duration::from_millis(50)).await;
    send(&bench, "a", &["a1"]).await;
    let received = tokio::time::timeout(Duration::from_secs(10), waiting).await.expect("woken");
    let deliveries = received.expect("no panic").expect("answered").deliveries;
    assert_eq!(bodies(&deliveries), ["a1"]);
}

#[tokio::test]
async fn progress_outlives_a_restart_and_subscriptions_are_repeated() {
    let mut bench = bench().await;
    send(&bench, "a", &["a1", "a2"]).await;
    subscribe(&bench, "one", &["a", "b"]).await;
    assert_eq!(drain(&bench, "one").await.len(), 1);
    send(&bench, "a", &["a3"]).await;
    let held = receive(&bench, "one").await;
    send(&bench, "b", &["b1"]).await;
    bench.restart().await;
    assert!(receive(&bench, "one").await.is_empty(), "what the client wants is not known yet");
    sync(&bench, "one", LiteAction::Set, &["a", "b"], LiteStart::Last).await.expect("subscribed");
    assert_eq!(drain(&bench, "one").await, expected(&[("b", &["b1"])]), "a3 is still held");
    bench.ack(&held).await;
    send(&bench, "a", &["a4"]).await;
    assert_eq!(drain(&bench, "one").await, expected(&[("a", &["a4"])]));
}

#[tokio::test]
async fn a_subscription_begins_where_it_says() {
    let bench = bench().await;
    send(&bench, "a", &["a0", "a1", "a2", "a3"]).await;
    let from = |start: LiteStart, bodies: &'static [&'static str]| {
        let bench = &bench;
        async move {
            sync(bench, "one", LiteAction::Remove, &["a"], LiteStart::Last).await.expect("unsubscribed");
            sync(bench, "one", LiteAction::Add, &["a"], start).await.expect("subscribed");
            let lists: BTreeMap<_, _> =
                if bodies.is_empty() { BTreeMap::new() } else { expected(&[("a", bodies)]) };
            assert_eq!(drain(bench, "one").await, lists, "{start:?}");
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
    let mut bench = bench().await;
    let heard = listen(&mut bench);
    subscribe(&bench, "one", &["a"]).await;
    subscribe(&bench, "two", &["a"]).await;
    send(&bench, "a", &["a1"]).await;
    let first = receive(&bench, "one").await;
    assert_eq!(first.len(), 1);
    assert!(receive(&bench, "two").await.is_empty());
    send(&bench, "a", &["a2"]).await;
    bench.ack(&first).await;
    assert_eq!(bodies(&receive(&bench, "two").await), ["a2"]);
    assert!(heard.0.lock().expect("no panic").is_empty());
}

#[tokio::test]
async fn an_exclusive_lite_topic_goes_to_the_newest() {
    let mut bench = bench_with(BrokerConfig::default(), &[("lite.sub.model", "Exclusive")]).await;
    let heard = listen(&mut bench);
    subscribe(&bench, "one", &["a", "b"]).await;
    subscribe(&bench, "two", &["a"]).await;
    assert_eq!(*heard.0.lock().expect("no panic"), ["one lost a"]);
    send(&bench, "a", &["a1"]).await;
    send(&bench, "b", &["b1"]).await;
    assert_eq!(drain(&bench, "one").await, expected(&[("b", &["b1"])]));
    assert_eq!(drain(&bench, "two").await, expected(&[("a", &["a1"])]));
    // The loser repeats its list before it has heard: it is told again, and gets nothing.
    sync(&bench, "one", LiteAction::Set, &["a", "b"], LiteStart::Last).await.expect("answered");
    assert_eq!(heard.0.lock().expect("no panic").len(), 2);
    send(&bench, "a", &["a2"]).await;
    assert!(receive(&bench, "one").await.is_empty());
}

#[tokio::test]
async fn a_wildcard_group_gets_every_lite_topic() {
    let bench = bench_with(BrokerConfig::default(), &[("lite.sub.wildcard", "true")]).await;
    send(&bench, "a", &["a1"]).await;
    send(&bench, "b", &["b1"]).await;
    sync(&bench, "one", LiteAction::Set, &[], LiteStart::Last).await.expect("subscribed");
    assert_eq!(drain(&bench, "one").await, expected(&[("a", &["a1"]), ("b", &["b1"])]));
    send(&bench, "new", &["n1"]).await;
    assert_eq!(drain(&bench, "one").await, expected(&[("new", &["n1"])]));
    let refused = sync(&bench, "one", LiteAction::Add, &["a"], LiteStart::Last).await;
    assert!(matches!(refused, Err(LiteError::Wildcard)));
}

#[tokio::test]
async fn limits_have_their_own_errors() {
    let config = BrokerConfig { lite_topics_max: 2, lite_subscriptions_max: 3, ..BrokerConfig::default() };
    let bench = bench_with(config, &[("lite.sub.client.quota", "2")]).await;
    send(&bench, "a", &["a1"]).await;
    send(&bench, "b", &["b1"]).await;
    let third = try_send(&bench, "parent", Some("c"), "c1").await;
    assert!(matches!(third, Err(PublishError::LiteQuota { max: 2 })), "{third:?}");
    send(&bench, "a", &["a2"]).await;
    subscribe(&bench, "one", &["a", "b"]).await;
    let third = sync(&bench, "one", LiteAction::Add, &["c"], LiteStart::Last).await;
    assert!(matches!(third, Err(LiteError::Quota { max: 2, .. })), "{third:?}");
    let third = sync(&bench, "two", LiteAction::Set, &["a", "b", "c"], LiteStart::Last).await;
    assert!(matches!(third, Err(LiteError::Quota { max: 2, .. })), "{third:?}");
    let fourth = sync(&bench, "two", LiteAction::Add, &["a", "b"], LiteStart::Last).await;
    assert!(matches!(fourth, Err(LiteError::Quota { max: 3, .. })), "{fourth:?}");
}

#[tokio::test]
async fn bad_input_is_refused() {
    let bench = bench().await;
    let long = "x".repeat(65);
    for name in ["a b", "a.b", "", &long] {
        let sent = try_send(&bench, "parent", Some(name), "x").await;
        let is_kind = matches!(sent, Err(PublishError::KindMismatch { .. }));
        assert!(is_kind && name.is_empty() || matches!(sent, Err(PublishError::LiteTopic(_))), "{sent:?}");
        let wanted = sync(&bench, "one", LiteAction::Add, &[name], LiteStart::Last).await;
        assert!(matches!(wanted, Err(LiteError::Illegal(_))), "{wanted:?}");
    }
    let without = try_send(&bench, "parent", None, "x").await;
    assert!(matches!(without, Err(PublishError::KindMismatch { .. })), "{without:?}");
    let elsewhere = try_send(&bench, "plain", Some("a"), "x").await;
    assert!(matches!(elsewhere, Err(PublishError::KindMismatch { .. })), "{elsewhere:?}");
    put_group(&bench, "loose", &[]).await;
    let addition = |group_name: &str, to: &str| LiteSync {
        client_id: "one".to_owned(),
        group: group(group_name),
        topic: topic(to),
        action: LiteAction::Add,
        lite_topics: vec!["a".to_owned()],
        start: LiteStart::Last,
        version: 0,
    };
    let unbound = bench.broker.sync_lite(&bench.session, addition("loose", "parent")).await;
    assert!(matches!(unbound, Err(LiteError::NotBound { .. })), "{unbound:?}");
    let other = bench.broker.sync_lite(&bench.session, addition("g", "plain")).await;
    assert!(matches!(other, Err(LiteError::NotBound { .. })), "{other:?}");
    let nobody = bench.broker.sync_lite(&bench.session, addition("nobody", "parent")).await;
    assert!(matches!(nobody, Err(LiteError::GroupNotFound(_))), "{nobody:?}");
    let request = Receive { topic: topic("plain"), ..request("one", 0) };
    let elsewhere = bench.broker.receive(&bench.session, request).await;
    assert!(matches!(elsewhere, Err(ReceiveError::NotBound { .. })), "{elsewhere:?}");
}

#[tokio::test]
async fn tools_see_lite_topics_and_delete_them() {
    let bench = bench().await;
    for i in 0..30 {
        send(&bench, &format!("room-{i}"), &["x", "y"]).await;
    }
    subscribe(&bench, "one", &["room-3", "unborn"]).await;
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
    let held = receive(&bench, "one").await;
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
    send(&bench, "room-3", &["again"]).await;
    subscribe(&bench, "one", &["room-3"]).await;
    assert_eq!(drain(&bench, "one").await, expected(&[("room-3", &["again"])]));
    let parent = LiteParentRequest { topic: topic("parent") };
    let parent = admin::run::<LiteParent>(&*bench.broker, &bench.session, parent).await.expect("described");
    assert_eq!((parent.lite_topics, parent.expiration_minutes), (30, Some(60)));
}

#[tokio::test]
async fn lite_topics_end_with_their_parent() {
    let mut bench = bench().await;
    send(&bench, "a", &["a1"]).await;
    subscribe(&bench, "one", &["a"]).await;
    assert_eq!(drain(&bench, "one").await.len(), 1);
    assert_eq!(bench.broker.sweep_lite().await, Ok(0), "nothing is idle for an hour");
    let request = TopicRequest { topic: topic("parent") };
    admin::run::<TopicDelete>(&*bench.broker, &bench.session, request).await.expect("deleted");
    bench.restart().await;
    assert_eq!(bench.broker.sweep_lite().await, Ok(1));
    let node =
        admin::run::<LiteNode>(&*bench.broker, &bench.session, admin::Empty {}).await.expect("counted");
    assert_eq!((node.lite_topics, node.subscriptions, node.cursors_in_memory), (0, 0, 0));
}
