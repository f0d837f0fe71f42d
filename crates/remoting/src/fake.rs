//! A small engine in memory, for the tests of this crate.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use base::Doors;
use model::admin::{AdminError, NodeDescription, OperationInfo, QueueState, TopicDescription};
use model::membership::*;
use model::verbs::*;
use model::*;
use net::Drain;
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::link::Link;
use crate::outbox::{Outbox, Push};
use crate::{Command, Remoting, RemotingConfig, handlers};

pub(crate) const STORE_HOST: ([u8; 4], u16) = ([10, 0, 0, 1], 10911);

#[derive(Default)]
pub(crate) struct Fake {
    pub(crate) state: Mutex<State>,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) queues: BTreeMap<(String, u32), Vec<StoredMessage>>,
    pub(crate) published: Vec<Publish>,
    pub(crate) deliveries: Vec<Delivery>,
    pub(crate) acked: Vec<Receipt>,
    pub(crate) settled: Vec<Settle>,
    pub(crate) committed: HashMap<(String, String, u32), u64>,
    pub(crate) members: Vec<Member>,
    pub(crate) left: Vec<SessionId>,
    pub(crate) next_lsn: u64,
}

pub(crate) fn topic(name: &str) -> TopicName {
    TopicName::new(name).expect("legal")
}

pub(crate) fn group(name: &str) -> GroupName {
    GroupName::new(name).expect("legal")
}

impl Fake {
    /// Puts a message into a queue.
    pub(crate) fn store(&self, name: &str, queue: QueueId, message: &NewMessage) -> StoredMessage {
        let mut state = self.state.lock();
        state.next_lsn += 1_000;
        let lsn = Lsn(state.next_lsn);
        let log = state.queues.entry((name.to_owned(), queue.0)).or_default();
        let place = record::Placement {
            topic: name,
            queue,
            offset: Offset(log.len() as u64),
            lsn,
            stored_ms: 5_000,
            store_host: SocketAddr::from(STORE_HOST),
            prepared: Lsn(0),
        };
        let mut out = Vec::new();
        record::encode(&mut out, message, &place);
        let stored = StoredMessage::parse(out.into()).expect("our own");
        log.push(stored.clone());
        stored
    }
}

/// A message of nothing but a body.
pub(crate) fn plain(body: &str) -> NewMessage {
    NewMessage {
        body: body.to_owned().into(),
        properties: Properties::new(),
        flag: 0,
        system_flags: 0,
        born_ms: 1,
        born_host: SocketAddr::from(([10, 0, 0, 2], 4_000)),
        reconsume_times: 0,
    }
}

#[async_trait]
impl Messaging for Fake {
    async fn publish(&self, _: &Session, request: Publish) -> Result<Published, PublishError> {
        if request.topic.as_str() == "absent" {
            return Err(PublishError::TopicNotFound(request.topic));
        }
        let queue = if let QueueChoice::Queue(queue) = request.queue { queue } else { QueueId(0) };
        let store = |message: &NewMessage| {
            let stored = self.store(request.topic.as_str(), queue, message);
            PublishedMessage {
                queue,
                offset: stored.offset(),
                lsn: stored.lsn(),
                stored_ms: 5_000,
                store_host: stored.store_host(),
                message_id: "UNIQ".to_owned(),
                transaction_id: None,
                recall_handle: None,
            }
        };
        let entries = request.messages.iter().map(store).collect();
        self.state.lock().published.push(request);
        Ok(Published { entries })
    }

    async fn receive(&self, _: &Session, request: Receive) -> Result<Received, ReceiveError> {
        if request.wait_ms > 20_000 {
            std::future::pending::<()>().await;
        }
        let deliveries = std::mem::take(&mut self.state.lock().deliveries);
        Ok(Received { deliveries, delivered_ms: 9_000, invisible_ms: request.invisible_ms, rest: 4 })
    }

    async fn fetch(&self, _: &Session, request: Fetch) -> Result<Fetched, FetchError> {
        if request.wait_ms > 20_000 {
            std::future::pending::<()>().await;
        }
        let state = self.state.lock();
        let key = (request.topic.as_str().to_owned(), request.queue.0);
        let Some(log) = state.queues.get(&key) else { return Err(FetchError::TopicNotFound(request.topic)) };
        let max = log.len() as u64;
        let from = usize::try_from(request.offset.0).expect("small");
        let messages: Vec<_> = log.iter().skip(from).take(request.max_messages as usize).cloned().collect();
        let outcome = match request.offset.0 {
            at if at > max => FetchOutcome::OutOfRange,
            at if at == max => FetchOutcome::AtEnd,
            _ => FetchOutcome::Found,
        };
        let next = Offset(request.offset.0.min(max) + messages.len() as u64);
        Ok(Fetched { outcome, messages, next, min: Offset(0), max: Offset(max) })
    }

