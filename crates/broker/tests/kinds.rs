//! Batches that are kept whole, producers that send twice, and what else outlives a restart.
#![expect(clippy::disallowed_methods, reason = "tests run on the real runtime")]

use std::sync::Arc;

use base::Doors;
use broker::{Broker, BrokerConfig, Setup};
use model::admin::{
    self, GroupDelete, GroupDeleteRequest, GroupPut, GroupPutRequest, TopicDelete, TopicPut, TopicPutRequest,
    TopicRequest,
};
use model::membership::{Assign, ConsumeModel, RequestMode, SetRequestMode};
use model::message::flags;
use model::verbs::{
    Batches, CommitOffset, Fetch, Fetched, KeyKind, MessageQuery, OffsetAnswer, OffsetQuestion, Publish,
    PublishError, PublishedMessage, QueueChoice, Receive, StartFrom,
};
use model::{
    Delivery, Filter, GroupConfig, GroupName, Membership, Messaging, NewMessage, Offset, Properties, QueueId,
    Session, TopicConfig, TopicName,
};
use replica::ReplicaConfig;
use store::{Repair, StoreConfig};
use tempfile::TempDir;

fn topic() -> TopicName {
    TopicName::new("t").expect("legal")
}

fn group() -> GroupName {
    GroupName::new("g").expect("legal")
}

fn message(body: &[u8], told: &[(&str, &str)]) -> NewMessage {
    let mut properties = Properties::new();
    told.iter().for_each(|(key, value)| properties.push(key, value));
    NewMessage {
        body: body.to_vec().into(),
        properties,
        flag: 0,
        system_flags: 0,
        born_ms: 1,
        born_host: ([127, 0, 0, 1], 1).into(),
        reconsume_times: 0,
    }
}

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

struct Bench {
    dir: TempDir,
    broker: Arc<Broker>,
    session: Session,
}

fn open(dir: &TempDir) -> Arc<Broker> {
    let setup = Setup {
        dir: dir.path().join("data"),
        broker: BrokerConfig::default(),
        replica: ReplicaConfig::default(),
        store: StoreConfig::default(),
        repair: Repair::Refuse,
    };
    Broker::open(&Doors::system(), &setup).expect("opens")
}

impl Bench {
    async fn new(attributes: &[(&str, &str)]) -> Self {
        let dir = TempDir::new().expect("a folder");
        let bench = Self { broker: open(&dir), dir, session: Session::internal() };
        bench.put_topic(attributes).await;
        bench.put_group().await;
        bench
    }

    async fn put_topic(&self, attributes: &[(&str, &str)]) {
        let attributes = attributes.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let config = TopicConfig { attributes, ..TopicConfig::new(topic(), 1) };
        let request = TopicPutRequest { config, update: true };
        admin::run::<TopicPut>(&*self.broker, &self.session, request).await.expect("put");
    }

    async fn put_group(&self) {
        let request = GroupPutRequest { config: GroupConfig::new(group()), update: true };
        admin::run::<GroupPut>(&*self.broker, &self.session, request).await.expect("put");
    }

    async fn restart(&mut self) {
        self.broker.shutdown().await.expect("closes");
        self.broker = open(&self.dir);
    }

    async fn try_send(&self, messages: Vec<NewMessage>) -> Result<Vec<PublishedMessage>, PublishError> {
        let request = Publish {
            topic: topic(),
            queue: QueueChoice::Queue(QueueId(0)),
            messages,
            producer_group: None,
            auto_create: None,
            check_kind: false,
        };
        self.broker.publish(&self.session, request).await.map(|published| published.entries)
    }

    async fn send(&self, message: NewMessage) -> PublishedMessage {
        self.try_send(vec![message]).await.expect("stored").remove(0)
    }

