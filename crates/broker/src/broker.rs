//! The broker: opens its replica group, holds what the verbs share, and makes the verbs true.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};
use async_trait::async_trait;
use base::Doors;
use model::access::Accounts;
use model::admin::Settings;
use model::lite::{LiteError, LiteSync};
use model::quota::QuotaBook;
use model::throttled::ThrottleBook;
use model::verbs::{
    AckError, CommitOffset, Fetch, FetchError, Fetched, Hide, MessageQuery, OffsetAnswer, OffsetError,
    OffsetQuestion, Publish, Publishing, QueryError, Recall, RecallError, Receive, ReceiveError, Received,
    Route, RouteError, Seek, Settle, SettleError,
};
use model::{
    Filter, Lsn, Messaging, Offset, QueueId, Receipt, Session, StoredMessage, StreamId, TopicConfig,
    TopicName,
};
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use replica::{Group, Handle, OpenError, Proposed, ReplicaConfig};
use store::{Boundary, Bounds, DiskUse, Entry, LogReader, Repair, StoreConfig, ViewsReader};
use tokio::sync::{Notify, Semaphore, mpsc, oneshot};

use crate::config::BrokerConfig;
use crate::error::Failed;
use crate::events::{self, Event, Events};
use crate::exported::{Named, Sizes};
use crate::handing::Handing;
use crate::health::Health;
use crate::hour::Hour;
use crate::in_order::OrderMetrics;
use crate::interest::{Interest, Waiter};
use crate::limits::{CHECKS_WAITING_MAX, TRACES_AT_ONCE};
use crate::lite::LiteMetrics;
use crate::lite::hub::LiteHub;
use crate::machine::command::{Command, DeliverCommand, Outcome, PutMode};
use crate::machine::state::{State, Topic};
use crate::machine::transactions::Rules;
use crate::machine::{BrokerMachine, CommitListener, Touch};
use crate::members::Members;
use crate::offsets::Resets;
use crate::pulled::Pulled;
use crate::rates::Counted;
use crate::selector::SelectorCache;
use crate::timer_metrics::TimerMetrics;
use crate::transactions::{Asker, TransactionMetrics};

/// All that a broker is opened with.
#[derive(Debug, Clone)]
pub struct Setup {
    pub dir: PathBuf,
    pub broker: BrokerConfig,
    pub replica: ReplicaConfig,
    pub store: StoreConfig,
    pub repair: Repair,
}

/// The verbs over one replica group.
pub struct Broker {
    pub(crate) doors: Doors,
    /// As it was started.
    pub(crate) config: BrokerConfig,
    /// In force now: what can change while it runs is read here.
    live: ArcSwap<BrokerConfig>,
    rules: Arc<ArcSwap<Rules>>,
    pub(crate) settings: OnceLock<Arc<dyn Settings>>,
    pub(crate) state: Arc<State>,
    pub(crate) log: LogReader,
    pub(crate) views: ViewsReader,
    pub(crate) interest: Arc<Interest>,
    pub(crate) selectors: SelectorCache,
    pub(crate) members: Arc<Members>,
    pub(crate) transaction_metrics: TransactionMetrics,
    pub(crate) resets: Resets,
    pub(crate) order_metrics: OrderMetrics,
    pub(crate) lite: Arc<LiteHub>,
    pub(crate) lite_metrics: LiteMetrics,
    /// Has lite topics looked for that are over, before the time has come.
    pub(crate) lite_sweep: Arc<Notify>,
    pub(crate) rates: Counted,
    events: Arc<Events>,
    pub(crate) pulled: Pulled,
    pub(crate) health: Health,
    /// Looks for the lives of messages that run.
    pub(crate) traces: Semaphore,
    pub(crate) sizes: Sizes,
    pub(crate) named: Named,
    pub(crate) hour: Hour,
    /// Where the group's data is.
    pub(crate) dir: PathBuf,
    /// Routes send producers here.
    pub(crate) routes_writes: AtomicBool,
    handle: Handle<BrokerMachine>,
    group_metrics: replica::Metrics,
    store_metrics: Arc<store::Metrics>,
    pub(crate) timer_metrics: TimerMetrics,
    closed: Mutex<Option<oneshot::Receiver<Result<(), String>>>>,
}

