//! `query`: messages by position, offset or key.

use model::limits::QUERY_MESSAGES_MAX;
use model::verbs::{KeyKind, MessageQuery, QueryError};
use model::{Lsn, Session, StoredMessage, TopicName, properties};
use store::ViewsReader;

use crate::batches::apart;
use crate::broker::Broker;
use crate::error::Failed;
use crate::machine::records::kind;
use crate::machine::transactions::message_of_half;
use crate::publish::KeySpace;
use crate::resolve::{ResolveError, RetryView, locate, read_entries};

impl From<ResolveError> for QueryError {
    fn from(error: ResolveError) -> Self {
        match error {
            ResolveError::Gone => Self::NotFound,
            ResolveError::Data(error) => Self::Data(error),
        }
    }
}

impl Broker {
    pub(crate) async fn do_query(
        &self,
        _: &Session,
        query: MessageQuery,
    ) -> Result<Vec<StoredMessage>, QueryError> {
        match query {
            MessageQuery::Position(lsn) => {
                if lsn >= self.committed() {
                    return Err(QueryError::NotFound);
                }
                if let Some(half) = self.half_message(lsn).await? {
                    return Ok(vec![half]);
                }
                Ok(vec![locate(&self.log, &self.state, lsn).await?.message])
            }
            MessageQuery::Offset { topic, queue, offset } => {
                let found = self.state.topic(&topic).ok_or(QueryError::TopicNotFound(topic))?;
                let entries = self.singles(found.stream(queue), offset.get(), 1).await?;
                let mut read = read_entries(&self.log, &self.state, &entries, RetryView::RetryTopic).await;
                Ok(vec![read.pop().unwrap_or(Err(ResolveError::Gone))?])
            }
            MessageQuery::Key { topic, key, kind, begin_ms, end_ms, max } => {
                let max = max.clamp(1, QUERY_MESSAGES_MAX);
                let hash = match kind {
                    KeyKind::Tag => KeySpace::of(&topic).tag(&key),
                    KeyKind::Key | KeyKind::UniqueId => KeySpace::of(&topic).key(&key),
                };
                let below = self.committed();
                let look = move |views: &ViewsReader| views.lookup_key(hash, begin_ms, end_ms, max, below);
                let found = self.views.look(look).await;
                // The newest that there are, the oldest of them first, as the original answers them.
                let mut found = found.map_err(Failed::from)?;
                found.sort_unstable();
                self.matching(&topic, &key, kind, found).await
            }
        }
    }

    /// The half message at a position, as it lies in the half topic.
    async fn half_message(&self, lsn: Lsn) -> Result<Option<StoredMessage>, QueryError> {
        // A position that a client made up need not be the start of a record: that is no damage.
        let record = self.log.look_for(lsn).await.ok_or(QueryError::NotFound)?;
        if record.kind != kind::HALF {
            return Ok(None);
        }
        message_of_half(&record.payload).map(Some).map_err(|error| QueryError::Data(error.to_string()))
    }

    /// Hashes collide: the key must really be there.
    async fn matching(
        &self,
        topic: &TopicName,
        key: &str,
        kind: KeyKind,
        found: Vec<Lsn>,
    ) -> Result<Vec<StoredMessage>, QueryError> {
        let mut messages = Vec::with_capacity(found.len());
        for lsn in found {
            match locate(&self.log, &self.state, lsn).await {
                Ok(located) if located.message.topic() == topic.as_str() => {
                    messages.extend(apart(located.message).into_iter().filter(|m| has_key(m, key, kind)));
                }
                Ok(_) | Err(ResolveError::Gone) => {}
                Err(ResolveError::Data(error)) => return Err(QueryError::Data(error)),
            }
        }
        if messages.is_empty() { Err(QueryError::NotFound) } else { Ok(messages) }
    }
}

fn has_key(message: &StoredMessage, key: &str, kind: KeyKind) -> bool {
    if kind == KeyKind::Tag {
        return message.property(properties::TAGS) == Some(key);
    }
    let unique = message.property(properties::UNIQUE_ID) == Some(key);
    let keys = message.property(properties::KEYS).unwrap_or_default();
    unique || (kind == KeyKind::Key && keys.split(' ').any(|k| k == key))
}
