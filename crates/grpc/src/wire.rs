//! gRPC over HTTP/2, as far as this protocol needs it: no layer stands between a connection and
//! the calls on it.
//!
//! ```text
//! bytes -> http2 -> exchange (a message is whole) -> service -> handler
//!             ^------- connection: one task runs all calls -------v
//! bytes <- http2 <- reply (message | sequence | refusal) <------- call
//! ```
//! Facts: gRPC over HTTP/2 (`PROTOCOL-HTTP2.md`). Reading order: `connection`, `exchange`,
//! `reply`, `framing`. Not here: frames and windows (`http2`), what a call does (`service`).

pub(crate) mod connection;
mod exchange;
pub(crate) mod framing;
pub(crate) mod inbound;
mod liveness;
pub(crate) mod reply;
