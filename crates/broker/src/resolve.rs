//! From index entries to messages: reads records, follows the references of retries, and checks
//! that what is read is what was meant.

use bytes::Bytes;
use model::record::{Placement, RecordError, encode, properties_in};
use model::{Lsn, Offset, StoredMessage, properties};
use store::{Entry, LogReader, ReadError};
use thiserror::Error;

use crate::batches::{ENTRY_OF_BATCH, read_apart};
use crate::machine::bytes::Short;
use crate::machine::records::{ENTRY_BATCH, ENTRY_REFERENCE, Reference, kind, prefix_len};
use crate::machine::state::State;
use crate::selector::Selector;

/// Why a message could not be read.
#[derive(Debug, Clone, Error)]
pub(crate) enum ResolveError {
    /// Retention has deleted it.
    #[error("the message is no longer stored")]
    Gone,
    #[error("{0}")]
    Data(String),
}

impl From<ReadError> for ResolveError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Trimmed { .. } => Self::Gone,
            other => Self::Data(other.to_string()),
        }
    }
}

impl From<RecordError> for ResolveError {
    fn from(error: RecordError) -> Self {
        Self::Data(error.to_string())
    }
}

impl From<Short> for ResolveError {
    fn from(error: Short) -> Self {
        Self::Data(error.to_string())
    }
}

/// How a retried message is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RetryView {
    /// As a message of the retry topic, with its own place there: what a 4.x puller of it expects.
    RetryTopic,
    /// As the message that it is, with the number of deliveries so far.
    Original,
}

/// A message record's payload as a message.
///
/// # Errors
/// If the payload is no message.
pub(crate) fn message_of(payload: &Bytes) -> Result<StoredMessage, ResolveError> {
    let at = prefix_len(payload)?;
    if at > payload.len() {
        return Err(Short.into());
    }
    Ok(StoredMessage::parse(payload.slice(at..))?)
}

/// Reads the messages of index entries, in order.
pub(crate) async fn read_entries(
    log: &LogReader,
    state: &State,
    entries: &[Entry],
    view: RetryView,
) -> Vec<Result<StoredMessage, ResolveError>> {
    if entries.iter().any(|entry| entry.flags & ENTRY_OF_BATCH != 0) {
        return read_apart(log, state, entries, view).await;
    }
    let wants: Vec<(Lsn, u32)> = entries.iter().map(|entry| (entry.lsn, entry.len)).collect();
    let payloads = read_many(log, &wants).await;
    let references: Vec<Option<Reference>> = entries
        .iter()
        .zip(&payloads)
        .map(|(entry, payload)| {
            let payload = payload.as_ref().ok().filter(|_| entry.flags & ENTRY_REFERENCE != 0)?;
            Reference::decode(payload).ok()
        })
        .collect();
    let wants: Vec<(Lsn, u32)> = references.iter().flatten().map(|r| (r.original, r.original_len)).collect();
    let mut originals = if wants.is_empty() { Vec::new() } else { read_many(log, &wants).await }.into_iter();
    let mut messages = Vec::with_capacity(entries.len());
    for ((entry, payload), reference) in entries.iter().zip(payloads).zip(references) {
        let message = match reference {
            _ if entry.flags & ENTRY_REFERENCE == 0 => {
                payload.map_err(Into::into).and_then(|p| message_of(&p))
            }
            None => Err(payload.err().map_or(ResolveError::from(Short), Into::into)),
            Some(reference) => {
                let original =
                    originals.next().unwrap_or(Err(ReadError::Trimmed { lsn: entry.lsn, start: entry.lsn }));
                original.map_err(Into::into).and_then(|p| message_of(&p)).map(|message| match view {
                    RetryView::Original => message.with_reconsume_times(reference.reconsume_times),
                    RetryView::RetryTopic => as_retry(state, &message, &reference, entry),
                })
            }
        };
        messages.push(message);
    }
    messages
}

