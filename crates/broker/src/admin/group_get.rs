//! `group.get`: a consumer group's configuration, members, and progress in each queue.

use std::sync::Arc;

use model::admin::{AdminError, GroupDescription, GroupGet, GroupRequest, MemberDescription, QueueProgress};
use model::membership::Member;
use model::{QueueId, Session};

use super::Run;
use crate::broker::Broker;
use crate::error::Failed;
use crate::machine::state::{CursorKey, Group, Topic};

impl Run for GroupGet {
    async fn run(
        broker: &Broker,
        _: &Session,
        request: GroupRequest,
    ) -> Result<GroupDescription, AdminError> {
        let not_found = || AdminError::NotFound(format!("group {}", request.group));
        let group = broker.state.group(&request.group).ok_or_else(not_found)?;
        let members = broker.members.consumers(&request.group).iter().map(describe).collect();
        let keys = broker.state.cursor_keys().into_iter().filter(|key| key.group_id == group.id);
        let queues = keys.filter_map(|key| broker.state.queue_of(key.stream));
        let progress = queues.map(|(topic, queue)| progress(broker, &group, &topic, queue));
        let progress = progress.collect::<Result<_, Failed>>()?;
        Ok(GroupDescription { config: group.config.clone(), members, progress })
    }
}

fn describe(member: &Member) -> MemberDescription {
    let subscriptions = member.consumer.iter().flat_map(|consumer| &consumer.subscriptions);
    MemberDescription {
        client_id: member.client_id.clone(),
        address: member.session.peer.to_string(),
        language: member.language.clone(),
        protocol: member.session.protocol.to_owned(),
        topics: subscriptions.map(|subscription| subscription.topic.to_string()).collect(),
    }
}

fn progress(
    broker: &Broker,
    group: &Group,
    topic: &Arc<Topic>,
    queue: QueueId,
) -> Result<QueueProgress, Failed> {
    let stream = topic.stream(queue);
    let bounds = broker.blocking_bounds(stream)?;
    let cell = broker.state.cursor(CursorKey { group_id: group.id, stream });
    let (next_offset, committed_offset, in_flight, waiting) =
        cell.map_or((bounds.min, bounds.min, 0, 0), |cell| {
            let cursor = cell.cursor.lock();
            let (in_flight, waiting) = (cursor.in_flight.len() as u64, cursor.waiting.len() as u64);
            (cursor.next, cursor.committed(), in_flight, waiting)
        });
    Ok(QueueProgress {
        topic: topic.config.name.clone(),
        queue: queue.get(),
        min_offset: bounds.min,
        max_offset: bounds.max,
        next_offset,
        committed_offset,
        in_flight,
        waiting,
        lag: bounds.max.saturating_sub(next_offset.max(bounds.min)) + in_flight + waiting,
    })
}
