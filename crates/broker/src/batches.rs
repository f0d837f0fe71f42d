//! Batches that are stored as one record: how a publish makes one, and how readers get single
//! messages of it.

use model::batch::{BatchError, is_batch, parts, unpack};
use model::limits::PROPERTIES_BYTES_MAX;
use model::verbs::PublishError;
use model::{MessageKind, NewMessage, StoredMessage, StreamId, TopicName, properties};
use store::{Entry, LogReader};

use crate::broker::Broker;
use crate::error::Failed;
use crate::limits::TAGS_PER_BATCH_MAX;
use crate::machine::records::{BatchTags, ENTRY_BATCH, KeyHashes};
use crate::machine::state::State;
use crate::publish::{FoundBy, KeySpace};
use crate::resolve::{ResolveError, RetryView, read_entries};

/// What the index needs to know of a batch.
pub(crate) struct Inside {
    pub(crate) count: u16,
    pub(crate) tags: BatchTags,
    pub(crate) keys: KeyHashes,
}

/// The messages of a publish: a batch for a topic that does not keep batches is taken apart.
///
/// # Errors
/// If a message says that it is a batch, and is none.
pub(crate) fn singles(messages: Vec<NewMessage>, keeps: bool) -> Result<Vec<NewMessage>, PublishError> {
    if !messages.iter().any(|message| is_batch(message.system_flags)) {
        return Ok(messages);
    }
    let [batch] = messages.as_slice() else {
        return Err(PublishError::Illegal("a batch cannot hold batches".to_owned()));
    };
    if keeps {
        return Ok(messages);
    }
    Ok(parts(batch.body.clone())?.into_iter().map(|part| batch.with_part(part)).collect())
}

/// Looks into a batch that is to be stored as it came.
///
/// # Errors
/// If it is none, or holds what cannot stand in one.
pub(crate) fn look_into(batch: &NewMessage, topic: &TopicName) -> Result<Inside, PublishError> {
    let parts = parts(batch.body.clone())?;
    let count = u16::try_from(parts.len()).map_err(|_| BatchError::TooMany)?;
    let mut tags = BatchTags::new();
    let space = KeySpace::of(topic);
    let mut keys = space.found_by(&batch.properties.pairs()).keys;
    for part in &parts {
        let bytes = part.properties.as_encoded().len();
        if bytes > PROPERTIES_BYTES_MAX {
            return Err(PublishError::PropertiesTooLarge { bytes, max: PROPERTIES_BYTES_MAX });
        }
        let told = part.properties.pairs();
        if MessageKind::told_by(&told) == MessageKind::Delay {
            return Err(PublishError::Illegal("a batch cannot hold timed messages".to_owned()));
        }
        let FoundBy { tag, keys: of_part } = space.found_by(&told);
        tags.push(tag);
        keys.extend(of_part);
    }
    tags.sort_unstable();
    tags.dedup();
    if tags.len() > TAGS_PER_BATCH_MAX {
        tags.clear();
    }
    keys.sort_unstable();
    keys.dedup();
    Ok(Inside { count, tags, keys })
}

/// Tells how many messages a batch holds, as its readers expect.
pub(crate) fn count_told(batch: NewMessage, count: u16) -> NewMessage {
    let mut batch = batch;
    batch.properties.set(properties::INNER_NUM, &count.to_string());
    batch
}

/// Flag of an entry that is made for one message of a batch, and is never stored: its offset is the
/// message's, its record the batch's.
pub(crate) const ENTRY_OF_BATCH: u16 = 1 << 15;

impl Broker {
    /// Visible entries of a stream from an offset on, one for each message.
    pub(crate) async fn singles(
        &self,
        stream: StreamId,
        from: u64,
        max: usize,
    ) -> Result<Vec<Entry>, Failed> {
        let entries = self.entries(stream, from, max).await?;
        if entries.iter().all(|entry| entry.flags & ENTRY_BATCH == 0) {
            return Ok(entries);
        }
        let apart = entries.iter().flat_map(single_entries).filter(|entry| entry.offset >= from);
        Ok(apart.take(max).collect())
    }
}

/// An entry for each of the messages that an entry stands for.
fn single_entries(entry: &Entry) -> impl Iterator<Item = Entry> {
    let entry = *entry;
    let flags = if entry.flags & ENTRY_BATCH == 0 { entry.flags } else { entry.flags | ENTRY_OF_BATCH };
    (entry.offset..entry.next_offset()).map(move |offset| Entry { offset, count: 1, flags, ..entry })
}

/// Reads messages where some entries are made for one message of a batch; a batch that several
/// of them stand in is read once.
pub(crate) async fn read_apart(
    log: &LogReader,
    state: &State,
    entries: &[Entry],
    view: RetryView,
) -> Vec<Result<StoredMessage, ResolveError>> {
    let mut records: Vec<Entry> = entries.to_vec();
    records.dedup_by_key(|entry| entry.lsn);
    for record in &mut records {
        record.flags &= !ENTRY_OF_BATCH;
    }
    let read = Box::pin(read_entries(log, state, &records, view)).await;
    let mut entries = entries.iter().peekable();
    let mut messages = Vec::with_capacity(entries.len());
    for (record, message) in records.iter().zip(read) {
        let is_batch = record.flags & ENTRY_BATCH != 0;
        let batch =
            if is_batch { message.clone().and_then(|batch| Ok(unpack(&batch)?)) } else { Ok(Vec::new()) };
        while let Some(entry) = entries.next_if(|entry| entry.lsn == record.lsn) {
            messages.push(if is_batch { one_of(&batch, entry.offset) } else { message.clone() });
        }
    }
    messages
}

fn one_of(
    batch: &Result<Vec<StoredMessage>, ResolveError>,
    offset: u64,
) -> Result<StoredMessage, ResolveError> {
    let messages = batch.as_ref().map_err(Clone::clone)?;
    messages.iter().find(|m| m.offset().get() == offset).cloned().ok_or(ResolveError::Gone)
}

/// The message of a batch's record that has this offset.
pub(crate) fn single_at(batch: &StoredMessage, offset: u64) -> Option<StoredMessage> {
    unpack(batch).ok()?.into_iter().find(|message| message.offset().get() == offset)
}

/// The messages of a position: those of a batch one by one.
pub(crate) fn apart(message: StoredMessage) -> Vec<StoredMessage> {
    if !is_batch(message.system_flags()) {
        return vec![message];
    }
    unpack(&message).unwrap_or_else(|_| vec![message])
}
