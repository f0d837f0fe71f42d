//! Full load for a while on a small memory budget: the process must stay inside of it, every owner of memory inside
//! of its share, and the log without a warning.
//!
//! The load is `apogee bench`, in rounds: senders of both protocols, large messages, drains that become cold, end to
//! end on the side, and clients that ask for messages and never read them. Refusals are part of it: what memory has no
//! room for is answered "busy", and the clients come again.
mod slow;

use crate::process::{Output, Process};
use crate::server_under_test::{self, ServerUnderTest};
use crate::versus::procfs;
use crate::{e2e, log_check};
use anyhow::{Context, Result, bail, ensure};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

/// What the process takes beside the budget: code, stacks, tables, and what the allocator keeps for the next request.
pub(crate) const FIXED_MIB: u64 = 64;
/// An owner may hold this much more than its share: the largest request goes through whole.
const OWNER_SLACK_BYTES: f64 = 17.0 * 1024.0 * 1024.0;
/// The log is kept this long, so that a long soak does not fill the disk.
const RETENTION_BYTES: u64 = 2 << 30;
const LOOK: Duration = Duration::from_millis(500);
/// Beyond its duration a load only ends what it began.
const LOAD_PATIENCE: Duration = Duration::from_secs(60);
const BYTES_PER_MIB: f64 = 1024.0 * 1024.0;

#[derive(clap::Args, Clone)]
pub(crate) struct Options {
    /// How long.
    #[arg(long, default_value_t = 30)]
    minutes: u64,
    /// Instead: so many seconds.
    #[arg(long)]
    seconds: Option<u64>,
    /// Length of a round, in seconds; each round begins with new clients.
    #[arg(long, default_value_t = 20)]
    round_seconds: u64,
    /// The engine's memory budget.
    #[arg(long, default_value_t = 256)]
    budget_mib: u64,
    /// Cargo profile of the engine under test.
    #[arg(long, default_value = "release")]
    profile: String,
    /// A program to load instead of the one that is built.
    #[arg(long)]
    binary: Option<PathBuf>,
}

impl Options {
    /// What the checks run: two rounds.
    pub(crate) fn short(profile: &str) -> Self {
        let profile = profile.to_owned();
        Self { minutes: 0, seconds: Some(20), round_seconds: 10, budget_mib: 256, profile, binary: None }
    }

    fn duration(&self) -> Duration {
        Duration::from_secs(self.seconds.unwrap_or(self.minutes * 60))
    }
}

/// One `apogee bench`: its protocol, and the rest of its arguments.
struct Load {
    name: &'static str,
    arguments: &'static str,
}

const LOADS: [Load; 6] = [
    Load { name: "send", arguments: "-m send -p remoting --topic soak-a -s 1024 -c 4 -i 64" },
    Load { name: "send-grpc", arguments: "-m send -p grpc --topic soak-a -s 512 -c 2 -i 64" },
    Load { name: "send-large", arguments: "-m send -p remoting --topic soak-large -s 1048576 -c 8 -i 8" },
    Load { name: "drain", arguments: "-m drain -p remoting --topic soak-a --group soak-drain -c 4" },
    Load { name: "drain-grpc", arguments: "-m drain -p grpc --topic soak-a --group soak-pop -c 2 -i 8" },
    Load { name: "end-to-end", arguments: "-m endtoend -p grpc --topic soak-live -s 128 -r 200 -c 1 -i 8" },
];

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let binary = match &options.binary {
        Some(binary) => binary.clone(),
        None => server_under_test::build(&options.profile)?,
    };
    let folder = e2e::run_folder()?;
    println!("logs are in {}", folder.display());
    let settings = vec![
        ("APOGEE_MEMORY_BUDGET_BYTES", (options.budget_mib << 20).to_string()),
        ("APOGEE_STORE_RETENTION_BYTES", RETENTION_BYTES.to_string()),
        ("APOGEE_STORE_SEGMENT_BYTES", (64 << 20).to_string()),
        ("APOGEE_STORE_DISK_REFUSE_PERCENT", "98".to_owned()),
        ("APOGEE_FLUSH", "async".to_owned()),
    ];
    let mut server = ServerUnderTest::apogee(&binary, settings, &folder)?;
    server.launch()?;
    let mut soak = Soak { server, binary, folder, options: options.clone(), seen: Seen::default() };
    let outcome = soak.go();
    soak.seen.print(options);
    outcome?;
    let Soak { mut server, folder, .. } = soak;
    server.stop(server_under_test::Stop::Graceful)?;
    let log = server.watched_log().context("apogee has a log")?;
    let trouble = log_check::unexpected_lines(log, 0, &[])?;
    ensure!(trouble.is_empty(), "the log has unexpected lines:\n{}", trouble.join("\n"));
    std::fs::remove_dir_all(folder)?;
    Ok(ExitCode::SUCCESS)
}

struct Soak {
    server: ServerUnderTest,
    binary: PathBuf,
    folder: PathBuf,
    options: Options,
    seen: Seen,
}

/// The most that was seen.
#[derive(Default)]
struct Seen {
    rounds: u32,
    resident_mib: f64,
    owners: Vec<(String, f64)>,
    appended_bytes: f64,
}

