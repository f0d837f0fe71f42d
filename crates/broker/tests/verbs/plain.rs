//! Plain messages at the verbs: sending, receiving, fetching, settling, offsets, queries.

use std::sync::Arc;
use std::time::Duration;

use base::Doors;
use model::verbs::{
    AckError, CommitOffset, Fetch, FetchOutcome, Fetched, Hide, KeyKind, MessageQuery, OffsetAnswer,
    OffsetQuestion, Publish, PublishError, PublishedMessage, QueueChoice, Receive, Seek, SeekTo, SendBack,
    SendBackDelay, Settle, StartFrom,
};
use model::{Filter, GroupConfig, Messaging, NewMessage, Offset, QueueId, Receipt, Session, TopicConfig};

use crate::bench::{Bench, bodies, fetch_request, group, message, publish_request, receive_request, topic};

async fn bench(queues: u32) -> Bench {
    let bench = Bench::new();
    bench.put_topic(TopicConfig::new(topic("t"), queues)).await.expect("created");
    bench.put_group(GroupConfig::new(group("g"))).await.expect("created");
    bench
}

/// A message that is found by its body.
fn keyed(body: &str) -> NewMessage {
    message(body, &[("TAGS", "a"), ("KEYS", body)])
}

async fn send(bench: &Bench, queue: u32, bodies: &[&str]) -> Vec<PublishedMessage> {
    let mut sent = Vec::new();
    for body in bodies {
        let queue = QueueChoice::Queue(QueueId(queue));
        let request = Publish { queue, check_kind: true, ..publish_request(vec![keyed(body)]) };
        sent.extend(bench.publish(request).await.expect("stored"));
    }
    sent
}

async fn fetch(bench: &Bench, topic_name: &str, offset: u64, wait_ms: i64) -> Fetched {
    bench.fetch(Fetch { topic: topic(topic_name), wait_ms, ..fetch_request(offset) }).await
}

#[tokio::test]
async fn what_is_sent_is_received_once_and_acked() {
    let bench = bench(2).await;
    send(&bench, 0, &["a", "b"]).await;
    send(&bench, 1, &["c"]).await;
    let deliveries = bench.receive(receive_request()).await;
    let mut got = bodies(&deliveries);
    got.sort();
    assert_eq!(got, ["a", "b", "c"]);
    assert!(deliveries.iter().all(|d| d.attempt == 1 && d.message.topic() == "t"));
    assert!(bench.receive(receive_request()).await.is_empty(), "all are in flight");
    let receipts: Vec<_> = deliveries.iter().map(|d| d.receipt.clone()).collect();
    assert!(bench.broker.ack(&bench.session, receipts.clone()).await.iter().all(Result::is_ok));
    let again = bench.broker.ack(&bench.session, receipts).await;
    assert!(again.iter().all(|result| matches!(result, Err(AckError::Stale))));
}

#[tokio::test]
async fn acknowledgements_that_come_together_each_have_their_answer() {
    let mut bench = bench(2).await;
    send(&bench, 0, &["a", "b", "c"]).await;
    send(&bench, 1, &["d", "e"]).await;
    let receipts: Vec<_> =
        bench.receive(receive_request()).await.into_iter().map(|delivery| delivery.receipt).collect();
    let [first, second, third, fourth, last] = receipts.as_slice() else { panic!("five were sent") };
    let ack = |receipts: &[&Receipt]| {
        let receipts = receipts.iter().copied().cloned().collect();
        bench.broker.ack(&bench.session, receipts)
    };
    // The first and the last twice: in calls of their own, and in one call.
    let answers =
        tokio::join!(ack(&[first]), ack(&[second]), ack(&[third, fourth]), ack(&[first]), ack(&[last, last]));
    let answers = [answers.0, answers.1, answers.2, answers.3, answers.4].concat();
    let is_done: Vec<bool> = answers.iter().map(Result::is_ok).collect();
    assert_eq!(is_done, [true, true, true, true, false, true, true]);
    bench.restart().await;
    let again = bench.broker.ack(&bench.session, receipts).await;
    assert!(again.iter().all(|result| matches!(result, Err(AckError::Stale))), "{again:?}");
}

#[tokio::test]
async fn an_unacked_message_comes_again_under_its_own_topic() {
    let bench = bench(1).await;
    send(&bench, 0, &["a"]).await;
    let request = Receive { invisible_ms: 50, ..receive_request() };
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
    let bench = bench(1).await;
    send(&bench, 0, &["a"]).await;
    let first = bench.receive(receive_request()).await.remove(0).receipt;
    let longer =
        bench.broker.extend(&bench.session, first.clone(), Hide::asked(30_000)).await.expect("extended");
    let results = bench.broker.ack(&bench.session, vec![first, longer]).await;
    assert!(matches!(results[0], Err(AckError::Stale)) && results[1].is_ok());
}

