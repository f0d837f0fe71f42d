//! State that the group's thread changes and everyone may read.
//!
//! All of it is a function of the log. It stands at the end of the log, not at commit; what must
//! not be seen before commit (messages) is hidden by comparing positions with commit.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use hashbrown::HashMap;
use model::access::Accounts;
use model::quota::QuotaBook;
use model::{GroupConfig, GroupName, Lsn, QueueId, StreamId, TopicConfig, TopicName};
use parking_lot::{Mutex, RwLock};

use super::cursor::Cursor;
use super::halves::Halves;
use crate::dedup_metrics::DedupMetrics;
use crate::rates::Tally;
use crate::streams;

/// Names the progress of one group in one stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CursorKey {
    pub group_id: u32,
    pub stream: StreamId,
}

/// A topic and its number.
#[derive(Debug)]
pub struct Topic {
    pub id: u32,
    pub config: TopicConfig,
    /// Counts sends and receives, to take queues in turn.
    pub turn: AtomicU32,
    /// What clients sent to it. Goes on when its configuration changes.
    pub(crate) sent: Arc<Tally>,
}

impl Topic {
    /// What stands for a lite topic, which has no number.
    #[must_use]
    pub(crate) fn unnumbered(config: TopicConfig) -> Self {
        Self { id: 0, config, turn: AtomicU32::new(0), sent: Arc::default() }
    }

    #[must_use]
    pub fn stream(&self, queue: QueueId) -> StreamId {
        streams::of_queue(self.id, queue)
    }
}

/// A group and its number.
#[derive(Debug)]
pub struct Group {
    pub id: u32,
    pub config: GroupConfig,
}

/// A cursor, and the claim that makes receivers of one queue take turns.
#[derive(Debug, Default)]
pub struct CursorCell {
    pub cursor: Mutex<Cursor>,
    pub claim: Arc<tokio::sync::Mutex<()>>,
    /// Messages that consumers said they are done with. Soft: begins at zero with the process.
    acked: AtomicU64,
    /// Grows with every acknowledgement, extension and commit that changed something. Soft.
    signs: AtomicU32,
}

impl CursorCell {
    pub(super) fn note_acked(&self, messages: u64) {
        self.acked.fetch_add(messages, Ordering::Relaxed);
        self.note_sign();
    }

    /// A consumer is alive.
    pub(super) fn note_sign(&self) {
        self.signs.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn acked(&self) -> u64 {
        self.acked.load(Ordering::Relaxed)
    }

    pub(crate) fn signs(&self) -> u32 {
        self.signs.load(Ordering::Relaxed)
    }
}

/// Deliveries of a group that failed. Soft: begins anew with the process.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Failures {
    pub(crate) failed: u64,
    pub(crate) worst: Option<WorstFailure>,
}

/// The message of a group that failed most often, of late.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WorstFailure {
    pub(crate) lsn: Lsn,
    pub(crate) len: u32,
    pub(crate) attempts: u32,
    pub(crate) at_ms: i64,
}

/// After so long without another failure a message gives way to one that failed less often.
const WORST_FOR_MS: i64 = 600_000;

#[derive(Debug, Default)]
struct Catalogue {
    topics: HashMap<TopicName, Arc<Topic>>,
    topics_by_id: HashMap<u32, Arc<Topic>>,
    groups: HashMap<GroupName, Arc<Group>>,
    groups_by_id: HashMap<u32, Arc<Group>>,
    key_values: BTreeMap<(String, String), String>,
    /// Numbers of deleted groups whose progress is kept.
    retired_groups: HashMap<GroupName, u32>,
}

/// Which groups have cursors in a topic, and up to which queue: found without a look at all cursors.
type Readers = BTreeMap<u32, QueueId>;

const SHARDS: usize = 16;

type CursorShard = RwLock<HashMap<CursorKey, Arc<CursorCell>>>;

