//! `SEND_BATCH_MESSAGE`: several messages of one topic in one body (`MessageDecoder.decodeMessages`).
//!
//! ```text
//! { total length 4 | magic 4 | crc 4 | flag 4 | body length 4, body | properties length 2, properties }*
//! ```

use std::sync::Arc;

use bytes::{Buf, Bytes};
use model::message::NewMessage;
use model::{Properties, limits};

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
    let whole = request.body.bytes();
    if whole.len() > limits::BODY_BYTES_MAX {
        return Err(illegal(&format!(
            "the batch has {} bytes, the most allowed is {}",
            whole.len(),
            limits::BODY_BYTES_MAX
        )));
    }
    let (system_flags, born_ms) = (header.system_flags()?, header.born_ms(link)?);
    let finish = |part: Part| NewMessage {
        body: part.body,
        properties: part.properties,
        flag: part.flag,
        system_flags,
        born_ms,
        born_host: link.session.peer,
        reconsume_times: 0,
    };
    let messages: Vec<NewMessage> = decode(whole)?.into_iter().map(finish).collect();
    let publish = header.publish(topic, messages)?;
    let published = link.engine().publish(&link.session, publish).await?;
    Ok(send_header::answer(&published.entries))
}

#[derive(Debug)]
pub(super) struct Part {
    body: Bytes,
    properties: Properties,
    flag: i32,
}

fn illegal(remark: &str) -> Failure {
    Failure::new(response::MESSAGE_ILLEGAL, remark)
}

/// Takes the body apart; parts share its memory.
fn decode(mut whole: Bytes) -> Result<Vec<Part>, Failure> {
    let mut parts = Vec::new();
    while !whole.is_empty() {
        if parts.len() >= limits::PUBLISH_MESSAGES_MAX {
            return Err(illegal(&format!(
                "the batch has more than {} messages",
                limits::PUBLISH_MESSAGES_MAX
            )));
        }
        parts.push(part(&mut whole).ok_or_else(|| illegal("the batch ends in the middle of a message"))?);
    }
    if parts.is_empty() { Err(illegal("the batch is empty")) } else { Ok(parts) }
}

fn part(whole: &mut Bytes) -> Option<Part> {
    let total = usize::try_from(i32::from_be_bytes(whole.get(..4)?.try_into().ok()?)).ok()?;
    if total < 22 || total > whole.len() {
        return None;
    }
    let mut message = whole.split_to(total);
    message.advance(12);
    let flag = message.get_i32();
    let body_len = usize::try_from(message.get_i32()).ok()?;
    if body_len > message.len() {
        return None;
    }
    let body = message.split_to(body_len);
    let properties_len = usize::from(message.try_get_u16().ok()?);
    let properties = std::str::from_utf8(message.get(..properties_len)?).ok()?;
    Some(Part { body, properties: Properties::from_encoded(properties.to_owned()), flag })
}

/// One message as a batch carries it, for clients.
pub(crate) fn encode(out: &mut Vec<u8>, body: &[u8], properties: &str, flag: i32) -> Option<()> {
    let total = i32::try_from(22 + body.len() + properties.len()).ok()?;
    out.extend_from_slice(&total.to_be_bytes());
    out.extend_from_slice(&[0; 8]);
    out.extend_from_slice(&flag.to_be_bytes());
    out.extend_from_slice(&i32::try_from(body.len()).ok()?.to_be_bytes());
    out.extend_from_slice(body);
    out.extend_from_slice(&u16::try_from(properties.len()).ok()?.to_be_bytes());
    out.extend_from_slice(properties.as_bytes());
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_batch_survives(messages in proptest::collection::vec((".{0,40}", "[a-z]{0,20}", any::<i32>()), 1..9)) {
            let mut out = Vec::new();
            for (body, properties, flag) in &messages {
                encode(&mut out, body.as_bytes(), properties, *flag).expect("small");
            }
            let parts = decode(out.into()).expect("our own");
            prop_assert_eq!(parts.len(), messages.len());
            for (part, (body, properties, flag)) in parts.iter().zip(&messages) {
                prop_assert_eq!(&part.body[..], body.as_bytes());
                prop_assert_eq!(part.properties.as_encoded(), properties);
                prop_assert_eq!(part.flag, *flag);
            }
        }

        #[test]
        fn garbage_does_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(bytes.into());
        }
    }
}
