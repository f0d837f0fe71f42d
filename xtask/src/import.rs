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
use crate::e2e::memory_folder;
use crate::movers::{Movers, Setting};
use crate::operator::Operator;
use crate::oracle::Tuning;
use crate::process::{Output, Process, await_true};
use crate::server_under_test::{ServerUnderTest, build, quick_checks};
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

/// A topic that is closed to producers there, and what it holds.
const CLOSED_TOPIC: &str = "import-closed";
const CLOSED_MESSAGES: u64 = 100;
/// Read, as `PermName` has it.
const READ: u64 = 4;
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

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    for client in [MOVERS, OPERATOR] {
        client.install().with_context(|| format!("cannot install {}", client.name))?;
    }
    let binary = build(&options.profile)?;
    let folder = memory_folder()?;
    println!("logs are in {}", folder.display());
    let (there, here) = (folder.join("there"), folder.join("here"));
    std::fs::create_dir_all(&there)?;
    std::fs::create_dir_all(&here)?;
    let mut source = ServerUnderTest::rocketmq(Tuning::proof(), &there)?;
    source.launch()?;
    let mut target = ServerUnderTest::apogee(&binary, quick_checks(), &here)?;
    target.launch()?;
    prepare(&source, &there, options)?;
    let setting = |namesrv: String, fails: bool| Setting {
        namesrv,
        topics: options.topics,
        groups: options.groups,
        fails,
        java: String::new(),
    };
    let mut old = Movers::start(&setting(source.namesrv(), true), &there.join("movers"))?;
    let mut new = Movers::start(&setting(target.namesrv(), false), &here.join("movers"))?;
    let part = options.messages / 4;

    old.produce(0, part)?;
    old.tell("consume")?;
    let import = Import { binary, folder: here.clone(), namesrv: source.namesrv(), target: &target };
    let mut mirror = import.start("mirror-1", &["--acl"])?;
    old.tell(&format!("produce {part} {part}"))?;
    let half = usize::try_from(part + part / 2)?;
    await_true("the import is under way", PATIENCE, || Ok(old.look(|ledger| ledger.acked.len()) > half))?;
    mirror.kill()?;
    let copied =
        |name: &str| std::fs::read_to_string(here.join(name)).unwrap_or_default().matches("mirrored").count();
    import.expect_user()?;
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
    import.expect_closed()?;
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
    let mut operator = Operator::start(source, None, folder)?;
    let access = ["user import-user import-secret", "policy import-user Topic:import-* Pub,Sub Allow"];
    let access = access.into_iter().map(str::to_owned);
    let topics = (0..options.topics).map(|n| format!("topic import-topic-{n} NORMAL 4"));
    let groups = (0..options.groups).map(|n| format!("group import-group-{n}"));
    let closed = [
        format!("topic {CLOSED_TOPIC} NORMAL 2"),
        format!("fill {CLOSED_TOPIC} {CLOSED_MESSAGES}"),
        format!("permission {CLOSED_TOPIC} {READ}"),
    ];
    for command in topics.chain(groups).chain(access).chain(closed) {
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
    /// The user and the policy that were made there are here.
    fn expect_user(&self) -> Result<()> {
        let server = format!("http://{}", self.target.http());
        let told =
            Command::new(&self.binary).args(["acl", "list", "import-user", "--server", &server]).output()?;
        let told = String::from_utf8_lossy(&told.stdout).into_owned();
        if !(told.contains("Topic:import-*") && told.contains("Pub,Sub") && told.contains("Allow")) {
            bail!("the policy did not come along: {told}");
        }
        println!("users and policies came along");
        Ok(())
    }

    /// The topic that could not be written there has its messages here, and cannot be written either.
    fn expect_closed(&self) -> Result<()> {
        let server = format!("http://{}", self.target.http());
        let described = Command::new(&self.binary)
            .args(["topic", "describe", CLOSED_TOPIC, "--json", "--server", &server])
            .output()?;
        let told: Value = serde_json::from_slice(&described.stdout).context("no description")?;
        let ends = told.get("queues").and_then(Value::as_array).context("no queues")?.iter();
        let messages: u64 = ends.filter_map(|queue| queue.get("max_offset")?.as_u64()).sum();
        let permission = told.pointer("/config/permission").and_then(Value::as_u64);
        if messages != CLOSED_MESSAGES || permission != Some(READ) {
            bail!("{CLOSED_TOPIC} has {messages} messages and the permission {permission:?}");
        }
        println!("a topic that is read-only there has its {messages} messages, and is read-only here");
        Ok(())
    }

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
