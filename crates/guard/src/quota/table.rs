//! The buckets of all who have a quota: bounded, and those that are full are forgotten when room is
//! needed. Who finds no room shares one set of buckets with all others of the scope that found none.

use std::hash::{BuildHasher, Hash};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hashbrown::{DefaultHashBuilder, Equivalent, HashMap};
use model::SessionId;
use model::quota::{QuotaLimit, QuotaScope};
use parking_lot::Mutex;

use super::bucket::Bucket;
use crate::limits::QUOTA_SWEEP_MS;

/// Names are spread over so many locks.
const SHARDS: usize = 16;
const SWEEP_NS: u64 = QUOTA_SWEEP_MS * 1_000_000;

/// One bucket for each limit.
#[derive(Debug, Default)]
pub(crate) struct Buckets([Bucket; 4]);

impl Buckets {
    pub(crate) fn of(&self, limit: QuotaLimit) -> &Bucket {
        let [send_messages, send_bytes, receive_messages, receive_bytes] = &self.0;
        match limit {
            QuotaLimit::SendMessages => send_messages,
            QuotaLimit::SendBytes => send_bytes,
            QuotaLimit::ReceiveMessages => receive_messages,
            QuotaLimit::ReceiveBytes => receive_bytes,
        }
    }

    fn are_full(&self, now_ns: u64) -> bool {
        self.0.iter().all(|bucket| bucket.is_full(now_ns))
    }
}

/// Buckets by a key.
#[derive(Debug)]
struct Keyed<K> {
    shards: [Mutex<Shard<K>>; SHARDS],
    hasher: DefaultHashBuilder,
}

#[derive(Debug)]
struct Shard<K> {
    buckets: HashMap<K, Arc<Buckets>>,
    /// No search for idle ones before this.
    sweep_at_ns: u64,
}

impl<K> Default for Keyed<K> {
    fn default() -> Self {
        let shard = || Mutex::new(Shard { buckets: HashMap::new(), sweep_at_ns: 0 });
        Self { shards: std::array::from_fn(|_| shard()), hasher: DefaultHashBuilder::default() }
    }
}

impl<K: Hash + Eq> Keyed<K> {
    fn shard<Q: Hash + ?Sized>(&self, key: &Q) -> &Mutex<Shard<K>> {
        let hash = self.hasher.hash_one(key);
        // The remainder is below the array's length.
        &self.shards[usize::try_from(hash % SHARDS as u64).unwrap_or_default()]
    }
}

/// All buckets.
#[derive(Debug)]
pub(crate) struct Table {
    max: usize,
    len: AtomicUsize,
    clients: Keyed<SessionId>,
    users: Keyed<Arc<str>>,
    topics: Keyed<Arc<str>>,
    namespaces: Keyed<Arc<str>>,
    /// Of those that found no room, by scope.
    shared: [Arc<Buckets>; 4],
}

impl Table {
    pub(crate) fn new(max: usize) -> Self {
        Self {
            max,
            len: AtomicUsize::new(0),
            clients: Keyed::default(),
            users: Keyed::default(),
            topics: Keyed::default(),
            namespaces: Keyed::default(),
            shared: Default::default(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    /// `None`: there is no room, see [`Self::shared`].
    pub(crate) fn of_client(&self, session: SessionId, now_ns: u64) -> Option<Arc<Buckets>> {
        self.get_or_add(&self.clients, &session, || session, now_ns)
    }

    pub(crate) fn of_name(&self, scope: QuotaScope, name: &str, now_ns: u64) -> Option<Arc<Buckets>> {
        let keyed = match scope {
            QuotaScope::Client | QuotaScope::User => &self.users,
            QuotaScope::Topic => &self.topics,
            QuotaScope::Namespace => &self.namespaces,
        };
        self.get_or_add(keyed, name, || Arc::from(name), now_ns)
    }

    pub(crate) fn shared(&self, scope: QuotaScope) -> Arc<Buckets> {
        let [client, user, topic, namespace] = &self.shared;
        Arc::clone(match scope {
            QuotaScope::Client => client,
            QuotaScope::User => user,
            QuotaScope::Topic => topic,
            QuotaScope::Namespace => namespace,
        })
    }

    pub(crate) fn forget_client(&self, session: SessionId) {
        if self.clients.shard(&session).lock().buckets.remove(&session).is_some() {
            self.len.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn get_or_add<K: Hash + Eq, Q: Hash + Equivalent<K> + ?Sized>(
        &self,
        keyed: &Keyed<K>,
        key: &Q,
        owned: impl FnOnce() -> K,
        now_ns: u64,
    ) -> Option<Arc<Buckets>> {
        let mut shard = keyed.shard(key).lock();
        if let Some(buckets) = shard.buckets.get(key) {
            return Some(Arc::clone(buckets));
        }
        if self.len() >= self.max && !self.sweep(&mut shard, now_ns) {
            return None;
        }
        self.len.fetch_add(1, Ordering::Relaxed);
        Some(Arc::clone(shard.buckets.entry(owned()).or_default()))
    }

    /// Forgets what is idle in a shard; whether there is room now.
    fn sweep<K>(&self, shard: &mut Shard<K>, now_ns: u64) -> bool {
        if now_ns < shard.sweep_at_ns {
            return false;
        }
        shard.sweep_at_ns = now_ns.saturating_add(SWEEP_NS);
        let before = shard.buckets.len();
        shard.buckets.retain(|_, buckets| !buckets.are_full(now_ns));
        self.len.fetch_sub(before - shard.buckets.len(), Ordering::Relaxed);
        self.len() < self.max
    }
}

#[cfg(test)]
mod tests {
    use super::super::bucket::Rate;
    use super::*;

    const RATE: Rate = Rate { per_s: 1, burst_ns: 1 };

    #[test]
    fn who_asks_again_gets_the_same_buckets() {
        let table = Table::new(10);
        let first = table.of_name(QuotaScope::Topic, "t", 0).expect("room");
        assert!(Arc::ptr_eq(&first, &table.of_name(QuotaScope::Topic, "t", 0).expect("known")));
        let user = table.of_name(QuotaScope::User, "t", 0).expect("room");
        assert!(!Arc::ptr_eq(&first, &user), "scopes are apart");
        assert_eq!(table.len(), 2);
    }

    #[test]
    fn the_table_has_an_end_and_idle_ones_give_room() {
        let table = Table::new(64);
        let mut rooms = 0;
        for name in 0..1_000 {
            if let Some(buckets) = table.of_name(QuotaScope::Topic, &name.to_string(), 0) {
                buckets.of(QuotaLimit::SendBytes).take(0, RATE, 5);
                rooms += 1;
            }
        }
        assert_eq!((rooms, table.len()), (64, 64));
        let later = 10_000_000_000;
        for name in 1_000..2_000 {
            table.of_name(QuotaScope::Topic, &name.to_string(), later);
        }
        assert_eq!(table.len(), 64, "the old ones were idle, and so was no new one asked to leave twice");
        assert!((0..1_000).any(|name| table.of_name(QuotaScope::Topic, &name.to_string(), later).is_none()));
    }

    #[test]
    fn clients_that_go_give_room() {
        let table = Table::new(2);
        table.of_client(1.into(), 0).expect("room").of(QuotaLimit::SendBytes).take(0, RATE, 5);
        table.of_client(2.into(), 0).expect("room").of(QuotaLimit::SendBytes).take(0, RATE, 5);
        assert!(table.of_client(3.into(), 0).is_none());
        table.forget_client(1.into());
        table.forget_client(1.into());
        assert!(table.of_client(3.into(), 0).is_some());
    }
}
