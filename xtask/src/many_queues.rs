//! The same official client makes queue after queue on one server after the other, and sends a first message to each:
//! how far a server goes, and what its queues cost. What one of our own million costs in detail measures
//! `apogee bench -m queues`.
use crate::clients;
use crate::oracle::{Heaps, ProxyMode, Tuning};
use crate::paths;
use crate::process::{Output, Process};
use crate::server_under_test::{self, ServerUnderTest, Stop};
use crate::versus::procfs::Usage;
use crate::{e2e, process};
use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// A step of very many queues on a server that swaps or collects garbage all the time.
const STEP_PATIENCE: Duration = Duration::from_secs(600);
const END_PATIENCE: Duration = Duration::from_secs(20);
const BROKER_PATIENCE: Duration = Duration::from_secs(75);
const BYTES_PER_MIB: f64 = 1024.0 * 1024.0;

#[derive(clap::Args, Clone)]
pub(crate) struct Options {
    /// Servers, one after the other.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Server::Apogee, Server::RocketmqFile, Server::RocketmqRocksdb])]
    server: Vec<Server>,
    /// Queues to make at most.
    #[arg(long, default_value_t = 100_000)]
    queues: u64,
    #[arg(long, default_value_t = 100)]
    queues_per_topic: u64,
    /// Queues between two lines of the table.
    #[arg(long, default_value_t = 10_000)]
    queues_per_step: u64,
    /// Bytes of each body.
    #[arg(long, default_value_t = 128)]
    size: u64,
    #[arg(long, default_value_t = 64)]
    in_flight: u64,
    /// A program to measure instead of the one that is built.
    #[arg(long)]
    binary: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Server {
    Apogee,
    /// RocketMQ with a consume queue of files for each queue, its default.
    RocketmqFile,
    /// RocketMQ with all consume queues in RocksDB.
    RocketmqRocksdb,
}

impl Server {
    fn broker_name(self) -> &'static str {
        match self {
            Self::Apogee => "apogee-0",
            Self::RocketmqFile | Self::RocketmqRocksdb => "broker-a",
        }
    }

    /// Asynchronous flushes for all: this is about queues.
    fn prepare(self, options: &Options, folder: &Path) -> Result<ServerUnderTest> {
        let rocketmq = |store: &str| {
            let broker = format!("flushDiskType=ASYNC_FLUSH\n{store}");
            let heaps = Heaps { namesrv: "512m", broker: "4g", proxy: "4g" };
            let tuning =
                Tuning { java: &["-XX:+UseG1GC"], heaps, proxy: ProxyMode::Local, access: None, broker };
            ServerUnderTest::rocketmq(tuning, folder)
        };
        match self {
            Self::Apogee => {
                let binary = match &options.binary {
                    Some(binary) => binary.clone(),
                    None => server_under_test::build("release")?,
                };
                let settings = vec![("APOGEE_FLUSH", "async".to_owned())];
                ServerUnderTest::apogee(&binary, settings, folder)
            }
            Self::RocketmqFile => rocketmq(""),
            Self::RocketmqRocksdb => rocketmq("storeType=defaultRocksDB\n"),
        }
    }
}

/// How far the program is: `STEP queues stored readable refused the last refusal`.
#[derive(Debug, PartialEq, Eq)]
struct Step {
    queues: u64,
    stored: u64,
    /// Queues of the last topic that show their message.
    readable: u64,
    refused: u64,
    refusal: String,
}

impl Step {
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.strip_prefix("STEP ")?.splitn(5, ' ');
        let mut number = || words.next()?.parse().ok();
        let [queues, stored, readable, refused] = [number()?, number()?, number()?, number()?];
        Some(Self { queues, stored, readable, refused, refusal: words.next().unwrap_or_default().to_owned() })
    }
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let parent = e2e::run_folder()?;
    for server in &options.server {
        let name = server.to_possible_value().context("a server has a name")?.get_name().to_owned();
        let folder = parent.join(&name);
        std::fs::create_dir_all(&folder)?;
        println!(
            "\n{name}: queues | stored | readable in the last topic | seconds | RSS MiB (bytes a queue) | disk MiB (bytes a queue) | descriptors"
        );
        measure(*server, options, &folder).with_context(|| name.clone())?;
        std::fs::remove_dir_all(&folder)?;
    }
    std::fs::remove_dir_all(&parent)?;
    Ok(ExitCode::SUCCESS)
}

