//! A small mutational fuzzer for the stable toolchain.
//!
//! It needs no instrumented build: a target returns a number for *what happened* (which error,
//! which branch), and inputs that make something new happen join the corpus. Seeded, so that a
//! finding can be repeated. Crates that `testkit` may not know use it as a dev-dependency:
//!
//! ```
//! use testkit::fuzz::{self, Target};
//!
//! fn decode(bytes: &[u8]) -> u64 {
//!     u64::from(std::str::from_utf8(bytes).is_ok())
//! }
//!
//! let target = Target { name: "utf8", seeds: || vec![b"hello".to_vec()], run: decode, ..Target::EMPTY };
//! fuzz::check(&target, 1, 1000);
//! ```

pub mod mutate;
pub mod store_targets;
pub mod targets;

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use base::{Clock, SystemClock};

use crate::caught::caught;
use crate::rng::Rng;

/// Inputs kept besides the seeds.
const CORPUS_MAX: usize = 2_000;
/// An input that takes longer than this is a finding.
const SLOW: Duration = Duration::from_secs(2);
/// Attempts to make a finding smaller.
const SHRINK_ATTEMPTS: usize = 2_000;

/// Something that takes bytes from outside.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    pub name: &'static str,
    /// Well-formed inputs to start from.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Must neither panic nor take long. Returns a number for what happened.
    pub run: fn(&[u8]) -> u64,
    /// Makes checksums and lengths right again, so that what is behind them is reached. Applied to
    /// half of the inputs.
    pub mend: fn(&mut Vec<u8>),
    /// Longest input.
    pub bytes_max: usize,
}

impl Target {
    /// For `..Target::EMPTY`: accepts anything.
    pub const EMPTY: Self =
        Self { name: "", seeds: Vec::new, run: |_| 0, mend: |_| {}, bytes_max: 64 * 1024 };
}

/// When to stop.
#[derive(Debug, Clone, Copy)]
pub enum Budget {
    Inputs(u64),
    Time(Duration),
}

/// What a run without a finding did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    pub inputs: u64,
    /// Different things that happened.
    pub outcomes: usize,
    pub corpus: usize,
}

/// An input that a target did not survive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub target: &'static str,
    pub seed: u64,
    pub input_number: u64,
    pub what: String,
    /// As small as it could be made.
    pub input: Vec<u8>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { target, seed, input_number, what, input } = self;
        writeln!(f, "target {target}, seed {seed}, input {input_number}: {what}")?;
        write!(f, "{} bytes: ", input.len())?;
        input.iter().take(512).try_for_each(|b| write!(f, "{b:02x}"))
    }
}

fn run_one(target: &Target, input: &[u8]) -> Result<u64, String> {
    let clock = SystemClock;
    let before = clock.monotonic();
    let outcome = caught(|| (target.run)(input))?;
    let took = clock.monotonic().saturating_sub(before);
    if took > SLOW { Err(format!("took {took:?}")) } else { Ok(outcome) }
}

/// Feeds a target until the budget is spent.
///
/// # Errors
/// The first input that the target does not survive.
pub fn run(target: &Target, seed: u64, budget: Budget) -> Result<Report, Box<Finding>> {
    let clock = SystemClock;
    let end = match budget {
        Budget::Time(time) => Some(clock.monotonic() + time),
        Budget::Inputs(_) => None,
    };
    let mut rng = Rng::new(seed);
    let mut corpus = (target.seeds)();
    corpus.push(Vec::new());
    // Every seed goes in as it is first.
    let mut seeds = corpus.clone().into_iter();
    let mut outcomes = BTreeSet::new();
    let mut inputs = 0;
    loop {
        let is_over = match budget {
            Budget::Inputs(n) => inputs >= n,
            // Asking the clock for every input would cost more than most of them.
            Budget::Time(_) => inputs % 64 == 0 && end.is_some_and(|end| clock.monotonic() >= end),
        };
        if is_over {
            return Ok(Report { inputs, outcomes: outcomes.len(), corpus: corpus.len() });
        }
        inputs += 1;
        let input = seeds.next().unwrap_or_else(|| fresh(target, &corpus, &mut rng));
        match run_one(target, &input) {
            Ok(outcome) => {
                if outcomes.insert(outcome) && corpus.len() < CORPUS_MAX {
                    corpus.push(input);
                }
            }
            Err(what) => return Err(Box::new(finding(target, seed, inputs, what, input))),
        }
    }
}

fn fresh(target: &Target, corpus: &[Vec<u8>], rng: &mut Rng) -> Vec<u8> {
    let mut input = mutate::from_corpus(corpus, target.bytes_max, rng);
    if rng.percent(50) {
        (target.mend)(&mut input);
    }
    input
}

fn finding(target: &Target, seed: u64, input_number: u64, what: String, input: Vec<u8>) -> Finding {
    let still_fails = |candidate: &[u8]| run_one(target, candidate).is_err();
    let is_slow = what.starts_with("took");
    let input = if is_slow { input } else { mutate::shrink(input, SHRINK_ATTEMPTS, still_fails) };
    Finding { target: target.name, seed, input_number, what, input }
}

/// Feeds a target a number of inputs: for tests.
///
/// # Panics
/// With the finding, if there is one.
pub fn check(target: &Target, seed: u64, inputs: u64) -> Report {
    match run(target, seed, Budget::Inputs(inputs)) {
        Ok(report) => report,
        Err(finding) => panic!("{finding}"),
    }
}

/// All targets that this crate may know.
#[must_use]
pub fn all_targets() -> Vec<Target> {
    let mut all = targets::ALL.to_vec();
    all.extend_from_slice(store_targets::ALL);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fragile(bytes: &[u8]) -> u64 {
        assert!(!(bytes.len() > 3 && bytes[2] == 0xFF), "found it");
        bytes.len() as u64
    }

    const FRAGILE: Target =
        Target { name: "fragile", seeds: || vec![b"harmless input".to_vec()], run: fragile, ..Target::EMPTY };

    #[test]
    fn a_weak_spot_is_found_and_made_small() {
        let finding = run(&FRAGILE, 1, Budget::Inputs(100_000)).unwrap_err();
        assert!(finding.what.contains("found it"));
        assert_eq!(finding.input.len(), 4, "{finding}");
        assert_eq!(run(&FRAGILE, 1, Budget::Inputs(100_000)).unwrap_err(), finding, "repeatable");
    }

    #[test]
    fn seeds_go_in_first() {
        let target = Target { seeds: || vec![vec![0; 4], vec![0; 5]], run: fragile, ..Target::EMPTY };
        assert_eq!(check(&target, 9, 3), Report { inputs: 3, outcomes: 3, corpus: 6 });
    }
}
