//! gRPC over HTTP/2, as far as this protocol needs it: no layer stands between a connection and
//! the calls on it.
//!
//! ```text
//! bytes -> connection (h2) -> request -> inbound (messages) -> handler
//!             ^-- one task runs all calls --v                     |
//! bytes <- connection (h2) <- responder (head, messages, trailers) <-
//! ```
//! Facts: gRPC over HTTP/2 (`PROTOCOL-HTTP2.md`). Reading order: `connection`, `inbound`,
//! `responder`, `framing`. Not here: what a call does (`service`).

pub(crate) mod connection;
pub(crate) mod framing;
pub(crate) mod inbound;
mod liveness;
pub(crate) mod responder;
mod watched;

use tonic::Status;

/// What broke off a stream, as a status.
fn broken(error: h2::Error) -> Status {
    Status::from_error(error.into())
}
