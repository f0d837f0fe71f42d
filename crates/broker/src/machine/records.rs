//! The records of the machine: everything that can change its state.
//!
//! Little-endian. `text` = length u16 + UTF-8. Layouts:
//!
//! ```text
//! Message      prefix length u16, cause, stream u64, tag u32, stored ms i64, keys n u8 + u64 each,
//!              then the message in the layout of `model::record`
//! Reference    (a retry) cause, stream u64, tag u32, stored ms i64, group u32, original position u64,
//!              original length u32, reconsume times u32
//! Due, DueCancelled, DueMoved   see `due_records`
//! Deliver      group u32, client's position u64, delivered ms i64, deadline ms i64, attempt id text, parts u16:
//!              { stream u64, next varint, count u16, offsets as varint steps }
//! Ordered      as Deliver; each offset step is followed by its key u64, and each part ends with
//!              waiting u16: { offset step varint, key u64 }, passed u16: { offset step varint }
//! Release      group u32, stream u64, nonce u64, released ms i64, count u16: { offset step varint }
//! Batch        as a message, whose prefix goes on with: messages u16, tags n u8 + u32 each
//! Once         topic u32, identity 16 bytes, expires ms i64, stream u64, offset u64, position u64, stored ms i64
//! Settled      settled ms i64, count u16: { group u32, stream u64, offset varint }
//! Extend       group u32, stream u64, offset varint, delivered ms i64, deadline ms i64
//! Offset       group u32, stream u64, offset varint, how u8 (0 commit, 1 seek, 2 start), set ms i64,
//!              client's position u64
//! LiteMessage  as Message; the prefix ends with parent u32, stream u64, name text
//! LiteEnd      parent u32, count u16: { stream u64 }
//! Topic, Group, KeyValue, Mode, Quota, User, Policies   JSON of the object (deletions: see the enum)
//! Half, HalfEnd, HalfCheck   see `transactions`; Client   see `clients`
//! cause        0 | 1 fired: due ms i64, position u64 | 2 settles: group u32, stream u64, offset varint
//!              | 3 ends a half message: position u64
//! ```

use model::access::{Policy, UserConfig, UserName};
use model::quota::{Quota, QuotaScope};
use model::{GroupConfig, Lsn, StreamId, TopicConfig};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::bytes::{Reader, Short, Writer};
pub use super::due_records::{DueCancelled, DuePrefix, DueWhat, timer_hash};
use super::order::OrderKey;
use super::state::CursorKey;

/// Kind bytes of log records. Never reuse a number.
pub mod kind {
    pub const MESSAGE: u8 = 1;
    pub const REFERENCE: u8 = 2;
    pub const DUE: u8 = 3;
    pub const DELIVER: u8 = 4;
    pub const SETTLED: u8 = 5;
    pub const EXTEND: u8 = 6;
    pub const OFFSET: u8 = 7;
    pub const CATALOGUE: u8 = 8;
    /// Something due whose record retention has deleted: due ms i64, position u64.
    pub const DUE_DROPPED: u8 = 9;
    /// A delivery in order, see [`super::Deliver`].
    pub const ORDERED: u8 = 16;
    /// Deliveries that nobody got are taken back.
    pub const RELEASE: u8 = 17;
    /// A half message.
    pub const HALF: u8 = 10;
    /// A half message ends without a message of its own cause.
    pub const HALF_END: u8 = 11;
    /// A producer is asked about a half message.
    pub const HALF_CHECK: u8 = 12;
    /// A batch of messages, stored as it came.
    pub const BATCH: u8 = 21;
    /// A client, which later records point at: see `clients`.
    pub const CLIENT: u8 = 23;
    /// What makes the message before it the only one of its kind for a time: see `dedup`.
    pub const ONCE: u8 = 22;
    /// Something due that waits is not to happen.
    pub const DUE_CANCELLED: u8 = 13;
    /// Something due that waits, again, because its segment is about to be deleted.
    pub const DUE_MOVED: u8 = 14;
    /// A message that also stands in a lite topic.
    pub const LITE_MESSAGE: u8 = 18;
    /// Lite topics end.
    pub const LITE_END: u8 = 19;
}

/// Flag of an index entry: the record is a [`Reference`], not a message.
pub const ENTRY_REFERENCE: u16 = 1;
/// Flag of an index entry: the record is a batch, of as many messages as the entry counts.
pub const ENTRY_BATCH: u16 = 4;
/// Flag of an entry of a due minute: it ends the entry at the offset that its tag tells.
pub const ENTRY_CANCELS: u16 = 16;
/// Flag of an index entry: it stands in a lite topic; the message says so itself.
pub const ENTRY_LITE: u16 = 2;

