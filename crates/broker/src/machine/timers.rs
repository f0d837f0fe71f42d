//! What waits for its time: arms it, cancels it, loads it when its minute comes, and moves it when
//! its segment is about to be deleted. What firing does is in [`super::tick`].
//!
//! A timed message is found by a hash of its unique id in the index of keys, where its record, its
//! moves and its cancellation stand. The look happens on the caller's thread; here only what has
//! changed since is checked, so that a cancellation costs the group's thread next to nothing.

use std::collections::BTreeSet;

use model::{Lsn, Offset, StoredMessage, StreamId};
use replica::{Decision, Proposal};
use smallvec::SmallVec;
use store::{Entry, NewEntry, RecordRef, Views};

use super::BrokerMachine;
use super::command::{CancelDueCommand, DueFound, DueMessage, Outcome, PlacedMessage, Refusal};
use super::due::{Minute, MinuteEntry, Waiting, minute_of, start_ms};
use super::records::{
    Cause, DueCancelled, DuePrefix, DueWhat, ENTRY_CANCELS, EncodedMessage, KeyHashes, kind,
};
use super::state::WorstFailure;
use super::tick::Unreadable;
use crate::cron::Recurrence;
use crate::limits::{DUE_MINUTES_MAX, MOVED_BYTES_PER_STEP_MAX, MOVED_PER_STEP_MAX};
use crate::streams;

/// Entries of a due minute that are read at once.
const LOAD_STEP: usize = 4_096;
/// Entries that are looked at at once to be moved.
const MOVE_STEP: usize = 256;
/// Reads of one step of moving.
const MOVE_LOOKS_MAX: usize = 64;
/// Hashes share a place here; a cancellation that meets a stranger's change is only tried again.
const CHANGES: usize = 4_096;

pub(super) fn no_changes() -> Box<[Lsn]> {
    vec![Lsn::ZERO; CHANGES].into()
}

/// The minute that is being moved.
#[derive(Debug)]
pub(super) struct Moving {
    minute: i64,
    /// Offset to read on at.
    next: u64,
    /// Offsets of what was cancelled.
    cancelled: BTreeSet<u64>,
}

/// An entry of a minute's stream, as the index wants it.
pub(crate) fn minute_entry(minute: i64, entry: &Entry) -> MinuteEntry {
    if entry.flags & ENTRY_CANCELS != 0 {
        return MinuteEntry::Cancels { offset: u64::from(entry.tag) };
    }
    let due_ms = start_ms(minute) + i64::from(entry.tag);
    let waiting = Waiting { due_ms, lsn: entry.lsn, len: entry.len };
    MinuteEntry::Waiting { offset: entry.offset, waiting }
}

// === records ===

impl BrokerMachine {
    pub(super) fn apply_due(&mut self, views: &mut Views, record: &RecordRef<'_>, prefix: &DuePrefix) {
        if let DueWhat::Reference { group_id, original, original_len, reconsume_times, .. } = prefix.what {
            let failure = WorstFailure {
                lsn: original,
                len: original_len,
                attempts: reconsume_times,
                at_ms: prefix.stored_ms,
            };
            self.state.note_failure(group_id, failure);
        }
        let waiting = self.enter(views, record, prefix);
        self.due.on_arrived(waiting);
        self.timer_metrics.arrived();
        self.timer_metrics.minutes(self.due.minute_count());
        self.timer_metrics.waiting(self.due.len());
    }

    pub(super) fn apply_due_moved(
        &mut self,
        views: &mut Views,
        record: &RecordRef<'_>,
        prefix: &DuePrefix,
        from: Lsn,
    ) {
        let waiting = self.enter(views, record, prefix);
        self.due.on_moved(from, waiting);
        self.timer_metrics.moved();
    }

    /// Puts something due into the stream of its minute, where its recall can find it.
    fn enter(&mut self, views: &mut Views, record: &RecordRef<'_>, prefix: &DuePrefix) -> Waiting {
        let due_ms = self.due.effective_ms(prefix.due_ms);
        let minute = minute_of(due_ms);
        let stream = streams::of_due_minute(minute);
        // The tag of a due minute's entry is the millisecond inside the minute.
        let tag = u32::try_from(due_ms - start_ms(minute)).unwrap_or(0);
        let time_ms = prefix.stored_ms.max(views.last_time_ms(stream));
        views.append(stream, NewEntry { lsn: record.lsn, len: record.len, tag, time_ms, count: 1, flags: 0 });
        if let Some(hash) = prefix.what.timer_hash() {
            views.index_key(hash, record.lsn, prefix.stored_ms);
            self.note_change(hash, record.lsn);
        }
        Waiting { due_ms, lsn: record.lsn, len: record.len }
    }

