//! Timed messages at the verbs.

use std::sync::Arc;
use std::time::Duration;

use base::Doors;
use broker::BrokerConfig;
use model::admin::{
    self, AdminError, NodeInfo, TimerDelete, TimerDeleteRequest, TimerList, TimerListRequest, TimerPage,
};
use model::verbs::{Fetch, Fetched, PublishError, PublishedMessage, Recall, RecallError};
use model::{Messaging, Offset, TopicConfig};
use store::StoreConfig;

use crate::bench::{Bench, fetch_request, message, publish_request, text, topic};

fn now_ms() -> i64 {
    Doors::system().clock.now_ms()
}

async fn bench() -> Bench {
    bench_with(BrokerConfig::default(), StoreConfig::default()).await
}

async fn bench_with(config: BrokerConfig, store: StoreConfig) -> Bench {
    let bench = Bench::with(config, store);
    bench.put_topic(TopicConfig::new(topic("t"), 1)).await.expect("created");
    bench
}

async fn try_send(bench: &Bench, id: &str, pairs: &[(&str, &str)]) -> Result<PublishedMessage, PublishError> {
    let told = [&[("UNIQ_KEY", id)], pairs].concat();
    let sent = bench.publish(publish_request(vec![message(id, &told)])).await?;
    Ok(sent.into_iter().next().expect("one entry"))
}

/// Sends a message that is due at a time, and answers its recall handle.
async fn send_at(bench: &Bench, id: &str, due_ms: i64) -> String {
    let due = due_ms.to_string();
    let sent = try_send(bench, id, &[("TIMER_DELIVER_MS", &due), ("KEYS", "k")]).await.expect("stored");
    sent.recall_handle.expect("a handle")
}

async fn recall(bench: &Bench, handle: &str) -> Result<String, RecallError> {
    let request = Recall { topic: topic("t"), handle: handle.to_owned(), producer_group: None };
    bench.broker.recall(&bench.session, request).await
}

async fn list(bench: &Bench, request: TimerListRequest) -> TimerPage {
    admin::run::<TimerList>(&*bench.broker, &bench.session, request).await.expect("listed")
}

async fn listed(bench: &Bench) -> Vec<String> {
    let mut request =
        TimerListRequest { topic: topic("t"), from_ms: None, to_ms: None, max: Some(3), after: None };
    let mut ids = Vec::new();
    loop {
        let page = list(bench, request.clone()).await;
        ids.extend(page.timers.into_iter().map(|timer| timer.message_id));
        let Some(next) = page.next else { return ids };
        request.after = Some(next);
    }
}

async fn fetch(bench: &Bench, offset: u64, wait_ms: i64) -> Fetched {
    bench.fetch(Fetch { max_messages: 100, wait_ms, ..fetch_request(offset) }).await
}

/// Bodies of the first `count` messages, once they are there.
async fn first(bench: &Bench, count: usize) -> Vec<String> {
    let mut bodies: Vec<String> = Vec::new();
    while bodies.len() < count {
        let fetched = fetch(bench, bodies.len() as u64, 20_000).await;
        assert!(!fetched.messages.is_empty(), "{} of {count} came", bodies.len());
        bodies.extend(fetched.messages.iter().map(text));
    }
    bodies
}

#[tokio::test]
async fn what_is_recalled_never_comes_also_after_a_restart() {
    let mut bench = bench().await;
    // Far enough that a slow machine has recalled before it is due.
    let due_ms = now_ms() + 5_000;
    let one = send_at(&bench, "one", due_ms).await;
    send_at(&bench, "two", due_ms).await;
    let three = send_at(&bench, "three", due_ms).await;
    assert_eq!(recall(&bench, &one).await.expect("recalled"), "one");
    bench.restart().await;
    assert_eq!(recall(&bench, &three).await.expect("recalled"), "three");
    assert_eq!(recall(&bench, &three).await.expect("nothing is left to do"), "three");
    assert_eq!(listed(&bench).await, ["two"]);
    assert_eq!(first(&bench, 1).await, ["two"]);
    send_at(&bench, "four", now_ms() + 100).await;
    assert_eq!(first(&bench, 2).await, ["two", "four"]);
    assert!(matches!(recall(&bench, &three).await, Err(RecallError::TooLate)));
}

