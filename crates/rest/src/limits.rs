//! Limits of the HTTP interface, each with its reason.

use model::limits::BODY_BYTES_MAX;

/// One request's body: a largest message in base64 (4/3), with room for its properties.
pub(crate) const REQUEST_BYTES_MAX: usize = BODY_BYTES_MAX * 2;
/// Bytes of a request's head: no header of ours is long, cookies of a browser may be.
pub(crate) const HEAD_BYTES_MAX: usize = 64 * 1024;
/// A compressed body grows to at most so much: more is handed out as it is stored.
pub(crate) const PLAIN_BODY_BYTES_MAX: usize = 4 * BODY_BYTES_MAX;
/// Messages of one send request.
pub(crate) const SEND_MESSAGES_MAX: usize = 1_024;
/// Receipts of one acknowledgement.
pub(crate) const ACK_RECEIPTS_MAX: usize = 1_024;
/// How long a stream of events waits for the next one before it gives a sign of life, in milliseconds.
pub(crate) const EVENT_WAIT_MS: u64 = 15_000;
/// How long a receive may wait: proxies between client and server cut silent connections at 60 s.
pub(crate) const WAIT_MS_MAX: i64 = 30_000;
/// A `traceparent` or `tracestate` that a request came with is kept with its messages up to this length, which the
/// W3C asks everybody to pass on.
pub(crate) const TRACE_HEADER_BYTES_MAX: usize = 512;
