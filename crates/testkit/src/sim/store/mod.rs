//! The store alone under faults: appends, flushes, checkpoints, merges, cuts, crashes, power cuts,
//! damage of stored bytes, a full disk.
//!
//! ```text
//! step ──► store (real) ──► disk (simulated, faults)
//!   └────► model (plain maps) ──► compare after every start and now and then
//! ```
//!
//! What must hold: what was reported durable survives; what is read is what was appended; the
//! views are what the log makes of them; damage is found and never served; a refused frame never
//! comes back. Reading order: `ops`, `model`, `check`, `steps`, `recovery`, this file.

mod check;
mod model;
mod ops;
mod recovery;
mod steps;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use ::model::{Lsn, StreamId};
use base::Clock;
use store::{CheckpointJob, MergeJob, PrepareJob, Store, StoreConfig};

use self::check::{Compare, Hashes};
use self::model::{ModelLog, ModelViews};
use self::steps::Temper;
use super::{Checked, Outcome, Suite, Violation, must};
use crate::doors::SimDoors;
use crate::history::{Queues, Seen, check_queue};
use crate::rng::Rng;
use crate::trace::Trace;

/// The suite of this file.
pub const SUITE: Suite = Suite { name: "store", run };

/// Where the store lives. Its parent is durable from the beginning.
const DIR: &str = "/data/store";

/// Work that a background thread would do.
enum Job {
    Checkpoint(CheckpointJob, Lsn),
    Merge(MergeJob),
    Prepare(PrepareJob),
}

/// One run.
struct Sim {
    rng: Rng,
    temper: Temper,
    doors: SimDoors,
    config: StoreConfig,
    store: Option<Store>,
    log: ModelLog,
    views: ModelViews,
    hashes: Hashes,
    job: Option<Job>,
    damage: Damage,
    /// Where a checkpoint stands that failed, but may be on disk.
    half_checkpoint: Lsn,
    /// Something failed since the store was opened; it may be fenced.
    shaken: bool,
    steps: BTreeMap<&'static str, u64>,
    is_over: bool,
}

/// What is wrong with the stored bytes.
#[derive(Debug, Default)]
struct Damage {
    /// Bits were flipped that can be flipped back.
    flipped: bool,
    /// Positions of the log that may not hold what was written.
    log: Vec<Range<u64>>,
    /// Run files, key files, manifest or state may be damaged.
    elsewhere: bool,
    /// A drive has lied: what is damaged is not known exactly.
    lied: bool,
    /// From here on the log may have been cut, by a repair or an attempt that failed later.
    cut_from: Option<Lsn>,
    /// A sync of the log has failed since the machine was started.
    unsynced_tail: bool,
    /// Events of the disk's fault log that are accounted for, and those of them that struck.
    seen: usize,
    struck: usize,
}

impl Damage {
    fn may_be_cut_at(&mut self, at: Lsn) {
        self.cut_from = Some(self.cut_from.map_or(at, |lowest| lowest.min(at)));
    }

    fn any(&self) -> bool {
        !self.log.is_empty() || self.elsewhere || self.lied
    }
}

/// The positions that a place in a file of the log stands for.
fn log_range(path: &Path, at: u64, len: u64) -> Option<Range<u64>> {
    let name = path.file_name()?.to_str()?;
    let base: u64 = name.strip_suffix(".log")?.parse().ok()?;
    Some(base + at..base + at + len)
}

impl Queues for Sim {
    /// A stream; the position of a record is its number.
    fn read_queue(&mut self, queue: u64) -> Checked<Vec<Seen>> {
        let Some(store) = &self.store else { return Ok(Vec::new()) };
        let mut entries = Vec::new();
        let read = store.views.reader().read(StreamId(queue), 0, usize::MAX, store.log.end(), &mut entries);
        if let Err(error) = read {
            must(self.damage.any(), 1, || format!("reading stream {queue}: {error}"))?;
        }
        let seen = |e: &store::Entry| {
            let (lsn, count) = (e.lsn.get(), u64::from(e.count));
            Seen { id: lsn, offset: e.offset, count, lsn, stored_ms: e.time_ms }
        };
        Ok(entries.iter().map(seen).collect())
    }
}

fn config(rng: &mut Rng) -> StoreConfig {
    StoreConfig {
        segment_bytes: 4096 << rng.below(5),
        tail_cache_bytes: rng.skewed(128 * 1024),
        retention_ms: rng.percent(30).then(|| rng.between(1_000, 600_000).cast_signed()),
        retention_bytes: rng.percent(50).then(|| rng.between(8_000, 200_000)),
        checkpoint_bytes: 1 << 20,
        cold_read_concurrency: 2,
        disk_refuse_percent: 85,
        disk_resume_percent: 80,
        recycle_segments: rng.percent(50),
        idle_streams_max: 1 + rng.index(2_000),
        ..StoreConfig::default()
    }
}

