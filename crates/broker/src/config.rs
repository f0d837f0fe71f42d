//! Settings of the broker.

use serde::{Deserialize, Serialize};

/// Settings of the broker. Names and defaults a RocketMQ user knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BrokerConfig {
    /// Name of the cluster, as clients and tools show it.
    pub cluster: String,
    /// Name of the replica group, as clients and tools show it ("broker name").
    pub name: String,
    /// A send to a topic that does not exist makes it (4.x clients only, as in RocketMQ).
    pub auto_create_topics: bool,
    /// A consumer of a group that does not exist makes it.
    pub auto_create_groups: bool,
    /// Most queues of a topic that a send makes.
    pub auto_create_queues_max: u32,
    /// Host in the message ids of the 4.x protocol where a client came in by a name instead of
    /// an address.
    pub store_host: std::net::SocketAddr,
    /// Most waiting receive and fetch calls.
    pub waiting_max: usize,
}

impl Default for BrokerConfig {
    fn default() -> Self {
        Self {
            cluster: "DefaultCluster".to_owned(),
            name: "apogee-0".to_owned(),
            auto_create_topics: true,
            auto_create_groups: true,
            auto_create_queues_max: 8,
            store_host: std::net::SocketAddr::from(([127, 0, 0, 1], 10_911)),
            waiting_max: 100_000,
        }
    }
}
