//! How far queues and groups are (`TopicStatsTable`, `ConsumeStats`, `ResetOffsetBody`). These
//! tables are keyed by queues: see [`crate::json::RawKeyed`].

use std::collections::BTreeSet;

use model::admin::{GroupDescription, RateOf};
use model::verbs::{Seek, SeekTo};
use model::{GroupName, Offset, QueueId, TopicName};
use serde::Serialize;

use crate::error::Failure;
use crate::frame::Command;
use crate::handlers::{Answer, success};
use crate::header::Fields;
use crate::json::{self, MessageQueue, RawKeyed};
use crate::link::Link;

use super::{group, progress, rates, topic};

/// `TopicOffset`
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TopicOffset {
    last_update_timestamp: i64,
    max_offset: u64,
    min_offset: u64,
}

/// `OffsetWrapper`
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OffsetWrapper {
    broker_offset: u64,
    consumer_offset: u64,
    /// Store time of the last message consumed; 0 if it is gone, or there was none.
    last_timestamp: i64,
    pull_offset: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GroupNames<'a> {
    group_list: Vec<&'a str>,
}

pub(super) fn key(broker_name: &str, topic: &TopicName, queue: u32) -> MessageQueue {
    MessageQueue {
        broker_name: broker_name.to_owned(),
        queue_id: i32::try_from(queue).unwrap_or(i32::MAX),
        topic: topic.as_str().to_owned(),
    }
}

pub(super) async fn topic(link: &Link, request: &Command) -> Answer {
    let found = topic::describe(link, request.fields.required("topic")?).await?;
    let broker_name = &link.server.node().await?.broker_name;
    let row = |queue: &model::admin::QueueState| {
        let offsets = TopicOffset {
            last_update_timestamp: queue.last_stored_ms,
            max_offset: queue.max_offset,
            min_offset: queue.min_offset,
        };
        (key(broker_name, &found.config.name, queue.queue), offsets)
    };
    let table = RawKeyed(found.queues.iter().map(row).collect());
    let per_second = rates::per_second(link, RateOf::Sent, Some(&found.config.name), None).await?;
    let body = format!("{{\"offsetTable\":{},\"topicPutTps\":{per_second:?}}}", table.to_text());
    Ok(success(Fields::new(), body.into()))
}

pub(super) async fn group(link: &Link, request: &Command) -> Answer {
    let found = group::describe(link, request.fields.required("consumerGroup")?).await?;
    let wanted = request.fields.get("topic").filter(|topic| !topic.is_empty());
    Ok(success(Fields::new(), table_of(link, &found, wanted).await?.into()))
}

/// `ConsumeStats` of a group, in all topics or one.
pub(super) async fn table_of(
    link: &Link,
    found: &GroupDescription,
    wanted: Option<&str>,
) -> Result<String, Failure> {
    let broker_name = &link.server.node().await?.broker_name;
    let is_wanted = |topic: &TopicName| wanted.is_none_or(|wanted| topic.as_str() == wanted);
    let mut rows: Vec<(MessageQueue, OffsetWrapper)> = Vec::with_capacity(found.progress.len());
    for progress in found.progress.iter().filter(|progress| is_wanted(&progress.topic)) {
        let last = progress.committed_offset.checked_sub(1);
        let last_ms = match last {
            Some(last) => progress::stored_ms(link, &progress.topic, progress.queue, last).await?,
            None => None,
        };
        let offsets = OffsetWrapper {
            broker_offset: progress.max_offset,
            consumer_offset: progress.committed_offset,
            last_timestamp: last_ms.unwrap_or_default(),
            pull_offset: progress.next_offset,
        };
        rows.push((key(broker_name, &progress.topic, progress.queue), offsets));
    }
    // Of a topic that the group reads all queues are told, also those in which it has no place yet.
    let topics: BTreeSet<&TopicName> = found.progress.iter().map(|progress| &progress.topic).collect();
    for name in topics.into_iter().filter(|name| is_wanted(name)) {
        let Ok(topic) = topic::describe(link, name.as_str()).await else { continue };
        let is_known = |queue| found.progress.iter().any(|p| p.topic == *name && p.queue == queue);
        for queue in topic.queues.iter().filter(|queue| !is_known(queue.queue)) {
            let offsets = OffsetWrapper {
                broker_offset: queue.max_offset,
                consumer_offset: 0,
                last_timestamp: 0,
                pull_offset: 0,
            };
            rows.push((key(broker_name, name, queue.queue), offsets));
        }
    }
    let table = RawKeyed(rows);
    let topic = wanted.map(TopicName::new).transpose()?;
    let group = &found.config.name;
    let per_second = rates::per_second(link, RateOf::Received, topic.as_ref(), Some(group)).await?;
    Ok(format!("{{\"consumeTps\":{per_second:?},\"offsetTable\":{}}}", table.to_text()))
}

/// `INVOKE_BROKER_TO_RESET_OFFSET`: an offset, a time, or (time -1) the end.
pub(super) async fn reset(link: &Link, request: &Command) -> Answer {
    let fields = &request.fields;
    let time: i64 = fields.parse("timestamp")?;
    let offset: Option<i64> = fields.parse_opt("offset")?;
    let queue: i64 = fields.parse_opt("queueId")?.unwrap_or(-1);
    let to = match offset.and_then(|offset| u64::try_from(offset).ok()) {
        Some(offset) => SeekTo::Offset(Offset(offset)),
        None if time < 0 => SeekTo::Last,
        None => SeekTo::Time(time),
    };
    let seek = Seek {
        group: GroupName::new(fields.required("group")?)?,
        topic: TopicName::new(fields.required("topic")?)?,
        queue: u32::try_from(queue).ok().map(QueueId),
        to,
        force: fields.flag("isForce"),
    };
    let topic = seek.topic.clone();
    let moved = link.engine().seek(&link.session, seek).await?;
    let broker_name = &link.server.node().await?.broker_name;
    let row = |(queue, offset): (QueueId, Offset)| (key(broker_name, &topic, queue.get()), offset.get());
    let table = RawKeyed(moved.into_iter().map(row).collect());
    let body = format!("{{\"offsetTable\":{}}}", table.to_text());
    Ok(success(Fields::new(), body.into()))
}

pub(super) async fn groups_of_topic(link: &Link, request: &Command) -> Answer {
    let found = topic::describe(link, request.fields.required("topic")?).await?;
    let group_list = found.groups.iter().map(GroupName::as_str).collect();
    Ok(success(Fields::new(), json::write(&GroupNames { group_list })))
}

pub(super) async fn topics_of_group(link: &Link, request: &Command) -> Answer {
    let found = group::describe(link, request.fields.required("group")?).await?;
    let mut topics: Vec<&str> = found.progress.iter().map(|progress| progress.topic.as_str()).collect();
    topics.dedup();
    Ok(topic::topic_names(topics.into_iter()))
}
