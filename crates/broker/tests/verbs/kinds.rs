//! Batches that are kept whole, producers that send twice, and what else outlives a restart.

use model::admin::{self, GroupDelete, GroupDeleteRequest, TopicDelete, TopicRequest};
use model::membership::{Assign, ConsumeModel, RequestMode, SetRequestMode};
use model::message::flags;
use model::verbs::{
    Batches, CommitOffset, Fetch, Fetched, KeyKind, MessageQuery, OffsetAnswer, OffsetQuestion, Publish,
    PublishError, PublishedMessage, QueueChoice, Receive,
};
use model::{Delivery, Filter, GroupConfig, Membership, Messaging, NewMessage, Offset, QueueId, TopicConfig};

use crate::bench::{
    Bench, attributes, bodies, fetch_request, group, message, publish_request, receive_request, text, topic,
};

/// A batch of messages `name-0` and so on, the even ones tagged `even`.
fn batch(name: &str, count: usize) -> NewMessage {
    let mut body = Vec::new();
    for n in 0..count {
        let tag = if n % 2 == 0 { "even" } else { "odd" };
        let told = format!("TAGS\u{1}{tag}\u{2}UNIQ_KEY\u{1}{name}-{n}\u{2}");
        model::batch::encode(&mut body, format!("{name}-{n}").as_bytes(), &told, 0).expect("small");
    }
    let whole = message(&body, &[("UNIQ_KEY", name)]);
    NewMessage { system_flags: flags::INNER_BATCH | flags::NEED_UNWRAP, ..whole }
}

async fn bench(pairs: &[(&str, &str)]) -> Bench {
    let bench = Bench::new();
    put_topic(&bench, pairs).await;
    bench.put_group(GroupConfig::new(group("g"))).await.expect("put");
    bench
}

async fn put_topic(bench: &Bench, pairs: &[(&str, &str)]) {
    let config = TopicConfig { attributes: attributes(pairs), ..TopicConfig::new(topic("t"), 1) };
    bench.put_topic(config).await.expect("put");
}

async fn try_send(bench: &Bench, messages: Vec<NewMessage>) -> Result<Vec<PublishedMessage>, PublishError> {
    bench.publish(Publish { queue: QueueChoice::Queue(QueueId(0)), ..publish_request(messages) }).await
}

async fn send(bench: &Bench, message: NewMessage) -> PublishedMessage {
    try_send(bench, vec![message]).await.expect("stored").remove(0)
}

async fn fetch(bench: &Bench, offset: u64, filter: Filter, batches: Batches) -> Fetched {
    bench.fetch(Fetch { filter, batches, ..fetch_request(offset) }).await
}

async fn receive(bench: &Bench, max_messages: u32, invisible_ms: i64) -> Vec<Delivery> {
    bench.receive(Receive { max_messages, invisible_ms, wait_ms: 5_000, ..receive_request() }).await
}

async fn max_offset(bench: &Bench) -> u64 {
    let question = OffsetQuestion::Max { topic: topic("t"), queue: QueueId(0) };
    match bench.broker.offset(&bench.session, question).await.expect("answered") {
        OffsetAnswer::Offset(offset) => offset.get(),
        other => panic!("{other:?}"),
    }
}

fn numbered(fetched: &Fetched) -> Vec<(u64, String)> {
    fetched.messages.iter().map(|m| (m.offset().get(), text(m))).collect()
}

const KEEPS: &[(&str, &str)] = &[("queue.type", "BatchCQ")];

#[tokio::test]
async fn a_batch_is_one_record_and_many_offsets() {
    let mut bench = bench(KEEPS).await;
    send(&bench, message(b"before", &[])).await;
    let kept = send(&bench, batch("b", 5)).await;
    assert_eq!((kept.offset, kept.message_id.as_str()), (Offset(1), "b"));
    send(&bench, message(b"after", &[])).await;
    for _ in 0..2 {
        assert_eq!(max_offset(&bench).await, 7);
        let whole = fetch(&bench, 0, Filter::all(), Batches::Whole).await;
        let seen: Vec<_> =
            whole.messages.iter().map(|m| (m.offset().get(), m.property("INNER_NUM"))).collect();
        assert_eq!(seen, [(0, None), (1, Some("5")), (6, None)]);
        assert_eq!(whole.next, Offset(7));
        let singles = fetch(&bench, 3, Filter::all(), Batches::Unpacked).await;
        let wanted = [(3, "b-2"), (4, "b-3"), (5, "b-4"), (6, "after")].map(|(n, b)| (n, b.to_owned()));
        assert_eq!(numbered(&singles), wanted);
        // From the middle of a batch even a reader of batches gets single messages.
        assert_eq!(numbered(&fetch(&bench, 3, Filter::all(), Batches::Whole).await), wanted);
        let odd = fetch(&bench, 1, Filter::tag("odd"), Batches::Unpacked).await;
        assert_eq!(numbered(&odd), [(2, "b-1".to_owned()), (4, "b-3".to_owned())]);
        let none = fetch(&bench, 1, Filter::tag("none"), Batches::Whole).await;
        assert_eq!(numbered(&none), []);
        bench.restart().await;
    }
}

