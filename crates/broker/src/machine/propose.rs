//! Checking wishes and placing the records that they cause.

use std::sync::Arc;

use model::record::Stamp;
use model::verbs::{Hide, HideWhy};
use model::{GroupConfig, Lsn, Offset, StreamId, TopicConfig, TopicName};
use replica::{Decision, Proposal};
use smallvec::SmallVec;

use super::BrokerMachine;
use super::clients::ClientName;
use super::command::{
    AckItem, Command, DeliverCommand, Delivered, Extended, Outcome, PlacedMessage, PutMode, Refusal,
    SendBackCommand,
};
use super::order::attempt_of;
use super::records::{
    Catalogue, Cause, Deliver, DeliverPart, DuePrefix, DueWhat, EncodedMessage, Extend, MessagePrefix,
    OffsetHow, OffsetSet, Release, encode_settled, kind,
};
use super::state::{CursorKey, Topic};

/// Settled deliveries in one record: bounded by its 16 bit count.
const SETTLED_PER_RECORD_MAX: usize = 4_096;

impl BrokerMachine {
    pub(super) fn propose_command(
        &mut self,
        command: Command,
        proposal: &mut Proposal<'_>,
    ) -> Decision<Outcome> {
        if let Err(error) = self.page_in_for(&command) {
            tracing::error!(error, "a cursor could not be read; what needs it is refused");
            return Decision::Now(Outcome::Refused(Refusal::Unreadable));
        }
        if !matches!(command, Command::Ack(_)) {
            self.place_settling(proposal);
        }
        match command {
            Command::Barrier => Decision::Now(Outcome::Done),
            Command::CommittedBarrier => Decision::Committed(Outcome::Done),
            Command::Publish { stream, messages } => self.publish(stream, messages, proposal),
            Command::PublishOnce(request) => self.publish_once(request, proposal),
            Command::PublishBatch { stream, batch } => self.publish_batch(stream, batch, proposal),
            Command::PublishLite(publish) => self.publish_lite(publish, proposal),
            Command::EndLite(end) => self.end_lite(&end, proposal),
            Command::PublishDue { stream, messages } => self.publish_due(stream, messages, proposal),
            Command::PublishHalf(half) => self.publish_half(half, proposal),
            Command::EndHalf(end) => self.end_half(end, proposal),
            Command::PublishRecurring { stream, message, due_ms } => {
                self.publish_recurring(stream, message, due_ms, proposal)
            }
            Command::CancelDue(cancel) => self.cancel_due(&cancel, proposal),
            Command::DueMinutes { first, max } => {
                Decision::Now(Outcome::DueMinutes(self.due.minutes_from(first, max)))
            }
            Command::Deliver(deliver) => self.deliver(*deliver, proposal),
            Command::Release(release) => self.release(release, proposal),
            Command::Ack(items) => self.ack(&items, proposal),
            Command::Extend { item, hide } => self.extend(item, hide, proposal),
            Command::SendBack(back) => self.send_back(&back, proposal),
            Command::DeadLetter { stream, message, settles } => {
                self.dead_letter(stream, &message, settles, proposal)
            }
            Command::CommitOffset { key, offset, client } => {
                self.commit_offset(key, offset, client, proposal)
            }
            Command::StartCursor { key, offset } => self.start_cursor(key, offset, proposal),
            Command::Seek { group_id, to } => self.seek(group_id, &to, proposal),
            Command::TopicPut { config, mode } => self.put_topic(config, mode, proposal),
            Command::TopicDelete { name } => self.delete_topic(&name, proposal),
            Command::GroupPut { config, mode } => self.put_group(config, mode, proposal),
            Command::GroupDelete { name, clean_offsets } => match self.state.group(&name) {
                Some(group) => self.change(&Catalogue::GroupDelete { id: group.id, clean_offsets }, proposal),
                None => Decision::Now(Outcome::Refused(Refusal::NotFound)),
            },
            Command::Quota(change) => self.change_quota(change, proposal),
            Command::Access(change) => self.change_access(change, proposal),
            Command::KeyValuePut { namespace, key, value } => {
                self.change(&Catalogue::KeyValue { namespace, key, value }, proposal)
            }
        }
    }

