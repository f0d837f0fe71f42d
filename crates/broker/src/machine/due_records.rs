//! The records of what waits for its time.
//!
//! Little-endian, as in [`super::records`]:
//!
//! ```text
//! Due          prefix length u16, due ms i64, stored ms i64, what u8, then
//!                0 reference: stream u64, tag u32, group u32, original position u64, length u32, times u32
//!                1 message:   stream u64, tag u32, keys n u8 + u64 each; then the message
//!                3 recurring: stream u64, tag u32, keys n u8 + u64 each, fired times u32; then the message
//! DueCancelled at ms i64, key hash u64, due ms i64, position u64, offset in its minute's stream u64
//! DueMoved     as Due, and at the end of the prefix: the position before u64
//! ```

use model::{Lsn, StreamId};

use super::bytes::{Reader, Short, Writer};
use super::records::{KeyHashes, decode_keys, encode_keys, prefix_len, prefixed, split_prefix};

/// Something to do at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DuePrefix {
    pub due_ms: i64,
    pub stored_ms: i64,
    pub what: DueWhat,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DueWhat {
    /// Append a reference (a 4.x retry).
    Reference {
        stream: StreamId,
        tag: u32,
        group_id: u32,
        original: Lsn,
        original_len: u32,
        reconsume_times: u32,
    },
    /// Append the message that follows the prefix.
    Message { stream: StreamId, tag: u32, keys: KeyHashes },
    /// Append the message that follows the prefix, and arm it again.
    Recurring { stream: StreamId, tag: u32, keys: KeyHashes, fired_times: u32 },
}

impl DueWhat {
    /// What a timed message is found by until it fires; `None` for what cannot be recalled.
    #[must_use]
    pub fn timer_hash(&self) -> Option<u64> {
        match self {
            Self::Message { keys, .. } | Self::Recurring { keys, .. } => {
                keys.first().map(|id| timer_hash(*id))
            }
            Self::Reference { .. } => None,
        }
    }
}

/// The hash that finds a timed message that waits, from that of its unique id.
#[must_use]
pub const fn timer_hash(unique_id: u64) -> u64 {
    // Another one than that of the message itself, so that a query by key finds only what was fired.
    unique_id.rotate_left(29) ^ 0x7469_6D65_7273_2131
}

/// The end of something that waited, before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DueCancelled {
    pub at_ms: i64,
    pub hash: u64,
    pub due_ms: i64,
    pub lsn: Lsn,
    /// Of its entry, in the stream of its minute.
    pub offset: u64,
}

impl DueCancelled {
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut out = Writer(out);
        out.i64(self.at_ms);
        out.u64(self.hash);
        out.i64(self.due_ms);
        out.u64(self.lsn.get());
        out.u64(self.offset);
    }

    pub fn decode(payload: &[u8]) -> Result<Self, Short> {
        let mut from = Reader(payload);
        Ok(Self {
            at_ms: from.i64()?,
            hash: from.u64()?,
            due_ms: from.i64()?,
            lsn: Lsn(from.u64()?),
            offset: from.u64()?,
        })
    }
}

impl DuePrefix {
    pub fn encode(&self, out: &mut Vec<u8>) {
        prefixed(out, |out| self.encode_fields(out));
    }

    /// The prefix of something that stood at `before`.
    pub fn encode_moved(&self, before: Lsn, out: &mut Vec<u8>) {
        prefixed(out, |out| {
            self.encode_fields(out);
            out.u64(before.get());
        });
    }

    /// Where something that was moved stood before.
    pub fn moved_from(payload: &[u8]) -> Result<Lsn, Short> {
        let end = prefix_len(payload)?;
        let at = end.checked_sub(8).ok_or(Short)?;
        Reader(payload.get(at..end).ok_or(Short)?).u64().map(Lsn)
    }

    fn encode_fields(&self, out: &mut Writer<'_>) {
        out.i64(self.due_ms);
        out.i64(self.stored_ms);
        match &self.what {
            DueWhat::Reference { stream, tag, group_id, original, original_len, reconsume_times } => {
                out.u8(0);
                out.u64(stream.get());
                out.u32(*tag);
                out.u32(*group_id);
                out.u64(original.get());
                out.u32(*original_len);
                out.u32(*reconsume_times);
            }
            DueWhat::Message { stream, tag, keys } => {
                out.u8(1);
                out.u64(stream.get());
                out.u32(*tag);
                encode_keys(keys, out);
            }
            DueWhat::Recurring { stream, tag, keys, fired_times } => {
                out.u8(3);
                out.u64(stream.get());
                out.u32(*tag);
                encode_keys(keys, out);
                out.u32(*fired_times);
            }
        }
    }

    pub fn decode(payload: &[u8]) -> Result<(Self, usize), Short> {
        let (len, mut from) = split_prefix(payload)?;
        let (due_ms, stored_ms) = (from.i64()?, from.i64()?);
        let what = match from.u8()? {
            0 => DueWhat::Reference {
                stream: StreamId(from.u64()?),
                tag: from.u32()?,
                group_id: from.u32()?,
                original: Lsn(from.u64()?),
                original_len: from.u32()?,
                reconsume_times: from.u32()?,
            },
            1 => DueWhat::Message {
                stream: StreamId(from.u64()?),
                tag: from.u32()?,
                keys: decode_keys(&mut from)?,
            },
            3 => DueWhat::Recurring {
                stream: StreamId(from.u64()?),
                tag: from.u32()?,
                keys: decode_keys(&mut from)?,
                fired_times: from.u32()?,
            },
            _ => return Err(Short),
        };
        Ok((Self { due_ms, stored_ms, what }, len))
    }
}

#[cfg(test)]
#[path = "due_records_tests.rs"]
mod tests;
