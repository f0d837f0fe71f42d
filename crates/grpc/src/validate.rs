//! What is wrong with a request, told before anything is done.
//!
//! Facts: `GrpcValidator`, `SendMessageActivity`, `ReceiveMessageActivity`, `Validators` of
//! RocketMQ 5.5, and what it was seen to answer. Each check names its code once.

use model::properties::RESERVED;
use model::{GroupName, TopicName};
use std::collections::HashSet;
use std::sync::LazyLock;

use crate::answer::Refusal;
use crate::error;
use crate::limits::{
    LITE_TOPIC_BYTES_MAX, MESSAGE_GROUP_BYTES_END, MESSAGE_ID_BYTES_MAX, TRANSACTION_RECOVERY_SECONDS_MAX,
    USER_PROPERTIES_MAX, USER_PROPERTY_BYTES_MAX,
};
use crate::proto::{Code, Message, Resource, SystemProperties};

const SYSTEM_GROUP_PREFIX: &str = "CID_RMQ_SYS_";

fn refuse<T>(code: Code, message: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::new(code, message))
}

fn name_of(resource: Option<&Resource>) -> &str {
    resource.map_or("", |resource| resource.name.as_str())
}

/// A topic that clients may use. The namespace of a resource is not looked at, as in RocketMQ.
pub(crate) fn topic(resource: Option<&Resource>) -> Result<TopicName, Refusal> {
    let name = TopicName::new(name_of(resource)).map_err(|e| error::of_topic_name(&e))?;
    if name.is_system() {
        return refuse(Code::IllegalTopic, format!("topic {name} belongs to the system"));
    }
    Ok(name)
}

pub(crate) fn group(resource: Option<&Resource>) -> Result<GroupName, Refusal> {
    let name = GroupName::new(name_of(resource)).map_err(|e| error::of_group_name(&e))?;
    if name.as_str().starts_with(SYSTEM_GROUP_PREFIX) {
        return refuse(Code::IllegalConsumerGroup, format!("group {name} belongs to the system"));
    }
    Ok(name)
}

fn has_control(text: &str) -> bool {
    // Java's ISO controls are the category Cc.
    text.chars().any(char::is_control)
}

fn is_blank(text: &str) -> bool {
    text.trim().is_empty()
}

/// Whether users may not set the property: the engine uses it.
pub(crate) fn is_reserved(key: &str) -> bool {
    static KEYS: LazyLock<HashSet<&'static str>> = LazyLock::new(|| RESERVED.iter().copied().collect());
    KEYS.contains(key)
}

/// All rules of one message that is sent.
pub(crate) fn message(message: &Message, now_ms: i64, delay_max_ms: i64) -> Result<(), Refusal> {
    let none = SystemProperties::default();
    let system = message.system_properties.as_ref().unwrap_or(&none);
    body(&message.body)?;
    properties(message, system)?;
    message_id(&system.message_id)?;
    message_group(system.message_group.as_deref().unwrap_or_default())?;
    transaction_recovery(system)?;
    trace_context(system.trace_context.as_deref().unwrap_or_default())?;
    if let Some(lite) = system.lite_topic.as_deref().filter(|lite| !lite.is_empty()) {
        lite_topic(lite)?;
    }
    if let Some(at) = &system.delivery_timestamp {
        delivery_time(crate::convert::time::to_ms(at), now_ms, delay_max_ms)?;
    }
    Ok(())
}

fn body(body: &[u8]) -> Result<(), Refusal> {
    let max = model::limits::BODY_BYTES_MAX;
    if body.is_empty() {
        return refuse(Code::MessageBodyEmpty, "the message has no body");
    }
    if body.len() > max {
        let message = format!("the body has {} bytes, the most allowed is {max}", body.len());
        return refuse(Code::MessageBodyTooLarge, message);
    }
    Ok(())
}

fn properties(message: &Message, system: &SystemProperties) -> Result<(), Refusal> {
    let count = message.user_properties.len();
    if count > USER_PROPERTIES_MAX {
        let text =
            format!("the message has {count} user properties, the most allowed is {USER_PROPERTIES_MAX}");
        return refuse(Code::MessagePropertiesTooLarge, text);
    }
    let mut bytes = 0;
    for (key, value) in &message.user_properties {
        user_property(key, value)?;
        bytes += key.len() + value.len();
    }
    let tag_text = system.tag.as_deref().unwrap_or_default();
    tag(tag_text)?;
    bytes += tag_text.len();
    for key in &system.keys {
        message_key(key)?;
        bytes += key.len();
    }
    if bytes > USER_PROPERTY_BYTES_MAX {
        let text = format!(
            "user properties, tag and keys have {bytes} bytes in all, the most allowed is {USER_PROPERTY_BYTES_MAX}"
        );
        return refuse(Code::MessagePropertiesTooLarge, text);
    }
    Ok(())
}

