//! `LOCK_BATCH_MQ`, `UNLOCK_BATCH_MQ`: leases on queues for consumers that keep order
//! (`AdminBrokerProcessor.lockBatchMQ`).

use std::sync::Arc;

use model::membership::{LockQueues, TopicQueue};
use model::{GroupName, QueueId, TopicName};

use crate::error::Failure;
use crate::frame::Command;
use crate::header::Fields;
use crate::json::{self, LockBatch, LockBatchAnswer, MessageQueue};
use crate::link::Link;

use super::{Answer, done, success};

pub(super) async fn lock(link: &Arc<Link>, request: &Command) -> Answer {
    let queues = queues(request)?;
    let group = queues.group.clone();
    let locked = link.engine().lock(&link.session, queues).await?;
    if !locked.is_empty() {
        link.server.saw_lock(&group);
    }
    let locked = locked.into_iter().filter_map(named).collect();
    Ok(success(Fields::new(), json::write(&LockBatchAnswer { locked })))
}

pub(super) async fn unlock(link: &Arc<Link>, request: &Command) -> Answer {
    link.engine().unlock(&link.session, queues(request)?).await;
    Ok(done())
}

fn queues(request: &Command) -> Result<LockQueues, Failure> {
    let body: LockBatch = json::read(&request.body)?;
    let mut queues = Vec::with_capacity(body.mq_set.len());
    for queue in body.mq_set {
        let id = u32::try_from(queue.queue_id).map_err(|_| Failure::malformed("queueId", "negative"))?;
        let topic = TopicName::new(&queue.topic)?;
        queues.push(TopicQueue { topic, queue: QueueId(id), broker_name: queue.broker_name });
    }
    Ok(LockQueues { group: GroupName::new(&body.consumer_group)?, client_id: body.client_id, queues })
}

fn named(queue: TopicQueue) -> Option<MessageQueue> {
    let queue_id = i32::try_from(queue.queue.get()).ok()?;
    Some(MessageQueue { broker_name: queue.broker_name, queue_id, topic: queue.topic.into() })
}
