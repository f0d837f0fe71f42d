//! One topic that nobody reads while another is in use: how late the live topic's messages are before, while the
//! backlog is built up, and while it is drained from the disk.
//!
//! All load is `apogee bench` over real sockets. A phase is as long as its work, at least as long as asked for; the
//! live topic is measured again and again meanwhile, and each phase shows the median of its windows.
use crate::e2e;
use crate::process::{Output, Process};
use crate::server_under_test::{self, ServerUnderTest, Stop};
use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

/// A message of the backlog takes about so much disk: record, properties, index.
const DISK_BYTES_PER_MESSAGE: u64 = 400;
const BATCH: u32 = 32;
/// The worst window that still meets the goal, as a multiple of the first phase.
const GOAL: f64 = 2.0;
const STOP_PATIENCE: Duration = Duration::from_secs(20);

#[derive(clap::Args, Clone)]
pub(crate) struct Options {
    /// Messages that nobody reads, of 128 bytes each.
    #[arg(long, default_value_t = 50_000_000)]
    messages: u64,
    /// Messages of the live topic in a second.
    #[arg(long, default_value_t = 5_000)]
    rate: u64,
    /// Shortest length of a phase, in seconds.
    #[arg(long, default_value_t = 30)]
    phase_seconds: u64,
    /// `sync` or `async`, as `replica.flush`.
    #[arg(long, default_value = "async")]
    flush: String,
    /// Messages of the backlog in a second; as fast as it goes when left out.
    #[arg(long)]
    build_rate: Option<u64>,
    /// A program to measure instead of the one that is built.
    #[arg(long)]
    binary: Option<PathBuf>,
    /// Where data is kept meanwhile; the system's temporary folder when left out.
    #[arg(long)]
    folder: Option<PathBuf>,
}

/// What `apogee bench --json` prints, as far as it is wanted here.
#[derive(Deserialize, Clone, Debug)]
struct Outcome {
    sent: u64,
    received: u64,
    seconds: f64,
    latency_ms: Latency,
}

