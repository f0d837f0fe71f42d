//! A client program and what it says: one line on its output is one event, our answers are lines on its input.
//!
//! ```text
//! CASE name | PASS name | FAIL name reason | DONE      course of the cases
//! RESTART graceful|kill   -> RESTARTED                  the server is restarted under the program's feet
//! OPERATOR command        -> OPERATED | REFUSED reason  topics and groups, made by the admin client
//! NOTE text                                             for whoever reads the report
//! ACKED producer sequence, CONSUMED producer sequence, CORRUPT text, STOPPED     the kill loop
//! ```
use crate::clients::Client;
use crate::e2e::User;
use crate::process::{Output, Process, append};
use crate::server_under_test::{ServerUnderTest, Stop};
use anyhow::{Context, Result};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ChildStdin;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Said {
    Case(String),
    Pass(String),
    Fail {
        case: String,
        reason: String,
    },
    Restart(Stop),
    Operator(String),
    /// For whoever reads the run's report.
    Note(String),
    Acked(Numbered),
    Consumed(Numbered),
    Corrupt(String),
    Stopped,
    Done,
    /// Not for us: a client that writes to standard output.
    Noise(String),
}

/// A message of the kill loop.
#[derive(Debug, PartialEq, Eq, Hash, Clone)]
pub(crate) struct Numbered {
    pub(crate) producer: String,
    pub(crate) sequence: u64,
}

impl Said {
    pub(crate) fn parse(line: &str) -> Self {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let parsed = match word {
            "CASE" => Some(Self::Case(rest.to_owned())),
            "PASS" => Some(Self::Pass(rest.to_owned())),
            "FAIL" => {
                let (case, reason) = rest.split_once(' ').unwrap_or((rest, "no reason given"));
                Some(Self::Fail { case: case.to_owned(), reason: reason.to_owned() })
            }
            "RESTART" if rest == "graceful" => Some(Self::Restart(Stop::Graceful)),
            "RESTART" if rest == "kill" => Some(Self::Restart(Stop::Kill)),
            "OPERATOR" => Some(Self::Operator(rest.to_owned())),
            "NOTE" => Some(Self::Note(rest.to_owned())),
            "ACKED" => Numbered::parse(rest).map(Self::Acked),
            "CONSUMED" => Numbered::parse(rest).map(Self::Consumed),
            "CORRUPT" => Some(Self::Corrupt(rest.to_owned())),
            "STOPPED" => Some(Self::Stopped),
            "DONE" => Some(Self::Done),
            _ => None,
        };
        parsed.unwrap_or_else(|| Self::Noise(line.to_owned()))
    }
}

impl Numbered {
    fn parse(text: &str) -> Option<Self> {
        let (producer, sequence) = text.split_once(' ')?;
        Some(Self { producer: producer.to_owned(), sequence: sequence.parse().ok()? })
    }
}

/// What a program is asked to do.
#[derive(Clone)]
pub(crate) enum Task<'a> {
    /// `at_once`: how many may be under way side by side; `user`: whom the clients sign as.
    Cases {
        filter: &'a str,
        at_once: usize,
        user: Option<User>,
    },
    KillLoop {
        rate: u32,
    },
    /// Half messages under kills, until so many are acknowledged.
    KillTransactions {
        count: u64,
    },
}

pub(crate) struct Program {
    process: Process,
    input: ChildStdin,
    lines: Receiver<String>,
    log: File,
    log_path: PathBuf,
}

impl Program {
    pub(crate) fn start(
        client: &Client,
        server: &ServerUnderTest,
        task: &Task<'_>,
        folder: &Path,
    ) -> Result<Self> {
        let home = folder.join(client.name);
        std::fs::create_dir_all(&home)?;
        let log_path = home.join("program.log");
        let mut command = client.command(&home);
        command
            .env("NAMESRV", server.namesrv())
            .env("ENDPOINT", server.endpoint())
            .env("HTTP", format!("http://{}", server.http()))
            .env("RUN_ID", run_id(client));
        match task {
            Task::Cases { filter, at_once, user } => {
                if let Some(user) = user {
                    command.env("ACCESS_KEY", user.name).env("SECRET_KEY", user.secret);
                }
                command.arg("cases").env("CASE_FILTER", filter).env("CASES_AT_ONCE", at_once.to_string())
            }
            Task::KillLoop { rate } => command.arg("kill").env("RATE", rate.to_string()),
            Task::KillTransactions { count } => {
                command.arg("kill-transactions").env("COUNT", count.to_string())
            }
        };
        let mut process = Process::start(client.name, &mut command, &log_path, Output::Piped)?;
        let input = process.stdin()?;
        let lines = process.lines()?;
        Ok(Self { process, input, lines, log: append(&log_path)?, log_path })
    }

    /// The next event, or `None` when there is none for a while.
    pub(crate) fn next_within(&mut self, patience: Duration) -> Result<Option<Said>> {
        let end = Instant::now() + patience;
        loop {
            let line = match self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => line,
                Err(RecvTimeoutError::Timeout) => return Ok(None),
                Err(RecvTimeoutError::Disconnected) => anyhow::bail!("the program has ended"),
            };
            match Said::parse(&line) {
                Said::Noise(_) => writeln!(self.log, "{line}")?,
                said => return Ok(Some(said)),
            }
        }
    }

    /// The next event, or `None` when the program has closed its output.
    pub(crate) fn next(&mut self, patience: Duration) -> Result<Option<Said>> {
        loop {
            let line = match self.lines.recv_timeout(patience) {
                Ok(line) => line,
                Err(RecvTimeoutError::Disconnected) => return Ok(None),
                Err(RecvTimeoutError::Timeout) => anyhow::bail!("said nothing for {patience:?}"),
            };
            writeln!(self.log, "{line}")?;
            match Said::parse(&line) {
                Said::Noise(_) => {}
                said => return Ok(Some(said)),
            }
        }
    }

    pub(crate) fn tell(&mut self, line: &str) -> Result<()> {
        writeln!(self.input, "{line}").context("the program has closed its input")?;
        self.input.flush()?;
        Ok(())
    }

    /// Waits for the process to end by itself; whether it did so well.
    pub(crate) fn ended_well(&mut self, patience: Duration) -> bool {
        self.process.wait(patience).is_some_and(|status| status.success())
    }

    pub(crate) fn log_path(&self) -> &Path {
        &self.log_path
    }

    /// Splits off the event side, for a thread that reads several programs at once.
    pub(crate) fn take_lines(&mut self) -> Receiver<String> {
        let (_, closed) = std::sync::mpsc::sync_channel(1);
        std::mem::replace(&mut self.lines, closed)
    }
}

/// Makes topic and group names of this run its own.
fn run_id(client: &Client) -> String {
    format!("{}-{:05x}", client.name.replace('.', ""), rand::random_range(0..0x10_0000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_events() {
        assert_eq!(Said::parse("CASE retry"), Said::Case("retry".into()));
        let failed = Said::Fail { case: "retry".into(), reason: "attempt was 1".into() };
        assert_eq!(Said::parse("FAIL retry attempt was 1"), failed);
        assert_eq!(Said::parse("RESTART kill"), Said::Restart(Stop::Kill));
        assert_eq!(Said::parse("ACKED p1 7"), Said::Acked(Numbered { producer: "p1".into(), sequence: 7 }));
        assert_eq!(Said::parse("ACKED p1 x"), Said::Noise("ACKED p1 x".into()));
        assert_eq!(Said::parse("hello world"), Said::Noise("hello world".into()));
    }
}
