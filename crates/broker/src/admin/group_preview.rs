//! `group.preview`: what `group.reset` would do, without doing it.

use model::admin::{AdminError, GroupPreview, GroupResetRequest, QueueMove};
use model::verbs::Seek;
use model::{QueueId, Session};

use super::Run;
use super::group_reset::refused;
use crate::broker::Broker;
use crate::machine::state::CursorKey;
use crate::offsets::SeekTargets;

impl Run for GroupPreview {
    async fn run(
        broker: &Broker,
        _: &Session,
        request: GroupResetRequest,
    ) -> Result<Vec<QueueMove>, AdminError> {
        let GroupResetRequest { group: name, topic: topic_name, queue, to, force } = request;
        let seek = Seek { group: name, topic: topic_name, queue: queue.map(QueueId), to: to.into(), force };
        let SeekTargets { group, topic, targets } = broker.seek_targets(&seek).await.map_err(refused)?;
        let mut moves = Vec::with_capacity(targets.len());
        for (queue, to) in targets {
            let stream = topic.stream(queue);
            let bounds = broker.bounds(stream).await?;
            let cell = broker.state.cursor(CursorKey { group_id: group.id, stream });
            let now = cell.map(|cell| {
                let cursor = cell.cursor.lock();
                (cursor.committed(), cursor.next)
            });
            let (settled, next) = now.unwrap_or((bounds.min, bounds.min));
            moves.push(QueueMove {
                topic: seek.topic.clone(),
                queue: queue.get(),
                min_offset: bounds.min,
                max_offset: bounds.max,
                from: now.map(|(settled, _)| settled),
                to,
                again: next.max(bounds.min).saturating_sub(to.max(bounds.min)),
                skipped: to.saturating_sub(settled.max(bounds.min)),
            });
        }
        Ok(moves)
    }
}
