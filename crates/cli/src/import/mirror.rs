//! Copies messages queue by queue, in order: pulled there, sent here, kept in the state.
//!
//! A copy is sent before it is kept. After a crash in between, the copies are found again at the end
//! of our queue, so that they are not sent twice.

use std::collections::{BTreeSet, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use base::Doors;
use model::message::flags;
use model::{Properties, StoredMessage, properties};
use parking_lot::Mutex;
use remoting::client::{Client, ClientError, Pull};
use remoting::code::{request, response};
use remoting::header::Fields;
use tokio::sync::Semaphore;

use crate::import::mapping::Run;
use crate::import::shape::Plan;
use crate::import::source::Source;
use crate::import::state::{SourceQueue, State};

/// What every broker lets tools read by.
const READER: &str = "TOOLS_CONSUMER";
const BATCH: u32 = 32;
/// Queues whose messages are copied at the same time.
const COPIES_AT_ONCE: usize = 16;
const WAIT_MS: u64 = 3_000;
const PAUSE: Duration = Duration::from_secs(1);
/// More notes than this are not kept: they repeat themselves.
const TROUBLES_MAX: usize = 100;
/// What our broker would act on again.
const ACTED_ON: [&str; 7] = [
    properties::DELAY,
    properties::TIMER_DELAY_SEC,
    properties::TIMER_DELAY_MS,
    properties::TIMER_DELIVER_MS,
    properties::TIMER_DELETE_UNIQUE_ID,
    properties::TRANSACTION_PREPARED,
    properties::POP_CHECK_POINT,
];

/// How far the copies are behind.
#[derive(Debug, Default)]
pub(super) struct Lag {
    pub(super) messages: u64,
    pub(super) queues_behind: usize,
    pub(super) queues: usize,
}

#[derive(Clone)]
pub(super) struct Mirror {
    doors: Doors,
    pub(super) target: Client,
    pub(super) state: Arc<State>,
    followed: Arc<Mutex<HashSet<SourceQueue>>>,
    troubles: Arc<Mutex<BTreeSet<String>>>,
    copying: Arc<Semaphore>,
    stopped: Arc<AtomicBool>,
}

struct Follower {
    mirror: Mirror,
    source: Client,
    of: SourceQueue,
    /// Its number here.
    queue: u32,
}

impl Mirror {
    pub(super) fn new(doors: Doors, target: Client, state: State) -> Self {
        Self {
            doors,
            target,
            state: Arc::new(state),
            followed: Arc::default(),
            troubles: Arc::default(),
            copying: Arc::new(Semaphore::new(COPIES_AT_ONCE)),
            stopped: Arc::default(),
        }
    }

    pub(super) fn mirrored(&self) -> u64 {
        self.state.copied()
    }

    /// What went wrong since the last question.
    pub(super) fn troubles(&self) -> BTreeSet<String> {
        std::mem::take(&mut self.troubles.lock())
    }

    /// No more copies; waits for those under way.
    pub(super) async fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
        let all = u32::try_from(COPIES_AT_ONCE).unwrap_or(u32::MAX);
        let _ = self.copying.acquire_many(all).await;
    }

    /// Starts to copy the queues that are not copied yet.
    pub(super) async fn follow(&self, source: &Source, plan: &Plan) -> Result<()> {
        let addresses = source.addresses();
        for (of, queue) in plan.topics.values().flat_map(|topic| &topic.queues) {
            let Some(address) = addresses.get(&of.broker) else { continue };
            if self.followed.lock().contains(of) {
                continue;
            }
            let client = source.client(*address).await?;
            self.followed.lock().insert(of.clone());
            let follower = Follower { mirror: self.clone(), source: client, of: of.clone(), queue: *queue };
            let (source, address) = (source.clone(), *address);
            self.doors.spawn.spawn("mirror", Box::pin(follower.run(source, address)));
        }
        Ok(())
    }

    pub(super) async fn lag(&self, source: &Source, plan: &Plan) -> Result<Lag> {
        let addresses = source.addresses();
        let mut lag = Lag::default();
        for (of, _) in plan.topics.values().flat_map(|topic| &topic.queues) {
            let Some(address) = addresses.get(&of.broker) else { continue };
            let end = source.client(*address).await?.max_offset(&of.topic, of.queue).await;
            let end = end.inspect_err(|_| source.forget(*address))?;
            let behind = u64::try_from(end).unwrap_or_default().saturating_sub(self.state.next_source(of));
            lag.messages += behind;
            lag.queues_behind += usize::from(behind > 0);
            lag.queues += 1;
        }
        Ok(lag)
    }

    fn note(&self, trouble: String) {
        let mut troubles = self.troubles.lock();
        if troubles.len() < TROUBLES_MAX {
            troubles.insert(trouble);
        }
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }
}

impl Follower {
    async fn run(mut self, source: Source, address: SocketAddr) {
        let mut is_resumed = false;
        while !self.mirror.is_stopped() {
            let step = if is_resumed { self.step().await } else { self.resume().await };
            is_resumed = step.is_ok();
            let Err(error) = step else { continue };
            self.mirror.note(format!("{} queue {}: {error:#}", self.of.topic, self.of.queue));
            self.mirror.doors.clock.sleep(PAUSE).await;
            source.forget(address);
            if let Ok(client) = source.client(address).await {
                self.source = client;
            }
        }
    }

