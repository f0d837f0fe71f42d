//! Settings of the health watch.

use serde::{Deserialize, Serialize};

/// When something counts as trouble (`health.list`), and who is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HealthConfig {
    /// Time between two looks at all groups and topics, in milliseconds; longer where a look takes long,
    /// so that looking costs no more than a fiftieth of a processor. 0: never.
    pub interval_ms: u64,
    /// Rates and trends are those of so many milliseconds.
    pub window_ms: u64,
    /// A queue in which nothing moves for so long, though messages wait and a consumer is there, is stuck.
    pub stuck_after_ms: u64,
    /// A message that failed so often is a poison message.
    pub poison_attempts: u32,
    /// A group with fewer waiting messages than this is not slow.
    pub slow_lag_messages: u64,
    /// So many waiting messages are trouble, however fast the group is.
    pub lag_messages: u64,
    /// A message that waits for so long is trouble, in milliseconds.
    pub lag_time_ms: u64,
    /// Members that read unequal numbers of queues for so long are trouble, in milliseconds. Clients need a
    /// while to share them anew when one comes or goes.
    pub imbalanced_after_ms: u64,
    /// A queue is hot if it takes so many times what the others of its topic take on average ...
    pub hot_queue_ratio: u64,
    /// ... and at least so many messages in `window_ms`.
    pub hot_queue_messages: u64,
    /// A producer whose sends were refused so often in `window_ms` is throttled.
    pub throttled_calls: u64,
    /// New dead letters are trouble for so long, in milliseconds.
    pub dead_letters_window_ms: u64,
    /// Timed messages that fire so late, on average over `window_ms`, are trouble, in milliseconds.
    pub timers_late_ms: u64,
    /// The disk is trouble from so many percent on, and worst where producers are refused.
    pub disk_percent: u64,
    /// Where troubles are told by an HTTP POST of JSON when they come and when they go. Empty: nowhere.
    pub webhook_url: String,
    /// Troubles with a lower score are not told.
    pub webhook_score_min: u8,
    /// Attempts to tell one trouble, with pauses that double from a second on.
    pub webhook_attempts_max: u32,
    /// Patience of one attempt, in milliseconds.
    pub webhook_timeout_ms: u64,
}

impl Default for HealthConfig {
    fn default() -> Self {
        Self {
            interval_ms: 5_000,
            window_ms: 20_000,
            stuck_after_ms: 15_000,
            poison_attempts: 3,
            slow_lag_messages: 1_000,
            lag_messages: 100_000,
            lag_time_ms: 300_000,
            imbalanced_after_ms: 15_000,
            hot_queue_ratio: 5,
            hot_queue_messages: 500,
            throttled_calls: 10,
            dead_letters_window_ms: 600_000,
            timers_late_ms: 5_000,
            disk_percent: 75,
            webhook_url: String::new(),
            webhook_score_min: 50,
            webhook_attempts_max: 5,
            webhook_timeout_ms: 5_000,
        }
    }
}

impl HealthConfig {
    /// # Errors
    /// If a threshold makes no sense. The text says what to change.
    pub fn validate(&self) -> Result<(), String> {
        if self.interval_ms != 0 && self.window_ms < self.interval_ms {
            return Err(format!(
                "window_ms is {}, and looks are {} ms apart; set it to at least that",
                self.window_ms, self.interval_ms
            ));
        }
        if self.poison_attempts == 0 || self.hot_queue_ratio < 2 || self.throttled_calls == 0 {
            return Err("poison_attempts and throttled_calls must be at least 1, hot_queue_ratio at least 2"
                .to_owned());
        }
        let url = &self.webhook_url;
        if !url.is_empty() && !url.starts_with("http://") && !url.starts_with("https://") {
            return Err("webhook_url must begin with http:// or https://".to_owned());
        }
        if self.webhook_attempts_max == 0 || self.webhook_timeout_ms == 0 {
            return Err("webhook_attempts_max and webhook_timeout_ms must be at least 1".to_owned());
        }
        Ok(())
    }
}
