//! Shapes of operations on a node and on who is connected to it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::names::GroupName;

/// Whether producers are sent to this node.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
pub struct NodeWritesRequest {
    pub allowed: bool,
}

/// How many topics' routes changed.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
pub struct NodeWrites {
    pub topics: u64,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct ClientListRequest {
    /// Only client ids that contain this.
    #[serde(default)]
    pub contains: Option<String>,
}

/// A client, once for each connection that it was heard on.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ClientDescription {
    pub client_id: String,
    /// `ip:port`
    pub address: String,
    /// `remoting` or `grpc`
    pub protocol: String,
    /// As it told: `JAVA`, `GO`, ...
    pub language: String,
    /// Its version's number in RocketMQ's list (`MQVersion`).
    pub version: i32,
    /// Unix milliseconds.
    pub last_seen_ms: i64,
    pub producers: Vec<GroupName>,
    pub consumers: Vec<GroupName>,
}
