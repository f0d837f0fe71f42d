//! `recall`: a timed message that waits is not to be delivered after all.
//!
//! ```text
//! handle -> unique id -> index of keys -> records of it: armed, moved, cancelled
//!                                          what is left waits -> machine: still? -> cancelled
//! ```
//! The look is on the caller's thread. The machine only compares whether something with the same
//! hash changed since; then it is looked again.

use std::net::SocketAddr;

use base64::Engine;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use model::verbs::{PublishError, Published, PublishedMessage, Recall, RecallError};
use model::{Lsn, Offset, QueueId, StoredMessage, TopicName, properties};
use smallvec::SmallVec;
use store::{ReadError, ViewsReader};

use crate::broker::Broker;
use crate::error::Failed;
use crate::limits::{RECALL_RECORDS_MAX, RECALL_TRIES_MAX};
use crate::machine::command::{CancelDueCommand, Command, DueFound, Outcome, PlacedMessage, Refusal};
use crate::machine::due::{MinuteEntry, minute_of};
use crate::machine::records::{DueCancelled, DuePrefix, kind, timer_hash};
use crate::machine::timers::minute_entry;
use crate::publish::{KeySpace, published};
use crate::resolve::message_of;
use crate::streams;

/// As Java's URL encoder writes and its decoder reads.
const HANDLE: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
const VERSION: &str = "v1";

/// What a recall handle says (`RecallMessageHandle.HandleV1`).
#[derive(Debug, PartialEq, Eq)]
struct Handle<'a> {
    topic: &'a str,
    broker: &'a str,
    /// Unix milliseconds.
    at_ms: i64,
    message_id: &'a str,
}

impl<'a> Handle<'a> {
    fn encode(&self) -> String {
        let Self { topic, broker, at_ms, message_id } = self;
        HANDLE.encode(format!("{VERSION} {topic} {broker} {at_ms} {message_id}"))
    }

    fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.split(' ');
        let version = parts.next()?;
        let (topic, broker, at, message_id) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let is_whole = version == VERSION && parts.next().is_none() && !message_id.is_empty();
        // A time that is no number is one that is over, as in RocketMQ.
        is_whole.then(|| Self { topic, broker, at_ms: at.parse().unwrap_or(-1), message_id })
    }
}

impl Broker {
    /// The handle by which a message that is due at a time can be recalled.
    pub(crate) fn recall_handle(
        &self,
        topic: &TopicName,
        at_ms: Option<i64>,
        id: Option<&str>,
    ) -> Option<String> {
        let (at_ms, message_id) = (at_ms?, id?);
        if !self.live().recall_enabled || topic.is_retry() {
            return None;
        }
        let handle = Handle { topic: topic.as_str(), broker: &self.config.name, at_ms, message_id };
        Some(handle.encode())
    }

