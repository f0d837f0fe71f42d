//! What calls make spans of, without an engine.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use bytes::Bytes;
use futures::future::BoxFuture;
use model::record::{Placement, encode};
use model::verbs::{
    AckError, FetchOutcome, Fetched, HideWhy, Publish, PublishError, Published, PublishedMessage,
    QueueChoice, Received, SettleError,
};
use model::{
    Delivery, GroupName, Lsn, NewMessage, Offset, Properties, QueueId, Receipt, Session, StoredMessage,
    TopicName,
};

use super::*;

const SAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const UNSAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

#[derive(Default)]
struct Hand {
    now_ms: AtomicI64,
    numbers: AtomicU64,
}

impl Clock for Hand {
    fn now_ms(&self) -> i64 {
        self.now_ms.load(Ordering::Relaxed)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.now_ms().unsigned_abs())
    }

    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        Box::pin(std::future::ready(()))
    }
}

impl Chance for Hand {
    fn next_u64(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed) + 1
    }
}

struct Rig {
    hand: Arc<Hand>,
    tracer: Tracer,
    spans: Receiver<Span>,
    metrics: SpanMetrics,
}

fn rig(sample_ratio: f64) -> Rig {
    rig_with(&TracerSettings {
        sample_ratio,
        traces_per_s_max: 0,
        spans_waiting_max: 100,
        deliveries_max: 100,
    })
}

fn rig_with(settings: &TracerSettings) -> Rig {
    let (hand, metrics) = (Arc::new(Hand::default()), SpanMetrics::default());
    hand.now_ms.store(1_000, Ordering::Relaxed);
    let (tracer, spans) = Tracer::new(settings, hand.clone(), hand.clone(), metrics.clone());
    Rig { hand, tracer, spans, metrics }
}

impl Rig {
    fn at(&self, now_ms: i64) {
        self.hand.now_ms.store(now_ms, Ordering::Relaxed);
    }

    fn spans(&mut self) -> Vec<Span> {
        std::iter::from_fn(|| self.spans.try_recv().ok()).collect()
    }

    fn send(&self, request: &Publish, result: &Result<Published, PublishError>) {
        if let Some(sending) = self.tracer.sending(&Session::internal(), request) {
            self.at(1_020);
            self.tracer.sent(*sending, result);
        }
    }

    fn hand_out(&self, deliveries: Vec<Delivery>) {
        let received = Received { deliveries, delivered_ms: 1_000, invisible_ms: 500, rest: 0 };
        self.tracer.received(&Session::internal(), "client-1", &received);
    }

    fn ack(&self, receipt: &Receipt, result: Result<(), AckError>) {
        if let Some(ending) = self.tracer.acking(&Session::internal(), std::slice::from_ref(receipt)) {
            self.tracer.acked(*ending, &[result]);
        }
    }
}

fn topic(name: &str) -> TopicName {
    TopicName::new(name).expect("legal")
}

fn group() -> GroupName {
    GroupName::new("g").expect("legal")
}

fn message(pairs: &[(&str, &str)]) -> NewMessage {
    let mut properties = Properties::new();
    pairs.iter().for_each(|(key, value)| properties.push(key, value));
    NewMessage {
        body: Bytes::from_static(b"body"),
        properties,
        flag: 0,
        system_flags: 0,
        born_ms: 990,
        born_host: ([10, 0, 0, 1], 5).into(),
        reconsume_times: 0,
    }
}

fn publish(topic_name: &str, messages: Vec<NewMessage>) -> Publish {
    let (topic, queue) = (topic(topic_name), QueueChoice::Any);
    Publish { topic, queue, messages, producer_group: Some(group()), auto_create: None, check_kind: false }
}

fn published(count: u64) -> Result<Published, PublishError> {
    let entry = |at: u64| PublishedMessage {
        queue: QueueId(3),
        offset: Offset(40 + at),
        lsn: Lsn(7_000 + at),
        stored_ms: 1_010,
        store_host: ([127, 0, 0, 1], 1).into(),
        message_id: String::new(),
        transaction_id: None,
        recall_handle: None,
    };
    Ok(Published { entries: (0..count).map(entry).collect() })
}

