//! `topic.page`: topics with what is in them, searched, sorted and paged here, so that thousands of them are
//! no burden for who looks.

use std::cmp::Reverse;
use std::sync::Arc;

use hashbrown::HashMap;
use model::admin::{AdminError, RateOf, TopicOrder, TopicPage, TopicPageAnswer, TopicPageRequest, TopicRow};
use model::topic::ATTRIBUTE_MESSAGE_TYPE;
use model::{QueueId, Session, TopicName};

use super::Run;
use super::paging::{Passed, matches, passed, slice};
use super::topic_get::groups_of;
use crate::broker::Broker;
use crate::error::Failed;
use crate::machine::state::Topic;

/// What passed through topics.
struct Passing {
    sent: HashMap<TopicName, Passed>,
    received: HashMap<TopicName, Passed>,
}

impl Run for TopicPage {
    async fn run(
        broker: &Broker,
        _: &Session,
        request: TopicPageRequest,
    ) -> Result<TopicPageAnswer, AdminError> {
        let replies = format!("{}_REPLY_TOPIC", broker.config.cluster);
        let wanted = |topic: &Arc<Topic>| {
            let name = &topic.config.name;
            let own = name.is_system() || name.is_retry() || name.is_dead_letters();
            let own = own || name.as_str() == replies;
            (request.all || !own) && matches(name.as_str(), request.search.as_deref(), request.exact)
        };
        let mut topics: Vec<Arc<Topic>> = broker.state.topics().into_iter().filter(wanted).collect();
        let passing = passing(broker);
        sort(broker, &passing, &mut topics, request.sort)?;
        if request.reverse {
            topics.reverse();
        }
        let total = topics.len() as u64;
        let shown = slice(&topics, request.offset, request.limit);
        let rows = shown.iter().map(|topic| row(broker, &passing, topic)).collect::<Result<_, Failed>>()?;
        Ok(TopicPageAnswer { total, rows })
    }
}

fn passing(broker: &Broker) -> Passing {
    let by_topic = |of| passed(broker, of, |row| Some(row.topic.clone()));
    Passing { sent: by_topic(RateOf::Sent), received: by_topic(RateOf::Received) }
}

fn of(sums: &HashMap<TopicName, Passed>, topic: &Topic) -> Passed {
    sums.get(&topic.config.name).copied().unwrap_or_default()
}

fn per_second(sums: &HashMap<TopicName, Passed>, topic: &Topic) -> f64 {
    of(sums, topic).0.per_second
}

fn sort(broker: &Broker, passing: &Passing, topics: &mut [Arc<Topic>], by: TopicOrder) -> Result<(), Failed> {
    match by {
        TopicOrder::Name => {}
        TopicOrder::Sent => {
            topics.sort_by(|a, b| per_second(&passing.sent, b).total_cmp(&per_second(&passing.sent, a)));
        }
        TopicOrder::Received => {
            let of = &passing.received;
            topics.sort_by(|a, b| per_second(of, b).total_cmp(&per_second(of, a)));
        }
        TopicOrder::Messages | TopicOrder::LastStored => {
            let mut keys = HashMap::with_capacity(topics.len());
            for topic in &*topics {
                let (messages, last) = held(broker, topic, by == TopicOrder::LastStored)?;
                let key = if by == TopicOrder::Messages { messages } else { last.unsigned_abs() };
                keys.insert(topic.id, key);
            }
            topics.sort_by_key(|topic| Reverse(keys.get(&topic.id).copied().unwrap_or_default()));
        }
    }
    Ok(())
}

/// Messages in all queues, and if it is asked for the store time of the newest one.
pub(super) fn held(broker: &Broker, topic: &Topic, with_time: bool) -> Result<(u64, i64), Failed> {
    let (mut messages, mut last) = (0, 0);
    for queue in 0..topic.config.queues() {
        let stream = topic.stream(QueueId(queue));
        let bounds = broker.blocking_bounds(stream)?;
        messages += bounds.max - bounds.min;
        if with_time && bounds.max > bounds.min {
            last = last.max(broker.last_stored_ms(stream, bounds.max)?);
        }
    }
    Ok((messages, last))
}

fn row(broker: &Broker, passing: &Passing, topic: &Arc<Topic>) -> Result<TopicRow, Failed> {
    let (messages, last_stored_ms) = held(broker, topic, true)?;
    let config = &topic.config;
    let ((sent, sent_day), (received, received_day)) =
        (of(&passing.sent, topic), of(&passing.received, topic));
    Ok(TopicRow {
        name: config.name.clone(),
        message_type: config.attributes.get(ATTRIBUTE_MESSAGE_TYPE).cloned().unwrap_or_default(),
        read_queues: config.read_queues,
        write_queues: config.write_queues,
        permission: config.permission,
        messages,
        last_stored_ms,
        groups: u32::try_from(groups_of(broker, topic).len()).unwrap_or(u32::MAX),
        sent_per_second: sent.per_second,
        received_per_second: received.per_second,
        sent_bytes_per_second: sent.bytes_per_second,
        sent_bytes_day: sent_day.bytes,
        sent_messages_day: sent_day.messages,
        received_messages_day: received_day.messages,
    })
}
