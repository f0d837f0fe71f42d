//! Limits of the guard that are no settings, each with its reason.

/// How long a bucket may be in debt, in milliseconds: after this long at most, who took too much at
/// once is heard again.
pub const QUOTA_DEBT_MS_MAX: u64 = 60_000;
/// Pause before who waits for a quota looks again, in milliseconds: many may wait for one bucket, and
/// each time only some find anything.
pub const QUOTA_LOOK_MS: u64 = 20;
/// A full table of buckets is searched for idle ones no more often than this, in milliseconds.
pub const QUOTA_SWEEP_MS: u64 = 1_000;
/// Of what a client set, a span takes so many bytes: enough to know it again.
pub const SPAN_TEXT_BYTES_MAX: usize = 256;
/// Keys of a message that its spans name.
pub const SPAN_KEYS_MAX: usize = 16;
/// A longer `tracestate` is left out, as the W3C allows from this length on.
pub const TRACE_STATE_BYTES_MAX: usize = 512;
