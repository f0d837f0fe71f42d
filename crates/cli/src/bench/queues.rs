//! Very many queues: made, filled, read back, restarted, deleted, on a server of their own; what each
//! costs in memory and on disk, and what sends take meanwhile.
//!
//! ```text
//! empty -> warm (as much traffic in one topic) -> fill -> idle -> traffic in all
//!       -> kill -9 -> restart -> read back
//!       -> stop -> restart -> read back -> delete, with sends beside
//! ```
//! Memory is the resident size of the process once it has settled. What is bounded whatever the
//! queues (caches, heaps of threads) is in it before and after, so the difference is theirs.

mod check;
mod fleet;
mod load;
mod report;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use base::Doors;
use futures::future::try_join_all;
use model::admin::{Empty, LiteNode};
use remoting::Fields;
use remoting::client::{Client, Outgoing};
use remoting::code::request;

use super::engine::{Addresses, Engine};
use crate::http::Server;
use crate::output::Format;

use self::fleet::Fleet;
use self::load::{Sender, each, timed};
use self::report::{Report, Restart, Taken, seconds};

/// Requests that make or delete topics at once.
const CHANGES_AT_ONCE: usize = 64;
/// Messages a second while all queues have traffic, unless `--rate` says otherwise.
const RATE: u64 = 10_000;
/// How long one topic gets as many a second before, to compare with.
const REFERENCE_SECONDS: u64 = 20;
/// Between two looks at a process that settles; a small fleet is for tests, and settles at once.
const LOOK: Duration = Duration::from_secs(1);
const SMALL_LOOK: Duration = Duration::from_millis(50);
const SMALL_QUEUES: u32 = 20_000;
/// A process has settled when its memory and files stay the same over so many looks.
const SAME_LOOKS: u32 = 5;
/// Longest time that is given to a process to settle.
const LOOKS_MAX: u32 = 90;
/// Gets sends while the queues are deleted.
const BESIDE: &str = "beside";

/// Options of this mode alone.
#[derive(Debug, Clone, clap::Args)]
#[group(id = "fleet")]
pub(crate) struct Options {
    /// Topics, each of as many queues as --queues says (mode queues)
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    topics: u32,
    /// Lite topics of one parent instead, as many as there would be queues (mode queues)
    #[arg(long)]
    lite: bool,
    /// Queues to read back after each step (mode queues)
    #[arg(long, default_value_t = 10_000)]
    checks: u32,
}

/// What the mode takes of the other options.
#[derive(Debug, Clone, Copy)]
pub(super) struct Common {
    pub(super) queues: u32,
    pub(super) connections: u32,
    pub(super) in_flight: u32,
    pub(super) size: u32,
    pub(super) rate: Option<u64>,
}

pub(super) async fn run(format: Format, options: &Options, common: Common) -> Result<()> {
    let fleet = Fleet { name: "fleet", topics: options.topics, queues: common.queues, lite: options.lite };
    let queues = options.topics.checked_mul(common.queues).context("so many queues cannot be counted")?;
    let doors = Doors::system();
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let engine = Engine::start(&doors, folder.path(), Addresses::free()?)?;
    let report = Report {
        mode: "queues",
        topics: fleet.topics,
        queues_per_topic: fleet.queues,
        lite: fleet.lite,
        queues,
        body_bytes: common.size,
        traffic_rate: common.rate.unwrap_or(RATE),
        ..Report::default()
    };
    let run = doors.chance.next_u64();
    let trial = Trial {
        doors,
        folder: folder.path(),
        fleet,
        common,
        checks: options.checks.min(queues),
        run,
        report,
    };
    trial.run(engine).await?.print(format);
    Ok(())
}

struct Trial<'a> {
    doors: Doors,
    folder: &'a Path,
    fleet: Fleet,
    common: Common,
    checks: u32,
    /// Told apart from other runs in the ids of messages.
    run: u64,
    report: Report,
}

