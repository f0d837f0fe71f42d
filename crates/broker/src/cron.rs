//! Recurring messages: when one is next due. An addition of ours; see `docs/timed-messages.md`.
//!
//! Pure: the same properties and times give the same answer on every node.

use chrono::{DateTime, Utc};
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use model::properties;

/// Length of an expression; real ones are far below.
const EXPRESSION_BYTES_MAX: usize = 256;

/// How a message recurs.
#[derive(Debug, Clone)]
pub(crate) struct Recurrence {
    cron: Cron,
    until_ms: Option<i64>,
    times: Option<u32>,
}

impl Recurrence {
    /// How the message with these properties recurs; `None` if it does not.
    ///
    /// # Errors
    /// If the properties are malformed: what is wrong with them, for people.
    pub(crate) fn of<'a>(get: &dyn Fn(&str) -> Option<&'a str>) -> Result<Option<Self>, String> {
        let Some(expression) = get(properties::CRON) else { return Ok(None) };
        if expression.len() > EXPRESSION_BYTES_MAX {
            return Err(format!("{} is longer than {EXPRESSION_BYTES_MAX} bytes", properties::CRON));
        }
        let parser = CronParser::builder().seconds(Seconds::Optional).year(Year::Disallowed).build();
        let cron = parser.parse(expression.trim()).map_err(|error| {
            let key = properties::CRON;
            format!("{key} `{expression}` is no cron expression of 5 or 6 fields: {error}")
        })?;
        let until_ms = number(get, properties::CRON_UNTIL_MS)?;
        let times = number(get, properties::CRON_TIMES)?;
        Ok(Some(Self { cron, until_ms, times }))
    }

    /// The first time after a time, if it is to be fired again after so many times.
    pub(crate) fn next_ms(&self, after_ms: i64, fired_times: u32) -> Option<i64> {
        if self.times.is_some_and(|times| fired_times >= times) {
            return None;
        }
        let after: DateTime<Utc> = DateTime::from_timestamp_millis(after_ms)?;
        let next = self.cron.find_next_occurrence(&after, false).ok()?.timestamp_millis();
        (next > after_ms && self.until_ms.is_none_or(|until| next <= until)).then_some(next)
    }

    /// The last time at which it may be fired, if one is told.
    pub(crate) const fn until_ms(&self) -> Option<i64> {
        self.until_ms
    }
}

fn number<'a, T: std::str::FromStr>(
    get: &dyn Fn(&str) -> Option<&'a str>,
    key: &str,
) -> Result<Option<T>, String> {
    let Some(text) = get(key) else { return Ok(None) };
    text.trim().parse().map(Some).map_err(|_| format!("{key} is `{text}`, not a number in its range"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-01-31 23:59:30.250 UTC, a Saturday.
    const NOW_MS: i64 = 1_769_903_970_250;

    fn of(pairs: &[(&'static str, &'static str)]) -> Result<Option<Recurrence>, String> {
        Recurrence::of(&|key| pairs.iter().find(|(k, _)| *k == key).map(|(_, v)| *v))
    }

    fn next(expression: &'static str) -> i64 {
        let recurrence = of(&[("APOGEE_CRON", expression)]).expect("legal").expect("recurs");
        recurrence.next_ms(NOW_MS, 0).expect("recurs") - NOW_MS
    }

    #[test]
    fn five_fields_and_six() {
        assert_eq!(next("* * * * *"), 29_750);
        assert_eq!(next("*/2 * * * * *"), 1_750);
        assert_eq!(next("0 12 1 * *"), 29_750 + 12 * 3_600_000);
        assert_eq!(next("30 6 * * MON-FRI"), 29_750 + (24 + 6) * 3_600_000 + 30 * 60_000);
        assert_eq!(next("0 0 29 2 *"), 29_750 + (365 + 365 + 28) * 86_400_000);
    }

    #[test]
    fn it_ends() {
        let times = of(&[("APOGEE_CRON", "* * * * *"), ("APOGEE_CRON_TIMES", "2")]);
        let times = times.expect("legal").expect("recurs");
        assert!(times.next_ms(NOW_MS, 1).is_some());
        assert_eq!(times.next_ms(NOW_MS, 2), None);
        let until = of(&[("APOGEE_CRON", "* * * * *"), ("APOGEE_CRON_UNTIL_MS", "1769904000000")]);
        let until = until.expect("legal").expect("recurs");
        assert_eq!(until.next_ms(NOW_MS, 0), Some(1_769_904_000_000));
        assert_eq!(until.next_ms(1_769_904_000_000, 1), None);
        let never = of(&[("APOGEE_CRON", "0 0 30 2 *")]);
        assert!(never.map_or(true, |r| r.is_none_or(|r| r.next_ms(NOW_MS, 0).is_none())));
    }

    #[test]
    fn what_is_broken_is_told() {
        for broken in ["", "* * *", "61 * * * *", "* * * * * * *", "x y z a b"] {
            let error = of(&[("APOGEE_CRON", broken)]).expect_err(broken);
            assert!(error.contains("APOGEE_CRON"), "{error}");
        }
        let pairs = [("APOGEE_CRON", "* * * * *"), ("APOGEE_CRON_TIMES", "-1")];
        assert_eq!(of(&pairs).expect_err("negative"), "APOGEE_CRON_TIMES is `-1`, not a number in its range");
        assert!(of(&[]).expect("legal").is_none());
    }
}
