//! Rules on consumer groups: stuck, slow, behind, imbalanced, failing.

use model::GroupName;
use model::admin::{HealthSubject, Trouble};

use super::config::HealthConfig;
use super::judge::{Found, History, count, rate, score, time};
use super::sample::{GroupSample, ProgressSample, QueueSample, Reader};

/// What trends are made of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Progress {
    arrived: u64,
    acked: u64,
    lag: u64,
}

impl Progress {
    pub(super) const fn of(sample: &ProgressSample) -> Self {
        Self { arrived: sample.arrived, acked: sample.acked, lag: sample.lag }
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Failures {
    failed: u64,
    acked: u64,
}

impl Failures {
    pub(super) fn of(group: &GroupSample) -> Self {
        let acked = group.topics.iter().map(|progress| progress.acked).sum();
        Self { failed: group.failed, acked }
    }
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
const fn float(number: u64) -> f64 {
    number as f64
}

fn age_ms(now_ms: i64, sample: &ProgressSample) -> i64 {
    sample.oldest_ms.map_or(0, |oldest_ms| (now_ms - oldest_ms).max(0))
}

fn of_group(group: &GroupName, trouble: Trouble, sample: &ProgressSample, now_ms: i64) -> Found {
    Found {
        subject: HealthSubject::Group,
        name: group.to_string(),
        score: 0,
        trouble,
        reason: String::new(),
        advice: String::new(),
        facts: vec![
            ("topic", sample.topic.as_str().into()),
            ("lag_messages", sample.lag.into()),
            ("in_flight_messages", sample.in_flight.into()),
            ("lag_time_ms", age_ms(now_ms, sample).into()),
            ("members", sample.subscribers.into()),
        ],
    }
}

/// `stands` tells since when a queue shows no sign of life.
pub(super) fn stuck_consumer(
    config: &HealthConfig,
    now_ms: i64,
    group: &GroupName,
    sample: &ProgressSample,
    mut stands: impl FnMut(&QueueSample) -> i64,
) -> Option<Found> {
    let mut stuck: Option<(i64, QueueSample)> = None;
    let mut queues = 0_usize;
    for queue in &sample.behind {
        let still_ms = now_ms - stands(queue);
        let is_attended = sample.subscribers > 0 || queue.in_flight > 0;
        if is_attended && still_ms.unsigned_abs() >= config.stuck_after_ms {
            queues += 1;
            if stuck.is_none_or(|(longest, _)| still_ms > longest) {
                stuck = Some((still_ms, *queue));
            }
        }
    }
    let (still_ms, worst) = stuck?;
    let mut found = of_group(group, Trouble::StuckConsumer, sample, now_ms);
    found.score = score(70, still_ms as f64, float(config.stuck_after_ms.max(1)));
    found.reason = format!(
        "{} in topic {} wait in {queues} of {} queues in which nothing was done for {}; {} are with consumers, \
         queue {} is stuck longest",
        messages(sample.lag),
        sample.topic,
        sample.queues,
        time(still_ms),
        count(sample.in_flight),
        worst.queue
    );
    found.advice = "Look at the consumers' threads (a call without a timeout, a deadlock, a full pool) and \
                    restart the one that hangs; what it holds is delivered again when its time is over."
        .to_owned();
    found.facts.extend([
        ("stuck_queues", queues.into()),
        ("queue", worst.queue.into()),
        ("stuck_ms", still_ms.into()),
    ]);
    Some(found)
}

fn messages(number: u64) -> String {
    if number == 1 { "1 message".to_owned() } else { format!("{} messages", count(number)) }
}

pub(super) fn slow_consumer(
    config: &HealthConfig,
    now_ms: i64,
    group: &GroupName,
    sample: &ProgressSample,
    looks: &History<Progress>,
) -> Option<Found> {
    if sample.lag < config.slow_lag_messages.max(1) || (sample.subscribers == 0 && sample.in_flight == 0) {
        return None;
    }
    let (first, last, seconds) = looks.ends()?;
    let arriving = float(last.arrived.saturating_sub(first.arrived)) / seconds;
    let done = float(last.acked.saturating_sub(first.acked)) / seconds;
    let growth = (float(last.lag) - float(first.lag)) / seconds;
    // A burst that is worked off, and noise around an even balance, are no trouble.
    if growth <= 0.0 || growth < 0.1 * arriving {
        return None;
    }
    let mut found = of_group(group, Trouble::SlowConsumer, sample, now_ms);
    found.score = score(50, float(sample.lag), float(config.slow_lag_messages.max(1)));
    found.reason = format!(
        "{} a second come into topic {}, {} are worked off: {} wait, {} more each second, the first for {}",
        rate(arriving),
        sample.topic,
        rate(done),
        messages(sample.lag),
        rate(growth),
        time(age_ms(now_ms, sample))
    );
    found.advice = format!(
        "Add consumers (now {} for {} queues) or threads, let each message take less time, or take more \
         messages at once.",
        sample.subscribers, sample.queues
    );
    found.facts.extend([
        ("arriving_per_s", arriving.into()),
        ("done_per_s", done.into()),
        ("growth_per_s", growth.into()),
    ]);
    Some(found)
}

pub(super) fn lag(
    config: &HealthConfig,
    now_ms: i64,
    group: &GroupName,
    sample: &ProgressSample,
) -> Option<Found> {
    let age_ms = age_ms(now_ms, sample);
    let (by_count, by_time) =
        (sample.lag >= config.lag_messages.max(1), age_ms.unsigned_abs() >= config.lag_time_ms);
    if sample.lag == 0 || !(by_count || by_time) {
        return None;
    }
    let of_count = score(35, float(sample.lag), float(config.lag_messages.max(1)));
    let of_time = score(35, age_ms as f64, float(config.lag_time_ms.max(1)));
    let mut found = of_group(group, Trouble::Lag, sample, now_ms);
    found.score = of_count.max(of_time);
    let who = if sample.subscribers == 0 { "no consumer is there" } else { "it catches up or stands even" };
    found.reason = format!(
        "{} wait in topic {}, the first for {}; {who}",
        messages(sample.lag),
        sample.topic,
        time(age_ms)
    );
    found.advice = if sample.subscribers == 0 {
        "Start the group's consumers; if it is not needed any more, delete it.".to_owned()
    } else {
        "Wait if it shrinks fast enough; else add consumers, or skip what is of no use any more.".to_owned()
    };
    Some(found)
}

/// Whether a member reads at least two queues fewer than another one.
pub(super) fn is_imbalanced(sample: &ProgressSample) -> bool {
    extremes(sample).is_some_and(|(most, least)| most.queues >= least.queues + 2)
}

fn extremes(sample: &ProgressSample) -> Option<(&Reader, &Reader)> {
    let by_queues = |reader: &&Reader| reader.queues;
    Some((sample.readers.iter().max_by_key(by_queues)?, sample.readers.iter().min_by_key(by_queues)?))
}

pub(super) fn imbalanced_group(
    config: &HealthConfig,
    now_ms: i64,
    group: &GroupName,
    sample: &ProgressSample,
    since_ms: Option<i64>,
) -> Option<Found> {
    let lasts_ms = now_ms - since_ms?;
    if lasts_ms.unsigned_abs() < config.imbalanced_after_ms {
        return None;
    }
    let (most, least) = extremes(sample)?;
    let idle = sample.readers.iter().filter(|reader| reader.queues == 0).count();
    let mut found = of_group(group, Trouble::ImbalancedGroup, sample, now_ms);
    let fair = (sample.queues / u32::try_from(sample.readers.len().max(1)).unwrap_or(u32::MAX)).max(1);
    found.score = score(45, f64::from(most.queues), f64::from(fair));
    found.reason = format!(
        "of {} members in topic {}, {} reads {} of {} queues and {} reads {} for {}; {idle} read none",
        sample.readers.len(),
        sample.topic,
        most.client_id,
        most.queues,
        sample.queues,
        least.client_id,
        least.queues,
        time(lasts_ms)
    );
    found.advice = "Check that all members subscribe to the same topics, share the queues by the same \
                    strategy and have client ids of their own."
        .to_owned();
    found.facts.extend([
        ("most_client_id", most.client_id.as_str().into()),
        ("most_queues", most.queues.into()),
        ("least_client_id", least.client_id.as_str().into()),
        ("least_queues", least.queues.into()),
        ("idle_members", idle.into()),
    ]);
    Some(found)
}

/// Whether or not others pass, a message that fails again and again wants a person.
pub(super) fn poison_message(
    config: &HealthConfig,
    now_ms: i64,
    group: &GroupSample,
    looks: &History<Failures>,
) -> Option<Found> {
    let worst = group.worst.as_ref().filter(|worst| worst.attempts >= config.poison_attempts)?;
    if (now_ms - worst.at_ms).unsigned_abs() > config.dead_letters_window_ms {
        return None;
    }
    let (failed, acked) = looks.ends().map_or((0, 0), |(first, last, _)| {
        (last.failed.saturating_sub(first.failed), last.acked.saturating_sub(first.acked))
    });
    let of_all = match failed + acked {
        0 => String::new(),
        all => format!("; of the last {} deliveries {} failed", count(all), count(failed)),
    };
    Some(Found {
        subject: HealthSubject::Group,
        name: group.name.to_string(),
        score: score(60, f64::from(worst.attempts), f64::from(config.poison_attempts)),
        trouble: Trouble::PoisonMessage,
        reason: format!(
            "message {} of topic {} failed {} times, the last time {} ago{of_all}",
            worst.message_id,
            worst.topic,
            worst.attempts,
            time(now_ms - worst.at_ms)
        ),
        advice:
            "Read the message and the consumer's error for it; correct the consumer, or let it go to the \
                 dead letters by fewer retries."
                .to_owned(),
        facts: vec![
            ("topic", worst.topic.as_str().into()),
            ("message_id", worst.message_id.as_str().into()),
            ("attempts", worst.attempts.into()),
            ("last_failed_ms", worst.at_ms.into()),
            ("failed_deliveries", failed.into()),
            ("done_deliveries", acked.into()),
        ],
    })
}