    fn publish(
        &mut self,
        stream: StreamId,
        messages: SmallVec<[EncodedMessage; 1]>,
        proposal: &mut Proposal<'_>,
    ) -> Decision<Outcome> {
        if let Some(used_percent) = proposal.refuse_messages {
            return Decision::Now(Outcome::Refused(Refusal::DiskFull { used_percent }));
        }
        let mut placed = SmallVec::with_capacity(messages.len());
        for message in messages {
            placed.push(self.place_message(stream, &message, Cause::None, proposal));
        }
        Decision::Committed(Outcome::Published(placed))
    }

    /// Places a message at the end of a stream and applies it.
    pub(super) fn place_message(
        &mut self,
        stream: StreamId,
        message: &EncodedMessage,
        cause: Cause,
        proposal: &mut Proposal<'_>,
    ) -> PlacedMessage {
        let (offset, last_ms) = proposal.views.next_place(stream);
        let (offset, stored_ms) = (Offset(offset), proposal.now_ms.max(last_ms));
        let prefix = MessagePrefix { cause, stream, tag: message.tag, stored_ms, keys: message.keys.clone() };
        let placed = proposal.push(kind::MESSAGE, |lsn, out| {
            prefix.encode(out);
            let at = out.len();
            out.extend_from_slice(&message.bytes);
            let record = out.get_mut(at..).expect("the message was just appended");
            Stamp { offset, lsn, stored_ms }.put(record).expect("callers hand in whole encoded messages");
        });
        self.apply_placed(proposal);
        PlacedMessage { offset, lsn: placed.lsn, stored_ms }
    }

    fn deliver(&mut self, command: DeliverCommand, proposal: &mut Proposal<'_>) -> Decision<Outcome> {
        let DeliverCommand { group_id, client, invisible_ms, attempt_id, order, parts } = command;
        let now_ms = proposal.now_ms;
        let mut accepted = SmallVec::with_capacity(parts.len());
        let mut kept: Vec<DeliverPart> = Vec::with_capacity(parts.len());
        let attempt = attempt_of(&attempt_id);
        for (expected, part) in parts {
            let cell = self.state.cursor(CursorKey { group_id, stream: part.stream });
            let stands = cell.is_some_and(|cell| {
                let cursor = cell.cursor.lock();
                cursor.next == expected
                    && match order {
                        Some(by) => cursor.allows_in_order(&part, now_ms, attempt, by),
                        None => cursor.allows_unordered(&part, now_ms),
                    }
            });
            let fits = stands && !kept.iter().any(|other| other.stream == part.stream);
            accepted.push(fits);
            if fits {
                kept.push(part);
            }
        }
        let mut delivered = Delivered { nonce: Lsn::ZERO, delivered_ms: now_ms, accepted };
        if kept.is_empty() {
            return Decision::Now(Outcome::Delivered(delivered));
        }
        let deadline_ms = now_ms.saturating_add(invisible_ms);
        let client = self.name_client(client, proposal);
        let record = Deliver { group_id, client, delivered_ms: now_ms, deadline_ms, attempt_id, parts: kept };
        delivered.nonce = proposal.push(record.kind(), |_, out| record.encode(out)).lsn;
        self.apply_placed(proposal);
        let outcome = Outcome::Delivered(delivered);
        // Order is worth a flush: a delivery that a power cut takes back could be overtaken.
        if order.is_some() { Decision::Committed(outcome) } else { Decision::Appended(outcome) }
    }

    fn release(&mut self, mut release: Release, proposal: &mut Proposal<'_>) -> Decision<Outcome> {
        let nonce = release.nonce;
        let cell = self.state.cursor(release.key);
        release.offsets.retain(|offset| cell.as_ref().is_some_and(|c| c.cursor.lock().holds(*offset, nonce)));
        if !release.offsets.is_empty() {
            release.released_ms = proposal.now_ms;
            proposal.push(kind::RELEASE, |_, out| release.encode(out));
            self.apply_placed(proposal);
        }
        Decision::Appended(Outcome::Done)
    }

    fn holds(&self, item: &AckItem) -> bool {
        self.state.cursor(item.key).is_some_and(|cell| cell.cursor.lock().holds(item.offset, item.nonce))
    }

