//! An engine that answers what a test tells it to, and remembers what it was asked.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use model::admin::{AdminError, GroupDescription, OperationInfo};
use model::membership::{
    Assign, Assignment, Heartbeat, HeartbeatAnswer, LeaveScope, LockQueues, Member, MemberError,
    SetRequestMode, TopicQueue,
};
use model::record::{self, Placement};
use model::verbs::*;
use model::*;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::mpsc;

/// What the engine was asked to do to a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Done {
    Acked(Receipt),
    Extended(Receipt, Hide),
    DeadLetter(Receipt, Option<u32>),
    Ended(TransactionOutcome, Lsn, bool),
    Left(String),
    Disconnected(SessionId),
    /// A receive waits, and then nobody waits for it any more.
    Waits,
    GivenUp,
}

/// Tells when a receive is given up.
struct Waiting<'a>(&'a Fake);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.note(Done::GivenUp);
    }
}

pub(crate) struct Fake {
    pub(crate) topics: Mutex<HashMap<TopicName, TopicConfig>>,
    pub(crate) groups: Mutex<HashMap<GroupName, GroupConfig>>,
    pub(crate) published: Mutex<Vec<Publish>>,
    pub(crate) publish_errors: Mutex<VecDeque<PublishError>>,
    /// What receives answer, in turn; then nothing.
    pub(crate) receives: Mutex<VecDeque<Result<Received, ReceiveError>>>,
    pub(crate) received: Mutex<Vec<Receive>>,
    /// Receives wait for ever.
    pub(crate) waits: AtomicBool,
    pub(crate) fetches: Mutex<VecDeque<Result<Fetched, FetchError>>>,
    pub(crate) committed: Mutex<Vec<CommitOffset>>,
    pub(crate) answers: Mutex<VecDeque<OffsetAnswer>>,
    pub(crate) stale: Mutex<Vec<Receipt>>,
    pub(crate) beats: Mutex<Vec<(Session, Heartbeat)>>,
    done: mpsc::Sender<Done>,
    next_lsn: AtomicU64,
}

impl Fake {
    pub(crate) fn new() -> (Self, mpsc::Receiver<Done>) {
        let (done, asked) = mpsc::channel(1_000);
        let it = Self {
            topics: Mutex::default(),
            groups: Mutex::default(),
            published: Mutex::default(),
            publish_errors: Mutex::default(),
            receives: Mutex::default(),
            received: Mutex::default(),
            waits: AtomicBool::new(false),
            fetches: Mutex::default(),
            committed: Mutex::default(),
            answers: Mutex::default(),
            stale: Mutex::default(),
            beats: Mutex::default(),
            done,
            next_lsn: AtomicU64::new(1_000),
        };
        (it, asked)
    }

    pub(crate) fn lsn(&self) -> Lsn {
        Lsn(self.next_lsn.fetch_add(100, Ordering::Relaxed))
    }

    fn note(&self, done: Done) {
        self.done.try_send(done).expect("the test reads what was done");
    }

    fn publish_one(&self, message: &NewMessage, queue: QueueId, place: u64) -> PublishedMessage {
        let lsn = self.lsn();
        let get = |key: &str| message.properties.get(key).map(str::to_owned);
        PublishedMessage {
            queue,
            offset: Offset(place),
            lsn,
            stored_ms: 0,
            store_host: store_host(),
            message_id: get(properties::UNIQUE_ID).unwrap_or_default(),
            transaction_id: get(properties::TRANSACTION_PREPARED).map(|_| "inner".to_owned()),
            recall_handle: get(properties::TIMER_DELIVER_MS),
        }
    }
}

pub(crate) fn store_host() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 10911))
}

/// A message as it would lie in the log.
pub(crate) fn stored(topic: &str, lsn: Lsn, encoded_properties: &str) -> StoredMessage {
    let message = NewMessage {
        body: Bytes::from_static(b"hello"),
        properties: Properties::from_encoded(encoded_properties.to_owned()),
        flag: 0,
        system_flags: 0,
        born_ms: 1,
        born_host: store_host(),
        reconsume_times: 0,
    };
    let place = Placement {
        topic,
        queue: QueueId(1),
        offset: Offset(5),
        lsn,
        stored_ms: 2,
        store_host: store_host(),
        prepared: Lsn::ZERO,
    };
    let mut bytes = Vec::new();
    record::encode(&mut bytes, &message, &place);
    StoredMessage::parse(bytes.into()).expect("just encoded")
}

#[async_trait]
impl Messaging for Fake {
    async fn publish(&self, _session: &Session, request: Publish) -> Result<Published, PublishError> {
        if let Some(error) = self.publish_errors.lock().pop_front() {
            return Err(error);
        }
        let mut published = self.published.lock();
        let queue = QueueId(u32::try_from(published.len()).expect("few"));
        let one = |(place, message)| self.publish_one(message, queue, place);
        let entries = (0..).zip(&request.messages).map(one).collect();
        published.push(request);
        Ok(Published { entries })
    }

    async fn receive(&self, _session: &Session, request: Receive) -> Result<Received, ReceiveError> {
        let invisible_ms = request.invisible_ms;
        self.received.lock().push(request);
        if self.waits.load(Ordering::Relaxed) {
            self.note(Done::Waits);
            let _waiting = Waiting(self);
            std::future::pending::<()>().await;
        }
        let nothing = Received { deliveries: Vec::new(), delivered_ms: 7_000, invisible_ms, rest: 0 };
        self.receives.lock().pop_front().unwrap_or(Ok(nothing))
    }

