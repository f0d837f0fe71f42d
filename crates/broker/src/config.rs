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
    /// Time after which a producer is first asked about an undecided transaction, in milliseconds
    /// (RocketMQ's `transactionTimeOut`). A message may ask for a later time.
    pub transaction_timeout_ms: i64,
    /// Time between two questions about the same transaction, in milliseconds
    /// (`transactionCheckInterval`).
    pub transaction_check_interval_ms: i64,
    /// Questions about one transaction (`transactionCheckMax`); then its message goes to the topic
    /// `TRANS_CHECK_MAX_TIME_TOPIC`. A question that nobody is there to be asked does not count.
    pub transaction_checks_max: u32,
    /// Most undecided transactions; more half messages are refused until some are decided. Each
    /// takes about 150 bytes of memory.
    pub transactions_undecided_max: usize,
    /// How far ahead a message may be timed, in milliseconds (RocketMQ's `timerMaxDelaySec`, which
    /// is 3 days there). The default is 100 years.
    pub timer_delay_max_ms: i64,
    /// Timed messages can be recalled (RocketMQ's `recallMessageEnable`, which is off there).
    pub recall_enabled: bool,
    /// Most waiting receive and fetch calls.
    pub waiting_max: usize,
    /// Topics that have metrics of their own; those that come later are summed in the label value `other`.
    pub metrics_topics_max: usize,
    /// Groups in topics that have metrics of their own, likewise.
    pub metrics_readers_max: usize,
    /// Most lite topics, of all parents.
    pub lite_topics_max: u64,
    /// Most subscriptions of clients to lite topics.
    pub lite_subscriptions_max: usize,
    /// How often idle lite topics are looked for, in milliseconds.
    pub lite_sweep_interval_ms: u64,
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
            transaction_timeout_ms: 6_000,
            transaction_check_interval_ms: 30_000,
            transaction_checks_max: 15,
            transactions_undecided_max: 1_000_000,
            timer_delay_max_ms: 3_155_760_000_000,
            recall_enabled: true,
            waiting_max: 100_000,
            metrics_topics_max: 5_000,
            metrics_readers_max: 5_000,
            lite_topics_max: 1_000_000,
            lite_subscriptions_max: 1_000_000,
            lite_sweep_interval_ms: 60_000,
        }
    }
}
