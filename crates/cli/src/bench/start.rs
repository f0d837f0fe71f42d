//! From the start of the process to the first message that it accepts.

use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use base::Doors;
use remoting::client::{Client, Outgoing};
use serde_json::json;

use crate::output::{self, Format};

/// Far above any honest start.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two attempts to connect: the error of the measurement.
const STEP: Duration = Duration::from_micros(500);
/// How long a process is left alone before its memory is read.
const IDLE: Duration = Duration::from_secs(1);

struct Outcome {
    accepted: Duration,
    resident_kib: u64,
}

/// Starts this very program so many times, each in an empty folder.
pub(crate) async fn run(format: Format, runs: u32) -> Result<()> {
    let doors = Doors::system();
    let mut times_ms = Vec::new();
    let mut resident_kib = Vec::new();
    for _ in 0..runs {
        let outcome = once(&doors).await?;
        times_ms.push(outcome.accepted.as_secs_f64() * 1_000.0);
        resident_kib.push(outcome.resident_kib);
    }
    times_ms.sort_by(f64::total_cmp);
    resident_kib.sort_unstable();
    let middle = times_ms.len() / 2;
    let first = times_ms.first().copied().unwrap_or_default();
    let median = times_ms.get(middle).copied().unwrap_or_default();
    let last = times_ms.last().copied().unwrap_or_default();
    let memory_mib = resident_kib.get(middle).copied().unwrap_or_default() as f64 / 1_024.0;
    match format {
        Format::Json => output::json(&json!({
            "mode": "start", "runs": runs, "min_ms": first, "median_ms": median, "max_ms": last,
            "idle_resident_mib": memory_mib,
        })),
        Format::Text => output::line(&output::pairs(&[
            (
                "start to first message accepted",
                format!("median {median:.0} ms, {first:.0} to {last:.0} of {runs} runs"),
            ),
            ("resident memory, idle", format!("{memory_mib:.1} MiB")),
        ])),
    }
    Ok(())
}

/// Ends the process however the measurement ends.
struct Engine(Child);

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn once(doors: &Doors) -> Result<Outcome> {
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let ports = free_ports()?;
    let [namesrv, broker, grpc, http] = ports;
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("serve").arg("--data-dir").arg(folder.path()).current_dir(folder.path());
    for (name, address) in [("NAMESRV", namesrv), ("BROKER", broker), ("GRPC", grpc), ("HTTP", http)] {
        command.env(format!("APOGEE_LISTEN_{name}"), address.to_string());
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let started = doors.clock.monotonic();
    let mut engine = Engine(command.spawn().context("cannot start the engine")?);
    let since = || doors.clock.monotonic().saturating_sub(started);
    let client = loop {
        match Client::connect(doors, broker).await {
            Ok(client) => break client,
            Err(_) if engine.0.try_wait()?.is_some() => {
                bail!("the engine ended; see `apogee serve --ephemeral`")
            }
            Err(_) if since() > PATIENCE => bail!("the engine does not listen after {PATIENCE:?}"),
            Err(_) => doors.clock.sleep(STEP).await,
        }
    };
    let message = Outgoing { body: "first".into(), properties: String::new() };
    client.send("first", 0, message).await.context("the first message was refused")?;
    let accepted = since();
    doors.clock.sleep(IDLE).await;
    let resident_kib = resident_kib(engine.0.id()).unwrap_or_default();
    Ok(Outcome { accepted, resident_kib })
}

/// Ports that were free just now, all different.
fn free_ports() -> Result<[SocketAddr; 4]> {
    let listeners = [(); 4].map(|()| TcpListener::bind("127.0.0.1:0"));
    let mut out = [SocketAddr::from(([127, 0, 0, 1], 0)); 4];
    for (address, listener) in out.iter_mut().zip(listeners) {
        *address = listener?.local_addr()?;
    }
    Ok(out)
}

fn resident_kib(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().trim_end_matches("kB").trim().parse().ok()
}