    async fn fetch(&self, offset: u64, filter: Filter, batches: Batches) -> Fetched {
        let request = Fetch {
            group: None,
            topic: topic(),
            queue: QueueId(0),
            offset: Offset(offset),
            max_messages: 32,
            max_bytes: 1 << 20,
            filter,
            wait_ms: 0,
            batches,
        };
        self.broker.fetch(&self.session, request).await.expect("fetched")
    }

    async fn receive(&self, max_messages: u32, invisible_ms: i64) -> Vec<Delivery> {
        let request = Receive {
            group: group(),
            topic: topic(),
            queue: None,
            filter: Filter::all(),
            max_messages,
            invisible_ms,
            wait_ms: 5_000,
            attempt_id: None,
            ordered: None,
            start: StartFrom::First,
            client_id: "c".to_owned(),
        };
        self.broker.receive(&self.session, request).await.expect("received").deliveries
    }

    async fn max_offset(&self) -> u64 {
        let question = OffsetQuestion::Max { topic: topic(), queue: QueueId(0) };
        match self.broker.offset(&self.session, question).await.expect("answered") {
            OffsetAnswer::Offset(offset) => offset.get(),
            other => panic!("{other:?}"),
        }
    }
}

fn bodies(fetched: &Fetched) -> Vec<(u64, String)> {
    let row = |m: &model::StoredMessage| (m.offset().get(), String::from_utf8_lossy(&m.body()).into_owned());
    fetched.messages.iter().map(row).collect()
}

fn texts(deliveries: &[Delivery]) -> Vec<String> {
    deliveries.iter().map(|d| String::from_utf8_lossy(&d.message.body()).into_owned()).collect()
}

const KEEPS: &[(&str, &str)] = &[("queue.type", "BatchCQ")];

#[tokio::test]
async fn a_batch_is_one_record_and_many_offsets() {
    let mut bench = Bench::new(KEEPS).await;
    bench.send(message(b"before", &[])).await;
    let kept = bench.send(batch("b", 5)).await;
    assert_eq!((kept.offset, kept.message_id.as_str()), (Offset(1), "b"));
    bench.send(message(b"after", &[])).await;
    for _ in 0..2 {
        assert_eq!(bench.max_offset().await, 7);
        let whole = bench.fetch(0, Filter::all(), Batches::Whole).await;
        let seen: Vec<_> =
            whole.messages.iter().map(|m| (m.offset().get(), m.property("INNER_NUM"))).collect();
        assert_eq!(seen, [(0, None), (1, Some("5")), (6, None)]);
        assert_eq!(whole.next, Offset(7));
        let singles = bench.fetch(3, Filter::all(), Batches::Unpacked).await;
        let wanted = [(3, "b-2"), (4, "b-3"), (5, "b-4"), (6, "after")].map(|(n, b)| (n, b.to_owned()));
        assert_eq!(bodies(&singles), wanted);
        // From the middle of a batch even a reader of batches gets single messages.
        assert_eq!(bodies(&bench.fetch(3, Filter::all(), Batches::Whole).await), wanted);
        let odd = bench.fetch(1, Filter::tag("odd"), Batches::Unpacked).await;
        assert_eq!(bodies(&odd), [(2, "b-1".to_owned()), (4, "b-3".to_owned())]);
        let none = bench.fetch(1, Filter::tag("none"), Batches::Whole).await;
        assert_eq!(bodies(&none), []);
        bench.restart().await;
    }
}

#[tokio::test]
async fn receivers_get_the_messages_of_a_batch_one_by_one() {
    let bench = Bench::new(KEEPS).await;
    bench.send(batch("b", 5)).await;
    let first = bench.receive(2, 60_000).await;
    assert_eq!(texts(&first), ["b-0", "b-1"]);
    assert_eq!(texts(&bench.receive(2, 60_000).await), ["b-2", "b-3"]);
    let last = bench.receive(32, 1).await;
    assert_eq!(texts(&last), ["b-4"]);
    let receipts = first.iter().map(|d| d.receipt.clone()).collect();
    assert!(bench.broker.ack(&bench.session, receipts).await.iter().all(Result::is_ok));
    // Only the message whose time is over comes again.
    let again = bench.receive(32, 60_000).await;
    assert_eq!(texts(&again), ["b-4"]);
    assert_eq!((again[0].attempt, again[0].message.topic()), (2, "t"));
    assert_eq!(again[0].message.property("UNIQ_KEY"), Some("b-4"));
}

