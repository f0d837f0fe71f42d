//! `UpdateOffset`, `GetOffset`, `QueryOffset`: progress that a pulling client keeps by itself.

use model::verbs::{Boundary, CommitOffset, OffsetAnswer, OffsetQuestion};
use model::{Offset, QueueId, TopicName};

use crate::answer::{self, Refusal};
use crate::call::Call;
use crate::convert::time::to_ms;
use crate::proto::{
    Code, GetOffsetRequest, GetOffsetResponse, MessageQueue, QueryOffsetPolicy, QueryOffsetRequest,
    QueryOffsetResponse, UpdateOffsetRequest, UpdateOffsetResponse,
};
use crate::validate;

/// The topic and number of a queue that must be named.
pub(crate) fn queue(queue: Option<&MessageQueue>) -> Result<(TopicName, QueueId), Refusal> {
    let topic = validate::topic(queue.and_then(|queue| queue.topic.as_ref()))?;
    let id = queue.map_or(0, |queue| queue.id);
    let id =
        u32::try_from(id).map_err(|_| Refusal::new(Code::BadRequest, format!("there is no queue {id}")))?;
    Ok((topic, QueueId(id)))
}

pub(crate) fn offset(offset: i64) -> Result<Offset, Refusal> {
    let text = || format!("offset {offset} is below zero");
    u64::try_from(offset).map(Offset).map_err(|_| Refusal::new(Code::IllegalOffset, text()))
}

fn on_wire(offset: Offset) -> i64 {
    i64::try_from(offset.get()).unwrap_or(i64::MAX)
}

pub(crate) async fn update(
    call: Call,
    request: UpdateOffsetRequest,
) -> Result<UpdateOffsetResponse, Refusal> {
    let group = validate::group(request.group.as_ref())?;
    let (topic, queue) = queue(request.message_queue.as_ref())?;
    let commit = CommitOffset { group, topic, queue, offset: offset(request.offset)? };
    call.node.engine.commit_offset(&call.session, commit).await?;
    Ok(UpdateOffsetResponse { status: Some(answer::ok()) })
}

pub(crate) async fn get(call: Call, request: GetOffsetRequest) -> Result<GetOffsetResponse, Refusal> {
    let group = validate::group(request.group.as_ref())?;
    let (topic, queue) = queue(request.message_queue.as_ref())?;
    let question = OffsetQuestion::Committed { group, topic, queue };
    let offset = ask(&call, question).await?;
    Ok(GetOffsetResponse { status: Some(answer::ok()), offset })
}

pub(crate) async fn query(call: Call, request: QueryOffsetRequest) -> Result<QueryOffsetResponse, Refusal> {
    let (topic, queue) = queue(request.message_queue.as_ref())?;
    let question = match request.query_offset_policy() {
        QueryOffsetPolicy::Beginning => OffsetQuestion::Min { topic, queue },
        QueryOffsetPolicy::End => OffsetQuestion::Max { topic, queue },
        QueryOffsetPolicy::Timestamp => {
            let missing = || Refusal::new(Code::BadRequest, "the timestamp to look for is missing");
            let time_ms = request.timestamp.as_ref().map(to_ms).ok_or_else(missing)?;
            OffsetQuestion::ByTime { topic, queue, time_ms, boundary: Boundary::Lower }
        }
    };
    let offset = ask(&call, question).await?;
    Ok(QueryOffsetResponse { status: Some(answer::ok()), offset })
}

async fn ask(call: &Call, question: OffsetQuestion) -> Result<i64, Refusal> {
    match call.node.engine.offset(&call.session, question).await? {
        OffsetAnswer::Offset(offset) => Ok(on_wire(offset)),
        OffsetAnswer::TimeMs(_) | OffsetAnswer::None { .. } => {
            Err(Refusal::new(Code::OffsetNotFound, "the group has no offset in the queue yet"))
        }
    }
}