/// Wakes waiting receivers and fetchers after commit.
struct Wake(Arc<Interest>, Arc<LiteHub>, Arc<Events>);

impl CommitListener for Wake {
    fn on_committed(&mut self, touched: &[(StreamId, Touch)]) {
        self.0.on_committed(touched);
        self.1.on_committed(touched);
    }

    fn on_changed(&mut self, changes: Vec<Event>) {
        changes.iter().for_each(|change| self.2.emit(change));
    }
}

impl Broker {
    /// Opens the data directory, replays the log, starts the group's thread.
    ///
    /// # Errors
    /// If the data is damaged or in use, or does not fit this version.
    pub fn open(doors: &Doors, setup: &Setup) -> Result<Arc<Self>, OpenError> {
        let state = Arc::new(State::default());
        let interest = Arc::new(Interest::new(setup.broker.waiting_max));
        let members = Arc::new(Members::default());
        let (checks, to_ask) = mpsc::channel(CHECKS_WAITING_MAX);
        let transaction_metrics = TransactionMetrics::default();
        let lite_metrics = LiteMetrics::default();
        let lite = Arc::new(LiteHub::new(lite_metrics.news_overflowed.clone()));
        let asker = Asker::new(Arc::clone(&members), checks, transaction_metrics.clone());
        let timer_metrics = TimerMetrics::default();
        let clock = Arc::clone(&doors.clock);
        let events = Arc::new(Events::new(&setup.broker.cluster, &setup.broker.name, clock));
        let wake = Box::new(Wake(Arc::clone(&interest), Arc::clone(&lite), Arc::clone(&events)));
        let rules = Arc::new(ArcSwap::from_pointee(transaction_rules(&setup.broker)));
        let machine = BrokerMachine::new(Arc::clone(&state), wake, timer_metrics.clone())
            .with_transactions(Arc::clone(&rules), Box::new(asker));
        let group =
            Group::open(doors, &setup.dir, setup.replica.clone(), &setup.store, setup.repair, machine)?;
        let (log, views) = (group.log_reader(), group.views_reader());
        events.emit_start(group.recovery(), (log.start(), log.end()));
        let (group_metrics, store_metrics) = (group.metrics().clone(), group.store_metrics());
        let (handle, closed) = replica::start(doors, group)?;
        let broker = Self {
            doors: doors.clone(),
            config: setup.broker.clone(),
            live: ArcSwap::from_pointee(setup.broker.clone()),
            rules,
            settings: OnceLock::new(),
            state,
            log,
            views,
            interest,
            selectors: SelectorCache::default(),
            members,
            transaction_metrics,
            resets: Resets::default(),
            order_metrics: OrderMetrics::default(),
            lite,
            lite_metrics,
            lite_sweep: Arc::default(),
            traces: Semaphore::new(TRACES_AT_ONCE),
            events,
            rates: Counted::new(doors.clock.monotonic(), doors.clock.now_ms()),
            pulled: Pulled::default(),
            health: Health::default(),
            sizes: Sizes::default(),
            named: Named::default(),
            hour: Hour::default(),
            dir: setup.dir.clone(),
            routes_writes: AtomicBool::new(true),
            handle,
            group_metrics,
            store_metrics,
            timer_metrics,
            closed: Mutex::new(Some(closed)),
        };
        let broker = Arc::new(broker);
        broker.transaction_metrics.undecided(broker.state.halves.lock().len());
        let asking = Self::ask_about(Arc::downgrade(&broker), to_ask);
        doors.spawn.spawn("broker-transaction-checks", Box::pin(asking));
        broker.start_upkeep();
        broker.start_events();
        broker.start_lite_sweep();
        broker.start_rates();
        broker.start_hour();
        Ok(broker)
    }

    /// Takes nothing new, finishes what waits, flushes, and closes the store.
    ///
    /// # Errors
    /// If the disk fails meanwhile.
    pub async fn shutdown(&self) -> Result<(), String> {
        self.handle.stop();
        self.interest.wake_all();
        let closed = self.closed.lock().take();
        match closed {
            Some(closed) => closed.await.unwrap_or_else(|_| Err("the group's thread is gone".to_owned())),
            None => Ok(()),
        }
    }

