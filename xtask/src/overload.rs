//! One tenant sends twenty times its quota over 200 connections; another one, on a topic of its own and from a
//! process of its own, is measured meanwhile, in turns with two kinds of rounds without overload:
//!
//! ```text
//! alone          nobody else sends
//! within quota   the other tenant sends what it may: its messages are written, and share the disk's flushes
//! overload       it sends twenty times that
//! ```
//! Facts are asserted: every refused call has the protocol's sign, the quota holds, memory stays in its budget. How
//! much later the answers come in overload than in either other kind is printed, and with `--strict` asserted: of the
//! rounds of a kind the one whose p99 is the median counts, so that no bad moment of the machine decides; many short
//! rounds in turns share its slow changes. Where the disk stalls for longer than the difference, `TMPDIR` may name a
//! file system in memory.
use crate::e2e::run_folder;
use crate::process::run_quietly;
use crate::server_under_test::{ServerUnderTest, build};
use crate::versus::procfs::Usage;
use crate::versus::statistics::median_of;
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
const MEASURED_PER_S: u64 = 1_000;
/// Enough to keep the pace, and few enough to let the other processes run.
const FLOOD_THREADS: u64 = 4;
/// Of this thread only, on Linux.
const NICE: i32 = 19;
/// So much later is felt.
const FELT: f64 = 1.2;
const ANSWER_BYTES_MAX: usize = 4096;
const SEND_MESSAGE_V2: i32 = 310;
const SYSTEM_BUSY: i64 = 2;

#[derive(clap::Args, Clone)]
pub(crate) struct Options {
    #[arg(long, default_value_t = 200)]
    connections: u64,
    /// Rounds of each kind.
    #[arg(long, default_value_t = 15)]
    rounds: u32,
    /// Length of a round: of 1,000 sends a second the slowest hundredth must be more than a few.
    #[arg(long, default_value_t = 6)]
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
    let (mut alone, mut within, mut over) = (Vec::new(), Vec::new(), Vec::new());
    let mut peak_mib: f64 = 0.0;
    let (mut loud_time, mut over_time) = (Duration::ZERO, Duration::ZERO);
    let (mut server_cpu, mut flood_cpu) = (0.0, 0.0);
    let round = Duration::from_secs(options.round_s);
    let usage = || -> Result<(Usage, Usage)> {
        let process = server.processes().first().context("it runs")?;
        Ok((Usage::of(&[process.id()])?, Usage::of(&[std::process::id()])?))
    };
    for _ in 0..options.rounds {
        alone.push(measure(&binary, &server, round)?);
        let begin = Instant::now();
        within.push(beside(&binary, &server, options, &Flood { times: 1, counts: &counts })?);
        let (over_begin, before_it) = (Instant::now(), usage()?);
        over.push(beside(&binary, &server, options, &Flood { times: TIMES_OVER, counts: &counts })?);
        loud_time += begin.elapsed();
        over_time += over_begin.elapsed();
        let after_it = usage()?;
        server_cpu += after_it.0.cpu_seconds - before_it.0.cpu_seconds;
        flood_cpu += after_it.1.cpu_seconds - before_it.1.cpu_seconds;
        peak_mib = peak_mib.max(after_it.0.rss_mib);
    }
    let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
    let (accepted, refused, strange) = (load(&counts.accepted), load(&counts.refused), load(&counts.strange));
    println!("loud tenant: {accepted} accepted, {refused} refused, {strange} otherwise, in {loud_time:?}");
    let seconds = over_time.as_secs_f64();
    println!("processors in overload: server {:.2}, flood {:.2}", server_cpu / seconds, flood_cpu / seconds);
    println!("resident memory at most {peak_mib:.0} MiB, budget {} MiB", BUDGET_BYTES >> 20);
    println!("quiet tenant, p99 of each round in ms:");
    for (kind, rounds) in [("alone", &alone), ("within quota", &within), ("overload", &over)] {
        println!("  {kind:<12} {rounds:.2?}, median {:.2}", median_of(rounds)?);
    }
    let mut felt = [false; 2];
    for (felt, (kind, rounds)) in felt.iter_mut().zip([("alone", &alone), ("within quota", &within)]) {
        let times = median_of(&over)? / median_of(rounds)?;
        println!("overload is {times:.2} times {kind}");
        *felt = times > FELT;
    }
    let allowed = {
        // A burst for each round, and what connections at the same moment take beyond it.
        let of_bursts = 2 * u64::from(options.rounds) * (QUOTA_PER_S + options.connections);
        QUOTA_PER_S * (loud_time.as_secs() + 1) + of_bursts
    };
    if strange > 0 || refused == 0 || accepted > allowed {
        bail!(
            "the quota does not hold: {allowed} may be accepted at most, and all others must be told {SYSTEM_BUSY}"
        );
    }
    if peak_mib > ((BUDGET_BYTES + BESIDE_BUDGET_BYTES) >> 20) as f64 {
        bail!("memory went over its budget");
    }
    if options.strict && felt.contains(&true) {
        bail!("the quiet tenant felt it");
    }
    Ok(ExitCode::SUCCESS)
}