#[tokio::test]
async fn a_waiting_receiver_is_woken() {
    let bench = bench(1).await;
    let broker = Arc::clone(&bench.broker);
    let waiting = tokio::spawn(async move {
        broker
            .receive(&Session::internal(), Receive { wait_ms: 20_000, ..receive_request() })
            .await
            .expect("received")
            .deliveries
    });
    send(&bench, 0, &["a"]).await;
    let got = tokio::time::timeout(Duration::from_secs(5), waiting).await.expect("woken").expect("no panic");
    assert_eq!(bodies(&got), ["a"]);
}

#[tokio::test]
async fn a_fetcher_reads_waits_and_is_told_where_to_go_on() {
    let bench = bench(1).await;
    send(&bench, 0, &["a", "b"]).await;
    let found = fetch(&bench, "t", 0, 0).await;
    assert_eq!((found.outcome, found.messages.len(), found.next), (FetchOutcome::Found, 2, Offset(2)));
    assert_eq!(fetch(&bench, "t", 2, 0).await.outcome, FetchOutcome::AtEnd);
    let beyond = fetch(&bench, "t", 9, 0).await;
    assert_eq!((beyond.outcome, beyond.next), (FetchOutcome::OutOfRange, Offset(2)));
    let broker = Arc::clone(&bench.broker);
    let waiting = tokio::spawn(async move {
        let filter = Filter::sql92("TAGS = 'a' AND KEYS = 'd'");
        let request = Fetch { filter, wait_ms: 20_000, ..fetch_request(2) };
        broker.fetch(&Session::internal(), request).await.expect("fetched")
    });
    bench.one_waits().await;
    send(&bench, 0, &["c", "d"]).await;
    let one = tokio::time::timeout(Duration::from_secs(5), waiting).await.expect("woken").expect("no panic");
    assert_eq!((one.outcome, one.messages.len(), one.next), (FetchOutcome::Found, 1, Offset(4)));
}

#[tokio::test]
async fn state_survives_a_restart() {
    let mut bench = bench(1).await;
    send(&bench, 0, &["a", "b", "c"]).await;
    let request = Receive { max_messages: 2, ..receive_request() };
    let deliveries = bench.receive(request).await;
    assert_eq!(bodies(&deliveries), ["a", "b"]);
    assert!(bench.broker.ack(&bench.session, vec![deliveries[0].receipt.clone()]).await[0].is_ok());
    bench.restart().await;
    assert_eq!(bodies(&bench.receive(receive_request()).await), ["c"], "b is still in flight");
    assert!(bench.broker.ack(&bench.session, vec![deliveries[1].receipt.clone()]).await[0].is_ok());
    bench.restart().await;
    send(&bench, 0, &["d"]).await;
    let found = fetch(&bench, "t", 0, 0).await;
    assert_eq!(found.max, Offset(4));
    assert_eq!(found.messages.iter().map(|m| m.body()).collect::<Vec<_>>(), ["a", "b", "c", "d"]);
}

#[tokio::test]
async fn a_message_sent_back_is_read_from_the_retry_topic() {
    let bench = bench(1).await;
    let sent = send(&bench, 0, &["a"]).await.remove(0);
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
    let again = fetch(&bench, "%RETRY%g", 0, 10_000).await;
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
    let dead = fetch(&bench, "%DLQ%g", 0, 0).await;
    assert_eq!(dead.messages[0].property("DLQ_ORIGIN_TOPIC"), Some("t"), "one retry was allowed");
}

#[tokio::test]
async fn a_dead_letter_ends_its_delivery() {
    let bench = bench(1).await;
    send(&bench, 0, &["a"]).await;
    let receipt = bench.receive(receive_request()).await.remove(0).receipt;
    let settle = Settle::DeadLetter { receipt: receipt.clone(), max_attempts: None };
    bench.broker.settle(&bench.session, settle).await.expect("forwarded");
    assert_eq!(fetch(&bench, "%DLQ%g", 0, 0).await.messages[0].body(), "a");
    assert!(matches!(bench.broker.ack(&bench.session, vec![receipt]).await[0], Err(AckError::Stale)));
}

#[tokio::test]
async fn a_timed_message_comes_when_it_is_due_and_not_before() {
    let mut bench = bench(1).await;
    let mut new = keyed("later");
    let due_ms = Doors::system().clock.now_ms() + 700;
    new.properties.push("TIMER_DELIVER_MS", &due_ms.to_string());
    bench.publish(publish_request(vec![new])).await.expect("stored");
    assert_eq!(fetch(&bench, "t", 0, 0).await.outcome, FetchOutcome::AtEnd);
    bench.restart().await;
    let found = fetch(&bench, "t", 0, 10_000).await;
    assert_eq!(found.messages[0].body(), "later");
    assert!(found.messages[0].stored_ms() >= due_ms);
    bench.restart().await;
    assert_eq!(fetch(&bench, "t", 0, 0).await.max, Offset(1), "it fired once");
}

