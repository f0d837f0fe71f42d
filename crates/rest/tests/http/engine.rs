//! An engine in memory: topics, one queue each, messages that are received once.

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use model::admin::*;
use model::membership::*;
use model::record::{Placement, encode};
use model::verbs::*;
use model::{
    Delivery, Filter, GroupName, Lsn, Offset, QueueId, Receipt, Session, SessionId, StoredMessage,
    TopicConfig, TopicName,
};
use serde_json::{Value, json};

#[derive(Default)]
pub(crate) struct Fake {
    topics: Mutex<BTreeMap<TopicName, (TopicConfig, Vec<StoredMessage>)>>,
}

fn no() -> String {
    "a fake".to_owned()
}

fn stored(message: &model::NewMessage, topic: &str, offset: u64) -> StoredMessage {
    let store_host = "127.0.0.1:1".parse().expect("an address");
    let (queue, offset, lsn) = (QueueId(0), Offset(offset), Lsn(offset * 100));
    let place = Placement { topic, queue, offset, lsn, stored_ms: 7, store_host, prepared: Lsn(0) };
    let mut bytes = Vec::new();
    encode(&mut bytes, message, &place);
    StoredMessage::parse(bytes.into()).expect("just encoded")
}

#[async_trait]
impl Messaging for Fake {
    async fn publish(&self, _: &Session, request: Publish) -> Result<Published, PublishError> {
        let mut topics = self.topics.lock().expect("no panic");
        let (_, messages) = topics
            .get_mut(&request.topic)
            .ok_or_else(|| PublishError::TopicNotFound(request.topic.clone()))?;
        let mut entries = Vec::new();
        for message in &request.messages {
            let message = stored(message, request.topic.as_str(), messages.len() as u64);
            entries.push(PublishedMessage {
                queue: message.queue(),
                offset: message.offset(),
                lsn: message.lsn(),
                stored_ms: message.stored_ms(),
                store_host: message.store_host(),
                message_id: message.offset_id(),
                transaction_id: None,
                recall_handle: None,
            });
            messages.push(message);
        }
        Ok(Published { entries })
    }

    async fn receive(&self, _: &Session, request: Receive) -> Result<Received, ReceiveError> {
        let messages = {
            let mut topics = self.topics.lock().expect("no panic");
            let entry = topics.get_mut(&request.topic);
            let (_, messages) = entry.ok_or_else(|| ReceiveError::TopicNotFound(request.topic.clone()))?;
            std::mem::take(messages)
        };
        if messages.is_empty() && request.wait_ms > 0 {
            std::future::pending::<()>().await;
        }
        let delivery = |message: StoredMessage| Delivery {
            receipt: Receipt {
                group: request.group.clone(),
                topic: request.topic.clone(),
                queue: message.queue(),
                offset: message.offset(),
                nonce: Lsn(1),
                delivered_ms: 0,
                invisible_ms: request.invisible_ms,
            },
            message,
            attempt: 1,
        };
        let deliveries = messages.into_iter().map(delivery).collect();
        Ok(Received { deliveries, delivered_ms: 0, invisible_ms: request.invisible_ms, rest: 0 })
    }

    async fn ack(&self, _: &Session, receipts: Vec<Receipt>) -> Vec<Result<(), AckError>> {
        receipts.iter().map(|_| Ok(())).collect()
    }

    async fn fetch(&self, _: &Session, request: Fetch) -> Result<Fetched, FetchError> {
        Err(FetchError::TopicNotFound(request.topic))
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
impl Membership for Fake {
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

fn parse<T: serde::de::DeserializeOwned>(request: Value) -> Result<T, AdminError> {
    serde_json::from_value(request).map_err(|error| AdminError::Invalid(error.to_string()))
}

#[async_trait]
impl Admin for Fake {
    fn operations(&self) -> Vec<OperationInfo> {
        vec![
            OperationInfo::of::<TopicPut>(),
            OperationInfo::of::<TopicGet>(),
            OperationInfo::of::<TopicList>(),
            OperationInfo::of::<TopicDelete>(),
        ]
    }

    async fn run(&self, _: &Session, operation: &str, request: Value) -> Result<Value, AdminError> {
        let mut topics = self.topics.lock().expect("no panic");
        match operation {
            "topic.put" => {
                let TopicPutRequest { config, update } = parse(request)?;
                if !update && topics.contains_key(&config.name) {
                    return Err(AdminError::Exists(config.name.to_string()));
                }
                topics.insert(config.name.clone(), (config.clone(), Vec::new()));
                Ok(json!(config))
            }
            "topic.get" => {
                let TopicRequest { topic } = parse(request)?;
                let (config, _) =
                    topics.get(&topic).ok_or_else(|| AdminError::NotFound(topic.to_string()))?;
                Ok(json!({ "config": config, "queues": [], "groups": [] }))
            }
            "topic.list" => {
                let ListRequest { contains, .. } = parse(request)?;
                let part = contains.unwrap_or_default();
                let shown = topics.values().map(|(config, _)| config);
                Ok(shown
                    .filter(|config| config.name.as_str().contains(&part))
                    .map(|config| json!(config))
                    .collect())
            }
            "topic.delete" => {
                let TopicRequest { topic } = parse(request)?;
                topics.remove(&topic).ok_or_else(|| AdminError::NotFound(topic.to_string()))?;
                Ok(json!({}))
            }
            other => Err(AdminError::UnknownOperation(other.to_owned())),
        }
    }
}
