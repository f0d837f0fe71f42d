//! Spans of sampled messages: what producers, this node and consumers did with them, for OpenTelemetry.
//!
//! ```text
//! send      [born ───────────────────── stored]            producer, child of the sender's span if it came
//!   publish          [asked ──── answered]                 this node
//!   receive                        [asked ── answered]     consumers that pull, and keep offsets by themselves
//!   process                              [handed out ─────────────── ended]    every other delivery
//!     ack                                              [asked ── answered]     this node
//! ```
//! A delivery ends by an acknowledgement, as a dead letter, or when its time is over. Who is sampled stands in
//! [`context`]. A message that is not costs one pass over its properties; without a [`Tracer`] a call costs one
//! branch. What is done goes to a bounded queue that somebody else empties; when it is full, spans are
//! dropped and counted.
//!
//! Reading order: [`context`], `pace`, [`span`], `deliveries`, `calls`.

mod calls;
pub mod context;
mod deliveries;
mod pace;
pub mod span;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use base::{Chance, Clock};
use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::sync::mpsc::{self, Receiver, Sender};

use self::context::{Context, SpanId};
use self::deliveries::{Deliveries, UnderWay};
use self::pace::Pace;
use self::span::{Span, SpanError};

pub use self::context::{TraceId, Traceparent};
pub use self::span::{SpanKind, Value};

/// What is sampled, and how much is held for it.
#[derive(Debug, Clone, Copy)]
pub struct TracerSettings {
    /// The part of messages without a `traceparent` that is told, 0 to 1.
    pub sample_ratio: f64,
    /// Of these so many a second, about; 0: all.
    pub traces_per_s_max: u32,
    /// Spans that wait to be taken.
    pub spans_waiting_max: usize,
    /// Deliveries that are remembered until they end.
    pub deliveries_max: usize,
}

/// What became of spans.
#[derive(Debug, Clone, Default)]
pub struct SpanMetrics {
    made: Counter,
    dropped: Counter,
    under_way: Gauge,
    unkept: Counter,
    ratio: Gauge<f64, AtomicU64>,
}

impl SpanMetrics {
    pub fn register(&self, registry: &mut Registry) {
        registry.register("spans_made", "Spans of sampled messages", self.made.clone());
        registry.register(
            "spans_dropped",
            "Spans dropped because `telemetry.spans_waiting_max` wait to be exported",
            self.dropped.clone(),
        );
        registry.register(
            "spans_deliveries",
            "Sampled deliveries that are under way, remembered for their spans",
            self.under_way.clone(),
        );
        registry.register(
            "spans_deliveries_unkept",
            "Sampled deliveries without a span, because `telemetry.deliveries_max` are under way",
            self.unkept.clone(),
        );
        registry.register(
            "spans_sample_ratio",
            "Part of the messages without a traceparent that are told now: less than `telemetry.sample_ratio` while more than `telemetry.traces_per_s_max` would be",
            self.ratio.clone(),
        );
    }
}

/// Makes spans of what the verbs do.
pub struct Tracer {
    pace: Pace,
    deliveries_max: usize,
    clock: Arc<dyn Clock>,
    chance: Arc<dyn Chance>,
    deliveries: Mutex<Deliveries>,
    queue: Sender<Span>,
    metrics: SpanMetrics,
}

/// When a call began.
#[derive(Debug, Clone, Copy)]
struct Began {
    ns: u64,
    monotonic: Duration,
}

fn ns_of_ms(ms: i64) -> u64 {
    u64::try_from(ms).unwrap_or_default().saturating_mul(1_000_000)
}

impl Tracer {
    /// A tracer, and what it makes.
    #[must_use]
    pub fn new(
        settings: &TracerSettings,
        clock: Arc<dyn Clock>,
        chance: Arc<dyn Chance>,
        metrics: SpanMetrics,
    ) -> (Self, Receiver<Span>) {
        let (queue, spans) = mpsc::channel(settings.spans_waiting_max.max(1));
        let pace = Pace::new(settings.sample_ratio, settings.traces_per_s_max, clock.monotonic());
        let (deliveries, deliveries_max) = (Mutex::default(), settings.deliveries_max);
        (Self { pace, deliveries_max, clock, chance, deliveries, queue, metrics }, spans)
    }

    /// Ends deliveries whose time is over, and looks at how many traces begin; to be called every now and then.
    pub fn sweep(&self) {
        self.pace.look(self.clock.monotonic());
        self.metrics.ratio.set(self.pace.sampler().ratio());
        let expired = {
            let mut deliveries = self.deliveries.lock();
            let expired = deliveries.take_expired(self.clock.now_ms());
            self.count_under_way(&deliveries);
            expired
        };
        for known in expired {
            let end_ns = ns_of_ms(known.expires_ms);
            let error = SpanError::new("expired", "not acknowledged in time");
            self.end_delivery(known, "expired", end_ns, Some(error));
        }
    }

    /// Tells the deliveries that are under way as they are: the node stops.
    pub fn close(&self) {
        let open = self.deliveries.lock().take_all();
        let end_ns = ns_of_ms(self.clock.now_ms());
        open.into_iter().for_each(|known| self.end_delivery(known, "open", end_ns, None));
        self.metrics.under_way.set(0);
    }

    fn end_delivery(&self, known: UnderWay, result: &'static str, end_ns: u64, error: Option<SpanError>) {
        let UnderWay { span, extensions, .. } = known;
        let start_ns = span.start_ns;
        let span = span.with("apogee.delivery.result", result).with("apogee.delivery.extensions", extensions);
        self.tell(span.lasting(start_ns, end_ns).failed(error));
    }

    fn count_under_way(&self, deliveries: &Deliveries) {
        self.metrics.under_way.set(i64::try_from(deliveries.len()).unwrap_or(i64::MAX));
    }

    fn context(&self, properties: &str) -> Option<Context> {
        Context::of(properties, self.pace.sampler())
    }

    fn begin(&self) -> Began {
        Began { ns: ns_of_ms(self.clock.now_ms()), monotonic: self.clock.monotonic() }
    }

    /// Now, as far after the beginning as the monotonic clock says.
    fn end_ns(&self, began: Began) -> u64 {
        let took = self.clock.monotonic().saturating_sub(began.monotonic);
        began.ns.saturating_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX))
    }

    fn new_id(&self) -> SpanId {
        SpanId::of(self.chance.next_u64())
    }

    fn tell(&self, span: Span) {
        self.metrics.made.inc();
        if self.queue.try_send(span).is_err() {
            self.metrics.dropped.inc();
        }
    }
}
