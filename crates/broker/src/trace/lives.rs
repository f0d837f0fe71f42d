//! Lives of messages, put together record by record: what each record says of messages that are followed.
//!
//! A message is followed by the positions of its records (half message, what waits, the message itself)
//! and by its places (queue and offset), to which retries add. Records come in the order of the log, from
//! the first of a message on; after a gap nothing is concluded from what was not seen.

use std::collections::{HashMap, HashSet};

use model::admin::{LifeStep, Step};
use model::{Lsn, StreamId, properties};
use store::Record;

use super::life::{Life, Open, Place, Stand, describe};
use super::look::{Anchor, Look, anchors_of, reference_of};
use crate::error::Failed;
use crate::machine::bytes::Reader;
use crate::machine::clients::NamedClient;
use crate::machine::lite::lite_place_of;
use crate::machine::records::{
    Cause, Deliver, DueCancelled, DuePrefix, DueWhat, Extend, OffsetHow, OffsetSet, Reference, Release,
    decode_settled, kind,
};
use crate::machine::records::{DeliverPart, MessagePrefix};
use crate::machine::state::CursorKey;
use crate::machine::transactions::{DISCARD_TOPIC, HalfPrefix};

/// All messages that are followed.
pub(super) struct Lives<'a> {
    look: &'a Look,
    pub(super) lives: Vec<Life>,
    by_lsn: HashMap<Lsn, usize>,
    by_place: HashMap<Place, usize>,
    streams: HashSet<StreamId>,
    named: HashMap<Lsn, Option<NamedClient>>,
    /// Clients that records name, by address.
    pub(super) by_address: HashMap<String, String>,
    /// Something between this record and the one before was not seen.
    pub(super) has_gap: bool,
}

impl<'a> Lives<'a> {
    pub(super) fn new(look: &'a Look) -> Self {
        Self {
            look,
            lives: Vec::new(),
            by_lsn: HashMap::new(),
            by_place: HashMap::new(),
            streams: HashSet::new(),
            named: HashMap::new(),
            by_address: HashMap::new(),
            has_gap: false,
        }
    }

    /// Follows what was found. Of what was fired or committed the record before is followed too.
    pub(super) fn follow(&mut self, anchor: &Anchor) {
        let by_place = anchor.place.and_then(|place| self.by_place.get(&place).copied());
        let by_lsn = self.by_lsn.get(&anchor.root).or_else(|| self.by_lsn.get(&anchor.lsn)).copied();
        // The messages of a batch share a record, and each has a life of its own.
        let is_other = |index: &usize| {
            anchor.place.is_some() && self.lives.get(*index).is_some_and(|life| life.place().is_some())
        };
        let index = by_place.or_else(|| by_lsn.filter(|index| !is_other(index))).unwrap_or_else(|| {
            self.lives.push(Life { root: anchor.root, ..Life::default() });
            self.lives.len() - 1
        });
        self.by_lsn.insert(anchor.root, index);
        self.by_lsn.insert(anchor.lsn, index);
        let Some(life) = self.lives.get_mut(index) else { return };
        life.root = life.root.min(anchor.root);
        if life.shown.topic.is_empty() || anchor.place.is_some() {
            describe(anchor, &mut life.shown);
        }
        if let Some(place) = anchor.place {
            self.stand(index, Stand { place, attempts_before: 0, group_id: None });
        }
    }

    fn stand(&mut self, index: usize, stand: Stand) {
        let Some(life) = self.lives.get_mut(index) else { return };
        if life.stands.iter().any(|known| known.place == stand.place) {
            return;
        }
        self.by_place.insert(stand.place, index);
        self.streams.insert(stand.place.0);
        life.stands.push(stand);
    }

    /// Whether records of this kind can say something.
    pub(super) fn wants(kind: u8) -> bool {
        matches!(
            kind,
            kind::MESSAGE
                | kind::LITE_MESSAGE
                | kind::BATCH
                | kind::REFERENCE
                | kind::DUE
                | kind::DUE_MOVED
                | kind::DUE_CANCELLED
                | kind::DUE_DROPPED
                | kind::HALF
                | kind::HALF_CHECK
                | kind::HALF_END
                | kind::DELIVER
                | kind::ORDERED
                | kind::RELEASE
                | kind::EXTEND
                | kind::SETTLED
                | kind::OFFSET
                | kind::CLIENT
        )
    }

