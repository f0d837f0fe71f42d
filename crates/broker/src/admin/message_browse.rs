//! `message.browse`: stored messages of a topic by place, time, key or id.
//!
//! Queues are merged by store time. Only index entries are read of all queues; payloads only of the
//! messages that are shown.

use std::cmp::Reverse;
use std::sync::Arc;

use model::admin::{
    AdminError, BODY_BYTES_DEFAULT, MESSAGES_DEFAULT, MESSAGES_MAX, MessageBrowse, MessageBrowseRequest,
    MessagePage, MessageView, QueuePosition,
};
use model::limits::QUERY_MESSAGES_MAX;
use model::verbs::{KeyKind, MessageQuery, QueryError};
use model::{Filter, QueueId, Session, StoredMessage};
use store::{Bounds, Entry};

use super::Run;
use super::message_get::{refused, view};
use crate::broker::Broker;
use crate::error::Failed;
use crate::limits::{BROWSE_BYTES_MAX, BROWSE_LOOKS_MAX, ENTRIES_PER_LOOK};
use crate::machine::state::Topic;
use crate::resolve::{ResolveError, RetryView, read_entries};
use crate::selector::Selector;

/// One queue of a walk.
struct Lane {
    queue: QueueId,
    bounds: Bounds,
    /// How far the walk has looked; backwards: what lies before this has not been looked at.
    looked: u64,
    entries: Vec<Entry>,
}

struct Walk<'a> {
    broker: &'a Broker,
    topic: Arc<Topic>,
    selector: Arc<Selector>,
    limit: usize,
    is_backwards: bool,
}

impl Run for MessageBrowse {
    async fn run(
        broker: &Broker,
        session: &Session,
        request: MessageBrowseRequest,
    ) -> Result<MessagePage, AdminError> {
        let not_found = || AdminError::NotFound(format!("topic {}", request.topic));
        let topic = broker.state.topic(&request.topic).ok_or_else(not_found)?;
        let limit = request.limit.unwrap_or(MESSAGES_DEFAULT).clamp(1, MESSAGES_MAX) as usize;
        if request.key.is_some() || request.message_id.is_some() {
            return by_key(broker, session, &request, limit).await;
        }
        let filter = request.tag.as_deref().map_or_else(Filter::all, Filter::tag);
        let selector =
            broker.selectors.get(&filter).map_err(|error| AdminError::Invalid(error.to_string()))?;
        let walk = Walk { broker, topic, selector, limit, is_backwards: request.backwards };
        let mut lanes = walk.lanes(&request).await?;
        for lane in &mut lanes {
            walk.look(lane).await?;
        }
        walk.page(&request, lanes).await
    }
}

fn shown(request: &MessageBrowseRequest, message: &StoredMessage) -> MessageView {
    view(message, &request.topic, request.body_bytes_max.unwrap_or(BODY_BYTES_DEFAULT) as usize)
}

async fn by_key(
    broker: &Broker,
    session: &Session,
    request: &MessageBrowseRequest,
    limit: usize,
) -> Result<MessagePage, AdminError> {
    let (key, kind) = match (request.message_id.as_deref(), request.key.as_deref()) {
        (Some(id), _) => (id, KeyKind::UniqueId),
        (None, key) => (key.unwrap_or_default(), KeyKind::Key),
    };
    let query = MessageQuery::Key {
        topic: request.topic.clone(),
        key: key.to_owned(),
        kind,
        begin_ms: 0,
        end_ms: i64::MAX,
        max: limit.min(QUERY_MESSAGES_MAX),
    };
    let found = match broker.do_query(session, query).await {
        Ok(found) => found,
        Err(QueryError::NotFound) => Vec::new(),
        Err(error) => return Err(refused(error, key)),
    };
    let wanted = |m: &&StoredMessage| {
        let in_queue = request.queue.is_none_or(|queue| m.queue().get() == queue);
        in_queue && request.tag.as_deref().is_none_or(|tag| m.property(model::properties::TAGS) == Some(tag))
    };
    let mut messages: Vec<_> = found.iter().filter(wanted).map(|m| shown(request, m)).collect();
    messages.sort_by_key(|m| (m.stored_ms, m.queue, m.offset));
    if request.backwards {
        messages.reverse();
    }
    Ok(MessagePage { messages, next: Vec::new(), more: false })
}

