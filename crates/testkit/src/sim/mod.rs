//! Seeded simulations: what runs them, and what they report.
//!
//! A suite turns a seed into a run; [`Outcome`] says what was found. One seed is one run for ever:
//! the same seed twice gives the same hash over everything that happened and the same disk.

pub mod broker;
pub mod runner;
pub mod store;

use std::collections::BTreeMap;
use std::fmt;

use crate::disk::fault::FaultEvent;
use crate::trace::Trace;

/// A rule that did not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Number of the invariant in the design, 0 for an error where none was due.
    pub invariant: u8,
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.invariant {
            0 => write!(f, "{}", self.what),
            n => write!(f, "invariant {n}: {}", self.what),
        }
    }
}

/// Result of a step or a check.
pub type Checked<T = ()> = Result<T, Violation>;

/// Fails with the invariant's number unless the condition holds.
pub(crate) fn must(holds: bool, invariant: u8, what: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(Violation { invariant, what: what() }) }
}

/// What became of one seed.
#[derive(Debug, Clone)]
pub struct Outcome {
    pub seed: u64,
    /// What went wrong, if anything: a violation or a panic.
    pub failure: Option<String>,
    pub faults: Vec<FaultEvent>,
    /// How often each kind of step was taken.
    pub steps: BTreeMap<&'static str, u64>,
    pub events: u64,
    /// Of every event and of the final disk.
    pub hash: u64,
}

/// A simulation: a name, and how to run a seed.
#[derive(Debug, Clone, Copy)]
pub struct Suite {
    pub name: &'static str,
    pub run: fn(seed: u64, trace: Trace) -> Outcome,
}

/// All simulations.
pub const SUITES: &[Suite] = &[store::SUITE, broker::SUITE, broker::timers::SUITE];
