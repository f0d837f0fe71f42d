//! Several messages in one body: what a 4.x client sends as a batch, and what a topic of batches
//! stores as it came (`MessageDecoder.encodeMessages`, `decodeMessages`).
//!
//! ```text
//! { total length 4 | magic 4 | crc 4 | flag 4 | body length 4, body | properties length 2, properties }*
//! ```
//! Big-endian. Magic and crc are 0. A message whose system flags have
//! [`flags::INNER_BATCH`] holds such a body; its messages take one offset each.

use bytes::{Buf, Bytes};
use thiserror::Error;

use crate::ids::Offset;
use crate::limits::PUBLISH_MESSAGES_MAX;
use crate::message::{NewMessage, StoredMessage, flags};
use crate::properties::Properties;
use crate::record::{Placement, RecordError, encode as encode_record};
use crate::verbs::PublishError;

/// Bytes of a message with neither body nor properties.
const EMPTY_BYTES: usize = 22;

/// Why a body is no batch.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BatchError {
    #[error("the batch is empty")]
    Empty,
    #[error("the batch has more than {PUBLISH_MESSAGES_MAX} messages")]
    TooMany,
    #[error("the batch ends in the middle of a message")]
    Broken,
}

impl From<BatchError> for PublishError {
    fn from(error: BatchError) -> Self {
        Self::Illegal(error.to_string())
    }
}

/// One message of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    pub body: Bytes,
    pub properties: Properties,
    pub flag: i32,
}

/// Whether a message holds others.
#[must_use]
pub const fn is_batch(system_flags: i32) -> bool {
    system_flags & flags::INNER_BATCH != 0
}

/// Takes a body apart; parts share its memory.
///
/// # Errors
/// If it is no batch, or has more than [`PUBLISH_MESSAGES_MAX`] messages.
pub fn parts(mut whole: Bytes) -> Result<Vec<Part>, BatchError> {
    let mut parts = Vec::new();
    while !whole.is_empty() {
        if parts.len() >= PUBLISH_MESSAGES_MAX {
            return Err(BatchError::TooMany);
        }
        parts.push(part(&mut whole).ok_or(BatchError::Broken)?);
    }
    if parts.is_empty() { Err(BatchError::Empty) } else { Ok(parts) }
}

