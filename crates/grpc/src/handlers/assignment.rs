//! `QueryAssignment`: what a push consumer is to receive from.
//!
//! One share of the topic as a whole (queue -1), because the engine hands out message by message;
//! in an ordered group each queue by itself, which makes clients receive them in parallel.

use crate::answer::{self, Refusal};
use crate::call::Call;
use crate::handlers::route::{broker, permission};
use crate::proto::{Assignment, Code, MessageQueue, QueryAssignmentRequest, QueryAssignmentResponse};
use crate::validate;

pub(crate) async fn assignment(
    call: Call,
    request: QueryAssignmentRequest,
) -> Result<QueryAssignmentResponse, Refusal> {
    let topic = validate::topic(request.topic.as_ref())?;
    let group = validate::group(request.group.as_ref())?;
    let session = call.session_at(request.endpoints.as_ref());
    let node = &call.node;
    let route = node.engine.route(&session, &topic).await?;
    let config = node.groups.get(&*node.engine, &group, node.now_ms()).await?;
    let ordered = config.is_some_and(|config| config.ordered);
    let permission = permission(route.config.permission);
    let mut assignments = Vec::new();
    for share in route.shares.iter().filter(|share| share.read_queues > 0) {
        let Some(leader) = share.replicas.iter().find(|(id, _)| *id == 0) else { continue };
        let ids = if ordered { 0..i32::try_from(share.read_queues).unwrap_or(i32::MAX) } else { -1..0 };
        assignments.extend(ids.map(|id| Assignment {
            message_queue: Some(MessageQueue {
                topic: request.topic.clone(),
                id,
                permission: permission.into(),
                broker: Some(broker(&share.broker_name, leader)),
                accept_message_types: Vec::new(),
            }),
        }));
    }
    if assignments.is_empty() || !route.config.permission.readable() {
        return Err(Refusal::new(Code::Forbidden, format!("topic {topic} has no queue to read from")));
    }
    Ok(QueryAssignmentResponse { status: Some(answer::ok()), assignments })
}