/// The shared state.
#[derive(Debug)]
pub struct State {
    catalogue: RwLock<Catalogue>,
    cursors: [CursorShard; SHARDS],
    /// By the number of the topic.
    readers: Mutex<HashMap<u32, Readers>>,
    /// Half messages that are undecided.
    pub halves: Mutex<Halves>,
    /// Lite topics by the number of their parent.
    lite_counts: RwLock<BTreeMap<u32, u64>>,
    /// Who may send and receive how much.
    pub quotas: Arc<QuotaBook>,
    /// Users and their policies.
    pub accounts: Arc<Accounts>,
    pub dedup_metrics: DedupMetrics,
    /// By the number of the group.
    failures: Mutex<HashMap<u32, Failures>>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            catalogue: RwLock::default(),
            cursors: std::array::from_fn(|_| RwLock::default()),
            readers: Mutex::default(),
            halves: Mutex::default(),
            lite_counts: RwLock::default(),
            quotas: Arc::default(),
            accounts: Arc::default(),
            dedup_metrics: DedupMetrics::default(),
            failures: Mutex::default(),
        }
    }
}

impl State {
    #[must_use]
    pub fn topic(&self, name: &TopicName) -> Option<Arc<Topic>> {
        self.catalogue.read().topics.get(name).cloned()
    }

    #[must_use]
    pub fn topic_by_id(&self, id: u32) -> Option<Arc<Topic>> {
        self.catalogue.read().topics_by_id.get(&id).cloned()
    }

    /// The topic and queue that a stream holds.
    #[must_use]
    pub fn queue_of(&self, stream: StreamId) -> Option<(Arc<Topic>, QueueId)> {
        let (id, queue) = streams::queue_of(stream)?;
        Some((self.topic_by_id(id)?, queue))
    }

    #[must_use]
    pub fn group(&self, name: &GroupName) -> Option<Arc<Group>> {
        self.catalogue.read().groups.get(name).cloned()
    }

    #[must_use]
    pub fn group_by_id(&self, id: u32) -> Option<Arc<Group>> {
        self.catalogue.read().groups_by_id.get(&id).cloned()
    }

    /// The number of a deleted group whose progress is kept.
    #[must_use]
    pub fn retired_group(&self, name: &GroupName) -> Option<u32> {
        self.catalogue.read().retired_groups.get(name).copied()
    }

    /// All topics, by name.
    #[must_use]
    pub fn topics(&self) -> Vec<Arc<Topic>> {
        let mut all: Vec<_> = self.catalogue.read().topics.values().cloned().collect();
        all.sort_by(|a, b| a.config.name.cmp(&b.config.name));
        all
    }

    /// What counts the messages of each topic.
    pub(crate) fn tallies(&self) -> Vec<(TopicName, Arc<Tally>)> {
        let catalogue = self.catalogue.read();
        let tally = |topic: &Arc<Topic>| (topic.config.name.clone(), Arc::clone(&topic.sent));
        catalogue.topics.values().map(tally).collect()
    }