    /// Acknowledgements that follow each other share a record: it is placed when something else comes
    /// or the frame ends, and says what has been applied since.
    fn ack(&mut self, items: &[AckItem], proposal: &mut Proposal<'_>) -> Decision<Outcome> {
        let before = (self.settling.len(), proposal.frame.len());
        let mut held = SmallVec::with_capacity(items.len());
        for (at, item) in items.iter().enumerate() {
            let is_held = self.holds(item);
            if is_held {
                self.settling.push((item.key, item.offset));
                self.apply_acked(item.key, item.offset);
                if self.settling.len() >= SETTLED_PER_RECORD_MAX {
                    self.place_settling(proposal);
                }
            }
            // The same twice in one call has one answer.
            let repeats = || items.iter().take(at).zip(&held).any(|(other, held)| *held && other == item);
            let is_held = is_held || repeats();
            held.push(is_held);
        }
        if before == (self.settling.len(), proposal.frame.len()) {
            return Decision::Now(Outcome::Acked(held));
        }
        Decision::Committed(Outcome::Acked(held))
    }

    /// Places the record of what was acknowledged, which is applied already.
    pub(super) fn place_settling(&mut self, proposal: &mut Proposal<'_>) {
        if !self.settling.is_empty() {
            let now_ms = proposal.now_ms;
            proposal.push(kind::SETTLED, |_, out| encode_settled(now_ms, &self.settling, out));
            self.settling.clear();
        }
    }

    pub(super) fn place_settled(&mut self, items: &[(CursorKey, u64)], proposal: &mut Proposal<'_>) {
        let now_ms = proposal.now_ms;
        proposal.push(kind::SETTLED, |_, out| encode_settled(now_ms, items, out));
        self.apply_placed(proposal);
    }

    fn extend(&mut self, item: AckItem, hide: Hide, proposal: &mut Proposal<'_>) -> Decision<Outcome> {
        if !self.holds(&item) {
            return Decision::Now(Outcome::Extended(None));
        }
        let delivered_ms = proposal.now_ms;
        let deadline_ms = delivered_ms.saturating_add(hide.for_ms);
        let failed = hide.why == HideWhy::Failed;
        let record = Extend { key: item.key, offset: item.offset, delivered_ms, deadline_ms, failed };
        let nonce = proposal.push(kind::EXTEND, |_, out| record.encode(out)).lsn;
        self.apply_placed(proposal);
        Decision::Appended(Outcome::Extended(Some(Extended { nonce, delivered_ms })))
    }

    fn send_back(&mut self, back: &SendBackCommand, proposal: &mut Proposal<'_>) -> Decision<Outcome> {
        let SendBackCommand { stream, tag, group_id, original, original_len, reconsume_times, delay_ms } =
            *back;
        let what = DueWhat::Reference { stream, tag, group_id, original, original_len, reconsume_times };
        let stored_ms = proposal.now_ms;
        let prefix = DuePrefix { due_ms: stored_ms.saturating_add(delay_ms), stored_ms, what };
        proposal.push(kind::DUE, |_, out| prefix.encode(out));
        self.apply_placed(proposal);
        Decision::Committed(Outcome::Settled(true))
    }

    fn dead_letter(
        &mut self,
        stream: StreamId,
        message: &EncodedMessage,
        settles: Option<AckItem>,
        proposal: &mut Proposal<'_>,
    ) -> Decision<Outcome> {
        let cause = match settles {
            Some(item) if !self.holds(&item) => return Decision::Now(Outcome::Settled(false)),
            Some(item) => Cause::Settles { key: item.key, offset: item.offset },
            None => Cause::None,
        };
        self.place_message(stream, message, cause, proposal);
        Decision::Committed(Outcome::Settled(true))
    }

    fn place_offset(&mut self, key: CursorKey, offset: u64, how: OffsetHow, proposal: &mut Proposal<'_>) {
        let set = OffsetSet { key, offset, how, set_ms: proposal.now_ms, client: Lsn::ZERO };
        self.place_offset_set(&set, proposal);
    }

    fn place_offset_set(&mut self, set: &OffsetSet, proposal: &mut Proposal<'_>) {
        proposal.push(kind::OFFSET, |_, out| set.encode(out));
        self.apply_placed(proposal);
    }

    fn commit_offset(
        &mut self,
        key: CursorKey,
        offset: u64,
        client: Option<ClientName>,
        proposal: &mut Proposal<'_>,
    ) -> Decision<Outcome> {
        let unchanged = self.state.cursor(key).is_some_and(|cell| {
            let cursor = cell.cursor.lock();
            cursor.next == offset && cursor.in_flight.is_empty() && cursor.waiting.is_empty()
        });
        if unchanged {
            return Decision::Now(Outcome::Done);
        }
        let client = self.name_client(client, proposal);
        let set = OffsetSet { key, offset, how: OffsetHow::Commit, set_ms: proposal.now_ms, client };
        self.place_offset_set(&set, proposal);
        Decision::Committed(Outcome::Done)
    }