/// What the loud tenant sends, as a multiple of its quota.
struct Flood<'a> {
    times: u64,
    counts: &'a Counts,
}

/// Sends evenly over all connections, and measures the other tenant meanwhile.
fn beside(binary: &Path, server: &ServerUnderTest, options: &Options, flood: &Flood<'_>) -> Result<f64> {
    let is_over = AtomicBool::new(false);
    let broker = server.broker();
    let share = options.connections / FLOOD_THREADS;
    let pause = Duration::from_secs_f64(FLOOD_THREADS as f64 / (QUOTA_PER_S * flood.times) as f64);
    std::thread::scope(|scope| {
        let senders: Vec<_> = (0..FLOOD_THREADS)
            .map(|_| scope.spawn(|| shout(&broker, share, pause, &is_over, flood.counts)))
            .collect();
        let measured = measure(binary, server, Duration::from_secs(options.round_s));
        is_over.store(true, Ordering::Relaxed);
        for sender in senders {
            sender.join().expect("a sender does not panic")?;
        }
        measured
    })
}

/// Sends by each connection in turn, at a steady pace. What a connection was answered is read just before it sends
/// again, so that the flood takes no more of the machine than its calls cost.
fn shout(
    broker: &str,
    connections: u64,
    pause: Duration,
    is_over: &AtomicBool,
    counts: &Counts,
) -> Result<()> {
    // It stands for other machines: it gives way to the server and to whoever is measured.
    rustix::process::setpriority_process(None, NICE).context("the flood cannot give way")?;
    let mut lines: Vec<Line> = (0..connections).map(|_| Line::open(broker)).collect::<Result<_>>()?;
    let mut next = Instant::now();
    while !is_over.load(Ordering::Relaxed) {
        for line in &mut lines {
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
            next += pause;
            line.hear(counts)?;
            line.send("loud")?;
        }
    }
    lines.iter_mut().try_for_each(|line| line.hear(counts))
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

/// A connection of the 4.x protocol with one request under way at most.
struct Line {
    stream: TcpStream,
    opaque: i32,
    is_waiting: bool,
    answer: Vec<u8>,
}

impl Line {
    fn open(broker: &str) -> Result<Self> {
        let stream = TcpStream::connect(broker)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        Ok(Self { stream, opaque: 0, is_waiting: false, answer: vec![0; ANSWER_BYTES_MAX] })
    }

    fn send(&mut self, topic: &str) -> Result<()> {
        self.opaque += 1;
        // Written by hand: the flood is to load the server, and not the machine with its own JSON.
        let header = format!(
            r#"{{"code":{SEND_MESSAGE_V2},"flag":0,"language":"JAVA","version":513,"opaque":{},"serializeTypeCurrentRPC":"JSON","extFields":{{"a":"overload","b":"{topic}","c":"TBW102","d":"4","e":"0","f":"0","g":"1","h":"0","i":"","j":"0","k":"false","m":"false"}}}}"#,
            self.opaque
        );
        let body = [b'x'; 200];
        let mut frame = Vec::with_capacity(8 + header.len() + body.len());
        frame.extend(u32::try_from(4 + header.len() + body.len())?.to_be_bytes());
        frame.extend(u32::try_from(header.len())?.to_be_bytes());
        frame.extend(header.as_bytes());
        frame.extend(body);
        self.is_waiting = true;
        Ok(self.stream.write_all(&frame)?)
    }

    /// Counts what the last request was answered, where there was one.
    fn hear(&mut self, counts: &Counts) -> Result<()> {
        if !std::mem::take(&mut self.is_waiting) {
            return Ok(());
        }
        let mut have = 0;
        loop {
            let read = self.stream.read(self.answer.get_mut(have..).context("a large answer")?)?;
            have += read;
            let seen = self.answer.get(..have).unwrap_or_default();
            let length = seen.first_chunk().map(|length| 4 + u32::from_be_bytes(*length) as usize);
            if length.is_some_and(|length| length <= have) {
                break;
            }
            if read == 0 {
                bail!("the connection was closed");
            }
        }
        let text = String::from_utf8_lossy(self.answer.get(8..have).unwrap_or_default());
        let code = text.split_once("\"code\":").map(|(_, rest)| rest);
        let digits = code.and_then(|rest| rest.split(|next: char| !next.is_ascii_digit()).next());
        let count = match digits.and_then(|digits| digits.parse().ok()) {
            Some(0) => &counts.accepted,
            Some(SYSTEM_BUSY) => &counts.refused,
            _ => &counts.strange,
        };
        count.fetch_add(1, Ordering::Relaxed);
        Ok(())
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