fn stored(name: &str, message: &NewMessage) -> StoredMessage {
    let mut bytes = Vec::new();
    let place = Placement {
        topic: name,
        queue: QueueId(3),
        offset: Offset(40),
        lsn: Lsn(7_000),
        stored_ms: 1_010,
        store_host: ([127, 0, 0, 1], 1).into(),
        prepared: Lsn::ZERO,
    };
    encode(&mut bytes, message, &place);
    StoredMessage::parse(bytes.into()).expect("a record")
}

fn receipt(nonce: u64) -> Receipt {
    Receipt {
        group: group(),
        topic: topic("t"),
        queue: QueueId(3),
        offset: Offset(40),
        nonce: Lsn(nonce),
        delivered_ms: 1_000,
        invisible_ms: 500,
    }
}

fn delivery(pairs: &[(&str, &str)]) -> Delivery {
    Delivery { message: stored("t", &message(pairs)), receipt: receipt(1), attempt: 2 }
}

fn value<'a>(span: &'a Span, name: &str) -> Option<&'a Value> {
    let mut found = span.attributes.iter().filter(|(its, _)| *its == name).map(|(_, value)| value);
    let first = found.next();
    assert_eq!(found.next(), None, "{name} twice: {span:?}");
    first
}

fn text(span: &Span, name: &str) -> String {
    match value(span, name) {
        Some(Value::Text(text)) => text.clone(),
        other => panic!("{name} of {span:?} is {other:?}"),
    }
}

fn names(spans: &[Span]) -> Vec<&'static str> {
    spans.iter().map(|span| span.operation).collect()
}

const MS: u64 = 1_000_000;