#[tokio::test]
async fn receivers_get_the_messages_of_a_batch_one_by_one() {
    let bench = bench(KEEPS).await;
    send(&bench, batch("b", 5)).await;
    let first = receive(&bench, 2, 60_000).await;
    assert_eq!(bodies(&first), ["b-0", "b-1"]);
    assert_eq!(bodies(&receive(&bench, 2, 60_000).await), ["b-2", "b-3"]);
    let last = receive(&bench, 32, 1).await;
    assert_eq!(bodies(&last), ["b-4"]);
    let receipts = first.iter().map(|d| d.receipt.clone()).collect();
    assert!(bench.broker.ack(&bench.session, receipts).await.iter().all(Result::is_ok));
    // Only the message whose time is over comes again.
    let again = receive(&bench, 32, 60_000).await;
    assert_eq!(bodies(&again), ["b-4"]);
    assert_eq!((again[0].attempt, again[0].message.topic()), (2, "t"));
    assert_eq!(again[0].message.property("UNIQ_KEY"), Some("b-4"));
}

#[tokio::test]
async fn a_message_in_a_batch_is_found_by_its_id_and_its_tag() {
    let bench = bench(KEEPS).await;
    send(&bench, batch("b", 5)).await;
    send(&bench, message(b"alone", &[("TAGS", "odd")])).await;
    for (key, kind, wanted) in
        [("b-3", KeyKind::UniqueId, &["b-3"][..]), ("odd", KeyKind::Tag, &["alone", "b-1", "b-3"][..])]
    {
        let (begin_ms, end_ms) = (0, i64::MAX);
        let query =
            MessageQuery::Key { topic: topic("t"), key: key.to_owned(), kind, begin_ms, end_ms, max: 32 };
        let found = bench.broker.query(&bench.session, query).await.expect("found");
        let mut seen: Vec<_> = found.iter().map(text).collect();
        seen.sort();
        assert_eq!(seen, wanted);
    }
    let query = MessageQuery::Offset { topic: topic("t"), queue: QueueId(0), offset: Offset(2) };
    let found = bench.broker.query(&bench.session, query).await.expect("found");
    assert_eq!((found.len(), found[0].body().as_ref()), (1, &b"b-2"[..]));
}