fn part(whole: &mut Bytes) -> Option<Part> {
    let total = usize::try_from(i32::from_be_bytes(whole.get(..4)?.try_into().ok()?)).ok()?;
    if total < EMPTY_BYTES || total > whole.len() {
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

/// Appends one message as a batch carries it; `None` if it is too large for that.
#[must_use]
pub fn encode(out: &mut Vec<u8>, body: &[u8], properties: &str, flag: i32) -> Option<()> {
    let total = i32::try_from(EMPTY_BYTES + body.len() + properties.len()).ok()?;
    let properties_len = u16::try_from(properties.len()).ok()?;
    out.extend_from_slice(&total.to_be_bytes());
    out.extend_from_slice(&[0; 8]);
    out.extend_from_slice(&flag.to_be_bytes());
    out.extend_from_slice(&i32::try_from(body.len()).ok()?.to_be_bytes());
    out.extend_from_slice(body);
    out.extend_from_slice(&properties_len.to_be_bytes());
    out.extend_from_slice(properties.as_bytes());
    Some(())
}

impl NewMessage {
    /// A message of this batch, as if it had been sent by itself.
    #[must_use]
    pub fn with_part(&self, part: Part) -> Self {
        Self {
            body: part.body,
            properties: part.properties,
            flag: part.flag,
            system_flags: self.system_flags & !(flags::INNER_BATCH | flags::NEED_UNWRAP),
            born_ms: self.born_ms,
            born_host: self.born_host,
            reconsume_times: self.reconsume_times,
        }
    }
}

/// The messages of a stored batch, each with its own offset; they share its position.
///
/// # Errors
/// If the body is no batch.
pub fn unpack(batch: &StoredMessage) -> Result<Vec<StoredMessage>, RecordError> {
    let parts = parts(batch.body()).map_err(|_| RecordError::Range("batch"))?;
    let whole = NewMessage { body: Bytes::new(), ..batch.to_new() };
    let first = batch.offset().get();
    let single = |(part, offset): (Part, u64)| {
        let place = Placement { offset: Offset(offset), ..batch.placement() };
        let mut bytes = Vec::new();
        encode_record(&mut bytes, &whole.with_part(part), &place);
        StoredMessage::parse(bytes.into())
    };
    parts.into_iter().zip(first..).map(single).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn batch(messages: &[(String, String, i32)]) -> Vec<u8> {
        let mut out = Vec::new();
        for (body, properties, flag) in messages {
            encode(&mut out, body.as_bytes(), properties, *flag).expect("small");
        }
        out
    }

    proptest! {
        #[test]
        fn a_batch_survives(messages in proptest::collection::vec((".{0,40}", "[a-z]{0,20}", any::<i32>()), 1..9)) {
            let parts = parts(batch(&messages).into()).expect("whole");
            prop_assert_eq!(parts.len(), messages.len());
            for (part, (body, properties, flag)) in parts.iter().zip(&messages) {
                prop_assert_eq!(&part.body[..], body.as_bytes());
                prop_assert_eq!(part.properties.as_encoded(), properties.as_str());
                prop_assert_eq!(part.flag, *flag);
            }
        }

        #[test]
        fn garbage_does_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parts(bytes.into());
        }
    }

    #[test]
    fn golden_bytes() {
        let mut out = Vec::new();
        encode(&mut out, b"hi", "k\u{1}v\u{2}", 7).expect("small");
        let hex: String = out.iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, "0000001c0000000000000000000000070000000268690004 6b017602".replace(' ', ""));
    }

    #[test]
    fn what_is_cut_or_empty_is_no_batch() {
        let whole = batch(&[("body".to_owned(), String::new(), 0)]);
        assert_eq!(parts(Bytes::copy_from_slice(&whole[..whole.len() - 1])), Err(BatchError::Broken));
        assert_eq!(parts(Bytes::new()), Err(BatchError::Empty));
        let many = batch(&vec![(String::new(), String::new(), 0); PUBLISH_MESSAGES_MAX + 1]);
        assert_eq!(parts(many.into()), Err(BatchError::TooMany));
    }

    #[test]
    fn unpacked_messages_have_offsets_of_their_own() {
        let mut body = Vec::new();
        for n in 0..3 {
            encode(&mut body, format!("m{n}").as_bytes(), "TAGS\u{1}t\u{2}", n).expect("small");
        }
        let host = std::net::SocketAddr::from(([10, 0, 0, 1], 2));
        let new = NewMessage {
            body: body.into(),
            properties: Properties::new(),
            flag: 0,
            system_flags: flags::INNER_BATCH | flags::NEED_UNWRAP,
            born_ms: 3,
            born_host: host,
            reconsume_times: 0,
        };
        let place = Placement {
            topic: "t",
            queue: crate::QueueId(1),
            offset: Offset(40),
            lsn: crate::Lsn(500),
            stored_ms: 9,
            store_host: host,
            prepared: crate::Lsn::ZERO,
        };
        let mut bytes = Vec::new();
        encode_record(&mut bytes, &new, &place);
        let stored = StoredMessage::parse(bytes.into()).expect("whole");
        let singles = unpack(&stored).expect("a batch");
        let seen: Vec<_> = singles.iter().map(|m| (m.offset().get(), m.flag(), m.system_flags())).collect();
        assert_eq!(seen, [(40, 0, 0), (41, 1, 0), (42, 2, 0)]);
        assert_eq!(singles[2].body(), Bytes::from_static(b"m2"));
        assert_eq!(singles[2].lsn(), crate::Lsn(500));
        assert_eq!(singles[2].property("TAGS"), Some("t"));
    }
}
