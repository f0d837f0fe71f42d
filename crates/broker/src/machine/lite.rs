//! Lite topics in the machine: what makes and ends them, and progress in them that costs no memory
//! while nothing happens.
//!
//! ```text
//! l/<parent u32 BE><stream u64 BE>    the lite topic's name; there exactly while the lite topic is
//! q/<stream u64 BE><group u32 BE>     a group's cursor in it, see `Cursor::encode`
//! y/lite                              count u32: { parent u32, lite topics u64 }
//! ```
//! A lite topic is made by its first message ([`kind::LITE_MESSAGE`], which stands in a queue of the
//! parent and in the lite topic) and ended by [`kind::LITE_END`]. It has no other state: no
//! configuration, no number of its own.
//!
//! A cursor in a lite topic is in memory only while something of it is in flight, or has changed since
//! the last checkpoint. Everything that would make or move one calls [`BrokerMachine::page_in`] first.
//!
//! Invariants: the object `l/` is there exactly if the stream has an entry that was not dropped; a
//! cursor that is not in memory has nothing in flight.

use std::collections::{BTreeMap, BTreeSet};

use model::record::Stamp;
use model::{Offset, StreamId};
use replica::{ApplyError, Decision, Proposal};
use smallvec::SmallVec;
use store::{NewEntry, RecordRef, Views, ViewsReader};

use super::bytes::{Reader, Short, Writer};
use super::command::{Command, Outcome, PlacedMessage, Refusal};
use super::cursor::Cursor;
use super::records::{Cause, ENTRY_LITE, EncodedMessage, MessagePrefix, kind};
use super::state::CursorKey;
use super::{BrokerMachine, Touch};
use crate::streams;

/// Lite topics that one record ends: bounded by its 16 bit count, and by the work of one step.
pub const ENDED_PER_RECORD_MAX: usize = 512;

const COUNTS: &[u8] = b"y/lite";
const NAME_PREFIX: &[u8] = b"l/";
const CURSOR_PREFIX: &[u8] = b"q/";

/// What the machine keeps of lite topics in memory.
#[derive(Debug, Default)]
pub(super) struct LiteState {
    /// Cursors in lite topics that are in memory, or are known not to be.
    resident: BTreeSet<(StreamId, u32)>,
    /// Groups that may have cursors in lite topics: what ends one looks for theirs, and not through all.
    groups: BTreeSet<u32>,
    /// Cursors of lite topics that are about to end.
    ending: BTreeMap<StreamId, BTreeSet<CursorKey>>,
    counts_are_dirty: bool,
}

/// Messages for lite topics of one parent.
#[derive(Debug)]
pub struct LitePublish {
    pub parent_id: u32,
    /// The parent's queue.
    pub stream: StreamId,
    /// Each with the name of its lite topic.
    pub messages: SmallVec<[(String, EncodedMessage); 1]>,
    /// Lite topics of this node that there may be.
    pub max: u64,
}

/// Ends lite topics.
#[derive(Debug, Clone)]
pub struct LiteEnd {
    pub parent_id: u32,
    pub streams: Vec<StreamId>,
    /// Only those without a message after this time.
    pub idle_since_ms: Option<i64>,
}

/// Where else a message stands: the end of the prefix of a [`kind::LITE_MESSAGE`].
#[derive(Debug, PartialEq, Eq)]
struct LitePlace<'a> {
    parent_id: u32,
    stream: StreamId,
    name: &'a str,
}

/// The stream of the lite topic that a message's record also stands in.
pub(crate) fn lite_place_of(payload: &[u8]) -> Option<StreamId> {
    let (_, _, rest) = MessagePrefix::decode_with(payload).ok()?;
    LitePlace::decode(rest).ok().map(|lite| lite.stream)
}

impl<'a> LitePlace<'a> {
    fn encode(&self, out: &mut Writer<'_>) {
        out.u32(self.parent_id);
        out.u64(self.stream.get());
        out.text(self.name);
    }

    fn decode(mut from: Reader<'a>) -> Result<Self, Short> {
        Ok(Self { parent_id: from.u32()?, stream: StreamId(from.u64()?), name: from.text()? })
    }
}

fn encode_end(parent_id: u32, streams: &[StreamId], out: &mut Vec<u8>) {
    let mut out = Writer(out);
    out.u32(parent_id);
    out.u16(u16::try_from(streams.len()).expect("ends are cut to ENDED_PER_RECORD_MAX"));
    for stream in streams {
        out.u64(stream.get());
    }
}

fn decode_end(payload: &[u8]) -> Result<(u32, Vec<StreamId>), Short> {
    let mut from = Reader(payload);
    let parent_id = from.u32()?;
    let streams = (0..from.u16()?).map(|_| from.u64().map(StreamId)).collect::<Result<_, _>>()?;
    Ok((parent_id, streams))
}