fn run(seed: u64, trace: Trace) -> Outcome {
    let mut sim = Sim::new(seed, trace);
    let result = sim.live();
    let trace = sim.doors.trace.clone();
    if let Err(violation) = &result {
        trace.event("violation", &[], || violation.to_string());
    }
    sim.store = None;
    sim.job = None;
    trace.event("image", &[sim.doors.disk.image_hash()], String::new);
    Outcome {
        seed,
        failure: result.err().map(|v| v.to_string()),
        faults: sim.doors.disk.fault_log(),
        steps: sim.steps,
        events: trace.events(),
        hash: trace.hash(),
    }
}

impl Sim {
    fn new(seed: u64, trace: Trace) -> Self {
        let mut rng = Rng::new(seed);
        let doors = SimDoors::with_trace(rng.next_u64(), trace);
        let config = config(&mut rng);
        let temper = Temper::new(&mut rng);
        Self {
            rng,
            temper,
            doors,
            config,
            store: None,
            log: ModelLog::default(),
            views: ModelViews::default(),
            hashes: Hashes::default(),
            job: None,
            damage: Damage::default(),
            half_checkpoint: Lsn::ZERO,
            shaken: false,
            steps: BTreeMap::new(),
            is_over: false,
        }
    }

    fn live(&mut self) -> Checked {
        self.prepare()?;
        self.reopen()?;
        let long = if self.rng.one_in(40) { 800 } else { 0 };
        let steps = 30 + self.rng.skewed(400) + long;
        for _ in 0..steps {
            if self.is_over {
                return Ok(());
            }
            self.step()?;
        }
        self.end()
    }

    /// The folder above the store is older than the simulation.
    fn prepare(&mut self) -> Checked {
        let disk = self.doors.process().disk;
        let root = Path::new("/");
        let made = disk.create_dir_all(&root.join("data")).and_then(|()| disk.sync_dir(root));
        made.map_err(|e| Violation { invariant: 0, what: e.to_string() })
    }

    /// A last start without faults: everything must be there.
    fn end(&mut self) -> Checked {
        self.heal();
        self.doors.disk.disarm();
        self.doors.disk.set_capacity(None);
        self.power_cut()?;
        if self.is_over {
            return Ok(());
        }
        self.check_everything(usize::MAX)?;
        let streams: Vec<u64> = self.views.streams.keys().copied().collect();
        for stream in streams {
            check_queue(stream, &self.read_queue(stream)?)?;
        }
        self.rederive()?;
        self.close()
    }

    fn note(&mut self, step: &'static str, numbers: &[u64]) {
        *self.steps.entry(step).or_insert(0) += 1;
        self.doors.trace.event(step, numbers, || format!("{numbers:?}"));
    }

    fn now_ms(&self) -> i64 {
        self.doors.clock.now_ms()
    }

    /// Faults that struck so far, slowness aside; what they mean is noted.
    fn struck(&mut self) -> usize {
        for fault in self.doors.disk.faults_since(self.damage.seen) {
            self.damage.seen += 1;
            match fault.fault {
                "slow disk" | "process crash" => continue,
                "power cut" => {
                    self.damage.unsynced_tail = false;
                    continue;
                }
                "misdirected write" | "lost write" => self.damage.lied = true,
                "fsync error" => self.damage.unsynced_tail |= fault.path.contains("/log/"),
                _ => {}
            }
            self.damage.struck += 1;
        }
        if self.damage.lied {
            let places = self.doors.disk.damage();
            let ranges = places.iter().filter_map(|d| log_range(Path::new(&d.path), d.at, d.len));
            self.damage.log = ranges.collect();
        }
        self.damage.struck
    }

    fn compare(&self, is_excused: bool) -> Option<Compare<'_>> {
        let store = self.store.as_ref()?;
        Some(Compare { store, log: &self.log, views: &self.views, is_excused })
    }

    fn check_everything(&mut self, sample: usize) -> Checked {
        let is_excused = self.damage.any();
        // What is looked at here must be read, not guessed.
        self.doors.disk.disarm();
        let mut rng = self.rng.fork();
        let Some(compare) = self.compare(is_excused) else { return Ok(()) };
        let end = compare.store.log.end();
        compare.whole_log()?;
        compare.some_records(&mut rng)?;
        compare.streams(sample, end, &mut rng)?;
        compare.ends(sample, &mut rng)?;
        compare.objects(&mut rng)?;
        compare.keys(end, &mut rng)?;
        if let Some(store) = &self.store {
            self.hashes.check(store, is_excused)?;
        }
        Ok(())
    }

    /// Bits flip back.
    fn heal(&mut self) {
        self.doors.disk.heal_flips();
        self.damage.flipped = false;
        if let Some(frame) = self.log.first_hit(&self.damage.log) {
            // An attempt to open the store may have cut the log there before it failed elsewhere.
            self.damage.may_be_cut_at(frame.lsn);
        }
        if !self.damage.lied {
            self.damage.log.clear();
            self.damage.elsewhere = false;
        }
    }
}
