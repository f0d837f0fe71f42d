//! Two tasks that push: metrics at an interval, spans as they come. They end when the node stops, with what is left.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base::{Clock, Doors};
use bytes::Bytes;
use guard::spans::Tracer;
use guard::spans::span::Span;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message as _;
use tokio::sync::mpsc::Receiver;
use tokio::sync::{oneshot, watch};

use crate::collector::{Collector, Failure, Partial};
use crate::config::TelemetryConfig;
use crate::endpoint::Endpoint;
use crate::exposition::parse;
use crate::limits::{GATHER, LAST_PUSH, PUSH_ATTEMPTS_MAX, PUSH_PAUSE, SERIES_PER_PUSH_MAX, SWEEP};
use crate::metrics::{Metrics, Signal};
use crate::records;
use crate::series;
use crate::teller::Teller;

/// Tells all metrics as OpenMetrics text. May take a while.
pub type ReadMetrics = Arc<dyn Fn() -> Result<String, fmt::Error> + Send + Sync>;

/// What the export is made of.
pub struct Setup {
    pub config: TelemetryConfig,
    /// The node's name among others.
    pub instance: String,
    pub read: ReadMetrics,
    /// Who makes spans, and what it makes.
    pub spans: Option<(Arc<Tracer>, Receiver<Span>)>,
    pub metrics: Metrics,
}

/// A running export.
pub struct Export {
    clock: Arc<dyn Clock>,
    stop: watch::Sender<bool>,
    done: Vec<oneshot::Receiver<()>>,
}

impl Export {
    /// Pushes from now on, if there is somewhere to push to.
    ///
    /// # Errors
    /// If the settings are not sound.
    pub fn start(doors: &Doors, setup: Setup) -> Result<Option<Self>, String> {
        let Setup { config, instance, read, spans, metrics } = setup;
        if config.otlp_endpoint.is_empty() {
            return Ok(None);
        }
        let place = Endpoint::parse(&config.otlp_endpoint)?.place().to_owned();
        let (stop, stopped) = watch::channel(false);
        let mut export = Self { clock: Arc::clone(&doors.clock), stop, done: Vec::new() };
        let push = |signal: Signal| Push {
            doors: doors.clone(),
            config: config.clone(),
            resource: records::resource(&instance),
            teller: Teller::new(Arc::clone(&doors.clock), signal, place.clone()),
            metrics: metrics.clone(),
            stopped: stopped.clone(),
        };
        if config.metrics {
            let start_ns = now_ns(&*doors.clock);
            export.run(doors, "telemetry-metrics", push_metrics(push(Signal::Metrics), read, start_ns));
        }
        if let Some((tracer, spans)) = spans {
            export.run(doors, "telemetry-traces", push_spans(push(Signal::Traces), tracer, spans));
        }
        Ok(Some(export))
    }

    fn run(&mut self, doors: &Doors, name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        let (done, ended) = oneshot::channel::<()>();
        self.done.push(ended);
        let work = async move {
            work.await;
            drop(done);
        };
        doors.spawn.spawn(name, Box::pin(work));
    }

    /// Pushes what is left, as far as the collector takes it soon.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        let ends = async {
            for done in self.done {
                // It is dropped where the task ends.
                let _ = done.await;
            }
        };
        tokio::select! {
            () = ends => {}
            () = self.clock.sleep(LAST_PUSH) => {}
        }
    }
}

fn now_ns(clock: &dyn Clock) -> u64 {
    u64::try_from(clock.now_ms()).unwrap_or_default().saturating_mul(1_000_000)
}

/// What both tasks need.
struct Push {
    doors: Doors,
    config: TelemetryConfig,
    resource: Resource,
    teller: Teller,
    metrics: Metrics,
    stopped: watch::Receiver<bool>,
}

impl Push {
    fn collector(&self) -> Option<Collector> {
        Collector::new(&self.config)
            .inspect_err(|why| {
                tracing::error!(why, "telemetry is not pushed: the connection cannot be made ready")
            })
            .ok()
    }

    /// Sleeps, but not beyond the node's stop; `true` if it stops.
    async fn pause(&mut self, time: Duration) -> bool {
        tokio::select! {
            () = self.doors.clock.sleep(time) => *self.stopped.borrow(),
            () = ended(&mut self.stopped) => true,
        }
    }

    fn count(&mut self, signal: Signal, result: &Result<Partial, Failure>) {
        match result {
            Ok(partial) => {
                self.metrics.pushed(signal);
                self.teller.worked();
                if partial.refused > 0 {
                    self.teller.failed(&format!("{} refused: {}", partial.refused, partial.why));
                }
            }
            Err(failure) => {
                self.metrics.failed(signal);
                self.teller.failed(&failure.why);
            }
        }
    }
}

