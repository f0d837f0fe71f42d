//! How much is sent and received, now and over the last minute, hour and day.
//!
//! Where messages pass only a tally is added to (`rates/tally.rs`); a task reads all tallies every ten
//! seconds and keeps samples (`rates/history.rs`). All of it is soft: it begins anew with the node.
//! What clients sent and received counts, not what the engine writes again by itself.

mod history;
mod tally;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hashbrown::{Equivalent, HashMap};
use model::admin::{AdminError, NodeTraffic, Pace, RateOf, Rates, RatesRequest, RatesRow, Window};
use model::{GroupName, TopicName};
use parking_lot::{Mutex, RwLock};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::broker::Broker;
use crate::exported::Paced;
use crate::limits::RATED_MAX;
use history::{Histories, Passed, Span, TICK};

pub(crate) use tally::{Count, Tally};

const DAY_MS: i64 = 86_400_000;
const SHARDS: usize = 16;

/// What has a rate.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Subject {
    Node(RateOf),
    Topic(RateOf, TopicName),
    Reader(RateOf, TopicName, GroupName),
}

impl Subject {
    fn matches(&self, request: &RatesRequest) -> bool {
        let fits = |topic: &TopicName| request.topic.as_ref().is_none_or(|wanted| wanted == topic);
        match self {
            Self::Node(_) => false,
            Self::Topic(of, topic) => *of == request.of && request.group.is_none() && fits(topic),
            Self::Reader(of, topic, group) => {
                *of == request.of
                    && fits(topic)
                    && request.group.as_ref().is_none_or(|wanted| wanted == group)
            }
        }
    }

    const fn of(&self) -> RateOf {
        match self {
            Self::Node(of) | Self::Topic(of, _) | Self::Reader(of, ..) => *of,
        }
    }
}

type Readers = HashMap<(RateOf, TopicName, GroupName), Arc<Tally>>;

/// Finds a tally without a copy of the names.
#[derive(Hash)]
struct Reader<'a>(RateOf, &'a TopicName, &'a GroupName);

impl Reader<'_> {
    fn owned(&self) -> (RateOf, TopicName, GroupName) {
        (self.0, self.1.clone(), self.2.clone())
    }
}

impl Equivalent<(RateOf, TopicName, GroupName)> for Reader<'_> {
    fn equivalent(&self, (of, topic, group): &(RateOf, TopicName, GroupName)) -> bool {
        self.0 == *of && self.1 == topic && self.2 == group
    }
}

/// Tallies by topic and group, their histories, and the node's totals.
#[derive(Debug)]
pub(crate) struct Counted {
    readers: [RwLock<Readers>; SHARDS],
    /// For what has no tally of its own: calls that found nothing, and what there are too many of.
    others: [Tally; RateOf::ALL.len()],
    kept: Mutex<Kept>,
    started_ms: i64,
    subjects: Gauge,
    unkept: Gauge,
}

#[derive(Debug)]
struct Kept {
    histories: Histories<Subject>,
    /// What was counted by tallies that are gone.
    gone: [Count; RateOf::ALL.len()],
    /// Totals at the last midnight (UTC) and at the one before.
    midnights: [[u64; 2]; RateOf::ALL.len()],
    day: i64,
}

impl Counted {
    pub(crate) fn new(now: Duration, now_ms: i64) -> Self {
        let kept = Kept {
            histories: Histories::new(now, RATED_MAX),
            gone: Default::default(),
            midnights: Default::default(),
            day: now_ms.div_euclid(DAY_MS),
        };
        Self {
            readers: Default::default(),
            others: Default::default(),
            kept: Mutex::new(kept),
            started_ms: now_ms,
            subjects: Gauge::default(),
            unkept: Gauge::default(),
        }
    }

