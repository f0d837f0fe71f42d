//! Moves clients from a real RocketMQ to Apogee under traffic, and counts what became of every message.
//!
//! ```text
//! RocketMQ: 50 topics, 30 groups, traffic, retries on their way
//!   ├─ apogee import rocketmq --mirror     killed once, started again
//!   ├─ consumers rest, producer moves
//!   └─ apogee import rocketmq --mirror --cut-over
//! Apogee: the same groups go on
//! ```
//! Every acknowledged message must be consumed by its group, here or there.
use crate::clients::{MOVERS, OPERATOR};
use crate::e2e::run_folder;
use crate::operator::Operator;
use crate::oracle::Tuning;
use crate::process::{Output, Process, await_true};
use crate::server_under_test::{ServerUnderTest, build, quick_checks};
use anyhow::{Context, Result, bail};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(120);

#[derive(clap::Args, Clone)]
pub(crate) struct Options {
    #[arg(long, default_value_t = 50)]
    topics: u32,
    #[arg(long, default_value_t = 30)]
    groups: u32,
    /// Messages that are sent in all.
    #[arg(long, default_value_t = 20_000)]
    messages: u32,
    #[arg(long, default_value = "dev")]
    profile: String,
}

/// What the clients said, of both clusters.
#[derive(Default)]
struct Ledger {
    acked: BTreeSet<u32>,
    consumed: BTreeMap<u32, u32>,
    corrupt: Vec<String>,
    rests: u32,
    productions: u32,
}

/// The clients of one cluster.
struct Movers {
    _process: Process,
    input: std::process::ChildStdin,
    ledger: Arc<Mutex<Ledger>>,
}

impl Movers {
    fn start(namesrv: String, fails: bool, options: &Options, folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder)?;
        let mut command = MOVERS.command(folder);
        command
            .env("NAMESRV", namesrv)
            .env("TOPICS", options.topics.to_string())
            .env("GROUPS", options.groups.to_string());
        if fails {
            command.env("FAILS", "1");
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
        Ok(Self { _process: process, input, ledger })
    }

    fn tell(&mut self, line: &str) -> Result<()> {
        writeln!(self.input, "{line}").context("the clients are gone")?;
        Ok(self.input.flush()?)
    }

    fn look<T>(&self, at: impl FnOnce(&Ledger) -> T) -> T {
        at(&self.ledger.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn produce(&mut self, first: u32, count: u32) -> Result<()> {
        let before = self.look(|ledger| ledger.productions);
        self.tell(&format!("produce {first} {count}"))?;
        await_true("messages are sent", PATIENCE, || Ok(self.look(|ledger| ledger.productions) > before))
    }

    fn rest(&mut self) -> Result<()> {
        self.tell("rest")?;
        await_true("consumers rest", PATIENCE, || Ok(self.look(|ledger| ledger.rests) > 0))
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

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    for client in [MOVERS, OPERATOR] {
        client.install().with_context(|| format!("cannot install {}", client.name))?;
    }
    let binary = build(&options.profile)?;
    let folder = run_folder()?;
    println!("logs are in {}", folder.display());
    let (there, here) = (folder.join("there"), folder.join("here"));
    std::fs::create_dir_all(&there)?;
    std::fs::create_dir_all(&here)?;
    let mut source = ServerUnderTest::rocketmq(Tuning::proof(), &there)?;
    source.launch()?;
    let mut target = ServerUnderTest::apogee(&binary, quick_checks(), &here)?;
    target.launch()?;
    prepare(&source, &there, options)?;
    let mut old = Movers::start(source.namesrv(), true, options, &there.join("movers"))?;
    let mut new = Movers::start(target.namesrv(), false, options, &here.join("movers"))?;
    let part = options.messages / 4;

    old.produce(0, part)?;
    old.tell("consume")?;
    let import = Import { binary, folder: here.clone(), namesrv: source.namesrv(), target: &target };
    let mut mirror = import.start("mirror-1", &[])?;
    old.tell(&format!("produce {part} {part}"))?;
    let half = usize::try_from(part + part / 2)?;
    await_true("the import is under way", PATIENCE, || Ok(old.look(|ledger| ledger.acked.len()) > half))?;
    mirror.kill()?;
    let copied =
        |name: &str| std::fs::read_to_string(here.join(name)).unwrap_or_default().matches("mirrored").count();
    println!("the import was killed under traffic, after {} reports", copied("mirror-1.log"));
    let mut mirror = import.start("mirror-2", &[])?;
    await_true("messages are sent", PATIENCE, || Ok(old.look(|ledger| ledger.productions) > 1))?;
    old.rest()?;
    old.produce(2 * part, part)?;
    mirror.kill()?;
    let before = old.look(|ledger| ledger.consumed.len());
    let mut cut_over = import.start("cut-over", &["--cut-over"])?;
    let ended = cut_over.wait(PATIENCE).is_some_and(|status| status.success());
    if !ended {
        bail!("the import did not end; see {}", here.join("cut-over.log").display());
    }
    new.tell("consume")?;
    new.produce(3 * part, part)?;
    let missing = || {
        old.look(|old| {
            new.look(|new| {
                let acked = old.acked.union(&new.acked);
                let is_consumed = |n: &u32| old.consumed.contains_key(n) || new.consumed.contains_key(n);
                acked.filter(|n| !is_consumed(n)).copied().collect::<Vec<u32>>()
            })
        })
    };
    let arrived = await_true("all messages are consumed", PATIENCE, || Ok(missing().is_empty()));
    let acked = old.look(|old| old.acked.len()) + new.look(|new| new.acked.len());
    let twice =
        new.look(|new| old.look(|old| new.consumed.keys().filter(|n| old.consumed.contains_key(n)).count()));
    println!(
        "{acked} messages acknowledged, {before} consumed before the move, {twice} of them again after it"
    );
    let corrupt = old.look(|old| old.corrupt.clone()).len() + new.look(|new| new.corrupt.clone()).len();
    if arrived.is_err() || corrupt > 0 {
        let missing = missing();
        println!(
            "FAILED: {} not consumed, as {:?}; {corrupt} corrupt",
            missing.len(),
            missing.iter().take(20).collect::<Vec<_>>()
        );
        return Ok(ExitCode::FAILURE);
    }
    println!("each was consumed at least once");
    Ok(ExitCode::SUCCESS)
}

fn prepare(source: &ServerUnderTest, folder: &Path, options: &Options) -> Result<()> {
    let mut operator = Operator::start(source, folder)?;
    let topics = (0..options.topics).map(|n| format!("topic import-topic-{n} NORMAL 4"));
    let groups = (0..options.groups).map(|n| format!("group import-group-{n}"));
    for command in topics.chain(groups) {
        let answer = operator.ask(&command)?;
        if answer != "OPERATED" {
            bail!("{command}: {answer}");
        }
    }
    Ok(())
}

struct Import<'a> {
    binary: PathBuf,
    folder: PathBuf,
    namesrv: String,
    target: &'a ServerUnderTest,
}

impl Import<'_> {
    fn start(&self, name: &str, more: &[&str]) -> Result<Process> {
        let mut command = Command::new(&self.binary);
        command
            .args(["import", "rocketmq", "--mirror", "--report-ms", "1000", "--namesrv", &self.namesrv])
            .args(["--broker", &self.target.broker()])
            .args(["--server", &format!("http://{}", self.target.http())])
            .arg("--state")
            .arg(self.folder.join("import"))
            .args(more);
        Process::start(name, &mut command, &self.folder.join(format!("{name}.log")), Output::ToLog)
    }
}