#[tokio::test]
async fn a_batch_of_timed_messages_comes_each_at_its_time() {
    let mut bench = bench().await;
    let at = |after_ms: i64| (now_ms() + after_ms).to_string();
    let (late, soon, past, recalled) = (at(1_500), at(700), at(-5), at(3_600_000));
    let of = |id: &str, due: &str| message(id, &[("UNIQ_KEY", id), ("TIMER_DELIVER_MS", due)]);
    let batch = vec![of("late", &late), of("soon", &soon), of("past", &past), of("recalled", &recalled)];
    let sent = bench.publish(publish_request(batch)).await.expect("stored");
    assert_eq!(
        sent.iter().map(|one| one.message_id.as_str()).collect::<Vec<_>>(),
        ["late", "soon", "past", "recalled"]
    );
    assert!(sent[2].recall_handle.is_none(), "it is delivered already");
    let handle = sent[3].recall_handle.clone().expect("a handle");
    assert_eq!(first(&bench, 1).await, ["past"]);
    assert_eq!(recall(&bench, &handle).await.expect("recalled"), "recalled");
    assert!(!listed(&bench).await.contains(&"recalled".to_owned()));
    bench.restart().await;
    assert_eq!(first(&bench, 3).await, ["past", "soon", "late"]);
    assert!(now_ms() >= late.parse::<i64>().expect("a number"));
    let mixed = vec![of("timed", &at(3_600_000)), message("plain", &[])];
    assert!(matches!(bench.publish(publish_request(mixed)).await, Err(PublishError::Illegal(_))));
}

#[tokio::test]
async fn a_message_that_was_sent_again_is_recalled_as_a_whole() {
    let bench = bench().await;
    let due_ms = now_ms() + 3_600_000;
    send_at(&bench, "twice", due_ms).await;
    send_at(&bench, "twice", due_ms + 120_000).await;
    let request = TimerDeleteRequest { topic: topic("t"), message_id: "twice".to_owned() };
    let deleted = admin::run::<TimerDelete>(&*bench.broker, &bench.session, request.clone()).await;
    assert_eq!(deleted.expect("deleted").cancelled, 2);
    let again = admin::run::<TimerDelete>(&*bench.broker, &bench.session, request).await;
    assert!(matches!(again, Err(AdminError::NotFound(_))), "{again:?}");
    assert!(listed(&bench).await.is_empty());
}

#[tokio::test]
async fn wrong_recalls_are_told_apart() {
    let bench = bench().await;
    let handle = send_at(&bench, "far", now_ms() + 86_400_000).await;
    for bad in ["", "nonsense", "!!!", "djEgdCBhcG9nZWUtMCAx"] {
        assert!(matches!(recall(&bench, bad).await, Err(RecallError::Handle)), "{bad}");
    }
    let elsewhere = topic("none");
    let request = Recall { topic: elsewhere, handle: handle.clone(), producer_group: None };
    let result = bench.broker.recall(&bench.session, request).await;
    assert!(matches!(result, Err(RecallError::TopicNotFound(_))));
    let off = BrokerConfig { recall_enabled: false, ..BrokerConfig::default() };
    let off = bench_with(off, StoreConfig::default()).await;
    assert!(matches!(recall(&off, &handle).await, Err(RecallError::Disabled)));
    let due = (now_ms() + 1_000_000).to_string();
    let sent = try_send(&off, "far", &[("TIMER_DELIVER_MS", &due)]).await.expect("stored");
    assert_eq!(sent.recall_handle, None);
}

