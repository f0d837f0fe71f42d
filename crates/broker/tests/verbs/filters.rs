//! What filters do to calls that wait, and to what lies before a match.

use std::sync::Arc;
use std::time::Duration;

use model::verbs::{Fetch, FetchOutcome, Fetched, Publish, QueueChoice, Receive};
use model::{Delivery, Filter, GroupConfig, Offset, QueueId, TopicConfig};

use crate::bench::{Bench, bodies, fetch_request, group, message, publish_request, receive_request, topic};

const LONG_MS: i64 = 30_000;
/// Time for a waiting call to do what it must not do.
const MOMENT: Duration = Duration::from_millis(80);

async fn bench() -> Arc<Bench> {
    let bench = Bench::new();
    bench.put_topic(TopicConfig::new(topic("t"), 1)).await.expect("created");
    bench.put_group(GroupConfig::new(group("g"))).await.expect("created");
    Arc::new(bench)
}

/// Sends one message per text, with a tag and a property of that text.
async fn send(bench: &Bench, texts: &[&str]) {
    let messages = texts.iter().map(|text| message(text, &[("TAGS", text), ("a", text)])).collect();
    let queue = QueueChoice::Queue(QueueId(0));
    let request = Publish { queue, check_kind: true, ..publish_request(messages) };
    bench.publish(request).await.expect("stored");
}

async fn fetch(bench: &Bench, offset: u64, filter: Filter, wait_ms: i64) -> Fetched {
    bench.fetch(Fetch { filter, wait_ms, ..fetch_request(offset) }).await
}

async fn receive(bench: &Bench, filter: Filter, invisible_ms: i64, wait_ms: i64) -> Vec<Delivery> {
    bench.receive(Receive { filter, invisible_ms, wait_ms, ..receive_request() }).await
}

#[tokio::test]
async fn a_waiting_fetch_is_answered_by_a_match_alone() {
    // "Aa" and "BB" have one hash, so the index alone cannot tell them apart.
    for (filter, other, wanted) in [(Filter::sql92("a > 5"), "3", "8"), (Filter::tag("Aa"), "BB", "Aa")] {
        let bench = bench().await;
        let waiting = tokio::spawn({
            let bench = Arc::clone(&bench);
            async move { fetch(&bench, 0, filter, LONG_MS).await }
        });
        bench.one_waits().await;
        for _ in 0..3 {
            send(&bench, &[other]).await;
            tokio::time::sleep(MOMENT).await;
            assert!(!waiting.is_finished(), "{other} answered it");
        }
        send(&bench, &[wanted]).await;
        let answer = waiting.await.expect("ends");
        assert_eq!((answer.outcome, answer.next), (FetchOutcome::Found, Offset(4)));
        assert_eq!(answer.messages.len(), 1);
    }
}

/// As many as were asked for, if they stand within what one call looks at: not the first that are found.
#[tokio::test]
async fn a_fetch_goes_on_until_it_has_what_was_asked_for() {
    let bench = bench().await;
    let values: Vec<String> = (0..1_000).map(|n: u32| (n % 100).to_string()).collect();
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    send(&bench, &values).await;
    for filter in [Filter::sql92("a > 98"), Filter::tag("99")] {
        let few = Fetch { filter: filter.clone(), max_messages: 4, ..fetch_request(0) };
        let answer = bench.fetch(few).await;
        let offsets: Vec<u64> = answer.messages.iter().map(|message| message.offset().get()).collect();
        assert_eq!(offsets, [99, 199, 299, 399], "{filter:?}");
        assert!((400..=499).contains(&answer.next.get()), "{filter:?}: {}", answer.next);
        let answer = fetch(&bench, answer.next.get(), filter.clone(), 0).await;
        assert_eq!((answer.messages.len(), answer.next), (6, Offset(1_000)), "{filter:?}");
        let narrow = Fetch { filter, max_bytes: 1, ..fetch_request(0) };
        assert_eq!(bench.fetch(narrow).await.messages.len(), 1, "at least one");
    }
}

