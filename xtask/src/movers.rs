//! A Java program whose clients send and consume numbered messages, and what they said: see `e2e/java-import`.
use crate::clients::MOVERS;
use crate::process::{Output, Process, await_true};
use anyhow::{Context, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(120);

/// How the clients of one program are to be.
pub(crate) struct Setting {
    pub(crate) namesrv: String,
    pub(crate) topics: u32,
    pub(crate) groups: u32,
    /// Every seventh message fails at first.
    pub(crate) fails: bool,
    /// More flags of the JVM.
    pub(crate) java: String,
}

/// What the clients said, of both clusters.
#[derive(Default)]
pub(crate) struct Ledger {
    pub(crate) acked: BTreeSet<u32>,
    pub(crate) consumed: BTreeMap<u32, u32>,
    pub(crate) corrupt: Vec<String>,
    pub(crate) rests: u32,
    pub(crate) productions: u32,
}

/// The clients of one cluster.
pub(crate) struct Movers {
    process: Process,
    input: std::process::ChildStdin,
    ledger: Arc<Mutex<Ledger>>,
}

impl Movers {
    pub(crate) fn start(setting: &Setting, folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder)?;
        let mut command = MOVERS.command(folder);
        command
            .env("NAMESRV", &setting.namesrv)
            .env("TOPICS", setting.topics.to_string())
            .env("GROUPS", setting.groups.to_string());
        if setting.fails {
            command.env("FAILS", "1");
        }
        if !setting.java.is_empty() {
            command.env("JAVA_TOOL_OPTIONS", &setting.java);
        }
        let mut process = Process::start("movers", &mut command, &folder.join("program.log"), Output::Piped)?;
        let (input, lines) = (process.stdin()?, process.lines()?);
        let ledger = Arc::new(Mutex::new(Ledger::default()));
        let shared = Arc::clone(&ledger);
        std::thread::spawn(move || {
            for line in lines {
                shared.lock().unwrap_or_else(PoisonError::into_inner).hear(&line);
            }
        });
        Ok(Self { process, input, ledger })
    }

    pub(crate) fn tell(&mut self, line: &str) -> Result<()> {
        writeln!(self.input, "{line}").context("the clients are gone")?;
        Ok(self.input.flush()?)
    }

    pub(crate) fn look<T>(&self, at: impl FnOnce(&Ledger) -> T) -> T {
        at(&self.ledger.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn produce(&mut self, first: u32, count: u32) -> Result<()> {
        let before = self.look(|ledger| ledger.productions);
        self.tell(&format!("produce {first} {count}"))?;
        await_true("messages are sent", PATIENCE, || Ok(self.look(|ledger| ledger.productions) > before))
    }

    pub(crate) fn rest(&mut self) -> Result<()> {
        self.tell("rest")?;
        await_true("consumers rest", PATIENCE, || Ok(self.look(|ledger| ledger.rests) > 0))
    }
}

impl Movers {
    /// Waits for the program's end; whether it was a good one.
    pub(crate) fn ended_well(&mut self, patience: Duration) -> bool {
        self.process.wait(patience).is_some_and(|status| status.success())
    }
}

impl Ledger {
    fn hear(&mut self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            ["ACKED", _, number] => drop(number.parse().map(|number| self.acked.insert(number))),
            ["CONSUMED", _, number] => {
                if let Ok(number) = number.parse() {
                    *self.consumed.entry(number).or_default() += 1;
                }
            }
            ["CORRUPT", ..] => self.corrupt.push(line.to_owned()),
            ["RESTED"] => self.rests += 1,
            ["PRODUCED"] => self.productions += 1,
            _ => {}
        }
    }
}