/// The key of a lite topic's name.
pub(crate) fn name_key(parent_id: u32, stream: StreamId) -> Vec<u8> {
    [NAME_PREFIX, &parent_id.to_be_bytes(), &stream.get().to_be_bytes()].concat()
}

/// What the keys of a parent's lite topics in one of 256 parts begin with.
pub(crate) fn part_prefix(parent_id: u32, part: u8) -> Vec<u8> {
    let stream = streams::lite_part(part).get().to_be_bytes();
    let mut prefix = [NAME_PREFIX, &parent_id.to_be_bytes(), &stream].concat();
    prefix.truncate(NAME_PREFIX.len() + 4 + 2);
    prefix
}

/// The stream that a name's key stands for.
pub(crate) fn stream_of_name_key(key: &[u8]) -> Option<StreamId> {
    let stream = key.get(NAME_PREFIX.len() + 4..)?.try_into().ok()?;
    Some(StreamId(u64::from_be_bytes(stream)))
}

/// The key of a cursor in a lite topic.
pub(crate) fn cursor_key(key: CursorKey) -> Vec<u8> {
    [CURSOR_PREFIX, &key.stream.get().to_be_bytes(), &key.group_id.to_be_bytes()].concat()
}

fn parse_cursor_key(key: &[u8]) -> Result<CursorKey, Short> {
    let (stream, group) = key.get(CURSOR_PREFIX.len()..).ok_or(Short)?.split_at_checked(8).ok_or(Short)?;
    Ok(CursorKey {
        group_id: u32::from_be_bytes(group.try_into().map_err(|_| Short)?),
        stream: StreamId(u64::from_be_bytes(stream.try_into().map_err(|_| Short)?)),
    })
}

fn is_idle(cursor: &Cursor) -> bool {
    cursor.in_flight.is_empty() && cursor.waiting.is_empty()
}

/// A cursor in a lite topic as it is stored.
///
/// # Errors
/// If it cannot be read.
pub(crate) fn stored_cursor(views: &ViewsReader, key: CursorKey) -> Result<Option<Cursor>, String> {
    let stored = views.object(&cursor_key(key)).map_err(|error| error.to_string())?;
    let Some(stored) = stored else { return Ok(None) };
    Cursor::decode(&mut Reader(&stored)).map(Some).map_err(|error| error.to_string())
}

impl BrokerMachine {
    // === proposing ===

    pub(super) fn publish_lite(
        &mut self,
        publish: LitePublish,
        proposal: &mut Proposal<'_>,
    ) -> Decision<Outcome> {
        if let Some(used_percent) = proposal.refuse_messages {
            return Decision::Now(Outcome::Refused(Refusal::DiskFull { used_percent }));
        }
        let LitePublish { parent_id, stream, messages, max } = publish;
        let is_new = |name: &&String| proposal.views.next_offset(streams::of_lite(parent_id, name)) == 0;
        let new: BTreeSet<&String> = messages.iter().map(|(name, _)| name).filter(is_new).collect();
        if !new.is_empty() && self.state.lite_topics() + new.len() as u64 > max {
            return Decision::Now(Outcome::Refused(Refusal::LiteQuota { max }));
        }
        let placed = messages
            .iter()
            .map(|(name, message)| {
                let lite = LitePlace { parent_id, stream: streams::of_lite(parent_id, name), name };
                self.place_lite(stream, message, &lite, proposal)
            })
            .collect();
        Decision::Committed(Outcome::Published(placed))
    }

    fn place_lite(
        &mut self,
        stream: StreamId,
        message: &EncodedMessage,
        lite: &LitePlace<'_>,
        proposal: &mut Proposal<'_>,
    ) -> PlacedMessage {
        let offset = Offset(proposal.views.next_offset(stream));
        let last_ms = proposal.views.last_time_ms(stream).max(proposal.views.last_time_ms(lite.stream));
        let stored_ms = proposal.now_ms.max(last_ms);
        let EncodedMessage { bytes, tag, keys } = message;
        let prefix = MessagePrefix { cause: Cause::None, stream, tag: *tag, stored_ms, keys: keys.clone() };
        let placed = proposal.push(kind::LITE_MESSAGE, |lsn, out| {
            prefix.encode_with(out, |out| lite.encode(out));
            let at = out.len();
            out.extend_from_slice(bytes);
            let record = out.get_mut(at..).expect("the message was just appended");
            Stamp { offset, lsn, stored_ms }.put(record).expect("callers hand in whole encoded messages");
        });
        self.apply_placed(proposal);
        PlacedMessage { offset, lsn: placed.lsn, stored_ms }
    }

