//! What time demands: deliveries whose time is over come back as retries; what is due happens.

use model::{Lsn, StoredMessage, StreamId, TopicName};
use replica::Proposal;
use store::Entry;

use super::bytes::Writer;
use super::due::{Waiting, minute_of};
use super::records::{
    Cause, DuePrefix, DueWhat, ENTRY_BATCH, ENTRY_REFERENCE, EncodedMessage, KeyHashes, MessagePrefix,
    Reference, kind,
};
use super::state::CursorKey;
use super::{BrokerMachine, Touch};
use crate::batches::single_at;
use crate::publish::encode_message;
use crate::streams;

/// Records that one tick places at most, so that commands do not wait for long.
const RECORDS_PER_TICK_MAX: usize = 2_048;
/// Bytes of records that one tick places, about, for the same reason.
const BYTES_PER_TICK_MAX: usize = 1024 * 1024;
/// Parts of minutes that one tick loads, for the same reason.
const LOADS_PER_TICK_MAX: usize = 8;

/// After a read that failed, when the same is tried again.
const READ_RETRY_MS: i64 = 1_000;

/// A record that should be there could not be read now. Nothing may be concluded from that.
pub(super) struct Unreadable;

/// The message that a retry refers to.
struct Original {
    lsn: Lsn,
    len: u32,
    reconsume_times: u32,
    tag: u32,
    /// For a message of a batch: itself, because a reference would bring back all of it.
    copy: Option<EncodedMessage>,
}

/// A message of a batch, by itself, with one more delivery behind it.
fn retry_copy(single: &StoredMessage) -> Option<EncodedMessage> {
    let topic = TopicName::new(single.topic()).ok()?;
    let mut new = single.to_new();
    new.reconsume_times = new.reconsume_times.saturating_add(1);
    let encoded = encode_message(&new, &topic, single.queue(), single.store_host());
    // It is found by its keys where it was stored first.
    Some(EncodedMessage { keys: KeyHashes::new(), ..encoded })
}

impl BrokerMachine {
    pub(super) fn tick_all(&mut self, proposal: &mut Proposal<'_>) {
        self.tick_deadlines(proposal);
        self.tick_due(proposal);
        self.tick_halves(proposal);
    }

    // === deliveries whose time is over ===

    fn tick_deadlines(&mut self, proposal: &mut Proposal<'_>) {
        let now_ms = proposal.now_ms;
        while let Some((at, key)) = self.deadlines.first().copied().filter(|(at, _)| *at <= now_ms) {
            if proposal.frame.len() >= RECORDS_PER_TICK_MAX {
                return;
            }
            debug_assert!(at <= now_ms);
            let Some(cell) = self.state.cursor(key) else {
                self.watch_deadline(key, None);
                continue;
            };
            // What was delivered in order comes again from its queue; receivers only have to look.
            let over = cell.cursor.lock().in_order_over(now_ms);
            self.touched.extend((0..over).map(|_| (key.stream, Touch::Cursor)));
            let expired = cell.cursor.lock().expired(now_ms, RECORDS_PER_TICK_MAX);
            let read = expired
                .into_iter()
                .try_for_each(|(offset, attempt)| self.expire(key, offset, attempt, proposal));
            if read.is_err() {
                self.watch_deadline(key, Some(now_ms + READ_RETRY_MS));
                continue;
            }
            let next = cell.cursor.lock().next_deadline_ms(now_ms);
            self.watch_deadline(key, next);
        }
    }

    fn expire(
        &mut self,
        key: CursorKey,
        offset: u64,
        attempt: u32,
        proposal: &mut Proposal<'_>,
    ) -> Result<(), Unreadable> {
        let original = self.original_at(key.stream, offset)?;
        let target = self.retry_stream(key, proposal);
        let (Some(stream), Some(original)) = (target, original) else {
            // The message is gone (deleted topic, retention): its delivery ends with it.
            self.place_settled(&[(key, offset)], proposal);
            return Ok(());
        };
        if let Some(copy) = original.copy {
            self.place_message(stream, &copy, Cause::Settles { key, offset }, proposal);
            return Ok(());
        }
        let stored_ms = proposal.now_ms.max(proposal.views.last_time_ms(stream));
        let reference = Reference {
            cause: Cause::Settles { key, offset },
            stream,
            tag: original.tag,
            stored_ms,
            group_id: key.group_id,
            original: original.lsn,
            original_len: original.len,
            reconsume_times: original.reconsume_times.saturating_add(attempt),
        };
        proposal.push(kind::REFERENCE, |_, out| reference.encode(out));
        self.apply_placed(proposal);
        Ok(())
    }

