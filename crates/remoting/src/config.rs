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
    /// Bytes of large requests that are still coming in, over all connections; more are not read
    /// until there is room. At most its share of `runtime.memory_budget_bytes`.
    pub incoming_bytes_max: usize,
    /// Bytes of answers that clients have not yet taken, over all connections; beyond it reading
    /// requests are answered "busy". At most its share of `runtime.memory_budget_bytes`.
    pub outgoing_bytes_max: usize,
}

impl Default for RemotingConfig {
    fn default() -> Self {
        Self {
            idle_ms: 120_000,
            stall_ms: 30_000,
            drain_ms: 1_000,
            store_replies: true,
            incoming_bytes_max: 256 << 20,
            outgoing_bytes_max: 512 << 20,
        }
    }
}
