//! Batches that the ordinary topic keeps whole, and producers that send again: what was stored
//! within the window of the topic is answered with its first place, and stands there once.

use model::message::flags;
use model::topic::{ATTRIBUTE_DEDUP_BY, ATTRIBUTE_DEDUP_WINDOW_MS, ATTRIBUTE_QUEUE_TYPE};
use model::verbs::{Publish, PublishError, Published, QueueChoice};
use model::{Messaging, NewMessage, TopicConfig};

use super::calls::{Answer, Ask, new_message};
use super::{Sim, queue_number, topic_name};
use crate::history::{Place, Told};
use crate::sim::{Checked, must};

/// Messages that a producer may send again.
const REPEATABLE_MAX: usize = 50;
/// Longer than any run: nothing is ever forgotten.
const WINDOW_MS: i64 = model::limits::DEDUP_WINDOW_MS_MAX;

/// A message that was sent, and its place if the producer has heard of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Repeatable {
    id: u64,
    place: Option<Place>,
}

/// The ordinary topic keeps batches and stores a unique id once.
pub(super) fn configured(topic: usize, config: TopicConfig) -> TopicConfig {
    let mut config = config;
    if topic == 0 {
        for (key, value) in [
            (ATTRIBUTE_QUEUE_TYPE, "BatchCQ"),
            (ATTRIBUTE_DEDUP_WINDOW_MS, &*WINDOW_MS.to_string()),
            (ATTRIBUTE_DEDUP_BY, "id"),
        ] {
            config.attributes.insert(key.to_owned(), value.to_owned());
        }
    }
    config
}

fn batch_of(ids: &[u64], now_ms: i64) -> NewMessage {
    let mut body = Vec::new();
    for id in ids {
        let message = new_message(*id, 0, now_ms, None);
        model::batch::encode(&mut body, &message.body, message.properties.as_encoded(), 0)
            .expect("messages of the simulation are small");
    }
    let whole = new_message(0, 0, now_ms, None);
    NewMessage {
        body: body.into(),
        properties: model::Properties::new(),
        system_flags: flags::INNER_BATCH | flags::NEED_UNWRAP,
        ..whole
    }
}

impl Sim {
    pub(super) fn ask_publish_batch(&mut self) {
        let count = 1 + self.rng.skewed(20);
        let ids: Vec<u64> = (0..count).map(|i| self.next_id + i).collect();
        self.next_id += count;
        for id in &ids {
            self.history.sending(*id, None, 0);
        }
        self.note("batch", &[count]);
        let messages = vec![batch_of(&ids, self.now_ms())];
        self.ask_of_plain(Ask::Batch { ids }, messages);
    }

    fn ask_of_plain(&mut self, ask: Ask, messages: Vec<NewMessage>) {
        let request = Publish {
            topic: topic_name(0),
            queue: QueueChoice::Any,
            messages,
            producer_group: None,
            auto_create: None,
            check_kind: false,
        };
        self.ask(
            ask,
            |broker, session| async move { Answer::Published(broker.publish(&session, request).await) },
        );
    }

    pub(super) fn batch_published(&mut self, ids: &[u64], result: Result<Published, PublishError>) {
        let told = match &result {
            Ok(_) => Told::Ok,
            Err(PublishError::DiskFull { .. }) => Told::Failed,
            Err(error) => {
                self.shaken |= matches!(error, PublishError::Unavailable(_));
                Told::Unknown
            }
        };
        let first = result.ok().and_then(|published| published.entries.into_iter().next());
        for (id, further) in ids.iter().zip(0..) {
            let place = first.as_ref().map(|entry| Place {
                queue: queue_number(0, entry.queue),
                offset: entry.offset.get() + further,
            });
            self.history.sent(*id, told, place);
        }
        if first.is_some() {
            self.history.flushed();
        }
    }

    /// Remembers a message of the ordinary topic that its producer may send again.
    pub(super) fn may_repeat(&mut self, id: u64, place: Option<Place>) {
        self.repeatable.retain(|known| known.id != id);
        self.repeatable.push(Repeatable { id, place });
        let excess = self.repeatable.len().saturating_sub(REPEATABLE_MAX);
        self.repeatable.drain(..excess);
    }

    pub(super) fn ask_again(&mut self) {
        let Some(Repeatable { id, place }) = self.rng.pick(&self.repeatable).copied() else { return };
        self.note("again", &[id]);
        let message = new_message(id, 0, self.now_ms(), None);
        self.ask_of_plain(Ask::Again { id, place }, vec![message]);
    }

    pub(super) fn sent_again(
        &mut self,
        id: u64,
        known: Option<Place>,
        result: Result<Published, PublishError>,
    ) -> Checked {
        let published = match result {
            Ok(published) => published,
            Err(error) => {
                self.shaken |= matches!(error, PublishError::Unavailable(_));
                return Ok(());
            }
        };
        let Some(entry) = published.entries.first() else { return Ok(()) };
        let place = Place { queue: queue_number(0, entry.queue), offset: entry.offset.get() };
        must(known.is_none_or(|known| known == place), 17, || {
            format!("message {id} was stored at {known:?}, and sent again it is at {place:?}")
        })?;
        self.history.sent(id, Told::Ok, Some(place));
        self.history.flushed();
        self.may_repeat(id, Some(place));
        Ok(())
    }
}
