//! One load program, from its start to its result. It says when its window opens and closes, and waits for the
//! answer, so that the server's counters are read at these very moments. See `Harness.java`.
use super::Options;
use super::cases::Case;
use super::record::Quantiles;
use crate::process::{Output, Process, append};
use crate::server_under_test::ServerUnderTest;
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ChildStdin;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// Until the window opens: the start of a JVM, what is to be drained, the warm-up.
const OPEN_PATIENCE: Duration = Duration::from_secs(180);
/// Until the window closes, and until the result is there, beyond the time asked for.
const CLOSE_PATIENCE: Duration = Duration::from_secs(180);
const RESULT_PATIENCE: Duration = Duration::from_secs(90);
const END_PATIENCE: Duration = Duration::from_secs(10);

/// Where the load goes, and from where it is consumed.
pub(crate) struct Places {
    pub(crate) topic: String,
    pub(crate) group: String,
}

/// What the program has measured.
#[derive(Deserialize, Debug, PartialEq)]
pub(crate) struct Measured {
    pub(crate) case: String,
    pub(crate) messages: u64,
    pub(crate) seconds: f64,
    /// Absent where nothing is called.
    #[serde(flatten)]
    pub(crate) quantiles: Option<Quantiles>,
}

#[derive(Debug, PartialEq, Eq)]
enum Said {
    Open,
    Close,
    Result(String),
    Failed(String),
    Noise,
}

impl Said {
    fn parse(line: &str) -> Self {
        match line.split_once(' ').unwrap_or((line, "")) {
            ("OPEN", "") => Self::Open,
            ("CLOSE", "") => Self::Close,
            ("RESULT", json) => Self::Result(json.to_owned()),
            ("FAILED", reason) => Self::Failed(reason.to_owned()),
            _ => Self::Noise,
        }
    }
}

pub(crate) struct Load {
    process: Process,
    input: ChildStdin,
    lines: Receiver<String>,
    log: File,
    log_path: PathBuf,
    window: Duration,
}

impl Load {
    pub(crate) fn start(
        case: &Case,
        options: &Options,
        server: &ServerUnderTest,
        places: &Places,
        folder: &Path,
    ) -> Result<Self> {
        let client = case.client();
        let home = folder.join(client.name);
        std::fs::create_dir_all(&home)?;
        let log_path = home.join(format!("{}.log", case.name));
        let mut command = client.command(&home);
        command
            .args(case.arguments(options))
            .env("NAMESRV", server.namesrv())
            .env("ENDPOINT", server.endpoint())
            .env("TOPIC", &places.topic)
            .env("GROUP", &places.group);
        let mut process = Process::start(client.name, &mut command, &log_path, Output::Piped)?;
        let input = process.stdin()?;
        let lines = process.lines()?;
        let window = Duration::from_secs(u64::from(options.seconds));
        Ok(Self { process, input, lines, log: append(&log_path)?, log_path, window })
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    pub(crate) fn await_open(&mut self) -> Result<()> {
        match self.next(OPEN_PATIENCE)? {
            Said::Open => Ok(()),
            other => bail!("expected OPEN, got {other:?}"),
        }
    }

    pub(crate) fn await_close(&mut self) -> Result<()> {
        match self.next(self.window + CLOSE_PATIENCE)? {
            Said::Close => Ok(()),
            other => bail!("expected CLOSE, got {other:?}"),
        }
    }

    pub(crate) fn tell(&mut self, line: &str) -> Result<()> {
        writeln!(self.input, "{line}").context("the load program has closed its input")?;
        self.input.flush()?;
        Ok(())
    }

    /// The result, once the program has ended well.
    pub(crate) fn result(mut self) -> Result<Measured> {
        let json = match self.next(RESULT_PATIENCE)? {
            Said::Result(json) => json,
            other => bail!("expected RESULT, got {other:?}"),
        };
        if !self.process.wait(END_PATIENCE).is_some_and(|status| status.success()) {
            bail!("the load program did not end well; see {}", self.log_path.display());
        }
        let measured: Measured =
            serde_json::from_str(&json).with_context(|| format!("not a result: {json}"))?;
        if measured.messages == 0 {
            bail!("nothing came through in the window; see {}", self.log_path.display());
        }
        Ok(measured)
    }

    fn next(&mut self, patience: Duration) -> Result<Said> {
        let deadline = Instant::now() + patience;
        let log = self.log_path.display();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = match self.lines.recv_timeout(left) {
                Ok(line) => line,
                Err(RecvTimeoutError::Disconnected) => bail!("the load program ended early; see {log}"),
                Err(RecvTimeoutError::Timeout) => bail!("silent for {patience:?}; see {log}"),
            };
            writeln!(self.log, "{line}")?;
            match Said::parse(&line) {
                Said::Noise => {}
                Said::Failed(reason) => bail!("{reason}; see {log}"),
                said => return Ok(said),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_events() {
        assert_eq!(Said::parse("OPEN"), Said::Open);
        assert_eq!(Said::parse("FAILED no route"), Said::Failed("no route".into()));
        assert_eq!(Said::parse("RESULT {}"), Said::Result("{}".into()));
        assert_eq!(Said::parse("OPEN sesame"), Said::Noise);
    }

    #[test]
    fn times_are_there_or_not() {
        let parse = |json: &str| serde_json::from_str::<Measured>(json).unwrap();
        let drained = parse(r#"{"case":"push-drain","messages":9,"seconds":1.5}"#);
        assert_eq!((drained.messages, drained.quantiles), (9, None));
        let sent = parse(r#"{"case":"x","messages":9,"seconds":1.5,"p50_us":1,"p99_us":2,"p999_us":3}"#);
        assert_eq!(sent.quantiles, Some(Quantiles { p50_us: 1, p99_us: 2, p999_us: 3 }));
    }
}
