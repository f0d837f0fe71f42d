//! `apogee verify`: is what is on disk whole, and is the stored state what the log says?

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use base::Doors;
use replica::verify::Rederived;

use crate::args::VerifyArgs;
use crate::wiring::group_dir;

/// Checks the data folder and says what was found.
pub(crate) fn run(args: &VerifyArgs) -> Result<ExitCode> {
    let config = args.serve.config()?;
    let dir = group_dir(&config.data.dir);
    let doors = Doors::system();
    if !doors.disk.exists(&dir) {
        bail!("there is no data in {}", config.data.dir.display());
    }
    if doors.disk.lock(&dir).is_err() {
        bail!("{} is in use: stop the engine first", config.data.dir.display());
    }
    println!("checking {}", dir.display());
    let report = store::verify::verify(&doors, &dir);
    println!(
        "log from {} to {}: {} frames, {} records; views: {} runs, {} entries, {} objects, {} keys",
        report.start,
        report.end,
        report.frames,
        report.records,
        report.runs,
        report.entries,
        report.objects,
        report.keys
    );
    if report.tail_bytes > 0 {
        println!(
            "{} bytes behind the end are an unfinished write, which the next start cuts off",
            report.tail_bytes
        );
    }
    for problem in &report.problems {
        println!("DAMAGED: {problem}");
    }
    if !report.is_sound() {
        return Ok(ExitCode::FAILURE);
    }
    if !args.quick {
        return rederive(&doors, &dir, &config.store);
    }
    println!("sound");
    Ok(ExitCode::SUCCESS)
}

fn rederive(doors: &Doors, dir: &std::path::Path, config: &store::StoreConfig) -> Result<ExitCode> {
    let scratch = tempfile::tempdir().context("cannot make a temporary folder")?;
    match broker::verify(doors, dir, scratch.path(), config)? {
        Rederived::Equal(hash) => {
            println!("the state derived anew from the log is the stored one ({hash:016x})\nsound");
            Ok(ExitCode::SUCCESS)
        }
        Rederived::LogTrimmed => {
            println!(
                "the log's beginning is no longer kept, so the state cannot be derived from it alone\nsound"
            );
            Ok(ExitCode::SUCCESS)
        }
        Rederived::Different { stored, derived } => {
            println!("DAMAGED: the stored state ({stored:016x}) is not what the log says ({derived:016x})");
            Ok(ExitCode::FAILURE)
        }
    }
}