#[tokio::test]
async fn timers_are_listed_by_time_and_in_pages() {
    let mut bench = bench().await;
    let base = now_ms() + 3_600_000;
    for number in (0..8).rev() {
        send_at(&bench, &format!("m{number}"), base + number * 60_000).await;
    }
    let expected: Vec<String> = (0..8).map(|number| format!("m{number}")).collect();
    assert_eq!(listed(&bench).await, expected);
    bench.restart().await;
    let request = TimerListRequest {
        topic: topic("t"),
        from_ms: Some(base + 60_000),
        to_ms: Some(base + 180_000),
        max: None,
        after: None,
    };
    let page = list(&bench, request).await;
    let due: Vec<i64> = page.timers.iter().map(|timer| timer.due_ms - base).collect();
    assert_eq!((due, page.next), (vec![60_000, 120_000], None));
    assert_eq!(page.timers[0].keys, "k");
    assert_eq!(page.timers[0].body_bytes, 2);
}

#[tokio::test]
async fn a_series_fires_until_it_is_done() {
    let bench = bench().await;
    let pairs = [("APOGEE_CRON", "* * * * * *"), ("APOGEE_CRON_TIMES", "2")];
    let sent = try_send(&bench, "tick", &pairs).await.expect("stored");
    assert!(sent.recall_handle.is_some());
    assert_eq!(listed(&bench).await, ["tick"]);
    // A busy machine may look when both are there.
    let mut fired = 0;
    while fired < 2 {
        let more = fetch(&bench, fired, 5_000).await.messages.len() as u64;
        assert!(more > 0, "only {fired} in time");
        fired += more;
    }
    assert_eq!(fired, 2);
    assert!(listed(&bench).await.is_empty(), "the series has ended");
    let refused = try_send(&bench, "bad", &[("APOGEE_CRON", "often")]).await.expect_err("refused");
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
    let mut bench = bench_with(BrokerConfig::default(), store).await;
    let due_ms = now_ms() + 15_000;
    for number in 0..50 {
        send_at(&bench, &format!("kept-{number}"), due_ms + number).await;
    }
    let gone = send_at(&bench, "gone", due_ms).await;
    let far = send_at(&bench, "far", now_ms() + 86_400_000 * 365 * 50).await;
    let early = send_at(&bench, "early", due_ms).await;
    assert_eq!(recall(&bench, &early).await.expect("recalled"), "early");
    let filler = "x".repeat(30_000);
    let sent_until = async || {
        loop {
            try_send(&bench, "filler", &[("filler", &filler)]).await.expect("stored");
            let node = admin::run::<NodeInfo>(&*bench.broker, &bench.session, admin::Empty {}).await;
            if node.expect("answers").log_start > 4 << 20 {
                return;
            }
            assert!(now_ms() < due_ms, "the log is not cut in time");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    sent_until().await;
    assert_eq!(recall(&bench, &gone).await.expect("recalled"), "gone");
    bench.restart().await;
    assert_eq!(listed(&bench).await.len(), 51);
    let mut offset = 0;
    let mut fired = Vec::new();
    while fired.len() < 50 {
        let fetched = fetch(&bench, offset, 20_000).await;
        assert!(offset != fetched.next.get(), "{} of 50 came", fired.len());
        offset = fetched.next.get();
        for message in fetched.messages.iter().filter(|m| m.body() != "filler") {
            assert!(message.stored_ms() >= due_ms);
            fired.push(text(message));
        }
    }
    let expected: Vec<String> = (0..50).map(|number| format!("kept-{number}")).collect();
    assert_eq!(fired, expected);
    assert_eq!(listed(&bench).await, ["far"]);
    assert_eq!(recall(&bench, &far).await.expect("recalled"), "far");
    assert!(listed(&bench).await.is_empty());
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
                let handle = send_at(&bench, &format!("{part}-{number}"), due_ms + number).await;
                if number % 10 == 3 {
                    recall(&bench, &handle).await.expect("recalled");
                }
            }
        });
    }
    sending.join_all().await;
    let Ok(mut bench) = Arc::try_unwrap(bench) else { panic!("all senders have ended") };
    bench.restart().await;
    let fired = first(&bench, 4_500).await;
    assert!(fired.iter().all(|id| !id.ends_with('3')));
    assert_eq!(fetch(&bench, 4_500, 300).await.max, Offset(4_500));
}