/// Hashes of a message's keys.
pub type KeyHashes = SmallVec<[u64; 2]>;
/// Hashes of the tags in a batch.
pub type BatchTags = SmallVec<[u32; 2]>;

/// What else a record ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    None,
    /// What was due has happened.
    Fired {
        due_ms: i64,
        lsn: Lsn,
    },
    /// A delivery ends.
    Settles {
        key: CursorKey,
        offset: u64,
    },
    /// A half message ends: this is what it became.
    EndsHalf {
        lsn: Lsn,
    },
}

/// A message encoded by the caller, waiting for its place.
#[derive(Debug, Clone)]
pub struct EncodedMessage {
    pub bytes: Vec<u8>,
    pub tag: u32,
    pub keys: KeyHashes,
}

/// A batch encoded by the caller as one message, waiting for its place.
#[derive(Debug, Clone)]
pub struct EncodedBatch {
    pub message: EncodedMessage,
    pub count: u16,
    pub tags: BatchTags,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessagePrefix {
    pub cause: Cause,
    pub stream: StreamId,
    pub tag: u32,
    pub stored_ms: i64,
    pub keys: KeyHashes,
}

/// The prefix of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchPrefix {
    pub message: MessagePrefix,
    /// Messages in it; at least 1.
    pub count: u16,
    /// Different tags of its messages, 0 for those without; none at all if they are too many to name.
    pub tags: BatchTags,
}

