//! The broker over replica and store under faults: producers, receivers with receipts, ordered
//! groups, a puller, timed messages, while the process dies, the power goes and the disk fails. In some
//! runs order is all that matters: up to 200 keys and 20 consumers that come and go.
//!
//! ```text
//! step ──► calls (verbs) ──► broker ──► group's thread ──► store ──► simulated disk
//!   └────► history ◄── answers
//! ```
//! Calls are futures that the simulation polls itself. The group's thread runs when it is given a
//! turn; calls that are under way at the same turn share a group commit. What was sent and settled
//! is kept in a [`History`], which objects. Reading order: `calls`, `steps`, `lives`, this file.

mod calls;
mod clients;
mod kinds;
mod lives;
mod steps;
pub(super) mod timers;
mod transactions;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::broker::{Broker, BrokerConfig, Setup};
use base::Clock;
use model::{GroupName, QueueId, Receipt, Session, TopicName};
use replica::{Flush, ReplicaConfig};
use store::{Repair, StoreConfig};

use self::calls::{Call, Outstanding};
use self::clients::Clients;
use self::transactions::Halves;
use super::{Checked, Outcome, Suite, Violation};
use crate::doors::SimDoors;
use crate::history::{History, Order};
use crate::rng::Rng;
use crate::trace::Trace;

/// The suite of this file.
pub const SUITE: Suite = Suite { name: "broker", run };

const DIR: &str = "/data/broker";
/// Where a state is derived anew at the end.
const SCRATCH: &str = "/data/scratch";

/// Topics: an ordinary one, one whose messages have keys, a parent of lite topics, and one whose lite
/// topics nobody reads and that end. Their queues are numbered through for the history.
const TOPICS: [(&str, u32); 4] = [("plain", 3), ("ordered", 2), ("parent", 1), ("fading", 1)];
/// Queues of the ordinary and of the ordered topic in the history.
const PLAIN_QUEUES: [u64; 3] = [0, 1, 2];
const ORDERED_QUEUES: [u64; 2] = [100, 101];
/// The parent's own queue, and its lite topics.
const PARENT_QUEUE: u64 = 200;
const LITE_QUEUES: [u64; 4] = [210, 211, 212, 213];
const LITE_TOPIC: usize = 2;
const FADING_TOPIC: usize = 3;
/// Groups: two that share nothing but the topic, one that receives each key in order, one that pulls,
/// one that receives each queue in order, one that receives every lite topic.
const GROUPS: [&str; 6] = ["one", "two", "ordered", "puller", "queued", "lite"];
const KEYED_GROUP: usize = 2;
const PULL_GROUP: usize = 3;
const QUEUED_GROUP: usize = 4;
const LITE_GROUP: usize = 5;

/// One run.
struct Sim {
    rng: Rng,
    doors: SimDoors,
    setup: Setup,
    broker: Option<Arc<Broker>>,
    session: Session,
    calls: Vec<Call>,
    history: History,
    clients: Clients,
    halves: Halves,
    /// Receipts that clients hold, valid or not.
    receipts: Vec<Outstanding>,
    next_id: u64,
    /// What the puller was told of its progress: the last that was acknowledged, the highest asked.
    pulled: Pulled,
    /// A write has failed: the group takes nothing more until it is restarted.
    shaken: bool,
    /// Events of the disk's fault log that are accounted for; those since the last start.
    seen_faults: usize,
    struck_since_open: usize,
    weights: [u64; steps::STEPS.len()],
    steps: BTreeMap<&'static str, u64>,
    timers: timers::Timers,
    repeatable: Vec<kinds::Repeatable>,
}

#[derive(Debug, Default)]
struct Pulled {
    acknowledged: u64,
    /// Answers that never came may have moved it too.
    possible: Vec<u64>,
}

fn setup(rng: &mut Rng) -> Setup {
    let store = StoreConfig {
        segment_bytes: 4096 << rng.below(6),
        tail_cache_bytes: rng.skewed(256 * 1024),
        retention_ms: None,
        retention_bytes: None,
        checkpoint_bytes: 1 + rng.skewed(200_000),
        cold_read_concurrency: 2,
        recycle_segments: rng.percent(50),
        idle_streams_max: 1 + rng.index(500),
        ..StoreConfig::default()
    };
    Setup {
        dir: PathBuf::from(DIR),
        broker: BrokerConfig {
            auto_create_topics: false,
            transaction_checks_max: transactions::CHECKS_MAX,
            ..BrokerConfig::default()
        },
        replica: ReplicaConfig { flush: Flush::Sync, flush_interval_ms: 200, ..ReplicaConfig::default() },
        store,
        repair: Repair::Refuse,
    }
}

