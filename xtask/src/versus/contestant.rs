//! One server of a comparison: how it is set up, started, paused while others have their turn, and measured.
use super::Options;
use super::cases::Case;
use super::load::{Load, Places};
use super::peers::Peer;
use super::procfs::{self, Usage};
use super::record::{Durability, Failure, Run, Start};
use crate::operator::Operator;
use crate::paths;
use crate::process::{self, Process};
use crate::server_under_test::ServerUnderTest;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const QUEUES: u32 = 8;
/// RocketMQ's broker makes itself known to its name server every 30 s, and may be forgotten while it is paused.
const OPERATOR_PATIENCE: Duration = Duration::from_secs(75);

pub(crate) struct Contestant {
    peer: &'static Peer,
    flush: Durability,
    server: ServerUnderTest,
    operator: Operator,
    folder: PathBuf,
    ready_seconds: f64,
    rss_idle_mib: f64,
    program_bytes: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Round {
    /// Of the case, from 0.
    pub(crate) number: u32,
    pub(crate) is_rehearsal: bool,
}

impl Contestant {
    /// Starts the server and pauses it.
    pub(crate) fn start(
        peer: &'static Peer,
        flush: Durability,
        options: &Options,
        parent: &Path,
    ) -> Result<Self> {
        let folder = parent.join(format!("{}-{}", peer.name, flush.name()));
        std::fs::create_dir_all(&folder)?;
        let mut server = (peer.prepare)(options, flush, &folder)?;
        let program = (peer.program)(options)?.map(std::fs::metadata).transpose()?;
        let program_bytes = program.map(|file| file.len());
        let ready_seconds = launch(peer, flush, || server.launch())?;
        let operator = Operator::start(&server, None, &folder)?;
        let mut contestant =
            Self { peer, flush, server, operator, folder, ready_seconds, rss_idle_mib: 0.0, program_bytes };
        contestant.settle()?;
        Ok(contestant)
    }

    /// Starts the server again, on an empty store.
    pub(crate) fn begin_anew(&mut self) -> Result<()> {
        self.ready_seconds = launch(self.peer, self.flush, || self.server.begin_anew())?;
        self.settle()
    }

    /// What a server does that has just started, until it is paused.
    fn settle(&mut self) -> Result<()> {
        self.rss_idle_mib = Usage::of(&ids(&self.server))?.rss_mib;
        // Paused before its parts know each other, a server would not learn of them.
        self.operate(&format!("topic first NORMAL {QUEUES}"))?;
        self.server.processes().iter().for_each(Process::pause);
        Ok(())
    }

    /// What the store takes of the disk.
    pub(crate) fn store_bytes(&self) -> Result<u64> {
        paths::allocated_bytes(self.server.store())
    }

    pub(crate) fn name(&self) -> &'static str {
        self.peer.name
    }

    pub(crate) fn flush(&self) -> Durability {
        self.flush
    }

    pub(crate) fn start_record(&self) -> Start {
        Start {
            server: self.name().to_owned(),
            flush: self.flush,
            ready_seconds: self.ready_seconds,
            rss_idle_mib: self.rss_idle_mib,
            processes: self.server.processes().len(),
            program_bytes: self.program_bytes,
        }
    }

    pub(crate) fn failure(&self, case: &Case, round: Round, error: &anyhow::Error) -> Failure {
        Failure {
            server: self.name().to_owned(),
            flush: self.flush,
            case: case.name.to_owned(),
            round: round.number,
            reason: format!("{error:#}"),
        }
    }

    /// One round of a case, with a topic and a group of its own.
    pub(crate) fn perform(&mut self, case: &Case, round: Round, options: &Options) -> Result<Run> {
        self.server.processes().iter().for_each(Process::resume);
        let outcome = self.measure(case, round, options);
        if outcome.is_err() {
            self.server.ensure_running()?;
        }
        self.server.processes().iter().for_each(Process::pause);
        outcome
    }

    fn measure(&mut self, case: &Case, round: Round, options: &Options) -> Result<Run> {
        let suffix = format!("{}-{}-{:05x}", case.name, round.number, rand::random_range(0..0x10_0000));
        let places = Places { topic: format!("topic-{suffix}"), group: format!("group-{suffix}") };
        for command in case.preparations(&places, QUEUES) {
            self.operate(&command)?;
        }
        let servers = ids(&self.server);
        let mut load = Load::start(case, options, &self.server, &places, &self.folder)?;

        load.await_open()?;
        procfs::forget_peaks(&servers)?;
        let before = Instant::now();
        let [server_before, client_before] = [Usage::of(&servers)?, Usage::of(&[load.id()])?];
        let machine_before = procfs::machine_busy_seconds()?;
        load.tell("OPENED")?;

        load.await_close()?;
        let machine = procfs::machine_busy_seconds()? - machine_before;
        let [server, client] = [Usage::of(&servers)?, Usage::of(&[load.id()])?];
        let window_seconds = before.elapsed().as_secs_f64();
        load.tell("CLOSED")?;

        let measured = load.result()?;
        let cpu_seconds = server.cpu_seconds - server_before.cpu_seconds;
        let client_cpu_seconds = client.cpu_seconds - client_before.cpu_seconds;
        Ok(Run {
            server: self.name().to_owned(),
            flush: self.flush,
            case: measured.case,
            round: round.number,
            rehearsal: round.is_rehearsal,
            messages: measured.messages,
            seconds: measured.seconds,
            quantiles: measured.quantiles,
            window_seconds,
            cpu_seconds,
            client_cpu_seconds,
            other_cpu_seconds: (machine - cpu_seconds - client_cpu_seconds).max(0.0),
            rss_peak_mib: server.rss_peak_mib,
            rss_private_mib: server.rss_private_mib,
            written_mib: server.written_mib - server_before.written_mib,
        })
    }

    /// Carries out one command, again until it is not refused.
    fn operate(&mut self, command: &str) -> Result<()> {
        let mut refusal = String::new();
        process::await_true("the operator's command", OPERATOR_PATIENCE, || {
            refusal = self.operator.ask(command)?;
            Ok(refusal == "OPERATED")
        })
        .with_context(|| format!("the last answer was {refusal}"))
    }
}

/// Returns the seconds until the server was ready.
fn launch(peer: &Peer, flush: Durability, start: impl FnOnce() -> Result<()>) -> Result<f64> {
    println!("starting {}, flush {}", peer.name, flush.name());
    let begin = Instant::now();
    start()?;
    Ok(begin.elapsed().as_secs_f64())
}

fn ids(server: &ServerUnderTest) -> Vec<u32> {
    server.processes().iter().map(Process::id).collect()
}
