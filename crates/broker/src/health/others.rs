//! Rules on topics, producers and the node, and on what a group gave up.

use model::GroupName;
use model::admin::{HealthSubject, Trouble};

use super::config::HealthConfig;
use super::judge::{Found, Judge, count, score, time};
use super::sample::{GroupSample, NodeSample, ProducerSample, TopicSample};

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
const fn float(number: u64) -> f64 {
    number as f64
}

impl Judge {
    pub(super) fn dead_letters(
        &mut self,
        config: &HealthConfig,
        now_ms: i64,
        group: &GroupSample,
    ) -> Option<Found> {
        let window_ms = i64::try_from(config.dead_letters_window_ms).unwrap_or(i64::MAX);
        let counts = self.counts_of(&group.name, now_ms, group.dead_letters);
        while counts.get(1).is_some_and(|(at, _)| now_ms - at > window_ms) {
            counts.pop_front();
        }
        let (_, first) = *counts.front()?;
        let new = group.dead_letters.saturating_sub(first);
        let (last_ms, _) = *counts.back()?;
        if new == 0 || now_ms - last_ms > window_ms {
            return None;
        }
        Some(Found {
            subject: HealthSubject::Group,
            name: group.name.to_string(),
            score: score(50, float(new), 1.0),
            trouble: Trouble::DeadLetters,
            reason: format!(
                "{} new dead letters in the last {}, the newest {} ago; {} in all",
                count(new),
                time(window_ms),
                time(now_ms - last_ms),
                count(group.dead_letters)
            ),
            advice:
                "Look at them, correct what made them fail, then send them again (`apogee group resend`)."
                    .to_owned(),
            facts: vec![
                ("new_dead_letters", new.into()),
                ("dead_letters", group.dead_letters.into()),
                ("last_ms", last_ms.into()),
            ],
        })
    }

    /// What was counted when it grew; the first look counts as no growth.
    fn counts_of(
        &mut self,
        group: &GroupName,
        now_ms: i64,
        dead_letters: u64,
    ) -> &mut std::collections::VecDeque<(i64, u64)> {
        let counts = self.dead_letters.entry(group.clone()).or_default();
        if counts.back().is_none_or(|(_, last)| *last != dead_letters) {
            counts.push_back((now_ms, dead_letters));
        }
        if counts.len() > crate::limits::HEALTH_LOOKS_MAX {
            // The oldest base stays, so that the number of new ones does.
            counts.remove(1);
        }
        counts
    }

    pub(super) fn hot_queues(
        &mut self,
        config: &HealthConfig,
        now_ms: i64,
        topics: &[TopicSample],
    ) -> Vec<Found> {
        let window_ms = i64::try_from(config.window_ms).unwrap_or(i64::MAX);
        let mut found = Vec::new();
        for topic in topics {
            let looks = self.ends.push(topic.name.clone(), now_ms, window_ms, topic.ends.clone());
            let Some((first, last, seconds)) = looks.ends() else { continue };
            found.extend(hot_queue(config, topic, first, last, seconds));
        }
        found
    }

    pub(super) fn throttled_producers(
        &mut self,
        config: &HealthConfig,
        now_ms: i64,
        producers: &[ProducerSample],
    ) -> Vec<Found> {
        let window_ms = i64::try_from(config.window_ms).unwrap_or(i64::MAX);
        for producer in producers {
            let key = (producer.name.clone(), producer.topic.clone());
            self.throttled.push(key, now_ms, window_ms, (producer.calls, producer.why.clone()));
        }
        self.throttled.forget_before(now_ms - window_ms);
        let throttled = self.throttled.iter().filter_map(|((name, topic), looks)| {
            let calls: u64 = looks.values().map(|(calls, _)| calls).sum();
            let (_, why) = looks.values().last()?;
            (calls >= config.throttled_calls).then(|| Found {
                subject: HealthSubject::Producer,
                name: name.clone(),
                score: score(45, float(calls), float(config.throttled_calls.max(1))),
                trouble: Trouble::ThrottledProducer,
                reason: format!(
                    "{} of its sends to topic {topic} were refused in the last {}: {why}",
                    count(calls),
                    time(window_ms)
                ),
                advice: "Let it send slower, or raise the limit that it met (quotas: `quota.put`)."
                    .to_owned(),
                facts: vec![
                    ("topic", topic.as_str().into()),
                    ("refused_calls", calls.into()),
                    ("why", why.as_str().into()),
                ],
            })
        });
        throttled.collect()
    }

