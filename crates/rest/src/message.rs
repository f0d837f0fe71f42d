//! Messages in JSON, inwards and outwards.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use model::properties::{self as keys, RESERVED, VALUE_END};
use model::{Delivery, NewMessage, Properties, StoredMessage};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::body;
use crate::error::Problem;

/// A message to send.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct MessageIn {
    /// The body as text. Either this or `body_base64`.
    pub(crate) body: Option<String>,
    pub(crate) body_base64: Option<String>,
    pub(crate) tag: Option<String>,
    pub(crate) keys: Vec<String>,
    pub(crate) properties: BTreeMap<String, String>,
    /// Messages of one group are kept in order.
    pub(crate) message_group: Option<String>,
    /// Deliver so long after now.
    pub(crate) delay_ms: Option<i64>,
    /// Deliver at this time (Unix milliseconds).
    pub(crate) deliver_at_ms: Option<i64>,
    /// 0 to 9, for topics of kind PRIORITY.
    pub(crate) priority: Option<u8>,
    /// For topics of kind LITE.
    pub(crate) lite_topic: Option<String>,
}

/// A message as it was stored.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
pub(crate) struct MessageOut {
    pub(crate) message_id: String,
    pub(crate) topic: String,
    pub(crate) queue: u32,
    pub(crate) offset: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) body: Option<String>,
    /// Instead of `body`, where that is no text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) body_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tag: Option<String>,
    pub(crate) keys: Vec<String>,
    pub(crate) properties: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) message_group: Option<String>,
    pub(crate) born_ms: i64,
    pub(crate) born_host: String,
    pub(crate) stored_ms: i64,
    /// 1 for the first delivery to the group.
    pub(crate) attempt: u32,
    /// What acknowledges it.
    pub(crate) receipt: String,
}

impl MessageIn {
    /// `id`: chance, enough of it that no two messages have one.
    pub(crate) fn into_new(
        self,
        id: u128,
        now_ms: i64,
        born_host: SocketAddr,
    ) -> Result<NewMessage, Problem> {
        let mut properties = self.properties(now_ms)?;
        properties.push(keys::UNIQUE_ID, &format!("{id:032X}"));
        let body = match (self.body, self.body_base64) {
            (Some(text), None) => Bytes::from(text),
            (None, Some(encoded)) => match BASE64.decode(encoded) {
                Ok(bytes) => Bytes::from(bytes),
                Err(error) => return Err(Problem::invalid(format!("`body_base64` is no base64: {error}"))),
            },
            (None, None) => return Err(Problem::invalid("a message needs `body` or `body_base64`")),
            (Some(_), Some(_)) => {
                return Err(Problem::invalid(
                    "a message has either `body` or `body_base64`, this one has both",
                ));
            }
        };
        Ok(NewMessage {
            body,
            properties,
            flag: 0,
            system_flags: 0,
            born_ms: now_ms,
            born_host,
            reconsume_times: 0,
        })
    }

    fn properties(&self, now_ms: i64) -> Result<Properties, Problem> {
        let mut out = Properties::new();
        let mut put = |key: &str, value: &str| {
            if value.chars().any(char::is_control) || key.chars().any(char::is_control) {
                return Err(Problem::invalid(format!("`{}` has a control character", key.escape_debug())));
            }
            out.push(key, value);
            Ok(())
        };
        if let Some(tag) = &self.tag {
            put(keys::TAGS, tag)?;
        }
        if self.keys.iter().any(|key| key.is_empty() || key.contains(' ')) {
            return Err(Problem::invalid("a key is empty or has a space, which separates keys"));
        }
        if !self.keys.is_empty() {
            put(keys::KEYS, &self.keys.join(" "))?;
        }
        if let Some(group) = &self.message_group {
            put(keys::SHARDING_KEY, group)?;
        }
        if let Some(priority) = self.priority {
            put(keys::PRIORITY, &priority.to_string())?;
        }
        if let Some(lite_topic) = &self.lite_topic {
            put(keys::LITE_TOPIC, lite_topic)?;
        }
        match (self.delay_ms, self.deliver_at_ms) {
            (Some(_), Some(_)) => return Err(Problem::invalid("give either `delay_ms` or `deliver_at_ms`")),
            (Some(delay), None) => put(keys::TIMER_DELIVER_MS, &now_ms.saturating_add(delay).to_string())?,
            (None, Some(at)) => put(keys::TIMER_DELIVER_MS, &at.to_string())?,
            (None, None) => {}
        }
        for (key, value) in &self.properties {
            if RESERVED.contains(&key.as_str()) {
                return Err(Problem::invalid(format!("the property `{key}` is reserved for the system")));
            }
            if key.is_empty() {
                return Err(Problem::invalid("a property has an empty name"));
            }
            put(key, value)?;
        }
        debug_assert!(out.is_empty() || out.as_encoded().ends_with(VALUE_END));
        Ok(out)
    }
}

impl MessageOut {
    /// `topic` is the one that was asked for: a retried message lies in another.
    pub(crate) fn delivered(delivery: &Delivery, topic: &str) -> Self {
        Self {
            attempt: delivery.attempt,
            receipt: delivery.receipt.encode(),
            ..Self::stored(&delivery.message, topic)
        }
    }

    fn stored(message: &StoredMessage, topic: &str) -> Self {
        let property = |key: &str| message.property(key).map(str::to_owned);
        let (body, body_base64) = match String::from_utf8(body::plain(message).to_vec()) {
            Ok(text) => (Some(text), None),
            Err(error) => (None, Some(BASE64.encode(error.as_bytes()))),
        };
        Self {
            message_id: property(keys::UNIQUE_ID).unwrap_or_else(|| message.offset_id()),
            topic: topic.to_owned(),
            queue: message.queue().get(),
            offset: message.offset().get(),
            body,
            body_base64,
            tag: property(keys::TAGS),
            keys: property(keys::KEYS)
                .map(|all| all.split(' ').filter(|key| !key.is_empty()).map(str::to_owned).collect())
                .unwrap_or_default(),
            properties: keys::iter(message.properties())
                .filter(|(key, _)| !RESERVED.contains(key))
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .collect(),
            message_group: property(keys::SHARDING_KEY),
            born_ms: message.born_ms(),
            born_host: message.born_host().to_string(),
            stored_ms: message.stored_ms(),
            ..Self::default()
        }
    }
}
