//! `SEND_BATCH_MESSAGE`: several messages of one topic in one body (see [`model::batch`]).
//!
//! A batch with a unique id of its own is handed on whole: a topic of batches (`queue.type` =
//! `BatchCQ`) keeps it as it came, any other takes it apart.

use std::sync::Arc;

use model::message::{NewMessage, flags};
use model::verbs::Published;
use model::{batch, limits, properties};

use crate::code::response;
use crate::error::Failure;
use crate::frame::Command;
use crate::link::Link;

use super::Answer;
use super::send_header::{self, SendHeader};

pub(super) async fn send(link: &Arc<Link>, request: &Command) -> Answer {
    let header = SendHeader::read(&request.fields);
    let topic = header.topic()?;
    if topic.is_retry() {
        return Err(illegal("a batch cannot be sent to a retry topic"));
    }
    let whole = header.message(link, request)?;
    if whole.body.len() > limits::BODY_BYTES_MAX {
        return Err(illegal(&format!(
            "the batch has {} bytes, the most allowed is {}",
            whole.body.len(),
            limits::BODY_BYTES_MAX
        )));
    }
    let whole = NewMessage { system_flags: whole.system_flags & !BATCH_FLAGS, reconsume_times: 0, ..whole };
    let id = whole.properties.get(properties::UNIQUE_ID).map(str::to_owned);
    let messages = match &id {
        Some(_) => vec![NewMessage { system_flags: whole.system_flags | BATCH_FLAGS, ..whole }],
        None => apart(&whole)?,
    };
    let publish = header.publish(topic, messages)?;
    let published = link.engine().publish(&link.session, publish).await?;
    Ok(answer(&published, id.as_deref()))
}

/// What tells readers that a message holds others.
const BATCH_FLAGS: i32 = flags::INNER_BATCH | flags::NEED_UNWRAP;

fn apart(whole: &NewMessage) -> Result<Vec<NewMessage>, Failure> {
    let parts = batch::parts(whole.body.clone()).map_err(|error| illegal(&error.to_string()))?;
    Ok(parts.into_iter().map(|part| whole.with_part(part)).collect())
}

/// A batch that was kept as it came has one place, and its own id tells the producer so.
fn answer(published: &Published, id: Option<&str>) -> Command {
    let mut answer = send_header::answer(&published.entries);
    if let (Some(id), [_]) = (id, published.entries.as_slice()) {
        answer.fields.push_text("batchUniqId", id);
    }
    answer
}

fn illegal(remark: &str) -> Failure {
    Failure::new(response::MESSAGE_ILLEGAL, remark)
}
