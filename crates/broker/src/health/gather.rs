//! One look at the broker: reads what there is into a [`Sample`]. Runs where it may block for a moment.

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::HashMap;
use model::membership::{ConsumeHow, ConsumeModel, Member};
use model::{QueueId, SessionId, TopicName, properties};

use super::sample::{
    Failing, GroupSample, NodeSample, ProducerSample, ProgressSample, QueueSample, Reader, Sample,
    TopicSample,
};
use crate::broker::Broker;
use crate::limits::{HEALTH_AGES_MAX, HEALTH_QUEUES_COMPARED_MAX, HEALTH_QUEUES_MAX};
use crate::machine::state::{CursorKey, Group, Topic, WorstFailure};
use crate::pulled::Noted;
use crate::resolve::message_of;

/// Queues of a group, by topic.
type Queues = BTreeMap<u32, Vec<QueueId>>;

/// How far a group has come in a queue.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Place {
    /// First offset not yet handed out.
    pub(crate) next: u64,
    /// First offset that is not settled.
    pub(crate) committed: u64,
    pub(crate) in_flight: u64,
    /// Not in flight, and behind `next`.
    pub(crate) waiting: u64,
    pub(crate) max: u64,
    /// Session that pulled last; none where the engine hands out.
    pub(crate) session: Option<SessionId>,
    acked: u64,
    signs: u64,
    /// Deliveries that one message in flight, or waiting in order, had before.
    failed: u32,
    failed_offset: u64,
}

impl Place {
    pub(crate) const fn ready(&self) -> u64 {
        self.max.saturating_sub(self.next) + self.waiting
    }

    pub(crate) const fn lag(&self) -> u64 {
        self.ready() + self.in_flight
    }
}

impl Broker {
    /// Everything that health is judged by. `ends` tells what was sent to each topic at the last look.
    pub(super) fn gather(&self, ends: &mut HashMap<TopicName, u64>) -> Sample {
        let mut ages = HEALTH_AGES_MAX;
        let mut groups = Vec::new();
        for (group_id, topics) in self.read_queues() {
            let Some(group) = self.state.group_by_id(group_id) else { continue };
            groups.push(self.gather_group(&group, topics, &mut ages));
        }
        Sample {
            now_ms: self.now_ms(),
            groups,
            topics: self.gather_topics(ends),
            producers: self.gather_producers(),
            node: self.gather_node(),
        }
    }

    /// Queues that groups have progress in or pull from, by the numbers of group and topic.
    pub(crate) fn read_queues(&self) -> BTreeMap<u32, Queues> {
        let mut keys = self.state.cursor_keys();
        for key in self.pulled.keys() {
            if self.state.queue_of(key.stream).is_none() || self.state.group_by_id(key.group_id).is_none() {
                self.pulled.forget(key);
            } else if self.state.cursor(key).is_none() {
                keys.push(key);
            }
        }
        let mut queues: BTreeMap<u32, Queues> = BTreeMap::new();
        for key in keys {
            if let Some((topic_id, queue)) = crate::streams::queue_of(key.stream) {
                queues.entry(key.group_id).or_default().entry(topic_id).or_default().push(queue);
            }
        }
        queues
    }

    fn gather_group(&self, group: &Group, topics: Queues, ages: &mut usize) -> GroupSample {
        let name = &group.config.name;
        let members = self.members.consumers(name);
        let mut worst = None;
        let topics = topics.into_iter().filter_map(|(topic_id, queues)| {
            let topic = self.state.topic_by_id(topic_id)?;
            Some(self.gather_progress(group, &topic, &queues, &members, (ages, &mut worst)))
        });
        let topics = topics.collect();
        let failures = self.state.failures_of(group.id);
        let repeated = failures.worst.filter(|failure| failure.attempts > 1);
        let worst = worst.into_iter().chain(repeated.map(|failure| self.failing(failure)));
        let dead_letters = self.state.topic(&TopicName::dead_letters_of(name));
        GroupSample {
            name: name.clone(),
            topics,
            failed: failures.failed,
            worst: worst.max_by_key(|failing| failing.attempts),
            dead_letters: dead_letters.map_or(0, |topic| self.end_of(&topic, QueueId(0))),
        }
    }

