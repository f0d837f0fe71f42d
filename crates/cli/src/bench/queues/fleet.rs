//! Which queues there are, and what stands in them.

use bytes::Bytes;
use model::properties::{KEY_END, LITE_TOPIC, UNIQUE_ID, VALUE_END, WAIT};
use remoting::client::Outgoing;

/// Bytes of a body that say where it belongs.
pub(super) const PLACE_BYTES: usize = 16;

/// Very many queues: those of ordinary topics, or lite topics of one parent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fleet {
    /// What the names of its topics begin with.
    pub(super) name: &'static str,
    pub(super) topics: u32,
    pub(super) queues: u32,
    pub(super) lite: bool,
}

/// Where the messages of a queue are sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) topic: String,
    /// Negative: the server chooses.
    pub(super) queue: i32,
    pub(super) lite: Option<String>,
}

impl Fleet {
    pub(super) fn size(&self) -> u32 {
        self.topics * self.queues
    }

    /// Topics to make, with the number of queues and the attributes of each.
    pub(super) fn topic_names(&self) -> Vec<String> {
        (0..if self.lite { 1 } else { self.topics }).map(|topic| self.topic(topic)).collect()
    }

    pub(super) fn queues_per_topic(&self) -> u32 {
        if self.lite { 8 } else { self.queues }
    }

    pub(super) fn attributes(&self) -> &'static str {
        if self.lite { "+message.type=LITE" } else { "" }
    }

    fn topic(&self, index: u32) -> String {
        format!("{}-{index:05}", self.name)
    }

    /// The numbers behind the last queue stand for the queues again, in turn.
    pub(super) fn place(&self, index: u32) -> Place {
        if self.lite {
            return Place { topic: self.topic(0), queue: -1, lite: Some(lite_name(index)) };
        }
        let queue = i32::try_from(index % self.queues).unwrap_or(-1);
        Place { topic: self.topic(index / self.queues % self.topics), queue, lite: None }
    }

    /// The message of a round for a queue.
    pub(super) fn message(&self, index: u32, round: u32, size: u32, run: u64) -> Outgoing {
        let mut properties = format!(
            "{UNIQUE_ID}{KEY_END}{run:016X}{round:08X}{index:08X}{VALUE_END}{WAIT}{KEY_END}true{VALUE_END}"
        );
        if self.lite {
            properties.push_str(&format!("{LITE_TOPIC}{KEY_END}{}{VALUE_END}", lite_name(index)));
        }
        Outgoing { body: body(index, round, size), properties }
    }
}

pub(super) fn lite_name(index: u32) -> String {
    format!("lite-{index:07}")
}

pub(super) fn index_of_lite(name: &str) -> Option<u32> {
    name.strip_prefix("lite-")?.parse().ok()
}

pub(super) fn body(index: u32, round: u32, size: u32) -> Bytes {
    let mut body = vec![b'x'; (size as usize).max(PLACE_BYTES)];
    let place = u128::from(index) << 64 | u128::from(round);
    if let Some(head) = body.first_chunk_mut() {
        *head = place.to_be_bytes();
    }
    body.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_queue_has_a_place_of_its_own() {
        let fleet = Fleet { name: "f", topics: 3, queues: 4, lite: false };
        let places: std::collections::BTreeSet<_> =
            (0..fleet.size()).map(|i| fleet.place(i)).map(|place| (place.topic, place.queue)).collect();
        assert_eq!((places.len(), fleet.topic_names().len()), (12, 3));
        assert_eq!(fleet.place(13), fleet.place(1));
        let lite = Fleet { lite: true, ..fleet };
        assert_eq!(lite.place(11).lite.as_deref().and_then(index_of_lite), Some(11));
        assert_eq!(lite.topic_names().len(), 1);
    }

    #[test]
    fn a_body_tells_its_queue_and_round() {
        assert_ne!(body(1, 2, 64), body(2, 1, 64));
        assert_eq!((body(1, 2, 64).len(), body(1, 2, 1).len()), (64, PLACE_BYTES));
    }
}
