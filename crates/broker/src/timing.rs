//! When a message is to be delivered: at once, at a time, again and again; or which one is not.
//!
//! RocketMQ's rules (`HookUtils.handleScheduleMessage`): a delay level beats the timer properties,
//! seconds beat milliseconds beat a time; what lies in the past is delivered at once.

use model::properties::Pairs;
use model::verbs::PublishError;
use model::{MessageKind, Properties, properties};

use crate::broker::Broker;
use crate::cron::Recurrence;

/// When.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Timing {
    Now,
    /// Unix milliseconds.
    At(i64),
    /// Each of several messages at its own time; `None`: at once, because it is due already.
    Each(Vec<Option<i64>>),
    /// By a cron expression: the first time, and until when its recall handle is good.
    Recurs {
        first_ms: i64,
        until_ms: i64,
    },
    /// It is no message, but the end of the timed message with this unique id.
    Cancels(String),
}

impl Timing {
    /// The time in the recall handle of a call's message, if it can be recalled.
    pub(crate) fn handle_ms(&self, place: usize) -> Option<i64> {
        match self {
            Self::At(due_ms) => Some(*due_ms),
            Self::Each(times) => times.get(place).copied().flatten(),
            Self::Recurs { until_ms, .. } => Some(*until_ms),
            Self::Now | Self::Cancels(_) => None,
        }
    }
}

impl Broker {
    /// When the messages of one call are to be delivered.
    pub(crate) fn timing(&self, messages: &[Pairs<'_>]) -> Result<Timing, PublishError> {
        if !messages.iter().any(says_when) {
            return Ok(Timing::Now);
        }
        let (now_ms, delay_max_ms) = (self.now_ms(), self.live().timer_delay_max_ms);
        match messages {
            [told] => timing(told, now_ms, delay_max_ms),
            _ => timing_of_several(messages, now_ms, delay_max_ms),
        }
    }
}

/// Whether a message says anything of when it is to be delivered. Most do not.
fn says_when(told: &Pairs<'_>) -> bool {
    told.iter().any(|(key, _)| {
        matches!(
            key,
            properties::DELAY
                | properties::TIMER_DELAY_SEC
                | properties::TIMER_DELAY_MS
                | properties::TIMER_DELIVER_MS
                | properties::TIMER_DELETE_UNIQUE_ID
                | properties::CRON
                | properties::CRON_UNTIL_MS
                | properties::CRON_TIMES
        )
    })
}

/// Of a batch all messages are timed, or none: what follows from a call is one thing.
fn timing_of_several(messages: &[Pairs<'_>], now_ms: i64, delay_max_ms: i64) -> Result<Timing, PublishError> {
    let is_single = |told: &Pairs<'_>| {
        [properties::CRON, properties::TIMER_DELETE_UNIQUE_ID].iter().any(|key| told.has(key))
    };
    if messages.iter().any(is_single) {
        let text = "a batch cannot hold recurring messages or cancellations";
        return Err(PublishError::Illegal(text.to_owned()));
    }
    let is_timed = |told: &&Pairs<'_>| MessageKind::told_by(told) == MessageKind::Delay;
    let timed = messages.iter().filter(is_timed).count();
    if timed == 0 {
        return Ok(Timing::Now);
    }
    if timed < messages.len() {
        return Err(PublishError::Illegal("a batch holds timed messages only, or none".to_owned()));
    }
    let time = |told: &Pairs<'_>| {
        let due_ms = due_ms(told, now_ms, delay_max_ms)?;
        Ok(due_ms.filter(|due_ms| *due_ms > now_ms))
    };
    messages.iter().map(time).collect::<Result<_, _>>().map(Timing::Each)
}

