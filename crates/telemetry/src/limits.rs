//! Limits of the export that are no settings, each with its reason.

use std::time::Duration;

/// A batch of spans that the collector does not take is tried so often; who is away for longer loses it.
pub const PUSH_ATTEMPTS_MAX: u32 = 5;
/// Pause before the second attempt; it doubles.
pub const PUSH_PAUSE: Duration = Duration::from_secs(1);
/// Spans come together for so long before they are sent, unless there is a full batch before.
pub const GATHER: Duration = Duration::from_secs(1);
/// Deliveries whose time is over are looked for this often.
pub const SWEEP: Duration = Duration::from_secs(1);
/// Series in one request: collectors take 4 MiB by default, and a series takes about 200 bytes.
pub const SERIES_PER_PUSH_MAX: usize = 4_000;
/// While the collector does not take what is pushed, the log is told this often.
pub const WARN_EVERY: Duration = Duration::from_secs(60);
/// What is left when the node stops is sent in this time, or is lost.
pub const LAST_PUSH: Duration = Duration::from_secs(3);
