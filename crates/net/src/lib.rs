//! Listeners: who connects, in which protocol, over TLS or not, and when to stop.
//!
//! Knows nothing of what the bytes mean beyond their first few.
//!
//! ```text
//! accept -> census (limits) -> sniff: PROXY header? TLS? which protocol? -> Protocol::serve
//!                                                                        <- Drain, then cut
//! ```
//! Reading order: [`protocol`] (the waist), [`config`], [`server`], `connection`, `sniff`,
//! [`proxy`], [`tls`], `reload`, `census`, `stall`.
//! What does not belong here: frames, requests, users.

mod census;
mod certificate_name;
mod chatter;
pub mod config;
mod connection;
pub mod error;
pub mod limits;
pub mod metrics;
pub mod protocol;
pub mod proxy;
mod reload;
mod rewind;
pub mod server;
mod sniff;
mod stall;
pub mod tls;

pub use config::{ClientAuth, ListenerConfig, NetConfig, ProxyMode, TlsConfig, TlsMode, TlsVersion};
pub use error::NetError;
pub use metrics::Metrics;
pub use protocol::{Accepted, ByteStream, Drain, Protocol, Recognised};
pub use server::{Bound, Limits, Listeners, Serving};
