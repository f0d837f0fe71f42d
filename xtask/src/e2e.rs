//! Every client's program against a server of the same kind: several programs side by side, each with a server of
//! its own, and several cases side by side in a program.
//!
//! ```text
//! clients ──> lane 1: server, operator ──> program, program, ...    one after the other
//!        └──> lane 2: server, operator ──> program, ...
//! ```
//! A lane takes the next program when it is done with one. Cases that restart the server run alone in their program.
//! Every program sits twice: see `sitting`.

mod lane;
mod performance;
mod sitting;
mod times;

use crate::clients::{self, Client, OPERATOR};
use crate::outcomes;
use crate::report::Report;
use crate::{E2eOptions, ServerKind, server_under_test};
use anyhow::{Context, Result};
use lane::Lane;
use sitting::Sitting;
pub(crate) use sitting::{ROOT, User};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;
use times::Times;

/// More lanes than this gain nothing: the longest program decides.
const LANES_MAX: usize = 4;

const FOLDER: &str = "apogee-e2e-";
/// The file system in memory that every Linux has; containers may have a very small one.
const MEMORY: &str = "/dev/shm";
/// Less room there, and the disk is used. A run takes far less.
const MEMORY_BYTES_MIN: u64 = 4 << 30;

/// What the lanes write to, and the programs that none has taken yet.
struct Board {
    left: VecDeque<(Client, Sitting)>,
    report: Report,
    times: Times,
}

pub(crate) fn run(options: &E2eOptions) -> Result<ExitCode> {
    let clients = clients::chosen(&options.client)?;
    for client in clients.iter().chain([&OPERATOR]) {
        println!("installing {}", client.name);
        client.install().with_context(|| format!("cannot install {}", client.name))?;
    }
    let folder = memory_folder()?;
    println!("logs are in {}", folder.display());
    let begin = Instant::now();
    let sittings = Sitting::all(&clients, &options.case);
    let lanes = set_lanes(options, sittings.len(), &folder)?;
    let board =
        Mutex::new(Board { left: sittings.into(), report: Report::of(&clients), times: Times::default() });
    let ends: Vec<Result<()>> = std::thread::scope(|scope| {
        let runs: Vec<_> =
            lanes.into_iter().map(|lane| scope.spawn(|| perform_all(lane, options, &board))).collect();
        runs.into_iter().map(|run| run.join().expect("a lane does not panic")).collect()
    });
    let board = board.into_inner().unwrap_or_else(PoisonError::into_inner);
    board.times.print(begin.elapsed());
    let verdict = board.report.conclude();
    ends.into_iter().collect::<Result<()>>()?;
    outcomes::compare_or_record(options, &board.report)?;
    if verdict == ExitCode::SUCCESS {
        std::fs::remove_dir_all(folder)?;
    }
    Ok(verdict)
}

/// A folder of this run for data and logs; kept when something failed.
pub(crate) fn run_folder() -> Result<PathBuf> {
    Ok(tempfile::Builder::new().prefix(FOLDER).tempdir()?.keep())
}

/// The same for checks of what clients see, in memory where there is room: a disk that stalls for seconds makes clients
/// send again and polls end, and that is not what these checks ask. What a kill or a load shows stays on the disk.
pub(crate) fn memory_folder() -> Result<PathBuf> {
    let memory = Path::new(MEMORY);
    match rustix::fs::statvfs(memory) {
        Ok(facts) if facts.f_bavail * facts.f_frsize >= MEMORY_BYTES_MIN => {
            Ok(tempfile::Builder::new().prefix(FOLDER).tempdir_in(memory)?.keep())
        }
        _ => run_folder(),
    }
}

/// One after the other, so that no two choose the same free ports.
fn set_lanes(options: &E2eOptions, programs: usize, folder: &Path) -> Result<Vec<Lane>> {
    let binary = match options.against {
        ServerKind::Apogee => Some(server_under_test::build(&options.profile)?),
        ServerKind::Rocketmq => None,
    };
    let lanes = options.lanes.unwrap_or_else(|| lanes_of(options.against)).clamp(1, programs.max(1));
    (1..=lanes)
        .map(|number| {
            let home = if lanes == 1 { folder.to_owned() } else { folder.join(format!("lane-{number}")) };
            std::fs::create_dir_all(&home)?;
            Ok(Lane::new(binary.clone(), home))
        })
        .collect()
}

/// Programs mostly wait, so there is room for one more than the machine has processors for. The real server takes
/// gigabytes of memory: one of it.
fn lanes_of(kind: ServerKind) -> usize {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    match kind {
        ServerKind::Apogee => (processors / 2 + 1).min(LANES_MAX),
        ServerKind::Rocketmq => 1,
    }
}

fn perform_all(mut lane: Lane, options: &E2eOptions, board: &Mutex<Board>) -> Result<()> {
    loop {
        let next = board.lock().unwrap_or_else(PoisonError::into_inner).left.pop_front();
        let Some((client, sitting)) = next else { return Ok(()) };
        println!("{} runs{}", client.name, if sitting == Sitting::Signed { ", signed" } else { "" });
        lane.perform(&client, sitting, options, board)?;
    }
}