#[tokio::test]
async fn a_message_in_a_batch_is_found_by_its_id_and_its_tag() {
    let bench = Bench::new(KEEPS).await;
    bench.send(batch("b", 5)).await;
    bench.send(message(b"alone", &[("TAGS", "odd")])).await;
    for (key, kind, wanted) in
        [("b-3", KeyKind::UniqueId, &["b-3"][..]), ("odd", KeyKind::Tag, &["alone", "b-1", "b-3"][..])]
    {
        let (begin_ms, end_ms) = (0, i64::MAX);
        let query =
            MessageQuery::Key { topic: topic(), key: key.to_owned(), kind, begin_ms, end_ms, max: 32 };
        let found = bench.broker.query(&bench.session, query).await.expect("found");
        let mut seen: Vec<_> =
            found.iter().map(|m| String::from_utf8_lossy(&m.body()).into_owned()).collect();
        seen.sort();
        assert_eq!(seen, wanted);
    }
    let query = MessageQuery::Offset { topic: topic(), queue: QueueId(0), offset: Offset(2) };
    let found = bench.broker.query(&bench.session, query).await.expect("found");
    assert_eq!((found.len(), found[0].body().as_ref()), (1, &b"b-2"[..]));
}

#[tokio::test]
async fn other_topics_take_batches_apart() {
    let bench = Bench::new(&[]).await;
    let stored = bench.try_send(vec![batch("b", 3)]).await.expect("stored");
    assert_eq!(stored.iter().map(|m| m.offset.get()).collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!(bodies(&bench.fetch(0, Filter::all(), Batches::Whole).await).len(), 3);
}

#[tokio::test]
async fn what_is_no_batch_is_refused() {
    for attributes in [KEEPS, &[]] {
        let bench = Bench::new(attributes).await;
        let garbage = NewMessage { body: b"garbage".to_vec().into(), ..batch("b", 1) };
        let timed = {
            let mut body = Vec::new();
            let told = "TIMER_DELAY_MS\u{1}1000\u{2}";
            model::batch::encode(&mut body, b"x", told, 0).expect("small");
            model::batch::encode(&mut body, b"y", told, 0).expect("small");
            NewMessage { body: body.into(), ..batch("b", 1) }
        };
        for messages in [vec![garbage], vec![timed], vec![batch("b", 1), batch("c", 1)]] {
            let refused = bench.try_send(messages).await;
            assert!(matches!(refused, Err(PublishError::Illegal(_))), "{refused:?}");
        }
        assert_eq!(bench.max_offset().await, 0);
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
        let mut bench = Bench::new(&[WINDOW, ("apogee.dedup.by", by)]).await;
        let first = bench.send(message(b"first", &same)).await;
        for _ in 0..2 {
            let again = bench.send(message(b"again", &same)).await;
            assert_eq!((again.offset, again.lsn, again.queue), (first.offset, first.lsn, first.queue));
            assert_eq!(again.message_id, first.message_id, "{by}");
            assert_eq!(again.offset_id, first.offset_id);
            assert_eq!(bench.max_offset().await, 1);
            bench.restart().await;
        }
        // Also within one call, and others are not held back.
        let both = vec![message(b"2", &other), message(b"again", &other), message(b"free", &[])];
        let stored = bench.try_send(both).await.expect("stored");
        assert_eq!(stored.iter().map(|m| m.offset.get()).collect::<Vec<_>>(), [1, 1, 2]);
    }
}

#[tokio::test]
async fn the_first_ones_id_is_answered() {
    let bench = Bench::new(&[WINDOW]).await;
    let told = |id| [("KEYS", "k"), ("UNIQ_KEY", id)];
    assert_eq!(bench.send(message(b"1", &told("one"))).await.message_id, "one");
    assert_eq!(bench.send(message(b"1", &told("two"))).await.message_id, "one");
}

#[tokio::test]
async fn a_window_ends_and_a_topic_made_anew_remembers_nothing() {
    let bench = Bench::new(&[("apogee.dedup.window.ms", "50")]).await;
    bench.send(message(b"1", &[("KEYS", "k")])).await;
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(20);
    while bench.send(message(b"2", &[("KEYS", "k")])).await.offset == Offset(0) {
        assert!(tokio::time::Instant::now() < deadline, "the window never ends");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    bench.put_topic(&[WINDOW]).await;
    bench.send(message(b"3", &[("KEYS", "long")])).await;
    let request = TopicRequest { topic: topic() };
    admin::run::<TopicDelete>(&*bench.broker, &bench.session, request).await.expect("deleted");
    bench.put_topic(&[WINDOW]).await;
    bench.send(message(b"other", &[])).await;
    assert_eq!(bench.send(message(b"3", &[("KEYS", "long")])).await.offset, Offset(1));
}

#[tokio::test]
async fn a_sequence_that_is_no_number_is_refused() {
    let bench = Bench::new(&[WINDOW, ("apogee.dedup.by", "sequence")]).await;
    let refused = bench.try_send(vec![message(b"x", &[("APOGEE_PRODUCER_ID", "p")])]).await;
    assert!(matches!(refused, Err(PublishError::Illegal(_))), "{refused:?}");
}

#[tokio::test]
async fn illegal_attributes_are_refused() {
    let bench = Bench::new(&[]).await;
    for (key, value) in [
        ("apogee.dedup.window.ms", "soon"),
        ("apogee.dedup.window.ms", "-1"),
        ("apogee.dedup.window.ms", "999999999999999"),
        ("apogee.dedup.by", "colour"),
        ("queue.type", "HeapCQ"),
    ] {
        let attributes = [(key.to_owned(), value.to_owned())].into();
        let config = TopicConfig { attributes, ..TopicConfig::new(topic(), 1) };
        let request = TopicPutRequest { config, update: true };
        let refused = admin::run::<TopicPut>(&*bench.broker, &bench.session, request).await;
        assert!(matches!(refused, Err(model::AdminError::Invalid(_))), "{key}={value}: {refused:?}");
    }
}

#[tokio::test]
async fn a_request_mode_outlives_a_restart() {
    let mut bench = Bench::new(&[]).await;
    let set = SetRequestMode { group: group(), topic: topic(), mode: RequestMode::Pop, pop_share_queues: -1 };
    bench.broker.set_request_mode(&bench.session, set).await.expect("set");
    for _ in 0..2 {
        let ask = Assign {
            group: group(),
            topic: topic(),
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
    let mut bench = Bench::new(&[]).await;
    for n in 0..5 {
        bench.send(message(format!("{n}").as_bytes(), &[])).await;
    }
    let committed = async |bench: &Bench| {
        let question = OffsetQuestion::Committed { group: group(), topic: topic(), queue: QueueId(0) };
        bench.broker.offset(&bench.session, question).await.expect("answered")
    };
    for (clean_offsets, wanted) in
        [(false, OffsetAnswer::Offset(Offset(3))), (true, OffsetAnswer::None { start_at_zero: true })]
    {
        let commit = CommitOffset { group: group(), topic: topic(), queue: QueueId(0), offset: Offset(3) };
        bench.broker.commit_offset(&bench.session, commit).await.expect("committed");
        let request = GroupDeleteRequest { group: group(), clean_offsets };
        admin::run::<GroupDelete>(&*bench.broker, &bench.session, request).await.expect("deleted");
        bench.restart().await;
        bench.put_group().await;
        assert_eq!(committed(&bench).await, wanted);
        bench.restart().await;
        assert_eq!(committed(&bench).await, wanted);
    }
}
