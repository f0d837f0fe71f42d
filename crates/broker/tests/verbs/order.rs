//! Order, retries, dead letters and priorities at the verbs.

use std::sync::Arc;
use std::time::Duration;

use model::admin::{self, AdminError, DeadLettersResend, DeadLettersResendRequest};
use model::group::ATTRIBUTE_ORDER_BY;
use model::verbs::{Hide, OffsetAnswer, OffsetQuestion, Receive, Settle};
use model::{
    Delivery, GroupConfig, Messaging, NewMessage, Offset, QueueId, RetryPolicy, TopicConfig, TopicName,
    properties,
};

use crate::bench::{Bench, bodies, group, message, publish_request, receive_request, topic};

fn in_order() -> GroupConfig {
    GroupConfig { ordered: true, ..GroupConfig::new(group("g")) }
}

/// `k1` is a message of the message group `k`, `1` one without.
fn grouped(body: &str) -> NewMessage {
    let mut message = message(body, &[(properties::UNIQUE_ID, &format!("id-{body}"))]);
    let key: String = body.chars().take_while(|c| c.is_alphabetic()).collect();
    if !key.is_empty() {
        message.properties.push(properties::SHARDING_KEY, &key);
    }
    message
}

async fn bench(config: GroupConfig) -> Bench {
    let bench = Bench::new();
    bench.put_topic(TopicConfig::new(topic("t"), 1)).await.expect("created");
    bench.put_group(config).await.expect("created");
    bench
}

async fn send(bench: &Bench, bodies: &[&str]) {
    for body in bodies {
        send_one(bench, grouped(body)).await;
    }
}

async fn send_one(bench: &Bench, message: NewMessage) -> QueueId {
    bench.publish(publish_request(vec![message])).await.expect("stored")[0].queue
}

fn wish(attempt_id: Option<&str>) -> Receive {
    Receive { attempt_id: attempt_id.map(str::to_owned), ..receive_request() }
}

async fn receive(bench: &Bench, attempt_id: Option<&str>) -> Vec<Delivery> {
    bench.receive(wish(attempt_id)).await
}

async fn progress(bench: &Bench) -> OffsetAnswer {
    let question = OffsetQuestion::Committed { group: group("g"), topic: topic("t"), queue: QueueId(0) };
    bench.broker.offset(&bench.session, question).await.expect("answered")
}

#[tokio::test]
async fn a_slow_key_holds_up_no_other() {
    let mut bench = bench(in_order()).await;
    send(&bench, &["a1", "a2", "b1", "a3", "c1", "b2", "1", "2"]).await;
    let slow = receive(&bench, Some("one")).await;
    assert_eq!(bodies(&slow), ["a1", "a2"], "one key for who works through it one by one");
    let next = receive(&bench, Some("two")).await;
    assert_eq!(bodies(&next), ["b1"]);
    bench.restart().await;
    let rest = receive(&bench, None).await;
    assert_eq!(bodies(&rest), ["c1", "1", "2"], "keys in flight are blocked, also after a restart");
    bench.ack(&rest).await;
    bench.ack(&next).await;
    assert_eq!(bodies(&receive(&bench, Some("three")).await), ["b2"], "its key goes on");
    assert_eq!(progress(&bench).await, OffsetAnswer::Offset(Offset(0)), "the slow one is not lost");
    bench.ack(&slow[..1]).await;
    assert!(receive(&bench, Some("four")).await.is_empty());
    assert_eq!(bodies(&receive(&bench, Some("one")).await), ["a2"], "the same call gets the same again");
}

#[tokio::test]
async fn a_failed_message_comes_again_before_those_after_it() {
    let bench = bench(in_order()).await;
    send(&bench, &["a1", "a2", "a3"]).await;
    let first = receive(&bench, Some("one")).await;
    bench.broker.extend(&bench.session, first[0].receipt.clone(), Hide::asked(0)).await.expect("given back");
    assert!(!bodies(&first).is_empty());
    let again = bench.receive(Receive { wait_ms: 5_000, ..wish(Some("two")) }).await;
    assert_eq!((bodies(&again), again[0].attempt), (vec!["a1".to_owned()], 2), "a2 and a3 are held yet");
    let receipt = again[0].receipt.clone();
    let settle = Settle::DeadLetter { receipt, max_attempts: None };
    bench.broker.settle(&bench.session, settle).await.expect("dead");
    bench.ack(&first[1..2]).await;
    bench.broker.extend(&bench.session, first[2].receipt.clone(), Hide::asked(0)).await.expect("given back");
    let last = bench.receive(Receive { wait_ms: 5_000, ..wish(Some("three")) }).await;
    assert_eq!(bodies(&last), ["a3"], "the key goes on behind a dead letter");
}

