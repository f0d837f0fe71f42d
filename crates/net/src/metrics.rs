//! What listeners count.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfListener {
    listener: String,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfProtocol {
    protocol: &'static str,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfReason {
    reason: &'static str,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfOutcome {
    outcome: &'static str,
}

/// Counters of all listeners.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    accepted: Family<OfListener, Counter>,
    open: Family<OfProtocol, Gauge>,
    tls: Counter,
    reloads: Family<OfOutcome, Counter>,
    refused: Family<OfReason, Counter>,
}

impl Metrics {
    /// Adds all metrics to `registry`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("net_connections_accepted", "Connections accepted", self.accepted.clone());
        registry.register(
            "net_connections_open",
            "Open connections whose protocol is known",
            self.open.clone(),
        );
        registry.register("net_tls_handshakes", "TLS handshakes finished", self.tls.clone());
        registry.register(
            "net_tls_reloads",
            "Changed certificate files: taken, or refused because they cannot be used",
            self.reloads.clone(),
        );
        registry.register(
            "net_connections_refused",
            "Connections closed before they were served",
            self.refused.clone(),
        );
    }

    pub(crate) fn accepted(&self, listener: &str) {
        self.accepted.get_or_create(&OfListener { listener: listener.to_owned() }).inc();
    }

    pub(crate) fn refused(&self, reason: &'static str) {
        self.refused.get_or_create(&OfReason { reason }).inc();
    }

    pub(crate) fn tls_done(&self) {
        self.tls.inc();
    }

    pub(crate) fn reloaded(&self, outcome: &'static str) {
        self.reloads.get_or_create(&OfOutcome { outcome }).inc();
    }

    /// Counts an open connection until the answer is dropped.
    pub(crate) fn serving(&self, protocol: &'static str) -> OpenConnection {
        let gauge = self.open.get_or_create(&OfProtocol { protocol }).clone();
        gauge.inc();
        OpenConnection(gauge)
    }
}

pub(crate) struct OpenConnection(Gauge);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.dec();
    }
}
