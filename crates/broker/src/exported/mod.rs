//! RocketMQ's own metrics, by its names and labels, so that boards and alert rules made for it work here.
//!
//! ```text
//! scrape ──> rows (one per topic, one per group in a topic; the rest is "other") ──> broker (5.x names)
//!                                                                               └─> exporter (4.x names)
//! ```
//! Where messages pass, counters are added to that are there anyway; lag, times and offsets are looked up when
//! metrics are read. A topic or group keeps its own series once it has them: what comes when
//! `metrics_topics_max` and `metrics_readers_max` have them is summed in the label value `other`.

mod broker;
mod exporter;
mod rows;
mod sizes;

use std::fmt;
use std::sync::{Arc, Weak};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use crate::broker::Broker;

pub(crate) use rows::{Named, Paced};
pub(crate) use sizes::Sizes;

/// The label value of all that have no series of their own.
const OTHER: &str = "other";

impl Broker {
    /// Adds RocketMQ's metrics to a registry that has its prefix, `rocketmq`.
    pub fn register_rocketmq_metrics(self: &Arc<Self>, registry: &mut Registry) {
        let collector = Box::new(Rocketmq(Arc::downgrade(self)));
        self.labelled_as_rocketmq(registry).register_collector(collector);
    }

    /// A part of a registry whose metrics say which node they are of, as RocketMQ's do.
    pub fn labelled_as_rocketmq<'a>(&self, registry: &'a mut Registry) -> &'a mut Registry {
        let own = [
            ("cluster", self.config.cluster.clone()),
            ("node_type", "broker".to_owned()),
            ("node_id", self.config.name.clone()),
        ];
        registry.sub_registry_with_labels(own.into_iter().map(|(name, value)| (name.into(), value.into())))
    }
}

struct Rocketmq(Weak<Broker>);

impl fmt::Debug for Rocketmq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rocketmq")
    }
}

impl Collector for Rocketmq {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let Some(broker) = self.0.upgrade() else { return Ok(()) };
        let rows = broker.rows();
        let mut out = Out(&mut encoder);
        broker::encode(&broker, &rows, &mut out)?;
        exporter::encode(&broker, &rows, &mut out)
    }
}

/// Writes families, one after the other.
struct Out<'a, 'e>(&'a mut DescriptorEncoder<'e>);

impl Out<'_, '_> {
    fn gauges<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (L, i64)>,
    ) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (labels, value) in values {
            ConstGauge::new(value).encode(metric.encode_family(&labels)?)?;
        }
        Ok(())
    }

    fn rates<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (L, f64)>,
    ) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (labels, value) in values {
            ConstGauge::new(value).encode(metric.encode_family(&labels)?)?;
        }
        Ok(())
    }

    fn counters<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (L, u64)>,
    ) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, value) in values {
            ConstCounter::new(value).encode(metric.encode_family(&labels)?)?;
        }
        Ok(())
    }

    fn gauge(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let metric = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        ConstGauge::new(signed(value)).encode(metric)
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let metric = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        ConstCounter::new(value).encode(metric)
    }
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

const fn truth(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}
