//! The HTTP interface: health, metrics, the operations of the catalogue, and plain sending and
//! receiving for tools.
//!
//! ```text
//! /healthz /readyz /metrics                       health
//! /api/v1/operations/{name}                       operations: every one of the catalogue
//! /api/v1/topics/{topic} ...                      resources: the same, in HTTP's own way (table)
//! /api/v1/topics/{topic}/messages                 send
//! /api/v1/groups/{group}/receive, .../ack         consume
//! /api/v1/openapi.json                            openapi: derived from the catalogue
//! ```
//! Reading order: [`protocol`], `authentication`, `app`, `table`, `operations`, `send`, `consume`, `message`,
//! `error`, `openapi`.
//! What does not belong here: what an operation does, who may run it, who knows which password.

mod app;
mod authentication;
mod body;
pub mod config;
mod consume;
mod error;
mod events;
mod health;
mod limits;
mod message;
mod openapi;
mod operations;
pub mod protocol;
mod schema;
mod send;
mod table;

pub use config::RestConfig;
pub use health::{Readiness, exposition};
pub use openapi::description;
pub use protocol::Rest;