#[tokio::test]
async fn a_group_may_block_whole_queues() {
    let mut config = in_order();
    config.attributes.insert(ATTRIBUTE_ORDER_BY.to_owned(), "queue".to_owned());
    let bench = bench(config).await;
    send(&bench, &["a1", "b1", "a2"]).await;
    let first = bench.receive(Receive { max_messages: 2, ..wish(Some("one")) }).await;
    assert_eq!(bodies(&first), ["a1", "b1"]);
    bench.ack(&first[..1]).await;
    assert!(receive(&bench, Some("two")).await.is_empty());
    bench.ack(&first[1..]).await;
    assert_eq!(bodies(&receive(&bench, Some("two")).await), ["a2"]);
}

#[tokio::test]
async fn a_group_that_gives_up_its_order_loses_nothing() {
    let bench = bench(in_order()).await;
    send(&bench, &["a1", "a2", "b1", "a3"]).await;
    let one = |max_messages| Receive { max_messages, ..wish(None) };
    let first = bench.receive(one(1)).await;
    assert_eq!(bodies(&first), ["a1"]);
    assert_eq!(bodies(&bench.receive(one(32)).await), ["b1"], "a2 and a3 wait");
    bench.put_group(GroupConfig::new(group("g"))).await.expect("changed");
    assert_eq!(bodies(&bench.receive(one(32)).await), ["a2", "a3"]);
}

#[tokio::test]
async fn a_group_that_takes_up_order_gets_its_old_retries() {
    let bench = bench(GroupConfig::new(group("g"))).await;
    send(&bench, &["a1", "b1"]).await;
    let first = receive(&bench, None).await;
    bench.broker.extend(&bench.session, first[0].receipt.clone(), Hide::asked(0)).await.expect("given back");
    // A retry of a group without order stands in its retry topic.
    let retries = TopicName::receive_retry_of(&group("g"), &topic("t"));
    let wait = Receive { topic: retries, wait_ms: 5_000, invisible_ms: 10_000, ..wish(None) };
    let seen = bench.receive(wait).await;
    assert_eq!(bodies(&seen), ["a1"]);
    bench.broker.extend(&bench.session, seen[0].receipt.clone(), Hide::asked(0)).await.expect("given back");
    bench.put_group(in_order()).await.expect("changed");
    let again = bench.receive(Receive { wait_ms: 5_000, ..wish(None) }).await;
    assert_eq!((bodies(&again), again[0].attempt), (vec!["a1".to_owned()], 3));
    let mut config = in_order();
    config.attributes.insert(ATTRIBUTE_ORDER_BY.to_owned(), "colour".to_owned());
    assert!(matches!(bench.put_group(config).await, Err(AdminError::Invalid(_))));
}

#[tokio::test]
async fn what_a_lost_call_was_handed_comes_to_the_next_at_once() {
    for config in [in_order(), GroupConfig::new(group("g"))] {
        let bench = bench(config).await;
        // The group's first contact with its queues is on record.
        assert!(receive(&bench, None).await.is_empty());
        loop {
            send(&bench, &["a1", "a2"]).await;
            let broker = Arc::clone(&bench.broker);
            let session = bench.session.clone();
            let mut lost = Box::pin(async move { broker.receive(&session, wish(Some("lost"))).await });
            // Polled until the delivery is proposed, and dropped before its answer.
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            match lost.as_mut().poll(&mut context) {
                std::task::Poll::Pending => break,
                // The group's thread was quicker: once more.
                std::task::Poll::Ready(answer) => bench.ack(&answer.expect("received").deliveries).await,
            }
        }
        let wish = Receive { wait_ms: 5_000, ..wish(Some("next")) };
        let next = bench.receive(wish).await;
        assert_eq!(bodies(&next), ["a1", "a2"]);
        assert!(next.iter().all(|d| d.attempt == 1), "what nobody got does not count");
    }
}

