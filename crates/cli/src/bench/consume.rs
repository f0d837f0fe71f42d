//! Workers that receive and acknowledge.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use futures::future::try_join_all;

use super::produce::spawn;
use super::tally::Latencies;
use super::wire::{Taken, Wire, sent_us};
use super::{Mode, Protocol, Run};

const ERRORS_MAX: u64 = 1_000;
const PAUSE: Duration = Duration::from_millis(10);

/// Receives until all is there: what was sent, what was asked for, or what the topic holds.
pub(crate) async fn all(run: &Arc<Run>, wires: &[Arc<dyn Wire>]) -> Result<()> {
    // A reader of queues keeps an offset for each: more readers than queues have nothing to do.
    let per_wire = match run.args.protocol {
        Protocol::Remoting => {
            (run.args.queues() as usize).div_ceil(wires.len()).min(run.args.in_flight as usize)
        }
        Protocol::Grpc => run.args.in_flight as usize,
    };
    let workers = wires.len() * per_wire.max(1);
    let mut tasks = Vec::new();
    for worker in 0..workers {
        let Some(wire) = wires.get(worker % wires.len()) else { continue };
        tasks.push(spawn(work(Arc::clone(run), Arc::clone(wire), worker, workers)));
    }
    try_join_all(tasks).await.map(drop)
}

fn is_done(run: &Run) -> bool {
    // Asked before counting: what is counted after the last producer is all that was sent.
    let is_all_sent = run.tally.are_producers_done();
    let (sent, received, _) = run.tally.counts();
    match run.args.mode {
        Mode::Drain => run.pace.is_over() || run.pace.count().is_some_and(|count| received >= count),
        _ => is_all_sent && received >= sent,
    }
}

async fn work(run: Arc<Run>, wire: Arc<dyn Wire>, worker: usize, workers: usize) -> Result<()> {
    let mut latencies = Latencies::new();
    while !is_done(&run) {
        let began = run.now();
        let is_all_sent = run.tally.are_producers_done();
        let answer = tokio::select! {
            answer = wire.receive(worker, workers) => answer,
            () = until_done(&run) => break,
        };
        let outcome = match answer {
            // Whoever finds nothing in a drain, or behind the last message, is through.
            Ok(taken) if taken.is_empty() && (run.args.mode == Mode::Drain || is_all_sent) => break,
            Ok(taken) if taken.is_empty() => Ok(()),
            Ok(taken) => {
                count(&run, &taken, began, &mut latencies);
                wire.settle(taken).await
            }
            Err(error) => Err(error),
        };
        if let Err(error) = outcome {
            if run.tally.failed(&error) >= ERRORS_MAX {
                bail!("stopped after {ERRORS_MAX} failed requests: {error:#}");
            }
            run.doors.clock.sleep(PAUSE).await;
        }
    }
    run.tally.merge(latencies);
    Ok(())
}

/// A receive waits long; the end of the run does not wait for it.
async fn until_done(run: &Run) {
    while !is_done(run) {
        run.doors.clock.sleep(Duration::from_millis(50)).await;
    }
}

fn count(run: &Run, taken: &[Taken], began: Duration, latencies: &mut Latencies) {
    let now = run.now();
    if run.args.mode == Mode::Drain {
        latencies.add(now.saturating_sub(began), 1);
        run.tally.received(taken.len() as u64, run.pace.elapsed());
        return;
    }
    for sent in taken.iter().filter_map(|message| sent_us(&message.body, run.id)) {
        latencies.add(now.saturating_sub(Duration::from_micros(sent)), 1);
        run.tally.received(1, run.pace.elapsed());
    }
}