fn timing(properties: &Pairs<'_>, now_ms: i64, delay_max_ms: i64) -> Result<Timing, PublishError> {
    let due_ms = due_ms(properties, now_ms, delay_max_ms)?;
    if let Some(due_ms) = due_ms
        && let Some(id) = properties.get(properties::TIMER_DELETE_UNIQUE_ID)
    {
        if due_ms <= now_ms {
            let text = "what a cancellation names is due already";
            return Err(PublishError::DeliveryTime(text.to_owned()));
        }
        return Ok(Timing::Cancels(id.to_owned()));
    }
    let recurrence = Recurrence::of(&|key| properties.get(key)).map_err(PublishError::Illegal)?;
    let Some(recurrence) = recurrence else {
        return Ok(due_ms.filter(|due| *due > now_ms).map_or(Timing::Now, Timing::At));
    };
    // A time together with an expression is when the series begins.
    let after_ms = due_ms.map_or(now_ms, |due| now_ms.max(due.saturating_sub(1)));
    let Some(first_ms) = recurrence.next_ms(after_ms, 0) else {
        let text = format!("{} has no time to come", properties::CRON);
        return Err(PublishError::Illegal(text));
    };
    let farthest_ms = now_ms.saturating_add(delay_max_ms);
    if first_ms > farthest_ms {
        return Err(too_far(delay_max_ms));
    }
    let handle_ms = now_ms.saturating_add(delay_max_ms / 2).max(first_ms);
    let until_ms = recurrence.until_ms().map_or(handle_ms, |until| until.min(handle_ms));
    Ok(Timing::Recurs { first_ms, until_ms })
}

fn too_far(delay_max_ms: i64) -> PublishError {
    PublishError::DeliveryTime(format!("more than {delay_max_ms} ms from now, the most allowed"))
}

/// When a message is to be delivered, if it says so. Not above the farthest allowed.
pub(crate) fn due_ms(
    properties: &Pairs<'_>,
    now_ms: i64,
    delay_max_ms: i64,
) -> Result<Option<i64>, PublishError> {
    let number = |key: &'static str| {
        properties.get(key).map(|text| {
            let bad = || PublishError::DeliveryTime(format!("{key} is `{text}`, not a number"));
            text.trim().parse::<i64>().map_err(|_| bad())
        })
    };
    let level = number(properties::DELAY).transpose()?.unwrap_or(0);
    let due = if level > 0 {
        let levels = model::group::DELAY_LEVELS_MS;
        let index = usize::try_from(level - 1).unwrap_or(0).min(levels.len() - 1);
        now_ms + levels.get(index).copied().unwrap_or(0)
    } else if let Some(seconds) = number(properties::TIMER_DELAY_SEC).transpose()? {
        now_ms.saturating_add(seconds.saturating_mul(1_000))
    } else if let Some(ms) = number(properties::TIMER_DELAY_MS).transpose()? {
        now_ms.saturating_add(ms)
    } else if let Some(at) = number(properties::TIMER_DELIVER_MS).transpose()? {
        at
    } else {
        return Ok(None);
    };
    if due.saturating_sub(now_ms) > delay_max_ms {
        return Err(too_far(delay_max_ms));
    }
    Ok(Some(due))
}