    pub(super) fn apply_due_cancelled(
        &mut self,
        views: &mut Views,
        record: &RecordRef<'_>,
        cancelled: &DueCancelled,
    ) {
        let DueCancelled { at_ms, hash, due_ms, lsn, offset } = *cancelled;
        views.index_key(hash, record.lsn, at_ms);
        self.note_change(hash, record.lsn);
        self.timer_metrics.cancelled();
        if let Some(emptied) = self.due.on_cancelled(due_ms, lsn) {
            self.forget_minute(views, emptied);
            return;
        }
        let minute = minute_of(due_ms);
        let stream = streams::of_due_minute(minute);
        let tag = u32::try_from(offset).unwrap_or(u32::MAX);
        let time_ms = at_ms.max(views.last_time_ms(stream));
        let flags = ENTRY_CANCELS;
        views.append(stream, NewEntry { lsn: record.lsn, len: record.len, tag, time_ms, count: 1, flags });
        if let Some(moving) = self.moving.as_mut().filter(|moving| moving.minute == minute) {
            moving.cancelled.insert(offset);
        }
    }

    pub(super) fn apply_fired(&mut self, views: &mut Views, due_ms: i64, lsn: Lsn) {
        if let Some(emptied) = self.due.on_fired(due_ms, lsn) {
            self.forget_minute(views, emptied);
        }
    }

    fn forget_minute(&mut self, views: &mut Views, minute: i64) {
        views.drop_stream(streams::of_due_minute(minute));
        self.timer_metrics.minutes(self.due.minute_count());
        self.timer_metrics.waiting(self.due.len());
        if self.moving.as_ref().is_some_and(|moving| moving.minute == minute) {
            self.moving = None;
        }
    }

    fn note_change(&mut self, hash: u64, lsn: Lsn) {
        if let Some(change) = self.due_changes.get_mut(change_of(hash)) {
            *change = lsn;
        }
    }
}

fn change_of(hash: u64) -> usize {
    usize::try_from(hash % CHANGES as u64).unwrap_or(0)
}

// === wishes ===

impl BrokerMachine {
    pub(super) fn publish_due(
        &mut self,
        stream: StreamId,
        messages: SmallVec<[DueMessage; 1]>,
        proposal: &mut Proposal<'_>,
    ) -> Decision<Outcome> {
        if let Some(refusal) = messages.iter().find_map(|one| self.refuses_due(one.due_ms, proposal)) {
            return Decision::Now(Outcome::Refused(refusal));
        }
        let mut placed = SmallVec::with_capacity(messages.len());
        for DueMessage { message, due_ms } in messages {
            placed.push(if due_ms <= proposal.now_ms {
                self.place_message(stream, &message, Cause::None, proposal)
            } else {
                let EncodedMessage { bytes, tag, keys } = message;
                self.place_due(due_ms, DueWhat::Message { stream, tag, keys }, &bytes, proposal)
            });
        }
        Decision::Committed(Outcome::Published(placed))
    }

    pub(super) fn publish_recurring(
        &mut self,
        stream: StreamId,
        message: EncodedMessage,
        due_ms: i64,
        proposal: &mut Proposal<'_>,
    ) -> Decision<Outcome> {
        if let Some(refusal) = self.refuses_due(due_ms, proposal) {
            return Decision::Now(Outcome::Refused(refusal));
        }
        let EncodedMessage { bytes, tag, keys } = message;
        let what = DueWhat::Recurring { stream, tag, keys, fired_times: 0 };
        let placed = self.place_due(due_ms, what, &bytes, proposal);
        Decision::Committed(Outcome::Published(SmallVec::from_elem(placed, 1)))
    }