#[derive(Deserialize, Clone, Copy, Debug)]
struct Latency {
    p50: f64,
    p99: f64,
    p999: f64,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let binary = match &options.binary {
        Some(binary) => binary.clone(),
        None => server_under_test::build("release")?,
    };
    let folder = match &options.folder {
        Some(folder) => tempfile::Builder::new().prefix("apogee-backlog-").tempdir_in(folder)?.keep(),
        None => e2e::run_folder()?,
    };
    let outcome = measure(options, &binary, &folder);
    std::fs::remove_dir_all(&folder)?;
    let met = outcome?;
    Ok(if met { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn measure(options: &Options, binary: &Path, folder: &Path) -> Result<bool> {
    let gib = (options.messages * DISK_BYTES_PER_MESSAGE) >> 30;
    println!("{} messages take about {gib} GiB in {}", options.messages, folder.display());
    let settings =
        vec![("APOGEE_FLUSH", options.flush.clone()), ("APOGEE_STORE_DISK_REFUSE_PERCENT", "98".to_owned())];
    let mut server = ServerUnderTest::apogee(binary, settings, folder)?;
    server.launch()?;
    let bench = Bench { server: &server, binary, folder, options };
    let before = bench.live_while(None)?;
    show("before", &before);
    let mut send =
        format!("-m send --topic backlog -s 128 --batch {BATCH} -c 2 -i 2 -n {}", options.messages);
    if let Some(rate) = options.build_rate {
        send += &format!(" -r {rate}");
    }
    let build_up = bench.live_while(Some(("build-up", &send)))?;
    show("while the backlog is built up", &build_up);
    let drain = format!("-m drain --topic backlog --group late -c 2 -n {}", options.messages);
    let draining = bench.live_while(Some(("drain", &drain)))?;
    show("while the backlog is drained", &draining);
    server.stop(Stop::Graceful)?;
    let (first, worst) = (middle(&before).p999, middle(&draining).p999);
    println!("p99.9 while it is drained: {:.2} times that of before (goal: {GOAL})", worst / first);
    Ok(worst <= first * GOAL)
}

struct Bench<'a> {
    server: &'a ServerUnderTest,
    binary: &'a Path,
    folder: &'a Path,
    options: &'a Options,
}

impl Bench<'_> {
    /// Windows of the live topic, for as long as `work` runs.
    fn live_while(&self, work: Option<(&str, &str)>) -> Result<Vec<Latency>> {
        let mut running = work.map(|(name, arguments)| self.start(name, arguments)).transpose()?;
        let mut windows = Vec::new();
        loop {
            windows.push(self.live()?);
            if running.as_mut().is_none_or(Process::has_ended) {
                break;
            }
        }
        if let (Some(mut process), Some((name, _))) = (running, work) {
            ensure!(process.wait(STOP_PATIENCE).is_some_and(|status| status.success()), "{name} failed");
            let done = self.outcome(name)?;
            let rate = (done.sent + done.received) as f64 / done.seconds;
            println!("{name}: {} sent, {} received, {rate:.0} in a second", done.sent, done.received);
        }
        Ok(windows)
    }

    fn live(&self) -> Result<Latency> {
        let Options { rate, phase_seconds, .. } = self.options;
        let arguments = format!(
            "-m endtoend --topic live --group live -s 128 -r {rate} -c 2 -i 32 --duration {phase_seconds}s"
        );
        let mut process = self.start("live", &arguments)?;
        let patience = Duration::from_secs(phase_seconds + 60);
        let ended = process.wait(patience).context("the live topic stands still")?;
        ensure!(ended.success(), "the live topic's load failed: see {}", self.log("live").display());
        Ok(self.outcome("live")?.latency_ms)
    }

    fn start(&self, name: &str, arguments: &str) -> Result<Process> {
        let log = self.log(name);
        // Only the newest outcome counts.
        let _ = std::fs::remove_file(&log);
        let mut command = Command::new(self.binary);
        command
            .args(["bench", "--json"])
            .args(arguments.split(' '))
            .args(["--broker", &self.server.namesrv(), "--endpoint", &self.server.endpoint()])
            .args(["--server", &format!("http://{}", self.server.http())]);
        Process::start(name, &mut command, &log, Output::ToLog)
    }

    fn log(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.log"))
    }

    fn outcome(&self, name: &str) -> Result<Outcome> {
        let text = std::fs::read_to_string(self.log(name))?;
        parse(&text).with_context(|| format!("{name} has told no outcome:\n{text}"))
    }
}

/// The outcome stands behind lines of progress.
fn parse(text: &str) -> Option<Outcome> {
    serde_json::from_str(text.get(text.find('{')?..=text.rfind('}')?)?).ok()
}

/// The window whose p99.9 is the median of the phase.
fn middle(windows: &[Latency]) -> Latency {
    let mut sorted = windows.to_vec();
    sorted.sort_by(|a, b| a.p999.total_cmp(&b.p999));
    sorted.get(sorted.len() / 2).copied().unwrap_or(Latency { p50: 0.0, p99: 0.0, p999: 0.0 })
}

fn show(phase: &str, windows: &[Latency]) {
    let Latency { p50, p99, p999 } = middle(windows);
    let worst = windows.iter().map(|window| window.p999).fold(0.0, f64::max);
    println!(
        "{phase}: p50 {p50:.2} ms, p99 {p99:.2} ms, p99.9 {p999:.2} ms (worst of {}: {worst:.2} ms)",
        windows.len()
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_is_found_behind_progress() {
        let text = "3 s: 15000\n{\n \"sent\": 3, \"received\": 2, \"seconds\": 1.5, \"mode\": \"x\",\n\
                    \"latency_ms\": {\"p50\": 1.0, \"p99\": 2.0, \"p999\": 3.0, \"max\": 9.0}\n}\n";
        let outcome = parse(text).expect("an outcome");
        assert_eq!((outcome.sent, outcome.received), (3, 2));
        assert!((outcome.latency_ms.p999 - 3.0).abs() < 1e-9);
        assert!(parse("connection refused").is_none());
    }

    #[test]
    fn the_middle_window_is_by_its_tail() {
        let window = |p999| Latency { p50: 1.0, p99: 1.0, p999 };
        assert!((middle(&[window(9.0), window(1.0), window(5.0)]).p999 - 5.0).abs() < 1e-9);
    }
}
