//! `QUERY_ASSIGNMENT`, `SET_MESSAGE_REQUEST_MODE`: queues balanced by the server
//! (`QueryAssignmentProcessor`).

use std::sync::Arc;

use model::membership::{Assign, RequestMode, SetRequestMode};
use model::{GroupName, TopicName};

use crate::frame::Command;
use crate::header::Fields;
use crate::json::{self, Assignments, MessageQueue, QueryAssignment, QueueAssignment, RequestModeBody};
use crate::link::Link;

use super::{Answer, done, success};

pub(super) async fn query(link: &Arc<Link>, request: &Command) -> Answer {
    let asked: QueryAssignment = json::read(&request.body)?;
    let assign = Assign {
        group: GroupName::new(&asked.consumer_group)?,
        topic: TopicName::new(&asked.topic)?,
        model: asked.model(),
        strategy: asked.strategy_name.unwrap_or_else(|| "AVG".to_owned()),
        client_id: asked.client_id,
    };
    let assigned = link.engine().assign(&link.session, assign).await?;
    let mode = match assigned.mode {
        RequestMode::Pull => "PULL",
        RequestMode::Pop => "POP",
    };
    let queue = |(broker_name, queue): (String, Option<model::QueueId>)| QueueAssignment {
        message_queue: MessageQueue {
            broker_name,
            queue_id: queue.and_then(|queue| i32::try_from(queue.get()).ok()).unwrap_or(-1),
            topic: asked.topic.clone(),
        },
        mode,
    };
    let message_queue_assignments = assigned.queues.into_iter().map(queue).collect();
    Ok(success(Fields::new(), json::write(&Assignments { message_queue_assignments })))
}

pub(super) async fn set_mode(link: &Arc<Link>, request: &Command) -> Answer {
    let asked: RequestModeBody = json::read(&request.body)?;
    let set = SetRequestMode {
        group: GroupName::new(&asked.consumer_group)?,
        topic: TopicName::new(&asked.topic)?,
        mode: if asked.is_pop() { RequestMode::Pop } else { RequestMode::Pull },
        pop_share_queues: asked.pop_share_queue_num,
    };
    link.engine().set_request_mode(&link.session, set).await?;
    Ok(done())
}
