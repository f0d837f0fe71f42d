//! What became of what was pushed.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// What is pushed. The names are labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    Metrics,
    Traces,
}

impl Signal {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Metrics => "metrics",
            Self::Traces => "traces",
        }
    }
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfSignal {
    signal: &'static str,
}

/// Counters of the export.
#[derive(Debug, Clone)]
pub struct Metrics {
    pub(crate) spans_taken: Counter,
    pub(crate) spans_lost: Counter,
    failed: Family<OfSignal, Counter>,
    pushed: Family<OfSignal, Counter>,
}

impl Default for Metrics {
    fn default() -> Self {
        let (failed, pushed) =
            (Family::<OfSignal, Counter>::default(), Family::<OfSignal, Counter>::default());
        for signal in [Signal::Metrics, Signal::Traces] {
            let of = OfSignal { signal: signal.name() };
            drop((failed.get_or_create(&of), pushed.get_or_create(&of)));
        }
        Self { spans_taken: Counter::default(), spans_lost: Counter::default(), failed, pushed }
    }
}

impl Metrics {
    pub fn register(&self, registry: &mut Registry) {
        registry.register("telemetry_pushes", "Requests that the collector took", self.pushed.clone());
        let help = "Requests that the collector did not take; some of them are made again";
        registry.register("telemetry_pushes_failed", help, self.failed.clone());
        registry.register("telemetry_spans_taken", "Spans that the collector took", self.spans_taken.clone());
        let help = "Spans that the collector did not take in a few attempts, or refused";
        registry.register("telemetry_spans_lost", help, self.spans_lost.clone());
    }

    pub(crate) fn pushed(&self, signal: Signal) {
        self.pushed.get_or_create(&OfSignal { signal: signal.name() }).inc();
    }

    pub(crate) fn failed(&self, signal: Signal) {
        self.failed.get_or_create(&OfSignal { signal: signal.name() }).inc();
    }
}
