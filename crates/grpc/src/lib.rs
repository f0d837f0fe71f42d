//! The RocketMQ 5.x protocol (gRPC): wire in, verbs, wire out.
//!
//! Unchanged clients of `rocketmq-clients` (Java, Go, C++, C#, Rust, Python, Node) talk to this.
//! Main types: [`Grpc`] (a [`net::Protocol`]), [`GrpcConfig`], [`Metrics`]; [`proto`] also holds the
//! generated client for tools.
//!
//! ```text
//! wire (gRPC over HTTP/2) -> service (what all calls share) -> handlers/<call> -> verbs of the engine
//!                                   |                        |
//!                                clients, streams        validate, convert, error
//!                                renew (auto-renew)
//! telemetry (settings, commands) ---/
//! reports (what clients measure) <-- service
//! ```
//! Reading order: `http2`, `wire`, `service`, `call`, `handlers/send`, `handlers/receive`, `convert`, `telemetry`,
//! `clients`, `renew`, `reports`. Not here: what messages mean (`broker`), who may do what (`guard`),
//! listeners and TLS (`net`).

mod answer;
mod call;
mod clients;
mod config;
mod convert;
mod error;
mod groups;
mod handlers;
mod http2;
mod limits;
mod metrics;
mod node;
pub mod proto;
mod renew;
mod reports;
mod server;
mod service;
mod settings;
mod signature;
mod streams;
mod telemetry;
#[cfg(test)]
mod tests;
mod validate;
mod wire;

pub use config::GrpcConfig;
pub use metrics::Metrics;
pub use server::Grpc;

/// For logs, metrics and configuration.
const NAME: &str = "grpc";