/// A retry: an entry in a retry queue that stands for a message elsewhere in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reference {
    pub cause: Cause,
    pub stream: StreamId,
    pub tag: u32,
    pub stored_ms: i64,
    pub group_id: u32,
    pub original: Lsn,
    pub original_len: u32,
    pub reconsume_times: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deliver {
    pub group_id: u32,
    /// Of the record that names the receiver; zero if it has no name.
    pub client: Lsn,
    pub delivered_ms: i64,
    pub deadline_ms: i64,
    pub attempt_id: String,
    pub parts: Vec<DeliverPart>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeliverPart {
    pub stream: StreamId,
    /// First offset not looked at after this.
    pub next: u64,
    /// Ascending.
    pub offsets: Vec<u64>,
    /// What each offset blocks; empty if the delivery is not in order.
    pub keys: Vec<OrderKey>,
    /// Offsets from the former `next` on that are passed over and wait: their keys are blocked.
    /// Ascending.
    pub waiting: Vec<(u64, OrderKey)>,
    /// Offsets below the former `next` that end here: not stored any more, or not wanted. Ascending.
    pub passed: Vec<u64>,
}

/// Deliveries that nobody got: the caller had gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    pub key: CursorKey,
    pub nonce: Lsn,
    pub released_ms: i64,
    /// Ascending.
    pub offsets: Vec<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extend {
    pub key: CursorKey,
    pub offset: u64,
    pub delivered_ms: i64,
    pub deadline_ms: i64,
    /// The consumer failed and wants it again. Written only if so.
    pub failed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OffsetHow {
    /// A client that keeps its own count says how far it is.
    Commit,
    /// Progress is set anew; what is in flight is given up.
    Seek,
    /// A group's first contact with a queue; changes nothing if it has progress.
    Start,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OffsetSet {
    pub key: CursorKey,
    pub offset: u64,
    pub how: OffsetHow,
    pub set_ms: i64,
    /// Of the record that names who said so; zero if that is not known.
    pub client: Lsn,
}

/// Rare changes of configuration, as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum Catalogue {
    TopicPut {
        id: u32,
        config: TopicConfig,
    },
    TopicDelete {
        id: u32,
    },
    GroupPut {
        id: u32,
        config: GroupConfig,
    },
    GroupDelete {
        id: u32,
        clean_offsets: bool,
    },
    KeyValue {
        namespace: String,
        key: String,
        value: Option<String>,
    },
    UserPut {
        user: UserName,
        config: UserConfig,
    },
    UserDelete {
        user: UserName,
    },
    /// All policies of a user.
    PoliciesPut {
        user: UserName,
        policies: Vec<Policy>,
    },
    QuotaPut {
        quota: Quota,
    },
    QuotaDelete {
        scope: QuotaScope,
        name: String,
    },
}

impl Cause {
    fn encode(self, out: &mut Writer<'_>) {
        match self {
            Self::None => out.u8(0),
            Self::Fired { due_ms, lsn } => {
                out.u8(1);
                out.i64(due_ms);
                out.u64(lsn.get());
            }
            Self::Settles { key, offset } => {
                out.u8(2);
                out.u32(key.group_id);
                out.u64(key.stream.get());
                out.varint(offset);
            }
            Self::EndsHalf { lsn } => {
                out.u8(3);
                out.u64(lsn.get());
            }
        }
    }

    fn decode(from: &mut Reader<'_>) -> Result<Self, Short> {
        match from.u8()? {
            0 => Ok(Self::None),
            1 => Ok(Self::Fired { due_ms: from.i64()?, lsn: Lsn(from.u64()?) }),
            2 => Ok(Self::Settles { key: key(from)?, offset: from.varint()? }),
            3 => Ok(Self::EndsHalf { lsn: Lsn(from.u64()?) }),
            _ => Err(Short),
        }
    }
}

fn key(from: &mut Reader<'_>) -> Result<CursorKey, Short> {
    Ok(CursorKey { group_id: from.u32()?, stream: StreamId(from.u64()?) })
}

pub(super) fn encode_keys(keys: &[u64], out: &mut Writer<'_>) {
    let kept = keys.get(..keys.len().min(usize::from(u8::MAX))).unwrap_or_default();
    out.u8(u8::try_from(kept.len()).unwrap_or(0));
    for hash in kept {
        out.u64(*hash);
    }
}

pub(super) fn decode_keys(from: &mut Reader<'_>) -> Result<KeyHashes, Short> {
    (0..from.u8()?).map(|_| from.u64()).collect()
}

/// Writes a prefix behind its own length.
pub(super) fn prefixed(out: &mut Vec<u8>, write: impl FnOnce(&mut Writer<'_>)) {
    let at = out.len();
    out.extend_from_slice(&[0, 0]);
    write(&mut Writer(out));
    let len = u16::try_from(out.len() - at)
        .expect("a prefix holds at most 255 keys of 8 bytes and as many tags of 4");
    if let Some(place) = out.get_mut(at..at + 2) {
        place.copy_from_slice(&len.to_le_bytes());
    }
}

/// The length of a prefix, and what stands in it.
pub(super) fn split_prefix(payload: &[u8]) -> Result<(usize, Reader<'_>), Short> {
    let mut reader = Reader(payload);
    let len = usize::from(reader.u16()?);
    let inside = payload.get(2..len).ok_or(Short)?;
    Ok((len, Reader(inside)))
}

impl MessagePrefix {
    pub fn encode(&self, out: &mut Vec<u8>) {
        self.encode_with(out, |_| {});
    }

    /// As [`Self::encode`], with something more at the end of the prefix.
    pub fn encode_with(&self, out: &mut Vec<u8>, more: impl FnOnce(&mut Writer<'_>)) {
        prefixed(out, |out| {
            self.encode_fields(out);
            more(out);
        });
    }

    fn encode_fields(&self, out: &mut Writer<'_>) {
        self.cause.encode(out);
        out.u64(self.stream.get());
        out.u32(self.tag);
        out.i64(self.stored_ms);
        encode_keys(&self.keys, out);
    }

    fn decode_fields(from: &mut Reader<'_>) -> Result<Self, Short> {
        let cause = Cause::decode(from)?;
        let stream = StreamId(from.u64()?);
        let tag = from.u32()?;
        let stored_ms = from.i64()?;
        Ok(Self { cause, stream, tag, stored_ms, keys: decode_keys(from)? })
    }

    /// The prefix and its length. What a batch has more is passed over.
    pub fn decode(payload: &[u8]) -> Result<(Self, usize), Short> {
        Self::decode_with(payload).map(|(prefix, len, _)| (prefix, len))
    }

    /// The prefix, its length, and what more there is at its end.
    pub fn decode_with(payload: &[u8]) -> Result<(Self, usize, Reader<'_>), Short> {
        let (len, mut from) = split_prefix(payload)?;
        Ok((Self::decode_fields(&mut from)?, len, from))
    }
}

impl BatchPrefix {
    pub fn encode(&self, out: &mut Vec<u8>) {
        prefixed(out, |out| {
            self.message.encode_fields(out);
            out.u16(self.count);
            let tags = self.tags.get(..self.tags.len().min(usize::from(u8::MAX))).unwrap_or_default();
            out.u8(u8::try_from(tags.len()).unwrap_or(0));
            for tag in tags {
                out.u32(*tag);
            }
        });
    }

    pub fn decode(payload: &[u8]) -> Result<Self, Short> {
        let (_, mut from) = split_prefix(payload)?;
        let message = MessagePrefix::decode_fields(&mut from)?;
        let count = from.u16()?;
        let tags = (0..from.u8()?).map(|_| from.u32()).collect::<Result<_, _>>()?;
        Ok(Self { message, count: count.max(1), tags })
    }
}

/// Length of the prefix of a message or due record, without decoding it.
pub fn prefix_len(payload: &[u8]) -> Result<usize, Short> {
    Reader(payload).u16().map(usize::from)
}

impl Reference {
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut out = Writer(out);
        self.cause.encode(&mut out);
        out.u64(self.stream.get());
        out.u32(self.tag);
        out.i64(self.stored_ms);
        out.u32(self.group_id);
        out.u64(self.original.get());
        out.u32(self.original_len);
        out.u32(self.reconsume_times);
    }

    pub fn decode(payload: &[u8]) -> Result<Self, Short> {
        let mut from = Reader(payload);
        Ok(Self {
            cause: Cause::decode(&mut from)?,
            stream: StreamId(from.u64()?),
            tag: from.u32()?,
            stored_ms: from.i64()?,
            group_id: from.u32()?,
            original: Lsn(from.u64()?),
            original_len: from.u32()?,
            reconsume_times: from.u32()?,
        })
    }
}

/// Writes a count and ascending offsets as steps, each with what `each` appends.
fn encode_steps<T: Copy>(
    items: impl ExactSizeIterator<Item = (u64, T)>,
    out: &mut Writer<'_>,
    each: impl Fn(T, &mut Writer<'_>),
) {
    out.u16(u16::try_from(items.len()).expect("a receive call is cut to few messages"));
    let mut last = 0;
    for (offset, item) in items {
        out.varint(offset - last);
        each(item, out);
        last = offset;
    }
}

fn decode_steps<T>(
    from: &mut Reader<'_>,
    each: impl Fn(&mut Reader<'_>) -> Result<T, Short>,
) -> Result<Vec<(u64, T)>, Short> {
    let mut last = 0_u64;
    let count = from.u16()?;
    (0..count)
        .map(|_| {
            last = last.checked_add(from.varint()?).ok_or(Short)?;
            Ok((last, each(from)?))
        })
        .collect()
}

fn plain_steps(offsets: &[u64]) -> impl ExactSizeIterator<Item = (u64, ())> {
    offsets.iter().map(|offset| (*offset, ()))
}

fn decode_plain_steps(from: &mut Reader<'_>) -> Result<Vec<u64>, Short> {
    let steps = decode_steps(from, |_| Ok(()))?;
    Ok(steps.into_iter().map(|(offset, ())| offset).collect())
}

impl Deliver {
    /// The kind of record that holds all of it.
    #[must_use]
    pub fn kind(&self) -> u8 {
        let is_plain =
            |part: &DeliverPart| part.keys.is_empty() && part.waiting.is_empty() && part.passed.is_empty();
        if self.parts.iter().all(is_plain) { kind::DELIVER } else { kind::ORDERED }
    }

    pub fn encode(&self, out: &mut Vec<u8>) {
        let is_ordered = self.kind() == kind::ORDERED;
        let mut out = Writer(out);
        out.u32(self.group_id);
        out.u64(self.client.get());
        out.i64(self.delivered_ms);
        out.i64(self.deadline_ms);
        out.text(&self.attempt_id);
        out.u16(u16::try_from(self.parts.len()).expect("a receive call is cut to few queues"));
        for part in &self.parts {
            out.u64(part.stream.get());
            out.varint(part.next);
            if !is_ordered {
                encode_steps(plain_steps(&part.offsets), &mut out, |(), _| {});
                continue;
            }
            let key_at = |at: usize| part.keys.get(at).copied().unwrap_or(OrderKey::NONE);
            let keyed = part.offsets.iter().enumerate().map(|(at, offset)| (*offset, key_at(at)));
            encode_steps(keyed, &mut out, |key, out| out.u64(key.0));
            encode_steps(part.waiting.iter().copied(), &mut out, |key, out| out.u64(key.0));
            encode_steps(plain_steps(&part.passed), &mut out, |(), _| {});
        }
    }

    /// Decodes a record of the kind [`kind::DELIVER`] or [`kind::ORDERED`].
    ///
    /// # Errors
    /// If the bytes end too early.
    pub fn decode(kind: u8, payload: &[u8]) -> Result<Self, Short> {
        let mut from = Reader(payload);
        let mut deliver = Self {
            group_id: from.u32()?,
            client: Lsn(from.u64()?),
            delivered_ms: from.i64()?,
            deadline_ms: from.i64()?,
            attempt_id: from.text()?.to_owned(),
            parts: Vec::new(),
        };
        for _ in 0..from.u16()? {
            let mut part =
                DeliverPart { stream: StreamId(from.u64()?), next: from.varint()?, ..DeliverPart::default() };
            if kind == kind::ORDERED {
                let key = |from: &mut Reader<'_>| from.u64().map(OrderKey);
                (part.offsets, part.keys) = decode_steps(&mut from, key)?.into_iter().unzip();
                part.waiting = decode_steps(&mut from, key)?;
                part.passed = decode_plain_steps(&mut from)?;
            } else {
                part.offsets = decode_plain_steps(&mut from)?;
            }
            deliver.parts.push(part);
        }
        Ok(deliver)
    }
}

impl Release {
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut out = Writer(out);
        out.u32(self.key.group_id);
        out.u64(self.key.stream.get());
        out.u64(self.nonce.get());
        out.i64(self.released_ms);
        encode_steps(plain_steps(&self.offsets), &mut out, |(), _| {});
    }

    /// # Errors
    /// If the bytes end too early.
    pub fn decode(payload: &[u8]) -> Result<Self, Short> {
        let mut from = Reader(payload);
        let (key, nonce) = (key(&mut from)?, Lsn(from.u64()?));
        let released_ms = from.i64()?;
        Ok(Self { key, nonce, released_ms, offsets: decode_plain_steps(&mut from)? })
    }
}

/// Encodes deliveries that end.
pub fn encode_settled(settled_ms: i64, items: &[(CursorKey, u64)], out: &mut Vec<u8>) {
    let mut out = Writer(out);
    out.i64(settled_ms);
    out.u16(u16::try_from(items.len()).expect("acks are cut to few per record"));
    for (key, offset) in items {
        out.u32(key.group_id);
        out.u64(key.stream.get());
        out.varint(*offset);
    }
}

/// When, and which.
pub fn decode_settled(payload: &[u8]) -> Result<(i64, Vec<(CursorKey, u64)>), Short> {
    let mut from = Reader(payload);
    let settled_ms = from.i64()?;
    let items = (0..from.u16()?).map(|_| Ok((key(&mut from)?, from.varint()?)));
    Ok((settled_ms, items.collect::<Result<_, Short>>()?))
}

impl Extend {
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut out = Writer(out);
        out.u32(self.key.group_id);
        out.u64(self.key.stream.get());
        out.varint(self.offset);
        out.i64(self.delivered_ms);
        out.i64(self.deadline_ms);
        if self.failed {
            out.u8(1);
        }
    }

    pub fn decode(payload: &[u8]) -> Result<Self, Short> {
        let mut from = Reader(payload);
        Ok(Self {
            key: key(&mut from)?,
            offset: from.varint()?,
            delivered_ms: from.i64()?,
            deadline_ms: from.i64()?,
            failed: !from.0.is_empty() && from.u8()? == 1,
        })
    }
}

impl OffsetSet {
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut out = Writer(out);
        out.u32(self.key.group_id);
        out.u64(self.key.stream.get());
        out.varint(self.offset);
        out.u8(match self.how {
            OffsetHow::Commit => 0,
            OffsetHow::Seek => 1,
            OffsetHow::Start => 2,
        });
        out.i64(self.set_ms);
        out.u64(self.client.get());
    }

    pub fn decode(payload: &[u8]) -> Result<Self, Short> {
        let mut from = Reader(payload);
        let (key, offset) = (key(&mut from)?, from.varint()?);
        let how = match from.u8()? {
            0 => OffsetHow::Commit,
            1 => OffsetHow::Seek,
            2 => OffsetHow::Start,
            _ => return Err(Short),
        };
        Ok(Self { key, offset, how, set_ms: from.i64()?, client: Lsn(from.u64()?) })
    }
}

#[cfg(test)]
#[path = "records_tests.rs"]
mod tests;