    /// Names what the replica group and its store count.
    pub fn register_metrics(&self, registry: &mut Registry) {
        self.group_metrics.register(registry);
        self.order_metrics.register(registry);
        self.selectors.register(registry);
        self.lite_metrics.register(registry);
        self.transaction_metrics.register(registry);
        self.store_metrics.register(registry.sub_registry_with_prefix("store"));
        self.timer_metrics.register(registry);
        self.state.dedup_metrics.register(registry);
        self.rates.register(registry);
        self.events.register(registry);
        self.health.register(registry);
    }

    /// What happens to the node is told here.
    #[must_use]
    pub const fn events(&self) -> &Arc<Events> {
        &self.events
    }

    /// How many calls wait for messages now.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.interest.waiting()
    }

    /// Whether producers are sent here.
    pub(crate) fn routes_writes(&self) -> bool {
        self.routes_writes.load(Ordering::Relaxed)
    }

    /// Settings that may have changed since the start.
    pub(crate) fn live(&self) -> Guard<Arc<BrokerConfig>> {
        self.live.load()
    }

    /// Hands in what operations on settings are put to. Once; later ones are not taken.
    pub fn set_settings(&self, settings: Arc<dyn Settings>) {
        let _ = self.settings.set(settings);
    }

    /// Puts changed settings into force, as far as they can change while the broker runs.
    pub fn reconfigure(&self, broker: &BrokerConfig, replica: &ReplicaConfig, store: &StoreConfig) {
        self.handle.set_flush_interval_ms(replica.flush_interval_ms);
        self.rules.store(Arc::new(transaction_rules(broker)));
        self.log.reconfigure(store);
        self.refuse_disk_from(store.disk_refuse_percent);
        self.live.store(Arc::new(broker.clone()));
    }

    /// Names of the group and its cluster, for banners.
    #[must_use]
    pub const fn config(&self) -> &BrokerConfig {
        &self.config
    }

    /// Quotas of the catalogue, as far as the log tells.
    #[must_use]
    pub fn quotas(&self) -> &Arc<QuotaBook> {
        &self.state.quotas
    }

    /// Whose sends were refused of late.
    #[must_use]
    pub fn throttled(&self) -> &Arc<ThrottleBook> {
        &self.health.throttled
    }

    /// Users and their policies, as far as the log tells.
    #[must_use]
    pub fn accounts(&self) -> &Arc<Accounts> {
        &self.state.accounts
    }

    pub(crate) fn committed(&self) -> Lsn {
        self.handle.committed()
    }

    pub(crate) fn queued_bytes(&self) -> usize {
        self.handle.queued_bytes()
    }

    pub(crate) fn now_ms(&self) -> i64 {
        self.doors.clock.now_ms()
    }

    pub(crate) fn monotonic_ms(&self) -> i64 {
        i64::try_from(self.doors.clock.monotonic().as_millis()).unwrap_or(i64::MAX)
    }

    /// A number in `0..bound`.
    pub(crate) fn pick(&self, bound: u64) -> u32 {
        u32::try_from(self.doors.chance.below(bound)).unwrap_or(0)
    }

    pub(crate) async fn propose(&self, command: Command, bytes: usize) -> Result<Outcome, Failed> {
        Ok(self.handle.propose(command, bytes).await?)
    }

    /// As [`Self::propose`], in two steps: what is returned only waits.
    pub(crate) fn hand_in(&self, command: Command, bytes: usize) -> Result<Proposed<BrokerMachine>, Failed> {
        Ok(self.handle.hand_in(command, bytes)?)
    }

    /// Proposes a delivery; a caller that is dropped meanwhile gives back what it was handed.
    pub(crate) async fn hand(&self, command: DeliverCommand, bytes: usize) -> Result<Outcome, Failed> {
        Ok(Handing::new(&self.handle, &self.doors.spawn, command, bytes).await?)
    }

    /// A topic of the engine's own, made if it does not exist.
    pub(crate) async fn ensure_topic(&self, name: TopicName, queues: u32) -> Result<Arc<Topic>, Failed> {
        if let Some(topic) = self.state.topic(&name) {
            return Ok(topic);
        }
        let config = TopicConfig::new(name, queues);
        match self.propose(Command::TopicPut { config, mode: PutMode::Ensure }, 0).await? {
            Outcome::Topic(topic) => Ok(topic),
            other => Err(Failed::unexpected(&other)),
        }
    }

    /// What of a stream is visible.
    pub(crate) async fn bounds(&self, stream: StreamId) -> Result<Bounds, Failed> {
        let committed = self.committed();
        Ok(self.views.look(move |views| views.bounds(stream, committed)).await?)
    }

    /// Visible entries of a stream from an offset on.
    pub(crate) async fn entries(
        &self,
        stream: StreamId,
        from: u64,
        max: usize,
    ) -> Result<Vec<Entry>, Failed> {
        let committed = self.committed();
        let look = move |views: &ViewsReader| {
            let mut entries = Vec::new();
            views.read(stream, from, max, committed, &mut entries)?;
            Ok(entries)
        };
        Ok(self.views.look(look).await?)
    }

    /// Where a time stands in a stream.
    pub(crate) async fn offset_by_time(
        &self,
        stream: StreamId,
        time_ms: i64,
        boundary: Boundary,
    ) -> Result<u64, Failed> {
        let committed = self.committed();
        Ok(self.views.look(move |views| views.offset_by_time(stream, time_ms, boundary, committed)).await?)
    }

    /// As [`Self::bounds`], where memory knows them, or for tables and reports; may block on the disk.
    pub(crate) fn blocking_bounds(&self, stream: StreamId) -> Result<Bounds, Failed> {
        Ok(self.views.bounds(stream, self.committed())?)
    }

    /// As [`Self::entries`], for tables and reports; may block on the disk.
    pub(crate) fn blocking_entries(
        &self,
        stream: StreamId,
        from: u64,
        max: usize,
        out: &mut Vec<Entry>,
    ) -> Result<(), Failed> {
        Ok(self.views.read(stream, from, max, self.committed(), out)?)
    }

    /// Waits until something that the waiter wants is committed. `false`: the time is over.
    pub(crate) async fn wait(&self, waiter: &mut Waiter, patience_ms: i64, _session: &Session) -> bool {
        let patience = self.doors.clock.sleep(Duration::from_millis(patience_ms.max(0).unsigned_abs()));
        waiter.wait(patience).await
    }

    /// Tells when the disk comes to be so full that producers are refused, and when no more.
    fn watch_disk(&self, was_full: bool) -> bool {
        let Ok(used) = self.log.disk_use() else { return was_full };
        let DiskUse { used_percent, refuse_percent, resume_percent } = used;
        let threshold = if was_full { resume_percent } else { refuse_percent };
        let is_full = used_percent >= threshold;
        match (was_full, is_full) {
            (false, true) => self.events.emit(&Event::DiskFull { used_percent, refuse_percent }),
            (true, false) => self.events.emit(&Event::DiskFreed { used_percent, refuse_percent }),
            _ => {}
        }
        is_full
    }

    /// Makes the topics that clients expect to be there; later, clients that fall silent leave
    /// their groups.
    fn start_upkeep(self: &Arc<Self>) {
        let broker = Arc::downgrade(self);
        let clock = Arc::clone(&self.doors.clock);
        let every = Duration::from_millis(crate::limits::MEMBER_SCAN_MS);
        let scan = async move {
            if let Some(broker) = broker.upgrade() {
                broker.ensure_own_topics().await;
            }
            let mut disk_was_full = false;
            loop {
                clock.sleep(every).await;
                let Some(broker) = broker.upgrade() else { return };
                broker.expire_members();
                disk_was_full = broker.watch_disk(disk_was_full);
            }
        };
        self.doors.spawn.spawn("broker-upkeep", Box::pin(scan));
    }

    /// Answers of the request-reply pattern are kept in a topic named after the cluster; what clients
    /// tell of their messages goes to the trace topic, which they do not make by themselves.
    async fn ensure_own_topics(&self) {
        let replies = format!("{}_REPLY_TOPIC", self.config.cluster);
        for name in [&replies, model::names::TRACE_TOPIC, events::TOPIC] {
            let made = match TopicName::new(name) {
                Ok(name) => self.ensure_topic(name, 1).await.map(|_| ()).map_err(|error| error.to_string()),
                Err(error) => Err(error.to_string()),
            };
            if let Err(error) = made {
                tracing::warn!(error, name, "a topic of the engine's own could not be made");
            }
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.handle.stop();
    }
}

