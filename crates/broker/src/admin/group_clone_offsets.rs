//! `group.clone-offsets`: a group goes on where another one is.

use model::admin::{AdminError, GroupCloneOffsets, GroupCloneOffsetsRequest, QueueOffset};
use model::verbs::{Seek, SeekTo};
use model::{Offset, Session};

use super::Run;
use super::group_reset::refused;
use crate::broker::Broker;

impl Run for GroupCloneOffsets {
    async fn run(
        broker: &Broker,
        session: &Session,
        request: GroupCloneOffsetsRequest,
    ) -> Result<Vec<QueueOffset>, AdminError> {
        let GroupCloneOffsetsRequest { from, to, topic: only } = request;
        let source = broker.state.group(&from);
        let source = source.ok_or_else(|| AdminError::NotFound(format!("group {from}")))?;
        if broker.state.group(&to).is_none() {
            return Err(AdminError::NotFound(format!("group {to}")));
        }
        let mut moved = Vec::new();
        for key in broker.state.cursor_keys().into_iter().filter(|key| key.group_id == source.id) {
            let Some((topic, queue)) = broker.state.queue_of(key.stream) else { continue };
            let name = &topic.config.name;
            let wanted = only.as_ref().map_or_else(|| !name.is_retry(), |only| only == name);
            let Some(cell) = broker.state.cursor(key).filter(|_| wanted) else { continue };
            let offset = cell.cursor.lock().committed();
            let bounds = broker.bounds(key.stream).await?;
            let offset = offset.clamp(bounds.min, bounds.max);
            let seek = Seek {
                group: to.clone(),
                topic: name.clone(),
                queue: Some(queue),
                to: SeekTo::Offset(Offset(offset)),
                force: true,
            };
            broker.do_seek(session, seek).await.map_err(refused)?;
            moved.push(QueueOffset { topic: name.clone(), queue: queue.get(), offset });
        }
        Ok(moved)
    }
}
