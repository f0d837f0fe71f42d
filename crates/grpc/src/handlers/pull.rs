//! `PullMessage`: a queue is read from an offset that the client keeps.
//!
//! ```text
//! status, message*, next_offset            always in this order, the last always there
//! ```
//! RocketMQ's proxy does not implement it; the definition and the 4.x pull say what it is.

use std::collections::VecDeque;

use base::Share;
use model::limits::FETCH_MESSAGES_MAX;
use model::verbs::{Batches, Fetch, FetchOutcome, Fetched};
use model::{Offset, StoredMessage};

use crate::answer::{self, Refusal};
use crate::call::Call;
use crate::convert::inflate::Bodies;
use crate::convert::names::filter;
use crate::convert::outbound;
use crate::convert::time::span_to_ms;
use crate::handlers::offsets::{offset, queue};
use crate::proto::pull_message_response::Content;
use crate::proto::{Code, PullMessageRequest, PullMessageResponse, Status};
use crate::validate;

/// Bytes of one answer.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

pub(crate) struct Pulled {
    status: Status,
    messages: Vec<StoredMessage>,
    next: i64,
    bodies: Bodies,
    /// Of the bytes that clients have not taken.
    share: Option<Share>,
}

impl Pulled {
    pub(crate) const fn code(&self) -> i32 {
        self.status.code
    }

    pub(crate) const fn refused(status: Status, next: i64) -> Self {
        Self { status, messages: Vec::new(), next, bodies: Bodies::AsStored, share: None }
    }

    pub(crate) fn into_messages(self) -> impl Iterator<Item = PullMessageResponse> + Send {
        let mut status = Some(self.status);
        let mut next = Some(self.next);
        let mut messages: VecDeque<StoredMessage> = self.messages.into();
        let (bodies, share) = (self.bodies, self.share);
        std::iter::from_fn(move || {
            let _held = &share;
            let content = if let Some(status) = status.take() {
                Content::Status(status)
            } else if let Some(message) = messages.pop_front() {
                Content::Message(outbound::message(&message, message.topic(), bodies))
            } else {
                Content::NextOffset(next.take()?)
            };
            Some(PullMessageResponse { content: Some(content) })
        })
    }
}

pub(crate) async fn pull(call: Call, request: PullMessageRequest) -> Pulled {
    match try_pull(&call, &request).await {
        Ok(fetched) => found(&call, fetched),
        Err(refusal) => Pulled::refused(refusal.into(), request.offset),
    }
}

async fn try_pull(call: &Call, request: &PullMessageRequest) -> Result<Fetched, Refusal> {
    let group = validate::group(request.group.as_ref())?;
    let (topic, queue) = queue(request.message_queue.as_ref())?;
    let max_messages = match u32::try_from(request.batch_size) {
        Ok(size) if size > 0 => size.min(FETCH_MESSAGES_MAX),
        _ => {
            let text = format!("asked for {} messages, the least is 1", request.batch_size);
            return Err(Refusal::new(Code::BadRequest, text));
        }
    };
    let asked_ms = request.long_polling_timeout.as_ref().map_or(0, span_to_ms);
    let longest_ms = call.remaining_ms().min(call.node.config.long_poll_max_ms).max(0);
    let fetch = Fetch {
        group: Some(group),
        topic,
        queue,
        offset: offset(request.offset)?,
        max_messages,
        max_bytes: ANSWER_BYTES_MAX,
        filter: filter(request.filter_expression.as_ref()),
        wait_ms: asked_ms.clamp(0, longest_ms),
        batches: Batches::Unpacked,
    };
    let drain = call.connection.drain.clone();
    tokio::select! {
        fetched = call.node.engine.fetch(&call.session, fetch) => Ok(fetched?),
        () = drain.requested() => Err(Refusal::new(Code::MessageNotFound, "the server is going away")),
    }
}

fn found(call: &Call, fetched: Fetched) -> Pulled {
    let next = on_wire(fetched.next);
    match fetched.outcome {
        FetchOutcome::Found => {
            let bytes = fetched.messages.iter().map(|message| message.bytes().len()).sum();
            let Some(share) = call.node.outgoing.take(bytes) else {
                return none(
                    Code::TooManyRequests,
                    "too many messages are not yet taken by their clients",
                    next,
                );
            };
            let bodies = Bodies::of_language(call.language());
            Pulled { status: answer::ok(), messages: fetched.messages, next, bodies, share: Some(share) }
        }
        FetchOutcome::NoneMatched => {
            none(Code::MessageNotFound, "no message matches: read on at the next offset", next)
        }
        FetchOutcome::AtEnd => none(Code::MessageNotFound, "no new message", next),
        FetchOutcome::OutOfRange => {
            let text = format!(
                "the queue holds offsets {} to {}: read on at the next offset",
                fetched.min, fetched.max
            );
            none(Code::IllegalOffset, &text, next)
        }
    }
}

fn none(code: Code, text: &str, next: i64) -> Pulled {
    Pulled::refused(Refusal::new(code, text).into(), next)
}

fn on_wire(offset: Offset) -> i64 {
    i64::try_from(offset.get()).unwrap_or(i64::MAX)
}
