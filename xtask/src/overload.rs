//! One tenant sends twenty times its quota over 200 connections; another one, on a topic of its own and from a
//! process of its own, is measured before and meanwhile, in turns.
//!
//! Facts are asserted: every refused call has the protocol's sign, the quota holds, memory stays in its budget. How
//! much later the other tenant's answers come is printed, and asserted where `--strict` asks for it: by the median
//! over all rounds of each round's p99, so that one bad moment of the machine decides nothing.
use crate::e2e::run_folder;
use crate::process::run_quietly;
use crate::server_under_test::{ServerUnderTest, build};
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

const QUOTA_PER_S: u64 = 1_000;
const TIMES_OVER: u64 = 20;
const BUDGET_BYTES: u64 = 128 << 20;
/// The program itself, threads and what the allocator keeps, beside the budget.
const BESIDE_BUDGET_BYTES: u64 = 192 << 20;
const MEASURED_PER_S: u64 = 200;
const SEND_MESSAGE_V2: i32 = 310;
const SYSTEM_BUSY: i64 = 2;

#[derive(clap::Args, Clone)]
pub(crate) struct Options {
    #[arg(long, default_value_t = 200)]
    connections: u64,
    /// Pairs of rounds, without and with the overload.
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// Length of a round: of 200 sends a second the slowest hundredth must be more than a few.
    #[arg(long, default_value_t = 20)]
    round_s: u64,
    /// Fail if the other tenant's p99 is more than a fifth later.
    #[arg(long)]
    strict: bool,
    #[arg(long, default_value = "dev")]
    profile: String,
}

#[derive(Default)]
struct Counts {
    accepted: AtomicU64,
    refused: AtomicU64,
    strange: AtomicU64,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let binary = build(&options.profile)?;
    let folder = run_folder()?;
    println!("logs are in {}", folder.display());
    let settings = vec![("APOGEE_MEMORY_BUDGET_BYTES", BUDGET_BYTES.to_string())];
    let mut server = ServerUnderTest::apogee(&binary, settings, &folder)?;
    server.launch()?;
    let http = format!("http://{}", server.http());
    for topic in ["loud", "quiet"] {
        run_quietly(Command::new(&binary).args(["topic", "create", topic, "-q", "4", "--server", &http]))?;
    }
    put_quota(&server.http())?;
    let counts = Counts::default();
    let (mut before, mut meanwhile) = (Vec::new(), Vec::new());
    let mut peak_bytes = 0;
    let mut loud_time = Duration::ZERO;
    let round = Duration::from_secs(options.round_s);
    for _ in 0..options.rounds {
        before.push(measure(&binary, &server, round)?);
        let begin = Instant::now();
        meanwhile.push(overloaded(&binary, &server, options, round, &counts)?);
        loud_time += begin.elapsed();
        peak_bytes = peak_bytes.max(resident_bytes(&server)?);
    }
    let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
    let (accepted, refused, strange) = (load(&counts.accepted), load(&counts.refused), load(&counts.strange));
    println!("loud tenant: {accepted} accepted, {refused} refused, {strange} otherwise, in {loud_time:?}");
    println!("resident memory at most {} MiB, budget {} MiB", peak_bytes >> 20, BUDGET_BYTES >> 20);
    let (calm, loud) = (median(&mut before), median(&mut meanwhile));
    println!("quiet tenant, p99 of each round in ms, before {before:.2?} and meanwhile {meanwhile:.2?}");
    println!("quiet tenant, median of these: {calm:.2} ms before, {loud:.2} ms meanwhile");
    // A burst for each round, and what connections at the same moment take beyond it.
    let allowed = QUOTA_PER_S * (loud_time.as_secs() + 1)
        + u64::from(options.rounds) * (QUOTA_PER_S + options.connections);
    if strange > 0 || refused == 0 || accepted > allowed {
        bail!(
            "the quota does not hold: {allowed} may be accepted at most, and all others must be told {SYSTEM_BUSY}"
        );
    }
    if peak_bytes > BUDGET_BYTES + BESIDE_BUDGET_BYTES {
        bail!("memory went over its budget");
    }
    if options.strict && loud > calm * 1.2 {
        bail!("the quiet tenant felt it");
    }
    Ok(ExitCode::SUCCESS)
}