/// A message that waited by a delay level is delivered without it, and without the timer
/// properties that the level beat.
pub(crate) fn strip_level(properties: &mut Properties) {
    let has_level = properties.get(properties::DELAY).and_then(|text| text.trim().parse().ok());
    if has_level.is_some_and(|level: i64| level > 0) {
        for key in [
            properties::DELAY,
            properties::TIMER_DELAY_SEC,
            properties::TIMER_DELAY_MS,
            properties::TIMER_DELIVER_MS,
        ] {
            properties.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: i64 = 1_769_903_970_250;
    const MAX_MS: i64 = 1_000_000;

    fn of(pairs: &[(&str, &str)]) -> Result<Timing, String> {
        let mut properties = Properties::new();
        pairs.iter().for_each(|(key, value)| properties.push(key, value));
        timing(&properties.pairs(), NOW_MS, MAX_MS).map_err(|error| error.to_string())
    }

    #[test]
    fn the_order_of_the_properties() {
        let all = [
            ("TIMER_DELIVER_MS", "1769903970251"),
            ("TIMER_DELAY_MS", "2"),
            ("TIMER_DELAY_SEC", "3"),
            ("DELAY", "2"),
        ];
        assert_eq!(of(&all), Ok(Timing::At(NOW_MS + 5_000)));
        assert_eq!(of(&all[..3]), Ok(Timing::At(NOW_MS + 3_000)));
        assert_eq!(of(&all[..2]), Ok(Timing::At(NOW_MS + 2)));
        assert_eq!(of(&all[..1]), Ok(Timing::At(NOW_MS + 1)));
        assert_eq!(of(&[("DELAY", "0"), ("TIMER_DELAY_MS", "2")]), Ok(Timing::At(NOW_MS + 2)));
        assert_eq!(of(&[]), Ok(Timing::Now));
    }

    #[test]
    fn what_is_past_goes_at_once_and_what_is_too_far_nowhere() {
        for (key, value) in
            [("TIMER_DELIVER_MS", "-5"), ("TIMER_DELIVER_MS", "1769903970250"), ("TIMER_DELAY_SEC", "-1")]
        {
            assert_eq!(of(&[(key, value)]), Ok(Timing::Now), "{key} {value}");
        }
        assert_eq!(of(&[("TIMER_DELAY_MS", "1000000")]), Ok(Timing::At(NOW_MS + MAX_MS)));
        for (key, value) in [
            ("TIMER_DELAY_MS", "1000001"),
            ("TIMER_DELAY_SEC", "9223372036854775807"),
            ("TIMER_DELIVER_MS", "9223372036854775807"),
            ("TIMER_DELIVER_MS", "tomorrow"),
            ("TIMER_DELAY_SEC", "1.5"),
            ("TIMER_DELAY_MS", ""),
        ] {
            let error = of(&[(key, value)]).expect_err(value);
            assert!(error.contains("delivery time"), "{error}");
        }
    }

    #[test]
    fn a_cancellation_must_lie_ahead() {
        let id = ("TIMER_DEL_UNIQKEY", "id");
        assert_eq!(of(&[id, ("TIMER_DELAY_MS", "5")]), Ok(Timing::Cancels("id".to_owned())));
        assert!(of(&[id, ("TIMER_DELAY_MS", "0")]).is_err());
        assert_eq!(of(&[id]), Ok(Timing::Now));
    }

    #[test]
    fn of_several_each_has_its_time() {
        let several = |all: &[&[(&str, &str)]]| {
            let told = |pairs: &&[(&str, &str)]| {
                let mut properties = Properties::new();
                pairs.iter().for_each(|(key, value)| properties.push(key, value));
                properties
            };
            let properties: Vec<Properties> = all.iter().map(told).collect();
            let messages: Vec<Pairs<'_>> = properties.iter().map(Properties::pairs).collect();
            timing_of_several(&messages, NOW_MS, MAX_MS).map_err(|error| error.to_string())
        };
        let (soon, past, none) = ([("TIMER_DELAY_MS", "7")], [("TIMER_DELIVER_MS", "5")], [("KEYS", "k")]);
        let level = [("DELAY", "1")];
        let each = Timing::Each(vec![Some(NOW_MS + 7), None, Some(NOW_MS + 1_000)]);
        assert_eq!(
            [0, 1, 2, 3].map(|place| each.handle_ms(place)),
            [Some(NOW_MS + 7), None, Some(NOW_MS + 1_000), None]
        );
        assert_eq!(several(&[&soon, &past, &level]), Ok(each));
        assert_eq!(several(&[&none, &none]), Ok(Timing::Now));
        assert!(several(&[&soon, &none]).expect_err("mixed").contains("timed messages only"));
        assert!(several(&[&soon, &[("TIMER_DELAY_MS", "1000001")]]).expect_err("far").contains("from now"));
        for single in [("APOGEE_CRON", "@daily"), ("TIMER_DEL_UNIQKEY", "id")] {
            let error = several(&[&soon, &[single, ("TIMER_DELAY_MS", "9")]]).expect_err("alone");
            assert!(error.contains("recurring messages or cancellations"), "{error}");
        }
    }

    #[test]
    fn a_series_begins_at_its_time() {
        let cron = ("APOGEE_CRON", "*/10 * * * * *");
        let until_ms = NOW_MS + MAX_MS / 2;
        assert_eq!(of(&[cron]), Ok(Timing::Recurs { first_ms: NOW_MS + 9_750, until_ms }));
        let later = [cron, ("TIMER_DELAY_MS", "9751")];
        assert_eq!(of(&later), Ok(Timing::Recurs { first_ms: NOW_MS + 19_750, until_ms }));
        let ended = [cron, ("APOGEE_CRON_UNTIL_MS", "1769903970300")];
        assert!(of(&ended).expect_err("over").contains("no time to come"));
        assert!(of(&[("APOGEE_CRON", "nonsense")]).expect_err("broken").contains("APOGEE_CRON"));
    }

    #[test]
    fn a_level_is_spent_once() {
        let mut properties = Properties::new();
        properties.push("DELAY", "3");
        properties.push("TIMER_DELAY_SEC", "9");
        properties.push("KEYS", "k");
        strip_level(&mut properties);
        assert_eq!(properties.iter().collect::<Vec<_>>(), [("KEYS", "k")]);
    }
}
