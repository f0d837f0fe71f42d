//! `POST /api/v1/topics/{topic}/messages`.

use std::sync::Arc;

use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::{Extension, Json};
use http::HeaderMap;
use model::properties::{TRACEPARENT, TRACESTATE};
use model::verbs::{Publish, PublishedMessage, QueueChoice};
use model::{QueueId, TopicName};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::app::{App, Caller};
use crate::error::Problem;
use crate::limits::{SEND_MESSAGES_MAX, TRACE_HEADER_BYTES_MAX};
use crate::message::MessageIn;

/// Several messages for one queue, all or none of which are stored.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SendRequest {
    #[serde(default)]
    pub(crate) queue: Option<u32>,
    pub(crate) messages: Vec<MessageIn>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct SendResponse {
    pub(crate) messages: Vec<Sent>,
}

/// Where a message was stored.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub(crate) struct Sent {
    pub(crate) message_id: String,
    pub(crate) queue: u32,
    pub(crate) offset: u64,
    pub(crate) position: u64,
    pub(crate) stored_ms: i64,
    /// What cancels it, for a timed message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) recall_handle: Option<String>,
}

pub(crate) async fn send(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(topic): Path<String>,
    headers: HeaderMap,
    body: Result<Json<Value>, JsonRejection>,
) -> Result<Json<SendResponse>, Problem> {
    let topic = TopicName::new(&topic).map_err(|error| Problem::invalid(error.to_string()))?;
    let request = request_of(body?.0)?;
    if request.messages.is_empty() || request.messages.len() > SEND_MESSAGES_MAX {
        let count = request.messages.len();
        return Err(Problem::invalid(format!(
            "there are {count} messages, allowed are 1 to {SEND_MESSAGES_MAX}"
        )));
    }
    let now_ms = app.clock.now_ms();
    let message = |message: MessageIn| {
        let id = u128::from(app.chance.next_u64()) << 64 | u128::from(app.chance.next_u64());
        in_trace_of(&headers, message).into_new(id, now_ms, caller.session.peer)
    };
    let messages: Result<Vec<_>, Problem> = request.messages.into_iter().map(message).collect();
    let publish = Publish {
        topic,
        queue: request.queue.map_or(QueueChoice::Any, |queue| QueueChoice::Queue(QueueId(queue))),
        messages: messages?,
        producer_group: None,
        auto_create: None,
        check_kind: true,
    };
    let published = app.engine.publish(&caller.session, publish).await?;
    Ok(Json(SendResponse { messages: published.entries.into_iter().map(Sent::from).collect() }))
}

/// The trace that a request belongs to is its messages' own, unless they name another.
fn in_trace_of(headers: &HeaderMap, mut message: MessageIn) -> MessageIn {
    if message.properties.contains_key(TRACEPARENT) || !headers.contains_key(TRACEPARENT) {
        return message;
    }
    for key in [TRACEPARENT, TRACESTATE] {
        let value = headers.get(key).and_then(|value| value.to_str().ok());
        if let Some(value) = value.filter(|value| value.len() <= TRACE_HEADER_BYTES_MAX) {
            message.properties.insert(key.to_owned(), value.to_owned());
        }
    }
    message
}

/// A message may stand alone, without the list around it.
fn request_of(body: Value) -> Result<SendRequest, Problem> {
    let many = body.get("messages").is_some();
    let request = if many {
        serde_json::from_value(body)
    } else {
        serde_json::from_value(body).map(|message| SendRequest { queue: None, messages: vec![message] })
    };
    request.map_err(|error| Problem::invalid(format!("the message is malformed: {error}")))
}

impl From<PublishedMessage> for Sent {
    fn from(entry: PublishedMessage) -> Self {
        Self {
            message_id: entry.message_id,
            queue: entry.queue.get(),
            offset: entry.offset.get(),
            position: entry.lsn.get(),
            stored_ms: entry.stored_ms,
            recall_handle: entry.recall_handle,
        }
    }
}