    /// Names what is counted here to `registry`.
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register("rates", "Topics and readers whose rates are kept", self.subjects.clone());
        let help = "Topics and readers whose rates are not kept, because there are too many";
        registry.register("rates_unkept", help, self.unkept.clone());
    }

    /// A group took messages out of a topic.
    pub(crate) fn read(&self, topic: &TopicName, group: &GroupName, messages: usize, bytes: usize) {
        if messages == 0 {
            return self.others[RateOf::Missed.index()].add(0, 0);
        }
        self.count(&Reader(RateOf::Received, topic, group), messages, bytes);
    }

    /// A group gave a message back.
    pub(crate) fn sent_back(&self, topic: &TopicName, group: &GroupName, bytes: usize) {
        self.count(&Reader(RateOf::SentBack, topic, group), 1, bytes);
    }

    fn count(&self, reader: &Reader<'_>, messages: usize, bytes: usize) {
        let shard = self.shard(reader);
        if let Some(tally) = shard.read().get(reader) {
            return tally.add(messages, bytes);
        }
        let mut shard = shard.write();
        if shard.len() >= RATED_MAX / SHARDS {
            return self.others[reader.0.index()].add(messages, bytes);
        }
        shard.entry(reader.owned()).or_default().add(messages, bytes);
    }

    fn shard(&self, reader: &Reader<'_>) -> &RwLock<Readers> {
        let Reader(_, topic, group) = reader;
        let sum = |name: &str| name.bytes().fold(0_usize, |sum, byte| sum.wrapping_add(usize::from(byte)));
        let index = sum(topic.as_str()).wrapping_mul(3).wrapping_add(sum(group.as_str())) % SHARDS;
        self.readers.get(index).expect("the index is taken modulo the number of shards")
    }

    /// All counts as they are, and the node's totals.
    fn counts(&self, topics: &[(TopicName, Arc<Tally>)], gone: &[Count]) -> HashMap<Subject, Count> {
        let mut counts = HashMap::new();
        for (name, tally) in topics {
            counts.insert(Subject::Topic(RateOf::Sent, name.clone()), tally.read());
        }
        for shard in &self.readers {
            for ((of, topic, group), tally) in shard.read().iter() {
                counts.insert(Subject::Reader(*of, topic.clone(), group.clone()), tally.read());
            }
        }
        let mut totals: [Count; RateOf::ALL.len()] = std::array::from_fn(|i| gone[i] + self.others[i].read());
        for (subject, count) in &counts {
            totals[subject.of().index()] += *count;
        }
        counts.extend(RateOf::ALL.map(|of| (Subject::Node(of), totals[of.index()])));
        counts
    }

    /// Takes a sample of everything.
    fn sample(&self, topics: &[(TopicName, Arc<Tally>)], now: Duration, now_ms: i64) {
        let mut kept = self.kept.lock();
        let counts = self.counts(topics, &kept.gone);
        for (subject, last) in kept.histories.on_tick(now, &counts) {
            kept.gone[subject.of().index()] += last;
        }
        for subject in kept.histories.idle() {
            self.begin_anew(&mut kept, &subject, topics);
        }
        let day = now_ms.div_euclid(DAY_MS);
        if day != kept.day {
            kept.day = day;
            for of in RateOf::ALL {
                let total = counts.get(&Subject::Node(of)).map_or(0, |count| count.messages);
                kept.midnights[of.index()] = [total, kept.midnights[of.index()][0]];
            }
        }
        self.subjects.set(i64::try_from(kept.histories.len()).unwrap_or(i64::MAX));
        self.unkept.set(i64::try_from(kept.histories.unkept()).unwrap_or(i64::MAX));
    }

    /// What nobody used for a day makes room.
    fn begin_anew(&self, kept: &mut Kept, subject: &Subject, topics: &[(TopicName, Arc<Tally>)]) {
        let taken = match subject {
            Subject::Node(_) => return,
            Subject::Topic(_, name) => topics.iter().find(|(other, _)| other == name).map(|(_, t)| t.take()),
            Subject::Reader(of, topic, group) => {
                let reader = Reader(*of, topic, group);
                self.shard(&reader).write().remove(&reader).map(|tally| tally.read())
            }
        };
        kept.gone[subject.of().index()] += taken.unwrap_or_default();
        kept.histories.forget(subject);
    }

    /// What the request asks for, summed.
    fn rates(&self, counts: &Counts<'_>, request: &RatesRequest) -> Option<Rates> {
        let kept = self.kept.lock();
        let is_node = request.topic.is_none() && request.group.is_none();
        let wanted = |subject: &Subject| {
            if is_node { *subject == Subject::Node(request.of) } else { subject.matches(request) }
        };
        let mut found = self.counts(counts.topics, &kept.gone);
        found.retain(|subject, count| wanted(subject) && count.calls > 0);
        if found.is_empty() {
            return None;
        }
        let mut rates = Rates::default();
        for (subject, count) in &found {
            let window = |span| window(kept.histories.passed(subject, span, counts.now, *count));
            rates.minute += window(Span::Minute);
            rates.hour += window(Span::Hour);
            rates.day += window(Span::Day);
        }
        Some(rates)
    }

    /// What is busiest in the last minute.
    fn busiest(&self, counts: &Counts<'_>, of: RateOf, max: usize) -> Vec<RatesRow> {
        let kept = self.kept.lock();
        let all = self.counts(counts.topics, &kept.gone);
        let rows = all.iter().filter(|(_, count)| count.calls > 0).filter_map(|(subject, count)| {
            let (topic, group) = match subject {
                Subject::Topic(its, topic) if *its == of => (topic.clone(), None),
                Subject::Reader(its, topic, group) if *its == of => (topic.clone(), Some(group.clone())),
                _ => return None,
            };
            let minute = window(kept.histories.passed(subject, Span::Minute, counts.now, *count));
            let day = window(kept.histories.passed(subject, Span::Day, counts.now, *count));
            Some(RatesRow { topic, group, minute, day })
        });
        let mut rows: Vec<RatesRow> = rows.collect();
        rows.sort_by(|a, b| {
            let busier = b.minute.per_second.total_cmp(&a.minute.per_second);
            busier.then_with(|| (&a.topic, &a.group).cmp(&(&b.topic, &b.group)))
        });
        rows.truncate(max);
        rows
    }

    /// Counts of all topics, or readers, with their messages and bytes a second over the last minute.
    fn paces(&self, counts: &Counts<'_>, of: RateOf) -> BTreeMap<(TopicName, Option<GroupName>), Paced> {
        let kept = self.kept.lock();
        let all = self.counts(counts.topics, &kept.gone);
        let rows = all.into_iter().filter_map(|(subject, count)| {
            let key = match &subject {
                Subject::Topic(its, topic) if *its == of => (topic.clone(), None),
                Subject::Reader(its, topic, group) if *its == of => (topic.clone(), Some(group.clone())),
                _ => return None,
            };
            let minute = window(kept.histories.passed(&subject, Span::Minute, counts.now, count));
            Some((key, (count, minute.per_second, minute.bytes_per_second)))
        });
        rows.collect()
    }

    fn totals<const N: usize>(&self, topics: &[(TopicName, Arc<Tally>)], of: [RateOf; N]) -> [Count; N] {
        let gone = self.kept.lock().gone;
        let mut totals: [Count; RateOf::ALL.len()] = std::array::from_fn(|i| gone[i] + self.others[i].read());
        for (_, tally) in topics {
            totals[RateOf::Sent.index()] += tally.read();
        }
        for shard in &self.readers {
            for ((of, ..), tally) in shard.read().iter() {
                totals[of.index()] += tally.read();
            }
        }
        of.map(|of| totals[of.index()])
    }

    fn traffic(&self, counts: &Counts<'_>, of: RateOf) -> NodeTraffic {
        let kept = self.kept.lock();
        let subject = Subject::Node(of);
        let count = self.counts(counts.topics, &kept.gone).get(&subject).copied().unwrap_or_default();
        let since =
            |seconds| kept.histories.passed_since(&subject, Duration::from_secs(seconds), counts.now, count);
        let pace = |amount: fn(Count) -> u64| {
            let per_second = |passed: Passed| passed.per_second(amount(passed.count));
            let [last_10s, last_1m, last_10m] = [10, 60, 600].map(|seconds| per_second(since(seconds)));
            Pace { last_10s, last_1m, last_10m }
        };
        let [today, before] = kept.midnights[of.index()];
        NodeTraffic {
            calls: count.calls,
            messages: count.messages,
            bytes: count.bytes,
            messages_at_midnight: today,
            messages_at_midnight_before: before,
            messages_per_second: pace(|count| count.messages),
            calls_per_second: pace(|count| count.calls),
        }
    }
}