    async fn pull(&self, wait_ms: u64) -> Result<Vec<StoredMessage>> {
        let offset = self.mirror.state.next_source(&self.of);
        let pull = Pull {
            group: READER,
            topic: &self.of.topic,
            queue: self.of.queue,
            offset: i64::try_from(offset)?,
            max_messages: BATCH,
            expression: "*",
            wait_ms,
        };
        let pulled = self.source.pull(&pull).await.context("cannot read there")?;
        let next = u64::try_from(pulled.next).unwrap_or_default();
        if pulled.messages.is_empty() && pulled.code == response::PULL_OFFSET_MOVED && next > offset {
            self.mirror.state.skip_to(&self.of, next);
        }
        Ok(pulled.messages)
    }

    /// Copies what comes next.
    async fn step(&self) -> Result<()> {
        let messages = self.pull(WAIT_MS).await?;
        if messages.is_empty() {
            return Ok(());
        }
        let _turn = self.mirror.copying.acquire().await?;
        if self.mirror.is_stopped() {
            return Ok(());
        }
        let mut runs = Vec::new();
        let mut outcome = Ok(());
        for message in &messages {
            match self.send(message).await {
                Ok(target) => runs.push(Run { source: message.offset().get(), target, count: 1 }),
                Err(error) => {
                    outcome = Err(error);
                    break;
                }
            }
        }
        self.mirror.state.keep(&self.of, &joined(&runs))?;
        outcome
    }

    /// Finds copies that were sent and not kept.
    async fn resume(&self) -> Result<()> {
        let messages = self.pull(0).await?;
        let from = self.mirror.state.map(&self.of).next_target();
        let end = match self.mirror.target.max_offset(&self.of.topic, self.queue).await {
            Ok(end) => u64::try_from(end).unwrap_or_default(),
            // A topic that the first message makes.
            Err(ClientError::Refused { .. }) => return Ok(()),
            Err(error) => return Err(error).context("cannot read here"),
        };
        let (mut runs, mut next, mut wanted) = (Vec::new(), from, messages.iter().peekable());
        while next < end && wanted.peek().is_some() {
            let pull = Pull {
                group: READER,
                topic: &self.of.topic,
                queue: self.queue,
                offset: i64::try_from(next)?,
                max_messages: BATCH,
                expression: "*",
                wait_ms: 0,
            };
            let pulled = self.mirror.target.pull(&pull).await.context("cannot read here")?;
            for ours in &pulled.messages {
                if wanted.peek().is_some_and(|theirs| is_copy(ours, theirs)) {
                    let theirs = wanted.next().context("just seen")?;
                    let (source, target) = (theirs.offset().get(), ours.offset().get());
                    runs.push(Run { source, target, count: 1 });
                }
            }
            let after = u64::try_from(pulled.next).unwrap_or_default();
            if after <= next {
                break;
            }
            next = after;
        }
        self.mirror.state.keep(&self.of, &joined(&runs))
    }

    /// Sends a copy; where it stands.
    async fn send(&self, message: &StoredMessage) -> Result<u64> {
        if message.system_flags() & flags::INNER_BATCH != 0 {
            bail!("offset {} is a batch in one record, which is not copied", message.offset().get());
        }
        let kept = flags::COMPRESSED | flags::COMPRESSION_TYPE_MASK | flags::MULTI_TAGS;
        let mut told = Properties::from_encoded(message.properties().to_owned());
        for key in ACTED_ON {
            told.remove(key);
        }
        let fields = Fields::new()
            .with("a", "apogee-import")
            .with("b", &self.of.topic)
            .with("c", model::names::AUTO_CREATE_TOPIC)
            .with("d", 1)
            .with("e", self.queue)
            .with("f", message.system_flags() & kept)
            .with("g", message.born_ms())
            .with("h", message.flag())
            .with("i", told.as_encoded())
            .with("j", message.reconsume_times())
            .with("l", i32::MAX)
            .with("m", false);
        let body = message.body().into();
        let answer = self.mirror.target.call(request::SEND_MESSAGE_V2, fields, body).await;
        let answer = answer.with_context(|| format!("offset {} is refused here", message.offset().get()))?;
        let offset = answer.fields.get("queueOffset").and_then(|text| text.parse().ok());
        offset.context("the engine does not say where it stored a message")
    }
}

fn is_copy(ours: &StoredMessage, theirs: &StoredMessage) -> bool {
    let id = |message: &StoredMessage| message.property(properties::UNIQUE_ID).map(str::to_owned);
    id(ours) == id(theirs) && ours.body() == theirs.body()
}

fn joined(runs: &[Run]) -> Vec<Run> {
    let mut out: Vec<Run> = Vec::new();
    for run in runs {
        match out.last_mut() {
            Some(last)
                if last.source + last.count == run.source && last.target + last.count == run.target =>
            {
                last.count += run.count;
            }
            _ => out.push(*run),
        }
    }
    out
}
