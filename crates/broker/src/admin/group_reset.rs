//! `group.reset`, `group.skip`: a group's progress is set anew.

use model::admin::{
    AdminError, GroupReset, GroupResetRequest, GroupSkip, GroupSkipRequest, QueueOffset, ResetTo,
};
use model::verbs::{OffsetError, Seek};
use model::{QueueId, Session};

use super::Run;
use crate::broker::Broker;

pub(super) fn refused(error: OffsetError) -> AdminError {
    match error {
        OffsetError::TopicNotFound(topic) => AdminError::NotFound(format!("topic {topic}")),
        OffsetError::GroupNotFound(group) => AdminError::NotFound(format!("group {group}")),
        OffsetError::QueueOutOfRange { .. } | OffsetError::OffsetOutOfRange { .. } => {
            AdminError::Invalid(error.to_string())
        }
        OffsetError::Denied(reason) => AdminError::Denied(reason),
        OffsetError::Unavailable(reason) => AdminError::Unavailable(reason),
        OffsetError::Data(reason) => AdminError::Internal(reason),
    }
}

impl Run for GroupReset {
    async fn run(
        broker: &Broker,
        session: &Session,
        request: GroupResetRequest,
    ) -> Result<Vec<QueueOffset>, AdminError> {
        let GroupResetRequest { group, topic, queue, to, force } = request;
        let seek = Seek { group, topic: topic.clone(), queue: queue.map(QueueId), to: to.into(), force };
        let moved = broker.do_seek(session, seek).await.map_err(refused)?;
        let row = |(queue, offset): (QueueId, model::Offset)| QueueOffset {
            topic: topic.clone(),
            queue: queue.get(),
            offset: offset.get(),
        };
        Ok(moved.into_iter().map(row).collect())
    }
}

impl Run for GroupSkip {
    async fn run(
        broker: &Broker,
        session: &Session,
        request: GroupSkipRequest,
    ) -> Result<Vec<QueueOffset>, AdminError> {
        let GroupSkipRequest { group, topic } = request;
        let reset = GroupResetRequest { group, topic, queue: None, to: ResetTo::Last, force: true };
        GroupReset::run(broker, session, reset).await
    }
}
