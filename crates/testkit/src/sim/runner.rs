//! Runs a suite over a range of seeds, on several threads, and adds up what was found.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::{Outcome, Suite};
use crate::caught::caught;
use crate::trace::Trace;

/// What a range of seeds gave.
#[derive(Debug, Default)]
pub struct Summary {
    pub seeds: u64,
    pub events: u64,
    pub faults: BTreeMap<&'static str, u64>,
    pub steps: BTreeMap<&'static str, u64>,
    /// Seeds that failed and why, in order.
    pub failures: BTreeMap<u64, String>,
}

impl Summary {
    fn add(&mut self, outcome: Outcome) {
        self.seeds += 1;
        self.events += outcome.events;
        for fault in &outcome.faults {
            *self.faults.entry(fault.fault).or_insert(0) += 1;
        }
        for (step, n) in outcome.steps {
            *self.steps.entry(step).or_insert(0) += n;
        }
        if let Some(failure) = outcome.failure {
            self.failures.insert(outcome.seed, failure);
        }
    }
}

/// Runs one seed; a panic is a failure like any other.
#[must_use]
pub fn run_seed(suite: &Suite, seed: u64, trace: &Trace) -> Outcome {
    caught(|| (suite.run)(seed, trace.clone())).unwrap_or_else(|panic| Outcome {
        seed,
        failure: Some(panic),
        faults: Vec::new(),
        steps: BTreeMap::new(),
        events: trace.events(),
        hash: trace.hash(),
    })
}

/// Runs every seed of a range on `threads` threads.
#[must_use]
pub fn run_seeds(suite: &Suite, seeds: Range<u64>, threads: usize) -> Summary {
    let next = AtomicU64::new(seeds.start);
    let summary = Mutex::new(Summary::default());
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    let outcome = run_seed(suite, seed, &Trace::default());
                    summary.lock().add(outcome);
                }
            });
        }
    });
    summary.into_inner()
}
