//! Settings of the guard. The doc comments are the manual.

use std::path::PathBuf;

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
    /// A call that takes so long, in milliseconds, leaves a line in the log (target `slow`); those that wait for
    /// messages do not. 0: none does.
    pub slow_call_ms: u64,
    /// Most such lines in a minute; the metric `calls_slow_untold` counts the others.
    pub slow_calls_per_min_max: u32,
}

impl Default for GuardConfig {
    fn default() -> Self {
        Self {
            calls_per_session_max: 16_384,
            request_bytes_max: 256 << 20,
            slow_call_ms: 1_000,
            slow_calls_per_min_max: 60,
        }
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

/// Who may do what: see `docs/access-control.md`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuthConfig {
    /// Whether clients must prove who they are, and may do only what policies allow. Off by default
    /// while only this machine can connect; a node that others can reach starts only if it is said here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// A super user who is made at the start if there is none of this name. Needs `init_password`.
    pub init_user: String,
    /// Its password; better set as `APOGEE_AUTH_INIT_PASSWORD`. Not looked at once the user is there.
    pub init_password: Password,
    /// Super users are told passwords by `user.get` and `user.list`, as `mqadmin copyUser` from one node
    /// to another needs.
    pub show_passwords: bool,
    /// File of the key that passwords are kept under, made if it is not there. Empty: `auth.key` in the
    /// data folder. Who has lost it has to set all passwords anew.
    pub key_file: PathBuf,
}

/// A password in the settings: never written out.
#[derive(Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(transparent)]
pub struct Password(pub String);

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password")
    }
}

impl Serialize for Password {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("")
    }
}
