//! An engine that knows nothing: each verb answers with one fixed error, or emptily.

use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use model::admin::{Admin, AdminError, OperationInfo, TopicDelete, TopicList};
use model::membership::*;
use model::verbs::*;
use model::{Filter, GroupName, Offset, QueueId, Receipt, Session, SessionId, StoredMessage, TopicName};
use serde_json::Value;
use tokio::sync::Mutex;

#[derive(Default)]
pub(crate) struct Stub {
    /// `route` waits for it.
    pub(crate) gate: Mutex<()>,
    /// `fetch` brings as many of these as it may, and how often it was called.
    pub(crate) stock: Option<StoredMessage>,
    pub(crate) fetches: AtomicU64,
}

fn no() -> String {
    "a stub".to_owned()
}

#[async_trait]
impl Messaging for Stub {
    async fn publish(&self, _: &Session, request: Publish) -> Result<Published, PublishError> {
        Err(PublishError::TopicNotFound(request.topic))
    }
    async fn receive(&self, _: &Session, request: Receive) -> Result<Received, ReceiveError> {
        Err(ReceiveError::TopicNotFound(request.topic))
    }
    async fn fetch(&self, _: &Session, request: Fetch) -> Result<Fetched, FetchError> {
        self.fetches.fetch_add(1, Ordering::Relaxed);
        let Some(stock) = &self.stock else { return Err(FetchError::TopicNotFound(request.topic)) };
        let messages = vec![stock.clone(); usize::try_from(request.max_messages).expect("few")];
        let offset = request.offset;
        Ok(Fetched { outcome: FetchOutcome::Found, messages, next: offset, min: offset, max: offset })
    }
    async fn ack(&self, _: &Session, receipts: Vec<Receipt>) -> Vec<Result<(), AckError>> {
        receipts.iter().map(|_| Err(AckError::Stale)).collect()
    }
    async fn extend(&self, _: &Session, _: Receipt, _: Hide) -> Result<Receipt, AckError> {
        Err(AckError::Stale)
    }
    async fn settle(&self, _: &Session, _: Settle) -> Result<(), SettleError> {
        Err(SettleError::MessageNotFound)
    }
    async fn recall(&self, _: &Session, _: Recall) -> Result<String, RecallError> {
        Err(RecallError::Handle)
    }
    async fn commit_offset(&self, _: &Session, request: CommitOffset) -> Result<(), OffsetError> {
        Err(OffsetError::TopicNotFound(request.topic))
    }
    async fn seek(&self, _: &Session, request: Seek) -> Result<Vec<(QueueId, Offset)>, OffsetError> {
        Err(OffsetError::TopicNotFound(request.topic))
    }
    async fn offset(&self, _: &Session, _: OffsetQuestion) -> Result<OffsetAnswer, OffsetError> {
        Err(OffsetError::Unavailable(no()))
    }
    async fn route(&self, _: &Session, topic: &TopicName) -> Result<Route, RouteError> {
        let _open = self.gate.lock().await;
        Err(RouteError::TopicNotFound(topic.clone()))
    }
    async fn query(&self, _: &Session, _: MessageQuery) -> Result<Vec<StoredMessage>, QueryError> {
        Err(QueryError::NotFound)
    }
    async fn check_filter(&self, _: &Session, _: &Filter) -> Result<(), ReceiveError> {
        Ok(())
    }
}

#[async_trait]
impl Membership for Stub {
    async fn heartbeat(&self, _: &Session, _: Heartbeat) -> Result<HeartbeatAnswer, MemberError> {
        Ok(HeartbeatAnswer::default())
    }
    async fn leave(&self, _: &Session, _: &str, _: LeaveScope) {}
    fn disconnected(&self, _: SessionId) {}
    async fn members(&self, _: &Session, _: &GroupName) -> Result<Vec<Member>, MemberError> {
        Ok(Vec::new())
    }
    async fn producers(&self, _: &Session, _: &GroupName) -> Result<Vec<Member>, MemberError> {
        Ok(Vec::new())
    }
    async fn lock(&self, _: &Session, _: LockQueues) -> Result<Vec<TopicQueue>, MemberError> {
        Err(MemberError::Unavailable(no()))
    }
    async fn unlock(&self, _: &Session, _: LockQueues) {}
    async fn assign(&self, _: &Session, request: Assign) -> Result<Assignment, MemberError> {
        Err(MemberError::TopicNotFound(request.topic))
    }
    async fn set_request_mode(&self, _: &Session, _: SetRequestMode) -> Result<(), MemberError> {
        Ok(())
    }
}

#[async_trait]
impl Admin for Stub {
    fn operations(&self) -> Vec<OperationInfo> {
        vec![OperationInfo::of::<TopicList>(), OperationInfo::of::<TopicDelete>()]
    }
    async fn run(&self, _: &Session, operation: &str, _: Value) -> Result<Value, AdminError> {
        match operation {
            "topic.list" => Ok(Value::Array(Vec::new())),
            other => Err(AdminError::UnknownOperation(other.to_owned())),
        }
    }
}