/// What is far apart comes apart: consumers stop for a while when what they hold spans much.
#[tokio::test]
async fn a_filtered_answer_does_not_span_much() {
    let bench = bench().await;
    let values: Vec<String> = (0..3_000).map(|n: u32| (n % 100).to_string()).collect();
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    for values in values.chunks(1_000) {
        send(&bench, values).await;
    }
    for filter in [Filter::sql92("a > 98"), Filter::tag("99")] {
        let mut from = 0;
        for (first, count, next) in [(99, 8, 899), (899, 8, 1_699), (1_699, 8, 2_499), (2_499, 6, 3_000)] {
            let answer = fetch(&bench, from, filter.clone(), 0).await;
            let offsets: Vec<u64> = answer.messages.iter().map(|message| message.offset().get()).collect();
            let wanted: Vec<u64> = (0..count).map(|n| first + n * 100).collect();
            assert_eq!((offsets, answer.next), (wanted, Offset(next)), "{filter:?} from {from}");
            from = next;
        }
        let many = Fetch { filter: filter.clone(), max_messages: 1_000, ..fetch_request(0) };
        let answer = bench.fetch(many).await;
        assert_eq!(
            (answer.messages.len(), answer.next),
            (10, Offset(1_099)),
            "{filter:?}: as many as asked for"
        );
    }
    let all = bench.fetch(Fetch { max_messages: 1_000, ..fetch_request(0) }).await;
    assert_eq!(all.next, Offset(1_000), "what is not filtered stands close");
}

#[tokio::test]
async fn a_fetch_tells_of_what_it_passed() {
    let bench = bench().await;
    send(&bench, &["1", "2"]).await;
    let answer = fetch(&bench, 0, Filter::sql92("a > 5"), LONG_MS).await;
    assert_eq!((answer.outcome, answer.next), (FetchOutcome::NoneMatched, Offset(2)), "at once");
    let waiting = tokio::spawn({
        let bench = Arc::clone(&bench);
        async move { fetch(&bench, 2, Filter::sql92("a > 5"), 300).await }
    });
    bench.one_waits().await;
    send(&bench, &["3"]).await;
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
        let bench = bench().await;
        let waiting = tokio::spawn({
            let bench = Arc::clone(&bench);
            async move { receive(&bench, filter, 60_000, LONG_MS).await }
        });
        bench.one_waits().await;
        for _ in 0..3 {
            send(&bench, &[other]).await;
            tokio::time::sleep(MOMENT).await;
            assert!(!waiting.is_finished(), "{other} answered it");
        }
        send(&bench, &[wanted]).await;
        assert_eq!(bodies(&waiting.await.expect("ends")), [wanted]);
    }
}

#[tokio::test]
async fn a_receive_looks_beyond_much_that_does_not_match() {
    for filter in [Filter::sql92("a > 5"), Filter::tag("8")] {
        let bench = bench().await;
        for _ in 0..60 {
            send(&bench, &["1"; 32]).await;
        }
        send(&bench, &["8"]).await;
        assert_eq!(bodies(&receive(&bench, filter, 60_000, 0).await), ["8"]);
    }
}

#[tokio::test]
async fn a_retried_message_passes_the_filter_that_it_passed_before() {
    for filter in [Filter::sql92("a > 5 AND TAGS = '8'"), Filter::tag("8 || 9")] {
        let bench = bench().await;
        send(&bench, &["1", "8"]).await;
        let first = receive(&bench, filter.clone(), 30, 0).await;
        assert_eq!(bodies(&first), ["8"]);
        let again = receive(&bench, filter, 60_000, LONG_MS).await;
        assert_eq!(bodies(&again), ["8"]);
        assert_eq!(again.iter().map(|delivery| delivery.attempt).collect::<Vec<_>>(), [2]);
    }
}
