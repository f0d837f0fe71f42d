//! What was sent and received is told at once, and node and topic agree.

use model::admin::{
    self, AdminError, Empty, NodeInfo, RateOf, Rates, RatesGet, RatesList, RatesListRequest, RatesRequest,
};
use model::verbs::Fetch;
use model::{GroupConfig, Messaging, TopicConfig};

use crate::bench::{Bench, fetch_request, group, message, publish_request, receive_request, topic};

async fn rates(bench: &Bench, request: RatesRequest) -> Result<Rates, AdminError> {
    admin::run::<RatesGet>(&*bench.broker, &bench.session, request).await
}

async fn sending() -> Bench {
    let bench = Bench::new();
    bench.put_topic(TopicConfig::new(topic("t"), 1)).await.expect("made");
    bench.put_group(GroupConfig::new(group("g"))).await.expect("made");
    for _ in 0..3 {
        let two = vec![message("12345", &[]), message("12345", &[])];
        bench.publish(publish_request(two)).await.expect("stored");
    }
    bench
}

#[tokio::test]
async fn what_is_sent_counts_for_its_topic_and_the_node() {
    let bench = sending().await;
    let of_topic = RatesRequest { topic: Some(topic("t")), ..RatesRequest::default() };
    for request in [of_topic, RatesRequest::default()] {
        let rates = rates(&bench, request).await.expect("counted");
        for window in [rates.minute, rates.hour, rates.day] {
            assert_eq!((window.calls, window.messages, window.bytes), (3, 6, 30));
            assert!(window.per_second > 0.0 && window.per_second <= 6.0, "{window:?}");
        }
    }
}

#[tokio::test]
async fn the_count_goes_on_when_a_topic_is_changed() {
    let bench = sending().await;
    bench.put_topic(TopicConfig::new(topic("t"), 4)).await.expect("changed");
    let of_topic = RatesRequest { topic: Some(topic("t")), ..RatesRequest::default() };
    assert_eq!(rates(&bench, of_topic).await.expect("counted").day.messages, 6);
}

#[tokio::test]
async fn what_is_received_and_fetched_counts_for_its_group() {
    let bench = sending().await;
    let fetched = bench.fetch(Fetch { group: Some(group("g")), ..fetch_request(0) }).await;
    let received = bench.receive(receive_request()).await;
    let count = fetched.messages.len() + received.len();
    assert!(count > 6, "both found something");
    let request = RatesRequest { of: RateOf::Received, topic: Some(topic("t")), group: Some(group("g")) };
    assert_eq!(rates(&bench, request).await.expect("counted").minute.messages, count as u64);
    let rows = RatesListRequest { of: RateOf::Received, max: None };
    let rows = admin::run::<RatesList>(&*bench.broker, &bench.session, rows).await.expect("listed");
    assert_eq!(rows.len(), 1);
    assert_eq!((rows[0].topic.as_str(), rows[0].group.as_ref().map(|g| g.as_str())), ("t", Some("g")));
    let node = admin::run::<NodeInfo>(&*bench.broker, &bench.session, Empty {}).await.expect("described");
    assert_eq!((node.sent.messages, node.received.messages), (6, count as u64));
    assert!(node.disk_total_bytes > node.disk_available_bytes);
}

#[tokio::test]
async fn what_never_passed_is_not_found() {
    let bench = sending().await;
    let request = RatesRequest { of: RateOf::Received, topic: Some(topic("t")), group: Some(group("g")) };
    assert!(matches!(rates(&bench, request).await, Err(AdminError::NotFound(_))));
    let nothing = Fetch { group: Some(group("g")), wait_ms: 0, ..fetch_request(6) };
    let found = bench.broker.fetch(&bench.session, nothing).await.expect("looked");
    assert_eq!(found.messages.len(), 0);
    let missed = RatesRequest { of: RateOf::Missed, ..RatesRequest::default() };
    assert_eq!(rates(&bench, missed).await.expect("counted").minute.calls, 1);
}
