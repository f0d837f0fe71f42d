//! The binary `apogee`: reads the configuration, wires the crates together, runs, stops.
//!
//! ```text
//! main -> args -> serve:  config -> node (wiring) -> banner -> wait for a signal -> drain
//!              -> verify: the engine's own check of a data folder
//!              -> tools:  the command line client (`cli`)
//! ```
//! Reading order: [`args`], [`serve`], [`config`], [`wiring`].
//! What does not belong here: decisions. Every crate has its own; this one only connects them.

mod access;
mod allocator;
pub mod args;
mod banner;
pub mod config;
mod doctor;
mod logging;
pub mod memory;
pub mod serve;
pub mod settings;
mod verify;
mod webhook;
pub mod wiring;

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context, Result};
use base::Doors;
use clap::{CommandFactory, Parser};
use tokio::runtime::Builder;

use crate::args::{Args, Command};

/// Runs the binary: parses the command line, does what it says, reports a failure.
#[must_use]
pub fn main() -> ExitCode {
    let args = Args::parse();
    match run(args) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("apogee: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: Args) -> Result<ExitCode> {
    match args.command {
        None => serve::run(&args.serve),
        Some(Command::Serve(serve)) => serve::run(&serve),
        Some(Command::Verify(verify)) => verify::run(&verify),
        Some(Command::Doctor(serve)) => doctor::run(&serve),
        Some(Command::Config(serve)) => {
            print!("{}", settings::printed(&settings::in_force(&Doors::system(), &serve.config()?)?)?);
            Ok(ExitCode::SUCCESS)
        }
        Some(Command::Openapi) => {
            print(format!("{:#}\n", rest::description()).as_bytes());
            Ok(ExitCode::SUCCESS)
        }
        Some(Command::Completion { shell }) => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Args::command(), "apogee", &mut script);
            print(&script);
            Ok(ExitCode::SUCCESS)
        }
        Some(Command::Tool(tool)) => {
            let runtime = Builder::new_multi_thread().enable_all().build().context("cannot start threads")?;
            let code = runtime.block_on(cli::run(*tool));
            // Nothing that still runs matters to a tool that is done.
            runtime.shutdown_background();
            code
        }
    }
}

/// Who reads no more (`| head`) has what it wants.
fn print(text: &[u8]) {
    let _ = std::io::stdout().write_all(text);
}
