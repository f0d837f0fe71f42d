//! Offsets: a group's (`ConsumerManageProcessor`) and a queue's (`AdminBrokerProcessor`).

use std::sync::Arc;

use model::verbs::{Boundary, CommitOffset, OffsetAnswer, OffsetQuestion};
use model::{GroupName, Offset, TopicName};

use crate::code::response;
use crate::error::Failure;
use crate::frame::{Body, Command};
use crate::header::Fields;
use crate::link::Link;

use super::{Answer, done, pull, success};

/// `UPDATE_CONSUMER_OFFSET`, mostly without an answer.
pub(super) async fn update(link: &Arc<Link>, request: &Command) -> Answer {
    let fields = &request.fields;
    let offset: i64 = fields.parse("commitOffset")?;
    let commit = CommitOffset {
        group: GroupName::new(fields.required("consumerGroup")?)?,
        topic: TopicName::new(fields.required("topic")?)?,
        queue: pull::queue(fields)?,
        offset: Offset(
            u64::try_from(offset).map_err(|_| Failure::malformed("commitOffset", &offset.to_string()))?,
        ),
    };
    link.engine().commit_offset(&link.session, commit).await?;
    Ok(done())
}

/// `QUERY_CONSUMER_OFFSET`. A group without progress starts at 0 where the queue still holds
/// its first message, unless the client does not want to be told so.
pub(super) async fn query(link: &Arc<Link>, request: &Command) -> Answer {
    let fields = &request.fields;
    let question = OffsetQuestion::Committed {
        group: GroupName::new(fields.required("consumerGroup")?)?,
        topic: TopicName::new(fields.required("topic")?)?,
        queue: pull::queue(fields)?,
    };
    let zero_if_absent =
        fields.get("setZeroIfNotFound").is_none_or(|text| !text.eq_ignore_ascii_case("false"));
    match link.engine().offset(&link.session, question).await? {
        OffsetAnswer::Offset(offset) => Ok(told("offset", offset.0)),
        OffsetAnswer::None { start_at_zero: true } if zero_if_absent => Ok(told("offset", 0_u64)),
        OffsetAnswer::None { .. } | OffsetAnswer::TimeMs(_) => {
            Err(Failure::new(response::QUERY_NOT_FOUND, "Not found, maybe this group consumer boot first"))
        }
    }
}

/// `SEARCH_OFFSET_BY_TIMESTAMP`
pub(super) async fn by_time(link: &Arc<Link>, request: &Command) -> Answer {
    let fields = &request.fields;
    let upper = fields.get("boundaryType").is_some_and(|text| text.eq_ignore_ascii_case("upper"));
    let question = OffsetQuestion::ByTime {
        topic: TopicName::new(fields.required("topic")?)?,
        queue: pull::queue(fields)?,
        time_ms: fields.parse("timestamp")?,
        boundary: if upper { Boundary::Upper } else { Boundary::Lower },
    };
    let answer = link.engine().offset(&link.session, question).await?;
    Ok(told("offset", offset_or_zero(answer)))
}

/// `GET_MAX_OFFSET`
pub(super) async fn max(link: &Arc<Link>, request: &Command) -> Answer {
    let (topic, queue) = (TopicName::new(request.fields.required("topic")?)?, pull::queue(&request.fields)?);
    let answer = link.engine().offset(&link.session, OffsetQuestion::Max { topic, queue }).await?;
    Ok(told("offset", offset_or_zero(answer)))
}

/// `GET_MIN_OFFSET`
pub(super) async fn min(link: &Arc<Link>, request: &Command) -> Answer {
    let (topic, queue) = (TopicName::new(request.fields.required("topic")?)?, pull::queue(&request.fields)?);
    let answer = link.engine().offset(&link.session, OffsetQuestion::Min { topic, queue }).await?;
    Ok(told("offset", offset_or_zero(answer)))
}

/// `GET_EARLIEST_MSG_STORETIME`; -1 if there is no message.
pub(super) async fn earliest_time(link: &Arc<Link>, request: &Command) -> Answer {
    let (topic, queue) = (TopicName::new(request.fields.required("topic")?)?, pull::queue(&request.fields)?);
    let answer = link.engine().offset(&link.session, OffsetQuestion::EarliestTime { topic, queue }).await?;
    let time = if let OffsetAnswer::TimeMs(time) = answer { time } else { -1 };
    Ok(told("timestamp", time))
}

const fn offset_or_zero(answer: OffsetAnswer) -> u64 {
    match answer {
        OffsetAnswer::Offset(offset) => offset.0,
        OffsetAnswer::TimeMs(_) | OffsetAnswer::None { .. } => 0,
    }
}

fn told(field: &str, number: impl std::fmt::Display) -> Command {
    success(Fields::new().with(field, number), Body::default())
}
