//! Times and spans in milliseconds. Whatever a client writes gives some number; checks come after.

use prost_types::{Duration, Timestamp};

fn split(ms: i64) -> (i64, i32) {
    let nanos = i32::try_from(ms.rem_euclid(1000) * 1_000_000).unwrap_or_default();
    (ms.div_euclid(1000), nanos)
}

fn join(seconds: i64, nanos: i32) -> i64 {
    seconds.saturating_mul(1000).saturating_add(i64::from(nanos) / 1_000_000)
}

pub(crate) fn to_ms(timestamp: &Timestamp) -> i64 {
    join(timestamp.seconds, timestamp.nanos)
}

pub(crate) fn of_ms(ms: i64) -> Timestamp {
    let (seconds, nanos) = split(ms);
    Timestamp { seconds, nanos }
}

pub(crate) fn span_to_ms(duration: &Duration) -> i64 {
    join(duration.seconds, duration.nanos)
}

pub(crate) fn span_of_ms(ms: i64) -> Duration {
    let nanos = i32::try_from(ms % 1000 * 1_000_000).unwrap_or_default();
    Duration { seconds: ms / 1000, nanos }
}
