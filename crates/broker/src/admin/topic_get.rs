//! `topic.get`: a topic's configuration, the state of its queues, and who reads it.

use std::collections::BTreeSet;
use std::sync::Arc;

use model::admin::{AdminError, QueueState, TopicDescription, TopicGet, TopicRequest};
use model::{GroupName, QueueId, Session, StreamId};

use super::Run;
use crate::broker::Broker;
use crate::error::Failed;
use crate::machine::state::Topic;

impl Run for TopicGet {
    async fn run(
        broker: &Broker,
        _: &Session,
        request: TopicRequest,
    ) -> Result<TopicDescription, AdminError> {
        let not_found = || AdminError::NotFound(format!("topic {}", request.topic));
        let topic = broker.state.topic(&request.topic).ok_or_else(not_found)?;
        let queues = (0..topic.config.queues()).map(|queue| broker.queue_state(&topic, QueueId(queue)));
        let queues = queues.collect::<Result<_, Failed>>()?;
        Ok(TopicDescription { config: topic.config.clone(), queues, groups: groups_of(broker, &topic) })
    }
}

pub(super) fn groups_of(broker: &Broker, topic: &Arc<Topic>) -> Vec<GroupName> {
    let keys = broker.state.cursor_keys_of(topic.id);
    let ids: BTreeSet<u32> = keys.iter().map(|key| key.group_id).collect();
    let with_progress = ids.iter().filter_map(|id| broker.state.group_by_id(*id));
    let mut groups: BTreeSet<GroupName> = with_progress.map(|group| group.config.name.clone()).collect();
    groups.extend(broker.members.groups_of_topic(&topic.config.name));
    groups.into_iter().collect()
}

impl Broker {
    fn queue_state(&self, topic: &Topic, queue: QueueId) -> Result<QueueState, Failed> {
        let stream = topic.stream(queue);
        let bounds = self.blocking_bounds(stream)?;
        let last_stored_ms = self.last_stored_ms(stream, bounds.max)?;
        Ok(QueueState { queue: queue.get(), min_offset: bounds.min, max_offset: bounds.max, last_stored_ms })
    }

    /// Store time of the newest message; 0 if there is none.
    pub(super) fn last_stored_ms(&self, stream: StreamId, max: u64) -> Result<i64, Failed> {
        let mut last = Vec::with_capacity(1);
        if let Some(offset) = max.checked_sub(1) {
            self.blocking_entries(stream, offset, 1, &mut last)?;
        }
        Ok(last.first().map_or(0, |entry: &store::Entry| entry.time_ms))
    }
}