    /// Where a group's retries of a queue go: its retry topic for that topic, or the same queue if
    /// it is one already.
    fn retry_stream(&mut self, key: CursorKey, proposal: &mut Proposal<'_>) -> Option<StreamId> {
        let (topic, queue) = self.state.queue_of(key.stream)?;
        if topic.config.name.is_retry() {
            return Some(topic.stream(queue));
        }
        let group = self.state.group_by_id(key.group_id)?;
        let name = TopicName::receive_retry_of(&group.config.name, &topic.config.name);
        Some(self.ensure_topic(&name, 1, proposal).stream(model::QueueId(0)))
    }

    /// What a retry of the message at `offset` refers to; `None` if it is not stored any more.
    fn original_at(&self, stream: StreamId, offset: u64) -> Result<Option<Original>, Unreadable> {
        let mut found: Vec<Entry> = Vec::with_capacity(1);
        let views = self.views.as_ref().ok_or(Unreadable)?;
        if let Err(error) = views.read(stream, offset, 1, Lsn(u64::MAX), &mut found) {
            tracing::error!(%error, "an index entry could not be read; its retry waits");
            return Err(Unreadable);
        }
        let holds = |entry: &&Entry| (entry.offset..entry.next_offset()).contains(&offset);
        let Some(entry) = found.first().filter(holds) else { return Ok(None) };
        let Some(payload) = self.read_record(entry.lsn, entry.len)? else { return Ok(None) };
        if entry.flags & ENTRY_REFERENCE != 0 {
            let reference = Reference::decode(&payload).map_err(|_| Unreadable)?;
            return Ok(Some(Original {
                lsn: reference.original,
                len: reference.original_len,
                reconsume_times: reference.reconsume_times,
                tag: entry.tag,
                copy: None,
            }));
        }
        let (_, at) = MessagePrefix::decode(&payload).map_err(|_| Unreadable)?;
        let message = StoredMessage::parse(payload.slice(at..)).map_err(|_| Unreadable)?;
        let reconsume_times = message.reconsume_times();
        let mut original =
            Original { lsn: entry.lsn, len: entry.len, reconsume_times, tag: entry.tag, copy: None };
        if entry.flags & ENTRY_BATCH != 0 {
            let single = single_at(&message, offset).ok_or(Unreadable)?;
            original.copy = Some(retry_copy(&single).ok_or(Unreadable)?);
        }
        Ok(Some(original))
    }

    /// A record's payload; `None` if retention has deleted it.
    pub(super) fn read_record(&self, lsn: Lsn, len: u32) -> Result<Option<bytes::Bytes>, Unreadable> {
        match self.log.as_ref().ok_or(Unreadable)?.read(lsn, len) {
            Ok(payload) => Ok(Some(payload)),
            Err(store::ReadError::Trimmed { .. }) => Ok(None),
            Err(error) => {
                tracing::error!(%error, position = lsn.get(), "a record could not be read; what needs it waits");
                Err(Unreadable)
            }
        }
    }

    // === what is due ===

    fn tick_due(&mut self, proposal: &mut Proposal<'_>) {
        let now_ms = proposal.now_ms;
        if now_ms < self.due_not_before_ms(now_ms) {
            return;
        }
        if self.fire_all(proposal).is_err() {
            self.due_not_before_ms = now_ms + READ_RETRY_MS;
        }
    }

    /// Before this time nothing due is tried, because a read failed. A wall clock that was set
    /// back does not make that longer.
    pub(super) fn due_not_before_ms(&self, now_ms: i64) -> i64 {
        if self.due_not_before_ms > now_ms.saturating_add(READ_RETRY_MS) {
            return i64::MIN;
        }
        self.due_not_before_ms
    }