/// Sends as fast as twenty quotas over all connections, and measures the other tenant.
fn overloaded(
    binary: &Path,
    server: &ServerUnderTest,
    options: &Options,
    round: Duration,
    counts: &Counts,
) -> Result<f64> {
    let is_over = AtomicBool::new(false);
    let broker = server.broker();
    let pause = Duration::from_secs_f64(options.connections as f64 / (QUOTA_PER_S * TIMES_OVER) as f64);
    std::thread::scope(|scope| {
        let senders: Vec<_> = (0..options.connections)
            .map(|_| scope.spawn(|| shout(&broker, pause, &is_over, counts)))
            .collect();
        let measured = measure(binary, server, round);
        is_over.store(true, Ordering::Relaxed);
        for sender in senders {
            sender.join().expect("a sender does not panic")?;
        }
        measured
    })
}

fn shout(broker: &str, pause: Duration, is_over: &AtomicBool, counts: &Counts) -> Result<()> {
    let mut line = Line::open(broker)?;
    let mut next = Instant::now();
    while !is_over.load(Ordering::Relaxed) {
        let count = match line.send("loud")? {
            0 => &counts.accepted,
            SYSTEM_BUSY => &counts.refused,
            _ => &counts.strange,
        };
        count.fetch_add(1, Ordering::Relaxed);
        next += pause;
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    Ok(())
}

/// Sends at a steady pace from another process; its p99 in milliseconds, each counted from when it was due.
fn measure(binary: &Path, server: &ServerUnderTest, time: Duration) -> Result<f64> {
    let mut bench = Command::new(binary);
    bench.args(["bench", "--mode", "send", "--topic", "quiet", "--connections", "1", "--in-flight", "4"]);
    bench.args(["--size", "200", "--json", "--rate", &MEASURED_PER_S.to_string()]);
    bench.args(["--duration", &format!("{}s", time.as_secs())]);
    bench.args(["--broker", &server.broker(), "--server", &format!("http://{}", server.http())]);
    let done = bench.output()?;
    if !done.status.success() {
        bail!("the quiet tenant fails: {}", String::from_utf8_lossy(&done.stderr));
    }
    let figures: Value = serde_json::from_slice(&done.stdout)?;
    if figures.get("failed_requests").and_then(Value::as_u64) != Some(0) {
        bail!("the quiet tenant was refused: {figures}");
    }
    figures.pointer("/latency_ms/p99").and_then(Value::as_f64).context("no p99")
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// A connection of the 4.x protocol.
struct Line {
    stream: TcpStream,
    opaque: i32,
}

impl Line {
    fn open(broker: &str) -> Result<Self> {
        let stream = TcpStream::connect(broker)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        Ok(Self { stream, opaque: 0 })
    }

    /// Sends a message; the code of the answer.
    fn send(&mut self, topic: &str) -> Result<i64> {
        self.opaque += 1;
        let fields = json!({"a": "overload", "b": topic, "c": "TBW102", "d": "4", "e": "0", "f": "0",
            "g": "1", "h": "0", "i": "", "j": "0", "k": "false", "m": "false"});
        let header = json!({"code": SEND_MESSAGE_V2, "flag": 0, "language": "JAVA", "version": 513,
            "opaque": self.opaque, "serializeTypeCurrentRPC": "JSON", "extFields": fields});
        let (header, body) = (serde_json::to_vec(&header)?, [b'x'; 200]);
        let mut frame = Vec::new();
        frame.extend(u32::try_from(4 + header.len() + body.len())?.to_be_bytes());
        frame.extend(u32::try_from(header.len())?.to_be_bytes());
        frame.extend(&header);
        frame.extend(body);
        self.stream.write_all(&frame)?;
        let mut lengths = [0; 8];
        self.stream.read_exact(&mut lengths)?;
        let [a, b, c, d, _, e, f, g] = lengths;
        let (whole, header) = (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([0, e, f, g]));
        let mut answer = vec![0; (whole - 4) as usize];
        self.stream.read_exact(&mut answer)?;
        let header: Value = serde_json::from_slice(answer.get(..header as usize).context("cut off")?)?;
        header.get("code").and_then(Value::as_i64).context("an answer without a code")
    }
}

fn put_quota(http: &str) -> Result<()> {
    let body = json!({"scope": "topic", "name": "loud", "send_messages_per_s": QUOTA_PER_S}).to_string();
    let mut stream = TcpStream::connect(http)?;
    let head = "POST /api/v1/operations/quota.put HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json";
    write!(stream, "{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    if !answer.starts_with("HTTP/1.1 200") {
        bail!("the quota is refused: {answer}");
    }
    Ok(())
}

fn resident_bytes(server: &ServerUnderTest) -> Result<u64> {
    let process = server.processes().first().context("it runs")?;
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib << 10)
}
