//! `group.resend`: dead letters go to the topics that they came from, as new messages.
//!
//! Bounded per call: the answer says where the next one goes on. In the order of the dead letters, one
//! after the other, so that the messages of a message group keep theirs.

use model::admin::{AdminError, DeadLettersResend, DeadLettersResendRequest, DeadLettersResent};
use model::verbs::{KeyKind, MessageQuery, Publish, PublishError, QueryError, QueueChoice};
use model::{NewMessage, QueueId, Session, StoredMessage, TopicName, properties};
use store::Entry;

use super::Run;
use crate::broker::Broker;
use crate::limits::DEAD_LETTERS_PER_CALL_MAX;
use crate::resolve::{ResolveError, RetryView, read_entries};

/// Dead letters that are read at once.
const READ_STEP: usize = 64;

/// What the engine, the consumer or an earlier sender wrote and a new message does not have.
const NOT_SENT_AGAIN: [&str; 14] = [
    properties::RETRY_TOPIC,
    properties::ORIGIN_MESSAGE_ID,
    properties::DLQ_ORIGIN_TOPIC,
    properties::DLQ_ORIGIN_MESSAGE_ID,
    properties::REAL_TOPIC,
    properties::REAL_QUEUE_ID,
    properties::DELAY,
    properties::TIMER_DELAY_SEC,
    properties::TIMER_DELAY_MS,
    properties::TIMER_DELIVER_MS,
    properties::RECONSUME_TIME,
    properties::MAX_RECONSUME_TIMES,
    properties::POP_CHECK_POINT,
    properties::FIRST_POP_TIME,
];

impl Run for DeadLettersResend {
    async fn run(
        broker: &Broker,
        session: &Session,
        request: DeadLettersResendRequest,
    ) -> Result<DeadLettersResent, AdminError> {
        let name = TopicName::dead_letters_of(&request.group);
        let topic = broker.state.topic(&name);
        let topic =
            topic.ok_or_else(|| AdminError::NotFound(format!("a dead letter of {}", request.group)))?;
        let stream = topic.stream(QueueId(0));
        let bounds = broker.bounds(stream).await?;
        if let Some(id) = &request.message_id {
            return resend_one(broker, session, &name, id).await;
        }
        let end_offset = request.to_offset.map_or(bounds.max, |to| to.min(bounds.max));
        let max = request.max.map_or(DEAD_LETTERS_PER_CALL_MAX, |max| max as usize);
        let mut left = max.min(DEAD_LETTERS_PER_CALL_MAX);
        let next_offset = request.from_offset.unwrap_or(0).max(bounds.min);
        let mut answer = DeadLettersResent { resent: 0, skipped: 0, next_offset, end_offset, error: None };
        while left > 0 && answer.next_offset < end_offset && answer.error.is_none() {
            let mut entries: Vec<Entry> =
                broker.entries(stream, answer.next_offset, READ_STEP.min(left)).await?;
            entries.retain(|entry| entry.offset < end_offset);
            if entries.is_empty() {
                answer.next_offset = end_offset;
            }
            left -= entries.len().min(left);
            let read = read_entries(&broker.log, &broker.state, &entries, RetryView::RetryTopic).await;
            for (entry, message) in entries.iter().zip(read) {
                match message {
                    Ok(message) => resend(broker, session, &message, &mut answer).await,
                    Err(ResolveError::Gone) => answer.skipped += 1,
                    Err(ResolveError::Data(error)) => answer.error = Some(error),
                }
                if answer.error.is_some() {
                    break;
                }
                answer.next_offset = entry.offset + u64::from(entry.count.max(1));
            }
        }
        Ok(answer)
    }
}

async fn resend_one(
    broker: &Broker,
    session: &Session,
    dead_letters: &TopicName,
    id: &str,
) -> Result<DeadLettersResent, AdminError> {
    let query = MessageQuery::Key {
        topic: dead_letters.clone(),
        key: id.to_owned(),
        kind: KeyKind::UniqueId,
        begin_ms: 0,
        end_ms: i64::MAX,
        max: 1,
    };
    let found = match broker.do_query(session, query).await {
        Ok(found) => found.into_iter().next(),
        Err(QueryError::NotFound) => None,
        Err(error) => return Err(AdminError::Unavailable(error.to_string())),
    };
    let message = found.ok_or_else(|| AdminError::NotFound(format!("dead letter {id} of {dead_letters}")))?;
    let next_offset = message.offset().get();
    let mut answer =
        DeadLettersResent { resent: 0, skipped: 0, next_offset, end_offset: next_offset + 1, error: None };
    resend(broker, session, &message, &mut answer).await;
    if answer.error.is_none() {
        answer.next_offset += 1;
    }
    Ok(answer)
}

async fn resend(broker: &Broker, session: &Session, message: &StoredMessage, answer: &mut DeadLettersResent) {
    let origin = message
        .property(properties::DLQ_ORIGIN_TOPIC)
        .or_else(|| message.property(properties::RETRY_TOPIC))
        .and_then(|name| TopicName::new(name).ok())
        .filter(|name| !name.is_retry() && !name.is_dead_letters());
    let Some(topic) = origin else {
        answer.skipped += 1;
        return;
    };
    let publish = Publish {
        topic,
        queue: QueueChoice::Any,
        messages: vec![as_new(message)],
        producer_group: None,
        auto_create: None,
        check_kind: false,
    };
    match broker.do_publish(session, publish).await {
        Ok(_) => answer.resent += 1,
        Err(PublishError::TopicNotFound(_)) => answer.skipped += 1,
        Err(error) => answer.error = Some(error.to_string()),
    }
}

/// The message as it was first sent.
fn as_new(message: &StoredMessage) -> NewMessage {
    let mut new = message.to_new();
    for property in NOT_SENT_AGAIN {
        new.properties.remove(property);
    }
    new.reconsume_times = 0;
    new
}