    /// The next record.
    pub(super) fn on_record(&mut self, lsn: Lsn, record: &Record) -> Result<(), Failed> {
        let payload = &record.payload;
        let damaged = |_| Failed::Data(format!("the record at {lsn} does not decode"));
        match record.kind {
            kind::MESSAGE | kind::LITE_MESSAGE | kind::BATCH => {
                let (prefix, _) = MessagePrefix::decode(payload).map_err(damaged)?;
                self.on_message(lsn, record, &prefix)?;
            }
            kind::REFERENCE => {
                if let Some(reference) = reference_of(record) {
                    self.on_reference(lsn, &reference)?;
                }
            }
            kind::DUE | kind::DUE_MOVED => {
                let (prefix, _) = DuePrefix::decode(payload).map_err(damaged)?;
                self.on_due(lsn, record, &prefix)?;
            }
            kind::DUE_CANCELLED => {
                let cancelled = DueCancelled::decode(payload).map_err(damaged)?;
                if let Some(life) = self.life_at(cancelled.lsn) {
                    life.step(cancelled.at_ms, Step::Recalled, None);
                }
            }
            kind::HALF => self.on_half(lsn, payload),
            kind::HALF_CHECK => {
                let mut from = Reader(payload);
                let half = from.u64().map_err(damaged)?;
                let (_, at_ms) = (from.i64().map_err(damaged)?, from.i64().map_err(damaged)?);
                if let Some(life) = self.life_at(Lsn(half)) {
                    life.step(at_ms, Step::Checked, Some("a producer of the group is asked".to_owned()));
                }
            }
            kind::HALF_END => {
                let mut from = Reader(payload);
                let (half, at_ms) = (from.u64().map_err(damaged)?, from.i64().map_err(damaged)?);
                if let Some(life) = self.life_at(Lsn(half)).filter(|life| !life.is_committed) {
                    life.step(at_ms, Step::RolledBack, None);
                }
            }
            kind::DELIVER | kind::ORDERED => {
                // Only its parts' streams tell whether it matters.
                let deliver = Deliver::decode(record.kind, payload).map_err(damaged)?;
                self.on_deliver(lsn, &deliver);
            }
            kind::RELEASE => self.on_release(&Release::decode(payload).map_err(damaged)?),
            kind::EXTEND => self.on_extend(lsn, &Extend::decode(payload).map_err(damaged)?),
            kind::SETTLED => {
                let (at_ms, items) = decode_settled(payload).map_err(damaged)?;
                for (key, offset) in items {
                    self.on_settled(key, offset, at_ms);
                }
            }
            kind::OFFSET => self.on_offset(&OffsetSet::decode(payload).map_err(damaged)?),
            kind::CLIENT => {
                let client = NamedClient::decode(payload).map_err(damaged)?;
                if !client.id.is_empty() {
                    self.by_address.insert(client.address, client.id);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn life_at(&mut self, lsn: Lsn) -> Option<&mut Life> {
        let index = *self.by_lsn.get(&lsn)?;
        self.lives.get_mut(index)
    }

    fn on_message(&mut self, lsn: Lsn, record: &Record, prefix: &MessagePrefix) -> Result<(), Failed> {
        let before = match prefix.cause {
            Cause::Fired { lsn, .. } | Cause::EndsHalf { lsn } => self.by_lsn.get(&lsn).copied(),
            Cause::Settles { key, offset } => {
                if let Some(index) = self.by_place.get(&(key.stream, offset)).copied() {
                    self.on_copy(index, (lsn, record), prefix, key, offset)?;
                }
                return Ok(());
            }
            Cause::None => None,
        };
        let index = match (before, self.by_lsn.get(&lsn).copied()) {
            (Some(index), _) | (None, Some(index)) => index,
            (None, None) => {
                self.on_other_message(record, prefix);
                return Ok(());
            }
        };
        let Ok(anchors) = anchors_of(lsn, record) else { return Ok(()) };
        if anchors.len() > 1 {
            // A batch: each of its messages that is followed has its place already.
            for anchor in anchors {
                let Some(index) = anchor.place.and_then(|place| self.by_place.get(&place).copied()) else {
                    continue;
                };
                self.stored(index, &anchor, prefix.stored_ms);
            }
            return Ok(());
        }
        let Some(anchor) = anchors.first() else { return Ok(()) };
        self.by_lsn.insert(lsn, index);
        let Some(life) = self.lives.get_mut(index) else { return Ok(()) };
        match prefix.cause {
            Cause::Fired { due_ms, .. } => {
                let late = prefix.stored_ms - due_ms;
                life.step(prefix.stored_ms, Step::Fired, Some(format!("due at {due_ms}, {late} ms late")));
            }
            Cause::EndsHalf { .. } if anchor.message.topic() == DISCARD_TOPIC => {
                let why = format!("nobody decided: moved to {DISCARD_TOPIC}");
                life.step(prefix.stored_ms, Step::RolledBack, Some(why));
                return Ok(());
            }
            Cause::EndsHalf { .. } => life.step(prefix.stored_ms, Step::Committed, None),
            Cause::None | Cause::Settles { .. } => {}
        }
        describe(anchor, &mut life.shown);
        self.stored(index, anchor, prefix.stored_ms);
        if let Some(place) = anchor.place {
            self.stand(index, Stand { place, attempts_before: 0, group_id: None });
        }
        if record.kind == kind::LITE_MESSAGE
            && let Some(stream) = lite_place_of(&record.payload)
            && let Some(offset) = self.look.offset_of(stream, lsn, prefix.stored_ms)?
        {
            self.stand(index, Stand { place: (stream, offset), attempts_before: 0, group_id: None });
        }
        Ok(())
    }

    fn stored(&mut self, index: usize, anchor: &Anchor, stored_ms: i64) {
        let Some(life) = self.lives.get_mut(index) else { return };
        let detail = format!("queue {}, offset {}", anchor.message.queue(), anchor.message.offset());
        life.step(stored_ms, Step::Stored, Some(detail));
    }

    /// A message that ends a delivery: a dead letter, or a copy for the next attempt.
    fn on_copy(
        &mut self,
        index: usize,
        (lsn, record): (Lsn, &Record),
        prefix: &MessagePrefix,
        key: CursorKey,
        offset: u64,
    ) -> Result<(), Failed> {
        let topic = self.look.topic_of(prefix.stream);
        let is_dead = topic.as_ref().is_some_and(model::TopicName::is_dead_letters);
        if is_dead {
            self.dead_letter(index, key.group_id, Some((key.stream, offset)), prefix);
            return Ok(());
        }
        let retry = anchors_of(lsn, record).ok().and_then(|anchors| Some(anchors.first()?.message.clone()));
        let Some(message) = retry else { return Ok(()) };
        self.expired(index, key, offset, prefix.stored_ms);
        let place = (prefix.stream, message.offset().get());
        let attempts_before = message.reconsume_times();
        self.retried(index, (key.group_id, attempts_before), prefix.stored_ms, place);
        Ok(())
    }

    fn dead_letter(&mut self, index: usize, group_id: u32, place: Option<Place>, prefix: &MessagePrefix) {
        let group = self.look.group_name(group_id);
        let topic = self.look.topic_of(prefix.stream).map_or_else(String::new, |topic| topic.to_string());
        let Some(life) = self.lives.get_mut(index) else { return };
        let ended = place.and_then(|place| life.close(group_id, place, prefix.stored_ms, "dead_lettered"));
        if let Some(place) = place {
            life.passed.insert((group_id, place));
        }
        life.given_back.insert(group_id);
        life.push(LifeStep {
            at_ms: prefix.stored_ms,
            step: Step::DeadLettered,
            group: Some(group),
            attempt: ended.map(|open| open.attempt),
            detail: Some(format!("a copy stands in {topic}")),
            ..LifeStep::default()
        });
    }

    /// A message that ends nothing: a dead letter that a 4.x client asked for says whose copy it is.
    fn on_other_message(&mut self, record: &Record, prefix: &MessagePrefix) {
        let Some(topic) = self.look.topic_of(prefix.stream).filter(model::TopicName::is_dead_letters) else {
            return;
        };
        let Ok(anchors) = anchors_of(Lsn::ZERO, record) else { return };
        let Some(message) = anchors.first().map(|anchor| &anchor.message) else { return };
        let Some(origin) = message.property(properties::DLQ_ORIGIN_MESSAGE_ID) else { return };
        let from = message.property(properties::DLQ_ORIGIN_TOPIC).unwrap_or_default();
        let same = |life: &Life| life.shown.message_id == origin && life.shown.topic == from;
        let Some(index) = self.lives.iter().position(same) else { return };
        let group = topic.derived_from().and_then(|name| model::GroupName::new(name).ok());
        let Some(group) = group.and_then(|name| self.look.state.group(&name)) else { return };
        self.dead_letter(index, group.id, None, prefix);
    }

    fn on_reference(&mut self, lsn: Lsn, reference: &Reference) -> Result<(), Failed> {
        let Some(index) = self.by_lsn.get(&reference.original).copied() else { return Ok(()) };
        if let Cause::Settles { key, offset } = reference.cause {
            if self.by_place.get(&(key.stream, offset)) != Some(&index) {
                return Ok(());
            }
            self.expired(index, key, offset, reference.stored_ms);
        }
        let offset = self.look.offset_of(reference.stream, lsn, reference.stored_ms)?;
        let Some(offset) = offset else { return Ok(()) };
        let attempts = (reference.group_id, reference.reconsume_times);
        self.retried(index, attempts, reference.stored_ms, (reference.stream, offset));
        Ok(())
    }

    fn expired(&mut self, index: usize, key: CursorKey, offset: u64, at_ms: i64) {
        let group = self.look.group_name(key.group_id);
        let Some(life) = self.lives.get_mut(index) else { return };
        let place = (key.stream, offset);
        life.passed.insert((key.group_id, place));
        life.expire(key.group_id, group, place, at_ms);
    }

    fn retried(&mut self, index: usize, (group_id, attempts): (u32, u32), at_ms: i64, place: Place) {
        let group = self.look.group_name(group_id);
        let topic = self.look.topic_of(place.0).map_or_else(String::new, |topic| topic.to_string());
        self.stand(index, Stand { place, attempts_before: attempts, group_id: Some(group_id) });
        let Some(life) = self.lives.get_mut(index) else { return };
        life.given_back.remove(&group_id);
        life.push(LifeStep {
            at_ms,
            step: Step::Retried,
            group: Some(group),
            attempt: Some(attempts + 1),
            detail: Some(format!("{topic}, offset {}", place.1)),
            ..LifeStep::default()
        });
    }

    fn on_due(&mut self, lsn: Lsn, record: &Record, prefix: &DuePrefix) -> Result<(), Failed> {
        if let DueWhat::Reference { group_id, original, reconsume_times, .. } = prefix.what {
            let Some(index) = self.by_lsn.get(&original).copied() else { return Ok(()) };
            let group = self.look.group_name(group_id);
            let Some(life) = self.lives.get_mut(index) else { return Ok(()) };
            if record.kind == kind::DUE {
                life.given_back.insert(group_id);
                life.push(LifeStep {
                    at_ms: prefix.stored_ms,
                    step: Step::Failed,
                    group: Some(group),
                    attempt: Some(reconsume_times),
                    detail: Some(format!("given back: again in {} ms", prefix.due_ms - prefix.stored_ms)),
                    ..LifeStep::default()
                });
            }
            return Ok(());
        }
        if record.kind == kind::DUE_MOVED {
            let from = DuePrefix::moved_from(&record.payload).ok();
            if let Some(index) = from.and_then(|from| self.by_lsn.get(&from).copied()) {
                self.by_lsn.insert(lsn, index);
            }
            return Ok(());
        }
        let Ok(anchors) = anchors_of(lsn, record) else { return Ok(()) };
        let Some(anchor) = anchors.first() else { return Ok(()) };
        let index = self.by_lsn.get(&lsn).or_else(|| self.by_lsn.get(&anchor.root)).copied();
        let Some(index) = index else { return Ok(()) };
        self.by_lsn.insert(lsn, index);
        let Some(life) = self.lives.get_mut(index) else { return Ok(()) };
        if anchor.root != anchor.lsn {
            life.is_committed = true;
            life.step(prefix.stored_ms, Step::Committed, None);
        }
        if life.shown.topic.is_empty() {
            describe(anchor, &mut life.shown);
        }
        let again = match prefix.what {
            DueWhat::Recurring { fired_times, .. } => format!(", recurs, fired {fired_times} times before"),
            _ => String::new(),
        };
        life.step(prefix.stored_ms, Step::Scheduled, Some(format!("due at {}{again}", prefix.due_ms)));
        Ok(())
    }

    fn on_half(&mut self, lsn: Lsn, payload: &[u8]) {
        let Some(life) = self.life_at(lsn) else { return };
        let Ok(prefix) = HalfPrefix::decode(payload, |_| None) else { return };
        life.push(LifeStep {
            at_ms: prefix.stored_ms,
            step: Step::HalfStored,
            group: Some(prefix.group.to_string()),
            detail: Some(format!("the producer is asked from {} on", prefix.check_ms)),
            ..LifeStep::default()
        });
    }

    fn client(&mut self, lsn: Lsn) -> Option<NamedClient> {
        let look = self.look;
        self.named.entry(lsn).or_insert_with(|| look.client(lsn)).clone()
    }

    fn on_deliver(&mut self, nonce: Lsn, deliver: &Deliver) {
        for part in &deliver.parts {
            if !self.streams.contains(&part.stream) {
                continue;
            }
            for index in 0..self.lives.len() {
                let stands = self.lives.get(index).map_or(&[][..], |life| life.stands.as_slice());
                let here = |stand: &&Stand| {
                    stand.place.0 == part.stream && stand.group_id.is_none_or(|id| id == deliver.group_id)
                };
                let found: Vec<(Place, u32)> =
                    stands.iter().filter(here).map(|stand| (stand.place, stand.attempts_before)).collect();
                for (place, attempts_before) in found {
                    self.on_part(index, (place, attempts_before), nonce, deliver, part);
                }
            }
        }
    }

    fn on_part(
        &mut self,
        index: usize,
        (place, attempts_before): (Place, u32),
        nonce: Lsn,
        deliver: &Deliver,
        part: &DeliverPart,
    ) {
        let (group_id, offset) = (deliver.group_id, place.1);
        let has_gap = self.has_gap;
        let is_delivered = part.offsets.contains(&offset);
        let client = if is_delivered { self.client(deliver.client) } else { None };
        let group = self.look.group_name(group_id);
        let Some(life) = self.lives.get_mut(index) else { return };
        if is_delivered {
            let at_ms = deliver.delivered_ms;
            // In order, what was not settled in time comes again from its queue.
            if life.open.iter().any(|open| open.group_id == group_id && open.place == place) {
                life.expire(group_id, group.clone(), place, at_ms);
            }
            let before = life.attempts.entry((group_id, place)).or_default();
            *before += 1;
            let attempt = attempts_before + *before;
            let step = life.push(LifeStep {
                at_ms,
                step: Step::Delivered,
                group: Some(group),
                client_id: client.as_ref().map(|c| c.id.clone()).filter(|id| !id.is_empty()),
                client_address: client.map(|client| client.address),
                attempt: Some(attempt),
                detail: Some(format!("hidden until {}", deliver.deadline_ms)),
                ..LifeStep::default()
            });
            let deadline_ms = deliver.deadline_ms;
            let has_failed = false;
            life.open.push(Open { step, group_id, place, nonce, at_ms, deadline_ms, attempt, has_failed });
            life.passed.insert((group_id, place));
        } else if part.waiting.iter().any(|(waiting, _)| *waiting == offset) {
            life.passed.insert((group_id, place));
        } else if part.passed.contains(&offset)
            || (!has_gap && part.next > offset && !life.passed.contains(&(group_id, place)))
        {
            life.passed.insert((group_id, place));
            life.push(LifeStep {
                at_ms: deliver.delivered_ms,
                step: Step::Filtered,
                group: Some(group),
                detail: Some("passed over: not wanted by the group's filter, or no longer stored".to_owned()),
                ..LifeStep::default()
            });
        }
    }

    fn on_release(&mut self, release: &Release) {
        for offset in &release.offsets {
            let place = (release.key.stream, *offset);
            let Some(index) = self.by_place.get(&place).copied() else { continue };
            let Some(life) = self.lives.get_mut(index) else { continue };
            let ended = life.close(release.key.group_id, place, release.released_ms, "taken_back");
            if ended.is_some() {
                // It does not count as one.
                let count = life.attempts.entry((release.key.group_id, place)).or_default();
                *count = count.saturating_sub(1);
            }
        }
    }

    fn on_extend(&mut self, nonce: Lsn, extend: &Extend) {
        let place = (extend.key.stream, extend.offset);
        let Some(index) = self.by_place.get(&place).copied() else { return };
        let group = self.look.group_name(extend.key.group_id);
        let Some(life) = self.lives.get_mut(index) else { return };
        let (group_id, at_ms, deadline_ms) = (extend.key.group_id, extend.delivered_ms, extend.deadline_ms);
        let ended = extend.failed.then(|| life.close(group_id, place, at_ms, "failed")).flatten();
        life.open.extend(ended.map(|open| Open { has_failed: true, ..open }));
        let open = life.open.iter_mut().find(|open| open.group_id == group_id && open.place == place);
        let attempt = open.map(|open| {
            open.nonce = nonce;
            open.deadline_ms = deadline_ms;
            open.attempt
        });
        let (step, detail) = if extend.failed {
            (Step::Failed, format!("given back: again in {} ms", deadline_ms - at_ms))
        } else {
            (Step::Extended, format!("hidden until {deadline_ms}"))
        };
        let group = Some(group);
        life.push(LifeStep { at_ms, step, group, attempt, detail: Some(detail), ..LifeStep::default() });
    }

    fn on_settled(&mut self, key: CursorKey, offset: u64, at_ms: i64) {
        let place = (key.stream, offset);
        let Some(index) = self.by_place.get(&place).copied() else { return };
        let group = self.look.group_name(key.group_id);
        let Some(life) = self.lives.get_mut(index) else { return };
        let ended = life.close(key.group_id, place, at_ms, "acked");
        let by = ended.as_ref().and_then(|open| life.shown.steps.get(open.step)).cloned();
        life.push(LifeStep {
            at_ms,
            step: Step::Acked,
            group: Some(group),
            client_id: by.as_ref().and_then(|step| step.client_id.clone()),
            client_address: by.and_then(|step| step.client_address),
            attempt: ended.map(|open| open.attempt),
            ..LifeStep::default()
        });
    }

    fn on_offset(&mut self, set: &OffsetSet) {
        let CursorKey { group_id, stream } = set.key;
        if !self.streams.contains(&stream) || set.how == OffsetHow::Start {
            return;
        }
        let (client, group) = (self.client(set.client), self.look.group_name(group_id));
        for life in &mut self.lives {
            let here =
                |stand: &&Stand| stand.place.0 == stream && stand.group_id.is_none_or(|id| id == group_id);
            let Some(place) = life.stands.iter().find(here).map(|stand| stand.place) else { continue };
            let is_past = set.offset > place.1;
            let was_past = life.passed.contains(&(group_id, place));
            let step = match (set.how, is_past) {
                (OffsetHow::Seek, _) => Step::Reset,
                (_, true) if was_past || life.is_elsewhere(group_id, place) => {
                    life.passed.insert((group_id, place));
                    continue;
                }
                (_, true) => Step::Acked,
                (_, false) if was_past => Step::Reset,
                (_, false) => continue,
            };
            life.close(group_id, place, set.set_ms, if is_past { "acked" } else { "reset" });
            if is_past {
                life.passed.insert((group_id, place));
            } else {
                life.passed.remove(&(group_id, place));
            }
            life.push(LifeStep {
                at_ms: set.set_ms,
                step,
                group: Some(group.clone()),
                client_id: client.as_ref().map(|c| c.id.clone()).filter(|id| !id.is_empty()),
                client_address: client.as_ref().map(|client| client.address.clone()),
                detail: Some(format!("the group's offset is {}", set.offset)),
                ..LifeStep::default()
            });
        }
    }
}