    fn refuses_due(&self, due_ms: i64, proposal: &Proposal<'_>) -> Option<Refusal> {
        if let Some(used_percent) = proposal.refuse_messages {
            return Some(Refusal::DiskFull { used_percent });
        }
        let is_full = self.due.minute_count() >= DUE_MINUTES_MAX && self.due.is_new_minute(due_ms);
        is_full.then_some(Refusal::TooManyDueMinutes { max: DUE_MINUTES_MAX })
    }

    fn place_due(
        &mut self,
        due_ms: i64,
        what: DueWhat,
        message: &[u8],
        proposal: &mut Proposal<'_>,
    ) -> PlacedMessage {
        let stored_ms = proposal.now_ms;
        let prefix = DuePrefix { due_ms, stored_ms, what };
        let placed = proposal.push(kind::DUE, |_, out| {
            prefix.encode(out);
            out.extend_from_slice(message);
        });
        self.apply_placed(proposal);
        PlacedMessage { offset: Offset(0), lsn: placed.lsn, stored_ms }
    }

    /// Cancels what a look into the log found, unless it has fired since. If something with the
    /// same hash has changed above what the look saw, the caller must look again.
    pub(super) fn cancel_due(
        &mut self,
        cancel: &CancelDueCommand,
        proposal: &mut Proposal<'_>,
    ) -> Decision<Outcome> {
        let CancelDueCommand { hash, seen, ref found } = *cancel;
        if self.due_changes.get(change_of(hash)).is_some_and(|changed| *changed >= seen) {
            // Once this is answered, the look will see what changed.
            return Decision::Committed(Outcome::Refused(Refusal::Overtaken));
        }
        let mut count = 0;
        for DueFound { due_ms, lsn, offset } in found.iter().copied() {
            if !self.due.may_wait(due_ms, lsn) || u32::try_from(offset).is_err() {
                continue;
            }
            let record = DueCancelled { at_ms: proposal.now_ms, hash, due_ms, lsn, offset };
            proposal.push(kind::DUE_CANCELLED, |_, out| record.encode(out));
            self.apply_placed(proposal);
            count += 1;
        }
        if count == 0 {
            return Decision::Now(Outcome::Cancelled(0));
        }
        Decision::Committed(Outcome::Cancelled(count))
    }
}

// === time ===

impl BrokerMachine {
    /// Loads a part of what comes next. `behind`: also of minutes that are over.
    pub(super) fn load_step(&mut self, now_ms: i64, behind: bool) -> Result<(), Unreadable> {
        let Some((minute, from)) = self.due.to_load(now_ms) else { return Ok(()) };
        if !behind && minute < minute_of(now_ms) {
            return Ok(());
        }
        let entries = self.read_minute(minute, from, LOAD_STEP)?;
        let next = entries.last().map_or(from, Entry::next_offset);
        let entries: Vec<MinuteEntry> = entries.iter().map(|entry| minute_entry(minute, entry)).collect();
        self.due.on_loaded(&entries, next);
        Ok(())
    }

    fn read_minute(&self, minute: i64, from: u64, max: usize) -> Result<Vec<Entry>, Unreadable> {
        let views = self.views.as_ref().ok_or(Unreadable)?;
        let mut entries = Vec::new();
        if let Err(error) = views.read(streams::of_due_minute(minute), from, max, Lsn(u64::MAX), &mut entries)
        {
            tracing::error!(%error, minute, "what is due in a minute could not be read; it waits");
            return Err(Unreadable);
        }
        Ok(entries)
    }

    /// A recurring message was fired: arms it again, in the same frame, so that both or neither
    /// have happened after a crash.
    pub(super) fn arm_again(
        &mut self,
        message: &bytes::Bytes,
        recurring: (StreamId, u32, KeyHashes, u32),
        proposal: &mut Proposal<'_>,
    ) {
        let (stream, tag, keys, fired_times) = recurring;
        let parsed = StoredMessage::parse(message.clone());
        let recurrence = parsed.ok().and_then(|m| Recurrence::of(&|key| m.property(key)).ok().flatten());
        let next_ms = recurrence.and_then(|recurrence| recurrence.next_ms(proposal.now_ms, fired_times));
        if let Some(due_ms) = next_ms {
            let what = DueWhat::Recurring { stream, tag, keys, fired_times };
            self.place_due(due_ms, what, message, proposal);
        }
    }
}

// === what a cut of the log would take ===

