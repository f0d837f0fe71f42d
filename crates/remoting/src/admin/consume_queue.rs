//! `QUERY_CONSUME_QUEUE`: the entries of a queue's index (`QueryConsumeQueueResponseBody`).

use model::limits::FETCH_MESSAGES_MAX;
use model::verbs::{Batches, Fetch, OffsetAnswer, OffsetQuestion};
use model::{Filter, GroupName, Offset, QueueId, TopicName, properties};
use serde::Serialize;

use crate::error::Failure;
use crate::frame::Command;
use crate::handlers::{Answer, newest_subscription, success};
use crate::header::Fields;
use crate::json;
use crate::link::Link;

use super::connections::SubscriptionBody;

/// Bytes of messages that are looked at for one answer.
const BYTES_MAX: usize = 4 * 1024 * 1024;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entries<'a> {
    filter_data: Option<String>,
    max_queue_index: u64,
    min_queue_index: u64,
    queue_data: Vec<Entry>,
    subscription_data: Option<SubscriptionBody<'a>>,
}

/// `ConsumeQueueData`
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    eval: bool,
    physic_offset: u64,
    physic_size: usize,
    tags_code: i64,
}

pub(super) async fn query(link: &Link, request: &Command) -> Answer {
    let fields = &request.fields;
    let topic = TopicName::new(fields.required("topic")?)?;
    let queue = QueueId(fields.parse("queueId")?);
    let (min, max) = bounds(link, &topic, queue).await?;
    let from = Offset(fields.parse::<u64>("index")?);
    let fetch = Fetch {
        group: None,
        topic: topic.clone(),
        queue,
        offset: from,
        max_messages: fields.parse::<u32>("count")?.clamp(1, FETCH_MESSAGES_MAX),
        max_bytes: BYTES_MAX,
        filter: Filter::all(),
        wait_ms: 0,
        batches: Batches::Whole,
    };
    let found = link.engine().fetch(&link.session, fetch).await?;
    let entry = |message: &model::StoredMessage| Entry {
        eval: false,
        physic_offset: message.lsn().get(),
        physic_size: message.bytes().len(),
        tags_code: message
            .property(properties::TAGS)
            .map_or(0, |tag| i64::from(model::filter::tag_hash(tag))),
    };
    let group =
        fields.get("consumerGroup").filter(|name| !name.is_empty()).map(GroupName::new).transpose()?;
    let members = match &group {
        Some(group) => link.engine().members(&link.session, group).await?,
        None => Vec::new(),
    };
    let subscription = newest_subscription(&members, &topic);
    let is_away = group.filter(|_| subscription.is_none());
    let body = Entries {
        filter_data: is_away.map(|group| format!("{group}@{topic} is not online!")),
        max_queue_index: max,
        min_queue_index: min,
        queue_data: found.messages.iter().map(entry).collect(),
        subscription_data: subscription.map(SubscriptionBody::from),
    };
    Ok(success(Fields::new(), json::write(&body)))
}

async fn bounds(link: &Link, topic: &TopicName, queue: QueueId) -> Result<(u64, u64), Failure> {
    let ask = |question| async { link.engine().offset(&link.session, question).await };
    let number = |answer| match answer {
        OffsetAnswer::Offset(offset) => offset.get(),
        _ => 0,
    };
    let min = ask(OffsetQuestion::Min { topic: topic.clone(), queue }).await?;
    let max = ask(OffsetQuestion::Max { topic: topic.clone(), queue }).await?;
    Ok((number(min), number(max)))
}
