//! Fuzzes one target, or all of them, for a time: `fuzz --target record --seconds 60`.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use testkit::fuzz::{self, Budget, Target};

/// Feeds decoders with damaged input.
#[derive(Debug, Parser)]
struct Options {
    /// Name of a target; all of them one after the other without it.
    #[arg(long)]
    target: Option<String>,
    /// How long each target is fed.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// What decides the inputs.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only name the targets.
    #[arg(long)]
    list: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let all = fuzz::all_targets();
    if options.list {
        all.iter().for_each(|target| println!("{}", target.name));
        return ExitCode::SUCCESS;
    }
    let is_wanted = |t: &&Target| options.target.as_deref().is_none_or(|name| name == t.name);
    let wanted: Vec<&Target> = all.iter().filter(is_wanted).collect();
    if wanted.is_empty() {
        eprintln!("there is no such target; --list names them");
        return ExitCode::FAILURE;
    }
    let mut code = ExitCode::SUCCESS;
    for target in wanted {
        match fuzz::run(target, options.seed, Budget::Time(Duration::from_secs(options.seconds))) {
            Ok(report) => {
                println!(
                    "{:<16} {:>9} inputs, {:>4} outcomes, corpus {}",
                    target.name, report.inputs, report.outcomes, report.corpus
                );
            }
            Err(finding) => {
                println!("{finding}");
                code = ExitCode::FAILURE;
            }
        }
    }
    code
}
