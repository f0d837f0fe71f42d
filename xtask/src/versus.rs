//! Apogee and the real RocketMQ side by side: the same unchanged clients, equal settings, one load after the other.
//!
//! All servers are up for the whole run; those that are not being measured are paused. Repetitions are interleaved
//! and change their order, so that a change of the machine's mood meets all. Read in this order: `cases` (what is
//! measured), `peers` (on whom), `session` (who does what when), `contestant` (how one server is treated), `load` (how one load program is run),
//! `procfs` (what is read of the system), `record` (what is written down), `summary`, `targets` and `page` (how it
//! is judged and shown).

mod cases;
mod contestant;
mod load;
mod machine;
mod page;
mod peers;
pub(crate) mod procfs;
mod record;
mod session;
pub(crate) mod statistics;
mod summary;
mod targets;

use crate::oracle::ProxyMode;
use crate::{e2e, paths};
use anyhow::{Context, Result};
use cases::Case;
use clap::ValueEnum;
use peers::Peer;
use record::{Durability, Journal, Line};
use session::Session;
use std::path::PathBuf;
use std::process::ExitCode;

const QUICK_PRELUDE_S: u32 = 4;

#[derive(clap::Args, Clone)]
pub(crate) struct Options {
    /// Servers by name; all of them when left out.
    #[arg(long, value_delimiter = ',')]
    server: Vec<String>,
    /// Cases by name or by the beginning of a name; all of them when left out.
    #[arg(long, value_delimiter = ',')]
    case: Vec<String>,
    /// Length of each measured window; drains consume what fits such a window.
    #[arg(long, default_value_t = 3)]
    seconds: u32,
    /// Time under load before the window opens.
    #[arg(long, default_value_t = 2)]
    warm_up: u32,
    #[arg(long, default_value_t = 3)]
    repetitions: u32,
    /// Seconds of load of each protocol in use before the first case, so that a server which compiles itself while
    /// it runs has done so.
    #[arg(long, default_value_t = 10)]
    prelude: u32,
    /// Rounds before the first that counts, of the first case of each kind of work.
    #[arg(long, default_value_t = 1)]
    rehearsals: u32,
    /// A server whose store is larger begins anew before its next round. What the servers store together takes up to
    /// twice as much for each flush setting, and a few GiB more.
    #[arg(long, default_value_t = 3)]
    store_gib_max: u32,
    /// One round of each case without rehearsals, after a short prelude: to look at while working on something.
    #[arg(long, conflicts_with_all = ["repetitions", "rehearsals", "prelude"])]
    quick: bool,
    /// When servers make messages durable.
    #[arg(long, value_enum, default_value_t = Flush::Async)]
    flush: Flush,
    /// Where RocketMQ's proxy runs.
    #[arg(long, value_enum, default_value_t = ProxyMode::Local)]
    proxy: ProxyMode,
    /// Cargo profile of Apogee.
    #[arg(long, default_value = "release")]
    profile: String,
    /// An Apogee that is built already, in place of building one.
    #[arg(long)]
    binary: Option<PathBuf>,
    /// Show what these raw results hold in place of measuring; what was measured twice is taken from the last.
    #[arg(long, value_delimiter = ',', conflicts_with_all = ["server", "case", "quick"])]
    journal: Vec<PathBuf>,
    /// Servers and clients share so many processors in place of all.
    #[arg(long)]
    processors: Option<usize>,
    /// Write the results to `docs/versus.md`, or to a page of its own of so many processors.
    #[arg(long)]
    write: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Flush {
    /// All cases with both soon after the acknowledgement; those that are about flushing also with both before it.
    All,
    /// Both soon after the acknowledgement.
    Async,
    /// Both before the acknowledgement.
    Sync,
    /// Apogee before the acknowledgement, RocketMQ soon after.
    OursSync,
}

impl Flush {
    fn of(self, peer: &Peer) -> &'static [Durability] {
        match self {
            Self::All => &[Durability::Async, Durability::Sync],
            Self::OursSync if peer.is_ours() => &[Durability::Sync],
            Self::Async | Self::OursSync => &[Durability::Async],
            Self::Sync => &[Durability::Sync],
        }
    }

    /// Whether a server that flushes so has a part in the case.
    fn has_part(self, flush: Durability, case: &Case) -> bool {
        self != Self::All || flush == Durability::Async || case.is_about_flush
    }
}

impl Options {
    fn settled(&self) -> Self {
        let asked = self.clone();
        if self.quick {
            Self { repetitions: 1, rehearsals: 0, prelude: QUICK_PRELUDE_S, ..asked }
        } else {
            asked
        }
    }
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    if !options.journal.is_empty() {
        return show_again(options);
    }
    let options = &options.settled();
    if let Some(count) = options.processors {
        machine::keep_to(count)?;
    }
    let cases = cases::chosen(&options.case)?;
    let peers = peers::chosen(&options.server)?;
    for client in cases::clients(&cases) {
        client.install().with_context(|| format!("cannot install {}", client.name))?;
    }
    let folder = e2e::run_folder()?;
    println!("logs are in {}", folder.display());
    let mut journal = Journal::begin(&paths::repository().join("target/versus"))?;
    println!("raw results are in {}", journal.path().display());
    journal.add(Line::Machine(machine::facts(command(std::env::args().skip(1)))?))?;

    let failures = Session::new(options, &cases, &mut journal).run(&peers, &folder)?;

    println!("\n{}", page::table(journal.lines()));
    if options.write {
        write_page(journal.lines(), options.processors)?;
    }
    if failures > 0 {
        println!("{failures} rounds failed; their logs are in {}", folder.display());
        return Ok(ExitCode::FAILURE);
    }
    std::fs::remove_dir_all(folder)?;
    Ok(ExitCode::SUCCESS)
}

/// What earlier runs have measured.
fn show_again(options: &Options) -> Result<ExitCode> {
    let journals = options.journal.iter().map(|path| record::read(path)).collect::<Result<Vec<_>>>()?;
    let lines = record::merged(journals);
    println!("{}", page::table(&lines));
    if options.write {
        write_page(&lines, options.processors)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn write_page(lines: &[Line], processors: Option<usize>) -> Result<()> {
    let name = processors.map_or("versus.md".to_owned(), |count| format!("versus-on-{count}-processors.md"));
    let file = paths::repository().join("docs").join(name);
    std::fs::write(&file, page::page(lines))?;
    println!("wrote {}", file.display());
    Ok(())
}

/// The command that made a page, without what belongs to one machine.
fn command(arguments: impl Iterator<Item = String>) -> String {
    let mut shown = vec!["cargo xtask".to_owned()];
    let mut is_path = false;
    for argument in arguments {
        if is_path || argument == "--binary" {
            is_path = argument == "--binary";
        } else if !argument.starts_with("--binary=") {
            shown.push(argument);
        }
    }
    shown.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_without_paths() {
        let shown = |words: &str| command(words.split(' ').map(str::to_owned));
        assert_eq!(shown("versus --seconds 5 --write"), "cargo xtask versus --seconds 5 --write");
        assert_eq!(shown("versus --binary a/b --write"), "cargo xtask versus --write");
        assert_eq!(shown("versus --binary=a/b --case x"), "cargo xtask versus --case x");
    }
}
