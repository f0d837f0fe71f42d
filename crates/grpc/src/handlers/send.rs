//! `SendMessage`: messages of one topic are stored.
//!
//! ```text
//! one message                      -> one publish
//! several, of one order group      -> one publish: they share a queue and keep their order
//! several, of different groups     -> one publish per group, side by side
//! several, some of them timed       -> the timed ones apart from the others
//! ```
//! Rules are checked for all messages before the first is stored; what fails afterwards fails for
//! its own entries only.

use futures::future::join_all;
use model::verbs::{Publish, Published, PublishedMessage, QueueChoice};
use model::{GroupName, NewMessage, TopicName, properties};

use crate::answer::{self, Refusal};
use crate::call::Call;
use crate::convert::inbound::{self, Origin};
use crate::limits::SEND_MESSAGES_MAX;
use crate::proto::{Code, Message, SendMessageRequest, SendMessageResponse, SendResultEntry};
use crate::settings::producer_group;
use crate::validate;

pub(crate) async fn send(call: Call, request: SendMessageRequest) -> Result<SendMessageResponse, Refusal> {
    let count = request.messages.len();
    let topic = check(&call, &request.messages)?;
    if count == 1 {
        return send_one(&call, &topic, request.messages).await;
    }
    let parts = split(&call, request.messages)?;
    let published = join_all(parts.into_iter().map(|part| publish(&call, &topic, part))).await;
    let mut entries = vec![SendResultEntry::default(); count];
    for (place, entry) in published.into_iter().flatten() {
        if let Some(slot) = entries.get_mut(place) {
            *slot = entry;
        }
    }
    let codes = entries.iter().map(|entry| entry.status.as_ref().map_or(0, |status| status.code));
    let status = answer::overall(codes);
    Ok(SendMessageResponse { status: Some(status), entries })
}

/// By far the most frequent case. A failure is that of the whole call.
async fn send_one(
    call: &Call,
    topic: &TopicName,
    messages: Vec<Message>,
) -> Result<SendMessageResponse, Refusal> {
    let origin = origin(call);
    let messages =
        messages.into_iter().map(|message| inbound::message(message, origin)).collect::<Result<_, _>>()?;
    let published = try_publish(call, topic, messages).await?;
    let entries = published.entries.into_iter().map(stored).collect();
    Ok(SendMessageResponse { status: Some(answer::ok()), entries })
}

fn origin(call: &Call) -> Origin {
    Origin { peer: call.connection.peer, now_ms: call.node.now_ms() }
}

fn check(call: &Call, messages: &[Message]) -> Result<TopicName, Refusal> {
    let Some(first) = messages.first() else {
        return Err(Refusal::new(Code::MessageCorrupted, "there is no message to send"));
    };
    if messages.len() > SEND_MESSAGES_MAX {
        let text =
            format!("{} messages in one call, the most allowed is {SEND_MESSAGES_MAX}", messages.len());
        return Err(Refusal::new(Code::BadRequest, text));
    }
    let topic = validate::topic(first.topic.as_ref())?;
    let now_ms = call.node.now_ms();
    for message in messages {
        if message.topic != first.topic {
            return Err(Refusal::new(
                Code::MessageCorrupted,
                "all messages of one call must have the same topic",
            ));
        }
        validate::message(message, now_ms, call.node.config.delivery_delay_max_ms)?;
    }
    Ok(topic)
}

/// Messages for one publish, each with its place in the request.
#[derive(Default)]
struct Part {
    places: Vec<usize>,
    messages: Vec<NewMessage>,
}

/// Which messages are published together.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Together {
    order_group: Option<String>,
    is_timed: bool,
}

/// Messages of one order group stay together, those without one too, and in both the timed ones;
/// half and recurring messages go by themselves, because each has a life of its own.
fn split(call: &Call, messages: Vec<Message>) -> Result<Vec<Part>, Refusal> {
    let origin = origin(call);
    let mut parts: Vec<(Option<Together>, Part)> = Vec::new();
    for (place, message) in messages.into_iter().enumerate() {
        let message = inbound::message(message, origin)?;
        let has = |key: &str| message.properties.get(key).is_some();
        let is_alone = has(properties::TRANSACTION_PREPARED) || has(properties::CRON);
        let together = (!is_alone).then(|| Together {
            order_group: message.properties.get(properties::SHARDING_KEY).map(str::to_owned),
            is_timed: has(properties::TIMER_DELIVER_MS),
        });
        let known = parts.iter().position(|(of, _)| of.is_some() && *of == together);
        let index = known.unwrap_or(parts.len());
        if known.is_none() {
            parts.push((together, Part::default()));
        }
        if let Some((_, part)) = parts.get_mut(index) {
            part.places.push(place);
            part.messages.push(message);
        }
    }
    Ok(parts.into_iter().map(|(_, part)| part).collect())
}

async fn publish(call: &Call, topic: &TopicName, part: Part) -> Vec<(usize, SendResultEntry)> {
    let Part { places, messages } = part;
    let entries = match try_publish(call, topic, messages).await {
        Ok(published) => published.entries.into_iter().map(stored).collect(),
        Err(refusal) => vec![refused(refusal); places.len()],
    };
    places.into_iter().zip(entries).collect()
}

async fn try_publish(
    call: &Call,
    topic: &TopicName,
    messages: Vec<NewMessage>,
) -> Result<Published, Refusal> {
    let is_half = |message: &NewMessage| message.properties.get(properties::TRANSACTION_PREPARED).is_some();
    // Producers of transactions are asked for the outcome by their topic.
    let producer_group: Option<GroupName> = match messages.iter().any(is_half) {
        true => Some(producer_group(topic)?),
        false => None,
    };
    let publish = Publish {
        topic: topic.clone(),
        queue: QueueChoice::Any,
        messages,
        producer_group,
        auto_create: None,
        check_kind: true,
    };
    Ok(call.node.engine.publish(&call.session, publish).await?)
}

fn refused(refusal: Refusal) -> SendResultEntry {
    SendResultEntry { status: Some(refusal.into()), ..SendResultEntry::default() }
}

fn stored(message: PublishedMessage) -> SendResultEntry {
    // Where the half message lies is all that is needed to end its transaction.
    let transaction_id = match message.transaction_id {
        Some(_) => message.offset_id(),
        None => String::new(),
    };
    SendResultEntry {
        status: Some(answer::ok()),
        message_id: message.message_id,
        transaction_id,
        offset: i64::try_from(message.offset.get()).unwrap_or(i64::MAX),
        recall_handle: message.recall_handle.unwrap_or_default(),
    }
}