#[test]
fn a_send_is_told_as_the_producers_and_the_nodes() {
    let mut rig = rig(0.0);
    let sent = message(&[("UNIQ_KEY", "id"), ("TAGS", "red"), ("KEYS", "k1 k2"), ("traceparent", SAMPLED)]);
    rig.send(&publish("ns%t", vec![message(&[("UNIQ_KEY", "x")]), sent]), &published(2));
    let spans = rig.spans();
    let [producer, node] = spans.as_slice() else { panic!("{spans:?}") };
    assert_eq!(producer.trace.to_string(), "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(producer.parent, Some(SpanId([0xb7, 0xad, 0x6b, 0x71, 0x69, 0x20, 0x33, 0x31])));
    assert_eq!((producer.operation, producer.kind), ("send", SpanKind::Producer));
    assert_eq!((producer.start_ns, producer.end_ns), (990 * MS, 1_020 * MS), "from when it was born");
    assert_eq!((node.trace, node.parent), (producer.trace, Some(producer.id)));
    assert_eq!((node.operation, node.kind), ("publish", SpanKind::Server));
    assert_eq!((node.start_ns, node.end_ns), (1_000 * MS, 1_020 * MS));
    for (name, expected) in [
        ("messaging.system", "rocketmq"),
        ("messaging.destination.name", "ns%t"),
        ("messaging.rocketmq.namespace", "ns"),
        ("messaging.operation.type", "send"),
        ("messaging.message.id", "id"),
        ("messaging.destination.partition.id", "3"),
        ("messaging.rocketmq.message.tag", "red"),
        ("messaging.rocketmq.message.type", "normal"),
    ] {
        assert_eq!(text(node, name), expected, "{name}");
        assert_eq!(text(producer, name), expected, "{name}");
    }
    assert_eq!(value(node, "apogee.message.offset"), Some(&Value::Number(41)), "the second of two");
    assert_eq!(value(node, "messaging.batch.message_count"), Some(&Value::Number(2)));
    let keys = Value::Texts(vec!["k1".to_owned(), "k2".to_owned()]);
    assert_eq!(value(node, "messaging.rocketmq.message.keys"), Some(&keys));
}

#[test]
fn a_send_that_fails_says_why() {
    let mut rig = rig(1.0);
    let refused = Err(PublishError::Throttled("slower".to_owned()));
    rig.send(&publish("t", vec![message(&[("UNIQ_KEY", "id")])]), &refused);
    let spans = rig.spans();
    assert_eq!(names(&spans), ["send", "publish"]);
    for span in &spans {
        assert_eq!(text(span, "error.type"), "throttled");
        assert!(span.error.as_ref().expect("it failed").text.contains("slower"));
    }
    assert_eq!(spans[0].parent, None, "nobody sent a context");
}

#[test]
fn what_is_not_sampled_or_of_the_system_makes_no_span() {
    let mut rig = rig(0.0);
    let unsampled = &[("UNIQ_KEY", "id"), ("traceparent", UNSAMPLED)][..];
    rig.send(&publish("t", vec![message(unsampled), message(&[("UNIQ_KEY", "x")])]), &published(2));
    rig.send(&publish(model::names::TRACE_TOPIC, vec![message(&[("traceparent", SAMPLED)])]), &published(1));
    rig.hand_out(vec![delivery(unsampled)]);
    rig.ack(&receipt(1), Ok(()));
    assert_eq!(rig.spans(), []);
}

#[test]
fn a_delivery_lasts_until_it_is_acknowledged() {
    let mut rig = rig(1.0);
    let pairs = &[("UNIQ_KEY", "id")][..];
    rig.send(&publish("t", vec![message(pairs)]), &published(1));
    let producer = rig.spans().remove(0);
    rig.hand_out(vec![delivery(pairs)]);
    assert_eq!(rig.metrics.under_way.get(), 1);
    rig.at(1_100);
    rig.ack(&receipt(1), Err(AckError::Unavailable("the disk".to_owned())));
    let spans = rig.spans();
    assert_eq!(names(&spans), ["ack"], "it is still under way");
    assert_eq!(text(&spans[0], "error.type"), "unavailable");
    rig.ack(&receipt(1), Ok(()));
    rig.ack(&receipt(1), Ok(()));
    let spans = rig.spans();
    let [process, ack] = spans.as_slice() else { panic!("{spans:?}") };
    assert_eq!((process.trace, process.parent), (producer.trace, Some(producer.id)));
    assert_eq!((process.operation, process.kind), ("process", SpanKind::Consumer));
    assert_eq!((process.start_ns, process.end_ns), (1_000 * MS, 1_100 * MS));
    assert_eq!((text(process, "apogee.delivery.result").as_str(), &process.error), ("acked", &None));
    assert_eq!(text(process, "messaging.consumer.group.name"), "g");
    assert_eq!(text(process, "messaging.client.id"), "client-1");
    assert_eq!(value(process, "apogee.delivery.attempt"), Some(&Value::Number(2)));
    assert_eq!((ack.trace, ack.parent, ack.kind), (producer.trace, Some(process.id), SpanKind::Server));
    assert_eq!(rig.metrics.under_way.get(), 0);
}

#[test]
fn a_delivery_that_is_not_acknowledged_in_time_fails_when_its_time_is_over() {
    let mut rig = rig(1.0);
    rig.hand_out(vec![delivery(&[("UNIQ_KEY", "id")])]);
    rig.at(1_400);
    let newest = Receipt { delivered_ms: 1_400, ..receipt(9) };
    let key = rig.tracer.extending(&receipt(1)).expect("it is known");
    rig.tracer.extended(&key, &newest, HideWhy::Asked);
    rig.at(1_899);
    rig.tracer.sweep();
    assert_eq!(rig.spans(), [], "it was put off");
    rig.at(2_500);
    rig.tracer.sweep();
    let spans = rig.spans();
    assert_eq!(names(&spans), ["process"]);
    assert_eq!(spans[0].end_ns, 1_900 * MS, "not when somebody looked");
    assert_eq!(text(&spans[0], "error.type"), "expired");
    assert_eq!(text(&spans[0], "apogee.delivery.result"), "expired");
    assert_eq!(value(&spans[0], "apogee.delivery.extensions"), Some(&Value::Number(1)));
    rig.ack(&newest, Err(AckError::Stale));
    assert_eq!(rig.spans(), [], "nothing is known of it any more");
}

#[test]
fn a_delivery_whose_consumer_fails_ends_then() {
    let mut rig = rig(1.0);
    rig.hand_out(vec![delivery(&[("UNIQ_KEY", "id")])]);
    rig.at(1_400);
    let newest = Receipt { delivered_ms: 1_400, ..receipt(9) };
    let key = rig.tracer.extending(&receipt(1)).expect("it is known");
    rig.tracer.extended(&key, &newest, HideWhy::Failed);
    let spans = rig.spans();
    assert_eq!(names(&spans), ["process"]);
    assert_eq!(spans[0].end_ns, 1_400 * MS);
    assert_eq!(text(&spans[0], "error.type"), "failed");
    assert_eq!(text(&spans[0], "apogee.delivery.result"), "failed");
    rig.at(9_000);
    rig.tracer.sweep();
    assert_eq!(rig.spans(), [], "it has ended");
}

#[test]
fn a_dead_letter_fails_its_delivery() {
    let mut rig = rig(1.0);
    rig.hand_out(vec![delivery(&[("UNIQ_KEY", "id")])]);
    let gives_up = |result: Result<(), SettleError>| {
        let ending = rig.tracer.giving_up(&Session::internal(), &receipt(1)).expect("it is known");
        rig.tracer.gave_up(*ending, &result);
    };
    gives_up(Err(SettleError::MessageNotFound));
    gives_up(Ok(()));
    let spans = rig.spans();
    assert_eq!(names(&spans), ["dead_letter", "process", "dead_letter"]);
    assert_eq!(text(&spans[0], "error.type"), "not_found");
    assert_eq!(text(&spans[1], "error.type"), "dead_lettered");
    assert_eq!(spans[2].error, None);
}

#[test]
fn a_retry_is_told_by_the_topic_that_it_came_from() {
    let mut rig = rig(1.0);
    let retried = Receipt { topic: topic("%RETRY%g_t"), ..receipt(1) };
    let message = stored("t", &message(&[("UNIQ_KEY", "id")]));
    rig.hand_out(vec![Delivery { message: message.clone(), receipt: retried, attempt: 2 }]);
    rig.tracer.close();
    let fetched = Fetched {
        outcome: FetchOutcome::Found,
        messages: vec![message],
        next: Offset(41),
        min: Offset(0),
        max: Offset(41),
    };
    rig.at(1_020);
    rig.tracer.fetched(&Session::internal(), (&topic("%RETRY%g"), &group()), 1_000 * MS, &fetched);
    let spans = rig.spans();
    assert_eq!(names(&spans), ["process", "receive"]);
    assert!(spans.iter().all(|span| span.destination.as_str() == "t"), "{spans:?}");
    assert_eq!(text(&spans[0], "apogee.delivery.result"), "open");
    assert_eq!((spans[1].start_ns, spans[1].end_ns), (1_010 * MS, 1_020 * MS), "not before it was stored");
}

#[test]
fn what_is_too_much_is_dropped_and_counted() {
    let settings =
        TracerSettings { sample_ratio: 1.0, traces_per_s_max: 0, spans_waiting_max: 3, deliveries_max: 1 };
    let mut rig = rig_with(&settings);
    for id in ["a", "b", "c"] {
        rig.send(&publish("t", vec![message(&[("UNIQ_KEY", id)])]), &published(1));
    }
    assert_eq!((rig.metrics.made.get(), rig.metrics.dropped.get()), (6, 3));
    assert_eq!(rig.spans().len(), 3);
    let other = Delivery { receipt: receipt(2), ..delivery(&[("UNIQ_KEY", "b")]) };
    rig.hand_out(vec![delivery(&[("UNIQ_KEY", "a")]), other]);
    assert_eq!((rig.metrics.under_way.get(), rig.metrics.unkept.get()), (1, 1));
    rig.hand_out(vec![delivery(&[("UNIQ_KEY", "a")])]);
    assert_eq!(rig.metrics.unkept.get(), 1, "the same delivery takes no more room");
}

#[test]
fn long_texts_and_clocks_that_go_wrong_do_no_harm() {
    let mut rig = rig(1.0);
    let (long, state) = ("é".repeat(1_000), "s".repeat(513));
    let pairs = [("UNIQ_KEY", "id"), ("TAGS", &long), ("traceparent", SAMPLED), ("tracestate", &state)];
    let mut ahead = message(&pairs);
    ahead.born_ms = 99_000;
    let mut without = message(&pairs);
    without.born_ms = 0;
    rig.send(&publish("t", vec![ahead, without]), &published(2));
    let spans = rig.spans();
    assert!(spans.iter().all(|span| span.start_ns <= span.end_ns && span.state.is_empty()), "{spans:?}");
    assert_eq!(text(&spans[0], "messaging.rocketmq.message.tag").len(), crate::limits::SPAN_TEXT_BYTES_MAX);
    assert_eq!(spans[2].start_ns, 1_000 * MS, "a message without a time is as old as its call");
}
