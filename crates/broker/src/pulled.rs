//! What clients pulled last: which session reads which queue for which group, and how far.
//!
//! Soft, for health and metrics: clients that pull keep their own count, and tell only now and then what
//! they are done with. A pull costs a look into a table and two stores.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hashbrown::HashMap;
use model::verbs::Fetched;
use model::{GroupName, Offset, QueueId, Session, SessionId, TopicName};
use parking_lot::RwLock;

use crate::broker::Broker;
use crate::limits::PULLS_NOTED_MAX;
use crate::machine::state::CursorKey;

const SHARDS: usize = 16;

/// The last pull of a group in a queue.
#[derive(Debug)]
struct Pull {
    session: AtomicU64,
    /// Where the next pull goes on.
    next: AtomicU64,
    /// Where the first one began: nothing before is known to wait.
    first: u64,
}

/// A pull as it was noted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Noted {
    pub(crate) session: SessionId,
    pub(crate) next: u64,
    pub(crate) first: u64,
}

type Shard = RwLock<HashMap<CursorKey, Arc<Pull>>>;

/// The last pulls of all groups.
#[derive(Debug, Default)]
pub(crate) struct Pulled([Shard; SHARDS]);

impl Pulled {
    fn shard(&self, key: CursorKey) -> &Shard {
        let mixed = key.stream.get().wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ u64::from(key.group_id);
        let index = usize::try_from(mixed >> 32).unwrap_or(0) % SHARDS;
        self.0.get(index).expect("the index is taken modulo the number of shards")
    }

    fn note(&self, key: CursorKey, session: SessionId, first: u64, next: u64) {
        let shard = self.shard(key);
        if let Some(pull) = shard.read().get(&key) {
            pull.session.store(session.0, Ordering::Relaxed);
            pull.next.store(next, Ordering::Relaxed);
            return;
        }
        let mut shard = shard.write();
        if shard.len() < PULLS_NOTED_MAX / SHARDS {
            let pull = Pull { session: AtomicU64::new(session.0), next: AtomicU64::new(next), first };
            shard.insert(key, Arc::new(pull));
        }
    }

    pub(crate) fn get(&self, key: CursorKey) -> Option<Noted> {
        let shard = self.shard(key).read();
        let pull = shard.get(&key)?;
        Some(Noted {
            session: SessionId(pull.session.load(Ordering::Relaxed)),
            next: pull.next.load(Ordering::Relaxed),
            first: pull.first,
        })
    }

    pub(crate) fn keys(&self) -> Vec<CursorKey> {
        self.0.iter().flat_map(|shard| shard.read().keys().copied().collect::<Vec<_>>()).collect()
    }

    /// Makes room: groups and topics may be deleted.
    pub(crate) fn forget(&self, key: CursorKey) {
        self.shard(key).write().remove(&key);
    }
}

impl Broker {
    pub(crate) fn note_pull(
        &self,
        session: &Session,
        group: &GroupName,
        topic: &TopicName,
        (queue, from): (QueueId, Offset),
        fetched: &Fetched,
    ) {
        let (Some(group), Some(topic)) = (self.state.group(group), self.state.topic(topic)) else { return };
        let key = CursorKey { group_id: group.id, stream: topic.stream(queue) };
        self.pulled.note(key, session.id, from.get().max(fetched.min.get()), fetched.next.get());
    }
}
