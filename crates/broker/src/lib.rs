//! Makes the verbs true: topics, groups, cursors, retries, dead letters, timers, members, filters.
//!
//! - [`machine`] is the deterministic part: all state that outlives a restart, changed only by log
//!   records. It runs on the replica group's thread.
//! - The verb files run on the caller's thread: they check, choose, encode, read, and ask the
//!   machine for what must be recorded.
//! - [`members`] and [`interest`] are soft: rebuilt from heartbeats and waiting calls.
//!
//! Reading order: [`broker`], then a verb from top to bottom (`publish.rs`, `receive.rs`,
//! `ack.rs`), then [`machine`].
//!
//! Lock order: a cursor's claim, then the state's catalogue, then a cursor, then the interest
//! table. Nothing is awaited while one of the last three is held.
//! The undecided transactions stand alone: nothing is taken while they are held.
//!
//! What does not belong here: wire formats, TLS, users and permissions.

mod ack;
mod admin;
mod batches;
pub mod broker;
pub mod config;
mod cron;
mod dedup;
pub mod dedup_metrics;
mod error;
pub mod events;
mod exported;
mod fetch;
mod handing;
pub mod health;
mod hour;
mod in_order;
pub mod interest;
pub mod limits;
mod lite;
pub mod machine;
pub mod members;
mod membership;
mod memory;
mod modes;
mod offsets;
mod publish;
mod pulled;
mod query;
mod rates;
mod recall;
mod receive;
mod resolve;
mod route;
pub mod selector;
mod settle;
pub mod streams;
pub mod timer_metrics;
mod timing;
mod trace;
mod transactions;

pub use broker::{Broker, Setup, verify};
pub use config::BrokerConfig;
pub use health::HealthConfig;
