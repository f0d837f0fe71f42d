//! Shapes of operations on a node and on who is connected to it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::names::GroupName;

/// Whether producers are sent to this node.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
pub struct NodeWritesRequest {
    pub allowed: bool,
}

/// For how long the process is looked at.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
pub struct ProfileRequest {
    /// From 1 to 60; default 10.
    #[serde(default)]
    pub seconds: Option<u64>,
}

/// What the process spent its processor time on.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ProfileAnswer {
    pub seconds: u64,
    /// Stacks that were seen: 99 in each second of a thread's processor time, without what the kernel does for it.
    pub looks: u64,
    /// Looks that there was no room for.
    pub lost: u64,
    /// Threads that were not looked at, as there was no memory or file descriptor for it.
    pub threads_left_out: u64,
    /// A line for each stack, as programs for flame graphs read it: the thread's name and the functions from the
    /// outermost, with `;` between them, then how often it was seen. `[cut]` stands where a stack goes on that could
    /// not be followed, `[others]` for stacks that are not told apart.
    pub folded: String,
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
