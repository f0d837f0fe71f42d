//! Settings of a replica group.

use serde::{Deserialize, Serialize};

/// When a written record is made durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Flush {
    /// Before it is acknowledged; writes that arrive meanwhile share the next flush.
    Sync,
    /// Every `flush_interval_ms`; a power cut may lose what was acknowledged since.
    Async,
}

/// Settings of a replica group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReplicaConfig {
    /// `sync` (nothing acknowledged is lost to a power cut) or `async`.
    pub flush: Flush,
    /// Longest time between flushes of what no acknowledgement waits for, in milliseconds.
    pub flush_interval_ms: u64,
    /// Bytes of messages that wait to be written; more are answered "too many requests". At most its
    /// share of `runtime.memory_budget_bytes`.
    pub queued_bytes_max: usize,
}

impl Default for ReplicaConfig {
    fn default() -> Self {
        Self { flush: Flush::Sync, flush_interval_ms: 200, queued_bytes_max: 256 << 20 }
    }
}