/// What a question about rates starts from.
struct Counts<'a> {
    topics: &'a [(TopicName, Arc<Tally>)],
    now: Duration,
}

fn window(passed: Passed) -> Window {
    let Count { calls, messages, bytes } = passed.count;
    Window {
        calls,
        messages,
        bytes,
        per_second: passed.per_second(messages),
        bytes_per_second: passed.per_second(bytes),
        over_ms: u64::try_from(passed.over.as_millis()).unwrap_or(u64::MAX),
    }
}

impl Broker {
    pub(crate) fn start_rates(self: &Arc<Self>) {
        let broker = Arc::downgrade(self);
        let clock = Arc::clone(&self.doors.clock);
        let sampling = async move {
            loop {
                clock.sleep(TICK).await;
                let Some(broker) = broker.upgrade() else { return };
                let topics = broker.state.tallies();
                broker.rates.sample(&topics, broker.doors.clock.monotonic(), broker.now_ms());
            }
        };
        self.doors.spawn.spawn("broker-rates", Box::pin(sampling));
    }

    pub(crate) fn rates_of(&self, request: &RatesRequest) -> Result<Rates, AdminError> {
        // Tools ask for one topic after the other: only what is asked for is looked at.
        let topics = match (&request.topic, &request.group) {
            (Some(name), _) => {
                let topic = self.state.topic(name);
                topic.map(|topic| (name.clone(), Arc::clone(&topic.sent))).into_iter().collect()
            }
            (None, Some(_)) => Vec::new(),
            (None, None) => self.state.tallies(),
        };
        let counts = Counts { topics: &topics, now: self.doors.clock.monotonic() };
        self.rates.rates(&counts, request).ok_or_else(|| {
            let name = |name: Option<&str>| name.unwrap_or("any").to_owned();
            let topic = name(request.topic.as_ref().map(TopicName::as_str));
            let group = name(request.group.as_ref().map(GroupName::as_str));
            AdminError::NotFound(format!(
                "a count of what was {} (topic {topic}, group {group})",
                request.of.name()
            ))
        })
    }

