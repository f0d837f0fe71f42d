//! Messages: as they come in, as they are stored, as they are handed out.

use std::net::SocketAddr;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::properties::{self as keys, Pairs, Properties};
use crate::receipt::Receipt;

pub use crate::record::StoredMessage;

/// Flags that a record carries (RocketMQ's `MessageSysFlag`).
pub mod flags {
    pub const COMPRESSED: i32 = 0x1;
    pub const MULTI_TAGS: i32 = 0x2;
    pub const TRANSACTION_PREPARED: i32 = 0x4;
    pub const TRANSACTION_COMMIT: i32 = 0x8;
    pub const TRANSACTION_ROLLBACK: i32 = 0xC;
    /// Both transaction bits.
    pub const TRANSACTION_MASK: i32 = 0xC;
    pub const BORN_HOST_V6: i32 = 0x10;
    pub const STORE_HOST_V6: i32 = 0x20;
    pub const NEED_UNWRAP: i32 = 0x40;
    pub const INNER_BATCH: i32 = 0x80;
    /// Three bits: 0 and 3 zlib, 1 lz4, 2 zstd.
    pub const COMPRESSION_TYPE_MASK: i32 = 0x700;
}

/// What a message is for, told by its properties.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum MessageKind {
    Normal,
    Fifo,
    Delay,
    Transaction,
    Lite,
    Priority,
}

impl MessageKind {
    /// The kind that properties make a message, in the order of RocketMQ's `TopicMessageType`.
    #[must_use]
    pub fn of(properties: &Properties) -> Self {
        Self::told_by(&properties.pairs())
    }

    /// As [`Self::of`], of properties that were taken apart.
    #[must_use]
    pub fn told_by(properties: &Pairs<'_>) -> Self {
        let has = |key: &str| properties.has(key);
        if properties.get(keys::TRANSACTION_PREPARED).is_some_and(|v| v.eq_ignore_ascii_case("true")) {
            Self::Transaction
        } else if has(keys::DELAY)
            || has(keys::TIMER_DELIVER_MS)
            || has(keys::TIMER_DELAY_SEC)
            || has(keys::TIMER_DELAY_MS)
        {
            Self::Delay
        } else if has(keys::SHARDING_KEY) {
            Self::Fifo
        } else if has(keys::PRIORITY) {
            Self::Priority
        } else if has(keys::LITE_TOPIC) {
            Self::Lite
        } else {
            Self::Normal
        }
    }

    /// The name in topic attributes.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Normal => "NORMAL",
            Self::Fifo => "FIFO",
            Self::Delay => "DELAY",
            Self::Transaction => "TRANSACTION",
            Self::Lite => "LITE",
            Self::Priority => "PRIORITY",
        }
    }
}

/// A message that a producer hands in.
#[derive(Debug, Clone)]
pub struct NewMessage {
    pub body: Bytes,
    pub properties: Properties,
    /// The application's own number; ours keeps it untouched.
    pub flag: i32,
    /// See [`flags`]; the host bits are set by the encoder.
    pub system_flags: i32,
    pub born_ms: i64,
    pub born_host: SocketAddr,
    pub reconsume_times: u32,
}

/// A message that a consumer was handed, with the right to settle it.
#[derive(Debug, Clone)]
pub struct Delivery {
    pub message: StoredMessage,
    pub receipt: Receipt,
    /// 1 for the first delivery to the group.
    pub attempt: u32,
}
