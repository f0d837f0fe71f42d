//! What the node counts and what becomes of sampled messages, pushed to an OpenTelemetry collector (OTLP).
//!
//! ```text
//! registries -> their text (what /metrics shows) -> exposition -> series ─┐
//! guard::spans ── bounded queue ── batches ─────────────────────> records ─┴─> collector (gRPC or HTTP)
//! ```
//! Nothing waits for the collector: what it does not take is tried a few times, then dropped and counted.
//!
//! Reading order: [`config`], [`endpoint`], [`exposition`], `series`, `records`, `raw`, `collector`, [`export`],
//! [`metrics`], [`limits`].
//! What does not belong here: which messages are sampled and what their spans say (`guard::spans`), and any metric
//! but those of the export itself.

mod collector;
pub mod config;
pub mod endpoint;
pub mod export;
pub mod exposition;
pub mod limits;
pub mod metrics;
mod raw;
mod records;
mod series;
mod teller;

pub use config::TelemetryConfig;
pub use export::{Export, Setup};
pub use metrics::Metrics;
