//! Quotas before the verbs: how much each client, user, topic and namespace may send and receive.
//!
//! ```text
//! publish: something left in each bucket? ── no ──> refused, with the time to wait
//!                                        └─ yes ─> taken from each
//! receive: something left in each bucket? ── no ──> waits as long as for messages, then refused
//!                                        └─ yes ─> no more than is left; taken when it is known
//! ```
//! A refused call takes nothing. With no quota set, a call costs the read of two flags.

mod bucket;
mod table;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use model::quota::{EACH, QuotaBook, QuotaLimit, QuotaLimits, QuotaRules, QuotaScope};
use model::{Session, SessionId, TopicName};
use parking_lot::RwLock;
use smallvec::SmallVec;

use self::bucket::Rate;
use self::table::{Buckets, Table};
use crate::config::QuotaConfig;
use crate::metrics::Metrics;

const SENDING: [QuotaLimit; 2] = [QuotaLimit::SendMessages, QuotaLimit::SendBytes];
const RECEIVING: [QuotaLimit; 2] = [QuotaLimit::ReceiveMessages, QuotaLimit::ReceiveBytes];

/// Who is over which limit, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OverQuota {
    pub scope: QuotaScope,
    pub name: String,
    pub limit: QuotaLimit,
    pub per_s: u64,
    pub wait_ms: u64,
}

impl OverQuota {
    /// Which limit it is.
    pub(crate) fn limit_text(&self) -> String {
        let Self { scope, name, limit, per_s, .. } = self;
        format!("{} {name} is over its quota of {} {per_s}", scope.name(), limit.name())
    }

    pub(crate) fn text(&self) -> String {
        let Self { scope, name, limit, per_s, wait_ms } = self;
        let who = match scope {
            QuotaScope::Client => "this client".to_owned(),
            _ => format!("{} {name}", scope.name()),
        };
        format!("{who} is over its quota ({} {per_s}): try again in {wait_ms} ms", limit.name())
    }
}

/// Buckets that a call takes from.
pub(crate) struct Claims(SmallVec<[Claim; 4]>);

struct Claim {
    scope: QuotaScope,
    name: Arc<str>,
    limit: QuotaLimit,
    rate: Rate,
    buckets: Arc<Buckets>,
}

impl Claims {
    /// Whether something is left in each bucket; if not, the one to wait for longest.
    fn check(&self, now_ns: u64) -> Result<(), OverQuota> {
        let wait_ns = |claim: &Claim| claim.buckets.of(claim.limit).wait_ns(now_ns, claim.rate);
        let longest = self.0.iter().map(|claim| (wait_ns(claim), claim)).max_by_key(|(wait_ns, _)| *wait_ns);
        match longest {
            Some((wait_ns, claim)) if wait_ns > 0 => Err(OverQuota {
                scope: claim.scope,
                name: claim.name.as_ref().to_owned(),
                limit: claim.limit,
                per_s: claim.rate.per_s,
                wait_ms: wait_ns.div_ceil(1_000_000),
            }),
            _ => Ok(()),
        }
    }

    pub(crate) fn take(&self, now_ns: u64, messages: u64, bytes: u64) {
        for claim in &self.0 {
            let amount = match claim.limit {
                QuotaLimit::SendMessages | QuotaLimit::ReceiveMessages => messages,
                QuotaLimit::SendBytes | QuotaLimit::ReceiveBytes => bytes,
            };
            claim.buckets.of(claim.limit).take(now_ns, claim.rate, amount);
        }
    }

    /// Messages that may be received at once; at least one.
    pub(crate) fn messages_left(&self, now_ns: u64) -> u64 {
        let of_messages = self.0.iter().filter(|claim| claim.limit == QuotaLimit::ReceiveMessages);
        let left = of_messages.map(|claim| claim.buckets.of(claim.limit).left(now_ns, claim.rate)).min();
        left.unwrap_or(u64::MAX).max(1)
    }
}

/// All quotas and how much of them is left.
pub(crate) struct Quotas {
    book: Arc<QuotaBook>,
    defaults: RwLock<Defaults>,
    has_defaults: AtomicBool,
    table: Table,
    metrics: Metrics,
}

struct Defaults {
    limits: [QuotaLimits; 4],
    burst_ns: u64,
}

impl Quotas {
    pub(crate) fn new(book: Arc<QuotaBook>, config: &QuotaConfig, metrics: Metrics) -> Self {
        let quotas = Self {
            book,
            defaults: RwLock::new(Defaults { limits: [QuotaLimits::default(); 4], burst_ns: 0 }),
            has_defaults: AtomicBool::new(false),
            table: Table::new(config.buckets_max),
            metrics,
        };
        quotas.set_defaults(config);
        quotas
    }

