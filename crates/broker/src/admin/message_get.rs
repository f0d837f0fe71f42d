//! `message.get`: one stored message. How messages are shown stands here, for `message.browse` too.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use model::admin::{AdminError, MessageGet, MessageGetRequest, MessageView};
use model::message::flags;
use model::properties::{self as keys, RESERVED};
use model::verbs::{MessageQuery, QueryError};
use model::{MessageKind, Offset, QueueId, Session, StoredMessage, TopicName};

use super::Run;
use crate::broker::Broker;
use crate::limits::SHOWN_BODY_BYTES_MAX;

impl Run for MessageGet {
    async fn run(
        broker: &Broker,
        session: &Session,
        request: MessageGetRequest,
    ) -> Result<MessageView, AdminError> {
        let MessageGetRequest { topic, queue, offset, body_bytes_max } = request;
        let query =
            MessageQuery::Offset { topic: topic.clone(), queue: QueueId(queue), offset: Offset(offset) };
        let name = format!("a message of topic {topic}, queue {queue}, at offset {offset}");
        let found = broker.do_query(session, query).await.map_err(|error| refused(error, &name))?;
        // The nearest message behind a gap is another one.
        let found = found.into_iter().find(|message| message.offset().get() == offset);
        let message = found.ok_or(AdminError::NotFound(name))?;
        Ok(view(&message, &topic, body_bytes_max.map_or(usize::MAX, |max| max as usize)))
    }
}

pub(super) fn refused(error: QueryError, what: &str) -> AdminError {
    match error {
        QueryError::NotFound => AdminError::NotFound(what.to_owned()),
        QueryError::TopicNotFound(topic) => AdminError::NotFound(format!("topic {topic}")),
        QueryError::Illegal(reason) => AdminError::Invalid(reason),
        QueryError::Denied(reason) => AdminError::Denied(reason),
        QueryError::Data(reason) => AdminError::Internal(reason),
        QueryError::Unavailable(reason) => AdminError::Unavailable(reason),
    }
}

/// `topic`: the one that was asked for. `bytes_max`: of the body.
pub(super) fn view(message: &StoredMessage, topic: &TopicName, bytes_max: usize) -> MessageView {
    let property = |key: &str| message.property(key).map(str::to_owned);
    let compressed = message.system_flags() & flags::COMPRESSED != 0;
    let plain = plain(message, compressed);
    let (body, body_base64, truncated) = shown(&plain, bytes_max.min(SHOWN_BODY_BYTES_MAX));
    let (mut properties, mut system_properties) = (BTreeMap::new(), BTreeMap::new());
    for (key, value) in keys::iter(message.properties()) {
        let of = if RESERVED.contains(&key) { &mut system_properties } else { &mut properties };
        of.insert(key.to_owned(), value.to_owned());
    }
    MessageView {
        topic: topic.clone(),
        queue: message.queue().get(),
        offset: message.offset().get(),
        position: message.lsn().get(),
        message_id: property(keys::UNIQUE_ID).unwrap_or_else(|| message.offset_id()),
        offset_id: message.offset_id(),
        kind: MessageKind::of(&message.to_new().properties).name().to_owned(),
        tag: property(keys::TAGS),
        keys: words(message.property(keys::KEYS).unwrap_or_default()),
        message_group: property(keys::SHARDING_KEY),
        born_ms: message.born_ms(),
        born_host: message.born_host().to_string(),
        stored_ms: message.stored_ms(),
        reconsume_times: message.reconsume_times(),
        properties,
        system_properties,
        body,
        body_base64,
        body_bytes: plain.len() as u64,
        truncated,
        compressed,
    }
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// As it is stored, where its compression cannot be undone.
fn plain(message: &StoredMessage, compressed: bool) -> Bytes {
    let body = message.body();
    let plain = if compressed { base::inflate(&body, SHOWN_BODY_BYTES_MAX) } else { None };
    plain.unwrap_or(body)
}

/// As text if it is text, else in base64; and whether there is more of it.
fn shown(body: &[u8], bytes_max: usize) -> (Option<String>, Option<String>, bool) {
    let (start, truncated) = match body.get(..bytes_max) {
        Some(start) if body.len() > bytes_max => (start, true),
        _ => (body, false),
    };
    match std::str::from_utf8(start) {
        Ok(text) => (Some(text.to_owned()), None, truncated),
        // Cut in the middle of a character: the rest of the text is still text.
        Err(error) if truncated && error.error_len().is_none() => {
            let text = start.get(..error.valid_up_to()).and_then(|text| std::str::from_utf8(text).ok());
            (Some(text.unwrap_or_default().to_owned()), None, true)
        }
        Err(_) => (None, Some(BASE64.encode(start)), truncated),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_shown_as_text_where_it_is_text() {
        assert_eq!(shown(b"abc", 3), (Some("abc".to_owned()), None, false));
        assert_eq!(shown(b"abcd", 3), (Some("abc".to_owned()), None, true));
        assert_eq!(shown("ab\u{20ac}".as_bytes(), 3), (Some("ab".to_owned()), None, true));
        assert_eq!(shown(&[0xFF, 0xFE], 9), (None, Some("//4=".to_owned()), false));
        // A whole body that ends in half a character is no text.
        assert_eq!(shown(&[b'a', 0xE2], 9).0, None);
    }
}
