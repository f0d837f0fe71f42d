//! `ACK_MESSAGE`, `BATCH_ACK_MESSAGE`: deliveries end (`AckMessageProcessor`). A handle that is
//! no longer valid is acknowledged all the same; only an offset outside the queue is refused.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::verbs::{AckError, OffsetAnswer, OffsetQuestion};
use model::{GroupName, Offset, QueueId, Receipt, TopicName};

use crate::code::response;
use crate::error::Failure;
use crate::frame::Command;
use crate::handle::{self, Delivered, Home};
use crate::header::{self, Fields};
use crate::json::{self, BatchAck, BatchAckBody};
use crate::limits::BATCH_ACK_MAX;
use crate::link::Link;

use super::{Answer, done, pull};

/// Those fields of a request that name a delivery, found by one pass.
#[derive(Default)]
struct Named<'a> {
    group: Option<&'a str>,
    topic: Option<&'a str>,
    lite: Option<&'a str>,
    queue: Option<&'a str>,
    offset: Option<&'a str>,
    extra_info: Option<&'a str>,
}

impl<'a> Named<'a> {
    fn read(fields: &'a Fields) -> Self {
        let mut named = Self::default();
        for (key, value) in fields.iter() {
            let place = match key {
                "consumerGroup" => &mut named.group,
                "topic" => &mut named.topic,
                "liteTopic" => &mut named.lite,
                "queueId" => &mut named.queue,
                "offset" => &mut named.offset,
                "extraInfo" => &mut named.extra_info,
                _ => continue,
            };
            // Of equal keys the first counts.
            place.get_or_insert(value);
        }
        named
    }
}

/// The receipt that the fields `consumerGroup topic queueId offset extraInfo` stand for.
pub(super) fn receipt(fields: &Fields) -> Result<Receipt, Failure> {
    let named = Named::read(fields);
    let group = GroupName::new(header::required("consumerGroup", named.group)?)?;
    let delivered = Delivered::parse(header::required("extraInfo", named.extra_info)?)?;
    let topic = match delivered.home {
        // The client builds this name for another layout of retry topics.
        Home::PullRetry => TopicName::retry_of(&group),
        // The client has put in the retry topic where it applies.
        Home::Topic | Home::ReceiveRetry => TopicName::new(header::required("topic", named.topic)?)?,
    };
    let topic = match named.lite.filter(|lite| !lite.is_empty()) {
        Some(lite) => TopicName::lite_of(&topic, lite)?,
        None => topic,
    };
    let illegal = |failure: Failure| failure.coded(response::MESSAGE_ILLEGAL);
    let queue = header::parsed("queueId", named.queue).and_then(pull::queue_of).map_err(illegal)?;
    let offset = u64::try_from(header::parsed::<i64>("offset", named.offset)?)
        .map_err(|_| Failure::new(response::NO_MESSAGE, "the offset is negative"))?;
    Ok(delivered.receipt(&group, topic, queue, Offset(offset)))
}

pub(super) async fn ack(link: &Arc<Link>, request: &Command) -> Answer {
    let receipt = receipt(&request.fields)?;
    let outcome = link.engine().ack(&link.session, vec![receipt]).await;
    outcome.into_iter().try_for_each(accepted)?;
    Ok(done())
}

fn accepted(outcome: Result<(), AckError>) -> Result<(), Failure> {
    match outcome {
        Ok(()) | Err(AckError::Stale) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

pub(super) async fn ack_batch(link: &Arc<Link>, request: &Command) -> Answer {
    let batch: BatchAckBody = json::read(&request.body)?;
    if batch.acks.is_empty() {
        return Err(Failure::new(response::NO_MESSAGE, "the batch holds no acknowledgement"));
    }
    let mut receipts = Vec::new();
    for ack in &batch.acks {
        Box::pin(add_receipts(link, ack, &mut receipts)).await?;
    }
    for outcome in link.engine().ack(&link.session, receipts).await {
        match outcome {
            // As the Java server: offsets outside the queue are passed over.
            Err(AckError::OffsetOutOfRange { .. }) => {}
            other => accepted(other)?,
        }
    }
    Ok(done())
}

async fn add_receipts(link: &Link, ack: &BatchAck, receipts: &mut Vec<Receipt>) -> Result<(), Failure> {
    let group = GroupName::new(&ack.group)?;
    let home = handle::home_of_batch(ack.retry.as_deref())?;
    let topic = TopicName::new(&ack.topic)?;
    if topic.as_lite().is_some() {
        let text = "batch acknowledgement is not supported for lite topics";
        return Err(Failure::new(response::ILLEGAL_OPERATION, text));
    }
    let topic = match home {
        Home::Topic => topic,
        Home::ReceiveRetry => TopicName::receive_retry_of(&group, &topic),
        Home::PullRetry => TopicName::retry_of(&group),
    };
    let told = Delivered::of(ack.start_offset, ack.pop_time, ack.invisible, ack.revive_queue, home);
    let queue = QueueId(ack.queue);
    let first = match told.first_low {
        Some(low) => first_offset(link, &topic, queue, low).await?,
        None => u64::try_from(ack.start_offset).unwrap_or_default(),
    };
    for bit in bits(ack.bits.as_deref().unwrap_or_default())? {
        if receipts.len() >= BATCH_ACK_MAX {
            return Err(Failure::new(
                response::MESSAGE_ILLEGAL,
                format!("more than {BATCH_ACK_MAX} acknowledgements"),
            ));
        }
        receipts.push(told.receipt(&group, topic.clone(), queue, Offset(first.saturating_add(bit))));
    }
    Ok(())
}

/// The offset whose low half is `low`: the highest that is in the queue.
async fn first_offset(link: &Link, topic: &TopicName, queue: QueueId, low: u32) -> Result<u64, Failure> {
    let question = OffsetQuestion::Max { topic: topic.clone(), queue };
    let max = match link.engine().offset(&link.session, question).await? {
        OffsetAnswer::Offset(max) => max.0,
        OffsetAnswer::TimeMs(_) | OffsetAnswer::None { .. } => 0,
    };
    let near = (max & !u64::from(u32::MAX)) | u64::from(low);
    Ok(if near > max { near.checked_sub(1 << 32).unwrap_or(near) } else { near })
}

/// Numbers of the bits that are set in a Java `BitSet` (`toByteArray`, little-endian).
fn bits(text: &str) -> Result<Vec<u64>, Failure> {
    let bytes = STANDARD.decode(text).map_err(|error| Failure::body(&error))?;
    let set = |(at, byte): (usize, &u8)| {
        let byte = *byte;
        (0..8_u64).filter(move |bit| byte >> bit & 1 == 1).map(move |bit| at as u64 * 8 + bit)
    };
    Ok(bytes.iter().enumerate().flat_map(set).take(BATCH_ACK_MAX + 1).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_counted_as_java_counts_them() {
        // BitSet {0, 3, 9}.toByteArray() is {9, 2}.
        assert_eq!(bits(&STANDARD.encode([9, 2])).expect("legal"), [0, 3, 9]);
        assert_eq!(bits("").expect("empty"), Vec::<u64>::new());
        assert!(bits("!").is_err());
    }
}
