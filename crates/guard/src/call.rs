//! The way that every call takes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use base::{Budget, Clock, Share};
use model::admin::AdminPermission;
use model::{Engine, Kind, Kinded, Session};
use tracing::Instrument;

use crate::admission::{Admission, Seat};
use crate::config::GuardConfig;
use crate::metrics::{Metrics, Verb};
use crate::permit::{Action, Permit};
use crate::refuse::Refusal;

/// An engine, guarded. It is an engine itself.
pub struct Guarded<E> {
    pub(crate) engine: Arc<E>,
    pub(crate) permissions: HashMap<&'static str, AdminPermission>,
    clock: Arc<dyn Clock>,
    permit: Arc<dyn Permit>,
    admission: Admission,
    requests: Arc<Budget>,
    metrics: Metrics,
}

/// A call under way. Dropped before it is finished, it counts as abandoned.
struct Running<'a> {
    metrics: &'a Metrics,
    clock: &'a dyn Clock,
    verb: Verb,
    started: Duration,
    finished: bool,
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
        let permissions = engine.operations().iter().map(|op| (op.name, op.permission)).collect();
        let admission = Admission::new(config.calls_per_session_max);
        let requests = Budget::new(config.request_bytes_max);
        Self { engine, permissions, clock, permit, admission, requests, metrics }
    }

    /// From now on takes only calls that finish earlier work (acknowledgements, offsets).
    pub fn drain(&self) {
        self.admission.drain();
    }

    /// Bytes of messages that are being sent.
    #[must_use]
    pub const fn requests(&self) -> &Arc<Budget> {
        &self.requests
    }

    /// Room for a request while it is worked on.
    pub(crate) fn hold(&self, bytes: usize) -> Result<Share, Refusal> {
        self.requests.take(bytes).ok_or(Refusal::Full { max: self.requests.max() })
    }

    fn admit(&self, session: &Session, verb: Verb, action: Action<'_>) -> Result<Seat<'_>, Refusal> {
        let seat = self.admission.enter(session.id, verb.ends_work())?;
        self.permit.may(session, action).map_err(Refusal::Denied)?;
        Ok(seat)
    }

    fn start(&self, verb: Verb) -> Running<'_> {
        self.metrics.started(verb);
        let clock = self.clock.as_ref();
        Running { metrics: &self.metrics, clock, verb, started: clock.monotonic(), finished: false }
    }

    /// Lets a call that may fail through.
    pub(crate) async fn call<T, Error>(
        &self,
        session: &Session,
        verb: Verb,
        action: Action<'_>,
        work: impl Future<Output = Result<T, Error>> + Send,
    ) -> Result<T, Error>
    where
        Error: Kinded + From<Refusal>,
    {
        let running = self.start(verb);
        let result = match self.admit(session, verb, action) {
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
        action: Action<'_>,
        work: impl Future<Output = T> + Send,
        refused: impl FnOnce(Refusal) -> T,
    ) -> T {
        let running = self.start(verb);
        match self.admit(session, verb, action) {
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

fn span(verb: Verb, session: &Session) -> tracing::Span {
    tracing::debug_span!("verb", verb = verb.name(), protocol = session.protocol, session = %session.id)
}

impl Running<'_> {
    fn finish(mut self, error: Option<Kind>) {
        self.finished = true;
        self.metrics.finished(self.verb, self.clock.monotonic().saturating_sub(self.started));
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
