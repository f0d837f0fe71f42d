//! A report as it stands on the wire, made to points. Everything is looked at before it is believed: names,
//! labels, buckets.

use model::{GroupName, TopicName};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, HistogramDataPoint, Metric, NumberDataPoint, metric,
};
use prometheus_client::encoding::EncodeLabelValue;

use crate::limits::REPORT_POINTS_MAX;

/// Buckets of each histogram, with the one that has no bound.
pub(super) const BUCKETS: usize = 8;

/// A time that clients measure, as RocketMQ names it without the prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Time {
    SendCost,
    DeliveryLatency,
    Await,
    Process,
}

impl Time {
    pub(super) const ALL: [Self; 4] = [Self::SendCost, Self::DeliveryLatency, Self::Await, Self::Process];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::SendCost => "send_cost_time",
            Self::DeliveryLatency => "delivery_latency",
            Self::Await => "await_time",
            Self::Process => "process_time",
        }
    }

    /// Upper bounds in milliseconds: the same in all clients.
    pub(super) const fn bounds_ms(self) -> [f64; BUCKETS - 1] {
        match self {
            Self::SendCost | Self::DeliveryLatency => [1.0, 5.0, 10.0, 20.0, 50.0, 200.0, 500.0],
            Self::Await => [1.0, 5.0, 20.0, 100.0, 1_000.0, 5_000.0, 10_000.0],
            Self::Process => [1.0, 5.0, 10.0, 100.0, 1_000.0, 10_000.0, 60_000.0],
        }
    }
}

/// What a consumer holds and has not begun to work on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Cached {
    Messages,
    Bytes,
}

impl Cached {
    pub(super) const ALL: [Self; 2] = [Self::Messages, Self::Bytes];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Messages => "consumer_cached_messages",
            Self::Bytes => "consumer_cached_bytes",
        }
    }
}

/// Where it was measured; the group is that of a consumer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Place {
    pub(super) topic: String,
    pub(super) group: Option<String>,
}

/// How what was measured ended, where that is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Outcome {
    Success,
    Failure,
}

impl Outcome {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Series {
    pub(super) time: Time,
    pub(super) place: Place,
    pub(super) outcome: Option<Outcome>,
}

/// Counts of a histogram, each bucket by itself, and the sum in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Counts {
    pub(super) buckets: [u64; BUCKETS],
    pub(super) sum_ms: f64,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Point {
    /// Since `begun_ns` (Unix); `None`: since the report before.
    Times {
        series: Series,
        begun_ns: Option<u64>,
        counts: Counts,
    },
    Held {
        cached: Cached,
        place: Place,
        value: f64,
    },
}

/// Why a point is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(crate) enum NotTaken {
    /// It is none of RocketMQ's metrics of clients.
    Name,
    /// Its labels, bounds or numbers are not what they should be.
    Form,
    /// The client said less than before: this is older.
    Late,
    /// A limit is reached.
    Limit,
}

impl NotTaken {
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::Name => "the metric is none of those that RocketMQ's clients have",
            Self::Form => "the labels, bounds or numbers are not those of RocketMQ's clients",
            Self::Late => "a later report was here before",
            Self::Limit => "more series are reported than are kept",
        }
    }
}

/// A report, taken apart.
#[derive(Debug, Default)]
pub(super) struct Points {
    pub(super) points: Vec<Point>,
    pub(super) refused: Vec<NotTaken>,
}

impl Points {
    fn add(&mut self, point: Result<Point, NotTaken>) {
        match point {
            Ok(_) if self.points.len() >= REPORT_POINTS_MAX => self.refused.push(NotTaken::Limit),
            Ok(point) => self.points.push(point),
            Err(why) => self.refused.push(why),
        }
    }
}

pub(super) fn points(request: ExportMetricsServiceRequest) -> Points {
    let scopes = request.resource_metrics.into_iter().flat_map(|resource| resource.scope_metrics);
    let mut out = Points::default();
    for metric in scopes.flat_map(|scope| scope.metrics) {
        take(metric, &mut out);
    }
    out
}

fn take(metric: Metric, out: &mut Points) {
    let name = metric.name.strip_prefix("rocketmq_").unwrap_or_default();
    let time = Time::ALL.into_iter().find(|time| time.name() == name);
    let cached = Cached::ALL.into_iter().find(|cached| cached.name() == name);
    match (metric.data, time, cached) {
        (Some(metric::Data::Histogram(histogram)), Some(time), _) => {
            let how = histogram.aggregation_temporality();
            for point in histogram.data_points {
                out.add(times(time, how, &point));
            }
        }
        (Some(metric::Data::Gauge(gauge)), _, Some(cached)) => {
            for point in gauge.data_points {
                out.add(held(cached, &point));
            }
        }
        (_, None, None) => out.refused.push(NotTaken::Name),
        _ => out.refused.push(NotTaken::Form),
    }
}

fn times(time: Time, how: AggregationTemporality, point: &HistogramDataPoint) -> Result<Point, NotTaken> {
    let begun_ns = match how {
        AggregationTemporality::Cumulative => Some(point.start_time_unix_nano),
        AggregationTemporality::Delta => None,
        AggregationTemporality::Unspecified => return Err(NotTaken::Form),
    };
    let buckets: [u64; BUCKETS] = point.bucket_counts.as_slice().try_into().map_err(|_| NotTaken::Form)?;
    let sum_ms = point.sum.unwrap_or_default();
    let count = buckets.iter().try_fold(0_u64, |sum, count| sum.checked_add(*count));
    let is_sound = point.explicit_bounds == time.bounds_ms()
        && count == Some(point.count)
        && sum_ms.is_finite()
        && sum_ms >= 0.0;
    if !is_sound {
        return Err(NotTaken::Form);
    }
    let outcome = match label(&point.attributes, "invocation_status")? {
        None => None,
        Some("success") => Some(Outcome::Success),
        Some("failure") => Some(Outcome::Failure),
        Some(_) => return Err(NotTaken::Form),
    };
    let series = Series { time, place: place(&point.attributes)?, outcome };
    Ok(Point::Times { series, begun_ns, counts: Counts { buckets, sum_ms } })
}

fn held(cached: Cached, point: &NumberDataPoint) -> Result<Point, NotTaken> {
    #[expect(clippy::cast_precision_loss, reason = "a number for people")]
    let value = match point.value {
        Some(Number::AsDouble(value)) => value,
        Some(Number::AsInt(value)) => value as f64,
        None => return Err(NotTaken::Form),
    };
    if !value.is_finite() || value < 0.0 {
        return Err(NotTaken::Form);
    }
    Ok(Point::Held { cached, place: place(&point.attributes)?, value })
}

fn place(labels: &[KeyValue]) -> Result<Place, NotTaken> {
    let topic = TopicName::new(label(labels, "topic")?.unwrap_or_default()).map_err(|_| NotTaken::Form)?;
    let group = label(labels, "consumer_group")?.map(GroupName::new).transpose();
    let group = group.map_err(|_| NotTaken::Form)?;
    Ok(Place { topic: topic.as_str().to_owned(), group: group.map(|group| group.as_str().to_owned()) })
}

/// A label, which is text.
fn label<'a>(labels: &'a [KeyValue], name: &str) -> Result<Option<&'a str>, NotTaken> {
    let Some(label) = labels.iter().find(|label| label.key == name) else { return Ok(None) };
    match label.value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(any_value::Value::StringValue(text)) => Ok(Some(text)),
        _ => Err(NotTaken::Form),
    }
}
