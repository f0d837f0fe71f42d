//! What the protocol counts.

use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use base::Clock;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::reports::{Exposed, NotTaken, Reports};

macro_rules! calls {
    ($($name:ident),* $(,)?) => {
        /// A call of the protocol.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
        pub(crate) enum Rpc {
            $($name,)*
        }

        impl Rpc {
            pub(crate) fn named(name: &str) -> Option<Self> {
                match name {
                    $(stringify!($name) => Some(Self::$name),)*
                    _ => None,
                }
            }
        }
    };
}

calls!(
    QueryRoute,
    Heartbeat,
    SendMessage,
    QueryAssignment,
    ReceiveMessage,
    AckMessage,
    ForwardMessageToDeadLetterQueue,
    PullMessage,
    UpdateOffset,
    GetOffset,
    QueryOffset,
    EndTransaction,
    Telemetry,
    NotifyClientTermination,
    ChangeInvisibleDuration,
    RecallMessage,
    SyncLiteSubscription,
    // Of another service: see `reports`.
    ExportMetrics,
);

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    rpc: Rpc,
    code: i32,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Refused {
    reason: NotTaken,
}

/// Counters of the 5.x protocol. Cheap to clone; all clones count together.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    answers: Family<Answered, Counter>,
    in_progress: Gauge<i64, AtomicI64>,
    clients: Gauge<i64, AtomicI64>,
    connections: Gauge<i64, AtomicI64>,
    renewals: Counter,
    renewals_failed: Counter,
    releases: Counter,
    reports: Reports,
    points_refused: Family<Refused, Counter>,
    points_folded: Counter,
    report_histories: Gauge<i64, AtomicI64>,
}

impl Metrics {
    /// Makes the metrics and names them in `registry`.
    #[must_use]
    pub fn new(registry: &mut Registry) -> Self {
        let it = Self::default();
        let r = registry.sub_registry_with_prefix("grpc");
        r.register("answers", "Calls answered, by call and status code", it.answers.clone());
        r.register("calls_in_progress", "Calls being worked on", it.in_progress.clone());
        r.register("clients", "Clients that have sent settings and are alive", it.clients.clone());
        r.register("connections", "Open connections", it.connections.clone());
        r.register("renewals", "Messages hidden for longer on behalf of slow clients", it.renewals.clone());
        r.register("renewals_failed", "Renewals that the engine refused", it.renewals_failed.clone());
        r.register("releases", "Messages given back because their client was gone", it.releases.clone());
        let text = "Points of clients' metrics that were not taken, by reason";
        r.register("client_points_refused", text, it.points_refused.clone());
        let text =
            "Points of clients' metrics that count in `other`, because there are too many topics and groups";
        r.register("client_points_folded", text, it.points_folded.clone());
        let text = "Series of clients' metrics whose last values are remembered";
        r.register("client_series", text, it.report_histories.clone());
        it
    }

    /// Adds what clients measure to a registry that has RocketMQ's prefix.
    pub fn register_rocketmq(&self, registry: &mut Registry, clock: Arc<dyn Clock>) {
        registry.register_collector(Box::new(Exposed { reports: self.reports.clone(), clock }));
    }

    pub(crate) const fn reports(&self) -> &Reports {
        &self.reports
    }

    /// A client's report came: points that were not taken, and those that count in `other`; series that are
    /// remembered now.
    pub(crate) fn reported(&self, refused: &[NotTaken], folded: u64, histories: usize) {
        for reason in refused {
            self.points_refused.get_or_create(&Refused { reason: *reason }).inc();
        }
        self.points_folded.inc_by(folded);
        self.report_histories.set(i64::try_from(histories).unwrap_or(i64::MAX));
    }

    pub(crate) fn answered(&self, rpc: Rpc, code: i32) {
        self.answers.get_or_create(&Answered { rpc, code }).inc();
    }

    /// Counts a call until the returned value is dropped.
    pub(crate) fn call(&self) -> InProgress {
        self.in_progress.inc();
        InProgress(self.in_progress.clone())
    }

    pub(crate) fn calls_in_progress(&self) -> i64 {
        self.in_progress.get()
    }

    pub(crate) fn connection(&self) -> InProgress {
        self.connections.inc();
        InProgress(self.connections.clone())
    }

    pub(crate) fn clients(&self, count: usize) {
        self.clients.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    pub(crate) fn renewed(&self) {
        self.renewals.inc();
    }

    pub(crate) fn not_renewed(&self) {
        self.renewals_failed.inc();
    }

    pub(crate) fn released(&self) {
        self.releases.inc();
    }
}

/// Counts something while it lives.
#[derive(Debug)]
pub(crate) struct InProgress(Gauge<i64, AtomicI64>);

impl Drop for InProgress {
    fn drop(&mut self) {
        self.0.dec();
    }
}
