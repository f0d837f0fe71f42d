//! `settle`: a later retry, the dead letters, the outcome of a transaction.

use std::sync::Arc;

use model::batch::is_batch;
use model::group::DELAY_LEVELS_MS;
use model::verbs::{SendBack, SendBackDelay, Settle, SettleError};
use model::{GroupName, NewMessage, QueueId, Receipt, Session, StoredMessage, TopicName, properties};

use crate::batches::apart;
use crate::broker::Broker;
use crate::error::Failed;
use crate::machine::command::{AckItem, Command, Outcome, SendBackCommand};
use crate::machine::state::Group;
use crate::publish::encode_message;
use crate::resolve::{ResolveError, RetryView, locate, read_entries};

impl From<ResolveError> for SettleError {
    fn from(error: ResolveError) -> Self {
        match error {
            ResolveError::Gone => Self::MessageNotFound,
            ResolveError::Data(error) => Self::Internal(error),
        }
    }
}

impl Broker {
    pub(crate) async fn do_settle(&self, session: &Session, request: Settle) -> Result<(), SettleError> {
        // Ends of transactions are many: the others stand apart, so that those are small.
        match request {
            Settle::SendBack(back) => Box::pin(self.send_back(session, back)).await,
            Settle::DeadLetter { receipt, .. } => Box::pin(self.dead_letter(session, receipt)).await,
            Settle::Transaction(end) => self.end_transaction(end).await,
        }
    }

    /// 4.x `CONSUMER_SEND_MSG_BACK`: retries wait by level 3 + retries so far.
    async fn send_back(&self, session: &Session, back: SendBack) -> Result<(), SettleError> {
        let group = self.group_to_settle(&back.group)?;
        let mut located = locate(&self.log, &self.state, back.lsn).await?;
        let batched = is_batch(located.message.system_flags());
        if batched {
            located.message = sent_back_of(located.message, back.origin_message_id.as_deref())
                .ok_or(SettleError::MessageNotFound)?;
        }
        let max = back.max_retries.unwrap_or(group.config.retry_max_times);
        if back.delay == SendBackDelay::DeadLetter || located.reconsume_times >= max {
            return self.copy_to_dead_letters(session, &group, &located.message, None).await;
        }
        let level = match back.delay {
            SendBackDelay::Level(level) => level,
            SendBackDelay::Schedule | SendBackDelay::DeadLetter => 3 + located.reconsume_times,
        };
        let index = (level.max(1) as usize - 1).min(DELAY_LEVELS_MS.len() - 1);
        let topic =
            self.ensure_topic(TopicName::retry_of(&back.group), group.config.retry_queues.max(1)).await?;
        let queue = QueueId(self.pick(u64::from(topic.config.write_queues)));
        let (original, original_len) = located.original;
        let tag = located
            .message
            .property(properties::TAGS)
            .map_or(0, |t| model::filter::tag_hash(t).cast_unsigned());
        let delay_ms = DELAY_LEVELS_MS.get(index).copied().unwrap_or(10_000);
        if batched {
            // A reference would bring back the whole batch.
            let new = as_retry_copy(&located.message, located.reconsume_times + 1);
            let message = encode_message(&new, &topic.config.name, queue, self.store_host(session));
            let bytes = message.bytes.len();
            let due_ms = self.now_ms().saturating_add(delay_ms);
            let stream = topic.stream(queue);
            return match self.propose(Command::publish_due(stream, message, due_ms), bytes).await? {
                Outcome::Published(_) => Ok(()),
                Outcome::Refused(_) => Err(SettleError::Unavailable("the disk is full".to_owned())),
                other => Err(Failed::unexpected(&other).into()),
            };
        }
        let command = SendBackCommand {
            stream: topic.stream(queue),
            tag,
            group_id: group.id,
            original,
            original_len,
            reconsume_times: located.reconsume_times + 1,
            delay_ms,
        };
        match self.propose(Command::SendBack(command), 64).await? {
            Outcome::Settled(true) => {
                if let Ok(origin) = TopicName::new(located.message.topic()) {
                    self.rates.sent_back(&origin, &back.group, located.message.bytes().len());
                }
                Ok(())
            }
            other => Err(Failed::unexpected(&other).into()),
        }
    }

