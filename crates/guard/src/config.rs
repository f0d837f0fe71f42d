//! Settings of the guard. The doc comments are the manual.

use serde::{Deserialize, Serialize};

/// What one client may do at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GuardConfig {
    /// Most calls of one connection at the same time, waiting ones included; more are answered
    /// "too many requests". A 4.x consumer holds one waiting call for each queue that it reads.
    pub calls_per_session_max: u32,
    /// Bytes of messages that are being sent at the same time, over all connections and protocols;
    /// more are answered "too many requests". At most its share of `runtime.memory_budget_bytes`.
    pub request_bytes_max: usize,
}

impl Default for GuardConfig {
    fn default() -> Self {
        Self { calls_per_session_max: 16_384, request_bytes_max: 256 << 20 }
    }
}
