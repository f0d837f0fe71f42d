//! Every check of the project in one command, cheapest first; the first failure ends it.
use crate::{
    CASES_AT_ONCE, E2eOptions, KillOptions, ServerKind, SqlOptions, TestOptions, access, console, e2e, kill,
    openapi, paths, process, soak, sql,
};
use anyhow::Result;
use std::process::{Command, ExitCode};

/// Kills in this run; the full loop is `cargo xtask kill`.
const KILLS: u32 = 5;
/// Transactions under kills in this run; the full number is 10,000.
const TRANSACTIONS: u64 = 1_000;

/// Random expressions in this run; more are `cargo xtask sql --random`.
const SQL_QUESTIONS: u64 = 5_000;

/// Checks that are a cargo command.
const CARGO_CHECKS: [(&str, &[&str]); 4] = [
    ("formatting", &["fmt", "--all", "--check"]),
    ("lints", &["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"]),
    ("tests", &["test", "--workspace"]),
    ("simulation", &["run", "--quiet", "-p", "testkit", "--bin", "sim", "--", "--seeds", "2000"]),
];

pub(crate) fn run(options: &TestOptions) -> Result<ExitCode> {
    if !options.without_clients {
        announce("console");
        console::build()?;
    }
    for (name, arguments) in CARGO_CHECKS {
        cargo(name, arguments)?;
    }
    if options.without_clients {
        return Ok(ExitCode::SUCCESS);
    }
    announce("filters against the original's");
    let verdict = sql::run(&SqlOptions { seed: 1, random: SQL_QUESTIONS })?;
    if verdict != ExitCode::SUCCESS {
        return Ok(verdict);
    }
    announce("description of the HTTP API");
    let verdict = openapi::run()?;
    if verdict != ExitCode::SUCCESS {
        return Ok(verdict);
    }
    announce("console in a browser");
    let verdict = console::test(&console::TestOptions { case: String::new(), profile: "dev".into() })?;
    if verdict != ExitCode::SUCCESS {
        return Ok(verdict);
    }
    announce("access control, case by case");
    let verdict = access::run(&access::Options::ours("dev"))?;
    if verdict != ExitCode::SUCCESS {
        return Ok(verdict);
    }
    announce("end to end");
    let verdict = e2e::run(&E2eOptions {
        client: Vec::new(),
        against: ServerKind::Apogee,
        case: String::new(),
        lanes: None,
        at_once: CASES_AT_ONCE,
        record: false,
        profile: "dev".into(),
    })?;
    if verdict != ExitCode::SUCCESS {
        return Ok(verdict);
    }
    let killing = KillOptions {
        kills: KILLS,
        transactions: None,
        client: kill::CLIENTS.map(str::to_owned).to_vec(),
        against: ServerKind::Apogee,
        rate: 200,
        life_ms_max: 4000,
        profile: "dev".into(),
    };
    announce("kill loop");
    let verdict = kill::run(&killing)?;
    if verdict != ExitCode::SUCCESS {
        return Ok(verdict);
    }
    announce("transactions under kills");
    let verdict = kill::run(&KillOptions { transactions: Some(TRANSACTIONS), ..killing })?;
    if verdict != ExitCode::SUCCESS {
        return Ok(verdict);
    }
    announce("memory under full load");
    soak::run(&soak::Options::short("dev"))
}

fn cargo(name: &str, arguments: &[&str]) -> Result<()> {
    announce(name);
    process::run_openly(Command::new("cargo").args(arguments).current_dir(paths::repository()))
}

fn announce(name: &str) {
    println!("== {name}");
}