    async fn fetch(&self, _session: &Session, _request: Fetch) -> Result<Fetched, FetchError> {
        self.fetches.lock().pop_front().expect("the test says what is fetched")
    }

    async fn ack(&self, _session: &Session, receipts: Vec<Receipt>) -> Vec<Result<(), AckError>> {
        let stale = self.stale.lock();
        let end = |receipt: Receipt| {
            if stale.contains(&receipt) {
                return Err(AckError::Stale);
            }
            self.note(Done::Acked(receipt));
            Ok(())
        };
        receipts.into_iter().map(end).collect()
    }

    async fn extend(&self, _: &Session, receipt: Receipt, hide: Hide) -> Result<Receipt, AckError> {
        if self.stale.lock().contains(&receipt) {
            return Err(AckError::Stale);
        }
        self.note(Done::Extended(receipt.clone(), hide));
        Ok(Receipt { nonce: self.lsn(), invisible_ms: hide.for_ms, ..receipt })
    }

    async fn settle(&self, _session: &Session, request: Settle) -> Result<(), SettleError> {
        match request {
            Settle::DeadLetter { receipt, max_attempts } => {
                self.note(Done::DeadLetter(receipt, max_attempts))
            }
            Settle::Transaction(end) if end.lsn == Lsn(666) => return Err(SettleError::MessageNotFound),
            Settle::Transaction(end) => self.note(Done::Ended(end.outcome, end.lsn, end.from_check)),
            Settle::SendBack(_) => return Err(SettleError::Illegal("not of this protocol".to_owned())),
        }
        Ok(())
    }

    async fn recall(&self, _session: &Session, request: Recall) -> Result<String, RecallError> {
        if request.handle == "good" { Ok("recalled".to_owned()) } else { Err(RecallError::Handle) }
    }

    async fn commit_offset(&self, _session: &Session, request: CommitOffset) -> Result<(), OffsetError> {
        self.committed.lock().push(request);
        Ok(())
    }

    async fn seek(&self, _session: &Session, _request: Seek) -> Result<Vec<(QueueId, Offset)>, OffsetError> {
        Ok(Vec::new())
    }

    async fn offset(
        &self,
        _session: &Session,
        _question: OffsetQuestion,
    ) -> Result<OffsetAnswer, OffsetError> {
        Ok(self.answers.lock().pop_front().expect("the test says what the offset is"))
    }

    async fn route(&self, session: &Session, topic: &TopicName) -> Result<Route, RouteError> {
        let config =
            self.topics.lock().get(topic).cloned().ok_or_else(|| RouteError::TopicNotFound(topic.clone()))?;
        let share = RouteShare {
            cluster: "c".to_owned(),
            broker_name: "apogee-0".to_owned(),
            replicas: vec![(0, session.advertised.clone())],
            read_queues: config.read_queues,
            write_queues: config.write_queues,
        };
        Ok(Route { config, shares: vec![share], order_config: None })
    }

    async fn query(
        &self,
        _session: &Session,
        _query: MessageQuery,
    ) -> Result<Vec<StoredMessage>, QueryError> {
        Ok(Vec::new())
    }

    async fn check_filter(&self, _session: &Session, _filter: &Filter) -> Result<(), ReceiveError> {
        Ok(())
    }
}

#[async_trait]
impl Membership for Fake {
    async fn heartbeat(&self, session: &Session, beat: Heartbeat) -> Result<HeartbeatAnswer, MemberError> {
        self.beats.lock().push((session.clone(), beat));
        Ok(HeartbeatAnswer::default())
    }

    async fn leave(&self, _session: &Session, client_id: &str, _scope: LeaveScope) {
        self.note(Done::Left(client_id.to_owned()));
    }

    fn disconnected(&self, session: SessionId) {
        self.note(Done::Disconnected(session));
    }

    async fn members(&self, _session: &Session, _group: &GroupName) -> Result<Vec<Member>, MemberError> {
        Ok(Vec::new())
    }

    async fn producers(&self, _session: &Session, _group: &GroupName) -> Result<Vec<Member>, MemberError> {
        Ok(Vec::new())
    }

    async fn lock(&self, _session: &Session, _request: LockQueues) -> Result<Vec<TopicQueue>, MemberError> {
        Ok(Vec::new())
    }

    async fn unlock(&self, _session: &Session, _request: LockQueues) {}

    async fn assign(&self, _session: &Session, request: Assign) -> Result<Assignment, MemberError> {
        Err(MemberError::GroupNotFound(request.group))
    }

    async fn set_request_mode(
        &self,
        _session: &Session,
        _request: SetRequestMode,
    ) -> Result<(), MemberError> {
        Ok(())
    }
}

#[async_trait]
impl Admin for Fake {
    fn operations(&self) -> Vec<OperationInfo> {
        Vec::new()
    }

    async fn run(&self, _session: &Session, operation: &str, request: Value) -> Result<Value, AdminError> {
        assert_eq!(operation, "group.get");
        let name = request["group"].as_str().expect("a name").to_owned();
        let config = self.groups.lock().get(name.as_str()).cloned().ok_or(AdminError::NotFound(name))?;
        let description = GroupDescription { config, members: Vec::new(), progress: Vec::new() };
        Ok(serde_json::to_value(description).expect("serializes"))
    }
}
