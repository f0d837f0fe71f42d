//! Messages that were sent within their topic's window of deduplication. Pure.
//!
//! An identity (what the topic knows a message by, hashed) is remembered with the place of the
//! first message that had it, until the window is over. Each is a record behind its message in
//! the same frame, so a replay remembers the same; what is over is forgotten when the next is
//! remembered, by the times in the records alone.
//!
//! At most [`REMEMBERED_MAX`] are kept: beyond that, those whose window ends first go.
//!
//! Checkpoint: one object per minute in which windows end, split by the identity's first bits, so
//! that a checkpoint writes only what was added since the last.

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::HashMap;
use model::{Lsn, StreamId};

use super::bytes::{Reader, Short, Writer};

/// Identities kept in memory over all topics: about 120 B each.
pub const REMEMBERED_MAX: usize = 500_000;
const BUCKET_MS: i64 = 60_000;
/// Objects per minute: a bucket of all that is ever remembered stays far below an object's limit.
const SPLITS: u8 = 16;

/// What a topic knows a message by, hashed.
pub type Identity = [u8; 16];

/// The first message with an identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct First {
    pub stream: StreamId,
    pub offset: u64,
    pub lsn: Lsn,
    pub stored_ms: i64,
}

/// An identity and until when it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Once {
    pub topic_id: u32,
    pub identity: Identity,
    /// Unix milliseconds.
    pub expires_ms: i64,
    pub first: First,
}

/// Names an object of a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bucket {
    topic_id: u32,
    minute: i64,
    split: u8,
}

type Key = (u32, Identity);

/// All that is remembered.
#[derive(Debug, Default)]
pub struct Dedup {
    firsts: HashMap<Key, (i64, First)>,
    /// By the end of their window.
    order: BTreeSet<(i64, Key)>,
    buckets: BTreeMap<Bucket, BTreeSet<Identity>>,
    dirty: BTreeSet<Bucket>,
}

fn bucket_of(topic_id: u32, identity: Identity, expires_ms: i64) -> Bucket {
    let [first, ..] = identity;
    Bucket { topic_id, minute: expires_ms.div_euclid(BUCKET_MS), split: first % SPLITS }
}

impl Dedup {
    /// The message that was sent first, if its window is open at `now_ms`.
    #[must_use]
    pub fn find(&self, topic_id: u32, identity: Identity, now_ms: i64) -> Option<First> {
        let (expires_ms, first) = self.firsts.get(&(topic_id, identity))?;
        (now_ms < *expires_ms).then_some(*first)
    }

    /// Remembers a message, forgets those whose window was over when it was stored. Answers how
    /// many had to go before theirs was.
    pub fn remember(&mut self, once: &Once) -> u64 {
        let mut early = 0;
        self.forget_until(once.first.stored_ms);
        self.insert(once);
        while self.firsts.len() > REMEMBERED_MAX {
            let Some((expires_ms, key)) = self.order.first().copied() else { break };
            self.forget(key, expires_ms);
            early += 1;
        }
        early
    }

    fn insert(&mut self, once: &Once) {
        let key = (once.topic_id, once.identity);
        if let Some((expires_ms, _)) = self.firsts.get(&key) {
            self.forget(key, *expires_ms);
        }
        let bucket = bucket_of(once.topic_id, once.identity, once.expires_ms);
        self.firsts.insert(key, (once.expires_ms, once.first));
        self.order.insert((once.expires_ms, key));
        self.buckets.entry(bucket).or_default().insert(once.identity);
        self.dirty.insert(bucket);
    }

    fn forget_until(&mut self, now_ms: i64) {
        while let Some((expires_ms, key)) = self.order.first().copied().filter(|(at, _)| *at <= now_ms) {
            self.forget(key, expires_ms);
        }
    }

    fn forget(&mut self, key: Key, expires_ms: i64) {
        self.order.remove(&(expires_ms, key));
        self.firsts.remove(&key);
        let bucket = bucket_of(key.0, key.1, expires_ms);
        if let Some(identities) = self.buckets.get_mut(&bucket) {
            identities.remove(&key.1);
            if identities.is_empty() {
                self.buckets.remove(&bucket);
            }
        }
        self.dirty.insert(bucket);
    }

    /// A topic is gone, or does not deduplicate any more.
    pub fn forget_topic(&mut self, topic_id: u32) {
        let of_topic = self.order.iter().filter(|(_, (id, _))| *id == topic_id).copied();
        for (expires_ms, key) in of_topic.collect::<Vec<_>>() {
            self.forget(key, expires_ms);
        }
    }

