//! Points as they come and are summed.

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics,
    ScopeMetrics, Sum, metric,
};

use super::ledger::{Ledger, Reporter};
use super::otlp::{BUCKETS, NotTaken, Points, Time, points};
use crate::limits::{
    REPORT_HISTORIES_MAX, REPORT_HISTORIES_PER_CLIENT_MAX, REPORT_PLACES_MAX, REPORT_POINTS_MAX,
    REPORT_REMEMBERED_MS, REPORT_SILENT_MS,
};

pub(crate) type Labels<'a> = &'a [(&'a str, &'a str)];

/// When clients began to count, and since when the node knows them.
const BEGUN_MS: i64 = 2_000;
const KNOWN_SINCE_MS: i64 = 1_000;

fn text(value: &str) -> AnyValue {
    AnyValue { value: Some(Value::StringValue(value.to_owned())) }
}

fn attributes(labels: Labels<'_>) -> Vec<KeyValue> {
    let attribute = |(key, value): &(&str, &str)| KeyValue {
        key: (*key).to_owned(),
        value: Some(text(value)),
        ..KeyValue::default()
    };
    labels.iter().map(attribute).collect()
}

/// A point of `buckets`, of 1 ms each.
pub(crate) fn point(labels: Labels<'_>, begun_ms: i64, buckets: [u64; BUCKETS]) -> HistogramDataPoint {
    let count = buckets.iter().sum();
    HistogramDataPoint {
        attributes: attributes(labels),
        start_time_unix_nano: begun_ms as u64 * 1_000_000,
        count,
        sum: Some(count as f64),
        bucket_counts: buckets.to_vec(),
        explicit_bounds: Time::SendCost.bounds_ms().to_vec(),
        ..HistogramDataPoint::default()
    }
}

pub(crate) fn sends(data_points: Vec<HistogramDataPoint>, how: AggregationTemporality) -> Metric {
    let histogram = Histogram { data_points, aggregation_temporality: how.into() };
    metric_of("rocketmq_send_cost_time", metric::Data::Histogram(histogram))
}

fn metric_of(name: &str, data: metric::Data) -> Metric {
    Metric { name: name.to_owned(), data: Some(data), ..Metric::default() }
}

pub(crate) fn cached(labels: Labels<'_>, value: f64) -> Metric {
    let point = NumberDataPoint {
        attributes: attributes(labels),
        value: Some(Number::AsDouble(value)),
        ..NumberDataPoint::default()
    };
    metric_of("rocketmq_consumer_cached_messages", metric::Data::Gauge(Gauge { data_points: vec![point] }))
}

pub(crate) fn request(metrics: Vec<Metric>) -> ExportMetricsServiceRequest {
    let scope = ScopeMetrics { metrics, ..ScopeMetrics::default() };
    let resource = ResourceMetrics { scope_metrics: vec![scope], ..ResourceMetrics::default() };
    ExportMetricsServiceRequest { resource_metrics: vec![resource] }
}

const SENT: Labels<'static> = &[("topic", "t"), ("client_id", "a"), ("invocation_status", "success")];
const HELD: Labels<'static> = &[("topic", "t"), ("consumer_group", "g")];

fn buckets(first: u64) -> [u64; BUCKETS] {
    let mut buckets = [0; BUCKETS];
    buckets[0] = first;
    buckets
}

/// A ledger, and the clients that write to it.
#[derive(Default)]
struct Book {
    ledger: Ledger,
    now_ms: i64,
    folded: u64,
}

impl Book {
    fn report(&mut self, client_id: &str, metrics: Vec<Metric>) -> Vec<NotTaken> {
        self.report_of(client_id, true, metrics)
    }

    fn report_of(&mut self, client_id: &str, is_live: bool, metrics: Vec<Metric>) -> Vec<NotTaken> {
        let Points { points, mut refused } = points(request(metrics));
        let reporter = Reporter { client_id, is_live, known_since_ms: KNOWN_SINCE_MS, now_ms: self.now_ms };
        let taken = self.ledger.report(&reporter, points);
        self.folded += taken.folded;
        refused.extend(taken.refused);
        refused
    }