    /// Who failed and where; the message may be gone by now.
    fn failing(&self, failure: WorstFailure) -> Failing {
        let WorstFailure { lsn, len, attempts, at_ms } = failure;
        let payload = self.log.read(lsn, len).ok();
        let message = payload.and_then(|payload| message_of(&payload).ok());
        let topic = message.as_ref().map_or_else(String::new, |message| message.topic().to_owned());
        let id = message.and_then(|message| message.property(properties::UNIQUE_ID).map(str::to_owned));
        Failing { message_id: id.unwrap_or_else(|| lsn.to_string()), topic, attempts, at_ms }
    }

    /// Where a queue ends; 0 if that cannot be told.
    pub(crate) fn end_of(&self, topic: &Topic, queue: QueueId) -> u64 {
        self.blocking_bounds(topic.stream(queue)).map_or(0, |bounds| bounds.max)
    }

    fn gather_progress(
        &self,
        group: &Group,
        topic: &Arc<Topic>,
        queues: &[QueueId],
        members: &[Member],
        (ages, worst): (&mut usize, &mut Option<Failing>),
    ) -> ProgressSample {
        let name = &topic.config.name;
        let is_retry = name.is_retry();
        let wants = |member: &&Member| {
            let subscriptions = member.consumer.iter().flat_map(|consumer| &consumer.subscriptions);
            is_retry || subscriptions.into_iter().any(|subscription| subscription.topic == *name)
        };
        let subscribers: Vec<&Member> = members.iter().filter(wants).collect();
        let mut read_by: HashMap<SessionId, u32> = HashMap::new();
        let mut sample = ProgressSample {
            topic: name.clone(),
            subscribers: subscribers.len(),
            readers: Vec::new(),
            queues: topic.config.read_queues,
            arrived: 0,
            acked: 0,
            lag: 0,
            in_flight: 0,
            oldest_ms: None,
            behind: Vec::new(),
        };
        let mut most_behind: Option<(QueueId, Place)> = None;
        for queue in queues {
            let Some(place) = self.place(group, topic, *queue) else { continue };
            sample.arrived += place.max;
            sample.acked += place.acked;
            sample.lag += place.lag();
            sample.in_flight += place.in_flight;
            if let Some(session) = place.session {
                *read_by.entry(session).or_default() += 1;
            }
            if place.failed > worst.as_ref().map_or(1, |worst| worst.attempts) {
                *worst = Some(self.failing_in_order(topic, *queue, place));
            }
            if place.lag() > 0 {
                let Place { in_flight, signs, .. } = place;
                sample.behind.push(QueueSample { queue: queue.get(), in_flight, signs });
                if most_behind.is_none_or(|(_, most)| place.lag() > most.lag()) {
                    most_behind = Some((*queue, place));
                }
            }
        }
        sample.readers = if is_retry { Vec::new() } else { readers(&subscribers, &read_by) };
        if let Some((queue, place)) = most_behind.filter(|_| *ages > 0) {
            *ages -= 1;
            sample.oldest_ms = self.stored_ms(topic, queue, place.committed);
        }
        sample
    }

    /// How far a group has come in a queue; `None` where it is not known to read.
    pub(crate) fn place(&self, group: &Group, topic: &Topic, queue: QueueId) -> Option<Place> {
        let stream = topic.stream(queue);
        let key = CursorKey { group_id: group.id, stream };
        let bounds = self.blocking_bounds(stream).ok()?;
        let pulled = self.pulled.get(key);
        let mut place =
            Place { max: bounds.max, session: pulled.map(|noted| noted.session), ..Place::default() };
        let Some(cell) = self.state.cursor(key) else {
            let Noted { next, first, .. } = pulled?;
            place.committed = first.max(bounds.min);
            place.next = next.max(place.committed);
            place.in_flight = place.next - place.committed;
            return Some(place);
        };
        (place.acked, place.signs) = (cell.acked(), u64::from(cell.signs()));
        let cursor = cell.cursor.lock();
        place.committed = cursor.committed().max(bounds.min);
        place.next = cursor.next.max(bounds.min);
        place.in_flight = cursor.in_flight.len() as u64;
        place.waiting = cursor.waiting.len() as u64;
        if group.config.ordered {
            let held =
                cursor.in_flight.iter().map(|(offset, held)| (held.attempt.saturating_sub(1), *offset));
            let waiting = cursor.waiting.iter().map(|(offset, waiting)| (waiting.attempts, *offset));
            (place.failed, place.failed_offset) = held.chain(waiting).max().unwrap_or_default();
        }
        drop(cursor);
        // What a client pulled and has not committed is in flight, though the engine does not hold it.
        if let Some(pulled) = pulled
            && pulled.next > place.next
        {
            place.in_flight += pulled.next.min(bounds.max).saturating_sub(place.next);
            place.next = pulled.next.min(bounds.max).max(place.next);
        }
        Some(place)
    }

