//! Shapes of the operations on a node's last hour.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct HistoryRequest {
    /// Only points after this time, Unix milliseconds.
    #[serde(default)]
    pub after_ms: Option<i64>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct History {
    /// Time between two points.
    pub interval_ms: u64,
    /// Oldest first; of the last hour at most.
    pub points: Vec<HistoryPoint>,
}

/// What passed in one interval. It begins anew with the node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HistoryPoint {
    /// End of the interval, Unix milliseconds.
    pub at_ms: i64,
    /// Messages.
    pub sent_per_second: f64,
    pub received_per_second: f64,
    pub sent_back_per_second: f64,
    pub sent_bytes_per_second: f64,
    pub received_bytes_per_second: f64,
    /// How long a send took that half of all took no longer than, in microseconds; 0 if there was none.
    pub send_p50_us: u64,
    pub send_p99_us: u64,
    /// As it grew over the interval.
    pub log_bytes: u64,
    pub disk_available_bytes: u64,
}

/// Who asks, and what it may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SessionDescription {
    /// None where access control is off.
    pub user: Option<String>,
    pub role: Role,
    pub cluster: String,
}

/// What somebody may do, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Everything: a super user, or anybody where access control is off.
    Admin,
    /// Change the cluster.
    Operator,
    /// Look at the cluster.
    Viewer,
    /// What its policies on topics and groups allow.
    Limited,
}
