//! What series are made of: one row for each topic and for each group in a topic, and one for all others.

use std::collections::{BTreeMap, HashSet};
use std::hash::Hash;

use model::admin::RateOf;
use model::{GroupName, QueueId, TopicName};
use parking_lot::Mutex;

use super::OTHER;
use crate::broker::Broker;
use crate::health::Place;
use crate::limits::METRIC_AGES_MAX;
use crate::machine::state::{Group, Topic};
use crate::rates::Count;

/// Who has series of its own. Whoever came first keeps them, so that a series goes on once it is there.
#[derive(Debug)]
pub(crate) struct Slots<K> {
    named: HashSet<K>,
    /// What the sum of the others was at most: topics may be deleted, but a counter does not fall.
    others: Count,
}

impl<K> Default for Slots<K> {
    fn default() -> Self {
        Self { named: HashSet::new(), others: Count::default() }
    }
}

impl<K: Eq + Hash + Clone> Slots<K> {
    fn keep(&mut self, is_there: impl Fn(&K) -> bool) {
        self.named.retain(is_there);
    }

    fn admits(&mut self, key: &K, max: usize) -> bool {
        if self.named.contains(key) {
            return true;
        }
        let is_room = self.named.len() < max;
        if is_room {
            self.named.insert(key.clone());
        }
        is_room
    }

    fn others(&mut self, now: Count) -> Count {
        let Count { calls, messages, bytes } = self.others;
        self.others = Count {
            calls: calls.max(now.calls),
            messages: messages.max(now.messages),
            bytes: bytes.max(now.bytes),
        };
        self.others
    }
}

/// Slots of topics, and of groups in topics.
#[derive(Debug, Default)]
pub(crate) struct Named {
    topics: Mutex<Slots<TopicName>>,
    readers: Mutex<Slots<(GroupName, TopicName)>>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct TopicRow {
    pub(super) topic: String,
    pub(super) message_type: &'static str,
    pub(super) is_system: bool,
    pub(super) sent: Count,
    pub(super) sent_per_s: f64,
    pub(super) sent_bytes_per_s: f64,
    /// Ends of all queues, summed.
    pub(super) end: u64,
}

#[derive(Debug, Clone, Default)]
pub(super) struct ReaderRow {
    pub(super) topic: String,
    pub(super) group: String,
    pub(super) is_retry: bool,
    pub(super) is_system: bool,
    pub(super) received: Count,
    pub(super) received_per_s: f64,
    pub(super) received_bytes_per_s: f64,
    pub(super) ready: u64,
    pub(super) in_flight: u64,
    pub(super) committed: u64,
    /// Age of the first message that is not settled, and of the first that is not handed out.
    pub(super) lag_ms: i64,
    pub(super) queueing_ms: i64,
}

/// Everything that has labels.
#[derive(Debug, Default)]
pub(super) struct Rows {
    pub(super) topics: Vec<TopicRow>,
    pub(super) readers: Vec<ReaderRow>,
    /// Ends of the dead letters of each group that has any.
    pub(super) dead_letters: Vec<(String, u64)>,
}

/// What is read of tallies and their histories.
pub(crate) type Paced = (Count, f64, f64);

impl Broker {
    pub(super) fn rows(&self) -> Rows {
        let mut paces = self.paces(RateOf::Sent);
        let mut readers = self.paces(RateOf::Received);
        let topics = self.topic_rows(&mut paces);
        let mut dead_letters = Vec::new();
        for topic in self.state.topics().iter().filter(|topic| topic.config.name.is_dead_letters()) {
            let group = topic.config.name.derived_from().unwrap_or_default().to_owned();
            dead_letters.push((group, self.end_of(topic, QueueId(0))));
        }
        self.fold_dead_letters(&mut dead_letters);
        Rows { topics, readers: self.reader_rows(&mut readers), dead_letters }
    }

    fn fold_dead_letters(&self, all: &mut Vec<(String, u64)>) {
        let max = self.config.metrics_readers_max;
        if all.len() > max {
            let others = all.split_off(max).iter().map(|(_, end)| end).sum();
            all.push((OTHER.to_owned(), others));
        }
    }

