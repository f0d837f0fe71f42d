//! What is counted here.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

#[derive(Debug, Default)]
pub(crate) struct Metrics {
    connections: Gauge,
    requests: Counter,
    failures: Counter,
    malformed: Counter,
    stalled: Counter,
    short: Counter,
}

impl Metrics {
    pub(crate) fn new(registry: &mut Registry) -> Self {
        let ours = Self::default();
        let part = registry.sub_registry_with_prefix("remoting");
        part.register("connections", "Open connections of the 4.x protocol", ours.connections.clone());
        part.register("requests", "Requests of the 4.x protocol", ours.requests.clone());
        part.register("failures", "Requests answered by an error code", ours.failures.clone());
        part.register("malformed", "Connections closed because of malformed frames", ours.malformed.clone());
        part.register("stalled", "Connections closed because the client did not read", ours.stalled.clone());
        part.register("short", "Requests that waited for memory before they were read", ours.short.clone());
        ours
    }

    pub(crate) fn was_short(&self) {
        self.short.inc();
    }

    #[cfg(test)]
    pub(crate) fn short(&self) -> u64 {
        self.short.get()
    }

    pub(crate) fn opened(&self) {
        self.connections.inc();
    }

    pub(crate) fn closed(&self) {
        self.connections.dec();
    }

    pub(crate) fn requested(&self) {
        self.requests.inc();
    }

    pub(crate) fn failed(&self) {
        self.failures.inc();
    }

    pub(crate) fn was_malformed(&self) {
        self.malformed.inc();
    }

    pub(crate) fn was_stalled(&self) {
        self.stalled.inc();
    }
}
