//! Consumers of what fires: each message once, not early, and how late.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use futures::future::try_join_all;

use super::super::produce::spawn;
use super::super::tally::{Latencies, Tally};
use super::super::wire::{Taken, Wire};
use super::super::{Protocol, Run};
use super::plan::planned;
use super::report::{Fired, Lateness};

/// What has not come so long after its time does not come any more.
const PATIENCE_MS: i64 = 30_000;
const LOOK: Duration = Duration::from_millis(20);
const PAUSE: Duration = Duration::from_millis(10);

/// How often a consumer settles: a 4.x client commits its offsets every 5 s, one of 5.x acknowledges
/// what it has handled.
const fn settles_every(protocol: Protocol) -> Duration {
    match protocol {
        Protocol::Remoting => Duration::from_secs(5),
        Protocol::Grpc => Duration::ZERO,
    }
}

/// Who receives.
pub(super) struct Consumers {
    pub(super) run: Arc<Run>,
    pub(super) wires: Vec<Arc<dyn Wire>>,
}

/// What is to come, and what has.
pub(super) struct Burst {
    count: u64,
    end_ms: i64,
    seen: Vec<AtomicBool>,
    received: AtomicU64,
    repeated: AtomicU64,
    early: AtomicU64,
    failed: AtomicU64,
    here: Tally,
    in_log: Tally,
}

impl Burst {
    pub(super) fn new(count: u64, begin_ms: i64, within_ms: i64) -> Self {
        Self {
            count,
            end_ms: begin_ms + within_ms,
            seen: (0..count).map(|_| AtomicBool::new(false)).collect(),
            received: AtomicU64::new(0),
            repeated: AtomicU64::new(0),
            early: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            here: Tally::default(),
            in_log: Tally::default(),
        }
    }

    /// Receives until all have come, or time is over.
    pub(super) async fn consume(self, consumers: &Consumers) -> Result<Arc<Self>> {
        let burst = Arc::new(self);
        let Consumers { run, wires } = consumers;
        // A reader of queues keeps an offset for each: more readers than queues have nothing to do.
        let workers = match run.args.protocol {
            Protocol::Remoting => run.args.queues() as usize,
            Protocol::Grpc => wires.len() * run.args.in_flight as usize,
        };
        let tasks = (0..workers).filter_map(|worker| {
            let wire = Arc::clone(wires.get(worker % wires.len().max(1))?);
            Some(spawn(work(Arc::clone(&burst), Arc::clone(run), wire, (worker, workers))))
        });
        try_join_all(tasks).await?;
        Ok(burst)
    }

    fn is_over(&self, now_ms: i64) -> bool {
        self.received.load(Ordering::Relaxed) >= self.count || now_ms > self.end_ms + PATIENCE_MS
    }

    fn take(&self, taken: &[Taken], run: &Run, here: &mut Latencies, in_log: &mut Latencies) {
        let now_ms = run.doors.clock.now_ms();
        let after = |at_ms: i64, due_ms: i64| {
            Duration::from_millis(at_ms.saturating_sub(due_ms).max(0).unsigned_abs())
        };
        for message in taken {
            let Some((due_ms, index)) = planned(&message.body, run.id) else { continue };
            let seen = usize::try_from(index).ok().and_then(|index| self.seen.get(index));
            if seen.is_none_or(|seen| seen.swap(true, Ordering::Relaxed)) {
                self.repeated.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            if now_ms < due_ms || message.stored_ms < due_ms {
                self.early.fetch_add(1, Ordering::Relaxed);
            }
            here.add(after(now_ms, due_ms), 1);
            in_log.add(after(message.stored_ms, due_ms), 1);
            self.received.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn report(&self, cpu: Duration) -> Fired {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let received = count(&self.received);
        Fired {
            messages: self.count,
            received,
            missing: self.count.saturating_sub(received),
            repeated: count(&self.repeated),
            early: count(&self.early),
            failed_requests: count(&self.failed),
            cpu_seconds: cpu.as_secs_f64(),
            late_in_log_ms: Lateness::of(&self.in_log),
            late_at_consumer_ms: Lateness::of(&self.here),
        }
    }
}

async fn work(
    burst: Arc<Burst>,
    run: Arc<Run>,
    wire: Arc<dyn Wire>,
    (worker, workers): (usize, usize),
) -> Result<()> {
    let (mut here, mut in_log) = (Latencies::new(), Latencies::new());
    let (mut unsettled, mut settled_at) = (Vec::new(), run.now());
    while !burst.is_over(run.doors.clock.now_ms()) {
        let answer = tokio::select! {
            answer = wire.receive(worker, workers) => answer,
            () = until_over(&burst, &run) => break,
        };
        let outcome = match answer {
            Ok(taken) if taken.is_empty() => Ok(()),
            Ok(taken) => {
                burst.take(&taken, &run, &mut here, &mut in_log);
                unsettled.extend(taken);
                if run.now().saturating_sub(settled_at) >= settles_every(run.args.protocol) {
                    settled_at = run.now();
                    wire.settle(std::mem::take(&mut unsettled)).await
                } else {
                    Ok(())
                }
            }
            Err(error) => Err(error),
        };
        if outcome.is_err() {
            burst.failed.fetch_add(1, Ordering::Relaxed);
            run.doors.clock.sleep(PAUSE).await;
        }
    }
    burst.here.merge(here);
    burst.in_log.merge(in_log);
    wire.settle(unsettled).await
}

/// A receive waits long; the end does not wait for it.
async fn until_over(burst: &Burst, run: &Run) {
    while !burst.is_over(run.doors.clock.now_ms()) {
        run.doors.clock.sleep(LOOK).await;
    }
}
