//! A few seeds of every simulation, and the proof that a seed is one run for ever.

use testkit::sim::SUITES;
use testkit::sim::runner::{run_seed, run_seeds};
use testkit::trace::Trace;

const SEEDS: u64 = 60;

#[test]
fn seeds_hold() {
    for suite in SUITES {
        let summary = run_seeds(suite, 0..SEEDS, 2);
        assert!(summary.failures.is_empty(), "{}: {:#?}", suite.name, summary.failures);
        assert!(summary.faults.len() >= 8, "{} has met few faults: {:?}", suite.name, summary.faults);
    }
}

/// Seeds that found something.
const FOUND: &[(&str, u64)] = &[
    // Two receivers that read old messages, each with a queue that the other waited for.
    ("broker", 1713),
];

#[test]
fn what_was_found_stays_mended() {
    for (name, seed) in FOUND {
        let suite = SUITES.iter().find(|suite| suite.name == *name).expect("a suite");
        let outcome = run_seed(suite, *seed, &Trace::default());
        assert_eq!(outcome.failure, None, "{name} seed {seed}");
    }
}

#[test]
fn the_same_seed_twice_gives_the_same_bytes() {
    for suite in SUITES {
        for seed in 0..20 {
            let first = run_seed(suite, seed, &Trace::default());
            // The text of events must not change what happens.
            let second = run_seed(suite, seed, &Trace::with_text());
            assert_eq!(
                (first.events, first.hash),
                (second.events, second.hash),
                "{} seed {seed}",
                suite.name
            );
        }
    }
}