    fn start_cursor(
        &mut self,
        key: CursorKey,
        offset: u64,
        proposal: &mut Proposal<'_>,
    ) -> Decision<Outcome> {
        if self.state.cursor(key).is_some() {
            return Decision::Now(Outcome::Done);
        }
        self.place_offset(key, offset, OffsetHow::Start, proposal);
        Decision::Appended(Outcome::Done)
    }

    fn seek(
        &mut self,
        group_id: u32,
        to: &[(StreamId, u64)],
        proposal: &mut Proposal<'_>,
    ) -> Decision<Outcome> {
        for (stream, offset) in to {
            self.place_offset(CursorKey { group_id, stream: *stream }, *offset, OffsetHow::Seek, proposal);
        }
        Decision::Committed(Outcome::Done)
    }

    pub(super) fn change(&mut self, change: &Catalogue, proposal: &mut Proposal<'_>) -> Decision<Outcome> {
        self.place_change(change, proposal);
        Decision::Committed(Outcome::Done)
    }

    fn place_change(&mut self, change: &Catalogue, proposal: &mut Proposal<'_>) {
        let json = serde_json::to_vec(change).expect("a change of the catalogue is plain data");
        proposal.push(kind::CATALOGUE, |_, out| out.extend_from_slice(&json));
        self.apply_placed(proposal);
    }

    fn put_topic(
        &mut self,
        config: TopicConfig,
        mode: PutMode,
        proposal: &mut Proposal<'_>,
    ) -> Decision<Outcome> {
        let name = config.name.clone();
        let existing = self.state.topic(&name);
        match (&existing, mode) {
            (Some(_), PutMode::Create) => return Decision::Now(Outcome::Refused(Refusal::Exists)),
            // Committed, not at once: what makes the topic may still be on its way to the disk.
            (Some(topic), PutMode::Ensure) => return Decision::Committed(Outcome::Topic(Arc::clone(topic))),
            (Some(topic), PutMode::Put) if topic.config == config => {
                return Decision::Committed(Outcome::Topic(Arc::clone(topic)));
            }
            _ => {}
        }
        let id = existing.map_or(self.next_topic_id, |topic| topic.id);
        self.place_change(&Catalogue::TopicPut { id, config }, proposal);
        let topic = self.state.topic(&name).expect("the topic was just put");
        Decision::Committed(Outcome::Topic(topic))
    }

    /// A topic of the machine's own, made if it does not exist.
    pub(super) fn ensure_topic(
        &mut self,
        name: &TopicName,
        queues: u32,
        proposal: &mut Proposal<'_>,
    ) -> Arc<Topic> {
        if let Some(topic) = self.state.topic(name) {
            return topic;
        }
        let config = TopicConfig::new(name.clone(), queues);
        self.place_change(&Catalogue::TopicPut { id: self.next_topic_id, config }, proposal);
        self.state.topic(name).expect("the topic was just put")
    }

    fn delete_topic(&mut self, name: &TopicName, proposal: &mut Proposal<'_>) -> Decision<Outcome> {
        match self.state.topic(name) {
            Some(topic) => self.change(&Catalogue::TopicDelete { id: topic.id }, proposal),
            None => Decision::Now(Outcome::Refused(Refusal::NotFound)),
        }
    }

    fn put_group(
        &mut self,
        config: GroupConfig,
        mode: PutMode,
        proposal: &mut Proposal<'_>,
    ) -> Decision<Outcome> {
        let name = config.name.clone();
        let existing = self.state.group(&name);
        match (&existing, mode) {
            (Some(_), PutMode::Create) => return Decision::Now(Outcome::Refused(Refusal::Exists)),
            (Some(group), PutMode::Ensure) => return Decision::Committed(Outcome::Group(Arc::clone(group))),
            (Some(group), PutMode::Put) if group.config == config => {
                return Decision::Committed(Outcome::Group(Arc::clone(group)));
            }
            _ => {}
        }
        let before = existing.map(|group| group.id).or_else(|| self.state.retired_group(&name));
        let id = before.unwrap_or(self.next_group_id);
        self.place_change(&Catalogue::GroupPut { id, config }, proposal);
        let group = self.state.group(&name).expect("the group was just put");
        Decision::Committed(Outcome::Group(group))
    }
}