    /// All groups, by name.
    #[must_use]
    pub fn groups(&self) -> Vec<Arc<Group>> {
        let mut all: Vec<_> = self.catalogue.read().groups.values().cloned().collect();
        all.sort_by(|a, b| a.config.name.cmp(&b.config.name));
        all
    }

    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        let catalogue = self.catalogue.read();
        (catalogue.topics.len(), catalogue.groups.len())
    }

    #[must_use]
    pub fn key_value(&self, namespace: &str, key: &str) -> Option<String> {
        self.catalogue.read().key_values.get(&(namespace.to_owned(), key.to_owned())).cloned()
    }

    #[must_use]
    pub fn key_values(&self, namespace: &str) -> BTreeMap<String, String> {
        let catalogue = self.catalogue.read();
        let of_namespace = catalogue.key_values.iter().filter(|((ns, _), _)| ns == namespace);
        of_namespace.map(|((_, key), value)| (key.clone(), value.clone())).collect()
    }

    fn shard(&self, key: CursorKey) -> &CursorShard {
        let mixed = key.stream.get().wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ u64::from(key.group_id);
        let index = usize::try_from(mixed >> 32).unwrap_or(0) % SHARDS;
        self.cursors.get(index).expect("the index is taken modulo the number of shards")
    }

    #[must_use]
    pub fn cursor(&self, key: CursorKey) -> Option<Arc<CursorCell>> {
        self.shard(key).read().get(&key).cloned()
    }

    /// Memory of all cursors, in bytes, about.
    #[must_use]
    pub fn cursor_bytes(&self) -> usize {
        let of_shard = |shard: &CursorShard| -> usize {
            let shard = shard.read();
            let held: usize = shard.values().map(|cell| cell.cursor.lock().memory_bytes()).sum();
            shard.allocation_size() + shard.len() * size_of::<CursorCell>() + held
        };
        self.cursors.iter().map(of_shard).sum()
    }

    /// Keys of all cursors, sorted.
    #[must_use]
    pub fn cursor_keys(&self) -> Vec<CursorKey> {
        let mut keys: Vec<_> =
            self.cursors.iter().flat_map(|s| s.read().keys().copied().collect::<Vec<_>>()).collect();
        keys.sort_unstable();
        keys
    }

    /// Keys of all cursors in a topic's queues, sorted.
    #[must_use]
    pub fn cursor_keys_of(&self, topic_id: u32) -> Vec<CursorKey> {
        let readers = self.readers.lock().get(&topic_id).cloned().unwrap_or_default();
        let of_group = |(group_id, last): (u32, QueueId)| {
            (0..=last.get()).map(move |queue| {
                let stream = streams::of_queue(topic_id, QueueId(queue));
                CursorKey { group_id, stream }
            })
        };
        let keys = readers.into_iter().flat_map(of_group);
        keys.filter(|key| self.shard(*key).read().contains_key(key)).collect()
    }

    /// Lite topics by the number of their parent, which may be deleted.
    #[must_use]
    pub fn lite_counts(&self) -> BTreeMap<u32, u64> {
        self.lite_counts.read().clone()
    }

    /// Lite topics of all parents.
    #[must_use]
    pub fn lite_topics(&self) -> u64 {
        self.lite_counts.read().values().sum()
    }

    /// What of a group's deliveries failed since the process began.
    #[must_use]
    pub(crate) fn failures_of(&self, group_id: u32) -> Failures {
        self.failures.lock().get(&group_id).copied().unwrap_or_default()
    }

    /// Deliveries of all groups that failed.
    #[must_use]
    pub(crate) fn failed_deliveries(&self) -> u64 {
        self.failures.lock().values().map(|failures| failures.failed).sum()
    }

    // === changes: the group's thread only ===

    /// A delivery failed and is to be repeated.
    pub(super) fn note_failure(&self, group_id: u32, failure: WorstFailure) {
        let mut all = self.failures.lock();
        let failures = all.entry(group_id).or_default();
        failures.failed += 1;
        let gives_way = |worst: WorstFailure| {
            worst.lsn == failure.lsn
                || failure.attempts >= worst.attempts
                || failure.at_ms - worst.at_ms > WORST_FOR_MS
        };
        if failures.worst.is_none_or(gives_way) {
            failures.worst = Some(failure);
        }
    }

    pub(super) fn set_lite_counts(&self, counts: BTreeMap<u32, u64>) {
        *self.lite_counts.write() = counts;
    }

    pub(super) fn add_lite_topics(&self, parent_id: u32, by: i64) {
        let mut counts = self.lite_counts.write();
        let count = counts.entry(parent_id).or_default();
        *count = count.saturating_add_signed(by);
        if *count == 0 {
            counts.remove(&parent_id);
        }
    }

    pub(super) fn put_topic(&self, id: u32, config: TopicConfig) {
        let mut catalogue = self.catalogue.write();
        let sent = catalogue.topics_by_id.get(&id).map(|before| Arc::clone(&before.sent)).unwrap_or_default();
        let topic = Arc::new(Topic { id, config, turn: AtomicU32::new(0), sent });
        catalogue.topics.insert(topic.config.name.clone(), Arc::clone(&topic));
        catalogue.topics_by_id.insert(id, topic);
    }

    pub(super) fn delete_topic(&self, id: u32) -> Option<Arc<Topic>> {
        let mut catalogue = self.catalogue.write();
        let topic = catalogue.topics_by_id.remove(&id)?;
        catalogue.topics.remove(&topic.config.name);
        Some(topic)
    }

    pub(super) fn put_group(&self, id: u32, config: GroupConfig) {
        let mut catalogue = self.catalogue.write();
        catalogue.retired_groups.remove(&config.name);
        let group = Arc::new(Group { id, config });
        catalogue.groups.insert(group.config.name.clone(), Arc::clone(&group));
        catalogue.groups_by_id.insert(id, group);
    }

    pub(super) fn delete_group(&self, id: u32) -> Option<Arc<Group>> {
        let mut catalogue = self.catalogue.write();
        let group = catalogue.groups_by_id.remove(&id)?;
        catalogue.groups.remove(&group.config.name);
        self.failures.lock().remove(&id);
        Some(group)
    }

    pub(super) fn retire_group(&self, name: GroupName, id: u32) {
        self.catalogue.write().retired_groups.insert(name, id);
    }

    pub(super) fn put_key_value(&self, namespace: String, key: String, value: Option<String>) {
        let mut catalogue = self.catalogue.write();
        match value {
            Some(value) => catalogue.key_values.insert((namespace, key), value),
            None => catalogue.key_values.remove(&(namespace, key)),
        };
    }

    pub(super) fn cursor_or_new(&self, key: CursorKey) -> Arc<CursorCell> {
        if let Some(cell) = self.cursor(key) {
            return cell;
        }
        if let Some((topic_id, queue)) = streams::queue_of(key.stream) {
            let mut readers = self.readers.lock();
            let last = readers.entry(topic_id).or_default().entry(key.group_id).or_insert(queue);
            *last = queue.max(*last);
        }
        Arc::clone(self.shard(key).write().entry(key).or_default())
    }

    /// After the last cursor of a topic is removed.
    pub(super) fn forget_readers(&self, topic_id: u32) {
        self.readers.lock().remove(&topic_id);
    }

    /// After the last cursor of a group is removed.
    pub(super) fn forget_reader(&self, group_id: u32) {
        self.readers.lock().retain(|_, readers| {
            readers.remove(&group_id);
            !readers.is_empty()
        });
    }

    pub(super) fn remove_cursor(&self, key: CursorKey) {
        self.shard(key).write().remove(&key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(group_id: u32, topic_id: u32, queue: u32) -> CursorKey {
        CursorKey { group_id, stream: streams::of_queue(topic_id, QueueId(queue)) }
    }

    #[test]
    fn the_cursors_of_a_topic_are_found_without_the_others() {
        let state = State::default();
        for key in [key(1, 7, 0), key(1, 7, 5), key(2, 7, 3), key(2, 8, 0)] {
            state.cursor_or_new(key);
        }
        assert_eq!(state.cursor_keys_of(7), [key(1, 7, 0), key(1, 7, 5), key(2, 7, 3)]);
        state.remove_cursor(key(1, 7, 5));
        assert_eq!(state.cursor_keys_of(7), [key(1, 7, 0), key(2, 7, 3)]);
        state.forget_reader(1);
        assert_eq!(state.cursor_keys_of(7), [key(2, 7, 3)]);
        state.forget_readers(7);
        assert_eq!(state.cursor_keys_of(7), []);
        assert_eq!(state.cursor_keys_of(8), [key(2, 8, 0)]);
    }
}
