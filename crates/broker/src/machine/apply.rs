//! Applying records: the only place where the machine's state changes, so that a replay of the
//! log gives the same state.

use model::limits::IN_FLIGHT_PER_QUEUE_MAX;
use model::{Lsn, StreamId};
use replica::{ApplyError, Proposal};
use store::{NewEntry, RecordRef, Views};

use super::bytes::{Reader, Short};
use super::dedup::Once;
use super::order::{self, OrderKey};
use super::records::{
    BatchPrefix, Catalogue, Cause, Deliver, DueCancelled, DuePrefix, ENTRY_REFERENCE, Extend, KeyHashes,
    MessagePrefix, OffsetHow, OffsetSet, Reference, Release, decode_settled, kind,
};
use super::state::{CursorCell, CursorKey, WorstFailure};
use super::{BrokerMachine, Touch};

/// An index entry to be, and what is indexed with it.
struct Visible<'a> {
    stream: StreamId,
    tag: u32,
    stored_ms: i64,
    flags: u16,
    keys: &'a KeyHashes,
    cause: Cause,
}

fn refused(record: &RecordRef<'_>, reason: impl ToString) -> ApplyError {
    ApplyError { lsn: record.lsn, kind: record.kind, reason: reason.to_string() }
}

impl BrokerMachine {
    /// Applies the record that was placed last in the proposal's frame.
    pub(super) fn apply_placed(&mut self, proposal: &mut Proposal<'_>) {
        let last = proposal.frame.len().checked_sub(1).and_then(|i| proposal.frame.record(i));
        let record = last.expect("a record was just placed");
        self.apply_record(proposal.views, &record).expect("what propose places can be applied");
    }

    pub(super) fn apply_record(
        &mut self,
        views: &mut Views,
        record: &RecordRef<'_>,
    ) -> Result<(), ApplyError> {
        let short = |error: Short| refused(record, error);
        match record.kind {
            kind::MESSAGE | kind::LITE_MESSAGE => {
                let (prefix, _) = MessagePrefix::decode(record.payload).map_err(short)?;
                let MessagePrefix { cause, stream, tag, stored_ms, keys } = &prefix;
                let visible = Visible {
                    stream: *stream,
                    tag: *tag,
                    stored_ms: *stored_ms,
                    flags: 0,
                    keys,
                    cause: *cause,
                };
                self.apply_visible(views, record, &visible);
                if record.kind == kind::LITE_MESSAGE {
                    self.apply_lite(views, record).map_err(short)?;
                }
            }
            kind::LITE_END => {
                self.apply_lite_end(views, record.payload).map_err(|error| refused(record, error))?;
            }
            kind::BATCH => {
                self.apply_batch(views, record, &BatchPrefix::decode(record.payload).map_err(short)?);
            }
            kind::ONCE => {
                let early = self.dedup.remember(&Once::decode(record.payload).map_err(short)?);
                self.state.dedup_metrics.remembered(self.dedup.len(), early);
            }
            kind::REFERENCE => {
                let reference = Reference::decode(record.payload).map_err(short)?;
                self.note_expired(&reference);
                let Reference { cause, stream, tag, stored_ms, .. } = reference;
                let keys = &KeyHashes::new();
                let visible = Visible { stream, tag, stored_ms, flags: ENTRY_REFERENCE, keys, cause };
                self.apply_visible(views, record, &visible);
            }
            kind::DUE => {
                let (prefix, _) = DuePrefix::decode(record.payload).map_err(short)?;
                self.apply_due(views, record, &prefix);
            }
            kind::DELIVER | kind::ORDERED => {
                let deliver = Deliver::decode(record.kind, record.payload).map_err(short)?;
                let key = |stream| CursorKey { group_id: deliver.group_id, stream };
                self.page_in_record(record, deliver.parts.iter().map(|part| key(part.stream)))?;
                self.apply_deliver(record.lsn, &deliver);
            }
            kind::RELEASE => self.apply_release(&Release::decode(record.payload).map_err(short)?),
            kind::DUE_MOVED => {
                let (prefix, _) = DuePrefix::decode(record.payload).map_err(short)?;
                let from = DuePrefix::moved_from(record.payload).map_err(short)?;
                self.apply_due_moved(views, record, &prefix, from);
            }
            kind::DUE_CANCELLED => {
                let cancelled = DueCancelled::decode(record.payload).map_err(short)?;
                self.apply_due_cancelled(views, record, &cancelled);
            }
            kind::SETTLED => {
                let (_, settled) = decode_settled(record.payload).map_err(short)?;
                for (key, offset) in settled {
                    self.apply_acked(key, offset);
                }
            }
            kind::EXTEND => self.apply_extend(record.lsn, &Extend::decode(record.payload).map_err(short)?),
            // Tells who, and changes nothing.
            kind::CLIENT => {}
            kind::HALF => self.apply_half(views, record).map_err(short)?,
            kind::HALF_END => self.apply_half_end(views, record.payload).map_err(short)?,
            kind::HALF_CHECK => self.apply_half_check(record.payload).map_err(short)?,
            kind::OFFSET => {
                let set = OffsetSet::decode(record.payload).map_err(short)?;
                self.page_in_record(record, std::iter::once(set.key))?;
                self.apply_offset(&set);
            }
            kind::CATALOGUE => {
                let change = serde_json::from_slice(record.payload).map_err(|e| refused(record, e))?;
                self.apply_catalogue(views, change);
            }
            kind::DUE_DROPPED => {
                let mut from = Reader(record.payload);
                let (due_ms, lsn) = (from.i64().map_err(short)?, from.u64().map_err(short)?);
                self.apply_fired(views, due_ms, Lsn(lsn));
            }
            _ => return Err(refused(record, "unknown kind: written by a newer version?")),
        }
        Ok(())
    }

