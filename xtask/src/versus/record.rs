//! What is written down of a run: one JSON object a line, each with its `kind`.
use super::machine;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(crate) enum Line {
    Machine(machine::Facts),
    Start(Start),
    Run(Run),
    Failure(Failure),
}

impl Line {
    fn is_rehearsal(&self) -> bool {
        matches!(self, Self::Run(run) if run.rehearsal)
    }

    /// What it tells something about.
    fn subject(&self) -> String {
        match self {
            Self::Machine(facts) => format!("machine at {}", facts.time),
            Self::Start(start) => format!("start of {}, {}", start.server, start.flush.name()),
            Self::Run(Run { case, server, flush, .. })
            | Self::Failure(Failure { case, server, flush, .. }) => {
                format!("{case} on {server}, {}", flush.name())
            }
        }
    }
}

/// When a server makes messages durable.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Durability {
    /// Soon after the acknowledgement.
    Async,
    /// Before the acknowledgement.
    Sync,
}

impl Durability {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Async => "async",
            Self::Sync => "sync",
        }
    }
}

/// One server's start on an empty store.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub(crate) struct Start {
    pub(crate) server: String,
    pub(crate) flush: Durability,
    /// From the first process's start until all say that they are ready.
    pub(crate) ready_seconds: f64,
    /// Before any load.
    pub(crate) rss_idle_mib: f64,
    pub(crate) processes: usize,
    /// Size of the program, where it is one file.
    pub(crate) program_bytes: Option<u64>,
}

/// A round that came to nothing.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub(crate) struct Failure {
    pub(crate) server: String,
    pub(crate) flush: Durability,
    pub(crate) case: String,
    pub(crate) round: u32,
    pub(crate) reason: String,
}

/// One round of one case on one server.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub(crate) struct Run {
    pub(crate) server: String,
    pub(crate) flush: Durability,
    pub(crate) case: String,
    /// Over all, from 0; the first ones are rehearsals.
    pub(crate) round: u32,
    pub(crate) rehearsal: bool,
    pub(crate) messages: u64,
    /// As the clients measured the window.
    pub(crate) seconds: f64,
    #[serde(flatten)]
    pub(crate) quantiles: Option<Quantiles>,
    /// Between the readings of the counters that follow.
    pub(crate) window_seconds: f64,
    /// Of all server processes.
    pub(crate) cpu_seconds: f64,
    pub(crate) client_cpu_seconds: f64,
    /// Whatever else the machine did.
    pub(crate) other_cpu_seconds: f64,
    pub(crate) rss_peak_mib: f64,
    pub(crate) rss_private_mib: f64,
    pub(crate) written_mib: f64,
}

/// Duration of the clients' calls.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Quantiles {
    pub(crate) p50_us: u64,
    pub(crate) p99_us: u64,
    pub(crate) p999_us: u64,
}

impl Run {
    /// Messages per second.
    pub(crate) fn rate(&self) -> f64 {
        self.messages as f64 / self.seconds
    }

    pub(crate) fn cpu_per_million(&self) -> f64 {
        self.cpu_seconds / (self.messages as f64 / 1e6)
    }
}

pub(crate) struct Journal {
    file: File,
    path: PathBuf,
    lines: Vec<Line>,
}

impl Journal {
    /// A file of this run, named by the time.
    pub(crate) fn begin(folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder)?;
        let path = folder.join(format!("{}.jsonl", machine::now()?.replace(':', "")));
        let file = File::create(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self { file, path, lines: Vec::new() })
    }

    pub(crate) fn add(&mut self, line: Line) -> Result<()> {
        writeln!(self.file, "{}", serde_json::to_string(&line)?)?;
        self.lines.push(line);
        Ok(())
    }

    pub(crate) fn lines(&self) -> &[Line] {
        &self.lines
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// The lines of one journal.
pub(crate) fn read(path: &Path) -> Result<Vec<Line>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let parse = |line| serde_json::from_str(line).with_context(|| format!("{}: {line}", path.display()));
    text.lines().map(parse).collect()
}

/// One journal of several: a case or a start that a later one has too is taken from there alone.
pub(crate) fn merged(journals: Vec<Vec<Line>>) -> Vec<Line> {
    let mut merged: Vec<Line> = Vec::new();
    for journal in journals {
        let subjects: Vec<String> =
            journal.iter().filter(|line| !line.is_rehearsal()).map(Line::subject).collect();
        merged.retain(|line| !subjects.contains(&line.subject()));
        merged.extend(journal);
    }
    merged
}

#[cfg(test)]
pub(crate) fn example(server: &str, case: &str, rate: u64, cpu_seconds: f64) -> Run {
    Run {
        server: server.into(),
        flush: Durability::Async,
        case: case.into(),
        round: 1,
        rehearsal: false,
        messages: rate * 2,
        seconds: 2.0,
        quantiles: Some(Quantiles { p50_us: 250, p99_us: 1_500, p999_us: 30_000 }),
        window_seconds: 2.0,
        cpu_seconds,
        client_cpu_seconds: 1.0,
        other_cpu_seconds: 0.5,
        rss_peak_mib: 40.0,
        rss_private_mib: 30.0,
        written_mib: 12.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_back_as_they_were() {
        let mut drain = example("apogee", "push-drain", 1000, 1.0);
        drain.quantiles = None;
        for run in [example("rocketmq", "remoting-sync-1", 1000, 1.0), drain] {
            let line = Line::Run(run);
            let text = serde_json::to_string(&line).unwrap();
            assert!(text.starts_with(r#"{"kind":"run","#), "{text}");
            assert_eq!(serde_json::from_str::<Line>(&text).unwrap(), line);
        }
    }

    #[test]
    fn the_last_journal_has_the_word() {
        let run = |case: &str, rate| Line::Run(example("apogee", case, rate, 1.0));
        let mut rehearsal = example("apogee", "b", 7, 1.0);
        rehearsal.rehearsal = true;
        let first = vec![run("a", 1), run("b", 2), run("b", 3)];
        let second = vec![Line::Run(rehearsal.clone()), run("a", 4), run("a", 5)];
        let expected = vec![run("b", 2), run("b", 3), Line::Run(rehearsal), run("a", 4), run("a", 5)];
        assert_eq!(merged(vec![first, second]), expected);
    }

    #[test]
    fn figures_are_per_second_and_per_million() {
        let run = example("apogee", "x", 50_000, 3.0);
        assert!((run.rate() - 50_000.0).abs() < 1e-6);
        assert!((run.cpu_per_million() - 30.0).abs() < 1e-6);
    }
}
