//! `POST /api/v1/groups/{group}/receive` and `.../ack`.

use std::sync::Arc;

use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::{Extension, Json};
use model::verbs::{AckError, Receive, StartFrom};
use model::{Filter, GroupName, QueueId, Receipt, TopicName};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::app::{App, Caller};
use crate::error::Problem;
use crate::limits::{ACK_RECEIPTS_MAX, WAIT_MS_MAX};
use crate::message::MessageOut;

#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReceiveRequest {
    pub(crate) topic: TopicName,
    /// Only this queue.
    #[serde(default)]
    pub(crate) queue: Option<u32>,
    #[serde(default = "one")]
    pub(crate) max_messages: u32,
    /// How long to wait for a first message.
    #[serde(default)]
    pub(crate) wait_ms: i64,
    /// How long other members do not see the messages.
    #[serde(default = "half_a_minute")]
    pub(crate) invisible_ms: i64,
    /// Tags: `a || b`.
    #[serde(default)]
    pub(crate) tags: Option<String>,
    /// A selector over properties, instead of tags.
    #[serde(default)]
    pub(crate) sql: Option<String>,
}

const fn one() -> u32 {
    1
}
const fn half_a_minute() -> i64 {
    30_000
}

#[derive(Debug, Default, Serialize, JsonSchema)]
pub(crate) struct ReceiveResponse {
    pub(crate) messages: Vec<MessageOut>,
}

#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AckRequest {
    pub(crate) receipts: Vec<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct AckResponse {
    /// One per receipt, in order.
    pub(crate) results: Vec<AckResult>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct AckResult {
    pub(crate) acknowledged: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) problem: Option<Problem>,
}

pub(crate) async fn receive(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(group): Path<String>,
    body: Result<Json<ReceiveRequest>, JsonRejection>,
) -> Result<Json<ReceiveResponse>, Problem> {
    let Json(request) = body?;
    let topic = request.topic.clone();
    let receive = Receive {
        group: group_name(&group)?,
        topic: request.topic,
        queue: request.queue.map(QueueId),
        filter: filter(request.tags, request.sql)?,
        max_messages: request.max_messages,
        invisible_ms: request.invisible_ms,
        wait_ms: request.wait_ms.clamp(0, WAIT_MS_MAX),
        attempt_id: None,
        ordered: None,
        start: StartFrom::First,
        client_id: format!("rest@{}", caller.session.peer),
    };
    let received = tokio::select! {
        received = app.engine.receive(&caller.session, receive) => received?,
        () = caller.drain.requested() => return Ok(Json(ReceiveResponse::default())),
    };
    let messages = received.deliveries.iter().map(|d| MessageOut::delivered(d, topic.as_str())).collect();
    Ok(Json(ReceiveResponse { messages }))
}

fn group_name(name: &str) -> Result<GroupName, Problem> {
    GroupName::new(name).map_err(|error| Problem::invalid(error.to_string()))
}

fn filter(tags: Option<String>, sql: Option<String>) -> Result<Filter, Problem> {
    match (tags, sql) {
        (None, None) => Ok(Filter::all()),
        (Some(tags), None) => Ok(Filter::tag(&tags)),
        (None, Some(sql)) => Ok(Filter::sql92(&sql)),
        (Some(_), Some(_)) => Err(Problem::invalid("give either `tags` or `sql`")),
    }
}

pub(crate) async fn ack(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(group): Path<String>,
    body: Result<Json<AckRequest>, JsonRejection>,
) -> Result<Json<AckResponse>, Problem> {
    let group = group_name(&group)?;
    let Json(request) = body?;
    if request.receipts.len() > ACK_RECEIPTS_MAX {
        let count = request.receipts.len();
        return Err(Problem::invalid(format!("there are {count} receipts, allowed are {ACK_RECEIPTS_MAX}")));
    }
    let decoded: Vec<Result<Receipt, Problem>> =
        request.receipts.iter().map(|text| decode(text, &group)).collect();
    let good = decoded.iter().filter_map(|receipt| receipt.as_ref().ok().cloned()).collect();
    let mut answers = app.engine.ack(&caller.session, good).await.into_iter();
    let results = decoded.into_iter().map(|receipt| result_of(receipt, &mut answers)).collect();
    Ok(Json(AckResponse { results }))
}

fn decode(text: &str, group: &GroupName) -> Result<Receipt, Problem> {
    let receipt = Receipt::decode(text).map_err(|error| Problem::invalid(error.to_string()))?;
    if receipt.group == *group {
        Ok(receipt)
    } else {
        Err(Problem::invalid(format!("the receipt belongs to group {}, not to {group}", receipt.group)))
    }
}

/// A malformed receipt never reached the engine, so it takes none of its answers.
fn result_of(
    receipt: Result<Receipt, Problem>,
    answers: &mut impl Iterator<Item = Result<(), AckError>>,
) -> AckResult {
    let problem = match receipt {
        Err(problem) => Some(problem),
        Ok(_) => answers.next().and_then(Result::err).map(Problem::from),
    };
    AckResult { acknowledged: problem.is_none(), problem }
}