#[async_trait]
impl Messaging for Broker {
    fn publish<'s, 'c, 'f>(&'s self, session: &'c Session, request: Publish) -> Publishing<'f>
    where
        's: 'f,
        'c: 'f,
        Self: 'f,
    {
        self.do_publish(session, request)
    }

    async fn receive(&self, session: &Session, request: Receive) -> Result<Received, ReceiveError> {
        let (topic, group) = (request.topic.clone(), request.group.clone());
        let received = match self.lite_parent_of(&request)? {
            Some(parent) => self.receive_lite(session, request, parent).await?,
            None => self.do_receive(session, request).await?,
        };
        let bytes = received.deliveries.iter().map(|delivery| delivery.message.bytes().len()).sum();
        self.rates.read(&topic, &group, received.deliveries.len(), bytes);
        Ok(received)
    }

    async fn fetch(&self, session: &Session, request: Fetch) -> Result<Fetched, FetchError> {
        let (topic, group) = (request.topic.clone(), request.group.clone());
        let place = (request.queue, request.offset);
        let fetched = self.do_fetch(session, request).await?;
        if let Some(group) = group {
            self.note_pull(session, &group, &topic, place, &fetched);
            let bytes = fetched.messages.iter().map(|message| message.bytes().len()).sum();
            self.rates.read(&topic, &group, fetched.messages.len(), bytes);
        }
        Ok(fetched)
    }

