//! `NOTIFICATION`: waits until a pop would find something (`NotificationProcessor`).
//!
//! There is no verb that waits without taking, so the group's progress is looked at every now
//! and then. A message that is in flight does not count; one that waits for its retry may be
//! announced late.

use std::sync::Arc;
use std::time::Duration;

use model::admin::{self, GroupGet, GroupRequest};
use model::verbs::{OffsetAnswer, OffsetQuestion};
use model::{GroupName, QueueId, Session, TopicName};

use crate::error::Failure;
use crate::frame::{Body, Command};
use crate::header::Fields;
use crate::limits::{HOLD_MS_MAX, NOTIFICATION_LOOK_MS};
use crate::link::Link;

use super::{Answer, pop, success};

pub(super) async fn notification(link: &Arc<Link>, request: &Command) -> Answer {
    let fields = &request.fields;
    let group = GroupName::new(fields.required("consumerGroup")?)?;
    let topic = TopicName::new(fields.required("topic")?)?;
    let queue = pop::queue(fields)?;
    let mut left_ms = fields.parse::<i64>("pollTime")?.clamp(0, HOLD_MS_MAX);
    let queues = link.engine().route(&link.session, &topic).await?.config.read_queues;
    let queues: Vec<QueueId> = queue.map_or_else(|| (0..queues).map(QueueId).collect(), |queue| vec![queue]);
    loop {
        let found = has_messages(link, &group, &topic, &queues).await?;
        if found || left_ms <= 0 {
            let fields = Fields::new().with("hasMsg", found).with("pollingFull", false);
            return Ok(success(fields, Body::default()));
        }
        let step = left_ms.min(NOTIFICATION_LOOK_MS);
        left_ms -= step;
        let pause = Duration::from_millis(u64::try_from(step).unwrap_or_default());
        link.hold(link.server.doors.clock.sleep(pause)).await?;
    }
}

async fn has_messages(
    link: &Link,
    group: &GroupName,
    topic: &TopicName,
    queues: &[QueueId],
) -> Result<bool, Failure> {
    for queue in queues {
        let committed =
            OffsetQuestion::Committed { group: group.clone(), topic: topic.clone(), queue: *queue };
        let max = OffsetQuestion::Max { topic: topic.clone(), queue: *queue };
        let next = offset_of(link.engine().offset(&link.session, committed).await?);
        let max = offset_of(link.engine().offset(&link.session, max).await?);
        if next < max {
            return Ok(true);
        }
    }
    let ask = GroupRequest { group: group.clone() };
    let described = admin::run::<GroupGet>(link.engine(), &Session::internal(), ask).await;
    let retry = TopicName::receive_retry_of(group, topic);
    let waiting = |d: admin::GroupDescription| {
        d.progress.iter().any(|p| p.topic == retry && p.next_offset < p.max_offset)
    };
    Ok(described.is_ok_and(waiting))
}

fn offset_of(answer: OffsetAnswer) -> u64 {
    match answer {
        OffsetAnswer::Offset(offset) => offset.0,
        OffsetAnswer::TimeMs(_) | OffsetAnswer::None { .. } => 0,
    }
}
