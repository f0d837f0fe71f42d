//! Producers that send twice: what a topic knows a message by, and what a repeated one is answered.

use std::net::SocketAddr;

use md5::{Digest as _, Md5};
use model::topic::DedupBy;
use model::verbs::{PublishError, PublishedMessage};
use model::{NewMessage, QueueId, properties};

use crate::broker::Broker;
use crate::machine::command::PlacedOnce;
use crate::machine::dedup::Identity;
use crate::publish::{Ids, published};
use crate::resolve::locate;
use crate::streams;

/// What a message is known by; `None` if it does not say.
///
/// # Errors
/// If it names a producer but no number.
pub(crate) fn identity(message: &NewMessage, by: DedupBy) -> Result<Option<Identity>, PublishError> {
    let told = |key: &str| message.properties.get(key).filter(|value| !value.is_empty());
    let text = match by {
        DedupBy::Key => told(properties::KEYS).map(str::to_owned),
        DedupBy::Id => told(properties::UNIQUE_ID).map(str::to_owned),
        DedupBy::Sequence => match told(properties::DEDUP_PRODUCER) {
            Some(producer) => Some(format!("{}\u{1}{producer}", sequence(message)?)),
            None => None,
        },
    };
    Ok(text.map(|text| Md5::digest(text.as_bytes()).into()))
}

fn sequence(message: &NewMessage) -> Result<u64, PublishError> {
    let number = message.properties.get(properties::DEDUP_SEQUENCE).unwrap_or_default();
    number.parse().map_err(|_| {
        let (name, producer) = (properties::DEDUP_SEQUENCE, properties::DEDUP_PRODUCER);
        PublishError::Illegal(format!(
            "{name} is `{number}`: with {producer} it must be a whole number from 0"
        ))
    })
}

impl Broker {
    /// Answers for messages that may have been sent before: a repeated one is answered as the first.
    pub(crate) async fn answers_once(
        &self,
        store_host: SocketAddr,
        placed: &[PlacedOnce],
        ids: Ids,
    ) -> Vec<PublishedMessage> {
        let mut answers = Vec::with_capacity(placed.len());
        for (once, id) in placed.iter().zip(ids) {
            let first_id = if once.repeats { self.unique_id_at(once).await } else { None };
            let queue = streams::queue_of(once.stream).map_or(QueueId(0), |(_, queue)| queue);
            answers.push(published(queue, store_host, once.placed, first_id.or(id)));
        }
        answers
    }

    /// The unique id of a stored message, if it is still stored and has one.
    async fn unique_id_at(&self, once: &PlacedOnce) -> Option<String> {
        let located = locate(&self.log, &self.state, once.placed.lsn).await.ok()?;
        located.message.property(properties::UNIQUE_ID).map(str::to_owned)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use model::Properties;

    use super::*;

    fn message(told: &[(&str, &str)]) -> NewMessage {
        let mut properties = Properties::new();
        told.iter().for_each(|(key, value)| properties.push(key, value));
        NewMessage {
            body: Bytes::from_static(b"x"),
            properties,
            flag: 0,
            system_flags: 0,
            born_ms: 0,
            born_host: SocketAddr::from(([10, 0, 0, 1], 1)),
            reconsume_times: 0,
        }
    }

    #[test]
    fn what_does_not_say_who_it_is_has_no_identity() {
        for by in [DedupBy::Key, DedupBy::Id, DedupBy::Sequence] {
            assert_eq!(identity(&message(&[]), by).expect("legal"), None);
        }
        assert_eq!(identity(&message(&[("KEYS", "")]), DedupBy::Key).expect("legal"), None);
    }

    #[test]
    fn producers_count_by_themselves() {
        let of = |producer, number| {
            let told = [(properties::DEDUP_PRODUCER, producer), (properties::DEDUP_SEQUENCE, number)];
            identity(&message(&told), DedupBy::Sequence)
        };
        assert_eq!(of("a", "1").expect("legal"), of("a", "1").expect("legal"));
        assert_ne!(of("a", "1").expect("legal"), of("b", "1").expect("legal"));
        assert_ne!(of("a", "1").expect("legal"), of("a", "2").expect("legal"));
        for broken in ["", "-1", "x", "1.5"] {
            assert!(matches!(of("a", broken), Err(PublishError::Illegal(_))), "{broken}");
        }
    }
}
