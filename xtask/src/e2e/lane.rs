//! One server, its operator, and the programs that run against it one after the other.
use super::Board;
use super::performance::Performance;
use super::sitting::Sitting;
use crate::clients::Client;
use crate::operator::Operator;
use crate::program::{Program, Said, Task};
use crate::report::Outcome;
use crate::server_under_test::{ServerUnderTest, Stop};
use crate::{E2eOptions, log_check};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A program that says nothing for this long hangs: its own waits are all shorter.
const SILENCE: Duration = Duration::from_secs(240);
/// No program needs this long, restarts of the slow oracle included.
const PROGRAM_LIFE: Duration = Duration::from_secs(45 * 60);
const END_PATIENCE: Duration = Duration::from_secs(60);

pub(super) struct Lane {
    /// Apogee; the real server has its own.
    binary: Option<PathBuf>,
    folder: PathBuf,
    stage: Option<Stage>,
}

/// A server for one sitting, and its operator.
struct Stage {
    sitting: Sitting,
    folder: PathBuf,
    server: ServerUnderTest,
    operator: Operator,
}

impl Stage {
    fn set(binary: Option<&Path>, sitting: Sitting, folder: PathBuf) -> Result<Self> {
        std::fs::create_dir_all(&folder)?;
        let mut server = sitting.server(binary, &folder)?;
        server.launch()?;
        let mut operator = Operator::start(&server, sitting.operator(), &folder)?;
        for command in sitting.preparation() {
            let answer = operator.ask(&command)?;
            if answer != "OPERATED" {
                bail!("{command}: {answer}");
            }
        }
        Ok(Self { sitting, folder, server, operator })
    }
}

impl Lane {
    pub(super) fn new(binary: Option<PathBuf>, folder: PathBuf) -> Self {
        Self { binary, folder, stage: None }
    }

    /// The server of a sitting; that of another one is stopped.
    fn stage(&mut self, sitting: Sitting) -> Result<&mut Stage> {
        if self.stage.as_ref().is_none_or(|stage| stage.sitting != sitting) {
            if let Some(mut old) = self.stage.take() {
                old.server.stop(Stop::Graceful)?;
            }
            let folder = match sitting {
                Sitting::Open => self.folder.clone(),
                Sitting::Signed => self.folder.join("signed"),
            };
            self.stage = Some(Stage::set(self.binary.as_deref(), sitting, folder)?);
        }
        self.stage.as_mut().context("it was set")
    }

    pub(super) fn perform(
        &mut self,
        client: &Client,
        sitting: Sitting,
        options: &E2eOptions,
        board: &Mutex<Board>,
    ) -> Result<()> {
        let Some(filter) = sitting.filter(&options.case) else { return Ok(()) };
        let stage = self.stage(sitting)?;
        let begin = Instant::now();
        let log = stage.server.watched_log().map(Path::to_owned);
        let log_start = log.as_deref().map(log_check::length).transpose()?;
        let mut performance = Performance::begin(options.against, client.name, sitting, board);
        let task = Task::Cases { filter: &filter, at_once: options.at_once, user: sitting.user(client) };
        let mut program = Program::start(client, &stage.server, &task, &stage.folder)?;
        if let Err(error) = stage.listen(&mut program, &mut performance) {
            let log = program.log_path().display().to_string();
            performance.broke_off(&format!("{error:#}; see {log}"));
        }
        let (cases, course) = performance.end(begin.elapsed());
        let mut board = board.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(log), Some(start)) = (log, log_start) {
            board.report.add_log(client.name, calm(&log, start, &cases)?);
        }
        board.times.add(course);
        drop(board);
        stage.server.ensure_running()
    }
}

impl Stage {
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
                Some(Said::Note(text)) => println!("  note: {text}"),
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

fn calm(log: &Path, start: u64, cases: &[String]) -> Result<Outcome> {
    let lines = log_check::unexpected_lines(log, start, cases)?;
    Ok(match lines.first() {
        None => Ok(()),
        Some(first) => Err(format!("{} unexpected lines, the first: {first}", lines.len())),
    })
}
