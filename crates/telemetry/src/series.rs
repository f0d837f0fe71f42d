//! Metrics as OTLP carries them: counters as cumulative sums, under the names that `/metrics` lists.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics,
    ScopeMetrics, Sum,
};
use opentelemetry_proto::tonic::resource::v1::Resource;

use crate::exposition::{Family, HistogramOf, Kind, histograms};
use crate::records::{attribute, scope, text};

/// Between the node's start and now: what cumulative values are counted over, nanoseconds since 1970.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    pub(crate) start_ns: u64,
    pub(crate) now_ns: u64,
}

/// All families as requests of at most `series_max` series each.
///
/// # Errors
/// If a family is no sound one.
pub(crate) fn requests(
    families: &[Family],
    resource: &Resource,
    span: Span,
    series_max: usize,
) -> Result<Vec<ExportMetricsServiceRequest>, String> {
    let mut requests = Vec::new();
    let mut metrics = Vec::new();
    let mut room = series_max;
    for family in families {
        let data = points(family, span)?;
        for (metric, series) in data.into_parts(family, series_max) {
            if series > room {
                requests.push(request(resource, std::mem::take(&mut metrics)));
                room = series_max;
            }
            room -= series;
            metrics.push(metric);
        }
    }
    if !metrics.is_empty() {
        requests.push(request(resource, metrics));
    }
    Ok(requests)
}

fn request(resource: &Resource, metrics: Vec<Metric>) -> ExportMetricsServiceRequest {
    let scoped = ScopeMetrics { scope: Some(scope()), metrics, ..ScopeMetrics::default() };
    let of_node = ResourceMetrics {
        resource: Some(resource.clone()),
        scope_metrics: vec![scoped],
        ..ResourceMetrics::default()
    };
    ExportMetricsServiceRequest { resource_metrics: vec![of_node] }
}

enum Points {
    Sum(Vec<NumberDataPoint>),
    Gauge(Vec<NumberDataPoint>),
    Histogram(Vec<HistogramDataPoint>),
}

impl Points {
    /// Metrics of at most `series_max` series, with how many that are.
    fn into_parts(self, family: &Family, series_max: usize) -> Vec<(Metric, usize)> {
        let aggregation_temporality = AggregationTemporality::Cumulative.into();
        let metric = |data: Data| Metric {
            name: family.name.clone(),
            description: family.help.clone(),
            data: Some(data),
            ..Metric::default()
        };
        match self {
            Self::Sum(points) => parts(&points, series_max, |data_points| {
                metric(Data::Sum(Sum { data_points, aggregation_temporality, is_monotonic: true }))
            }),
            Self::Gauge(points) => {
                parts(&points, series_max, |data_points| metric(Data::Gauge(Gauge { data_points })))
            }
            Self::Histogram(points) => parts(&points, series_max, |data_points| {
                metric(Data::Histogram(Histogram { data_points, aggregation_temporality }))
            }),
        }
    }
}

fn parts<P: Clone>(points: &[P], max: usize, metric: impl Fn(Vec<P>) -> Metric) -> Vec<(Metric, usize)> {
    points.chunks(max).map(|part| (metric(part.to_vec()), part.len())).collect()
}

fn points(family: &Family, span: Span) -> Result<Points, String> {
    let numbers = |start_ns: u64| {
        let point = |sample: &crate::exposition::Sample| NumberDataPoint {
            attributes: attributes(&sample.labels),
            start_time_unix_nano: start_ns,
            time_unix_nano: span.now_ns,
            value: Some(Value::AsDouble(sample.value)),
            ..NumberDataPoint::default()
        };
        family.samples.iter().map(point).collect()
    };
    Ok(match family.kind {
        Kind::Counter => Points::Sum(numbers(span.start_ns)),
        Kind::Gauge | Kind::Other => Points::Gauge(numbers(0)),
        Kind::Histogram => Points::Histogram(
            histograms(family)?.iter().map(|histogram| of_histogram(histogram, span)).collect(),
        ),
    })
}

fn attributes(labels: &BTreeMap<String, String>) -> Vec<KeyValue> {
    labels.iter().map(|(name, value)| attribute(name, text(value))).collect()
}