    async fn ack(&self, _: &Session, receipts: Vec<Receipt>) -> Vec<Result<(), AckError>> {
        let judge = |receipt: &Receipt| match receipt.offset.0 {
            999 => Err(AckError::OffsetOutOfRange { offset: Offset(999), min: Offset(0), max: Offset(1) }),
            998 => Err(AckError::Stale),
            _ => Ok(()),
        };
        let answers = receipts.iter().map(judge).collect();
        self.state.lock().acked.extend(receipts);
        answers
    }

    async fn extend(&self, _: &Session, receipt: Receipt, hide: Hide) -> Result<Receipt, AckError> {
        let invisible_ms = hide.for_ms;
        Ok(Receipt { nonce: Lsn(receipt.nonce.0 + 1), delivered_ms: 20_000, invisible_ms, ..receipt })
    }

    async fn settle(&self, _: &Session, request: Settle) -> Result<(), SettleError> {
        self.state.lock().settled.push(request);
        Ok(())
    }

    async fn recall(&self, _: &Session, _: Recall) -> Result<String, RecallError> {
        Err(RecallError::Handle)
    }

    async fn commit_offset(&self, _: &Session, r: CommitOffset) -> Result<(), OffsetError> {
        let key = (r.group.as_str().to_owned(), r.topic.as_str().to_owned(), r.queue.0);
        self.state.lock().committed.insert(key, r.offset.0);
        Ok(())
    }

    async fn seek(&self, _: &Session, _: Seek) -> Result<Vec<(QueueId, Offset)>, OffsetError> {
        Ok(vec![(QueueId(0), Offset(7)), (QueueId(1), Offset(8))])
    }

    async fn offset(&self, _: &Session, question: OffsetQuestion) -> Result<OffsetAnswer, OffsetError> {
        let state = self.state.lock();
        let len = |topic: &TopicName, queue: QueueId| {
            state.queues.get(&(topic.as_str().to_owned(), queue.0)).map_or(0, Vec::len) as u64
        };
        Ok(match question {
            OffsetQuestion::Committed { group, topic, queue } => {
                let key = (group.as_str().to_owned(), topic.as_str().to_owned(), queue.0);
                let none = OffsetAnswer::None { start_at_zero: queue.0 == 0 };
                state.committed.get(&key).map_or(none, |at| OffsetAnswer::Offset(Offset(*at)))
            }
            OffsetQuestion::Max { topic, queue } => OffsetAnswer::Offset(Offset(len(&topic, queue))),
            OffsetQuestion::EarliestTime { .. } => OffsetAnswer::None { start_at_zero: true },
            OffsetQuestion::Min { .. } | OffsetQuestion::ByTime { .. } => OffsetAnswer::Offset(Offset(0)),
        })
    }

    async fn route(&self, session: &Session, topic: &TopicName) -> Result<Route, RouteError> {
        if topic.as_str() == "absent" {
            return Err(RouteError::TopicNotFound(topic.clone()));
        }
        let share = RouteShare {
            cluster: "c".into(),
            broker_name: "b".into(),
            replicas: vec![(0, session.advertised.clone())],
            read_queues: 2,
            write_queues: 3,
        };
        Ok(Route { config: TopicConfig::new(topic.clone(), 3), shares: vec![share], order_config: None })
    }

    async fn query(&self, _: &Session, query: MessageQuery) -> Result<Vec<StoredMessage>, QueryError> {
        let state = self.state.lock();
        let all = state.queues.values().flatten();
        let found: Vec<_> = match query {
            MessageQuery::Position(lsn) => all.filter(|m| m.lsn() == lsn).cloned().collect(),
            MessageQuery::Key { topic, .. } => all.filter(|m| m.topic() == topic.as_str()).cloned().collect(),
            MessageQuery::Offset { .. } => Vec::new(),
        };
        if found.is_empty() { Err(QueryError::NotFound) } else { Ok(found) }
    }

    async fn check_filter(&self, _: &Session, filter: &Filter) -> Result<(), ReceiveError> {
        if filter.expression.contains("bad") { Err(ReceiveError::Filter("no".into())) } else { Ok(()) }
    }
}

