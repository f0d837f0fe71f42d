//! Workers that schedule.

use std::sync::Arc;

use anyhow::{Context, Result};
use futures::future::try_join_all;

use super::super::Run;
use super::super::produce::spawn;
use super::super::tally::Latencies;
use super::super::wire::Wire;
use super::plan::Plan;

/// Sends all messages of a plan. What fails ends it: it could not be told whether it was stored.
pub(super) async fn all(run: &Arc<Run>, wires: &[Arc<dyn Wire>], plan: Plan) -> Result<()> {
    let plan = Arc::new(plan);
    let mut workers = Vec::new();
    for wire in wires {
        for _ in 0..run.args.in_flight {
            workers.push(spawn(worker(Arc::clone(run), Arc::clone(wire), Arc::clone(&plan))));
        }
    }
    try_join_all(workers).await.map(drop)
}

async fn worker(run: Arc<Run>, wire: Arc<dyn Wire>, plan: Arc<Plan>) -> Result<()> {
    let mut latencies = Latencies::new();
    let filling = vec![b'x'; run.args.size as usize];
    loop {
        let parcels = plan.next(u64::from(run.args.batch), &filling);
        if parcels.is_empty() {
            run.tally.merge(latencies);
            return Ok(());
        }
        let count = parcels.len() as u64;
        let before = run.now();
        wire.send(parcels).await.context("timed messages could not be scheduled")?;
        latencies.add(run.now().saturating_sub(before), count);
        run.tally.sent(count, run.pace.elapsed());
    }
}
