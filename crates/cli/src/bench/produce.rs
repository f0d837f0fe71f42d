//! Workers that send.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use futures::future::try_join_all;

use super::tally::Latencies;
use super::wire::{Parcel, Wire, stamped};
use super::{Mode, Run};

/// After so many failed requests something is wrong for good.
const ERRORS_MAX: u64 = 1_000;
/// A server that refuses is not asked again at once.
const PAUSE: Duration = Duration::from_millis(10);

/// Sends until the pace says that it is enough.
pub(crate) async fn all(run: &Arc<Run>, wires: &[Arc<dyn Wire>]) -> Result<()> {
    let mut workers = Vec::new();
    for wire in wires {
        for _ in 0..run.args.in_flight {
            workers.push(spawn(worker(Arc::clone(run), Arc::clone(wire))));
        }
    }
    try_join_all(workers).await.map(drop)
}

/// Runs a worker on all threads; its panic is an error of the run.
#[expect(clippy::disallowed_methods, reason = "a tool runs in the real world only")]
pub(crate) async fn spawn(work: impl Future<Output = Result<()>> + Send + 'static) -> Result<()> {
    tokio::spawn(work).await?
}

async fn worker(run: Arc<Run>, wire: Arc<dyn Wire>) -> Result<()> {
    let mut latencies = Latencies::new();
    let filling = vec![b'x'; run.args.size as usize];
    while let Some(ticket) = run.pace.ticket(u64::from(run.args.batch)).await {
        let now_us = u64::try_from(ticket.due.as_micros()).unwrap_or(u64::MAX);
        let parcel = |_| Parcel { body: stamped(&filling, run.id, now_us), due_ms: None };
        match wire.send((0..ticket.messages).map(parcel).collect()).await {
            Ok(()) => {
                run.tally.sent(ticket.messages, run.pace.elapsed());
                // In an end-to-end run the receipts are timed.
                if run.args.mode == Mode::Send {
                    latencies.add(run.now().saturating_sub(ticket.due), ticket.messages);
                }
            }
            Err(error) if run.tally.failed(&error) >= ERRORS_MAX => {
                bail!("stopped after {ERRORS_MAX} failed requests: {error:#}");
            }
            Err(_) => run.doors.clock.sleep(PAUSE).await,
        }
    }
    run.tally.merge(latencies);
    Ok(())
}
