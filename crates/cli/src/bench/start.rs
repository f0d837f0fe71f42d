//! From the start of the process to the first message that it accepts.

use std::time::Duration;

use anyhow::{Context, Result};
use base::Doors;
use remoting::client::Outgoing;
use serde_json::json;

use super::engine::{Addresses, Engine};
use crate::output::{self, Format};

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

async fn once(doors: &Doors) -> Result<Outcome> {
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let mut engine = Engine::start(doors, folder.path(), Addresses::free()?)?;
    let client = engine.connect(doors).await?;
    let message = Outgoing { body: "first".into(), properties: String::new() };
    client.send("first", 0, message).await.context("the first message was refused")?;
    let accepted = engine.since_start(doors);
    doors.clock.sleep(IDLE).await;
    Ok(Outcome { accepted, resident_kib: engine.resident_kib() })
}
