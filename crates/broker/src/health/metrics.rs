//! What the health watch counts.

use std::time::Duration;

use model::admin::{HealthReport, Trouble};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::limits::HEALTH_SCORES_MAX;

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfTrouble {
    trouble: &'static str,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfSubject {
    subject: &'static str,
    name: String,
    trouble: &'static str,
}

/// Gauges of the last look.
#[derive(Debug, Default)]
pub(super) struct HealthMetrics {
    troubles: Family<OfTrouble, Gauge>,
    scores: Family<OfSubject, Gauge>,
    looks: Counter,
    look_us: Counter,
    alerts_dropped: Counter,
}

impl HealthMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register("health_troubles", "Subjects with a trouble", self.troubles.clone());
        registry.register("health_score", "Scores of the riskiest, 100 is worst", self.scores.clone());
        registry.register("health_looks", "Looks of the health watch", self.looks.clone());
        registry.register("health_look_us", "Time of these looks in microseconds", self.look_us.clone());
        registry.register(
            "health_alerts_dropped",
            "Troubles that were not told to the webhook, because too many waited to be",
            self.alerts_dropped.clone(),
        );
    }

    pub(super) fn looked(&self, report: &HealthReport, took: Duration) {
        for trouble in Trouble::ALL {
            let count = report.items.iter().filter(|item| item.trouble == trouble).count();
            let gauge = self.troubles.get_or_create(&OfTrouble { trouble: trouble.name() });
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        self.scores.clear();
        for item in report.items.iter().take(HEALTH_SCORES_MAX) {
            let (subject, trouble) = (item.subject.name(), item.trouble.name());
            let of = OfSubject { subject, name: item.name.clone(), trouble };
            self.scores.get_or_create(&of).set(i64::from(item.score));
        }
        self.looks.inc();
        self.look_us.inc_by(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }

    pub(super) fn alert_dropped(&self) {
        self.alerts_dropped.inc();
    }
}