    pub(super) fn timers_late(
        &mut self,
        config: &HealthConfig,
        now_ms: i64,
        node: &NodeSample,
    ) -> Option<Found> {
        let window_ms = i64::try_from(config.window_ms).unwrap_or(i64::MAX);
        self.fired.push(now_ms, window_ms, (node.fired, node.late_ms));
        let (first, last, _) = self.fired.ends()?;
        let fired = last.0.saturating_sub(first.0);
        let late_ms = last.1.saturating_sub(first.1).checked_div(fired)?;
        (late_ms >= config.timers_late_ms.max(1)).then(|| Found {
            subject: HealthSubject::Node,
            name: node.name.clone(),
            score: score(55, float(late_ms), float(config.timers_late_ms.max(1))),
            trouble: Trouble::TimersLate,
            reason: format!(
                "{} timed messages and retries fired {} late on average",
                count(fired),
                time(i64::try_from(late_ms).unwrap_or(i64::MAX))
            ),
            advice: "Look whether the disk is slow or the node is overloaded; after a start what was due \
                     meanwhile is worked off first."
                .to_owned(),
            facts: vec![("fired", fired.into()), ("late_ms_mean", late_ms.into())],
        })
    }
}

fn hot_queue(
    config: &HealthConfig,
    topic: &TopicSample,
    first: &[u64],
    last: &[u64],
    seconds: f64,
) -> Option<Found> {
    if first.len() != last.len() || last.len() < 2 {
        return None;
    }
    let grown: Vec<u64> = first.iter().zip(last).map(|(first, last)| last.saturating_sub(*first)).collect();
    let all: u64 = grown.iter().sum();
    let (queue, most) = grown.iter().copied().enumerate().max_by_key(|(_, grown)| *grown)?;
    let others = float(all - most) / float(grown.len() as u64 - 1);
    if most < config.hot_queue_messages.max(1) || float(most) < others * float(config.hot_queue_ratio) {
        return None;
    }
    let percent = most * 100 / all.max(1);
    let per_second = float(most) / seconds;
    Some(Found {
        subject: HealthSubject::Topic,
        name: topic.name.to_string(),
        score: score(45, float(most), others.max(1.0) * float(config.hot_queue_ratio)),
        trouble: Trouble::HotQueue,
        reason: format!(
            "queue {queue} of {} took {percent} % of what was sent: {} messages in {seconds:.0} s, the others {} \
             on average",
            grown.len(),
            count(most),
            super::judge::rate(others)
        ),
        advice: "Look at the keys by which producers choose the queue: one key or message group has most of \
                 the messages, or a producer sends to one queue only."
            .to_owned(),
        facts: vec![
            ("queue", queue.into()),
            ("queues", grown.len().into()),
            ("share_percent", percent.into()),
            ("messages", most.into()),
            ("messages_per_s", per_second.into()),
            ("others_mean_messages", others.into()),
        ],
    })
}

pub(super) fn disk(config: &HealthConfig, node: &NodeSample) -> Option<Found> {
    let used = node.disk_used_percent.filter(|used| *used >= config.disk_percent)?;
    let refuse = node.disk_refuse_percent;
    let room = refuse.saturating_sub(config.disk_percent).max(1);
    let part = used.saturating_sub(config.disk_percent).min(room) * 50 / room;
    let what = if used >= refuse {
        "producers are refused".to_owned()
    } else {
        format!("from {refuse} % on producers are refused")
    };
    Some(Found {
        subject: HealthSubject::Node,
        name: node.name.clone(),
        score: u8::try_from(50 + part).unwrap_or(100),
        trouble: Trouble::Disk,
        reason: format!("the disk is {used} % full; {what}"),
        advice:
            "Keep messages for a shorter time (`store.retention_ms`, `store.retention_bytes`), or give the \
                 node a larger disk."
                .to_owned(),
        facts: vec![("used_percent", used.into()), ("refuse_percent", refuse.into())],
    })
}
