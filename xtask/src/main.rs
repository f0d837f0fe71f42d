//! The project's own tools: tests, end-to-end runs with official clients, and the kill loop.
//!
//! Read in this order: `clients` (what is tested), `server_under_test` (against what), `program` (how a client
//! program and the harness talk), `e2e` and `kill` (the two kinds of test), `versus` (measurements), `checks` (everything in one command).
#![expect(clippy::disallowed_methods, reason = "a tool on the real machine: real time and real threads")]

mod access;
mod backlog;
mod checks;
mod clients;
mod console;
mod deviations;
mod e2e;
mod import;
mod install;
mod interrupt;
mod kill;
mod ledger;
mod log_check;
mod many_queues;
mod movers;
mod openapi;
mod operator;
mod oracle;
mod outcomes;
mod overhead;
mod overload;
mod paths;
mod process;
mod program;
mod report;
mod server_under_test;
mod soak;
mod sql;
mod tls;
mod versus;

use clap::{Parser, Subcommand, ValueEnum};
use std::process::ExitCode;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The project's own tools")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Drive official clients through their cases.
    E2e(E2eOptions),
    /// Ask who is let through with what under access control, of Apogee and of the real RocketMQ.
    Access(access::Options),
    /// Kill the server again and again under load, and count what became of every acknowledged message.
    Kill(KillOptions),
    /// Write `docs/outcomes.md` anew from the recorded outcomes of end-to-end runs.
    Outcomes,
    /// Build the console's page, for the next build of the engine to embed.
    Console,
    /// Walk through the console in a browser, and take pictures of every page.
    ConsoleTest(console::TestOptions),
    /// Check the description of the HTTP API against the OpenAPI specification.
    Openapi,
    /// Compare our SQL92 filters with the original's filter library.
    Sql(SqlOptions),
    /// Measure a live topic beside one that nobody reads, and then somebody does.
    Backlog(backlog::Options),
    /// Load the engine fully for a while, and look that it stays inside its memory budget.
    Soak(soak::Options),
    /// Make queue after queue on Apogee and on the real RocketMQ, and see how far they go and what each costs.
    ManyQueues(many_queues::Options),
    /// Move clients from a real RocketMQ to Apogee, and count what became of every message.
    Import(import::Options),
    /// Measure Apogee and the real RocketMQ side by side.
    Versus(versus::Options),
    /// Drive official clients over TLS, the Java remoting client with a certificate of its own, and replace the server's meanwhile.
    Tls(tls::Options),
    /// Measure what it costs to see everything: health, events, metrics, console, traces.
    Overhead(overhead::Options),
    /// Let one tenant send twenty times its quota, and measure another one.
    Overload(overload::Options),
    /// Run every check of the project.
    Test(TestOptions),
}

#[derive(clap::Args, Clone)]
pub(crate) struct E2eOptions {
    /// Clients to run, by name or by the beginning of a name; all of them when left out.
    #[arg(long, value_delimiter = ',')]
    client: Vec<String>,
    /// The server that the clients talk to.
    #[arg(long, value_enum, default_value_t = ServerKind::Apogee)]
    against: ServerKind,
    /// Only cases whose name contains one of these words.
    #[arg(long, default_value = "")]
    case: String,
    /// Programs side by side, each with a server of its own; by the machine's processors when left out.
    #[arg(long)]
    lanes: Option<usize>,
    /// Cases side by side in a program.
    #[arg(long, default_value_t = CASES_AT_ONCE)]
    at_once: usize,
    /// Write what came of each case to `e2e/outcomes`, and `docs/outcomes.md` anew.
    #[arg(long)]
    record: bool,
    /// Cargo profile of the engine under test.
    #[arg(long, default_value = "dev")]
    profile: String,
}

/// Cases mostly wait; more at once would make those late that measure time.
pub(crate) const CASES_AT_ONCE: usize = 4;

#[derive(clap::Args, Clone)]
pub(crate) struct KillOptions {
    #[arg(long, default_value_t = 50)]
    kills: u32,
    /// Instead: so many transactions, committed and rolled back, under three kills.
    #[arg(long)]
    transactions: Option<u64>,
    /// Clients that take part; of those that have cases, these two know the loop.
    #[arg(long, value_delimiter = ',', default_values_t = kill::CLIENTS.map(str::to_owned))]
    client: Vec<String>,
    #[arg(long, value_enum, default_value_t = ServerKind::Apogee)]
    against: ServerKind,
    /// Messages that each producer sends in a second, at most.
    #[arg(long, default_value_t = 200)]
    rate: u32,
    /// Longest time between a start and the next kill; the moment itself is random.
    #[arg(long, default_value_t = 4000)]
    life_ms_max: u64,
    #[arg(long, default_value = "dev")]
    profile: String,
}

#[derive(clap::Args, Clone)]
pub(crate) struct SqlOptions {
    /// What decides the random expressions.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Random expressions beside the fixed table.
    #[arg(long, default_value_t = 100_000)]
    random: u64,
}

#[derive(clap::Args, Clone)]
pub(crate) struct TestOptions {
    /// Leave out what needs the official clients.
    #[arg(long)]
    without_clients: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum ServerKind {
    /// The engine of this repository.
    Apogee,
    /// The real Apache RocketMQ, to prove the client programs.
    Rocketmq,
}

fn main() -> anyhow::Result<ExitCode> {
    let command = Arguments::parse().command;
    interrupt::pass_on()?;
    match command {
        Command::E2e(options) => e2e::run(&options),
        Command::Access(options) => access::run(&options),
        Command::Kill(options) => kill::run(&options),
        Command::Outcomes => outcomes::write_page().map(|()| ExitCode::SUCCESS),
        Command::Console => console::build().map(|()| ExitCode::SUCCESS),
        Command::ConsoleTest(options) => console::test(&options),
        Command::Openapi => openapi::run(),
        Command::Sql(options) => sql::run(&options),
        Command::Backlog(options) => backlog::run(&options),
        Command::Soak(options) => soak::run(&options),
        Command::ManyQueues(options) => many_queues::run(&options),
        Command::Import(options) => import::run(&options),
        Command::Versus(options) => versus::run(&options),
        Command::Tls(options) => tls::run(&options),
        Command::Overhead(options) => overhead::run(&options),
        Command::Overload(options) => overload::run(&options),
        Command::Test(options) => checks::run(&options),
    }
}
