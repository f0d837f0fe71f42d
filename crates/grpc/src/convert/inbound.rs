//! A message that a producer sends becomes one of the model. Checks have passed before, but for
//! the digest, which is checked here because it reads the whole body.

use std::net::SocketAddr;

use md5::{Digest as _, Md5};
use model::message::flags;
use model::properties as keys;
use model::{NewMessage, Properties};
use sha1::Sha1;

use crate::answer::Refusal;
use crate::convert::time::to_ms;
use crate::proto::{Code, Digest, DigestType, Encoding, Message, MessageType, SystemProperties};

/// What the connection knows of a message's origin.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origin {
    pub(crate) peer: SocketAddr,
    pub(crate) now_ms: i64,
}

pub(crate) fn message(message: Message, origin: Origin) -> Result<NewMessage, Refusal> {
    let system = message.system_properties.unwrap_or_default();
    if let Some(digest) = &system.body_digest {
        check_digest(digest, &message.body)?;
    }
    let topic = message.topic.as_ref().map_or("", |topic| topic.name.as_str());
    let properties = properties(topic, &message.user_properties, &system);
    let born_ms = system.born_timestamp.as_ref().map(to_ms).filter(|ms| *ms > 0).unwrap_or(origin.now_ms);
    Ok(NewMessage {
        body: message.body,
        properties,
        flag: 0,
        system_flags: system_flags(&system),
        born_ms,
        born_host: origin.peer,
        reconsume_times: 0,
    })
}

fn system_flags(system: &SystemProperties) -> i32 {
    let mut bits = 0;
    if system.body_encoding() == Encoding::Gzip {
        bits |= flags::COMPRESSED;
    }
    if system.message_type() == MessageType::Transaction {
        bits |= flags::TRANSACTION_PREPARED;
    }
    bits
}

/// The id comes first, because it is what readers look for most.
fn properties<'a>(
    topic: &str,
    user: impl IntoIterator<Item = (&'a String, &'a String)>,
    system: &SystemProperties,
) -> Properties {
    let mut out = Properties::new();
    out.push(keys::UNIQUE_ID, &system.message_id);
    let mut put = |key: &str, value: Option<&str>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            out.push(key, value);
        }
    };
    put(keys::TAGS, system.tag.as_deref());
    if !system.keys.is_empty() {
        put(keys::KEYS, Some(&system.keys.join(" ")));
    }
    put(keys::SHARDING_KEY, system.message_group.as_deref());
    put(keys::TRACE_CONTEXT, system.trace_context.as_deref());
    put(keys::LITE_TOPIC, system.lite_topic.as_deref());
    if let Some(priority) = system.priority {
        put(keys::PRIORITY, Some(&priority.to_string()));
    }
    if let Some(at) = &system.delivery_timestamp {
        put(keys::TIMER_DELIVER_MS, Some(&to_ms(at).to_string()));
    }
    if system.message_type() == MessageType::Transaction {
        put(keys::TRANSACTION_PREPARED, Some("true"));
        // The group by which producers are asked for the outcome.
        put(keys::PRODUCER_GROUP, Some(topic));
        if let Some(after) = &system.orphaned_transaction_recovery_duration {
            put(keys::CHECK_IMMUNITY_SECONDS, Some(&after.seconds.to_string()));
        }
    }
    let host = system.born_host.as_str();
    if !host.chars().any(char::is_control) {
        put(keys::BORN_HOST, Some(host));
    }
    for (key, value) in user {
        out.push(key, value);
    }
    out
}

fn check_digest(digest: &Digest, body: &[u8]) -> Result<(), Refusal> {
    let claimed = digest.checksum.trim();
    if claimed.is_empty() {
        return Ok(());
    }
    let matches = match digest.r#type() {
        DigestType::Unspecified => true,
        // Leading zeros are written by some clients only.
        DigestType::Crc32 => u32::from_str_radix(claimed, 16).is_ok_and(|crc| crc == crc32fast::hash(body)),
        DigestType::Md5 => hex::encode(Md5::digest(body)).eq_ignore_ascii_case(claimed),
        DigestType::Sha1 => hex::encode(Sha1::digest(body)).eq_ignore_ascii_case(claimed),
    };
    if matches {
        Ok(())
    } else {
        Err(Refusal::new(
            Code::MessageCorrupted,
            "the body does not have the digest that came with it: send it again",
        ))
    }
}