/// As [`read_entries`], each with its entry, but without messages that the selector does not take: that is told by
/// their bytes where they stand. Batches and retries come in any case, for what they hold is elsewhere.
pub(crate) async fn read_matching(
    log: &LogReader,
    state: &State,
    entries: &[Entry],
    view: RetryView,
    selector: &Selector,
) -> Vec<(Entry, Result<StoredMessage, ResolveError>)> {
    const NOT_ITSELF: u16 = ENTRY_REFERENCE | ENTRY_BATCH | ENTRY_OF_BATCH;
    if selector.takes_all() || entries.iter().any(|entry| entry.flags & NOT_ITSELF != 0) {
        return entries.iter().copied().zip(read_entries(log, state, entries, view).await).collect();
    }
    let wants: Vec<(Lsn, u32)> = entries.iter().map(|entry| (entry.lsn, entry.len)).collect();
    // What is damaged is told of when it is parsed.
    let is_wanted = |_, payload: &[u8]| told_by(payload).is_none_or(|told| selector.matches(told));
    let read = log.read_wanted(&wants, is_wanted).await;
    let message =
        |payload: Result<Bytes, ReadError>| payload.map_err(Into::into).and_then(|p| message_of(&p));
    entries.iter().zip(read).filter_map(|(entry, payload)| Some((*entry, message(payload?)))).collect()
}

/// The properties in a message record's payload.
fn told_by(payload: &[u8]) -> Option<&str> {
    properties_in(payload.get(prefix_len(payload).ok()?..)?)
}

/// Reads one record's payload.
pub(crate) async fn read_record(log: &LogReader, lsn: Lsn, len: u32) -> Result<Bytes, ResolveError> {
    let read = read_many(log, &[(lsn, len)]).await.pop();
    read.unwrap_or(Err(ReadError::Trimmed { lsn, start: lsn })).map_err(Into::into)
}

async fn read_many(log: &LogReader, wants: &[(Lsn, u32)]) -> Vec<Result<Bytes, ReadError>> {
    let mut out = Vec::with_capacity(wants.len());
    log.read_many(wants, &mut out).await;
    out
}

/// The retried message as it stands in the retry topic: RocketMQ stores a copy there; we make it
/// when it is read.
fn as_retry(state: &State, message: &StoredMessage, reference: &Reference, entry: &Entry) -> StoredMessage {
    let Some((topic, queue)) = state.queue_of(reference.stream) else { return message.clone() };
    let mut new = message.to_new();
    new.reconsume_times = reference.reconsume_times;
    if new.properties.get(properties::RETRY_TOPIC).is_none() {
        new.properties.push(properties::RETRY_TOPIC, message.topic());
    }
    if new.properties.get(properties::ORIGIN_MESSAGE_ID).is_none() {
        let unique = message.property(properties::UNIQUE_ID);
        let id = unique.map_or_else(|| message.offset_id(), str::to_owned);
        new.properties.push(properties::ORIGIN_MESSAGE_ID, &id);
    }
    let place = Placement {
        topic: topic.config.name.as_str(),
        queue,
        offset: Offset(entry.offset),
        lsn: entry.lsn,
        stored_ms: entry.time_ms,
        store_host: message.store_host(),
        prepared: Lsn::ZERO,
    };
    let mut bytes = Vec::new();
    encode(&mut bytes, &new, &place);
    StoredMessage::parse(bytes.into()).unwrap_or_else(|_| message.clone())
}

/// What a position holds.
pub(crate) struct Located {
    /// The message as a reader of that position saw it.
    pub message: StoredMessage,
    /// The record that holds the message itself.
    pub original: (Lsn, u32),
    pub reconsume_times: u32,
}

/// Reads the message at a position that a client names.
///
/// # Errors
/// If there is no message, or it is damaged.
pub(crate) async fn locate(log: &LogReader, state: &State, lsn: Lsn) -> Result<Located, ResolveError> {
    let record = log.look_at(lsn, 0).await?;
    match record.kind {
        kind::MESSAGE | kind::BATCH | kind::LITE_MESSAGE => {
            let message = message_of(&record.payload)?;
            let reconsume_times = message.reconsume_times();
            Ok(Located { message, original: (lsn, record.len), reconsume_times })
        }
        kind::REFERENCE => {
            let reference = Reference::decode(&record.payload)?;
            let entry = Entry {
                offset: 0,
                lsn,
                len: record.len,
                tag: reference.tag,
                time_ms: reference.stored_ms,
                count: 1,
                flags: ENTRY_REFERENCE,
            };
            let mut messages = read_entries(log, state, &[entry], RetryView::RetryTopic).await;
            let message = messages.pop().unwrap_or(Err(ResolveError::Gone))?;
            Ok(Located {
                message,
                original: (reference.original, reference.original_len),
                reconsume_times: reference.reconsume_times,
            })
        }
        kind::DUE => {
            let message = message_of(&record.payload)?;
            Ok(Located { message, original: (lsn, record.len), reconsume_times: 0 })
        }
        _ => Err(ResolveError::Gone),
    }
}
