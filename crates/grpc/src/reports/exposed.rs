//! What clients report, as metrics of this node.

use std::fmt;
use std::sync::Arc;

use base::Clock;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

use super::Reports;
use super::otlp::{Cached, Counts, Place, Series, Time};

/// Under RocketMQ's names, for a registry that has its prefix.
pub(crate) struct Exposed {
    pub(crate) reports: Reports,
    pub(crate) clock: Arc<dyn Clock>,
}

impl fmt::Debug for Exposed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Exposed")
    }
}

const fn help_of_time(time: Time) -> &'static str {
    match time {
        Time::SendCost => "Time of a send in milliseconds, as 5.x producers report it",
        Time::DeliveryLatency => {
            "Time of messages on their way to 5.x consumers in milliseconds, as these report it"
        }
        Time::Await => "Time that messages waited in 5.x consumers for their turn, in milliseconds",
        Time::Process => "Time that 5.x consumers worked on a message, in milliseconds",
    }
}

const fn help_of_cached(cached: Cached) -> &'static str {
    match cached {
        Cached::Messages => "Messages that 5.x consumers hold and have not begun to work on",
        Cached::Bytes => "Bytes of messages that 5.x consumers hold and have not begun to work on",
    }
}

fn labels(place: &Place) -> Vec<(&'static str, &str)> {
    let group = place.group.as_deref().map(|group| ("consumer_group", group));
    [("topic", place.topic.as_str())].into_iter().chain(group).collect()
}

impl Collector for Exposed {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let now_ms = i64::try_from(self.clock.monotonic().as_millis()).unwrap_or(i64::MAX);
        let ledger = self.reports.0.lock();
        for time in Time::ALL {
            let help = help_of_time(time);
            let mut metric = encoder.encode_descriptor(time.name(), help, None, MetricType::Histogram)?;
            for (series, counts) in ledger.sums().filter(|(series, _)| series.time == time) {
                let Series { place, outcome, .. } = series;
                let outcome = outcome.map(|outcome| ("invocation_status", outcome.name()));
                let labels: Vec<_> = labels(place).into_iter().chain(outcome).collect();
                let Counts { buckets, sum_ms } = counts;
                let bounds = time.bounds_ms().into_iter().chain([f64::INFINITY]);
                let buckets: Vec<(f64, u64)> = bounds.zip(*buckets).collect();
                let count = buckets.iter().map(|(_, count)| count).sum();
                let mut family = metric.encode_family(&labels)?;
                family.encode_histogram::<[(&str, &str); 0]>(*sum_ms, count, &buckets, None)?;
            }
        }
        let held = ledger.held(now_ms);
        for cached in Cached::ALL {
            let help = help_of_cached(cached);
            let mut metric = encoder.encode_descriptor(cached.name(), help, None, MetricType::Gauge)?;
            for ((_, place), value) in held.iter().filter(|((its, _), _)| *its == cached) {
                ConstGauge::new(*value).encode(metric.encode_family(&labels(place))?)?;
            }
        }
        Ok(())
    }
}