#[tokio::test]
async fn other_topics_take_batches_apart() {
    let bench = bench(&[]).await;
    let stored = try_send(&bench, vec![batch("b", 3)]).await.expect("stored");
    assert_eq!(stored.iter().map(|m| m.offset.get()).collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!(numbered(&fetch(&bench, 0, Filter::all(), Batches::Whole).await).len(), 3);
}

#[tokio::test]
async fn what_is_no_batch_is_refused() {
    for attributes in [KEEPS, &[]] {
        let bench = bench(attributes).await;
        let garbage = NewMessage { body: b"garbage".to_vec().into(), ..batch("b", 1) };
        let timed = {
            let mut body = Vec::new();
            let told = "TIMER_DELAY_MS\u{1}1000\u{2}";
            model::batch::encode(&mut body, b"x", told, 0).expect("small");
            let second = if attributes.is_empty() { "KEYS\u{1}untimed\u{2}" } else { told };
            model::batch::encode(&mut body, b"y", second, 0).expect("small");
            NewMessage { body: body.into(), ..batch("b", 1) }
        };
        for messages in [vec![garbage], vec![timed], vec![batch("b", 1), batch("c", 1)]] {
            let refused = try_send(&bench, messages).await;
            assert!(matches!(refused, Err(PublishError::Illegal(_))), "{refused:?}");
        }
        assert_eq!(max_offset(&bench).await, 0);
    }
}

const WINDOW: (&str, &str) = ("apogee.dedup.window.ms", "60000");

#[tokio::test]
async fn a_message_sent_twice_is_stored_once() {
    for (by, same, other) in [
        ("key", vec![("KEYS", "order-1")], vec![("KEYS", "order-2")]),
        ("id", vec![("UNIQ_KEY", "u1")], vec![("UNIQ_KEY", "u2")]),
        (
            "sequence",
            vec![("APOGEE_PRODUCER_ID", "p"), ("APOGEE_SEQUENCE", "7")],
            vec![("APOGEE_PRODUCER_ID", "p"), ("APOGEE_SEQUENCE", "8")],
        ),
    ] {
        let mut bench = bench(&[WINDOW, ("apogee.dedup.by", by)]).await;
        let first = send(&bench, message(b"first", &same)).await;
        for _ in 0..2 {
            let again = send(&bench, message(b"again", &same)).await;
            assert_eq!((again.offset, again.lsn, again.queue), (first.offset, first.lsn, first.queue));
            assert_eq!(again.message_id, first.message_id, "{by}");
            assert_eq!(again.offset_id(), first.offset_id());
            assert_eq!(max_offset(&bench).await, 1);
            bench.restart().await;
        }
        // Also within one call, and others are not held back.
        let both = vec![message(b"2", &other), message(b"again", &other), message(b"free", &[])];
        let stored = try_send(&bench, both).await.expect("stored");
        assert_eq!(stored.iter().map(|m| m.offset.get()).collect::<Vec<_>>(), [1, 1, 2]);
    }
}

#[tokio::test]
async fn the_first_ones_id_is_answered() {
    let bench = bench(&[WINDOW]).await;
    let told = |id| [("KEYS", "k"), ("UNIQ_KEY", id)];
    assert_eq!(send(&bench, message(b"1", &told("one"))).await.message_id, "one");
    assert_eq!(send(&bench, message(b"1", &told("two"))).await.message_id, "one");
}

#[tokio::test]
async fn a_window_ends_and_a_topic_made_anew_remembers_nothing() {
    let bench = bench(&[("apogee.dedup.window.ms", "50")]).await;
    send(&bench, message(b"1", &[("KEYS", "k")])).await;
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(20);
    while send(&bench, message(b"2", &[("KEYS", "k")])).await.offset == Offset(0) {
        assert!(tokio::time::Instant::now() < deadline, "the window never ends");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    put_topic(&bench, &[WINDOW]).await;
    send(&bench, message(b"3", &[("KEYS", "long")])).await;
    let request = TopicRequest { topic: topic("t") };
    admin::run::<TopicDelete>(&*bench.broker, &bench.session, request).await.expect("deleted");
    put_topic(&bench, &[WINDOW]).await;
    send(&bench, message(b"other", &[])).await;
    assert_eq!(send(&bench, message(b"3", &[("KEYS", "long")])).await.offset, Offset(1));
}

#[tokio::test]
async fn a_sequence_that_is_no_number_is_refused() {
    let bench = bench(&[WINDOW, ("apogee.dedup.by", "sequence")]).await;
    let refused = try_send(&bench, vec![message(b"x", &[("APOGEE_PRODUCER_ID", "p")])]).await;
    assert!(matches!(refused, Err(PublishError::Illegal(_))), "{refused:?}");
}

#[tokio::test]
async fn illegal_attributes_are_refused() {
    let bench = bench(&[]).await;
    for (key, value) in [
        ("apogee.dedup.window.ms", "soon"),
        ("apogee.dedup.window.ms", "-1"),
        ("apogee.dedup.window.ms", "999999999999999"),
        ("apogee.dedup.by", "colour"),
        ("queue.type", "HeapCQ"),
    ] {
        let attributes = attributes(&[(key, value)]);
        let config = TopicConfig { attributes, ..TopicConfig::new(topic("t"), 1) };
        let refused = bench.put_topic(config).await;
        assert!(matches!(refused, Err(model::AdminError::Invalid(_))), "{key}={value}: {refused:?}");
    }
}

#[tokio::test]
async fn a_request_mode_outlives_a_restart() {
    let mut bench = bench(&[]).await;
    let set =
        SetRequestMode { group: group("g"), topic: topic("t"), mode: RequestMode::Pop, pop_share_queues: -1 };
    bench.broker.set_request_mode(&bench.session, set).await.expect("set");
    for _ in 0..2 {
        let ask = Assign {
            group: group("g"),
            topic: topic("t"),
            client_id: "c".to_owned(),
            strategy: "AVG".to_owned(),
            model: ConsumeModel::Broadcasting,
        };
        let assigned = bench.broker.assign(&bench.session, ask).await.expect("assigned");
        assert_eq!(assigned.mode, RequestMode::Pop);
        bench.restart().await;
    }
}

#[tokio::test]
async fn a_group_made_again_goes_on_unless_its_offsets_were_deleted() {
    let mut bench = bench(&[]).await;
    for n in 0..5 {
        send(&bench, message(format!("{n}").as_bytes(), &[])).await;
    }
    let committed = async |bench: &Bench| {
        let question = OffsetQuestion::Committed { group: group("g"), topic: topic("t"), queue: QueueId(0) };
        bench.broker.offset(&bench.session, question).await.expect("answered")
    };
    for (clean_offsets, wanted) in
        [(false, OffsetAnswer::Offset(Offset(3))), (true, OffsetAnswer::None { start_at_zero: true })]
    {
        let commit =
            CommitOffset { group: group("g"), topic: topic("t"), queue: QueueId(0), offset: Offset(3) };
        bench.broker.commit_offset(&bench.session, commit).await.expect("committed");
        let request = GroupDeleteRequest { group: group("g"), clean_offsets };
        admin::run::<GroupDelete>(&*bench.broker, &bench.session, request).await.expect("deleted");
        bench.restart().await;
        bench.put_group(GroupConfig::new(group("g"))).await.expect("put");
        assert_eq!(committed(&bench).await, wanted);
        bench.restart().await;
        assert_eq!(committed(&bench).await, wanted);
    }
}