    pub(super) fn end_lite(&mut self, end: &LiteEnd, proposal: &mut Proposal<'_>) -> Decision<Outcome> {
        let is_over = |stream: &&StreamId| match end.idle_since_ms {
            Some(since_ms) => proposal.views.last_time_ms(**stream) <= since_ms,
            None => true,
        };
        let mut streams: Vec<StreamId> = end.streams.iter().filter(is_over).copied().collect();
        streams.sort_unstable();
        streams.dedup();
        self.lite.ending.clear();
        for some in streams.chunks(ENDED_PER_RECORD_MAX) {
            // Applying reads what it removes, and must not fail half-way.
            for stream in some {
                match self.cursors_of_lite(*stream) {
                    Ok(keys) => self.lite.ending.insert(*stream, keys),
                    Err(error) => {
                        tracing::error!(error, "the cursors of a lite topic cannot be read; it does not end");
                        return Decision::Now(Outcome::Refused(Refusal::Unreadable));
                    }
                };
            }
            proposal.push(kind::LITE_END, |_, out| encode_end(end.parent_id, some, out));
            self.apply_placed(proposal);
        }
        Decision::Committed(Outcome::LiteEnded(streams))
    }

    /// Brings the cursors in lite topics into memory that a command is about to make or move.
    pub(super) fn page_in_for(&mut self, command: &Command) -> Result<(), String> {
        match command {
            Command::Deliver(deliver) => {
                let group_id = deliver.group_id;
                let keys = deliver.parts.iter().map(|(_, part)| CursorKey { group_id, stream: part.stream });
                keys.into_iter().try_for_each(|key| self.page_in(key))
            }
            Command::StartCursor { key, .. } | Command::CommitOffset { key, .. } => self.page_in(*key),
            Command::Seek { group_id, to } => to
                .iter()
                .try_for_each(|(stream, _)| self.page_in(CursorKey { group_id: *group_id, stream: *stream })),
            _ => Ok(()),
        }
    }

    fn page_in(&mut self, key: CursorKey) -> Result<(), String> {
        if !streams::is_lite(key.stream) || self.lite.resident.contains(&(key.stream, key.group_id)) {
            return Ok(());
        }
        let views = self.views.as_ref().ok_or("the views are not attached")?;
        self.lite.groups.insert(key.group_id);
        if let Some(cursor) = stored_cursor(views, key)? {
            *self.state.cursor_or_new(key).cursor.lock() = cursor;
        }
        // Also if there is none: what is placed after this need not read again.
        self.lite.resident.insert((key.stream, key.group_id));
        Ok(())
    }

    // === applying ===

    /// As [`Self::page_in_for`], for a record.
    pub(super) fn page_in_record(
        &mut self,
        record: &RecordRef<'_>,
        keys: impl Iterator<Item = CursorKey>,
    ) -> Result<(), ApplyError> {
        let refused = |reason: String| ApplyError { lsn: record.lsn, kind: record.kind, reason };
        keys.into_iter().try_for_each(|key| self.page_in(key).map_err(refused))
    }

    /// The message gets its entry in the lite topic, which is made if need be. Its entry in the
    /// parent's queue is made by the caller, before.
    pub(super) fn apply_lite(&mut self, views: &mut Views, record: &RecordRef<'_>) -> Result<(), Short> {
        let (prefix, _, rest) = MessagePrefix::decode_with(record.payload)?;
        let lite = LitePlace::decode(rest)?;
        if views.next_offset(lite.stream) == 0 {
            views.put_object(&name_key(lite.parent_id, lite.stream), lite.name.as_bytes());
            self.state.add_lite_topics(lite.parent_id, 1);
            self.lite.counts_are_dirty = true;
        }
        let MessagePrefix { tag, stored_ms: time_ms, .. } = prefix;
        let entry = NewEntry { lsn: record.lsn, len: record.len, tag, time_ms, count: 1, flags: ENTRY_LITE };
        views.append(lite.stream, entry);
        self.touched.push((lite.stream, Touch::Entry { tag }));
        Ok(())
    }

    pub(super) fn apply_lite_end(&mut self, views: &mut Views, payload: &[u8]) -> Result<(), String> {
        let (parent_id, streams) = decode_end(payload).map_err(|error| error.to_string())?;
        for stream in streams {
            if views.next_offset(stream) == 0 {
                continue;
            }
            let keys = match self.lite.ending.remove(&stream) {
                Some(keys) => keys,
                None => self.cursors_of_lite(stream)?,
            };
            for key in keys {
                self.lite.resident.remove(&(key.stream, key.group_id));
                self.drop_cursor(views, key);
            }
            views.remove_object(&name_key(parent_id, stream));
            views.drop_stream(stream);
            self.state.add_lite_topics(parent_id, -1);
            self.lite.counts_are_dirty = true;
        }
        Ok(())
    }