    fn apply_visible(&mut self, views: &mut Views, record: &RecordRef<'_>, visible: &Visible<'_>) {
        let Visible { stream, tag, stored_ms, flags, keys, cause } = *visible;
        let entry = NewEntry { lsn: record.lsn, len: record.len, tag, time_ms: stored_ms, count: 1, flags };
        views.append(stream, entry);
        for hash in keys {
            views.index_key(*hash, record.lsn, stored_ms);
        }
        self.touched.push((stream, Touch::Entry { tag }));
        match cause {
            Cause::None => {}
            Cause::Fired { due_ms, lsn } => self.apply_fired(views, due_ms, lsn),
            Cause::Settles { key, offset } => self.apply_settled(key, offset),
            Cause::EndsHalf { lsn } => self.apply_half_ended(views, lsn),
        }
    }

    fn apply_deliver(&mut self, nonce: Lsn, deliver: &Deliver) {
        let attempt_id = match deliver.kind() {
            kind::ORDERED => order::attempt_of(&deliver.attempt_id),
            _ => 0,
        };
        for part in &deliver.parts {
            let key = CursorKey { group_id: deliver.group_id, stream: part.stream };
            let cell = self.state.cursor_or_new(key);
            cell.cursor.lock().deliver(part, nonce, deliver.deadline_ms, attempt_id);
            self.dirty.cursors.insert(key);
            if !part.offsets.is_empty() {
                self.watch_no_later(key, deliver.deadline_ms);
            }
        }
    }

    fn apply_release(&mut self, release: &Release) {
        let Some(cell) = self.state.cursor(release.key) else { return };
        let mut cursor = cell.cursor.lock();
        for offset in &release.offsets {
            cursor.release(*offset, release.nonce);
        }
        drop(cursor);
        self.dirty.cursors.insert(release.key);
        self.touched.push((release.key.stream, Touch::Cursor));
    }

    /// Ends a delivery because its consumer is done with it.
    pub(super) fn apply_acked(&mut self, key: CursorKey, offset: u64) {
        let Some(cell) = self.state.cursor(key) else { return };
        cell.note_acked(1);
        self.settle_in(&cell, key, offset);
    }

    /// Ends a delivery because its message goes another way: to the retries, to the dead letters.
    pub(super) fn apply_settled(&mut self, key: CursorKey, offset: u64) {
        let Some(cell) = self.state.cursor(key) else { return };
        self.settle_in(&cell, key, offset);
    }

    /// A delivery ended without a word, or with a no: its message goes to the retries.
    fn note_expired(&self, reference: &Reference) {
        if matches!(reference.cause, Cause::Settles { .. }) {
            let failure = WorstFailure {
                lsn: reference.original,
                len: reference.original_len,
                attempts: reference.reconsume_times,
                at_ms: reference.stored_ms,
            };
            self.state.note_failure(reference.group_id, failure);
        }
    }

    fn settle_in(&mut self, cell: &CursorCell, key: CursorKey, offset: u64) {
        let mut cursor = cell.cursor.lock();
        let was_full = cursor.in_flight.len() >= IN_FLIGHT_PER_QUEUE_MAX;
        let settled = cursor.settle(offset);
        drop(cursor);
        self.dirty.cursors.insert(key);
        if was_full || settled.is_some_and(|held| held.key != OrderKey::NONE) {
            // There is room again, or the next messages of an ordered key may go out now.
            self.touched.push((key.stream, Touch::Cursor));
        }
    }