fn user_property(key: &str, value: &str) -> Result<(), Refusal> {
    if is_reserved(key) {
        return refuse(Code::IllegalMessagePropertyKey, format!("the property {key} is used by the system"));
    }
    if key.is_empty() || has_control(key) || has_control(value) {
        return refuse(
            Code::IllegalMessagePropertyKey,
            "the key of a property must not be empty, and neither key nor value may hold control characters",
        );
    }
    Ok(())
}

fn tag(tag: &str) -> Result<(), Refusal> {
    if !tag.is_empty() && (is_blank(tag) || tag.contains('|') || has_control(tag)) {
        return refuse(Code::IllegalMessageTag, "a tag must not be blank nor hold `|` or control characters");
    }
    Ok(())
}

fn message_key(key: &str) -> Result<(), Refusal> {
    if !key.is_empty() && (is_blank(key) || has_control(key)) {
        return refuse(Code::IllegalMessageKey, "a key must not be blank nor hold control characters");
    }
    Ok(())
}

fn message_id(id: &str) -> Result<(), Refusal> {
    if is_blank(id) || id.len() > MESSAGE_ID_BYTES_MAX || has_control(id) {
        return refuse(
            Code::IllegalMessageId,
            "the message id must not be blank, long or hold control characters",
        );
    }
    Ok(())
}

fn message_group(group: &str) -> Result<(), Refusal> {
    if group.is_empty() {
        return Ok(());
    }
    if is_blank(group) || has_control(group) {
        return refuse(
            Code::IllegalMessageGroup,
            "a message group must not be blank nor hold control characters",
        );
    }
    if group.len() >= MESSAGE_GROUP_BYTES_END {
        let message = format!(
            "the message group has {} bytes, it must have fewer than {MESSAGE_GROUP_BYTES_END}",
            group.len()
        );
        return refuse(Code::IllegalMessageGroup, message);
    }
    Ok(())
}

fn trace_context(context: &str) -> Result<(), Refusal> {
    if has_control(context) {
        return refuse(Code::BadRequest, "the trace context must not hold control characters");
    }
    Ok(())
}

fn transaction_recovery(system: &SystemProperties) -> Result<(), Refusal> {
    let seconds = system.orphaned_transaction_recovery_duration.map_or(0, |duration| duration.seconds);
    if !(0..=TRANSACTION_RECOVERY_SECONDS_MAX).contains(&seconds) {
        let text = format!(
            "the first check of a transaction is asked for after {seconds} s, the most allowed is {TRANSACTION_RECOVERY_SECONDS_MAX}"
        );
        return refuse(Code::BadRequest, text);
    }
    Ok(())
}

pub(crate) fn lite_topic(lite: &str) -> Result<(), Refusal> {
    let legal = lite.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if lite.is_empty() || lite.len() > LITE_TOPIC_BYTES_MAX || !legal {
        let text = format!("a lite topic has 1 to {LITE_TOPIC_BYTES_MAX} characters of `a-z A-Z 0-9 _ -`");
        return refuse(Code::IllegalLiteTopic, text);
    }
    Ok(())
}

fn delivery_time(at_ms: i64, now_ms: i64, delay_max_ms: i64) -> Result<(), Refusal> {
    if delay_max_ms > 0 && at_ms.saturating_sub(now_ms) > delay_max_ms {
        let text =
            format!("the delivery time lies {} ms ahead, the most allowed is {delay_max_ms}", at_ms - now_ms);
        return refuse(Code::IllegalDeliveryTime, text);
    }
    Ok(())
}

/// How long a message is to be hidden.
pub(crate) fn invisible_ms(asked: i64, min: i64) -> Result<i64, Refusal> {
    let max = model::limits::INVISIBLE_MS_MAX;
    if !(min..=max).contains(&asked) {
        let text = format!("the invisible time is {asked} ms, allowed are {min} to {max}");
        return refuse(Code::IllegalInvisibleTime, text);
    }
    Ok(asked)
}

#[cfg(test)]
mod tests;
