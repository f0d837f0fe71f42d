//! What a look into the log reads by: positions, keys, streams. All of it blocks.

use std::sync::Arc;

use model::record::position_of_offset_id;
use model::{Lsn, StoredMessage, StreamId, TopicName, properties};
use store::{Boundary, Entry, LogReader, ReadError, Record, ViewsReader};

use crate::batches::apart;
use crate::error::Failed;
use crate::machine::bytes::Short;
use crate::machine::clients::NamedClient;
use crate::machine::halves::half_hash;
use crate::machine::records::{
    Cause, DuePrefix, DueWhat, ENTRY_REFERENCE, MessagePrefix, Reference, kind, timer_hash,
};
use crate::machine::state::State;
use crate::machine::transactions::message_of_half;
use crate::publish::KeySpace;
use crate::resolve::message_of;

/// Entries that are read at once.
const ENTRIES_AT_ONCE: usize = 256;
/// Entries of one millisecond that are looked at for a record's place.
const ENTRIES_OF_A_TIME_MAX: usize = 4_096;
/// Records under one key that are looked at, newest first.
pub(super) const RECORDS_PER_KEY_MAX: usize = 64;

/// A message that was found, and the record where its life begins as far as that is known.
#[derive(Debug, Clone)]
pub(super) struct Anchor {
    pub(super) lsn: Lsn,
    /// Bytes of the record that holds the message.
    pub(super) len: u32,
    /// The record where its life begins: another one for what was fired or committed.
    pub(super) root: Lsn,
    pub(super) message: StoredMessage,
    /// Its place, if it stands in a queue.
    pub(super) place: Option<(StreamId, u64)>,
}

#[derive(Clone)]
pub(super) struct Look {
    pub(super) log: LogReader,
    pub(super) views: ViewsReader,
    pub(super) state: Arc<State>,
    /// Everything below counts.
    pub(super) committed: Lsn,
}