fn measure(kind: Server, options: &Options, folder: &Path) -> Result<()> {
    let mut server = kind.prepare(options, folder)?;
    server.launch()?;
    await_broker(&server, folder)?;
    let ids: Vec<u32> = server.processes().iter().map(Process::id).collect();
    let idle = Usage::of(&ids)?;
    let disk_idle = paths::allocated_bytes(server.store())?;
    println!(
        "0 | 0 | 0 | 0 | {:.0} | {:.1} | {}",
        idle.rss_mib,
        disk_idle as f64 / BYTES_PER_MIB,
        descriptors(&ids)?
    );

    let home = folder.join("load");
    std::fs::create_dir_all(&home)?;
    clients::LOAD_REMOTING.install()?;
    let mut command = clients::LOAD_REMOTING.command(&home);
    command
        .arg("many-queues")
        .arg(format!("queues={}", options.queues))
        .arg(format!("queues-per-topic={}", options.queues_per_topic))
        .arg(format!("queues-per-step={}", options.queues_per_step))
        .arg(format!("size={}", options.size))
        .arg(format!("in-flight={}", options.in_flight))
        .env("NAMESRV", server.namesrv())
        .env("BROKER_NAME", kind.broker_name())
        .env("TOPIC", "crowd")
        .env("GROUP", "crowd");
    let log = home.join("load.log");
    let mut process = Process::start("load", &mut command, &log, Output::Piped)?;
    let mut input = process.stdin()?;
    let lines = process.lines()?;
    let begin = Instant::now();
    let mut reached = 0;
    while reached < options.queues {
        let Ok(line) = lines.recv_timeout(STEP_PATIENCE) else { break };
        if let Some(reason) = line.strip_prefix("FAILED ") {
            bail!("{reason}; see {}", log.display());
        }
        let Some(step) = Step::parse(&line) else { continue };
        reached = step.queues;
        let seconds = begin.elapsed().as_secs_f64();
        let now = Usage::of(&ids)?;
        let disk = paths::allocated_bytes(server.store())?;
        let each = |bytes: f64| bytes / reached.max(1) as f64;
        println!(
            "{} | {} | {} | {seconds:.1} | {:.0} ({:.0}) | {:.0} ({:.0}) | {}",
            step.queues,
            step.stored,
            step.readable,
            now.rss_mib,
            each((now.rss_mib - idle.rss_mib) * BYTES_PER_MIB),
            disk as f64 / BYTES_PER_MIB,
            each((disk - disk_idle.min(disk)) as f64),
            descriptors(&ids)?,
        );
        if step.refused > 0 {
            println!("refused so far: {}; the last one: {}", step.refused, step.refusal);
        }
        writeln!(input, "STEPPED")?;
        input.flush()?;
    }
    ensure!(reached > 0, "no step was reached; see {}", log.display());
    let ended = process.wait(END_PATIENCE).is_some_and(|status| status.success());
    ensure!(ended, "the load did not end well; see {}", log.display());
    server.stop(Stop::Kill)
}

/// A broker makes itself known to its name server in its own time.
fn await_broker(server: &ServerUnderTest, folder: &Path) -> Result<()> {
    let mut operator = crate::operator::Operator::start(server, None, folder)?;
    process::await_true("the first topic", BROKER_PATIENCE, || {
        Ok(operator.ask("topic first NORMAL 8")? == "OPERATED")
    })
}

/// Files and sockets that the processes hold open.
fn descriptors(processes: &[u32]) -> Result<usize> {
    let mut sum = 0;
    for id in processes {
        sum += std::fs::read_dir(format!("/proc/{id}/fd"))?.count();
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_read() {
        let step = Step::parse("STEP 20000 19950 100 50 CODE: 14 too many open files").expect("a step");
        let refusal = "CODE: 14 too many open files".to_owned();
        assert_eq!(step, Step { queues: 20_000, stored: 19_950, readable: 100, refused: 50, refusal });
        assert_eq!(Step::parse("STEP 1 1 1 0 ").expect("a step").refusal, "");
        assert_eq!(Step::parse("noise"), None);
    }
}
