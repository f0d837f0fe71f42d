//! The kill loop: producers and consumers of both protocols run on while the server is killed at random moments.
//! Whatever a producer was promised must reach a consumer, whole.
mod transactions;

use crate::clients::{self, Client};
use crate::ledger::Ledger;
use crate::operator::Operator;
use crate::program::{Program, Said, Task};
use crate::server_under_test::{ServerUnderTest, Stop};
use crate::{KillOptions, e2e};
use anyhow::{Context, Result, bail};
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

/// Programs that know the loop.
pub(crate) const CLIENTS: [&str; 2] = ["java-remoting-5.5.0", "go-grpc"];
/// Both clients must get a message through within this time of a restart.
const RECOVERY_PATIENCE: Duration = Duration::from_secs(120);
/// One kill in this many comes without waiting for the clients, so that recovery itself is cut short too.
const IMPATIENT_ONE_IN: u32 = 5;
/// The drain goes on as long as something arrives within this time; longer than any invisible duration in use.
const DRAIN_SILENCE: Duration = Duration::from_secs(90);
const STOP_PATIENCE: Duration = Duration::from_secs(120);

pub(crate) fn run(options: &KillOptions) -> Result<ExitCode> {
    if let Some(count) = options.transactions {
        return transactions::run(options, count);
    }
    let clients = clients::chosen(&options.client)?;
    for client in &clients {
        println!("installing {}", client.name);
        client.install().with_context(|| format!("cannot install {}", client.name))?;
    }
    let folder = e2e::run_folder()?;
    println!("logs are in {}", folder.display());
    let server = ServerUnderTest::start(options.against, &options.profile, &folder)?;
    let operator = Operator::start(&server, None, &folder)?;
    let mut run = Loop::begin(&clients, server, operator, options, &folder)?;
    run.await_progress()?;
    for round in 1..=options.kills {
        run.let_live(options.life_ms_max)?;
        run.server.restart(Stop::Kill)?;
        println!(
            "kill {round} of {}: {} acknowledged messages on their way",
            options.kills,
            run.ledger.missing()
        );
    }
    run.drain()?;
    run.ledger.print();
    let sound = run.ledger.is_sound();
    drop(run);
    if sound {
        std::fs::remove_dir_all(folder)?;
    }
    Ok(if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

struct Loop {
    server: ServerUnderTest,
    operator: Operator,
    programs: Vec<Program>,
    events: Receiver<(usize, Said)>,
    ledger: Ledger,
    /// Acknowledgements of each program since they were last awaited.
    progress: Vec<u64>,
    stopped: Vec<bool>,
}

impl Loop {
    fn begin(
        clients: &[Client],
        server: ServerUnderTest,
        operator: Operator,
        options: &KillOptions,
        folder: &std::path::Path,
    ) -> Result<Self> {
        let (sender, events) = sync_channel(1 << 16);
        let mut programs = Vec::new();
        for (index, client) in clients.iter().enumerate() {
            let mut program =
                Program::start(client, &server, &Task::KillLoop { rate: options.rate }, folder)?;
            forward(index, program.take_lines(), sender.clone());
            programs.push(program);
        }
        let count = programs.len();
        let ledger = Ledger::default();
        Ok(Self {
            server,
            operator,
            programs,
            events,
            ledger,
            progress: vec![0; count],
            stopped: vec![false; count],
        })
    }

    /// Lets the clients work for a random while; usually every one of them must get something through first.
    fn let_live(&mut self, life_ms_max: u64) -> Result<()> {
        if rand::random_range(0..IMPATIENT_ONE_IN) != 0 {
            self.await_progress()?;
        }
        let end = Instant::now() + Duration::from_millis(rand::random_range(0..=life_ms_max));
        while self.take_event(end)? {}
        Ok(())
    }

    /// Waits until each program has got a message through from now on.
    fn await_progress(&mut self) -> Result<()> {
        self.progress.fill(0);
        let limit = Instant::now() + RECOVERY_PATIENCE;
        while self.progress.contains(&0) {
            if !self.take_event(limit)? {
                bail!("a client got nothing through within {RECOVERY_PATIENCE:?}: {:?}", self.progress);
            }
        }
        Ok(())
    }

    /// Stops the producers, then waits until nothing acknowledged is missing or nothing more arrives.
    fn drain(&mut self) -> Result<()> {
        for program in &mut self.programs {
            program.tell("STOP")?;
        }
        let limit = Instant::now() + STOP_PATIENCE;
        while self.stopped.contains(&false) {
            if !self.take_event(limit)? {
                bail!("the producers did not stop within {STOP_PATIENCE:?}");
            }
        }
        while self.ledger.missing() > 0 {
            if !self.take_event(Instant::now() + DRAIN_SILENCE)? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Handles one event, or returns false at `limit`.
    fn take_event(&mut self, limit: Instant) -> Result<bool> {
        let patience = limit.saturating_duration_since(Instant::now());
        let (index, said) = match self.events.recv_timeout(patience) {
            Ok(event) => event,
            Err(RecvTimeoutError::Timeout) => return Ok(false),
            Err(RecvTimeoutError::Disconnected) => bail!("all programs have ended"),
        };
        match said {
            Said::Acked(message) => {
                self.progress[index] += 1;
                self.ledger.on_acked(message);
            }
            Said::Consumed(message) => self.ledger.on_consumed(message),
            Said::Corrupt(text) => self.ledger.on_corrupt(text),
            Said::Stopped => self.stopped[index] = true,
            Said::Operator(command) => {
                let answer = self.operator.ask(&command)?;
                self.programs[index].tell(&answer)?;
            }
            Said::Noise(_) => {}
            Said::Done => bail!("program {index} ended before it was told to"),
            other => bail!("unexpected in a kill loop: {other:?}"),
        }
        Ok(true)
    }
}

fn forward(index: usize, lines: Receiver<String>, events: SyncSender<(usize, Said)>) {
    std::thread::spawn(move || {
        for line in lines {
            if events.send((index, Said::parse(&line))).is_err() {
                return;
            }
        }
        // The end of the output is an event as well.
        let _ = events.send((index, Said::Done));
    });
}
