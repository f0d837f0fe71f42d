//! `apogee serve`: start, wait, stop.

use std::io::Write;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result};
use base::{Doors, Workers};
use tempfile::TempDir;
use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::args::ServeArgs;
use crate::config::Config;
use crate::wiring::Node;
use crate::{allocator, banner, logging};

/// Runs the engine until a signal ends it.
///
/// # Errors
/// If it cannot start, or cannot close its data in order.
pub fn run(args: &ServeArgs) -> Result<ExitCode> {
    let started = now();
    let mut config = args.config()?;
    logging::start(&config.log)?;
    // Removed when dropped, after everything that uses it.
    let temporary = if args.ephemeral { Some(temporary(&mut config)?) } else { None };
    raise_file_limit();
    // Only starts and stops the node: all that runs in between is spawned on the workers.
    let runtime = Builder::new_current_thread().enable_all().build().context("cannot start")?;
    let workers = Workers::start(config.runtime.workers()).context("cannot start threads")?;
    let code = runtime.block_on(until_signalled(&config, &Doors::on(&workers), started, args.ephemeral));
    drop(workers);
    drop(runtime);
    drop(temporary);
    code
}

#[expect(
    clippy::disallowed_methods,
    reason = "measures the start of the process itself, before there are doors"
)]
fn now() -> Instant {
    Instant::now()
}

fn temporary(config: &mut Config) -> Result<TempDir> {
    let dir =
        tempfile::Builder::new().prefix("apogee-").tempdir().context("cannot make a temporary folder")?;
    config.data.dir = dir.path().to_path_buf();
    Ok(dir)
}

/// Each connection takes a file descriptor, and many systems give 1,024 until asked.
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::info!(%error, "the limit of open files stays as it is");
        }
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> Result<Self> {
        let terminate = signal(SignalKind::terminate()).context("cannot listen to signals")?;
        let interrupt = signal(SignalKind::interrupt()).context("cannot listen to signals")?;
        let hangup = signal(SignalKind::hangup()).context("cannot listen to signals")?;
        Ok(Self { terminate, interrupt, hangup })
    }

    /// The next signal that ends the process; `on_hangup` is called for each that only wakes it.
    async fn next(&mut self, on_hangup: impl Fn()) -> &'static str {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return "SIGTERM",
                _ = self.interrupt.recv() => return "SIGINT",
                _ = self.hangup.recv() => on_hangup(),
            }
        }
    }
}

async fn until_signalled(
    config: &Config,
    doors: &Doors,
    started: Instant,
    ephemeral: bool,
) -> Result<ExitCode> {
    let mut signals = Signals::new()?;
    allocator::give_back_when_idle(doors);
    let node = Node::start(config, doors).await?;
    let took = started.elapsed();
    tracing::info!(took_ms = took.as_millis(), data = %config.data.dir.display(), "ready");
    // Without a reader the banner is of no use to anybody: not being able to write it is no failure.
    let _ = std::io::stdout().write_all(banner::text(&node, config, took, ephemeral).as_bytes());
    let name = signals.next(|| node.reload_certificates()).await;
    tracing::info!(signal = name, "stopping");
    tokio::select! {
        stopped = node.stop() => {
            stopped?;
            tracing::info!("stopped");
            Ok(ExitCode::SUCCESS)
        }
        name = signals.next(|| {}) => {
            tracing::warn!(signal = name, "stopping at once: asked a second time");
            Ok(ExitCode::FAILURE)
        }
    }
}