    fn failing_in_order(&self, topic: &Topic, queue: QueueId, place: Place) -> Failing {
        Failing {
            message_id: format!("offset {} of queue {queue}", place.failed_offset),
            topic: topic.config.name.to_string(),
            attempts: place.failed,
            at_ms: self.now_ms(),
        }
    }

    /// When the message at an offset, or the first one after it, was stored.
    pub(crate) fn stored_ms(&self, topic: &Topic, queue: QueueId, offset: u64) -> Option<i64> {
        let mut first = Vec::with_capacity(1);
        self.blocking_entries(topic.stream(queue), offset, 1, &mut first).ok()?;
        first.first().map(|entry| entry.time_ms)
    }

    /// The topics that were sent to since the last look, as many as may be compared: those with most messages.
    fn gather_topics(&self, ends: &mut HashMap<TopicName, u64>) -> Vec<TopicSample> {
        let mut sent_now = HashMap::with_capacity(ends.len());
        let mut grown = Vec::new();
        for (name, tally) in self.state.tallies() {
            let sent = tally.read().messages;
            let before = ends.get(&name).copied();
            sent_now.insert(name.clone(), sent);
            // Also the look before the first messages: what grows needs a beginning.
            if before != Some(sent) && !name.is_retry() && !name.is_dead_letters() {
                grown.push((sent.saturating_sub(before.unwrap_or_default()), name));
            }
        }
        *ends = sent_now;
        grown.sort_unstable_by(|a, b| b.cmp(a));
        let mut left = HEALTH_QUEUES_COMPARED_MAX;
        let samples = grown.into_iter().filter_map(|(_, name)| {
            let topic = self.state.topic(&name)?;
            let queues = topic.config.write_queues;
            if !(2..=HEALTH_QUEUES_MAX.min(left)).contains(&queues) {
                return None;
            }
            left -= queues;
            let ends = (0..queues).map(|queue| self.end_of(&topic, QueueId(queue))).collect();
            Some(TopicSample { name, ends })
        });
        samples.collect()
    }

    fn gather_producers(&self) -> Vec<ProducerSample> {
        let throttled = self.health.throttled.take().into_iter();
        let sample = |one: model::throttled::Throttled| ProducerSample {
            name: self.members.client_of(one.session).unwrap_or_else(|| one.peer.to_string()),
            topic: one.topic,
            why: one.why,
            calls: one.calls,
        };
        throttled.map(sample).collect()
    }

    fn gather_node(&self) -> NodeSample {
        let space = self.doors.disk.space(&self.dir).ok();
        let used = space.and_then(|space| {
            let used = space.total_bytes.saturating_sub(space.available_bytes);
            used.saturating_mul(100).checked_div(space.total_bytes)
        });
        let (fired, late_ms) = self.timer_metrics.fired_so_far();
        NodeSample {
            name: self.config.name.clone(),
            disk_used_percent: used,
            disk_refuse_percent: self.health.disk_refuse_percent(),
            fired,
            late_ms,
        }
    }
}

/// Queues of each member that pulls and shares them with others.
fn readers(subscribers: &[&Member], read_by: &HashMap<SessionId, u32>) -> Vec<Reader> {
    let shares = |member: &&&Member| {
        let consumer = member.consumer.as_ref();
        consumer.is_some_and(|c| c.model == ConsumeModel::Clustering && c.how != ConsumeHow::Pop)
    };
    if subscribers.len() < 2 || !subscribers.iter().all(|member| shares(&member)) {
        return Vec::new();
    }
    let queues = |member: &&Member| Reader {
        client_id: member.client_id.clone(),
        queues: read_by.get(&member.session.id).copied().unwrap_or(0),
    };
    let readers: Vec<Reader> = subscribers.iter().map(queues).collect();
    // In pop mode, or before anybody pulls, nobody owns queues.
    if readers.iter().all(|reader| reader.queues == 0) { Vec::new() } else { readers }
}