async fn ended(stopped: &mut watch::Receiver<bool>) {
    // The sender is dropped only after it has said so.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

async fn push_metrics(mut push: Push, read: ReadMetrics, start_ns: u64) {
    let Some(collector) = push.collector() else { return };
    let interval = Duration::from_millis(push.config.metrics_interval_ms);
    loop {
        let is_last = push.pause(interval).await;
        let span = series::Span { start_ns, now_ns: now_ns(&*push.doors.clock) };
        match gathered(&push, &read, span).await {
            Ok(requests) => {
                for request in requests {
                    let result = collector.push(Signal::Metrics, request).await;
                    push.count(Signal::Metrics, &result);
                    // All values come again at the next time, and higher.
                    if result.is_err() {
                        break;
                    }
                }
            }
            Err(why) => tracing::error!(why, "metrics cannot be pushed: their text is not sound"),
        }
        if is_last {
            return;
        }
    }
}

/// Reads everything: that takes a while where there is much, so no other task waits for it.
async fn gathered(push: &Push, read: &ReadMetrics, span: series::Span) -> Result<Vec<Bytes>, String> {
    let (answer, requests) = oneshot::channel();
    let (read, resource) = (Arc::clone(read), push.resource.clone());
    let work = move || {
        let text = read().map_err(|error| error.to_string());
        let families = text.and_then(|text| parse(&text));
        let requests =
            families.and_then(|families| series::requests(&families, &resource, span, SERIES_PER_PUSH_MAX));
        let encoded = |requests: Vec<ExportMetricsServiceRequest>| {
            requests.iter().map(|request| Bytes::from(request.encode_to_vec())).collect()
        };
        // Who asked may be gone.
        let _ = answer.send(requests.map(encoded));
    };
    push.doors.spawn.blocking(Box::new(work)).await;
    requests.await.unwrap_or_else(|_| Err("the reading broke off".to_owned()))
}

async fn push_spans(mut push: Push, tracer: Arc<Tracer>, mut spans: Receiver<Span>) {
    let Some(collector) = push.collector() else { return };
    let max = push.config.batch_spans_max;
    let mut batch = Vec::new();
    while !*push.stopped.borrow() {
        tokio::select! {
            _ = spans.recv_many(&mut batch, max) => gather(&mut push, &mut batch, &mut spans, max).await,
            () = push.doors.clock.sleep(SWEEP) => {}
            () = ended(&mut push.stopped) => {}
        }
        tracer.sweep();
        push_batch(&mut push, &collector, &mut batch).await;
    }
    tracer.close();
    loop {
        fill(&mut batch, &mut spans, max);
        if batch.is_empty() || !push_batch(&mut push, &collector, &mut batch).await {
            return;
        }
    }
}

/// Waits for a full batch, but not for long.
async fn gather(push: &mut Push, batch: &mut Vec<Span>, spans: &mut Receiver<Span>, max: usize) {
    let mut over = std::pin::pin!(push.pause(GATHER));
    while batch.len() < max {
        let room = max - batch.len();
        tokio::select! {
            // The tracer, and with it the other end, is there for as long as the export.
            _ = spans.recv_many(batch, room) => {}
            _ = &mut over => return,
        }
    }
}

fn fill(batch: &mut Vec<Span>, spans: &mut Receiver<Span>, max: usize) {
    while batch.len() < max {
        match spans.try_recv() {
            Ok(span) => batch.push(span),
            Err(_) => return,
        }
    }
}

/// Pushes a batch, again a few times if it is not taken, then drops it; `false` if it is lost.
async fn push_batch(push: &mut Push, collector: &Collector, batch: &mut Vec<Span>) -> bool {
    if batch.is_empty() {
        return true;
    }
    let count = batch.len() as u64;
    let request = Bytes::from(records::request(&push.resource, std::mem::take(batch)).encode_to_vec());
    let mut pause = PUSH_PAUSE;
    for attempt in 1..=PUSH_ATTEMPTS_MAX {
        let result = collector.push(Signal::Traces, request.clone()).await;
        push.count(Signal::Traces, &result);
        match result {
            Ok(Partial { refused, .. }) => {
                let refused = refused.min(count);
                push.metrics.spans_lost.inc_by(refused);
                push.metrics.spans_taken.inc_by(count - refused);
                return true;
            }
            Err(failure) if failure.may_pass && attempt < PUSH_ATTEMPTS_MAX => {
                if push.pause(pause).await {
                    break;
                }
                pause *= 2;
            }
            Err(_) => break,
        }
    }
    push.metrics.spans_lost.inc_by(count);
    false
}