    async fn dead_letter(&self, session: &Session, receipt: Receipt) -> Result<(), SettleError> {
        let group = self.group_to_settle(&receipt.group)?;
        let item = self.item_of(&receipt).map_err(|error| SettleError::Illegal(error.to_string()))?;
        let entries = self.singles(item.key.stream, item.offset, 1).await?;
        if entries.first().is_none_or(|entry| entry.offset != item.offset) {
            return Err(SettleError::MessageNotFound);
        }
        let mut read = read_entries(&self.log, &self.state, &entries, RetryView::Original).await;
        let message = read.pop().unwrap_or(Err(ResolveError::Gone))?;
        self.copy_to_dead_letters(session, &group, &message, Some(item)).await
    }

    async fn copy_to_dead_letters(
        &self,
        session: &Session,
        group: &Group,
        message: &StoredMessage,
        settles: Option<AckItem>,
    ) -> Result<(), SettleError> {
        let name = TopicName::dead_letters_of(&group.config.name);
        let topic = self.ensure_topic(name, 1).await?;
        let new = as_dead_letter(message);
        let encoded = encode_message(&new, &topic.config.name, QueueId(0), self.store_host(session));
        let bytes = encoded.bytes.len();
        let command = Command::DeadLetter { stream: topic.stream(QueueId(0)), message: encoded, settles };
        match self.propose(command, bytes).await? {
            Outcome::Settled(true) => Ok(()),
            Outcome::Settled(false) => Err(SettleError::Stale),
            other => Err(Failed::unexpected(&other).into()),
        }
    }

    fn group_to_settle(&self, name: &GroupName) -> Result<Arc<Group>, SettleError> {
        self.state.group(name).ok_or_else(|| SettleError::GroupNotFound(name.clone()))
    }
}

/// The message of a batch that a consumer gave back: it is known by its unique id alone, because
/// all messages of a batch share a position.
fn sent_back_of(batch: StoredMessage, id: Option<&str>) -> Option<StoredMessage> {
    apart(batch).into_iter().find(|m| id.is_some() && m.property(properties::UNIQUE_ID) == id)
}

/// A message as it stands in the retry topic of pulling clients.
fn as_retry_copy(message: &StoredMessage, reconsume_times: u32) -> NewMessage {
    let mut new = message.to_new();
    new.reconsume_times = reconsume_times;
    let unique = message.property(properties::UNIQUE_ID).map_or_else(|| message.offset_id(), str::to_owned);
    if new.properties.get(properties::RETRY_TOPIC).is_none() {
        new.properties.push(properties::RETRY_TOPIC, message.topic());
    }
    if new.properties.get(properties::ORIGIN_MESSAGE_ID).is_none() {
        new.properties.push(properties::ORIGIN_MESSAGE_ID, &unique);
    }
    new
}

/// A full copy that tells where it came from.
fn as_dead_letter(message: &StoredMessage) -> NewMessage {
    let mut new = message.to_new();
    let origin = new.properties.get(properties::RETRY_TOPIC).unwrap_or(message.topic()).to_owned();
    let unique = message.property(properties::UNIQUE_ID).map_or_else(|| message.offset_id(), str::to_owned);
    let id = message.property(properties::ORIGIN_MESSAGE_ID).map_or(unique, str::to_owned);
    new.properties.remove(properties::DELAY);
    new.properties.set(properties::RETRY_TOPIC, &origin);
    new.properties.set(properties::ORIGIN_MESSAGE_ID, &id);
    new.properties.set(properties::DLQ_ORIGIN_TOPIC, &origin);
    new.properties.set(properties::DLQ_ORIGIN_MESSAGE_ID, &id);
    new
}