fn run(seed: u64, trace: Trace) -> Outcome {
    run_with(seed, trace, Sim::live)
}

fn run_with(seed: u64, trace: Trace, live: impl FnOnce(&mut Sim) -> Checked) -> Outcome {
    let mut sim = Sim::new(seed, trace);
    let result = live(&mut sim);
    let trace = sim.doors.trace.clone();
    if let Err(violation) = &result {
        trace.event("violation", &[], || violation.to_string());
    }
    sim.bury();
    trace.event("image", &[sim.doors.disk.image_hash()], String::new);
    Outcome {
        seed,
        failure: result.err().map(|v| v.to_string()),
        faults: sim.doors.disk.fault_log(),
        steps: std::mem::take(&mut sim.steps),
        events: trace.events(),
        hash: trace.hash(),
    }
}

impl Drop for Sim {
    /// A panic must not leave a thread behind that waits for its turn.
    fn drop(&mut self) {
        self.bury();
    }
}

impl Sim {
    fn new(seed: u64, trace: Trace) -> Self {
        let mut rng = Rng::new(seed);
        let doors = SimDoors::with_trace(rng.next_u64(), trace);
        doors.spawn.let_take_turns("group");
        let setup = setup(&mut rng);
        let clients = Clients::new(&mut rng);
        let weights = steps::temper(&mut rng, &clients);
        Self {
            rng,
            doors,
            setup,
            broker: None,
            session: Session::internal(),
            calls: Vec::new(),
            history: History::default(),
            clients,
            halves: Halves::default(),
            receipts: Vec::new(),
            next_id: 1,
            pulled: Pulled::default(),
            shaken: false,
            seen_faults: 0,
            struck_since_open: 0,
            weights,
            steps: BTreeMap::new(),
            timers: timers::Timers::default(),
            repeatable: Vec::new(),
        }
    }

    fn live(&mut self) -> Checked {
        self.prepare()?;
        self.open()?;
        self.make_topics()?;
        let steps = 20 + self.rng.skewed(250);
        for _ in 0..steps {
            self.step()?;
        }
        self.end()
    }

    fn prepare(&mut self) -> Checked {
        let disk = self.doors.process().disk;
        let made = disk.create_dir_all(Path::new("/data")).and_then(|()| disk.sync_dir(Path::new("/")));
        made.map_err(|e| Violation { invariant: 0, what: e.to_string() })
    }

    fn note(&mut self, step: &'static str, numbers: &[u64]) {
        *self.steps.entry(step).or_insert(0) += 1;
        self.doors.trace.event(step, numbers, || format!("{numbers:?}"));
    }

    fn now_ms(&self) -> i64 {
        self.doors.clock.now_ms()
    }
}

fn topic_name(topic: usize) -> TopicName {
    let name = TOPICS.get(topic).map_or("plain", |(name, _)| *name);
    TopicName::new(name).expect("the names of the simulation are legal")
}

fn group_name(group: usize) -> GroupName {
    let name = GROUPS.get(group).copied().unwrap_or("one");
    GroupName::new(name).expect("the names of the simulation are legal")
}

/// What a group is promised.
const fn order_of(group: usize) -> Order {
    match group {
        KEYED_GROUP => Order::Key,
        QUEUED_GROUP | LITE_GROUP => Order::Queue,
        _ => Order::None,
    }
}

/// The topic that a group receives from.
const fn topic_of(group: usize) -> usize {
    match group {
        KEYED_GROUP | QUEUED_GROUP => 1,
        LITE_GROUP => LITE_TOPIC,
        _ => 0,
    }
}

/// The number of a queue in the history.
fn queue_number(topic: usize, queue: QueueId) -> u64 {
    topic as u64 * 100 + u64::from(queue.get())
}

/// The queue that a receipt is for; retries of a message have a place of their own.
fn queue_of_receipt(receipt: &Receipt) -> u64 {
    match receipt.topic.as_str() {
        "plain" => queue_number(0, receipt.queue),
        "ordered" => queue_number(1, receipt.queue),
        lite if lite.starts_with("%LMQ%$parent$room-") => {
            let room = lite.rsplit('-').next().and_then(|room| room.parse::<u64>().ok());
            LITE_QUEUES[0] + room.unwrap_or_default()
        }
        _ => 1_000,
    }
}