impl Look {
    /// The record at a position; none if it is not stored any more.
    pub(super) fn record(&self, lsn: Lsn) -> Result<Option<Record>, Failed> {
        match self.log.record(lsn, 0) {
            Ok(record) => Ok(Some(record)),
            Err(ReadError::Trimmed { .. } | ReadError::BeyondEnd { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The messages of a position as anchors; none for records that are not the message itself.
    pub(super) fn anchors_at(&self, lsn: Lsn) -> Result<Vec<Anchor>, Failed> {
        let Some(record) = self.record(lsn)? else { return Ok(Vec::new()) };
        anchors_of(lsn, &record).map_err(|_| Failed::Data(format!("the record at {lsn} is no message")))
    }

    /// Positions under a hash, oldest first.
    pub(super) fn lookup(&self, hash: u64) -> Result<Vec<Lsn>, Failed> {
        let mut found =
            self.views.lookup_key(hash, i64::MIN, i64::MAX, RECORDS_PER_KEY_MAX, self.committed)?;
        found.sort_unstable();
        Ok(found)
    }

    /// Messages of a topic with a unique id: also what waits for its time or its outcome.
    pub(super) fn by_id(&self, topic: &TopicName, id: &str) -> Result<Vec<Anchor>, Failed> {
        let hash = KeySpace::of(topic).key(id);
        let mut found = Vec::new();
        for hash in [hash, timer_hash(hash), half_hash(hash)] {
            for lsn in self.lookup(hash)? {
                let named = |a: &Anchor| {
                    a.message.property(properties::UNIQUE_ID) == Some(id)
                        && real_topic(&a.message) == topic.as_str()
                };
                found.extend(self.anchors_at(lsn)?.into_iter().filter(named));
            }
        }
        Ok(found)
    }

    /// Messages of a topic with a key.
    pub(super) fn by_key(&self, topic: &TopicName, key: &str) -> Result<Vec<Anchor>, Failed> {
        let mut found = Vec::new();
        for lsn in self.lookup(KeySpace::of(topic).key(key))? {
            let named = |a: &Anchor| {
                let keys = a.message.property(properties::KEYS).unwrap_or_default();
                let unique = a.message.property(properties::UNIQUE_ID) == Some(key);
                (unique || keys.split(' ').any(|one| one == key)) && a.message.topic() == topic.as_str()
            };
            found.extend(self.anchors_at(lsn)?.into_iter().filter(named));
        }
        Ok(found)
    }

    /// The message that an offset id names, if it can be one.
    pub(super) fn by_offset_id(&self, id: &str) -> Result<Vec<Anchor>, Failed> {
        let Ok(lsn) = position_of_offset_id(id) else { return Ok(Vec::new()) };
        // A unique id looks alike: where this one has a port's upper half, it is never zero.
        let port = id.get(id.len() - 24..id.len() - 16).unwrap_or_default();
        if !port.starts_with("0000") || lsn >= self.committed || lsn < self.log.start() {
            return Ok(Vec::new());
        }
        // It may be no position at all.
        let record = self.log.probe(lsn);
        Ok(record.and_then(|record| anchors_of(lsn, &record).ok()).unwrap_or_default())
    }

    /// Messages of a topic that were stored in a window of time.
    pub(super) fn by_time(
        &self,
        topic: &TopicName,
        (from_ms, to_ms): (i64, i64),
        max: usize,
    ) -> Result<Vec<Anchor>, Failed> {
        let Some(topic) = self.state.topic(topic) else { return Ok(Vec::new()) };
        let mut entries: Vec<Entry> = Vec::new();
        for queue in 0..topic.config.queues() {
            let stream = topic.stream(model::QueueId(queue));
            let from = self.views.offset_by_time(stream, from_ms, Boundary::Lower, self.committed)?;
            let mut of_queue = Vec::new();
            self.views.read(stream, from, max, self.committed, &mut of_queue)?;
            entries.extend(of_queue.into_iter().filter(|e| e.time_ms >= from_ms && e.time_ms < to_ms));
        }
        entries.sort_unstable_by_key(|entry| entry.lsn);
        let mut found = Vec::new();
        for entry in entries.into_iter().filter(|entry| entry.flags & ENTRY_REFERENCE == 0).take(max) {
            found.extend(self.anchors_at(entry.lsn)?);
        }
        found.truncate(max);
        Ok(found)
    }

    /// The offset of a record in a stream, by the time that it was stored at.
    pub(super) fn offset_of(
        &self,
        stream: StreamId,
        lsn: Lsn,
        stored_ms: i64,
    ) -> Result<Option<u64>, Failed> {
        let mut from = self.views.offset_by_time(stream, stored_ms, Boundary::Lower, self.committed)?;
        for _ in 0..ENTRIES_OF_A_TIME_MAX / ENTRIES_AT_ONCE {
            let mut entries = Vec::with_capacity(ENTRIES_AT_ONCE);
            self.views.read(stream, from, ENTRIES_AT_ONCE, self.committed, &mut entries)?;
            let Some(last) = entries.last() else { return Ok(None) };
            from = last.next_offset();
            if let Some(entry) = entries.iter().find(|entry| entry.lsn >= lsn) {
                return Ok((entry.lsn == lsn).then_some(entry.offset));
            }
        }
        Ok(None)
    }

    /// The client that a record names.
    pub(super) fn client(&self, lsn: Lsn) -> Option<NamedClient> {
        if lsn == Lsn::ZERO {
            return None;
        }
        let record = self.record(lsn).ok()?.filter(|record| record.kind == kind::CLIENT)?;
        NamedClient::decode(&record.payload).ok()
    }

    pub(super) fn group_name(&self, id: u32) -> String {
        self.state.group_by_id(id).map_or_else(|| format!("#{id}"), |group| group.config.name.to_string())
    }

    /// The topic of a queue's stream.
    pub(super) fn topic_of(&self, stream: StreamId) -> Option<TopicName> {
        Some(self.state.queue_of(stream)?.0.config.name.clone())
    }
}

/// The topic that a message is for: a half message lies in another one.
pub(super) fn real_topic(message: &StoredMessage) -> &str {
    message.property(properties::REAL_TOPIC).unwrap_or_else(|| message.topic())
}

/// The messages that a record holds.
pub(super) fn anchors_of(lsn: Lsn, record: &Record) -> Result<Vec<Anchor>, Short> {
    let len = record.len;
    let read = || message_of(&record.payload).map_err(|_| Short);
    let root_of = |message: &StoredMessage, cause: Cause| match cause {
        // What was prepared began as a half message, also if it waited for its time after that.
        _ if message.prepared() != Lsn::ZERO => message.prepared(),
        Cause::Fired { lsn, .. } | Cause::EndsHalf { lsn } => lsn,
        Cause::None | Cause::Settles { .. } => lsn,
    };
    match record.kind {
        kind::MESSAGE | kind::LITE_MESSAGE => {
            let (prefix, _) = MessagePrefix::decode(&record.payload)?;
            let message = read()?;
            let (root, place) =
                (root_of(&message, prefix.cause), Some((prefix.stream, message.offset().get())));
            Ok(vec![Anchor { lsn, len, root, message, place }])
        }
        kind::BATCH => {
            let (prefix, _) = MessagePrefix::decode(&record.payload)?;
            let one = |message: StoredMessage| {
                let place = Some((prefix.stream, message.offset().get()));
                Anchor { lsn, len, root: lsn, message, place }
            };
            Ok(apart(read()?).into_iter().map(one).collect())
        }
        kind::DUE | kind::DUE_MOVED => {
            let (prefix, _) = DuePrefix::decode(&record.payload)?;
            if matches!(prefix.what, DueWhat::Reference { .. }) {
                return Ok(Vec::new());
            }
            let message = read()?;
            let before = match record.kind {
                kind::DUE_MOVED => DuePrefix::moved_from(&record.payload)?,
                _ => lsn,
            };
            let root = root_of(&message, Cause::Fired { due_ms: prefix.due_ms, lsn: before });
            Ok(vec![Anchor { lsn, len, root, message, place: None }])
        }
        kind::HALF => {
            let message = message_of_half(&record.payload)?;
            Ok(vec![Anchor { lsn, len, root: lsn, message, place: None }])
        }
        _ => Ok(Vec::new()),
    }
}

/// What a reference in a record stands for.
pub(super) fn reference_of(record: &Record) -> Option<Reference> {
    (record.kind == kind::REFERENCE).then(|| Reference::decode(&record.payload).ok())?
}