    fn topic_rows(&self, paces: &mut BTreeMap<(TopicName, Option<GroupName>), Paced>) -> Vec<TopicRow> {
        let mut slots = self.named.topics.lock();
        slots.keep(|name| self.state.topic(name).is_some());
        let mut rows = Vec::new();
        let mut other = TopicRow { topic: OTHER.to_owned(), message_type: OTHER, ..TopicRow::default() };
        let (mut others, mut count) = (0_u64, Count::default());
        for topic in self.state.topics() {
            let name = &topic.config.name;
            let (sent, per_s, bytes_per_s) = paces.remove(&(name.clone(), None)).unwrap_or_default();
            if !slots.admits(name, self.config.metrics_topics_max) {
                others += 1;
                count += sent;
                other.sent_per_s += per_s;
                other.sent_bytes_per_s += bytes_per_s;
                continue;
            }
            let queues = topic.config.write_queues;
            rows.push(TopicRow {
                topic: name.to_string(),
                message_type: message_type(&topic),
                is_system: name.is_system(),
                sent,
                sent_per_s: per_s,
                sent_bytes_per_s: bytes_per_s,
                end: (0..queues).map(|queue| self.end_of(&topic, QueueId(queue))).sum(),
            });
        }
        if others > 0 {
            other.sent = slots.others(count);
            rows.push(other);
        }
        rows
    }

    fn reader_rows(&self, paces: &mut BTreeMap<(TopicName, Option<GroupName>), Paced>) -> Vec<ReaderRow> {
        let mut slots = self.named.readers.lock();
        slots.keep(|(group, topic)| self.state.group(group).is_some() && self.state.topic(topic).is_some());
        let mut rows = Vec::new();
        let mut other =
            ReaderRow { topic: OTHER.to_owned(), group: OTHER.to_owned(), ..ReaderRow::default() };
        let (mut others, mut count) = (0_u64, Count::default());
        let mut ages = METRIC_AGES_MAX;
        for (group_id, topics) in self.read_queues() {
            let Some(group) = self.state.group_by_id(group_id) else { continue };
            for (topic_id, queues) in topics {
                let Some(topic) = self.state.topic_by_id(topic_id) else { continue };
                let key = (group.config.name.clone(), topic.config.name.clone());
                let pace = paces.remove(&(key.1.clone(), Some(key.0.clone()))).unwrap_or_default();
                let is_named = slots.admits(&key, self.config.metrics_readers_max);
                let row = self.reader_row(
                    &group,
                    &topic,
                    &queues,
                    pace,
                    if is_named { Some(&mut ages) } else { None },
                );
                if is_named {
                    rows.push(row);
                    continue;
                }
                others += 1;
                count += row.received;
                other.received_per_s += row.received_per_s;
                other.received_bytes_per_s += row.received_bytes_per_s;
                other.ready += row.ready;
                other.in_flight += row.in_flight;
            }
        }
        if others > 0 {
            other.received = slots.others(count);
            rows.push(other);
        }
        rows
    }

    fn reader_row(
        &self,
        group: &Group,
        topic: &Topic,
        queues: &[QueueId],
        (received, per_s, bytes_per_s): Paced,
        mut ages: Option<&mut usize>,
    ) -> ReaderRow {
        let name = &topic.config.name;
        let mut row = ReaderRow {
            topic: name.to_string(),
            group: group.config.name.to_string(),
            is_retry: name.is_retry(),
            is_system: name.is_system() || group.config.name.is_system(),
            received,
            received_per_s: per_s,
            received_bytes_per_s: bytes_per_s,
            ..ReaderRow::default()
        };
        for queue in queues {
            let Some(place) = self.place(group, topic, *queue) else { continue };
            row.ready += place.ready();
            row.in_flight += place.in_flight;
            row.committed += place.committed;
            if place.lag() > 0
                && let Some(left) = ages.as_mut().filter(|left| ***left > 0)
            {
                **left -= 1;
                self.age(topic, *queue, &place, &mut row);
            }
        }
        row
    }

    fn age(&self, topic: &Topic, queue: QueueId, place: &Place, row: &mut ReaderRow) {
        let now_ms = self.now_ms();
        let age = |offset| self.stored_ms(topic, queue, offset).map_or(0, |at| (now_ms - at).max(0));
        row.lag_ms = row.lag_ms.max(age(place.committed));
        if place.ready() > 0 {
            row.queueing_ms = row.queueing_ms.max(age(place.next));
        }
    }
}

/// As RocketMQ's `TopicMessageType.getMetricsValue`.
fn message_type(topic: &Topic) -> &'static str {
    use model::MessageKind::{Delay, Fifo, Lite, Normal, Priority, Transaction};
    match topic.config.accepts().as_slice() {
        [Normal] | [] => "normal",
        [Fifo] => "fifo",
        [Delay] => "delay",
        [Transaction] => "transaction",
        [Lite] => "lite",
        [Priority] => "priority",
        _ => "mixed",
    }
}
