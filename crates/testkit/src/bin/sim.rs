//! Runs simulations: `sim --seeds 2000`, or one seed with its events: `sim --suite store --seed 7`.

use std::process::ExitCode;

use base::Clock;
use clap::Parser;
use testkit::sim::runner::{Summary, run_seed, run_seeds};
use testkit::sim::{SUITES, Suite};
use testkit::trace::Trace;

/// Failing seeds whose events are printed.
const TRACES_MAX: usize = 3;
/// Last events printed of a failing seed.
const LINES_MAX: usize = 60;

/// Drives the engine through faults that a seed decides.
#[derive(Debug, Parser)]
struct Options {
    /// How many seeds each suite runs.
    #[arg(long, default_value_t = 2_000)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Runs this seed alone, twice, and prints its events.
    #[arg(long)]
    seed: Option<u64>,
    /// Only this suite.
    #[arg(long)]
    suite: Option<String>,
    /// Seeds that run at the same time; 0 takes one per processor.
    #[arg(long, default_value_t = 0)]
    threads: usize,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let is_wanted = |s: &&Suite| options.suite.as_deref().is_none_or(|name| name == s.name);
    let suites: Vec<&Suite> = SUITES.iter().filter(is_wanted).collect();
    if suites.is_empty() {
        let names: Vec<&str> = SUITES.iter().map(|s| s.name).collect();
        eprintln!("there is no such suite; there are: {}", names.join(", "));
        return ExitCode::FAILURE;
    }
    let is_good = match options.seed {
        // Every suite runs, also after one that failed.
        Some(seed) => suites.iter().filter(|suite| !explain(suite, seed, usize::MAX)).count() == 0,
        None => suites.iter().filter(|suite| !many(suite, &options)).count() == 0,
    };
    if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn many(suite: &Suite, options: &Options) -> bool {
    let threads = match options.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        n => n,
    };
    let clock = base::SystemClock;
    let before = clock.monotonic();
    let summary = run_seeds(suite, options.from..options.from + options.seeds, threads);
    let took = clock.monotonic().saturating_sub(before).as_secs_f64();
    print(suite, &summary, took);
    for seed in summary.failures.keys().take(TRACES_MAX) {
        explain(suite, *seed, LINES_MAX);
    }
    summary.failures.is_empty()
}

fn print(suite: &Suite, summary: &Summary, took: f64) {
    let Summary { seeds, events, faults, steps, failures } = summary;
    let rate = *seeds as f64 / took.max(0.001);
    println!("suite {}: {seeds} seeds, {events} events, {took:.1} s, {rate:.0} seeds/s", suite.name);
    let list = |counts: &std::collections::BTreeMap<&'static str, u64>| {
        counts.iter().map(|(what, n)| format!("{what} {n}")).collect::<Vec<_>>().join(", ")
    };
    println!("  steps: {}", list(steps));
    println!("  faults: {}", list(faults));
    println!("  failing seeds: {}", failures.len());
    for (seed, why) in failures.iter().take(50) {
        println!("  seed {seed}: {why}");
    }
}

/// Runs a seed with its events as text, and once more to see that it is the same.
fn explain(suite: &Suite, seed: u64, lines_max: usize) -> bool {
    let trace = Trace::with_text();
    let outcome = run_seed(suite, seed, &trace);
    let again = run_seed(suite, seed, &Trace::default());
    let lines = trace.lines();
    println!("suite {} seed {seed}:", suite.name);
    lines.iter().skip(lines.len().saturating_sub(lines_max)).for_each(|line| println!("{line}"));
    println!("hash {:016x}, again {:016x}", outcome.hash, again.hash);
    match &outcome.failure {
        Some(failure) => println!("FAILED: {failure}"),
        None => println!("passed"),
    }
    outcome.failure.is_none() && outcome.hash == again.hash
}
