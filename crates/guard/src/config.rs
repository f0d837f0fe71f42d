//! Settings of the guard. The doc comments are the manual.

use model::quota::{QuotaLimits, QuotaScope};
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

/// Quotas where the catalogue (`quota.put`) has none for the name and none for `*`. 0: no limit.
/// Who is over a quota is refused with his protocol's sign for "slower"; who receives waits for his
/// quota as long as for messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct QuotaConfig {
    /// Messages in a second that may be sent, over each connection of a 4.x or HTTP client, or each 5.x client.
    pub client_send_messages_per_s: u64,
    /// Bytes (bodies and properties) in a second that may be sent, over each connection of a 4.x or HTTP client, or each 5.x client.
    pub client_send_bytes_per_s: u64,
    /// Messages in a second that may be received, over each connection of a 4.x or HTTP client, or each 5.x client.
    pub client_receive_messages_per_s: u64,
    /// Bytes in a second that may be received, over each connection of a 4.x or HTTP client, or each 5.x client.
    pub client_receive_bytes_per_s: u64,
    /// Messages in a second that may be sent, over all connections of a user together, or of those that show a certificate with the same name.
    pub user_send_messages_per_s: u64,
    /// Bytes (bodies and properties) in a second that may be sent, over all connections of a user together, or of those that show a certificate with the same name.
    pub user_send_bytes_per_s: u64,
    /// Messages in a second that may be received, over all connections of a user together, or of those that show a certificate with the same name.
    pub user_receive_messages_per_s: u64,
    /// Bytes in a second that may be received, over all connections of a user together, or of those that show a certificate with the same name.
    pub user_receive_bytes_per_s: u64,
    /// Messages in a second that may be sent, over each topic.
    pub topic_send_messages_per_s: u64,
    /// Bytes (bodies and properties) in a second that may be sent, over each topic.
    pub topic_send_bytes_per_s: u64,
    /// Messages in a second that may be received, over each topic.
    pub topic_receive_messages_per_s: u64,
    /// Bytes in a second that may be received, over each topic.
    pub topic_receive_bytes_per_s: u64,
    /// Messages in a second that may be sent, over all topics of each namespace (`namespace%topic`) together.
    pub namespace_send_messages_per_s: u64,
    /// Bytes (bodies and properties) in a second that may be sent, over all topics of each namespace (`namespace%topic`) together.
    pub namespace_send_bytes_per_s: u64,
    /// Messages in a second that may be received, over all topics of each namespace (`namespace%topic`) together.
    pub namespace_receive_messages_per_s: u64,
    /// Bytes in a second that may be received, over all topics of each namespace (`namespace%topic`) together.
    pub namespace_receive_bytes_per_s: u64,
    /// What a quota allows at once after a pause, as the time in which it comes together again. A
    /// message larger than that passes too, and is made up for afterwards.
    pub burst_ms: u64,
    /// Clients, users, topics and namespaces that are counted apart (some 150 bytes each); where there
    /// are more, the rest of each kind shares one quota.
    pub buckets_max: usize,
}

impl Default for QuotaConfig {
    fn default() -> Self {
        Self {
            client_send_messages_per_s: 0,
            client_send_bytes_per_s: 0,
            client_receive_messages_per_s: 0,
            client_receive_bytes_per_s: 0,
            user_send_messages_per_s: 0,
            user_send_bytes_per_s: 0,
            user_receive_messages_per_s: 0,
            user_receive_bytes_per_s: 0,
            topic_send_messages_per_s: 0,
            topic_send_bytes_per_s: 0,
            topic_receive_messages_per_s: 0,
            topic_receive_bytes_per_s: 0,
            namespace_send_messages_per_s: 0,
            namespace_send_bytes_per_s: 0,
            namespace_receive_messages_per_s: 0,
            namespace_receive_bytes_per_s: 0,
            burst_ms: 1_000,
            buckets_max: 65_536,
        }
    }
}

impl QuotaConfig {
    pub(crate) fn limits(&self, scope: QuotaScope) -> QuotaLimits {
        let limits = |send_messages: u64, send_bytes: u64, receive_messages: u64, receive_bytes: u64| {
            let some = |per_s: u64| (per_s > 0).then_some(per_s);
            QuotaLimits {
                send_messages_per_s: some(send_messages),
                send_bytes_per_s: some(send_bytes),
                receive_messages_per_s: some(receive_messages),
                receive_bytes_per_s: some(receive_bytes),
            }
        };
        match scope {
            QuotaScope::Client => limits(
                self.client_send_messages_per_s,
                self.client_send_bytes_per_s,
                self.client_receive_messages_per_s,
                self.client_receive_bytes_per_s,
            ),
            QuotaScope::User => limits(
                self.user_send_messages_per_s,
                self.user_send_bytes_per_s,
                self.user_receive_messages_per_s,
                self.user_receive_bytes_per_s,
            ),
            QuotaScope::Topic => limits(
                self.topic_send_messages_per_s,
                self.topic_send_bytes_per_s,
                self.topic_receive_messages_per_s,
                self.topic_receive_bytes_per_s,
            ),
            QuotaScope::Namespace => limits(
                self.namespace_send_messages_per_s,
                self.namespace_send_bytes_per_s,
                self.namespace_receive_messages_per_s,
                self.namespace_receive_bytes_per_s,
            ),
        }
    }
}
