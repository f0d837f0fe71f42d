//! Very many timed messages: scheduled, left waiting over a restart, and a burst of them fired to
//! consumers, on a server of their own.
//!
//! ```text
//! empty -> schedule all that waits for days -> settled: memory, disk -> kill -9 -> restart
//!       -> stop -> restart -> schedule the burst -> its minute: each received once, how late in the log, how late here
//! ```
//! The wall clocks of both sides are one, so lateness is a difference of two readings of it.

mod burst;
mod plan;
mod report;
mod schedule;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use base::Doors;
use remoting::client::Outgoing;
use serde_json::json;

use super::engine::{Addresses, Engine, data};
use super::pace::Pace;
use super::tally::Tally;
use super::wire::Wire;
use super::{Args, Run};
use crate::commands::group;
use crate::duration;
use crate::http::Server;
use crate::output::Format;

use self::burst::Burst;
use self::plan::{INDEX_END, Plan};
use self::report::{Pending, Report, Restart};

const DAY_MS: u64 = 86_400_000;
/// The burst begins so long after its last message is expected to be scheduled.
const LEAD_MS: i64 = 12_000;
/// A burst of a minute and more begins with a minute: it is then due in one minute of the index.
const MINUTE_MS: i64 = 60_000;
/// What is due in days is not due before the measurement is over.
const FAR_MS: i64 = 3_600_000;
/// A process has settled when it used less than this share of one processor for a while.
const IDLE_SHARE: f64 = 0.05;
const SETTLE_STEP: Duration = Duration::from_secs(2);
const SETTLE_STEPS_MAX: u32 = 60;

/// Options of this mode alone.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Options {
    /// Timed messages that wait (mode timers)
    #[arg(long, default_value_t = 10_000_000)]
    pending: u64,
    /// Days over which those are spread (mode timers)
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3_650))]
    days: u64,
    /// Timed messages that are fired (mode timers)
    #[arg(long, default_value_t = 500_000, value_parser = clap::value_parser!(u64).range(1..))]
    burst: u64,
    /// Time within which those are due (mode timers)
    #[arg(long, default_value = "60s", value_parser = duration::parse)]
    within: Duration,
}

pub(super) async fn run(format: Format, mut args: Args) -> Result<()> {
    if (args.size as usize) < INDEX_END {
        bail!("a timed message of this measurement needs a body of {INDEX_END} bytes; raise `--size`");
    }
    let doors = Doors::system();
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let mut engine = Engine::start(&doors, folder.path(), Addresses::free()?)?;
    engine.connect(&doors).await?;
    (args.broker, args.endpoint) = (engine.at.broker, engine.at.grpc);
    prepare(&args, engine.at).await?;
    let report = Trial { doors, folder: folder.path(), args }.run(engine).await?;
    report.print(format);
    Ok(())
}

/// Makes the topic and the group.
async fn prepare(args: &Args, at: Addresses) -> Result<()> {
    let server = Server::new(&format!("http://{}", at.http), None)?;
    let config = json!({
        "read_queues": args.queues(), "write_queues": args.queues(),
        "attributes": { model::topic::ATTRIBUTE_MESSAGE_TYPE: "DELAY" },
    });
    server.put(&args.topic.path(), &config).await?;
    group::ensure(&server, &args.group).await.map(drop)
}

struct Trial<'a> {
    doors: Doors,
    folder: &'a Path,
    args: Args,
}