impl Trial<'_> {
    async fn run(mut self, mut engine: Engine) -> Result<Report> {
        let clients = self.connect(&mut engine).await?;
        self.warm_up(&engine, &clients).await?;
        self.fill(&engine, &clients).await?;
        let rate = Some(self.report.traffic_rate);
        self.report.traffic = self.sender(&clients).round(self.fleet, 1, self.report.queues, rate).await?;
        // At once: what was sent last stands in the log alone.
        let at = engine.at;
        let before = self.doors.clock.monotonic();
        engine.kill()?;
        let ended = self.doors.clock.monotonic().saturating_sub(before);
        let (engine, clients) = self.restart(at).await?;
        self.report.killed = self.restarted(ended, &engine, &clients).await?;

        let before = self.doors.clock.monotonic();
        engine.stop(&self.doors).await?;
        let ended = self.doors.clock.monotonic().saturating_sub(before);
        let (engine, clients) = self.restart(at).await?;
        self.report.stopped = self.restarted(ended, &engine, &clients).await?;
        self.report.restarted = Taken::of(self.folder, 0);
        self.report.restarted.resident_bytes = self.report.stopped.resident_bytes;

        self.delete(&engine, &clients).await?;
        self.report.after = self.settled(&engine).await;
        self.report.fill_per_queue();
        Ok(self.report)
    }

    fn sender(&self, clients: &[Client]) -> Sender {
        let Common { in_flight, size, .. } = self.common;
        Sender { doors: self.doors.clone(), clients: clients.to_vec(), in_flight, size, run: self.run }
    }

    /// Connects and has a first message accepted on each connection: one that stays silent is closed by
    /// the server after some seconds, and reading back may use the first alone.
    async fn connect(&self, engine: &mut Engine) -> Result<Vec<Client>> {
        let mut clients = Vec::new();
        for _ in 0..self.common.connections {
            clients.push(engine.connect(&self.doors).await?);
        }
        let message = || Outgoing { body: "first".into(), properties: String::new() };
        let first = try_join_all(clients.iter().map(|client| client.send(BESIDE, -1, message())));
        first.await.context("the first message was refused")?;
        Ok(clients)
    }

    async fn warm_up(&mut self, engine: &Engine, clients: &[Client]) -> Result<()> {
        self.report.empty = self.settled(engine).await;
        let warm = Fleet { name: "warm", topics: 1, queues: 8, lite: false };
        self.make(warm, clients).await?;
        self.sender(clients).round(warm, 0, self.report.queues, None).await?;
        self.report.warm = self.settled(engine).await;
        let rate = self.report.traffic_rate;
        let count = self.report.queues.min(u32::try_from(rate * REFERENCE_SECONDS).unwrap_or(u32::MAX));
        self.report.reference = self.sender(clients).round(warm, 1, count, Some(rate)).await?;
        Ok(())
    }

    async fn make(&self, fleet: Fleet, clients: &[Client]) -> Result<()> {
        each(clients, CHANGES_AT_ONCE, fleet.topic_names(), move |client, name| async move {
            let fields = Fields::new()
                .with("topic", &name)
                .with("readQueueNums", fleet.queues_per_topic())
                .with("writeQueueNums", fleet.queues_per_topic())
                .with("perm", 6)
                .with("attributes", fleet.attributes());
            let made = client.call(request::UPDATE_AND_CREATE_TOPIC, fields, Default::default()).await;
            made.map(drop).with_context(|| format!("topic {name} cannot be made"))
        })
        .await
    }

    async fn fill(&mut self, engine: &Engine, clients: &[Client]) -> Result<()> {
        let (fleet, count) = (self.fleet, self.report.queues);
        let ((), took) = timed(&self.doors, self.make(fleet, clients)).await?;
        self.report.topics_made_seconds = seconds(took);
        self.report.fill = self.sender(clients).round(fleet, 0, count, None).await?;
        self.report.idle = self.settled(engine).await;
        Ok(())
    }

    async fn check(&self, clients: &[Client], rounds: u32) -> Result<u64> {
        check::some(&self.doors, clients, self.fleet, self.checks, rounds, self.common.size).await
    }

    async fn restart(&self, at: Addresses) -> Result<(Engine, Vec<Client>)> {
        let mut engine = Engine::start(&self.doors, self.folder, at)?;
        let clients = self.connect(&mut engine).await?;
        Ok((engine, clients))
    }

    async fn restarted(&self, ended: Duration, engine: &Engine, clients: &[Client]) -> Result<Restart> {
        let serving = engine.since_start(&self.doors);
        let (checked, took) = timed(&self.doors, self.check(clients, 2)).await?;
        let resident_bytes = self.settled(engine).await.resident_bytes;
        Ok(Restart {
            stop_seconds: seconds(ended),
            serving_seconds: seconds(serving),
            checked,
            checked_seconds: seconds(took),
            resident_bytes,
        })
    }

    /// Deletes all topics of the fleet while another one has traffic.
    async fn delete(&mut self, engine: &Engine, clients: &[Client]) -> Result<()> {
        let stop = Arc::new(AtomicBool::new(false));
        let beside = self.sender(clients).beside(BESIDE, Arc::clone(&stop));
        let deleted = async {
            let deleted = timed(&self.doors, self.delete_all(engine, clients)).await;
            stop.store(true, Ordering::Relaxed);
            deleted
        };
        let (beside, deleted) = futures::future::join(beside, deleted).await;
        self.report.deleted_seconds = seconds(deleted?.1);
        self.report.beside = beside?;
        Ok(())
    }

    async fn delete_all(&self, engine: &Engine, clients: &[Client]) -> Result<()> {
        each(clients, CHANGES_AT_ONCE, self.fleet.topic_names(), |client, name| async move {
            let fields = Fields::new().with("topic", &name);
            let deleted = client.call(request::DELETE_TOPIC_IN_BROKER, fields, Default::default()).await;
            deleted.map(drop).with_context(|| format!("topic {name} cannot be deleted"))
        })
        .await?;
        let http = Server::new(&format!("http://{}", engine.at.http), None)?;
        while http.operate::<LiteNode>(&Empty {}).await?.lite_topics > 0 {
            self.doors.clock.sleep(LOOK / 10).await;
        }
        ensure!(check::are_gone(clients, self.fleet).await?, "a deleted topic can still be read");
        Ok(())
    }

    /// What the node takes once it does nothing any more.
    async fn settled(&self, engine: &Engine) -> Taken {
        let look = || Taken::of(self.folder, engine.resident_kib());
        let pause = if self.report.queues <= SMALL_QUEUES { SMALL_LOOK } else { LOOK };
        let (mut last, mut same) = (look(), 0);
        for _ in 0..LOOKS_MAX {
            self.doors.clock.sleep(pause).await;
            let now = look();
            let is_same = now.runs_bytes == last.runs_bytes
                && now.resident_bytes.abs_diff(last.resident_bytes) <= last.resident_bytes / 100;
            same = if is_same { same + 1 } else { 0 };
            last = now;
            if same >= SAME_LOOKS {
                break;
            }
        }
        last
    }
}
