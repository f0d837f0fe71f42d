//! What clients are told, as RocketMQ 5.5 tells it.

use std::collections::HashMap;

use prost_types::Duration;

use super::*;
use crate::proto::{FilterExpression, FilterType, Resource, SubscriptionEntry};

fn resource(name: &str) -> Resource {
    Resource { resource_namespace: String::new(), name: name.to_owned() }
}

fn consumer(kind: ClientType) -> Settings {
    let entry = SubscriptionEntry {
        topic: Some(resource("t")),
        expression: Some(FilterExpression { r#type: FilterType::Sql.into(), expression: "a > 1".to_owned() }),
    };
    let subscription =
        Subscription { group: Some(resource("g")), subscriptions: vec![entry], ..Subscription::default() };
    Settings {
        client_type: Some(kind.into()),
        request_timeout: Some(Duration { seconds: 3, nanos: 0 }),
        pub_sub: Some(PubSub::Subscription(subscription)),
        ..Settings::default()
    }
}

fn producer(topics: &[&str]) -> Settings {
    let topics = topics.iter().map(|topic| resource(topic)).collect();
    Settings {
        client_type: Some(ClientType::Producer.into()),
        pub_sub: Some(PubSub::Publishing(Publishing { topics, ..Publishing::default() })),
        ..Settings::default()
    }
}

fn refused(settings: &Settings) -> Code {
    parse(settings, 0).expect_err("refused").code
}

#[test]
fn producers_are_told_three_quick_attempts() {
    let told = merge(producer(&["t"]), None, None, &GrpcConfig::default());
    let backoff = told.backoff_policy.expect("set");
    assert_eq!(backoff.max_attempts, 3);
    let exponential = ExponentialBackoff {
        initial: Some(Duration { seconds: 0, nanos: 10_000_000 }),
        max: Some(Duration { seconds: 1, nanos: 0 }),
        multiplier: 2.0,
    };
    assert_eq!(backoff.strategy, Some(Strategy::ExponentialBackoff(exponential)));
    let Some(PubSub::Publishing(publishing)) = told.pub_sub else { panic!("stays a producer") };
    assert_eq!((publishing.max_body_size, publishing.validate_message_type), (4 * 1024 * 1024, true));
    assert_eq!(told.metric, Some(Metric { on: false, endpoints: None }));
}

#[test]
fn consumers_are_told_what_their_group_is_set_to() {
    let told = merge(consumer(ClientType::PushConsumer), None, None, &GrpcConfig::default());
    let backoff = told.backoff_policy.expect("set");
    assert_eq!(backoff.max_attempts, 17);
    let Some(Strategy::CustomizedBackoff(steps)) = backoff.strategy else { panic!("customized") };
    assert_eq!(steps.next.len(), 18);
    assert_eq!(steps.next.last(), Some(&Duration { seconds: 7_200, nanos: 0 }));
    let Some(PubSub::Subscription(subscription)) = told.pub_sub else { panic!("stays a consumer") };
    assert_eq!(subscription.receive_batch_size, Some(32));
    assert_eq!(subscription.long_polling_timeout, Some(Duration { seconds: 20, nanos: 0 }));
    assert_eq!(subscription.fifo, Some(false));

    let mut group = GroupConfig::new(GroupName::new("g").expect("legal"));
    group.ordered = true;
    group.retry_max_times = 3;
    group.retry_policy = RetryPolicy::exponential();
    let told = merge(consumer(ClientType::PushConsumer), Some(&group), None, &GrpcConfig::default());
    let backoff = told.backoff_policy.expect("set");
    assert_eq!(backoff.max_attempts, 4);
    assert!(matches!(backoff.strategy, Some(Strategy::ExponentialBackoff(_))));
    let Some(PubSub::Subscription(subscription)) = told.pub_sub else { panic!("stays a consumer") };
    assert_eq!(subscription.fifo, Some(true));
}

#[test]
fn roles_are_kept() {
    let settings = parse(&consumer(ClientType::SimpleConsumer), 9).expect("good");
    assert_eq!(settings.request_timeout_ms, 3_000);
    let Role::Consumer(beat) = settings.role else { panic!("a consumer") };
    assert_eq!((beat.group.as_str(), beat.how), ("g", ConsumeHow::Pull));
    assert_eq!(beat.subscriptions.len(), 1);
    assert_eq!(beat.subscriptions[0].filter, model::Filter::sql92("a > 1"));
    assert_eq!(beat.subscriptions[0].version, 9);
    let settings = parse(&producer(&["a", "b"]), 0).expect("good");
    let Role::Producer { groups } = settings.role else { panic!("a producer") };
    assert_eq!(groups.iter().map(GroupName::as_str).collect::<Vec<_>>(), ["a", "b"]);
}

#[test]
fn bad_settings_are_refused() {
    assert_eq!(refused(&Settings::default()), Code::BadRequest);
    assert_eq!(refused(&producer(&["a b"])), Code::IllegalTopic);
    assert_eq!(refused(&consumer(ClientType::Unspecified)), Code::UnrecognizedClientType);
    let mut nobody = consumer(ClientType::PushConsumer);
    nobody.pub_sub = Some(PubSub::Subscription(Subscription::default()));
    assert_eq!(refused(&nobody), Code::IllegalConsumerGroup);
    let mut chatty = producer(&["t"]);
    chatty.client_properties = (0..33).map(|n| (n.to_string(), String::new())).collect();
    assert_eq!(refused(&chatty), Code::InvalidClientProperties);
    chatty.client_properties = HashMap::from([("k".to_owned(), "v".repeat(5_000))]);
    assert_eq!(refused(&chatty), Code::InvalidClientProperties);
}
