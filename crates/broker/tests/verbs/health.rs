//! What a look finds does not depend on how much there is besides.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use broker::HealthConfig;
use broker::limits::HEALTH_QUEUES_COMPARED_MAX;
use model::admin::Trouble;
use model::verbs::{Publish, QueueChoice};
use model::{QueueId, TopicConfig};
use tokio::time::timeout;

use crate::bench::{Bench, message, publish_request, topic};

const QUEUES: u32 = 1_000;

/// Topics are looked at in the order of what was sent to them: the last by name is found.
#[tokio::test]
async fn a_hot_queue_is_found_among_more_queues_than_one_look_compares() {
    let bench = Bench::new();
    let topics = HEALTH_QUEUES_COMPARED_MAX / QUEUES + 2;
    let named = |i: u32| topic(&format!("t{i:02}"));
    for i in 0..topics {
        bench.put_topic(TopicConfig::new(named(i), QUEUES)).await.expect("made");
    }
    let config = HealthConfig { interval_ms: 20, hot_queue_messages: 50, ..HealthConfig::default() };
    let mut alerts = bench.broker.watch_health(Arc::new(ArcSwap::from_pointee(config)), 95);
    let send = async {
        loop {
            for i in 0..topics {
                let is_hot = i + 1 == topics;
                let queue = if is_hot { QueueChoice::Queue(QueueId(2)) } else { QueueChoice::Any };
                let messages = vec![message("x", &[]); if is_hot { 16 } else { 1 }];
                let request = Publish { topic: named(i), queue, ..publish_request(messages) };
                bench.publish(request).await.expect("stored");
            }
        }
    };
    let hot = async {
        loop {
            // The machine's disk may be in trouble of its own.
            let item = alerts.recv().await.expect("the watch goes on").item;
            if item.trouble == Trouble::HotQueue {
                return item.name;
            }
        }
    };
    let found = tokio::select! {
        () = send => None,
        name = timeout(Duration::from_secs(30), hot) => name.ok(),
    };
    assert_eq!(found.as_deref(), Some(named(topics - 1).as_str()));
}
