//! A layer around the verbs: who may, how much at once, how long it took, and what became of sampled messages.
//!
//! Protocols call [`Guarded`] instead of the engine; neither side knows of it. Every call takes
//! the same way, so that no handler has a rule of its own:
//!
//! ```text
//! call -> admission (drain, limit per session) -> permit -> quota -> span { the engine } -> metrics
//! messages that are sampled ───────────────────────────────────────> spans
//! ```
//! Reading order: [`call`], [`admission`], [`permit`], [`access`], [`quota`], [`refuse`], [`metrics`], [`spans`]; `messaging`,
//! `membership` and `admin` are one line per verb.
//! What does not belong here: storage, wire formats, anything about one verb alone.

pub mod access;
mod admin;
pub mod admission;
mod audit;
pub mod call;
pub mod config;
pub mod limits;
mod membership;
mod messaging;
pub mod metrics;
pub mod permit;
pub mod quota;
pub mod refuse;
mod rpc;
mod slow;
pub mod spans;

pub use access::{Access, AccessConfig};
pub use call::Guarded;
pub use config::{AuthConfig, GuardConfig, QuotaConfig};
pub use metrics::Metrics;
pub use permit::{Action, AllowAll, Permit};
