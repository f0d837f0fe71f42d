//! A stored message becomes one of the wire. The body shares the record's memory, unless it is
//! opened for the client.

use md5::{Digest as _, Md5};
use model::properties as keys;
use model::{Delivery, MessageKind, StoredMessage};

use crate::convert::inflate::{self, Bodies};
use crate::convert::names::{message_type, resource};
use crate::convert::time::of_ms;
use crate::proto::{DeadLetterQueue, Digest, DigestType, Encoding, Message, SystemProperties};
use crate::validate::is_reserved;

/// A message with the right to settle it, under the name by which it was asked for: a retried one
/// lies in another topic.
pub(crate) fn delivery(delivery: &Delivery, topic: &str, bodies: Bodies) -> Message {
    let mut message = message(&delivery.message, topic, bodies);
    let system = message.system_properties.get_or_insert_default();
    system.receipt_handle = Some(delivery.receipt.encode());
    system.delivery_attempt = Some(i32::try_from(delivery.attempt).unwrap_or(i32::MAX));
    message
}

/// A message as a reader of its queue sees it.
pub(crate) fn message(stored: &StoredMessage, topic: &str, bodies: Bodies) -> Message {
    let (body, compressed) = inflate::body(stored, bodies);
    let mut message = Message { topic: Some(resource(topic)), ..Message::default() };
    let mut system = head(stored, &body, compressed);
    let mut origin = DeadLetterQueue::default();
    let mut kind = Marks::default();
    let mut traceparent = None;
    for (key, value) in keys::iter(stored.properties()) {
        match key {
            keys::TAGS => system.tag = Some(value.to_owned()),
            keys::KEYS => {
                system.keys = value.split(' ').filter(|key| !key.is_empty()).map(str::to_owned).collect()
            }
            keys::UNIQUE_ID => value.clone_into(&mut system.message_id),
            keys::SHARDING_KEY => system.message_group = Some(value.to_owned()),
            keys::TRACE_CONTEXT => system.trace_context = Some(value.to_owned()),
            keys::LITE_TOPIC => system.lite_topic = Some(value.to_owned()),
            keys::PRIORITY => system.priority = value.parse().ok(),
            keys::TRANSACTION_PREPARED => kind.transaction = value == "true",
            keys::CHECK_IMMUNITY_SECONDS => {
                let seconds = value.parse().unwrap_or_default();
                system.orphaned_transaction_recovery_duration =
                    Some(prost_types::Duration { seconds, nanos: 0 });
            }
            keys::TIMER_DELIVER_MS => system.delivery_timestamp = value.parse().ok().map(of_ms),
            keys::DELAY | keys::TIMER_DELAY_SEC | keys::TIMER_DELAY_MS => kind.delay = true,
            keys::BORN_HOST => value.clone_into(&mut system.born_host),
            keys::DLQ_ORIGIN_TOPIC => value.clone_into(&mut origin.topic),
            keys::DLQ_ORIGIN_MESSAGE_ID => value.clone_into(&mut origin.message_id),
            _ if is_reserved(key) => {}
            _ => {
                if key == keys::TRACEPARENT {
                    traceparent = Some(value);
                }
                message.user_properties.insert(key.to_owned(), value.to_owned());
            }
        }
    }
    // What 4.x clients have a property for, 5.x clients have a field for.
    system.trace_context = system.trace_context.or_else(|| traceparent.map(str::to_owned));
    system.set_message_type(message_type(kind.of(&system)));
    if system.message_id.is_empty() {
        system.message_id = stored.offset_id();
    }
    if !origin.topic.is_empty() && !origin.message_id.is_empty() {
        system.dead_letter_queue = Some(origin);
    }
    message.body = body;
    message.system_properties = Some(system);
    message
}

/// What the record says outside its properties.
fn head(stored: &StoredMessage, body: &[u8], compressed: bool) -> SystemProperties {
    SystemProperties {
        body_digest: Some(digest(body)),
        body_encoding: if compressed { Encoding::Gzip } else { Encoding::Identity }.into(),
        born_timestamp: Some(of_ms(stored.born_ms())),
        born_host: stored.born_host().ip().to_string(),
        store_timestamp: Some(of_ms(stored.stored_ms())),
        store_host: stored.store_host().to_string(),
        queue_id: i32::try_from(stored.queue().get()).unwrap_or(i32::MAX),
        queue_offset: Some(i64::try_from(stored.offset().get()).unwrap_or(i64::MAX)),
        delivery_attempt: Some(i32::try_from(stored.reconsume_times()).unwrap_or(i32::MAX).saturating_add(1)),
        ..SystemProperties::default()
    }
}

/// MD5 in upper case, which every official client checks.
fn digest(body: &[u8]) -> Digest {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut checksum = String::with_capacity(32);
    for byte in Md5::digest(body) {
        for nibble in [byte >> 4, byte & 15] {
            checksum.push(char::from(HEX.get(usize::from(nibble)).copied().unwrap_or_default()));
        }
    }
    Digest { r#type: DigestType::Md5.into(), checksum }
}

/// What tells a message's kind besides the system properties of the wire.
#[derive(Default)]
struct Marks {
    transaction: bool,
    delay: bool,
}

impl Marks {
    /// In the order of [`MessageKind::of`].
    fn of(&self, system: &SystemProperties) -> MessageKind {
        if self.transaction {
            MessageKind::Transaction
        } else if self.delay || system.delivery_timestamp.is_some() {
            MessageKind::Delay
        } else if system.message_group.is_some() {
            MessageKind::Fifo
        } else if system.priority.is_some() {
            MessageKind::Priority
        } else if system.lite_topic.is_some() {
            MessageKind::Lite
        } else {
            MessageKind::Normal
        }
    }
}
