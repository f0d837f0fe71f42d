//! The binary and the wiring, from outside: start, serve every protocol, drain, start again.
#![expect(clippy::disallowed_methods, reason = "tests over real sockets and processes run in real time")]

mod access;
mod bad_input;
mod binary;
mod events;
mod health;
mod metrics;
mod mutual_tls;
mod node;
mod profile;
mod resources;
mod rest_fuzz;
mod settings;
mod support;
mod telemetry;
