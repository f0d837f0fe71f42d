//! How far groups are, and how long ago: `CLONE_GROUP_OFFSET`, `QUERY_CONSUME_TIME_SPAN`,
//! `GET_BROKER_CONSUME_STATS`, `QUERY_SUBSCRIPTION_BY_CONSUMER` (`AdminBrokerProcessor`).

use std::sync::Arc;

use model::admin::{
    self, AdminError, GroupCloneOffsets, GroupCloneOffsetsRequest, GroupDescription, GroupList, ListRequest,
    QueueProgress,
};
use model::verbs::{MessageQuery, QueryError};
use model::{GroupName, Offset, QueueId, TopicName};
use serde::Serialize;

use crate::code::response;
use crate::error::Failure;
use crate::frame::Command;
use crate::handlers::{Answer, done, newest_subscription, success};
use crate::header::Fields;
use crate::json::{self, MessageQueue};
use crate::link::Link;

use super::{connections, group, stats, topic};

/// `CLONE_GROUP_OFFSET`. Topics that do not exist are passed over.
pub(super) async fn clone_offsets(link: &Link, request: &Command) -> Answer {
    let fields = &request.fields;
    let topic = fields.get("topic").filter(|topic| !topic.is_empty()).map(TopicName::new).transpose()?;
    let ask = GroupCloneOffsetsRequest {
        from: GroupName::new(fields.required("srcGroup")?)?,
        to: GroupName::new(fields.required("destGroup")?)?,
        topic,
    };
    match admin::run::<GroupCloneOffsets>(link.engine(), &link.session, ask).await {
        Err(error @ AdminError::NotFound(_)) => {
            Err(Failure::from(error).coded(response::SUBSCRIPTION_GROUP_NOT_EXIST))
        }
        other => other.map(|_| done()).map_err(Into::into),
    }
}

/// `QueueTimeSpan`
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TimeSpan {
    consume_time_stamp: i64,
    delay_time: i64,
    max_time_stamp: i64,
    message_queue: MessageQueue,
    min_time_stamp: i64,
}

/// `QueryConsumeTimeSpanBody`
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TimeSpans {
    consume_time_span_set: Vec<TimeSpan>,
}

/// `QUERY_CONSUME_TIME_SPAN`
pub(super) async fn time_spans(link: &Arc<Link>, request: &Command) -> Answer {
    let found = topic::describe(link, request.fields.required("topic")?).await?;
    let group = group::describe(link, request.fields.required("group")?).await?;
    let broker_name = &link.server.node().await?.broker_name;
    let mut consume_time_span_set = Vec::with_capacity(found.queues.len());
    for queue in &found.queues {
        let name = &found.config.name;
        let is_it = |p: &&QueueProgress| p.topic == *name && p.queue == queue.queue;
        let next = group.progress.iter().find(is_it).map_or(queue.min_offset, committed);
        let at = |offset| stored_ms(link, name, queue.queue, offset);
        let min = at(queue.min_offset).await?;
        let consumed = if next > queue.min_offset { at(next - 1).await? } else { min };
        let waiting = if next < queue.max_offset { at(next).await? } else { None };
        consume_time_span_set.push(TimeSpan {
            consume_time_stamp: consumed.unwrap_or(-1),
            delay_time: waiting.map_or(0, |ms| link.now_ms().saturating_sub(ms).max(0)),
            max_time_stamp: queue.last_stored_ms,
            message_queue: stats::key(broker_name, name, queue.queue),
            min_time_stamp: min.unwrap_or(-1),
        });
    }
    Ok(success(Fields::new(), json::write(&TimeSpans { consume_time_span_set })))
}

const fn committed(progress: &QueueProgress) -> u64 {
    progress.next_offset.saturating_sub(progress.in_flight)
}

/// When the message at an offset was stored, if it still is.
pub(super) async fn stored_ms(
    link: &Link,
    topic: &TopicName,
    queue: u32,
    offset: u64,
) -> Result<Option<i64>, Failure> {
    let query = MessageQuery::Offset { topic: topic.clone(), queue: QueueId(queue), offset: Offset(offset) };
    match link.engine().query(&link.session, query).await {
        Ok(found) => Ok(found.first().map(model::StoredMessage::stored_ms)),
        Err(QueryError::NotFound) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// `GET_BROKER_CONSUME_STATS`: every group with its topics (`ConsumeStatsList`).
pub(super) async fn of_all_groups(link: &Link) -> Answer {
    let ask = ListRequest { contains: None, all: false };
    let groups = admin::run::<GroupList>(link.engine(), &link.session, ask).await?;
    let (mut tables, mut total, mut in_flight) = (Vec::with_capacity(groups.len()), 0_u64, 0_u64);
    for config in groups {
        let found: GroupDescription = group::describe(link, config.name.as_str()).await?;
        total += found.progress.iter().map(|progress| progress.lag).sum::<u64>();
        in_flight += found.progress.iter().map(|progress| progress.in_flight).sum::<u64>();
        let table = stats::table_of(link, &found, None).await?;
        tables.push(format!("{{\"{}\":[{table}]}}", config.name));
    }
    let at = &link.session.advertised;
    let body = format!(
        "{{\"brokerAddr\":\"{at}\",\"consumeStatsList\":[{}],\"totalDiff\":{total},\"totalInflightDiff\":{in_flight}}}",
        tables.join(",")
    );
    Ok(success(Fields::new(), body.into()))
}

/// `QUERY_SUBSCRIPTION_BY_CONSUMER`: what a group wants of a topic now; nothing if nobody is there.
pub(super) async fn subscription(link: &Link, request: &Command) -> Answer {
    let group = GroupName::new(request.fields.required("group")?)?;
    let topic = TopicName::new(request.fields.required("topic")?)?;
    let members = link.engine().members(&link.session, &group).await?;
    let body = Subscribed {
        group: group.as_str(),
        subscription_data: newest_subscription(&members, &topic).map(connections::SubscriptionBody::from),
        topic: topic.as_str(),
    };
    Ok(success(Fields::new(), json::write(&body)))
}

/// `QuerySubscriptionResponseBody`
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Subscribed<'a> {
    group: &'a str,
    subscription_data: Option<connections::SubscriptionBody<'a>>,
    topic: &'a str,
}

/// `GET_SYSTEM_TOPIC_LIST_FROM_BROKER`, `GET_SYSTEM_TOPIC_LIST_FROM_NS`.
pub(super) async fn system_topics(link: &Link) -> Answer {
    let ask = ListRequest { contains: None, all: true };
    let topics = admin::run::<admin::TopicList>(link.engine(), &link.session, ask).await?;
    let node = link.server.node().await?;
    let own = [node.cluster.as_str(), node.broker_name.as_str()];
    let system = topics.iter().filter(|topic| topic.name.is_system()).map(|topic| topic.name.as_str());
    Ok(topic::topic_names(own.into_iter().chain(system)))
}
