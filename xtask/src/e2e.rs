//! Every client's program, one after the other, against one server.
use crate::clients::{self, Client};
use crate::operator::Operator;
use crate::program::{Program, Said, Task};
use crate::report::{Outcome, Report};
use crate::server_under_test::ServerUnderTest;
use crate::{E2eOptions, ServerKind, deviations, log_check};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// A program that says nothing for this long hangs: its own waits are all shorter.
const SILENCE: Duration = Duration::from_secs(240);
/// No program needs this long, restarts of the slow oracle included.
const PROGRAM_LIFE: Duration = Duration::from_secs(30 * 60);
const END_PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn run(options: &E2eOptions) -> Result<ExitCode> {
    let clients = clients::chosen(&options.client)?;
    for client in &clients {
        println!("installing {}", client.name);
        client.install().with_context(|| format!("cannot install {}", client.name))?;
    }
    let folder = run_folder()?;
    println!("logs are in {}", folder.display());
    let mut stage = Stage::set(options, folder.clone())?;
    let mut report = Report::default();
    for client in &clients {
        println!("running {}", client.name);
        stage.perform(client, &options.case, &mut report)?;
    }
    drop(stage);
    let verdict = report.conclude();
    if verdict == ExitCode::SUCCESS {
        std::fs::remove_dir_all(folder)?;
    }
    Ok(verdict)
}

/// A folder of this run for data and logs; kept when something failed.
pub(crate) fn run_folder() -> Result<PathBuf> {
    Ok(tempfile::Builder::new().prefix("apogee-e2e-").tempdir()?.keep())
}

struct Stage {
    kind: ServerKind,
    server: ServerUnderTest,
    operator: Operator,
    folder: PathBuf,
}

impl Stage {
    fn set(options: &E2eOptions, folder: PathBuf) -> Result<Self> {
        let server = ServerUnderTest::start(options.server, &options.profile, &folder)?;
        let operator = Operator::start(&server, &folder)?;
        Ok(Self { kind: options.server, server, operator, folder })
    }

    fn perform(&mut self, client: &Client, filter: &str, report: &mut Report) -> Result<()> {
        let log = self.server.watched_log().map(Path::to_owned);
        let log_start = log.as_deref().map(log_check::length).transpose()?;
        let mut performance =
            Performance { kind: self.kind, client: client.name, report, current: None, seen: Vec::new() };
        let mut program = Program::start(client, &self.server, &Task::Cases { filter }, &self.folder)?;
        if let Err(error) = self.listen(&mut program, &mut performance) {
            let log = program.log_path().display().to_string();
            performance.broke_off(&format!("{error:#}; see {log}"));
        }
        let cases = performance.seen;
        if let (Some(log), Some(start)) = (log, log_start) {
            report.add(client.name, "server-log", calm(&log, start, &cases)?);
        }
        self.server.ensure_running()
    }

    /// Follows one program from its first line to its end.
    fn listen(&mut self, program: &mut Program, performance: &mut Performance<'_>) -> Result<()> {
        let deadline = Instant::now() + PROGRAM_LIFE;
        loop {
            if Instant::now() > deadline {
                bail!("the program ran longer than {PROGRAM_LIFE:?}");
            }
            match program.next(SILENCE)? {
                Some(Said::Case(case)) => performance.began(case),
                Some(Said::Pass(case)) => performance.ended(&case, Ok(())),
                Some(Said::Fail { case, reason }) => performance.ended(&case, Err(reason)),
                Some(Said::Restart(how)) => {
                    self.server.restart(how)?;
                    program.tell("RESTARTED")?;
                }
                Some(Said::Operator(command)) => {
                    let answer = self.operator.ask(&command)?;
                    program.tell(&answer)?;
                }
                Some(Said::Done) => break,
                Some(other) => bail!("unexpected in a run of cases: {other:?}"),
                None => bail!("the program ended before DONE"),
            }
        }
        if !program.ended_well(END_PATIENCE) {
            bail!("after DONE the program did not end well");
        }
        Ok(())
    }
}

/// The course of one program's cases.
struct Performance<'a> {
    kind: ServerKind,
    client: &'static str,
    report: &'a mut Report,
    current: Option<(String, Instant)>,
    seen: Vec<String>,
}

impl Performance<'_> {
    fn began(&mut self, case: String) {
        self.seen.push(case.clone());
        self.current = Some((case, Instant::now()));
    }

    fn ended(&mut self, case: &str, outcome: Outcome) {
        let seconds = self.current.take().map_or(0.0, |(_, start)| start.elapsed().as_secs_f32());
        let is_known = outcome.is_err() && deviations::is_known(self.kind, self.client, case);
        match &outcome {
            _ if is_known => println!("  known deviation {case} ({seconds:.1} s)"),
            Ok(()) => println!("  pass {case} ({seconds:.1} s)"),
            Err(reason) => println!("  FAIL {case} ({seconds:.1} s): {reason}"),
        }
        if !is_known {
            self.report.add(self.client, case, outcome);
        }
    }

    fn broke_off(&mut self, reason: &str) {
        let case = self.current.as_ref().map_or_else(|| "program".to_owned(), |(case, _)| case.clone());
        self.ended(&case, Err(reason.to_owned()));
    }
}

fn calm(log: &Path, start: u64, cases: &[String]) -> Result<Outcome> {
    let lines = log_check::unexpected_lines(log, start, cases)?;
    Ok(match lines.first() {
        None => Ok(()),
        Some(first) => Err(format!("{} unexpected lines, the first: {first}", lines.len())),
    })
}