    /// Takes other defaults; the size of the table stays.
    pub(crate) fn set_defaults(&self, config: &QuotaConfig) {
        let limits = QuotaScope::ALL.map(|scope| config.limits(scope));
        self.has_defaults.store(limits.iter().any(|limits| !limits.is_empty()), Ordering::Relaxed);
        *self.defaults.write() = Defaults { limits, burst_ns: config.burst_ms.saturating_mul(1_000_000) };
    }

    fn is_used(&self) -> bool {
        self.book.is_used() || self.has_defaults.load(Ordering::Relaxed)
    }

    /// Takes what is sent, if something is left of every quota that it falls under.
    pub(crate) fn send(
        &self,
        session: &Session,
        topic: &TopicName,
        now: impl FnOnce() -> Duration,
        amount: impl FnOnce() -> (u64, u64),
    ) -> Result<(), OverQuota> {
        if !self.is_used() {
            return Ok(());
        }
        let now_ns = nanoseconds(now());
        let claims = self.claims(session, topic, now_ns, SENDING);
        claims.check(now_ns).inspect_err(|over| self.metrics.over_quota(over.scope, over.limit))?;
        let (messages, bytes) = amount();
        claims.take(now_ns, messages, bytes);
        Ok(())
    }

    /// What a call that receives falls under; `None`: under nothing.
    pub(crate) fn receive(
        &self,
        session: &Session,
        topic: &TopicName,
        now: impl FnOnce() -> Duration,
    ) -> Option<Claims> {
        if !self.is_used() {
            return None;
        }
        let claims = self.claims(session, topic, nanoseconds(now()), RECEIVING);
        (!claims.0.is_empty()).then_some(claims)
    }

    /// Whether something may be received now. `last`: the answer goes to the client, and is counted.
    pub(crate) fn check(&self, claims: &Claims, now: Duration, is_last: bool) -> Result<(), OverQuota> {
        let checked = claims.check(nanoseconds(now));
        if let (Err(over), true) = (&checked, is_last) {
            self.metrics.over_quota(over.scope, over.limit);
        }
        checked
    }

    pub(crate) fn forget(&self, session: SessionId) {
        if self.table.len() > 0 {
            self.table.forget_client(session);
            self.metrics.quota_buckets(self.table.len());
        }
    }

    fn claims(&self, session: &Session, topic: &TopicName, now_ns: u64, of: [QuotaLimit; 2]) -> Claims {
        let rules = self.book.rules();
        let defaults = self.defaults.read();
        let mut claims = Claims(SmallVec::new());
        for (scope, default) in QuotaScope::ALL.into_iter().zip(&defaults.limits) {
            let Some(name) = name_of(scope, session, topic) else { continue };
            let limits = limits_of(&rules, scope, name, default);
            if of.iter().all(|limit| limits.get(*limit).is_none()) {
                continue;
            }
            let found = match scope {
                QuotaScope::Client => self.table.of_client(session.id, now_ns),
                _ => self.table.of_name(scope, name, now_ns),
            };
            self.metrics.quota_buckets(self.table.len());
            let buckets = found.unwrap_or_else(|| {
                self.metrics.quota_shared();
                self.table.shared(scope)
            });
            let shared_name: Arc<str> = name.into();
            for limit in of {
                let Some(per_s) = limits.get(limit) else { continue };
                let rate = Rate { per_s, burst_ns: defaults.burst_ns };
                let (name, buckets) = (Arc::clone(&shared_name), Arc::clone(&buckets));
                claims.0.push(Claim { scope, name, limit, rate, buckets });
            }
        }
        claims
    }
}

pub(crate) fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// The name that a call counts under; `None`: it has none in this scope.
fn name_of<'a>(scope: QuotaScope, session: &'a Session, topic: &'a TopicName) -> Option<&'a str> {
    match scope {
        QuotaScope::Client => Some(EACH),
        QuotaScope::User => session.user.as_deref().or(session.certificate.as_deref()),
        QuotaScope::Topic => Some(topic.as_str()),
        QuotaScope::Namespace => topic.namespace(),
    }
}

fn limits_of(rules: &QuotaRules, scope: QuotaScope, name: &str, default: &QuotaLimits) -> QuotaLimits {
    if rules.is_empty() {
        return *default;
    }
    let rule = |name: &str| rules.get(&(scope, name.to_owned()));
    rule(name).or_else(|| rule(EACH)).copied().unwrap_or(*default)
}