/// Prometheus counts what is not above a bound, OTLP what is between two.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts are not negative")]
fn of_histogram(histogram: &HistogramOf, span: Span) -> HistogramDataPoint {
    let mut before = 0.0;
    let between = |(_, cumulative): &(f64, f64)| {
        let count = (cumulative - before).max(0.0) as u64;
        before = *cumulative;
        count
    };
    let bounds = histogram.buckets.iter().map(|(bound, _)| *bound).filter(|bound| bound.is_finite());
    HistogramDataPoint {
        attributes: attributes(&histogram.labels),
        start_time_unix_nano: span.start_ns,
        time_unix_nano: span.now_ns,
        count: histogram.count as u64,
        sum: Some(histogram.sum),
        explicit_bounds: bounds.collect(),
        bucket_counts: histogram.buckets.iter().map(between).collect(),
        ..HistogramDataPoint::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exposition::parse;
    use crate::records::resource;

    const TEXT: &str = "# HELP c What is counted.\n# TYPE c counter\nc_total{x=\"1\"} 7\nc_total{x=\"2\"} 8\n\
                        c_total{x=\"3\"} 9\n# HELP g What is.\n# TYPE g gauge\ng -2.5\n\
                        # HELP h Times.\n# TYPE h histogram\nh_sum{y=\"a\"} 3.5\nh_count{y=\"a\"} 6\n\
                        h_bucket{y=\"a\",le=\"1.0\"} 1\nh_bucket{y=\"a\",le=\"2.0\"} 4\n\
                        h_bucket{y=\"a\",le=\"+Inf\"} 6\n# HELP n Never.\n# TYPE n counter\n# EOF\n";
    const SPAN: Span = Span { start_ns: 3, now_ns: 9 };

    fn metrics(series_max: usize) -> Vec<Vec<Metric>> {
        let families = parse(TEXT).expect("sound");
        let requests = requests(&families, &resource("n"), SPAN, series_max).expect("sound");
        let metrics = |request: &ExportMetricsServiceRequest| {
            request.resource_metrics[0].scope_metrics[0].metrics.clone()
        };
        requests.iter().map(metrics).collect()
    }

    #[test]
    fn families_keep_their_names_labels_and_values() {
        let all = metrics(100);
        let [of_all] = all.as_slice() else { panic!("one request: {all:?}") };
        let names: Vec<&str> = of_all.iter().map(|metric| metric.name.as_str()).collect();
        assert_eq!(names, ["c", "g", "h"], "what has no series is not pushed");
        assert_eq!(of_all[0].description, "What is counted");
        let Some(Data::Sum(sum)) = &of_all[0].data else { panic!("{:?}", of_all[0]) };
        assert!(sum.is_monotonic && sum.aggregation_temporality() == AggregationTemporality::Cumulative);
        let point = &sum.data_points[1];
        assert_eq!(point.attributes, [attribute("x", text("2"))]);
        assert_eq!(point.value, Some(Value::AsDouble(8.0)));
        assert_eq!((point.start_time_unix_nano, point.time_unix_nano), (3, 9));
        let Some(Data::Gauge(gauge)) = &of_all[1].data else { panic!("{:?}", of_all[1]) };
        assert_eq!(gauge.data_points[0].value, Some(Value::AsDouble(-2.5)));
        let Some(Data::Histogram(histogram)) = &of_all[2].data else { panic!("{:?}", of_all[2]) };
        assert_eq!(histogram.aggregation_temporality(), AggregationTemporality::Cumulative);
        let point = &histogram.data_points[0];
        assert_eq!((point.count, point.sum), (6, Some(3.5)));
        assert_eq!(point.explicit_bounds, [1.0, 2.0]);
        assert_eq!(point.bucket_counts, [1, 3, 2], "one more than there are bounds");
    }

    #[test]
    fn no_request_has_too_many_series_and_none_is_lost() {
        let names = |series_max: usize| -> Vec<Vec<String>> {
            let of = |part: Vec<Metric>| part.into_iter().map(|metric| metric.name).collect();
            metrics(series_max).into_iter().map(of).collect()
        };
        assert_eq!(names(2), [vec!["c"], vec!["c", "g"], vec!["h"]]);
        assert_eq!(names(1).len(), 5);
    }
}
