//! `commit_offset`, `seek`, `offset`: the progress of groups and the bounds of queues.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::verbs::{Boundary, CommitOffset, OffsetAnswer, OffsetError, OffsetQuestion, Seek, SeekTo};
use model::{GroupName, Notice, Offset, QueueId, Session, TopicName};
use parking_lot::Mutex;

use crate::broker::Broker;
use crate::machine::clients::ClientName;
use crate::machine::command::Command;
use crate::machine::state::{CursorKey, Group, Topic};

/// Progress that was set anew and that a fetching member has not been told yet. Soft: after a
/// restart members read the new progress themselves.
#[derive(Debug, Default)]
pub(crate) struct Resets(Mutex<BTreeMap<CursorKey, u64>>);

impl Resets {
    pub(crate) fn put(&self, key: CursorKey, offset: u64) {
        self.0.lock().insert(key, offset);
    }

    pub(crate) fn take(&self, key: CursorKey) -> Option<u64> {
        let mut waiting = self.0.lock();
        if waiting.is_empty() { None } else { waiting.remove(&key) }
    }

    fn holds(&self, key: CursorKey) -> bool {
        self.0.lock().contains_key(&key)
    }
}

/// Where a seek leads.
pub(crate) struct SeekTargets {
    pub(crate) group: Arc<Group>,
    pub(crate) topic: Arc<Topic>,
    /// In each queue.
    pub(crate) targets: Vec<(QueueId, u64)>,
}

impl Broker {
    fn group_of(&self, name: &GroupName) -> Result<Arc<Group>, OffsetError> {
        self.state.group(name).ok_or_else(|| OffsetError::GroupNotFound(name.clone()))
    }

    fn queue_of(&self, name: &TopicName, queue: QueueId) -> Result<Arc<Topic>, OffsetError> {
        let topic = self.state.topic(name).ok_or_else(|| OffsetError::TopicNotFound(name.clone()))?;
        let queues = topic.config.queues();
        if queue.get() >= queues {
            return Err(OffsetError::QueueOutOfRange { topic: name.clone(), queue, queues });
        }
        Ok(topic)
    }

    pub(crate) async fn do_commit_offset(
        &self,
        session: &Session,
        request: CommitOffset,
    ) -> Result<(), OffsetError> {
        let group = self.group_of(&request.group)?;
        let topic = self.queue_of(&request.topic, request.queue)?;
        let key = CursorKey { group_id: group.id, stream: topic.stream(request.queue) };
        if self.resets.holds(key) {
            // The member has not seen the reset: its count is of before.
            return Ok(());
        }
        let client = self.members.client_of(session.id).unwrap_or_default();
        let client = ClientName::of(session, &client);
        self.propose(Command::CommitOffset { key, offset: request.offset.get(), client }, 32).await?;
        Ok(())
    }

    pub(crate) async fn do_seek(
        &self,
        _: &Session,
        request: Seek,
    ) -> Result<Vec<(QueueId, Offset)>, OffsetError> {
        let SeekTargets { group, topic, targets } = self.seek_targets(&request).await?;
        let answers = targets.iter().map(|(queue, offset)| (*queue, Offset(*offset))).collect();
        let to: Vec<_> = targets.into_iter().map(|(queue, offset)| (topic.stream(queue), offset)).collect();
        for (stream, offset) in &to {
            self.resets.put(CursorKey { group_id: group.id, stream: *stream }, *offset);
        }
        let bytes = to.len() * 32;
        self.propose(Command::Seek { group_id: group.id, to }, bytes).await?;
        for member in self.members.consumers(&request.group) {
            let notice = Notice::OffsetsReset { group: request.group.clone(), topic: request.topic.clone() };
            member.session.notices.notify(notice);
        }
        Ok(answers)
    }

    /// Where a seek leads in each queue.
    pub(crate) async fn seek_targets(&self, request: &Seek) -> Result<SeekTargets, OffsetError> {
        let group = self.group_of(&request.group)?;
        let first = request.queue.unwrap_or(QueueId(0));
        let topic = self.queue_of(&request.topic, first)?;
        let queues = match request.queue {
            Some(queue) => queue.get()..queue.get() + 1,
            None => 0..topic.config.queues(),
        };
        let mut targets = Vec::new();
        for queue in queues.map(QueueId) {
            targets.push((queue, self.seek_target(&group, topic.stream(queue), request).await?));
        }
        Ok(SeekTargets { group, topic, targets })
    }

    async fn seek_target(
        &self,
        group: &Group,
        stream: model::StreamId,
        request: &Seek,
    ) -> Result<u64, OffsetError> {
        let bounds = self.bounds(stream).await?;
        match request.to {
            SeekTo::First => Ok(bounds.min),
            SeekTo::Last => Ok(bounds.max),
            SeekTo::Offset(offset) if (bounds.min..=bounds.max).contains(&offset.get()) => Ok(offset.get()),
            SeekTo::Offset(offset) => Err(OffsetError::OffsetOutOfRange {
                offset,
                min: Offset(bounds.min),
                max: Offset(bounds.max),
            }),
            SeekTo::Time(time_ms) => {
                let by_time = self.offset_by_time(stream, time_ms, store::Boundary::Lower).await?;
                let key = CursorKey { group_id: group.id, stream };
                let now = self.state.cursor(key).map(|cell| cell.cursor.lock().committed());
                Ok(if request.force { by_time } else { now.map_or(by_time, |now| by_time.min(now)) })
            }
        }
    }

    pub(crate) async fn do_offset(
        &self,
        _: &Session,
        question: OffsetQuestion,
    ) -> Result<OffsetAnswer, OffsetError> {
        match question {
            OffsetQuestion::Committed { group, topic, queue } => {
                let group = self.group_of(&group)?;
                let stream = self.queue_of(&topic, queue)?.stream(queue);
                // A member that takes a queue over must see what the last one committed as it left.
                self.propose(Command::Barrier, 0).await?;
                match self.state.cursor(CursorKey { group_id: group.id, stream }) {
                    Some(cell) => Ok(OffsetAnswer::Offset(Offset(cell.cursor.lock().committed()))),
                    None => Ok(OffsetAnswer::None { start_at_zero: self.holds_first_message(stream).await? }),
                }
            }
            OffsetQuestion::Min { topic, queue } => {
                let stream = self.queue_of(&topic, queue)?.stream(queue);
                Ok(OffsetAnswer::Offset(Offset(self.bounds(stream).await?.min)))
            }
            OffsetQuestion::Max { topic, queue } => {
                let stream = self.queue_of(&topic, queue)?.stream(queue);
                Ok(OffsetAnswer::Offset(Offset(self.bounds(stream).await?.max)))
            }
            OffsetQuestion::ByTime { topic, queue, time_ms, boundary } => {
                let stream = self.queue_of(&topic, queue)?.stream(queue);
                let boundary = match boundary {
                    Boundary::Lower => store::Boundary::Lower,
                    Boundary::Upper => store::Boundary::Upper,
                };
                let offset = self.offset_by_time(stream, time_ms, boundary).await?;
                Ok(OffsetAnswer::Offset(Offset(offset)))
            }
            OffsetQuestion::EarliestTime { topic, queue } => {
                let stream = self.queue_of(&topic, queue)?.stream(queue);
                let min = self.bounds(stream).await?.min;
                let first = self.entries(stream, min, 1).await?;
                let none = OffsetAnswer::None { start_at_zero: false };
                Ok(first.first().map_or(none, |entry| OffsetAnswer::TimeMs(entry.time_ms)))
            }
        }
    }
}
