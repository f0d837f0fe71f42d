//! The way that every call takes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use base::{Budget, Clock, Share};
use model::admin::AdminPermission;
use model::latency::Latencies;
use model::quota::QuotaBook;
use model::throttled::ThrottleBook;
use model::{Engine, Kind, Kinded, NewMessage, Session, TopicName};
use tracing::Instrument;

use crate::admission::{Admission, Seat};
use crate::config::{GuardConfig, QuotaConfig};
use crate::limits::QUOTA_LOOK_MS;
use crate::metrics::{Metrics, Verb};
use crate::permit::{Action, Permit};
use crate::quota::{Claims, Quotas, nanoseconds};
use crate::refuse::Refusal;
use crate::spans::Tracer;

/// An engine, guarded. It is an engine itself.
pub struct Guarded<E> {
    pub(crate) engine: Arc<E>,
    pub(crate) permissions: HashMap<&'static str, AdminPermission>,
    clock: Arc<dyn Clock>,
    pub(crate) permit: Arc<dyn Permit>,
    admission: Admission,
    requests: Arc<Budget>,
    quotas: Quotas,
    throttled: Arc<ThrottleBook>,
    metrics: Metrics,
    sends: Arc<Latencies>,
    /// `None`: no spans are made.
    pub(crate) tracer: Option<Arc<Tracer>>,
}

/// A call under way. Dropped before it is finished, it counts as abandoned.
pub(crate) struct Running<'a> {
    metrics: &'a Metrics,
    clock: &'a dyn Clock,
    session: &'a Session,
    verb: Verb,
    started: Duration,
    finished: bool,
    sends: &'a Latencies,
}

impl<E: Engine> Guarded<E> {
    #[must_use]
    pub fn new(
        engine: Arc<E>,
        config: &GuardConfig,
        clock: Arc<dyn Clock>,
        permit: Arc<dyn Permit>,
        metrics: Metrics,
    ) -> Self {
        metrics.slow.configure(config);
        let permissions = engine.operations().iter().map(|op| (op.name, op.permission)).collect();
        let admission = Admission::new(config.calls_per_session_max);
        let requests = Budget::new(config.request_bytes_max);
        let quotas = Quotas::new(Arc::default(), &QuotaConfig::default(), metrics.clone());
        let (throttled, sends) = (Arc::default(), Arc::default());
        let tracer = None;
        Self {
            engine,
            permissions,
            clock,
            permit,
            admission,
            requests,
            quotas,
            throttled,
            metrics,
            sends,
            tracer,
        }
    }

    /// With the quotas of `book`, and of `config` where it has none.
    #[must_use]
    pub fn with_quotas(self, book: Arc<QuotaBook>, config: &QuotaConfig) -> Self {
        Self { quotas: Quotas::new(book, config, self.metrics.clone()), ..self }
    }

    /// Writes into `book` whose sends are refused.
    #[must_use]
    pub fn with_throttled(self, book: Arc<ThrottleBook>) -> Self {
        Self { throttled: book, ..self }
    }

    /// Adds how long sends take to `sends`.
    #[must_use]
    pub fn with_latencies(self, sends: Arc<Latencies>) -> Self {
        Self { sends, ..self }
    }

    /// Tells `tracer` what is done with sampled messages.
    #[must_use]
    pub fn with_tracer(self, tracer: Option<Arc<Tracer>>) -> Self {
        Self { tracer, ..self }
    }

    /// Takes other quotas where the book has none.
    pub fn set_quotas(&self, config: &QuotaConfig) {
        self.quotas.set_defaults(config);
    }

    pub(crate) const fn quotas(&self) -> &Quotas {
        &self.quotas
    }

    /// Counts what is sent, unless that is over a quota.
    pub(crate) fn count_sent(
        &self,
        session: &Session,
        topic: &TopicName,
        messages: &[NewMessage],
    ) -> Result<(), Refusal> {
        let bytes = |message: &NewMessage| message.body.len() + message.properties.as_encoded().len();
        let amount = || (messages.len() as u64, messages.iter().map(|message| bytes(message) as u64).sum());
        let sent = self.quotas.send(session, topic, || self.clock.monotonic(), amount);
        sent.map_err(|over| {
            self.throttled.refused(session, topic, || over.limit_text());
            Refusal::OverQuota(over)
        })
    }

    /// Waits, no longer than for messages, until something may be received. `wait_ms` becomes what is left of
    /// the wait, `max_messages` no more than what may be received now.
    pub(crate) async fn await_quota(
        &self,
        claims: &Claims,
        wait_ms: &mut i64,
        max_messages: &mut u32,
    ) -> Result<(), Refusal> {
        let start = self.clock.monotonic();
        let patience = Duration::from_millis(u64::try_from(*wait_ms).unwrap_or_default());
        loop {
            let now = self.clock.monotonic();
            let left = patience.saturating_sub(now.saturating_sub(start));
            match self.quotas.check(claims, now, left.is_zero()) {
                Ok(()) => {
                    *wait_ms = i64::try_from(left.as_millis()).unwrap_or(i64::MAX);
                    let messages = claims.messages_left(nanoseconds(now));
                    *max_messages = (*max_messages).min(u32::try_from(messages).unwrap_or(u32::MAX));
                    return Ok(());
                }
                Err(over) if left.is_zero() => return Err(Refusal::OverQuota(over)),
                Err(over) => {
                    let pause = Duration::from_millis(over.wait_ms.max(QUOTA_LOOK_MS));
                    self.clock.sleep(pause.min(left)).await;
                }
            }
        }
    }