#[tokio::test]
async fn priorities_are_read_from_the_highest_down() {
    let bench = bench(GroupConfig::new(group("g"))).await;
    let mut config = TopicConfig::new(topic("t"), 4);
    config.attributes.insert("message.type".to_owned(), "PRIORITY".to_owned());
    bench.put_topic(config).await.expect("created");
    let mut queues = Vec::new();
    for (body, priority) in [("1", "0"), ("2", "3"), ("3", "1"), ("4", "9"), ("5", "2")] {
        let mut message = grouped(body);
        message.properties.push(properties::PRIORITY, priority);
        queues.push(send_one(&bench, message).await.get());
    }
    assert_eq!(queues, [0, 3, 1, 3, 2], "what is too urgent is as urgent as can be");
    assert_eq!(bodies(&receive(&bench, None).await), ["2", "4", "5", "3", "1"]);
}

#[tokio::test]
async fn dead_letters_are_sent_again() {
    let bench = bench(GroupConfig::new(group("g"))).await;
    let resend = |message_id: Option<&str>, from_offset, max| DeadLettersResendRequest {
        group: group("g"),
        message_id: message_id.map(str::to_owned),
        from_offset,
        to_offset: None,
        max,
    };
    let run = async |request| admin::run::<DeadLettersResend>(&*bench.broker, &bench.session, request).await;
    assert!(matches!(run(resend(None, None, None)).await, Err(AdminError::NotFound(_))));
    send(&bench, &["a1", "a2", "b1"]).await;
    for delivery in receive(&bench, None).await {
        let settle = Settle::DeadLetter { receipt: delivery.receipt, max_attempts: None };
        bench.broker.settle(&bench.session, settle).await.expect("dead");
    }
    let one = run(resend(Some("id-b1"), None, None)).await.expect("sent");
    assert_eq!((one.resent, one.next_offset, one.end_offset), (1, 3, 3));
    assert!(matches!(run(resend(Some("id-z"), None, None)).await, Err(AdminError::NotFound(_))));
    let some = run(resend(None, None, Some(2))).await.expect("sent");
    assert_eq!((some.resent, some.next_offset, some.end_offset), (2, 2, 3));
    let none = run(resend(None, Some(3), None)).await.expect("sent");
    assert_eq!((none.resent, none.next_offset), (0, 3));
    let again = receive(&bench, None).await;
    assert_eq!(bodies(&again), ["b1", "a1", "a2"]);
    for delivery in again {
        assert_eq!((delivery.attempt, delivery.message.reconsume_times()), (1, 0));
        assert_eq!(delivery.message.property(properties::DLQ_ORIGIN_TOPIC), None);
        assert!(delivery.message.property(properties::UNIQUE_ID).is_some());
    }
}

#[tokio::test]
async fn a_senseless_retry_policy_is_refused() {
    let bench = bench(GroupConfig::new(group("g"))).await;
    let with = |retry_policy| GroupConfig { retry_policy, ..GroupConfig::new(group("g")) };
    for policy in [
        RetryPolicy::Customized { next_ms: Vec::new() },
        RetryPolicy::Customized { next_ms: vec![1_000, -1] },
        RetryPolicy::Customized { next_ms: vec![1_000; 1_000] },
        RetryPolicy::Exponential { initial_ms: 0, max_ms: 10, multiplier: 2 },
        RetryPolicy::Exponential { initial_ms: 10, max_ms: 5, multiplier: 2 },
        RetryPolicy::Exponential { initial_ms: 10, max_ms: 50, multiplier: 0 },
    ] {
        let refused = bench.put_group(with(policy.clone())).await;
        assert!(matches!(refused, Err(AdminError::Invalid(_))), "{policy:?}: {refused:?}");
    }
    assert!(bench.put_group(with(RetryPolicy::exponential())).await.is_ok());
}

#[tokio::test]
async fn no_queue_starves_while_another_is_never_empty() {
    let bench = bench(GroupConfig::new(group("g"))).await;
    bench.put_topic(TopicConfig::new(topic("t"), 2)).await.expect("created");
    let mut met = std::collections::BTreeSet::new();
    // Sends and receives in step, one message each: in turn, every receive would begin at one queue.
    tokio::time::timeout(Duration::from_secs(30), async {
        while met.len() < 2 {
            send(&bench, &["1"]).await;
            send(&bench, &["2"]).await;
            for delivery in bench.receive(Receive { max_messages: 1, ..wish(None) }).await {
                met.insert(delivery.receipt.queue);
            }
        }
    })
    .await
    .expect("both queues are met");
}