    async fn ack(&self, session: &Session, receipts: Vec<Receipt>) -> Vec<Result<(), AckError>> {
        self.do_ack(session, receipts).await
    }

    async fn extend(&self, _: &Session, receipt: Receipt, hide: Hide) -> Result<Receipt, AckError> {
        self.do_extend(receipt, hide).await
    }

    async fn settle(&self, session: &Session, request: Settle) -> Result<(), SettleError> {
        self.do_settle(session, request).await
    }

    async fn recall(&self, _: &Session, request: Recall) -> Result<String, RecallError> {
        self.do_recall(request).await
    }

    async fn commit_offset(&self, session: &Session, request: CommitOffset) -> Result<(), OffsetError> {
        self.do_commit_offset(session, request).await
    }

    async fn seek(&self, session: &Session, request: Seek) -> Result<Vec<(QueueId, Offset)>, OffsetError> {
        self.do_seek(session, request).await
    }

    async fn offset(&self, session: &Session, question: OffsetQuestion) -> Result<OffsetAnswer, OffsetError> {
        self.do_offset(session, question).await
    }

    async fn route(&self, session: &Session, topic: &TopicName) -> Result<Route, RouteError> {
        self.do_route(session, topic)
    }

    async fn query(&self, session: &Session, query: MessageQuery) -> Result<Vec<StoredMessage>, QueryError> {
        self.do_query(session, query).await
    }

    async fn sync_lite(&self, session: &Session, request: LiteSync) -> Result<(), LiteError> {
        self.do_sync_lite(session, request).await
    }

    async fn check_filter(&self, _: &Session, filter: &Filter) -> Result<(), ReceiveError> {
        self.selectors.get(filter).map(|_| ()).map_err(|error| ReceiveError::Filter(error.to_string()))
    }
}

fn transaction_rules(config: &BrokerConfig) -> Rules {
    Rules {
        check_interval_ms: config.transaction_check_interval_ms,
        checks_max: config.transaction_checks_max,
        undecided_max: config.transactions_undecided_max,
    }
}

/// Derives the state of a data directory anew and compares it with what is stored.
///
/// # Errors
/// If either cannot be read.
pub fn verify(
    doors: &Doors,
    dir: &Path,
    scratch: &Path,
    config: &StoreConfig,
) -> Result<replica::verify::Rederived, OpenError> {
    struct Deaf;
    impl CommitListener for Deaf {
        fn on_committed(&mut self, _: &[(StreamId, Touch)]) {}
    }
    let machine = || BrokerMachine::new(Arc::new(State::default()), Box::new(Deaf), TimerMetrics::default());
    replica::verify::rederive(doors, dir, scratch, config, machine)
}