impl Seen {
    fn print(&self, options: &Options) {
        println!(
            "{} rounds, {:.0} MiB appended; resident at most {:.0} MiB of {} + {FIXED_MIB}",
            self.rounds,
            self.appended_bytes / BYTES_PER_MIB,
            self.resident_mib,
            options.budget_mib
        );
        for (owner, bytes) in &self.owners {
            println!("  {owner:<20} {:>8.1} MiB at most", bytes / BYTES_PER_MIB);
        }
    }

    fn owner(&mut self, owner: &str, bytes: f64) {
        match self.owners.iter_mut().find(|(known, _)| known == owner) {
            Some((_, most)) => *most = most.max(bytes),
            None => self.owners.push((owner.to_owned(), bytes)),
        }
    }
}

impl Soak {
    fn go(&mut self) -> Result<()> {
        let end = Instant::now() + self.options.duration();
        while Instant::now() < end {
            self.round()?;
            self.seen.rounds += 1;
        }
        Ok(())
    }

    fn round(&mut self) -> Result<()> {
        let before = self.seen.appended_bytes;
        let round = Duration::from_secs(self.options.round_seconds);
        let mut loads: Vec<Process> =
            LOADS.iter().map(|load| self.start(load, round)).collect::<Result<_>>()?;
        let slow = slow::Clients::start(&self.server.namesrv(), "soak-large")?;
        let deadline = Instant::now() + round + LOAD_PATIENCE;
        while !loads.iter_mut().all(Process::has_ended) {
            ensure!(Instant::now() < deadline, "a load goes on long after its time");
            std::thread::sleep(LOOK);
            self.look()?;
        }
        drop(slow);
        self.look()?;
        ensure!(self.seen.appended_bytes > before, "nothing was written in a whole round");
        Ok(())
    }

    /// How a load ends tells nothing: one whose requests are refused too often gives up.
    fn start(&self, load: &Load, round: Duration) -> Result<Process> {
        let mut command = Command::new(&self.binary);
        command
            .arg("bench")
            .args(load.arguments.split(' '))
            .args(["--broker", &self.server.namesrv(), "--endpoint", &self.server.endpoint()])
            .args(["--server", &format!("http://{}", self.server.http())])
            .args(["--duration", &format!("{}s", round.as_secs())]);
        let log = self.folder.join(format!("{}.log", load.name));
        Process::start(load.name, &mut command, &log, Output::ToLog)
    }

    fn look(&mut self) -> Result<()> {
        let ids: Vec<u32> = self.server.processes().iter().map(Process::id).collect();
        let usage = procfs::Usage::of(&ids).context("the engine is gone")?;
        self.seen.resident_mib = self.seen.resident_mib.max(usage.rss_peak_mib);
        let most = (self.options.budget_mib + FIXED_MIB) as f64;
        let metrics = metrics(&self.server.http())?;
        if usage.rss_peak_mib > most {
            let held: Vec<&str> = metrics.lines().filter(|line| line.starts_with(HELD)).collect();
            bail!("{:.0} MiB are resident, and {most:.0} allowed:\n{}", usage.rss_peak_mib, held.join("\n"));
        }
        for (owner, bytes) in by_owner(&metrics, HELD) {
            self.seen.owner(&owner, bytes);
            let limit = by_owner(&metrics, LIMIT).find(|(of, _)| *of == owner);
            if let Some((_, limit)) = limit.filter(|(_, limit)| bytes > limit + OWNER_SLACK_BYTES) {
                bail!("{owner} holds {bytes} bytes of {limit}");
            }
        }
        self.seen.appended_bytes = value(&metrics, APPENDED).context("no metric of appended bytes")?;
        Ok(())
    }
}

const HELD: &str = "apogee_memory_bytes{owner=\"";
const LIMIT: &str = "apogee_memory_limit_bytes{owner=\"";
const APPENDED: &str = "apogee_store_appended_bytes_total";

/// Values of a family of metrics by their label.
fn by_owner<'a>(metrics: &'a str, family: &'a str) -> impl Iterator<Item = (String, f64)> + 'a {
    metrics.lines().filter_map(move |line| {
        let (owner, value) = line.strip_prefix(family)?.split_once("\"} ")?;
        Some((owner.to_owned(), value.trim().parse().ok()?))
    })
}

fn value(metrics: &str, name: &str) -> Option<f64> {
    metrics.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}

fn metrics(http: &str) -> Result<String> {
    let mut stream = TcpStream::connect(http).context("the engine does not answer")?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: {http}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_found() {
        let text = "# HELP apogee_memory_bytes x\napogee_memory_bytes{owner=\"tail_cache\"} 12\n\
                    apogee_memory_limit_bytes{owner=\"tail_cache\"} 99\napogee_store_appended_bytes_total 7\n";
        assert_eq!(by_owner(text, HELD).collect::<Vec<_>>(), [("tail_cache".to_owned(), 12.0)]);
        assert_eq!(by_owner(text, LIMIT).collect::<Vec<_>>(), [("tail_cache".to_owned(), 99.0)]);
        assert_eq!(value(text, APPENDED), Some(7.0));
        assert_eq!(value(text, "apogee_other"), None);
    }
}