#[async_trait]
impl Membership for Fake {
    async fn heartbeat(&self, session: &Session, beat: Heartbeat) -> Result<HeartbeatAnswer, MemberError> {
        for consumer in beat.consumers {
            self.state.lock().members.push(Member {
                client_id: beat.client_id.clone(),
                session: session.clone(),
                language: beat.language.clone(),
                version: beat.version,
                since_ms: 0,
                last_seen_ms: 0,
                consumer: Some(consumer),
            });
        }
        Ok(HeartbeatAnswer::default())
    }

    async fn leave(&self, _: &Session, client_id: &str, _: LeaveScope) {
        self.state.lock().members.retain(|member| member.client_id != client_id);
    }

    fn disconnected(&self, session: SessionId) {
        self.state.lock().left.push(session);
    }

    async fn members(&self, _: &Session, group: &GroupName) -> Result<Vec<Member>, MemberError> {
        let ours = |member: &&Member| member.consumer.as_ref().is_some_and(|c| c.group == *group);
        Ok(self.state.lock().members.iter().filter(ours).cloned().collect())
    }

    async fn producers(&self, _: &Session, _: &GroupName) -> Result<Vec<Member>, MemberError> {
        Ok(Vec::new())
    }

    async fn lock(&self, _: &Session, request: LockQueues) -> Result<Vec<TopicQueue>, MemberError> {
        Ok(request.queues)
    }

    async fn unlock(&self, _: &Session, _: LockQueues) {}

    async fn assign(&self, _: &Session, _: Assign) -> Result<Assignment, MemberError> {
        Ok(Assignment {
            mode: RequestMode::Pop,
            queues: vec![("b".into(), None), ("b".into(), Some(QueueId(2)))],
        })
    }

    async fn set_request_mode(&self, _: &Session, _: SetRequestMode) -> Result<(), MemberError> {
        Ok(())
    }
}

#[async_trait]
impl Admin for Fake {
    fn operations(&self) -> Vec<OperationInfo> {
        Vec::new()
    }

    async fn run(&self, _: &Session, operation: &str, request: Value) -> Result<Value, AdminError> {
        let name = |key: &str| request.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        match operation {
            "node.info" => Ok(json!(NodeDescription {
                cluster: "c".into(),
                broker_name: "b".into(),
                version: "0".into(),
                log_start: 0,
                log_end: 1,
                log_committed: 1,
                topics: 2,
                groups: 3,
                ..NodeDescription::default()
            })),
            "topic.get" if name("topic") != "absent" => Ok(json!(TopicDescription {
                config: TopicConfig::new(topic(&name("topic")), 1),
                queues: vec![QueueState { queue: 0, min_offset: 1, max_offset: 9, last_stored_ms: 77 }],
                groups: vec![group("g")],
            })),
            "group.get" if name("group") != "absent" => Ok(json!({
                "config": GroupConfig::new(group(&name("group"))), "members": [], "progress": [],
            })),
            "kv.get" => Ok(Value::Null),
            "topic.put" | "group.put" => Ok(request.get("config").cloned().unwrap_or_default()),
            _ => Err(AdminError::NotFound(name("topic"))),
        }
    }
}

/// A server over a fake engine, and one link to it.
pub(crate) struct Bench {
    pub(crate) engine: Arc<Fake>,
    pub(crate) server: Arc<Remoting>,
    pub(crate) link: Arc<Link>,
    pub(crate) pushes: tokio::sync::mpsc::Receiver<Push>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(RemotingConfig::default())
    }

    pub(crate) fn with(config: RemotingConfig) -> Self {
        let engine = Arc::new(Fake::default());
        let mut registry = prometheus_client::registry::Registry::default();
        let shared = Arc::clone(&engine) as Arc<dyn Engine>;
        let server = Remoting::new(shared, Arc::new(access::Open), config, Doors::system(), &mut registry);
        let (outbox, pushes) = Outbox::new(Arc::clone(&server.doors.clock));
        let peer = SocketAddr::from(([10, 0, 0, 2], 4_000));
        let advertised = Endpoint { host: "mq.example".into(), port: 10_911 };
        let caller = crate::link::Caller { id: SessionId(1), peer, advertised, certificate: None };
        let link = Link::new(Arc::clone(&server), caller, outbox, Drain::new());
        Self { engine, server, link, pushes }
    }

    /// The answer to a request, which must have one.
    pub(crate) async fn ask(&self, request: Command) -> Command {
        self.maybe(request).await.expect("an answer")
    }

    pub(crate) async fn maybe(&self, request: Command) -> Option<Command> {
        handlers::handle(&self.link, request).answer.await
    }
}
