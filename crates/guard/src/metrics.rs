//! What the guard counts: each verb's calls, errors and time.

use std::sync::Arc;
use std::time::Duration;

use model::Kind;
use model::quota::{QuotaLimit, QuotaScope};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::rpc::{Rpc, RpcLatency};
use crate::slow::SlowCalls;

/// One call of an engine. The names are labels of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    Publish,
    Receive,
    Fetch,
    Ack,
    Extend,
    Settle,
    Recall,
    CommitOffset,
    Seek,
    Offset,
    Route,
    Query,
    CheckFilter,
    SyncLite,
    Heartbeat,
    Leave,
    Members,
    Lock,
    Unlock,
    Assign,
    SetRequestMode,
    Admin,
}

impl Verb {
    pub(crate) const ALL: [Self; 22] = [
        Self::Publish,
        Self::Receive,
        Self::Fetch,
        Self::Ack,
        Self::Extend,
        Self::Settle,
        Self::Recall,
        Self::CommitOffset,
        Self::Seek,
        Self::Offset,
        Self::Route,
        Self::Query,
        Self::CheckFilter,
        Self::SyncLite,
        Self::Heartbeat,
        Self::Leave,
        Self::Members,
        Self::Lock,
        Self::Unlock,
        Self::Assign,
        Self::SetRequestMode,
        Self::Admin,
    ];

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Receive => "receive",
            Self::Fetch => "fetch",
            Self::Ack => "ack",
            Self::Extend => "extend",
            Self::Settle => "settle",
            Self::Recall => "recall",
            Self::CommitOffset => "commit_offset",
            Self::Seek => "seek",
            Self::Offset => "offset",
            Self::Route => "route",
            Self::Query => "query",
            Self::CheckFilter => "check_filter",
            Self::SyncLite => "sync_lite",
            Self::Heartbeat => "heartbeat",
            Self::Leave => "leave",
            Self::Members => "members",
            Self::Lock => "lock",
            Self::Unlock => "unlock",
            Self::Assign => "assign",
            Self::SetRequestMode => "set_request_mode",
            Self::Admin => "admin",
        }
    }

    /// Whether it finishes what was begun earlier, so that a drain lets it through.
    pub(crate) const fn ends_work(self) -> bool {
        matches!(
            self,
            Self::Ack | Self::Extend | Self::Settle | Self::CommitOffset | Self::Leave | Self::Unlock
        )
    }
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfVerb {
    verb: &'static str,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfError {
    verb: &'static str,
    kind: &'static str,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfReason {
    reason: &'static str,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfQuota {
    scope: &'static str,
    limit: &'static str,
}

/// Counters of all verbs.
#[derive(Debug, Clone)]
pub struct Metrics {
    seconds: Family<OfVerb, Histogram>,
    errors: Family<OfError, Counter>,
    abandoned: Family<OfVerb, Counter>,
    running: Family<OfVerb, Gauge>,
    refused: Family<OfReason, Counter>,
    over_quota: Family<OfQuota, Counter>,
    quota_buckets: Gauge,
    quota_shared: Counter,
    rpc: Arc<Rpc>,
    pub(crate) slow: Arc<SlowCalls>,
    /// The members of families above, by verb: a call need not look them up.
    by_verb: Vec<(Histogram, Gauge)>,
}

impl Default for Metrics {
    fn default() -> Self {
        // 100 us to 52 s, doubling.
        let seconds: Family<OfVerb, Histogram> =
            Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.000_1, 2.0, 20)));
        let running: Family<OfVerb, Gauge> = Family::default();
        let by_verb = Verb::ALL
            .iter()
            .map(|verb| {
                let of = OfVerb { verb: verb.name() };
                (seconds.get_or_create(&of).clone(), running.get_or_create(&of).clone())
            })
            .collect();
        Self {
            seconds,
            errors: Family::default(),
            abandoned: Family::default(),
            running,
            refused: Family::default(),
            over_quota: Family::default(),
            quota_buckets: Gauge::default(),
            quota_shared: Counter::default(),
            rpc: Arc::default(),
            slow: Arc::default(),
            by_verb,
        }
    }
}

impl Metrics {
    /// Adds all metrics to `registry`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "verb_seconds",
            "Time of finished calls; those of receive and fetch include the wait for messages",
            self.seconds.clone(),
        );
        registry.register(
            "verb_errors",
            "Calls that failed, by what the caller should do",
            self.errors.clone(),
        );
        registry.register(
            "verb_abandoned",
            "Calls whose client went before the answer",
            self.abandoned.clone(),
        );
        registry.register("verb_running", "Calls that run or wait", self.running.clone());
        registry.register("calls_refused", "Calls that did not reach the engine", self.refused.clone());
        let help = "Calls that took `guard.slow_call_ms` and longer, without those that wait for messages";
        registry.register("calls_slow", help, self.slow.slow.clone());
        let help = "Slow calls that left no line in the log, because there were too many";
        registry.register("calls_slow_untold", help, self.slow.untold.clone());
        registry.register("quota_refused", "Calls over a quota", self.over_quota.clone());
        registry.register(
            "quota_buckets",
            "Clients, users, topics and namespaces whose quotas are counted",
            self.quota_buckets.clone(),
        );
        registry.register(
            "quota_shared",
            "Calls counted together with others, as `quota.buckets_max` are counted apart",
            self.quota_shared.clone(),
        );
    }

    /// Adds the latency of calls under RocketMQ's name to a registry that has its prefix, `rocketmq`.
    pub fn register_rocketmq(&self, registry: &mut Registry) {
        registry.register_collector(Box::new(RpcLatency(Arc::clone(&self.rpc))));
    }

    pub(crate) fn answered(&self, protocol: &str, verb: Verb, time: Duration, failed: bool) {
        self.rpc.answered(protocol, verb, time, failed);
    }

    pub(crate) fn started(&self, verb: Verb) {
        if let Some((_, running)) = self.by_verb.get(verb as usize) {
            running.inc();
        }
    }

    pub(crate) fn finished(&self, verb: Verb, time: Duration) {
        if let Some((seconds, running)) = self.by_verb.get(verb as usize) {
            seconds.observe(time.as_secs_f64());
            running.dec();
        }
    }

    pub(crate) fn abandoned(&self, verb: Verb) {
        self.abandoned.get_or_create(&OfVerb { verb: verb.name() }).inc();
        if let Some((_, running)) = self.by_verb.get(verb as usize) {
            running.dec();
        }
    }

    pub(crate) fn refused(&self, reason: &'static str) {
        self.refused.get_or_create(&OfReason { reason }).inc();
    }

    pub(crate) fn over_quota(&self, scope: QuotaScope, limit: QuotaLimit) {
        self.over_quota.get_or_create(&OfQuota { scope: scope.name(), limit: limit.name() }).inc();
        self.refused("quota");
    }

    pub(crate) fn quota_buckets(&self, count: usize) {
        self.quota_buckets.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    pub(crate) fn quota_shared(&self) {
        self.quota_shared.inc();
    }

    pub(crate) fn failed(&self, verb: Verb, kind: Kind) {
        self.errors.get_or_create(&OfError { verb: verb.name(), kind: kind_name(kind) }).inc();
    }
}

/// Label of metrics and spans.
pub(crate) const fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Invalid => "invalid",
        Kind::NotFound => "not_found",
        Kind::Denied => "denied",
        Kind::Throttled => "throttled",
        Kind::Unavailable => "unavailable",
        Kind::Conflict => "conflict",
        Kind::Data => "data",
        Kind::Internal => "internal",
    }
}