impl Trial<'_> {
    async fn run(self, engine: Engine) -> Result<Report> {
        let options = &self.args.timers;
        self.settle(&engine).await;
        let (memory_before, disk_before) = (engine.resident_kib() * 1_024, self.disk_bytes());

        let far = self.doors.clock.now_ms() + FAR_MS;
        let plan = Plan::new(&self.doors, options.pending, far, options.days.saturating_mul(DAY_MS));
        let scheduled = self.schedule(&engine, plan).await?;
        self.settle(&engine).await;
        let resident_bytes = engine.resident_kib() * 1_024;
        let pending = Pending::of(
            options.pending,
            resident_bytes,
            resident_bytes.saturating_sub(memory_before),
            self.disk_bytes().saturating_sub(disk_before),
        );

        let at = engine.at;
        engine.kill()?;
        let (engine, killed) = self.restart(at).await?;
        engine.stop(&self.doors).await?;
        let (engine, stopped) = self.restart(at).await?;

        let expected_ms = (options.burst as f64 * 1_000.0 / scheduled.per_second.max(1.0)) as i64;
        let begin_ms = self.burst_begins(expected_ms);
        let plan = Plan::new(&self.doors, options.burst, begin_ms, self.within_ms().unsigned_abs());
        let burst_id = plan.run;
        let consumers = self.connect(burst_id).await?;
        let burst_scheduled = self.schedule(&engine, plan).await?;
        let late = self.doors.clock.now_ms() - begin_ms;
        if late > 0 {
            bail!("the burst was not scheduled in time, by {late} ms: is the machine busy?");
        }
        let cpu = engine.cpu();
        let fired = Burst::new(options.burst, begin_ms, self.within_ms()).consume(&consumers).await?;
        let fired_cpu = engine.cpu().saturating_sub(cpu);
        Ok(Report {
            mode: "timers",
            protocol: self.args.protocol.name(),
            connections: self.args.connections,
            in_flight: self.args.in_flight,
            size: self.args.size,
            batch: self.args.batch,
            days: options.days,
            scheduled,
            pending,
            killed,
            stopped,
            burst_scheduled,
            burst: fired.report(fired_cpu),
        })
    }

    fn within_ms(&self) -> i64 {
        duration::as_ms(self.args.timers.within).max(1)
    }

    /// When the first message of the burst is due, if it takes about so long to schedule it.
    fn burst_begins(&self, expected_ms: i64) -> i64 {
        // Twice the time: the second burst of sends may be slower than the first.
        let soonest = self.doors.clock.now_ms() + 2 * expected_ms + LEAD_MS;
        if self.within_ms() < MINUTE_MS {
            return soonest;
        }
        soonest.div_euclid(MINUTE_MS) * MINUTE_MS + MINUTE_MS
    }

    fn run_of(&self, id: u64) -> Arc<Run> {
        let pace = Pace::new(Arc::clone(&self.doors.clock), None, None, None);
        pace.start();
        Arc::new(Run {
            args: self.args.clone(),
            doors: self.doors.clone(),
            pace,
            tally: Tally::default(),
            id,
        })
    }

    async fn connect(&self, id: u64) -> Result<burst::Consumers> {
        let run = self.run_of(id);
        let wires: Vec<Arc<dyn Wire>> = run.connect().await?;
        Ok(burst::Consumers { run, wires })
    }

    async fn schedule(&self, engine: &Engine, plan: Plan) -> Result<report::Scheduled> {
        let run = self.run_of(plan.run);
        let wires = run.connect().await?;
        let cpu = engine.cpu();
        let before = run.now();
        let messages = plan.count;
        schedule::all(&run, &wires, plan).await?;
        let seconds = run.now().saturating_sub(before).as_secs_f64();
        Ok(report::Scheduled::of(messages, seconds, engine.cpu().saturating_sub(cpu), &run.tally))
    }

    /// Waits until the process has nothing to do: what it merges in the background is then merged.
    async fn settle(&self, engine: &Engine) {
        for _ in 0..SETTLE_STEPS_MAX {
            let cpu = engine.cpu();
            self.doors.clock.sleep(SETTLE_STEP).await;
            let used = engine.cpu().saturating_sub(cpu);
            if used.as_secs_f64() < SETTLE_STEP.as_secs_f64() * IDLE_SHARE {
                return;
            }
        }
    }

    async fn restart(&self, at: Addresses) -> Result<(Engine, Restart)> {
        let mut engine = Engine::start(&self.doors, self.folder, at)?;
        let client = engine.connect(&self.doors).await?;
        let message = Outgoing { body: "first".into(), properties: String::new() };
        client.send("restarted", 0, message).await.context("the first message was refused")?;
        let seconds = engine.since_start(&self.doors).as_secs_f64();
        self.settle(&engine).await;
        let resident_bytes = engine.resident_kib() * 1_024;
        Ok((engine, Restart { seconds, resident_bytes }))
    }

    fn disk_bytes(&self) -> u64 {
        bytes_in(&data(self.folder))
    }
}

/// Bytes of all files in a folder; what goes away meanwhile does not count.
fn bytes_in(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let of = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => bytes_in(&entry.path()),
        Ok(meta) => meta.len(),
        Err(_) => 0,
    };
    entries.flatten().map(of).sum()
}