    /// Counts what is received.
    pub(crate) fn count_received(&self, claims: Option<&Claims>, bytes: impl Iterator<Item = usize>) {
        let Some(claims) = claims else { return };
        let (messages, bytes) = bytes.fold((0, 0), |(n, sum), len| (n + 1, sum + len as u64));
        claims.take(nanoseconds(self.clock.monotonic()), messages, bytes);
    }

    /// What a call that receives falls under.
    pub(crate) fn claims(&self, session: &Session, topic: &TopicName) -> Option<Claims> {
        self.quotas.receive(session, topic, || self.clock.monotonic())
    }

    /// From now on takes only calls that finish earlier work (acknowledgements, offsets).
    pub fn drain(&self) {
        self.admission.drain();
    }

    /// Puts changed settings into force.
    pub fn reconfigure(&self, config: &GuardConfig) {
        self.metrics.slow.configure(config);
        self.admission.set_max(config.calls_per_session_max);
        self.requests.set_max(config.request_bytes_max);
    }

    /// Bytes of messages that are being sent.
    #[must_use]
    pub const fn requests(&self) -> &Arc<Budget> {
        &self.requests
    }

    /// Room for a request while it is worked on.
    pub(crate) fn hold(&self, bytes: usize) -> Result<Share, Refusal> {
        self.requests.take(bytes).ok_or_else(|| {
            let refusal = Refusal::Full { max: self.requests.max() };
            self.metrics.refused(refusal.label());
            refusal
        })
    }

    /// Whether the session may. Asked before the request is given away, so that it need not be copied.
    pub(crate) fn ask(&self, session: &Session, action: Action<'_>) -> Result<(), Refusal> {
        self.permit.may(session, action).map_err(Refusal::Denied)
    }

    /// Lets a call in, or counts that it may not.
    pub(crate) fn admit(
        &self,
        session: &Session,
        verb: Verb,
        leave: Result<(), Refusal>,
    ) -> Result<Seat<'_>, Refusal> {
        let seat = self.admission.enter(session.id, verb.ends_work());
        let admitted = seat.and_then(|seat| leave.map(|()| seat));
        admitted.inspect_err(|refusal| self.metrics.refused(refusal.label()))
    }

    pub(crate) fn start<'a>(&'a self, session: &'a Session, verb: Verb) -> Running<'a> {
        self.metrics.started(verb);
        let clock = self.clock.as_ref();
        let (metrics, sends, started) = (&self.metrics, &*self.sends, clock.monotonic());
        Running { metrics, clock, session, verb, started, finished: false, sends }
    }

    /// Lets a call that may fail through.
    pub(crate) async fn call<T, Error>(
        &self,
        session: &Session,
        verb: Verb,
        leave: Result<(), Refusal>,
        work: impl Future<Output = Result<T, Error>> + Send,
    ) -> Result<T, Error>
    where
        Error: Kinded + From<Refusal>,
    {
        let running = self.start(session, verb);
        let result = match self.admit(session, verb, leave) {
            Ok(_seat) => work.instrument(span(verb, session)).await,
            Err(refusal) => Err(refusal.into()),
        };
        running.finish(result.as_ref().err().map(Kinded::kind));
        result
    }

    /// Lets a call through that cannot fail; `refused` is answered where it may not.
    pub(crate) async fn call_sure<T>(
        &self,
        session: &Session,
        verb: Verb,
        leave: Result<(), Refusal>,
        work: impl Future<Output = T> + Send,
        refused: impl FnOnce(Refusal) -> T,
    ) -> T {
        let running = self.start(session, verb);
        match self.admit(session, verb, leave) {
            Ok(_seat) => {
                let result = work.instrument(span(verb, session)).await;
                running.finish(None);
                result
            }
            Err(refusal) => {
                running.finish(Some(refusal.kind()));
                refused(refusal)
            }
        }
    }

    /// Counts errors inside an answer that is none itself.
    pub(crate) fn count_errors<T, Error: Kinded>(&self, verb: Verb, results: &[Result<T, Error>]) {
        for error in results.iter().filter_map(|result| result.as_ref().err()) {
            self.metrics.failed(verb, error.kind());
        }
    }
}

pub(crate) fn span(verb: Verb, session: &Session) -> tracing::Span {
    tracing::debug_span!("verb", verb = verb.name(), protocol = session.protocol, session = %session.id)
}

impl Running<'_> {
    pub(crate) fn finish(mut self, error: Option<Kind>) {
        self.finished = true;
        let now = self.clock.monotonic();
        let took = now.saturating_sub(self.started);
        self.metrics.finished(self.verb, took);
        self.metrics.answered(self.session.protocol, self.verb, took, error.is_some());
        self.metrics.slow.ended(self.session, self.verb, took, now);
        if self.verb == Verb::Publish && error.is_none() {
            self.sends.add(took);
        }
        if let Some(kind) = error {
            self.metrics.failed(self.verb, kind);
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if !self.finished {
            self.metrics.abandoned(self.verb);
        }
    }
}
