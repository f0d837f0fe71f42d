//! What it costs to see everything: server CPU per message with health, events, metrics, console and traces in use,
//! against the same with all of it off.
//!
//! Two servers side by side, a measurement of each in turn, so that both have the same seconds of the machine; each pair
//! gives a ratio, and their geometric mean counts. Both are started anew for every few pairs, now the one first, now the
//! other, and the servers have half of the processors to themselves: two servers that do the same differ by a twentieth
//! for as long as they run, and the one that was started last needs more than the other more often than not. On one of
//! them health is looked at, metrics are read and pushed every few seconds, spans are made of every hundredth message, a stream of
//! events is open, and what the console's overview asks for is asked for. `--against` compares with another program,
//! which is started as it is by default and left alone: with one from before any of this, what is counted where
//! messages pass is told too.
use crate::e2e;
use crate::server_under_test::{self, ServerUnderTest, Stop};
use crate::versus::procfs::Usage;
use crate::versus::statistics::median_of;
use anyhow::{Context, Result, bail, ensure};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use serde::Deserialize;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

/// Metrics are read by Prometheus every 15 s by default, and by a console every 5 s.
const LOOK_EVERY: Duration = Duration::from_secs(5);
const GOAL: f64 = 1.05;
/// Asked for by the console's overview.
const ASKED: [(&str, &str); 5] = [
    ("node.info", "{}"),
    ("node.history", "{}"),
    ("topic.page", r#"{"sort":"sent","limit":6}"#),
    ("group.page", r#"{"sort":"lag","limit":6}"#),
    ("health.list", "{}"),
];
/// What is measured, as arguments of `apogee bench`.
const CASES: [(&str, &[&str]); 4] = [
    ("remoting send", &["--mode", "send", "--protocol", "remoting", "-c", "4", "-i", "16"]),
    ("remoting end to end", &["--mode", "endtoend", "--protocol", "remoting", "-c", "4", "-i", "16"]),
    ("gRPC send", &["--mode", "send", "--protocol", "grpc", "-c", "4", "-i", "16"]),
    ("gRPC end to end", &["--mode", "endtoend", "--protocol", "grpc", "-c", "4", "-i", "16"]),
];

#[derive(clap::Args, Clone)]
pub(crate) struct Options {
    /// How often both are started.
    #[arg(long, default_value_t = 24)]
    rounds: u32,
    /// Measurements of each of the two, of each case, in a round.
    #[arg(long, default_value_t = 2)]
    pairs: u32,
    /// Length of each measurement, in seconds.
    #[arg(long, default_value_t = 1)]
    seconds: u32,
    /// A program to measure instead of the one that is built.
    #[arg(long)]
    binary: Option<PathBuf>,
    /// Another program to compare with; the same with everything off when left out.
    #[arg(long)]
    against: Option<PathBuf>,
    /// Both with everything off: tells what the machine and the method make of no difference.
    #[arg(long, conflicts_with_all = ["against", "strict"])]
    control: bool,
    /// Fail if anything costs more than a twentieth.
    #[arg(long)]
    strict: bool,
}

#[derive(Deserialize)]
struct Outcome {
    sent: u64,
    failed_requests: u64,
}

/// CPU-seconds per million messages of one pair of measurements.
struct Pair {
    off: f64,
    on: f64,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let binary = match &options.binary {
        Some(binary) => binary.canonicalize()?,
        None => server_under_test::build("shipped")?,
    };
    let against =
        options.against.as_ref().map_or_else(|| Ok(binary.clone()), |other| other.canonicalize())?;
    let folder = e2e::run_folder()?;
    println!("logs are in {}", folder.display());
    let collector = Collector::start()?;
    let base = |name: &str| -> Result<PathBuf> {
        let folder = folder.join(name);
        std::fs::create_dir_all(&folder)?;
        Ok(folder)
    };
    let flush = || ("APOGEE_FLUSH", "async".to_owned());
    let mut off = vec![flush()];
    if options.against.is_none() {
        off.push(("APOGEE_HEALTH_INTERVAL_MS", "0".to_owned()));
    }
    let on = if options.control {
        off.clone()
    } else {
        vec![
            flush(),
            ("APOGEE_TELEMETRY_OTLP_ENDPOINT", format!("http://{}/otlp", collector.address)),
            ("APOGEE_TELEMETRY_METRICS_INTERVAL_MS", LOOK_EVERY.as_millis().to_string()),
        ]
    };
    let processors = Processors::halves()?;
    let mut unseen = ServerUnderTest::apogee(&against, off, &base("off")?)?;
    let mut seen = ServerUnderTest::apogee(&binary, on, &base("on")?)?;
    let mut all: [Vec<Pair>; CASES.len()] = Default::default();
    for n in 0..options.rounds {
        let is_seen_first = n % 2 == 1;
        processors.take(Half::Servers)?;
        if is_seen_first {
            seen.launch()?;
            unseen.launch()?;
        } else {
            unseen.launch()?;
            seen.launch()?;
        }
        processors.take(Half::Loads)?;
        round(options, &binary, [&unseen, &seen], is_seen_first, &mut all)?;
        for server in [&mut unseen, &mut seen] {
            server.stop(Stop::Kill)?;
            std::fs::remove_dir_all(server.store()).context("cannot remove what was stored")?;
        }
    }
    ensure!(options.control || collector.requests() > 0, "nothing was pushed");
    let mut worst = 0_f64;
    let pairs = options.rounds * options.pairs;
    println!(
        "server CPU-seconds per million messages, medians of {pairs} pairs in turn; geometric means of their"
    );
    println!("ratios, each with its standard error");
    for ((name, _), pairs) in CASES.iter().zip(&all) {
        worst = worst.max(tell(name, pairs)?);
    }
    println!("{} requests to the collector", collector.requests());
    if options.strict && worst > GOAL {
        bail!("seeing everything costs more than {GOAL} times as much");
    }
    Ok(ExitCode::SUCCESS)
}

enum Half {
    Servers,
    Loads,
}

/// The machine's processors, for the two sides. Programs run where the thread that starts them does.
struct Processors {
    servers: CpuSet,
    loads: CpuSet,
}

impl Processors {
    /// All of them for both sides where there are fewer than four.
    fn halves() -> Result<Self> {
        let all = sched_getaffinity(None)?;
        let allowed: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|cpu| all.is_set(*cpu)).collect();
        let set = |cpus: &[usize]| {
            let mut set = CpuSet::new();
            cpus.iter().for_each(|cpu| set.set(*cpu));
            set
        };
        if allowed.len() < 4 {
            return Ok(Self { servers: all, loads: all });
        }
        let (servers, loads) = allowed.split_at(allowed.len() / 2);
        Ok(Self { servers: set(servers), loads: set(loads) })
    }

    /// What this thread starts from now on runs there.
    fn take(&self, half: Half) -> Result<()> {
        let set = match half {
            Half::Servers => &self.servers,
            Half::Loads => &self.loads,
        };
        Ok(sched_setaffinity(None, set)?)
    }
}

/// Prints what the pairs of one case say; the mean of their ratios.
fn tell(name: &str, pairs: &[Pair]) -> Result<f64> {
    let off: Vec<f64> = pairs.iter().map(|pair| pair.off).collect();
    let on: Vec<f64> = pairs.iter().map(|pair| pair.on).collect();
    let logarithms: Vec<f64> = pairs.iter().map(|pair| (pair.on / pair.off).ln()).collect();
    let count = logarithms.len() as f64;
    let mean = logarithms.iter().sum::<f64>() / count;
    let variance = logarithms.iter().map(|each| (each - mean).powi(2)).sum::<f64>() / (count - 1.0).max(1.0);
    let (ratio, error) = (mean.exp(), (variance / count).sqrt());
    let (off, on) = (median_of(&off)?, median_of(&on)?);
    println!("{name:<20} off {off:6.2}  on {on:6.2}  ratio {ratio:.3}, give or take {error:.3}");
    Ok(ratio)
}

/// Each case by both servers in turn.
fn round(
    options: &Options,
    bench: &Path,
    [unseen, seen]: [&ServerUnderTest; 2],
    is_seen_first: bool,
    all: &mut [Vec<Pair>; CASES.len()],
) -> Result<()> {
    let watch = (!options.control).then(|| Watch::start(seen.http()));
    for ((name, arguments), pairs) in CASES.iter().zip(all) {
        // The first second is not counted: topics are made, memory is touched.
        for server in if is_seen_first { [seen, unseen] } else { [unseen, seen] } {
            perform(bench, server, arguments, 1)?;
        }
        let cost = |server| measure(bench, server, arguments, options.seconds).context(*name);
        for n in 0..options.pairs {
            // Now the one goes first, now the other.
            let (off, on);
            if (n % 2 == 1) == is_seen_first {
                off = cost(unseen)?;
                on = cost(seen)?;
            } else {
                on = cost(seen)?;
                off = cost(unseen)?;
            }
            pairs.push(Pair { off, on });
        }
    }
    watch.map_or(Ok(()), Watch::end)
}

/// Server CPU-seconds per million messages.
fn measure(bench: &Path, server: &ServerUnderTest, arguments: &[&str], seconds: u32) -> Result<f64> {
    let before = cpu_seconds(server)?;
    let outcome = perform(bench, server, arguments, seconds)?;
    ensure!(outcome.failed_requests == 0 && outcome.sent > 0, "requests failed");
    Ok((cpu_seconds(server)? - before) * 1e6 / outcome.sent as f64)
}

fn perform(binary: &Path, server: &ServerUnderTest, arguments: &[&str], seconds: u32) -> Result<Outcome> {
    let mut bench = Command::new(binary);
    bench
        .arg("bench")
        .args(arguments)
        .args(["--size", "128", "--json", "--topic", "seen", "--group", "seen"]);
    bench.args(["--duration", &format!("{seconds}s"), "--broker", &server.broker()]);
    bench.args(["--endpoint", &server.endpoint(), "--server", &format!("http://{}", server.http())]);
    let done = bench.output()?;
    if !done.status.success() {
        bail!("the bench fails: {}", String::from_utf8_lossy(&done.stderr));
    }
    Ok(serde_json::from_slice(&done.stdout)?)
}

fn cpu_seconds(server: &ServerUnderTest) -> Result<f64> {
    let processes: Vec<u32> = server.processes().iter().map(crate::process::Process::id).collect();
    Ok(Usage::of(&processes)?.cpu_seconds)
}

/// What people and their tools look at.
struct Watch {
    end: Sender<()>,
    events: TcpStream,
    asking: std::thread::JoinHandle<Result<()>>,
    listening: std::thread::JoinHandle<std::io::Result<u64>>,
}

impl Watch {
    fn start(http: String) -> Self {
        let (end, ended) = channel();
        let mut events = TcpStream::connect(&http).expect("the server is ready");
        write!(events, "GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n")
            .expect("the server reads");
        let mut heard = events.try_clone().expect("a second handle");
        let listening = std::thread::spawn(move || std::io::copy(&mut heard, &mut std::io::sink()));
        let asking = std::thread::spawn(move || {
            loop {
                ask(&http, "GET", "/metrics", "")?;
                for (operation, request) in ASKED {
                    ask(&http, "POST", &format!("/api/v1/operations/{operation}"), request)?;
                }
                match ended.recv_timeout(LOOK_EVERY) {
                    Err(RecvTimeoutError::Timeout) => {}
                    Ok(()) | Err(RecvTimeoutError::Disconnected) => return Ok(()),
                }
            }
        });
        Self { end, events, asking, listening }
    }

    fn end(self) -> Result<()> {
        self.end.send(()).ok();
        self.events.shutdown(std::net::Shutdown::Both)?;
        ensure!(
            self.listening.join().expect("it does not panic")? > 0,
            "the stream of events was not opened"
        );
        self.asking.join().expect("it does not panic")
    }
}

fn ask(http: &str, method: &str, path: &str, body: &str) -> Result<()> {
    let mut stream = TcpStream::connect(http)?;
    let head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close");
    let length = body.len();
    write!(stream, "{head}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    ensure!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
    Ok(())
}

/// Takes what is pushed by OTLP over HTTP, and throws it away.
struct Collector {
    address: String,
    requests: Arc<AtomicU64>,
}

impl Collector {
    fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?.to_string();
        let requests = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&requests);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let counter = Arc::clone(&counter);
                std::thread::spawn(move || take(stream, &counter));
            }
        });
        Ok(Self { address, requests })
    }

    fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }
}

/// Requests of one connection, each answered with an empty message: all is accepted.
fn take(stream: TcpStream, requests: &AtomicU64) -> std::io::Result<()> {
    let mut answers = stream.try_clone()?;
    let mut asked = BufReader::new(stream);
    let mut length = 0;
    let mut line = String::new();
    while asked.read_line(&mut line)? > 0 {
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        if line == "\r\n" {
            std::io::copy(&mut asked.by_ref().take(length), &mut std::io::sink())?;
            requests.fetch_add(1, Ordering::Relaxed);
            length = 0;
            answers.write_all(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n",
            )?;
        }
        line.clear();
    }
    Ok(())
}