    pub(crate) fn busiest(&self, of: RateOf, max: usize) -> Vec<RatesRow> {
        let topics = self.state.tallies();
        let counts = Counts { topics: &topics, now: self.doors.clock.monotonic() };
        self.rates.busiest(&counts, of, max)
    }

    /// Counts and paces of everything that has a count of its own.
    pub(crate) fn paces(&self, of: RateOf) -> BTreeMap<(TopicName, Option<GroupName>), Paced> {
        let topics = if of == RateOf::Sent { self.state.tallies() } else { Vec::new() };
        let counts = Counts { topics: &topics, now: self.doors.clock.monotonic() };
        self.rates.paces(&counts, of)
    }

    /// All that was counted since the node started, without the samples.
    pub(crate) fn totals<const N: usize>(&self, of: [RateOf; N]) -> [Count; N] {
        let topics = self.state.tallies();
        self.rates.totals(&topics, of)
    }

    /// Everything that was sent, or received.
    pub(crate) fn traffic(&self, of: RateOf) -> NodeTraffic {
        let topics = self.state.tallies();
        let counts = Counts { topics: &topics, now: self.doors.clock.monotonic() };
        self.rates.traffic(&counts, of)
    }

    pub(crate) const fn started_ms(&self) -> i64 {
        self.rates.started_ms
    }
}
