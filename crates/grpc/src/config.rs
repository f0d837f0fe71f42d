//! Settings of the 5.x protocol. Defaults are those of RocketMQ's proxy where it has them.

use serde::{Deserialize, Serialize};

/// How the 5.x (gRPC) protocol behaves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GrpcConfig {
    /// `host:port` that clients are told in routes. Empty: the address that they came in by.
    pub advertised: String,
    /// Clients known at once; more are answered 42900.
    pub clients_max: usize,
    /// Requests worked on at once; more are answered 42900.
    pub requests_max: usize,
    /// Bytes of requests that are still coming in, over all connections. At most its share
    /// of `runtime.memory_budget_bytes`.
    pub incoming_bytes_max: usize,
    /// Bytes of received messages that their clients have not yet taken, over all connections. At most
    /// its share of `runtime.memory_budget_bytes`.
    pub outgoing_bytes_max: usize,
    /// Whether clients are told to report what they measure (send, delivery, waiting and working times,
    /// messages held), and it is shown at `/metrics`.
    pub client_metrics: bool,
    /// A client that gives no sign of life for so long is gone.
    pub client_expiry_ms: i64,
    /// Bounds of the time that a receive waits for a first message.
    pub long_poll_min_ms: i64,
    pub long_poll_max_ms: i64,
    /// Kept back from a call's deadline, so that the answer still reaches the client.
    pub deadline_reserve_ms: i64,
    /// How far ahead a timed message may lie (RocketMQ's proxy allows 1 day, 86400000). 0: as far
    /// as `broker.timer_delay_max_ms` allows.
    pub delivery_delay_max_ms: i64,
    /// How long messages stay hidden that the server renews by itself.
    pub renewed_invisible_ms: i64,
    /// How often the table of renewed messages is looked through.
    pub renew_scan_ms: i64,
    /// How much time is left when a message is renewed.
    pub renew_ahead_ms: i64,
    /// How long a message is renewed in all before it goes back to the group.
    pub renew_total_ms: i64,
    /// How long messages of a lost client stay hidden.
    pub lost_invisible_ms: i64,
    /// Attempts and pauses that producers are told to make.
    pub producer_attempts: i32,
    pub producer_backoff_initial_ms: i64,
    pub producer_backoff_max_ms: i64,
    /// How long a group's configuration is remembered.
    pub group_config_ms: i64,
    /// Flow control of one stream and one connection, in bytes.
    pub stream_window_bytes: u32,
    pub connection_window_bytes: u32,
    /// A silent connection is asked for a sign of life after this time, and closed if none comes.
    pub keep_alive_ms: u64,
    pub keep_alive_timeout_ms: u64,
    /// How long running calls may take after the server was told to stop.
    pub drain_ms: u64,
}

impl Default for GrpcConfig {
    fn default() -> Self {
        Self {
            advertised: String::new(),
            clients_max: 100_000,
            requests_max: 32_768,
            incoming_bytes_max: 256 * 1024 * 1024,
            outgoing_bytes_max: 512 * 1024 * 1024,
            client_metrics: true,
            client_expiry_ms: 60_000,
            long_poll_min_ms: 5_000,
            long_poll_max_ms: 20_000,
            deadline_reserve_ms: 100,
            delivery_delay_max_ms: 0,
            renewed_invisible_ms: 60_000,
            renew_scan_ms: 5_000,
            renew_ahead_ms: 10_000,
            renew_total_ms: 3 * 3_600_000,
            lost_invisible_ms: 1_000,
            producer_attempts: 3,
            producer_backoff_initial_ms: 10,
            producer_backoff_max_ms: 1_000,
            group_config_ms: 5_000,
            stream_window_bytes: 2 * 1024 * 1024,
            connection_window_bytes: 8 * 1024 * 1024,
            keep_alive_ms: 60_000,
            keep_alive_timeout_ms: 20_000,
            drain_ms: 3_000,
        }
    }
}
