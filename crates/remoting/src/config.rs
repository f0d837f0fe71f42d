//! Settings of the 4.x protocol. The doc comments are the manual.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RemotingConfig {
    /// A connection on which nothing moves for so long is closed.
    pub idle_ms: u64,
    /// A connection whose client takes none of its waiting answers for so long is closed.
    pub stall_ms: u64,
    /// How long connections go on after a drain is requested, so that clients hear of it.
    pub drain_ms: u64,
    /// Keep replies of the request-reply pattern in their topic, besides handing them over.
    pub store_replies: bool,
}

impl Default for RemotingConfig {
    fn default() -> Self {
        Self { idle_ms: 120_000, stall_ms: 30_000, drain_ms: 1_000, store_replies: true }
    }
}