#[tokio::test]
async fn an_ordered_group_blocks_a_queue_and_repeats_an_attempt() {
    let bench = bench(1).await;
    bench.put_group(GroupConfig { ordered: true, ..GroupConfig::new(group("g")) }).await.expect("changed");
    send(&bench, 0, &["a", "b", "c"]).await;
    let with = |attempt: &str, max_messages| Receive {
        attempt_id: Some(attempt.to_owned()),
        max_messages,
        ..receive_request()
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
    let bench = bench(1).await;
    send(&bench, 0, &["a", "b", "c"]).await;
    let committed = OffsetQuestion::Committed { group: group("g"), topic: topic("t"), queue: QueueId(0) };
    let none = bench.broker.offset(&bench.session, committed.clone()).await.expect("answered");
    assert_eq!(none, OffsetAnswer::None { start_at_zero: true });
    let commit = CommitOffset { group: group("g"), topic: topic("t"), queue: QueueId(0), offset: Offset(2) };
    bench.broker.commit_offset(&bench.session, commit).await.expect("committed");
    let two = bench.broker.offset(&bench.session, committed.clone()).await.expect("answered");
    assert_eq!(two, OffsetAnswer::Offset(Offset(2)));
    assert_eq!(bodies(&bench.receive(receive_request()).await), ["c"], "receivers go on from there");
    let seek = Seek { group: group("g"), topic: topic("t"), queue: None, to: SeekTo::First, force: true };
    bench.broker.seek(&bench.session, seek).await.expect("sought");
    assert_eq!(bodies(&bench.receive(receive_request()).await), ["a", "b", "c"]);
}

#[tokio::test]
async fn messages_are_found_by_key_and_position() {
    let bench = bench(1).await;
    let sent = send(&bench, 0, &["a", "b"]).await;
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
    for made_up in [3, sent[0].lsn.get() + 5] {
        let found = bench.broker.query(&bench.session, MessageQuery::Position(model::Lsn(made_up))).await;
        assert!(
            matches!(found, Err(model::verbs::QueryError::NotFound)),
            "nothing begins there, which is no damage"
        );
    }
}

#[tokio::test]
async fn what_is_illegal_is_refused() {
    let bench = bench(1).await;
    let publish = |name: &str, queue, new: NewMessage| Publish {
        topic: topic(name),
        queue: QueueChoice::Queue(QueueId(queue)),
        check_kind: true,
        ..publish_request(vec![new])
    };
    let refused = async |request| bench.publish(request).await.expect_err("refused");
    assert!(matches!(refused(publish("none", 0, keyed("a"))).await, PublishError::TopicNotFound(_)));
    assert!(matches!(refused(publish("t", 1, keyed("a"))).await, PublishError::QueueOutOfRange { .. }));
    let mut big = keyed("a");
    big.body = vec![0; model::limits::BODY_BYTES_MAX + 1].into();
    assert!(matches!(refused(publish("t", 0, big)).await, PublishError::BodyTooLarge { .. }));
    let mut fifo = keyed("a");
    fifo.properties.push("__SHARDINGKEY", "k");
    assert!(matches!(refused(publish("t", 0, fifo)).await, PublishError::KindMismatch { .. }));
    for (key, value) in [("TIMER_DELIVER_MS", "soon"), ("TIMER_DELAY_SEC", "3200000000")] {
        let mut bad = keyed("a");
        bad.properties.push(key, value);
        let request = Publish { check_kind: false, ..publish("t", 0, bad) };
        assert!(matches!(refused(request).await, PublishError::DeliveryTime(_)), "{key}={value}");
    }
}

#[tokio::test]
async fn a_hundred_receivers_share_without_taking_twice() {
    let bench = bench(4).await;
    for queue in 0..4 {
        let numbers: Vec<String> = (0..100).map(|n| format!("{queue}-{n}")).collect();
        send(&bench, queue, &numbers.iter().map(String::as_str).collect::<Vec<_>>()).await;
    }
    let mut tasks = Vec::new();
    for _ in 0..100 {
        let broker = Arc::clone(&bench.broker);
        tasks.push(tokio::spawn(async move {
            let request = Receive { max_messages: 16, ..receive_request() };
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
    let mut bench = bench(1).await;
    send(&bench, 0, &["a", "b"]).await;
    bench.restart().await;
    let request = Receive { start: StartFrom::Last, ..receive_request() };
    assert_eq!(bodies(&bench.receive(request).await), ["a", "b"]);
}
