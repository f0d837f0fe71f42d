//! The machine that tells what is at risk. Pure: figures come in with their time, a report goes out.
//!
//! ```text
//! sample ──> history (as long as the window) ──> rules ──> troubles ──> since when? ──> report
//! ```
//! What is not in a sample any more is forgotten with it, so memory follows what there is.

use std::collections::VecDeque;
use std::hash::Hash;

use hashbrown::HashMap;
use model::admin::{HealthItem, HealthReport, HealthSubject, Trouble};
use model::{GroupName, TopicName};

use super::config::HealthConfig;
use super::groups::{self, Failures, Progress};
use super::others;
use super::sample::{ProgressSample, Sample};
use crate::limits::{HEALTH_ITEMS_MAX, HEALTH_LOOKS_MAX};

/// A trouble before its beginning is known.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) subject: HealthSubject,
    pub(crate) name: String,
    pub(crate) score: u8,
    pub(crate) trouble: Trouble,
    pub(crate) reason: String,
    pub(crate) advice: String,
    pub(crate) facts: Vec<(&'static str, serde_json::Value)>,
}

/// Figures at the times of the last looks, the newest last.
#[derive(Debug)]
pub(super) struct History<T>(VecDeque<(i64, T)>);

impl<T> Default for History<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T> History<T> {
    pub(super) fn push(&mut self, now_ms: i64, window_ms: i64, value: T) {
        // One look older than the window stays, so that the window is covered.
        while self.0.len() > HEALTH_LOOKS_MAX || self.0.get(1).is_some_and(|(at, _)| now_ms - at >= window_ms)
        {
            self.0.pop_front();
        }
        self.0.push_back((now_ms, value));
    }

    /// The oldest and the newest, with the seconds between them; `None` with fewer than two.
    pub(super) fn ends(&self) -> Option<(&T, &T, f64)> {
        let ((from, first), (to, last)) = (self.0.front()?, self.0.back()?);
        #[expect(clippy::cast_precision_loss, reason = "a rate need not be exact")]
        let seconds = (to - from) as f64 / 1_000.0;
        (seconds > 0.0).then_some((first, last, seconds))
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|(_, value)| value)
    }
}

/// Histories by what they are of. Those that a look did not name are forgotten after the window.
#[derive(Debug)]
pub(super) struct Histories<K, T>(HashMap<K, History<T>>);

impl<K, T> Default for Histories<K, T> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Eq + Hash, T> Histories<K, T> {
    pub(super) fn push(&mut self, key: K, now_ms: i64, window_ms: i64, value: T) -> &History<T> {
        let history = self.0.entry(key).or_default();
        history.push(now_ms, window_ms, value);
        history
    }

    pub(super) fn forget_before(&mut self, oldest_ms: i64) {
        self.0.retain(|_, history| history.0.back().is_some_and(|(at, _)| *at >= oldest_ms));
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &History<T>)> {
        self.0.iter()
    }
}

/// A queue that may be stuck: the last count of signs of life, and since when it stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Still {
    pub(super) signs: u64,
    pub(super) since_ms: i64,
    seen_ms: i64,
}

pub(super) type QueueKey = (GroupName, TopicName, u32);

/// All that is remembered between looks.
#[derive(Debug, Default)]
pub(crate) struct Judge {
    progress: Histories<(GroupName, TopicName), Progress>,
    still: HashMap<QueueKey, Still>,
    imbalanced: HashMap<(GroupName, TopicName), Still>,
    failures: Histories<GroupName, Failures>,
    pub(super) dead_letters: HashMap<GroupName, VecDeque<(i64, u64)>>,
    pub(super) ends: Histories<TopicName, Vec<u64>>,
    pub(super) throttled: Histories<(String, TopicName), (u64, String)>,
    pub(super) fired: History<(u64, u64)>,
    since: HashMap<(HealthSubject, String, Trouble), i64>,
}

impl Judge {
    /// Judges what was seen.
    pub(crate) fn on_sample(&mut self, config: &HealthConfig, sample: &Sample) -> HealthReport {
        let now_ms = sample.now_ms;
        let window_ms = i64::try_from(config.window_ms).unwrap_or(i64::MAX);
        let mut found = Vec::new();
        for group in &sample.groups {
            for progress in &group.topics {
                self.on_progress(config, now_ms, &group.name, progress, &mut found);
            }
            let failures = Failures::of(group);
            let failures = self.failures.push(group.name.clone(), now_ms, window_ms, failures);
            found.extend(groups::poison_message(config, now_ms, group, failures));
            found.extend(self.dead_letters(config, now_ms, group));
        }
        found.extend(self.hot_queues(config, now_ms, &sample.topics));
        found.extend(self.throttled_producers(config, now_ms, &sample.producers));
        found.extend(self.timers_late(config, now_ms, &sample.node));
        found.extend(others::disk(config, &sample.node));
        self.forget(now_ms, window_ms, sample);
        self.report(now_ms, found)
    }