    /// How many are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.firsts.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.firsts.is_empty()
    }

    /// Whether it ever held something of a topic that a checkpoint may still have.
    #[must_use]
    pub fn knows(&self, topic_id: u32) -> bool {
        let from = Bucket { topic_id, minute: i64::MIN, split: 0 };
        self.buckets.range(from..).next().is_some_and(|(bucket, _)| bucket.topic_id == topic_id)
    }

    /// Buckets that changed since the last call, each with its object or `None` if it is empty.
    pub(super) fn take_dirty(&mut self) -> Vec<(Bucket, Option<Vec<u8>>)> {
        let encode = |bucket: Bucket| {
            let object = self.buckets.get(&bucket).map(|identities| self.encode(bucket.topic_id, identities));
            (bucket, object)
        };
        let objects = self.dirty.iter().copied().map(encode).collect();
        self.dirty.clear();
        objects
    }

    fn encode(&self, topic_id: u32, identities: &BTreeSet<Identity>) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(identities.len() * 56);
        for identity in identities {
            if let Some((expires_ms, first)) = self.firsts.get(&(topic_id, *identity)) {
                let once = Once { topic_id, identity: *identity, expires_ms: *expires_ms, first: *first };
                once.encode(&mut bytes);
            }
        }
        bytes
    }

    /// Takes back what an object of a checkpoint holds.
    pub(super) fn load(&mut self, object: &[u8]) -> Result<(), Short> {
        let mut from = Reader(object);
        while !from.0.is_empty() {
            let once = Once::read(&mut from)?;
            self.insert(&once);
        }
        self.dirty.clear();
        Ok(())
    }
}

impl Bucket {
    /// The key of its object, behind `d/`.
    pub(super) fn key(self) -> Vec<u8> {
        let minute = self.minute.max(0).unsigned_abs();
        [&b"d/"[..], &self.topic_id.to_be_bytes(), &minute.to_be_bytes(), &[self.split]].concat()
    }
}

impl Once {
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut writer = Writer(out);
        writer.u32(self.topic_id);
        writer.0.extend_from_slice(&self.identity);
        writer.i64(self.expires_ms);
        writer.u64(self.first.stream.get());
        writer.u64(self.first.offset);
        writer.u64(self.first.lsn.get());
        writer.i64(self.first.stored_ms);
    }

    pub fn decode(payload: &[u8]) -> Result<Self, Short> {
        Self::read(&mut Reader(payload))
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, Short> {
        Ok(Self {
            topic_id: from.u32()?,
            identity: from.take(16)?.try_into().map_err(|_| Short)?,
            expires_ms: from.i64()?,
            first: First {
                stream: StreamId(from.u64()?),
                offset: from.u64()?,
                lsn: Lsn(from.u64()?),
                stored_ms: from.i64()?,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn once(n: u8, stored_ms: i64, window_ms: i64) -> Once {
        let first =
            First { stream: StreamId(1), offset: u64::from(n), lsn: Lsn(u64::from(n) * 10), stored_ms };
        Once { topic_id: 3, identity: [n; 16], expires_ms: stored_ms + window_ms, first }
    }

    #[test]
    fn a_message_counts_until_its_window_is_over() {
        let mut dedup = Dedup::default();
        dedup.remember(&once(1, 1_000, 500));
        assert_eq!(dedup.find(3, [1; 16], 1_499).map(|f| f.offset), Some(1));
        assert_eq!(dedup.find(3, [1; 16], 1_500), None);
        assert_eq!(dedup.find(4, [1; 16], 1_499), None, "topics do not share identities");
        dedup.remember(&once(2, 2_000, 500));
        assert_eq!(dedup.len(), 1, "what is over is forgotten when the next comes");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut dedup = Dedup::default();
        for n in 0..=REMEMBERED_MAX as u64 {
            let mut one = once(1, 1_000, 60_000);
            one.identity[..8].copy_from_slice(&n.to_be_bytes());
            one.expires_ms += i64::from(n > 0);
            dedup.remember(&one);
        }
        assert_eq!(dedup.len(), REMEMBERED_MAX);
        let mut first = [1; 16];
        first[..8].copy_from_slice(&0_u64.to_be_bytes());
        assert_eq!(dedup.find(3, first, 1_000), None, "that whose window ends first has gone");
    }

    #[test]
    fn a_checkpoint_brings_back_the_same() {
        let mut dedup = Dedup::default();
        for n in 1..=20 {
            dedup.remember(&once(n, 1_000, i64::from(n) * 10_000));
        }
        let mut again = Dedup::default();
        for (_, object) in dedup.take_dirty() {
            again.load(&object.expect("nothing is empty yet")).expect("whole");
        }
        assert_eq!(again.firsts, dedup.firsts);
        assert_eq!(again.order, dedup.order);
        assert!(again.take_dirty().is_empty());

        assert!(dedup.knows(3));
        dedup.forget_topic(3);
        assert!(!dedup.knows(3));
        assert!(dedup.take_dirty().iter().all(|(_, object)| object.is_none()));
    }

    #[test]
    fn golden_bytes() {
        let mut out = Vec::new();
        once(0xAB, 2, 5).encode(&mut out);
        let hex: String = out.iter().map(|b| format!("{b:02x}")).collect();
        let wanted = concat!(
            "03000000",
            "abababababababababababababababab",
            "0700000000000000",
            "0100000000000000",
            "ab00000000000000",
            "ae06000000000000",
            "0200000000000000"
        );
        assert_eq!(hex, wanted);
        assert_eq!(Once::decode(&out), Ok(once(0xAB, 2, 5)));
    }
}