impl BrokerMachine {
    /// Moves some of what waits below a position to the end of the log. Answers up to where
    /// nothing waits: so far the log may be cut.
    pub(super) fn move_due(&mut self, before: Lsn, proposal: &mut Proposal<'_>) -> Lsn {
        for _ in 0..MOVE_LOOKS_MAX {
            let is_full = proposal.frame.len() >= MOVED_PER_STEP_MAX
                || proposal.frame.bytes() >= MOVED_BYTES_PER_STEP_MAX;
            let moving = self.moving.as_ref().map(|moving| moving.minute);
            let next = moving.or_else(|| self.due.oldest_below(before).map(|(_, minute)| minute));
            let Some(minute) = next.filter(|_| !is_full) else { break };
            if self.move_some(minute, before, proposal).is_err() {
                break;
            }
        }
        let oldest = self.due.oldest_below(before);
        oldest.map_or(before, |(lsn, _)| lsn)
    }

    /// Looks at some entries of a minute, and moves those that wait below a position.
    fn move_some(&mut self, minute: i64, before: Lsn, proposal: &mut Proposal<'_>) -> Result<(), Unreadable> {
        let from = match &self.moving {
            Some(moving) => moving.next,
            None => {
                let cancelled = self.cancelled_in(minute)?;
                self.moving = Some(Moving { minute, next: 0, cancelled });
                0
            }
        };
        let entries = self.read_minute(minute, from, MOVE_STEP)?;
        for entry in &entries {
            if entry.lsn >= before {
                self.due.set_oldest(minute, entry.lsn);
                self.moving = None;
                return Ok(());
            }
            let is_full = proposal.frame.len() >= MOVED_PER_STEP_MAX
                || proposal.frame.bytes() >= MOVED_BYTES_PER_STEP_MAX;
            if is_full {
                return Ok(());
            }
            if let MinuteEntry::Waiting { offset, waiting } = minute_entry(minute, entry)
                && self.waits(offset, waiting)
            {
                self.move_one(waiting, proposal)?;
            }
            self.due.set_oldest(minute, Lsn(entry.lsn.get() + 1));
            if let Some(moving) = &mut self.moving {
                moving.next = entry.next_offset();
            }
        }
        if entries.is_empty() {
            // What was moved stands above, so this is a minute that cannot be: nothing is lost by it.
            self.due.set_oldest(minute, before);
            self.moving = None;
        }
        Ok(())
    }

    fn waits(&self, offset: u64, waiting: Waiting) -> bool {
        let is_cancelled = || self.moving.as_ref().is_some_and(|moving| moving.cancelled.contains(&offset));
        self.due.may_wait(waiting.due_ms, waiting.lsn)
            && self.due.is_loaded(waiting.due_ms, waiting.lsn).unwrap_or_else(|| !is_cancelled())
    }

    fn move_one(&mut self, waiting: Waiting, proposal: &mut Proposal<'_>) -> Result<(), Unreadable> {
        let Some(payload) = self.read_record(waiting.lsn, waiting.len)? else {
            // Cut off already, by a version that did not move: firing will tell.
            return Ok(());
        };
        let (prefix, at) = DuePrefix::decode(&payload).map_err(|_| Unreadable)?;
        let prefix = DuePrefix { due_ms: waiting.due_ms, ..prefix };
        proposal.push(kind::DUE_MOVED, |_, out| {
            prefix.encode_moved(waiting.lsn, out);
            out.extend_from_slice(payload.get(at..).unwrap_or_default());
        });
        self.apply_placed(proposal);
        Ok(())
    }

    /// Offsets of what was cancelled in a minute. Loaded minutes do not need them.
    fn cancelled_in(&self, minute: i64) -> Result<BTreeSet<u64>, Unreadable> {
        let mut cancelled = BTreeSet::new();
        if self.due.minute(minute).is_none_or(|Minute { cancels, .. }| cancels == 0) {
            return Ok(cancelled);
        }
        let mut from = 0;
        loop {
            let entries = self.read_minute(minute, from, LOAD_STEP)?;
            let Some(last) = entries.last() else { return Ok(cancelled) };
            from = last.next_offset();
            cancelled.extend(entries.iter().filter_map(|entry| match minute_entry(minute, entry) {
                MinuteEntry::Cancels { offset } => Some(offset),
                MinuteEntry::Waiting { .. } => None,
            }));
        }
    }
}