    /// All cursors in a lite topic, in memory or not.
    fn cursors_of_lite(&self, stream: StreamId) -> Result<BTreeSet<CursorKey>, String> {
        let resident = self.lite.resident.range((stream, 0)..=(stream, u32::MAX));
        let mut keys: BTreeSet<CursorKey> =
            resident.map(|(stream, group_id)| CursorKey { group_id: *group_id, stream: *stream }).collect();
        let views = self.views.as_ref().ok_or("the views are not attached")?;
        // One look for each group: a scan reads a block of every run file, a look almost none.
        for group_id in &self.lite.groups {
            let key = CursorKey { group_id: *group_id, stream };
            let stored = views.object(&cursor_key(key)).map_err(|error| error.to_string())?;
            if stored.is_some() {
                keys.insert(key);
            }
        }
        Ok(keys)
    }

    // === checkpoints ===

    /// Lets cursors go that are idle. Their objects have just been written.
    pub(super) fn store_lite(&mut self, views: &mut Views) {
        let state = &self.state;
        let deadline_of = &self.deadline_of;
        self.lite.resident.retain(|(stream, group_id)| {
            let key = CursorKey { group_id: *group_id, stream: *stream };
            let Some(cell) = state.cursor(key) else { return false };
            let stays = !is_idle(&cell.cursor.lock()) || deadline_of.contains_key(&key);
            if !stays {
                state.remove_cursor(key);
            }
            stays
        });
        if std::mem::take(&mut self.lite.counts_are_dirty) {
            let counts = self.state.lite_counts();
            let mut bytes = Vec::new();
            let mut out = Writer(&mut bytes);
            out.u32(u32::try_from(counts.len()).unwrap_or(u32::MAX));
            for (parent_id, count) in counts {
                out.u32(parent_id);
                out.u64(count);
            }
            views.put_object(COUNTS, &bytes);
        }
    }

    pub(super) fn load_lite_counts(&self, value: &[u8]) -> Result<(), Short> {
        let mut from = Reader(value);
        let mut counts = BTreeMap::new();
        for _ in 0..from.u32()? {
            counts.insert(from.u32()?, from.u64()?);
        }
        self.state.set_lite_counts(counts);
        Ok(())
    }

    /// Of the cursors in lite topics only those come into memory that have something in flight.
    pub(super) fn load_lite_cursor(&mut self, key: &[u8], value: &[u8]) -> Result<(), Short> {
        let cursor = Cursor::decode(&mut Reader(value))?;
        let key = parse_cursor_key(key)?;
        self.lite.groups.insert(key.group_id);
        if is_idle(&cursor) {
            return Ok(());
        }
        self.watch_deadline(key, cursor.first_deadline_ms());
        self.lite.resident.insert((key.stream, key.group_id));
        *self.state.cursor_or_new(key).cursor.lock() = cursor;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_says_where_else_it_stands() {
        let prefix = MessagePrefix {
            cause: Cause::None,
            stream: StreamId(1 << 56),
            tag: 7,
            stored_ms: 1_000,
            keys: SmallVec::from_slice(&[9]),
        };
        let lite = LitePlace { parent_id: 3, stream: streams::of_lite(3, "room"), name: "room" };
        let mut bytes = Vec::new();
        prefix.encode_with(&mut bytes, |out| lite.encode(out));
        let len = bytes.len();
        bytes.extend_from_slice(b"message");
        let (found, at, rest) = MessagePrefix::decode_with(&bytes).expect("whole");
        assert_eq!((found, at), (prefix, len));
        assert_eq!(LitePlace::decode(rest), Ok(lite));
    }

    #[test]
    fn an_end_survives_its_bytes() {
        let streams = vec![streams::of_lite(3, "a"), streams::of_lite(3, "b")];
        let mut bytes = Vec::new();
        encode_end(3, &streams, &mut bytes);
        assert_eq!(decode_end(&bytes), Ok((3, streams)));
        assert_eq!(decode_end(&bytes[..bytes.len() - 1]), Err(Short));
    }

    #[test]
    fn keys_lead_back() {
        let stream = streams::of_lite(3, "room");
        let key = name_key(3, stream);
        assert!(key.starts_with(&part_prefix(3, streams::part_of_lite(stream))));
        assert_eq!(stream_of_name_key(&key), Some(stream));
        let cursor = CursorKey { group_id: 4, stream };
        assert_eq!(parse_cursor_key(&cursor_key(cursor)), Ok(cursor));
    }
}
