//! `SEND_MESSAGE`, `SEND_MESSAGE_V2`: one message into one queue (`SendMessageProcessor`).
//!
//! A send to `%RETRY%group` is a consumer that gives a message back by itself: one that was
//! retried too often, or whose group consumes in order, goes to the dead letters instead.

use std::sync::Arc;

use model::admin::{self, GroupGet, GroupRequest};
use model::message::NewMessage;
use model::verbs::{AutoCreate, Publish, QueueChoice};
use model::{GroupName, Properties, Session, TopicName, properties};

use crate::code::{VERSION_SENDS_MAX_RECONSUME_TIMES, request as code, response};
use crate::error::Failure;
use crate::frame::Command;
use crate::link::Link;

use super::send_header::{self, SendHeader};
use super::{Answer, batch};

/// What most sends ask for, which is told without waiting; `None` for other requests.
pub(super) fn at_once(link: &Link, request: &Command) -> Option<Result<Publish, Failure>> {
    if !matches!(request.code, code::SEND_MESSAGE | code::SEND_MESSAGE_V2) {
        return None;
    }
    let header = SendHeader::read(&request.fields);
    if header.is_batch() || header.is_to_retry_topic() || wants_cluster(header.properties) {
        return None;
    }
    let publish = || header.publish(header.topic()?, vec![header.message(link, request)?]);
    Some(publish())
}

pub(super) async fn publish(link: &Link, publish: Publish) -> Answer {
    let published = link.engine().publish(&link.session, publish).await?;
    Ok(send_header::answer(&published.entries))
}

/// All other sends.
pub(super) async fn send(link: &Arc<Link>, request: &Command) -> Answer {
    let header = SendHeader::read(&request.fields);
    if header.is_batch() {
        return batch::send(link, request).await;
    }
    let topic = header.topic()?;
    let mut message = header.message(link, request)?;
    if wants_cluster(message.properties.as_encoded()) {
        let cluster = link.server.node().await?.cluster.as_str();
        message.properties.push(properties::CLUSTER, cluster);
    }
    let wanted = if topic.is_retry() {
        given_back(link, request, &header, topic, message).await?
    } else {
        header.publish(topic, vec![message])?
    };
    publish(link, wanted).await
}

/// A request that wants a reply tells its consumer the cluster, whose name is part of the
/// reply topic's name (`MessageUtil.createReplyMessage`).
fn wants_cluster(encoded: &str) -> bool {
    properties::get(encoded, properties::REPLY_TO_CLIENT).is_some()
        && properties::get(encoded, properties::CLUSTER).is_none()
}

/// To the retry topic, or to the dead letters.
async fn given_back(
    link: &Link,
    request: &Command,
    header: &SendHeader<'_>,
    topic: TopicName,
    mut message: NewMessage,
) -> Result<Publish, Failure> {
    let group = GroupName::new(topic.derived_from().unwrap_or_default())?;
    let told = header.max_reconsume_times()?.filter(|_| request.version >= VERSION_SENDS_MAX_RECONSUME_TIMES);
    let most = match told {
        Some(most) => most,
        None => group_retries(link, &group).await?,
    };
    let dead = i64::from(message.reconsume_times) > most || link.server.consumes_in_order(&group);
    if !dead {
        return header.publish(topic, vec![message]);
    }
    as_dead_letter(&mut message.properties);
    let publish = header.publish(TopicName::dead_letters_of(&group), vec![message])?;
    Ok(Publish { queue: QueueChoice::Any, auto_create: Some(AutoCreate { queues: 1 }), ..publish })
}

/// Tells where it came from, as dead letters do that the engine makes.
fn as_dead_letter(told: &mut Properties) {
    told.remove(properties::DELAY);
    for (origin, copy) in [
        (properties::RETRY_TOPIC, properties::DLQ_ORIGIN_TOPIC),
        (properties::ORIGIN_MESSAGE_ID, properties::DLQ_ORIGIN_MESSAGE_ID),
    ] {
        if let Some(value) = told.get(origin).map(str::to_owned) {
            told.set(copy, &value);
        }
    }
}

async fn group_retries(link: &Link, group: &GroupName) -> Result<i64, Failure> {
    let ask = GroupRequest { group: group.clone() };
    let found = admin::run::<GroupGet>(link.engine(), &Session::internal(), ask).await;
    let missing = |error| Failure::from(error).coded(response::SUBSCRIPTION_GROUP_NOT_EXIST);
    Ok(i64::from(found.map_err(missing)?.config.retry_max_times))
}