    fn apply_extend(&mut self, nonce: Lsn, extend: &Extend) {
        let Some(cell) = self.state.cursor(extend.key) else { return };
        cell.note_sign();
        cell.cursor.lock().extend(extend.offset, nonce, extend.deadline_ms);
        self.dirty.cursors.insert(extend.key);
        self.watch_no_later(extend.key, extend.deadline_ms);
    }

    fn apply_offset(&mut self, set: &OffsetSet) {
        if set.how == OffsetHow::Start && self.state.cursor(set.key).is_some() {
            return;
        }
        let cell = self.state.cursor_or_new(set.key);
        let mut cursor = cell.cursor.lock();
        match set.how {
            OffsetHow::Commit => {
                let done = set.offset.saturating_sub(cursor.committed());
                cursor.commit(set.offset);
                if done > 0 {
                    cell.note_acked(done);
                }
            }
            OffsetHow::Seek | OffsetHow::Start => cursor.seek(set.offset),
        }
        let first = cursor.first_deadline_ms();
        drop(cursor);
        self.dirty.cursors.insert(set.key);
        self.watch_deadline(set.key, first);
        if set.how == OffsetHow::Seek {
            self.touched.push((set.key.stream, Touch::Cursor));
        }
    }

    fn apply_catalogue(&mut self, views: &mut Views, change: Catalogue) {
        if self.is_live {
            self.note_catalogue(&change);
        }
        match change {
            Catalogue::TopicPut { id, config } => {
                self.next_topic_id = self.next_topic_id.max(id + 1);
                if config.dedup().is_none() && self.dedup.knows(id) {
                    self.dedup.forget_topic(id);
                }
                super::objects::store_topic(id, &config, views);
                self.state.put_topic(id, config);
            }
            Catalogue::TopicDelete { id } => self.apply_topic_delete(views, id),
            Catalogue::GroupPut { id, config } => {
                self.next_group_id = self.next_group_id.max(id + 1);
                if self.state.retired_group(&config.name).is_some() {
                    views.remove_object(&super::objects::retired_group_key(&config.name));
                }
                self.state.put_group(id, config);
                self.dirty.groups.insert(id);
            }
            Catalogue::GroupDelete { id, clean_offsets } => self.apply_group_delete(views, id, clean_offsets),
            Catalogue::QuotaPut { quota } => self.apply_quota_put(views, quota),
            Catalogue::QuotaDelete { scope, name } => self.apply_quota_delete(views, scope, &name),
            change @ (Catalogue::UserPut { .. }
            | Catalogue::UserDelete { .. }
            | Catalogue::PoliciesPut { .. }) => self.apply_access(views, change),
            Catalogue::KeyValue { namespace, key, value } => {
                self.state.put_key_value(namespace.clone(), key.clone(), value);
                self.dirty.key_values.insert((namespace, key));
            }
        }
    }

    fn apply_topic_delete(&mut self, views: &mut Views, id: u32) {
        let Some(topic) = self.state.delete_topic(id) else { return };
        views.remove_object(&super::objects::topic_key(&topic.config.name));
        if self.dedup.knows(id) {
            self.dedup.forget_topic(id);
        }
        for key in self.state.cursor_keys_of(id) {
            self.drop_cursor(views, key);
        }
        self.state.forget_readers(id);
        for queue in 0..topic.config.queues() {
            views.drop_stream(topic.stream(model::QueueId(queue)));
        }
    }

    /// If its progress is kept, the group's number stays reserved: a group made again under the
    /// same name goes on where the old one was.
    fn apply_group_delete(&mut self, views: &mut Views, id: u32, clean_offsets: bool) {
        let Some(group) = self.state.delete_group(id) else { return };
        views.remove_object(&super::objects::group_key(&group.config.name));
        self.dirty.groups.remove(&id);
        if clean_offsets {
            for key in self.state.cursor_keys().into_iter().filter(|key| key.group_id == id) {
                self.drop_cursor(views, key);
            }
            self.state.forget_reader(id);
        } else {
            let key = super::objects::retired_group_key(&group.config.name);
            views.put_object(&key, &id.to_le_bytes());
            self.state.retire_group(group.config.name.clone(), id);
        }
    }

    pub(super) fn drop_cursor(&mut self, views: &mut Views, key: CursorKey) {
        self.state.remove_cursor(key);
        self.dirty.cursors.remove(&key);
        self.watch_deadline(key, None);
        views.remove_object(&super::objects::cursor_key(key));
    }
}