    /// As RocketMQ, a message that is not there (any more) is recalled with success: what was
    /// asked for is the case.
    pub(crate) async fn do_recall(&self, request: Recall) -> Result<String, RecallError> {
        if !self.live().recall_enabled {
            return Err(RecallError::Disabled);
        }
        let Recall { topic, handle, .. } = request;
        if self.state.topic(&topic).is_none() {
            return Err(RecallError::TopicNotFound(topic));
        }
        let text = HANDLE.decode(handle.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let text = text.ok_or(RecallError::Handle)?;
        let handle = Handle::parse(&text).ok_or(RecallError::Handle)?;
        if handle.topic != topic.as_str() || handle.broker != self.config.name {
            return Err(RecallError::Handle);
        }
        let left_ms = handle.at_ms.saturating_sub(self.now_ms());
        if left_ms <= 0 || left_ms > self.live().timer_delay_max_ms {
            return Err(RecallError::TooLate);
        }
        self.cancel_timer(&topic, handle.message_id).await?;
        Ok(handle.message_id.to_owned())
    }

    /// A 4.x message that cancels another: it is answered like one that was stored.
    pub(crate) async fn publish_cancellation(
        &self,
        topic: &TopicName,
        id: &str,
        queue: QueueId,
        store_host: SocketAddr,
    ) -> Result<Published, PublishError> {
        self.cancel_timer(topic, id).await?;
        let placed = PlacedMessage { offset: Offset(0), lsn: self.committed(), stored_ms: self.now_ms() };
        let entry: PublishedMessage = published(queue, store_host, placed, Some(id.to_owned()));
        Ok(Published { entries: vec![entry] })
    }

    /// Cancels what waits under a unique id; answers how many that were.
    pub(crate) async fn cancel_timer(&self, topic: &TopicName, id: &str) -> Result<usize, Failed> {
        let hash = timer_hash(KeySpace::of(topic).key(id));
        for _ in 0..RECALL_TRIES_MAX {
            let seen = self.committed();
            let found = self.find_timers(hash, topic, id, seen).await?;
            match self.propose(Command::CancelDue(CancelDueCommand { hash, seen, found }), 64).await? {
                Outcome::Cancelled(count) => return Ok(count),
                Outcome::Refused(Refusal::Overtaken) => {}
                other => return Err(Failed::unexpected(&other)),
            }
        }
        Err(Failed::Overloaded("the timed message changes all the time: try again".to_owned()))
    }

    /// What waits under a unique id, as far as the log below a position tells.
    async fn find_timers(
        &self,
        hash: u64,
        topic: &TopicName,
        id: &str,
        below: Lsn,
    ) -> Result<SmallVec<[DueFound; 1]>, Failed> {
        let look =
            move |views: &ViewsReader| views.lookup_key(hash, i64::MIN, i64::MAX, RECALL_RECORDS_MAX, below);
        let records = self.views.look(look).await?;
        let mut ended: SmallVec<[Lsn; 4]> = SmallVec::new();
        let mut found = SmallVec::new();
        // Newest first: what ends a record comes before it.
        for lsn in records {
            let record = match self.log.look_at(lsn, 0).await {
                Ok(record) => record,
                Err(ReadError::Trimmed { .. }) => continue,
                Err(error) => return Err(error.into()),
            };
            let damaged = |what: &str| Failed::Data(format!("the record at {lsn}: {what}"));
            if record.kind == kind::DUE_CANCELLED {
                let cancelled = DueCancelled::decode(&record.payload).map_err(|e| damaged(&e.to_string()))?;
                ended.push(cancelled.lsn);
                continue;
            }
            if record.kind == kind::DUE_MOVED {
                let from = DuePrefix::moved_from(&record.payload).map_err(|e| damaged(&e.to_string()))?;
                ended.push(from);
            }
            if ended.contains(&lsn) || !matches!(record.kind, kind::DUE | kind::DUE_MOVED) {
                continue;
            }
            let (prefix, _) = DuePrefix::decode(&record.payload).map_err(|e| damaged(&e.to_string()))?;
            let message = message_of(&record.payload).map_err(|e| damaged(&e.to_string()))?;
            if is_named(&message, topic, id)
                && let Some(at) = self.views.look(move |views| find_due(views, prefix.due_ms, lsn)).await?
            {
                found.push(at);
            }
        }
        Ok(found)
    }
}

/// The entry of something due in the stream of its minute, in which positions ascend.
fn find_due(views: &ViewsReader, due_ms: i64, lsn: Lsn) -> Result<Option<DueFound>, ReadError> {
    let minute = minute_of(due_ms);
    let stream = streams::of_due_minute(minute);
    let bounds = views.bounds(stream, Lsn(u64::MAX))?;
    let (mut low, mut high) = (bounds.min, bounds.max);
    let mut entries = Vec::with_capacity(1);
    while low < high {
        let middle = low + (high - low) / 2;
        entries.clear();
        views.read(stream, middle, 1, Lsn(u64::MAX), &mut entries)?;
        let Some(entry) = entries.first() else { return Ok(None) };
        match entry.lsn.cmp(&lsn) {
            std::cmp::Ordering::Less => low = entry.offset + 1,
            std::cmp::Ordering::Greater => high = middle,
            std::cmp::Ordering::Equal => {
                let MinuteEntry::Waiting { offset, waiting } = minute_entry(minute, entry) else {
                    return Ok(None);
                };
                return Ok(Some(DueFound { due_ms: waiting.due_ms, lsn, offset }));
            }
        }
    }
    Ok(None)
}

fn is_named(message: &StoredMessage, topic: &TopicName, id: &str) -> bool {
    message.topic() == topic.as_str() && message.property(properties::UNIQUE_ID) == Some(id)
}

impl From<Failed> for RecallError {
    fn from(failed: Failed) -> Self {
        Self::Unavailable(failed.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handles_are_those_of_rocketmq() {
        let handle = Handle { topic: "T", broker: "apogee-0", at_ms: 1_700_000_000_001, message_id: "7F00" };
        let text = handle.encode();
        // Base64.getUrlEncoder() of "v1 T apogee-0 1700000000001 7F00"
        assert_eq!(text, "djEgVCBhcG9nZWUtMCAxNzAwMDAwMDAwMDAxIDdGMDA=");
        for text in [text.as_str(), text.trim_end_matches('=')] {
            let decoded = String::from_utf8(HANDLE.decode(text).expect("base64")).expect("text");
            assert_eq!(Handle::parse(&decoded), Some(handle_of(&decoded)));
        }
    }

    fn handle_of(decoded: &str) -> Handle<'_> {
        let mut parts = decoded.split(' ').skip(1);
        let mut next = || parts.next().expect("five parts");
        Handle { topic: next(), broker: next(), at_ms: next().parse().expect("a number"), message_id: next() }
    }

    #[test]
    fn malformed_handles() {
        for text in ["", "v1", "v1 T b 1", "v2 T b 1 id", "v1 T b 1 id more", "v1 T b 1 "] {
            assert_eq!(Handle::parse(text), None, "{text}");
        }
        assert_eq!(Handle::parse("v1 T b soon id").map(|h| h.at_ms), Some(-1));
    }
}