impl Walk<'_> {
    async fn lanes(&self, request: &MessageBrowseRequest) -> Result<Vec<Lane>, AdminError> {
        let queues = self.topic.config.queues();
        let chosen = match request.queue {
            Some(queue) if queue >= queues => {
                let name = &self.topic.config.name;
                return Err(AdminError::Invalid(format!(
                    "queue {queue} does not exist: topic {name} has {queues} queues"
                )));
            }
            Some(queue) => queue..queue + 1,
            None => 0..queues,
        };
        let mut lanes = Vec::new();
        for queue in chosen {
            lanes.push(self.lane(QueueId(queue), request).await?);
        }
        Ok(lanes)
    }

    async fn lane(&self, queue: QueueId, request: &MessageBrowseRequest) -> Result<Lane, Failed> {
        let stream = self.topic.stream(queue);
        let bounds = self.broker.bounds(stream).await?;
        let asked = request.positions.iter().find(|position| position.queue == queue.get());
        let from = match (asked, request.time_ms) {
            (Some(position), _) => position.offset,
            (None, Some(time_ms)) => {
                self.broker.offset_by_time(stream, time_ms, store::Boundary::Lower).await?
            }
            (None, None) if self.is_backwards => bounds.max,
            (None, None) => bounds.min,
        };
        let from = from.clamp(bounds.min, bounds.max);
        Ok(Lane { queue, bounds, looked: from, entries: Vec::new() })
    }

    /// Gathers entries that may match, as many as a page could need of this queue.
    async fn look(&self, lane: &mut Lane) -> Result<(), Failed> {
        let stream = self.topic.stream(lane.queue);
        for _ in 0..BROWSE_LOOKS_MAX {
            let mut entries;
            if self.is_backwards {
                let start = lane.looked.saturating_sub(ENTRIES_PER_LOOK as u64).max(lane.bounds.min);
                entries = self.broker.singles(stream, start, ENTRIES_PER_LOOK).await?;
                entries.retain(|entry| (start..lane.looked).contains(&entry.offset));
                entries.reverse();
                lane.looked = start;
            } else {
                entries = self.broker.singles(stream, lane.looked, ENTRIES_PER_LOOK).await?;
                lane.looked = entries.last().map_or(lane.bounds.max, Entry::next_offset);
            }
            lane.entries.extend(entries.iter().filter(|entry| self.selector.wants_tag(entry.tag)));
            if lane.entries.len() >= self.limit || self.is_at_end(lane.looked, &lane.bounds) {
                return Ok(());
            }
        }
        Ok(())
    }

    const fn is_at_end(&self, offset: u64, bounds: &Bounds) -> bool {
        if self.is_backwards { offset <= bounds.min } else { offset >= bounds.max }
    }

    async fn page(
        &self,
        request: &MessageBrowseRequest,
        mut lanes: Vec<Lane>,
    ) -> Result<MessagePage, AdminError> {
        let mut order: Vec<(usize, Entry)> = Vec::new();
        for (index, lane) in lanes.iter().enumerate() {
            order.extend(lane.entries.iter().map(|entry| (index, *entry)));
        }
        let place = |(lane, entry): &(usize, Entry)| (entry.time_ms, *lane, entry.offset);
        if self.is_backwards {
            order.sort_by_key(|one| Reverse(place(one)));
        } else {
            order.sort_by_key(place);
        }
        let cut = self.cut(&order);
        for (index, entry) in &order[cut..] {
            // What is not shown is where the next page of its queue begins; the first one counts.
            let lane = &mut lanes[*index];
            let behind = if self.is_backwards { entry.offset + 1 } else { entry.offset };
            lane.looked = if self.is_backwards { lane.looked.max(behind) } else { lane.looked.min(behind) };
        }
        order.truncate(cut);
        let messages = self.read(request, &order).await?;
        let more = lanes.iter().any(|lane| !self.is_at_end(lane.looked, &lane.bounds));
        let next = lanes.iter().map(|lane| QueuePosition { queue: lane.queue.get(), offset: lane.looked });
        Ok(MessagePage { messages, next: next.collect(), more })
    }

    /// How many fit into an answer: always one.
    fn cut(&self, order: &[(usize, Entry)]) -> usize {
        let mut bytes = 0;
        let fitting = order.iter().take(self.limit).take_while(|(_, entry)| {
            bytes += entry.len as usize;
            bytes <= BROWSE_BYTES_MAX
        });
        fitting.count().max(1).min(order.len())
    }

    async fn read(
        &self,
        request: &MessageBrowseRequest,
        order: &[(usize, Entry)],
    ) -> Result<Vec<MessageView>, AdminError> {
        let entries: Vec<Entry> = order.iter().map(|(_, entry)| *entry).collect();
        let read = read_entries(&self.broker.log, &self.broker.state, &entries, RetryView::RetryTopic).await;
        let mut messages = Vec::with_capacity(read.len());
        for message in read {
            match message {
                Ok(message) if self.selector.matches(message.properties()) => {
                    messages.push(shown(request, &message));
                }
                Ok(_) | Err(ResolveError::Gone) => {}
                Err(ResolveError::Data(error)) => return Err(AdminError::Internal(error)),
            }
        }
        Ok(messages)
    }
}
