//! Settings of the HTTP interface. The doc comments are the manual.

use serde::{Deserialize, Serialize};

/// How the HTTP interface behaves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RestConfig {
    /// A connection on which no request comes for so long, or whose head comes so slowly, is closed.
    pub idle_ms: u64,
}

impl Default for RestConfig {
    fn default() -> Self {
        Self { idle_ms: 60_000 }
    }
}