    fn fire_all(&mut self, proposal: &mut Proposal<'_>) -> Result<(), Unreadable> {
        let now_ms = proposal.now_ms;
        self.load_step(now_ms, false)?;
        for _ in 0..LOADS_PER_TICK_MAX {
            while let Some(waiting) = self.due.next(now_ms) {
                let is_full = proposal.frame.len() >= RECORDS_PER_TICK_MAX
                    || proposal.frame.bytes() >= BYTES_PER_TICK_MAX;
                if is_full {
                    return Ok(());
                }
                self.fire(waiting, proposal)?;
            }
            let is_behind = self.due.to_load(now_ms).is_some();
            if !is_behind || !proposal.frame.is_empty() {
                return Ok(());
            }
            self.load_step(now_ms, true)?;
        }
        Ok(())
    }

    fn fire(&mut self, waiting: Waiting, proposal: &mut Proposal<'_>) -> Result<(), Unreadable> {
        debug_assert!(minute_of(waiting.due_ms) <= minute_of(proposal.now_ms));
        let cause = Cause::Fired { due_ms: waiting.due_ms, lsn: waiting.lsn };
        let payload = self.read_record(waiting.lsn, waiting.len)?;
        let decoded = payload.as_ref().and_then(|payload| DuePrefix::decode(payload).ok());
        let (Some(payload), Some((prefix, at))) = (payload, decoded) else {
            tracing::error!(position = waiting.lsn.get(), "what is due is no longer stored");
            self.drop_due(waiting, proposal);
            return Ok(());
        };
        if self.is_pointless(&prefix.what) {
            self.drop_due(waiting, proposal);
            return Ok(());
        }
        self.timer_metrics.fired(proposal.now_ms - waiting.due_ms);
        match prefix.what {
            DueWhat::Message { stream, tag, keys } => {
                let bytes = payload.get(at..).unwrap_or_default().to_vec();
                self.place_message(stream, &EncodedMessage { bytes, tag, keys }, cause, proposal);
            }
            DueWhat::Recurring { stream, tag, keys, fired_times } => {
                let bytes = payload.slice(at..);
                let message = EncodedMessage { bytes: bytes.to_vec(), tag, keys: keys.clone() };
                self.place_message(stream, &message, cause, proposal);
                self.arm_again(&bytes, (stream, tag, keys, fired_times.saturating_add(1)), proposal);
            }
            DueWhat::Reference { stream, tag, group_id, original, original_len, reconsume_times } => {
                let stored_ms = proposal.now_ms.max(proposal.views.last_time_ms(stream));
                let reference = Reference {
                    cause,
                    stream,
                    tag,
                    stored_ms,
                    group_id,
                    original,
                    original_len,
                    reconsume_times,
                };
                proposal.push(kind::REFERENCE, |_, out| reference.encode(out));
                self.apply_placed(proposal);
            }
        }
        Ok(())
    }

    /// Ends what is due without doing it.
    fn drop_due(&mut self, waiting: Waiting, proposal: &mut Proposal<'_>) {
        self.timer_metrics.dropped();
        proposal.push(kind::DUE_DROPPED, |_, out| {
            let mut out = Writer(out);
            out.i64(waiting.due_ms);
            out.u64(waiting.lsn.get());
        });
        self.apply_placed(proposal);
    }

    /// For a deleted topic nothing is fired, nor a retry of a message that retention has deleted.
    fn is_pointless(&self, what: &DueWhat) -> bool {
        let is_deleted = |stream: StreamId| {
            streams::queue_of(stream).is_some_and(|(topic, _)| self.state.topic_by_id(topic).is_none())
        };
        match what {
            DueWhat::Message { stream, .. } | DueWhat::Recurring { stream, .. } => is_deleted(*stream),
            DueWhat::Reference { stream, original, .. } => {
                let start = self.log.as_ref().map_or(Lsn::ZERO, store::LogReader::start);
                *original < start || is_deleted(*stream)
            }
        }
    }
}
