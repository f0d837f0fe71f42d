//! The 4.x remoting protocol: frames, requests of clients, name-server and broker codes, and
//! what the server tells clients unasked. Also a small client for tools.
//!
//! Knows the verbs of [`model`] and connections of [`net`]; nothing of how they are made true.
//!
//! Reading order: [`frame`] and [`header`] (the wire), `connection` (the driver), `handlers`
//! (one file per operation, the table in its head) and `admin`, [`error`] (verb errors to
//! response codes), `handle` (how receipts of pop travel), [`client`].

mod admin;
pub mod client;
pub mod code;
pub mod config;
mod connection;
pub mod error;
#[cfg(test)]
mod fake;
pub mod frame;
mod handle;
mod handlers;
pub mod header;
mod json;
pub mod limits;
mod link;
mod metrics;
mod out;
mod outbox;
mod server;
mod signature;
mod under_way;

pub use config::RemotingConfig;
pub use error::Failure;
pub use frame::{Body, Command, fuzz_frame};
pub use header::Fields;
pub use server::Remoting;