    fn on_progress(
        &mut self,
        config: &HealthConfig,
        now_ms: i64,
        group: &GroupName,
        sample: &ProgressSample,
        found: &mut Vec<Found>,
    ) {
        let window_ms = i64::try_from(config.window_ms).unwrap_or(i64::MAX);
        let key = (group.clone(), sample.topic.clone());
        let looks = self.progress.push(key, now_ms, window_ms, Progress::of(sample));
        let still = &mut self.still;
        let stuck = groups::stuck_consumer(config, now_ms, group, sample, |queue| {
            let key = (group.clone(), sample.topic.clone(), queue.queue);
            stands(still, key, now_ms, queue.signs)
        });
        // One word for what is behind: the first that fits says why.
        let behind = stuck
            .or_else(|| groups::slow_consumer(config, now_ms, group, sample, looks))
            .or_else(|| groups::lag(config, now_ms, group, sample));
        found.extend(behind);
        let key = (group.clone(), sample.topic.clone());
        let since_ms = groups::is_imbalanced(sample).then(|| stands(&mut self.imbalanced, key, now_ms, 0));
        found.extend(groups::imbalanced_group(config, now_ms, group, sample, since_ms));
    }

    fn forget(&mut self, now_ms: i64, window_ms: i64, sample: &Sample) {
        let oldest_ms = now_ms - window_ms;
        self.still.retain(|_, still| still.seen_ms == now_ms);
        self.imbalanced.retain(|_, still| still.seen_ms == now_ms);
        self.progress.forget_before(oldest_ms);
        self.failures.forget_before(oldest_ms);
        self.ends.forget_before(oldest_ms);
        self.throttled.forget_before(oldest_ms);
        let groups: hashbrown::HashSet<&GroupName> = sample.groups.iter().map(|group| &group.name).collect();
        self.dead_letters.retain(|group, _| groups.contains(group));
    }

    /// Riskiest first; since when is remembered for as long as a trouble is there.
    fn report(&mut self, now_ms: i64, mut found: Vec<Found>) -> HealthReport {
        found.sort_by(|a, b| {
            let key = |one: &Found| (one.subject, one.trouble);
            b.score.cmp(&a.score).then_with(|| (key(a), &a.name).cmp(&(key(b), &b.name)))
        });
        let mut since = HashMap::with_capacity(found.len());
        let mut items = Vec::with_capacity(found.len().min(HEALTH_ITEMS_MAX));
        for found in found {
            let key = (found.subject, found.name.clone(), found.trouble);
            // A group with the same trouble in several topics stands here once, with the worst.
            if since.contains_key(&key) {
                continue;
            }
            let since_ms = self.since.get(&key).copied().unwrap_or(now_ms);
            since.insert(key, since_ms);
            if items.len() < HEALTH_ITEMS_MAX {
                items.push(item(found, since_ms));
            }
        }
        self.since = since;
        HealthReport { at_ms: now_ms, items }
    }
}

fn item(found: Found, since_ms: i64) -> HealthItem {
    let Found { subject, name, score, trouble, reason, advice, facts } = found;
    let facts = facts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    HealthItem { subject, name, score, trouble, reason, advice, since_ms, facts }
}

/// Since when something stands as it does.
fn stands<K: Eq + Hash>(still: &mut HashMap<K, Still>, key: K, now_ms: i64, signs: u64) -> i64 {
    let new = Still { signs, since_ms: now_ms, seen_ms: now_ms };
    let still = still.entry(key).or_insert(new);
    if still.signs != signs {
        *still = new;
    }
    still.seen_ms = now_ms;
    still.since_ms
}

/// From `low` where `value` is just `threshold` up to 95, where it is ten times that or more.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is clamped to 0..=95")]
pub(super) fn score(low: u8, value: f64, threshold: f64) -> u8 {
    let times = if threshold > 0.0 { (value / threshold).max(1.0) } else { 10.0 };
    let part = times.log10().min(1.0);
    (f64::from(low) + (95.0 - f64::from(low)) * part).clamp(0.0, 95.0) as u8
}

/// As a figure in a sentence: `1,234`.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A rate in a sentence.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "rates are small and positive")]
pub(super) fn rate(per_second: f64) -> String {
    if per_second < 10.0 { format!("{per_second:.1}") } else { count(per_second.max(0.0).round() as u64) }
}

/// A time in a sentence.
pub(super) fn time(ms: i64) -> String {
    match ms.max(0) / 1_000 {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3_600),
    }
}
