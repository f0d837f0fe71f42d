//! Objects and keys in memory: what has changed since the last checkpoint, in two generations
//! like the streams.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use model::Lsn;
use parking_lot::RwLock;

use super::filter::mix;
use super::live::StreamMap;
use crate::limits::SHARDS;

/// `None`: removed.
pub(crate) type Objects = BTreeMap<Box<[u8]>, Option<Bytes>>;

#[derive(Default)]
struct ObjectGenerations {
    current: Objects,
    frozen: Option<Arc<Objects>>,
}

/// Changed objects.
#[derive(Default)]
pub(crate) struct LiveObjects {
    inner: RwLock<ObjectGenerations>,
}

impl LiveObjects {
    pub(crate) fn set(&self, key: &[u8], value: Option<Bytes>) {
        let mut inner = self.inner.write();
        match inner.current.get_mut(key) {
            Some(slot) => *slot = value,
            None => {
                inner.current.insert(key.into(), value);
            }
        }
    }

    /// What memory says of an object: nothing, that it was removed, or its value.
    pub(crate) fn get(&self, key: &[u8]) -> Option<Option<Bytes>> {
        let inner = self.inner.read();
        let frozen = || inner.frozen.as_ref().and_then(|f| f.get(key));
        inner.current.get(key).or_else(frozen).cloned()
    }

    pub(crate) fn freeze(&self) -> Arc<Objects> {
        let mut inner = self.inner.write();
        let current = std::mem::take(&mut inner.current);
        let frozen = match inner.frozen.take() {
            None => Arc::new(current),
            Some(left) => {
                let mut all = Arc::unwrap_or_clone(left);
                all.extend(current);
                Arc::new(all)
            }
        };
        inner.frozen = Some(Arc::clone(&frozen));
        frozen
    }

    pub(crate) fn drop_frozen(&self) {
        let frozen = self.inner.write().frozen.take();
        drop(frozen);
    }

    pub(crate) fn rewind(&self) {
        let current = std::mem::take(&mut self.inner.write().current);
        drop(current);
    }

    /// The changes to keys with a prefix, both generations as one, in key order.
    pub(crate) fn with_prefix(&self, prefix: &[u8]) -> Objects {
        let inner = self.inner.read();
        let older = inner.frozen.iter().flat_map(|f| range(f, prefix));
        let newer = range(&inner.current, prefix);
        older.chain(newer).map(|(k, v)| (k.clone(), v.clone())).collect()
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        let inner = self.inner.read();
        let all = inner.current.iter().chain(inner.frozen.iter().flat_map(|f| f.iter()));
        all.map(|(k, v)| k.len() + v.as_ref().map_or(0, Bytes::len) + 72).sum()
    }
}

fn range<'a>(
    objects: &'a Objects,
    prefix: &'a [u8],
) -> impl Iterator<Item = (&'a Box<[u8]>, &'a Option<Bytes>)> {
    let from = (std::ops::Bound::Included(prefix), std::ops::Bound::Unbounded);
    objects.range::<[u8], _>(from).take_while(move |(k, _)| k.starts_with(prefix))
}

/// One indexed key. `hash` is spread evenly (see [`mix`]), which the key files rely on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct KeyEntry {
    pub(crate) hash: u64,
    pub(crate) lsn: Lsn,
    pub(crate) time_ms: i64,
}

/// Keys of one generation: a list with a chain per hash.
#[derive(Debug, Clone, Default)]
pub(crate) struct KeyGeneration {
    pub(crate) entries: Vec<KeyEntry>,
    /// Index + 1 of the entry before with the same hash; 0: none.
    before: Vec<u32>,
    /// Index + 1 of the newest entry.
    newest: StreamMap<u32>,
}

impl KeyGeneration {
    fn push(&mut self, entry: KeyEntry) {
        let Ok(place) = u32::try_from(self.entries.len() + 1) else { return };
        let before = self.newest.insert(entry.hash, place).unwrap_or(0);
        self.entries.push(entry);
        self.before.push(before);
    }

    fn find(&self, hash: u64, wanted: &dyn Fn(&KeyEntry) -> bool, max: usize, out: &mut Vec<Lsn>) {
        let mut place = self.newest.get(&hash).copied().unwrap_or(0);
        while place != 0 && out.len() < max {
            let i = place as usize - 1;
            let (Some(entry), Some(before)) = (self.entries.get(i), self.before.get(i)) else { break };
            if wanted(entry) {
                out.push(entry.lsn);
            }
            place = *before;
        }
    }
}

#[derive(Default)]
struct KeyGenerations {
    current: KeyGeneration,
    frozen: Option<Arc<KeyGeneration>>,
}

impl KeyGenerations {
    /// Moves the current generation to the frozen place, behind what a failed checkpoint left there.
    fn freeze(&mut self) -> Arc<KeyGeneration> {
        let current = std::mem::take(&mut self.current);
        let frozen = match self.frozen.take() {
            None => Arc::new(current),
            Some(left) => {
                let mut all = Arc::unwrap_or_clone(left);
                current.entries.into_iter().for_each(|e| all.push(e));
                Arc::new(all)
            }
        };
        self.frozen = Some(Arc::clone(&frozen));
        frozen
    }
}

/// Keys that were indexed since the last checkpoint, in parts: a table that doubles stops the owner
/// for as long as all that is in it takes to move.
pub(crate) struct LiveKeys {
    parts: Vec<RwLock<KeyGenerations>>,
}

impl Default for LiveKeys {
    fn default() -> Self {
        Self { parts: (0..SHARDS).map(|_| RwLock::default()).collect() }
    }
}

impl LiveKeys {
    fn part(&self, spread: u64) -> &RwLock<KeyGenerations> {
        // The maps inside hash anew.
        let i = (spread >> 48) as usize % SHARDS;
        self.parts.get(i).expect("the index is below the number of parts")
    }

    pub(crate) fn push(&self, hash: u64, lsn: Lsn, time_ms: i64) {
        let hash = mix(hash);
        self.part(hash).write().current.push(KeyEntry { hash, lsn, time_ms });
    }

    /// Appends positions, newest first, until `out` has `max`.
    pub(crate) fn find(&self, hash: u64, wanted: &dyn Fn(&KeyEntry) -> bool, max: usize, out: &mut Vec<Lsn>) {
        let hash = mix(hash);
        let part = self.part(hash).read();
        part.current.find(hash, wanted, max, out);
        if let Some(frozen) = &part.frozen {
            frozen.find(hash, wanted, max, out);
        }
    }

    pub(crate) fn freeze(&self) -> Vec<Arc<KeyGeneration>> {
        self.parts.iter().map(|part| part.write().freeze()).collect()
    }

    pub(crate) fn drop_frozen(&self) {
        for part in &self.parts {
            let frozen = part.write().frozen.take();
            drop(frozen);
        }
    }

    pub(crate) fn rewind(&self) {
        for part in &self.parts {
            let current = std::mem::take(&mut part.write().current);
            drop(current);
        }
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        let size =
            |g: &KeyGeneration| g.entries.capacity() * 28 + g.newest.capacity() * size_of::<(u64, u32)>();
        let part = |part: &KeyGenerations| size(&part.current) + part.frozen.as_ref().map_or(0, |f| size(f));
        self.parts.iter().map(|p| part(&p.read())).sum()
    }
}