    /// What a client has counted since it began.
    fn said(&mut self, client_id: &str, begun_ms: i64, first: u64) -> Vec<NotTaken> {
        let point = point(SENT, begun_ms, buckets(first));
        self.report(client_id, vec![sends(vec![point], AggregationTemporality::Cumulative)])
    }

    fn sum(&self) -> (u64, f64) {
        let all = self.ledger.sums().map(|(_, counts)| (counts.buckets[0], counts.sum_ms));
        all.fold((0, 0.0), |(count, sum), (more, ms)| (count + more, sum + ms))
    }

    fn held(&self) -> Vec<f64> {
        self.ledger.held(self.now_ms).into_values().collect()
    }
}

#[test]
fn what_clients_say_again_and_more_of_is_counted_once() {
    let mut book = Book::default();
    for (client, first) in [("a", 3), ("a", 3), ("b", 10), ("a", 5), ("b", 11)] {
        assert_eq!(book.said(client, BEGUN_MS, first), []);
    }
    assert_eq!(book.sum(), (16, 16.0));
    let (series, _) = book.ledger.sums().next().expect("one series of both");
    assert_eq!((series.place.topic.as_str(), series.place.group.as_deref()), ("t", None));
    assert_eq!(book.ledger.sums().count(), 1, "the client is left out");
}

#[test]
fn a_client_that_begins_anew_adds_all_that_it_says() {
    let mut book = Book::default();
    assert_eq!(book.said("a", BEGUN_MS, 5), []);
    assert_eq!(book.said("a", BEGUN_MS + 1, 2), []);
    assert_eq!(book.sum(), (7, 7.0));
    assert_eq!(book.said("a", BEGUN_MS, 9), [NotTaken::Late], "of the life before");
    assert_eq!(book.said("a", BEGUN_MS + 1, 1), [NotTaken::Late], "less than before");
    assert_eq!(book.sum(), (7, 7.0));
}

#[test]
fn what_was_counted_before_the_node_could_know_is_no_news() {
    let mut book = Book::default();
    assert_eq!(book.said("a", KNOWN_SINCE_MS - 1, 1_000), []);
    assert_eq!(book.sum(), (0, 0.0));
    assert_eq!(book.said("a", KNOWN_SINCE_MS - 1, 1_002), []);
    assert_eq!(book.sum(), (2, 2.0));
    // A series that the client, who is known, begins later is all new.
    let other = point(&[("topic", "u")], KNOWN_SINCE_MS - 1, buckets(4));
    assert_eq!(book.report("a", vec![sends(vec![other], AggregationTemporality::Cumulative)]), []);
    assert_eq!(book.sum(), (6, 6.0));
}

#[test]
fn differences_are_added_as_they_are() {
    let mut book = Book::default();
    for _ in 0..3 {
        let point = point(SENT, BEGUN_MS, buckets(2));
        assert_eq!(book.report("a", vec![sends(vec![point], AggregationTemporality::Delta)]), []);
    }
    assert_eq!((book.sum(), book.ledger.histories()), ((6, 6.0), 0));
}

#[test]
fn what_clients_hold_is_forgotten_with_them() {
    let mut book = Book::default();
    assert_eq!(book.report("a", vec![cached(HELD, 5.0)]), []);
    assert_eq!(book.report("b", vec![cached(HELD, 2.0)]), []);
    assert_eq!(book.held(), [7.0]);
    assert_eq!(book.report("a", vec![cached(HELD, 1.0)]), []);
    assert_eq!(book.held(), [3.0], "what is said last counts");
    book.ledger.left("a");
    assert_eq!(book.held(), [2.0]);
    assert_eq!(book.report_of("a", false, vec![cached(HELD, 1.0)]), []);
    assert_eq!(book.held(), [2.0], "its last report comes after its goodbye");
    book.now_ms += REPORT_SILENT_MS + 1;
    assert_eq!(book.held(), Vec::<f64>::new());
    book.now_ms += REPORT_REMEMBERED_MS;
    book.ledger.forget_silent(book.now_ms);
    assert_eq!(book.ledger.histories(), 0);
}

#[test]
fn what_is_not_of_rocketmqs_clients_is_not_taken() {
    let good = || point(SENT, BEGUN_MS, buckets(1));
    let change = |change: &dyn Fn(&mut HistogramDataPoint)| {
        let mut point = good();
        change(&mut point);
        sends(vec![point], AggregationTemporality::Cumulative)
    };
    let form = [
        change(&|point| point.explicit_bounds[0] = 2.0),
        change(&|point| point.explicit_bounds.clear()),
        change(&|point| point.bucket_counts.clear()),
        change(&|point| point.count = 7),
        change(&|point| point.bucket_counts[1] = u64::MAX),
        change(&|point| point.sum = Some(f64::NAN)),
        change(&|point| point.sum = Some(-1.0)),
        change(&|point| point.attributes.clear()),
        change(&|point| point.attributes = attributes(&[("topic", "a b")])),
        change(&|point| point.attributes = attributes(&[("topic", "t"), ("consumer_group", "")])),
        change(&|point| point.attributes = attributes(&[("topic", "t"), ("invocation_status", "odd")])),
        change(&|point| point.attributes[0].value = None),
        sends(vec![good()], AggregationTemporality::Unspecified),
        cached(HELD, -1.0),
        cached(HELD, f64::INFINITY),
        cached(&[], 1.0),
        metric_of("rocketmq_send_cost_time", metric::Data::Sum(Sum::default())),
    ];
    let mut book = Book::default();
    for metric in form {
        assert_eq!(book.report("a", vec![metric.clone()]), [NotTaken::Form], "{metric:?}");
    }
    for name in ["rocketmq_messages_in", "send_cost_time", ""] {
        let metric = metric_of(name, metric::Data::Sum(Sum::default()));
        assert_eq!(book.report("a", vec![metric]), [NotTaken::Name], "{name}");
    }
    assert_eq!((book.sum(), book.ledger.histories()), ((0, 0.0), 0));
}

#[test]
fn reports_are_bounded() {
    let mut book = Book::default();
    let of_topic = |topic: usize| point(&[("topic", &format!("t{topic}"))], BEGUN_MS, buckets(1));
    let all = (0..=REPORT_POINTS_MAX).map(of_topic).collect();
    let refused = book.report("a", vec![sends(all, AggregationTemporality::Cumulative)]);
    assert_eq!(refused.len(), 1 + REPORT_POINTS_MAX - REPORT_HISTORIES_PER_CLIENT_MAX);
    assert!(refused.iter().all(|why| *why == NotTaken::Limit));
    assert_eq!(book.ledger.histories(), REPORT_HISTORIES_PER_CLIENT_MAX);
    assert_eq!(book.ledger.sums().count(), REPORT_PLACES_MAX + 1, "the others are one");
    assert_eq!(book.folded, (REPORT_HISTORIES_PER_CLIENT_MAX - REPORT_PLACES_MAX) as u64);
    assert_eq!(book.sum().0, REPORT_HISTORIES_PER_CLIENT_MAX as u64, "nothing that was taken is lost");
    for client in 0..REPORT_HISTORIES_MAX.div_ceil(REPORT_HISTORIES_PER_CLIENT_MAX) {
        let all = (0..REPORT_HISTORIES_PER_CLIENT_MAX).map(of_topic).collect();
        book.report(&client.to_string(), vec![sends(all, AggregationTemporality::Cumulative)]);
    }
    assert_eq!(book.ledger.histories(), REPORT_HISTORIES_MAX);
    let one_more = vec![sends(vec![of_topic(0)], AggregationTemporality::Cumulative)];
    assert_eq!(book.report("new", one_more.clone()), [NotTaken::Limit]);
    assert_eq!(book.report("a", vec![cached(HELD, 1.0)]), [NotTaken::Limit], "what is held counts, too");
    // Whoever is silent makes room.
    book.now_ms += REPORT_REMEMBERED_MS + 1;
    book.ledger.forget_silent(book.now_ms);
    assert_eq!(book.report("new", one_more), []);
}
