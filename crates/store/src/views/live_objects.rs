//! Objects and keys in memory: what has changed since the last checkpoint, in two generations
//! like the streams.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use model::Lsn;
use parking_lot::RwLock;

use super::filter::mix;
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

/// Keys that are sorted at once: few enough that nobody waits for it, and that a search through
/// those which are not sorted yet takes a microsecond.
const PIECE_KEYS: usize = 2_048;

/// Keys of one generation: sorted pieces, and the newest keys as they came. To be found is rare, to
/// be added is not: a key costs a push and its share of a small sort.
#[derive(Debug, Clone, Default)]
pub(crate) struct KeyGeneration {
    /// Oldest first, each ascending.
    pieces: Vec<Box<[KeyEntry]>>,
    newest: Vec<KeyEntry>,
}

impl KeyGeneration {
    fn push(&mut self, entry: KeyEntry) {
        self.newest.push(entry);
        if self.newest.len() >= PIECE_KEYS {
            self.sort_newest();
        }
    }

    fn sort_newest(&mut self) {
        let mut piece = std::mem::take(&mut self.newest);
        if !piece.is_empty() {
            piece.sort_unstable();
            self.pieces.push(piece.into_boxed_slice());
        }
    }

    /// Adds what a later generation holds.
    fn absorb(&mut self, later: Self) {
        self.sort_newest();
        self.pieces.extend(later.pieces);
        self.newest = later.newest;
    }

    fn len(&self) -> usize {
        self.pieces.iter().map(|piece| piece.len()).sum::<usize>() + self.newest.len()
    }

    /// All keys, ascending, each once.
    pub(crate) fn sorted(&self) -> Vec<KeyEntry> {
        let mut all = Vec::with_capacity(self.len());
        self.pieces.iter().for_each(|piece| all.extend_from_slice(piece));
        all.extend_from_slice(&self.newest);
        // Stable only because that sort makes use of what is sorted already.
        all.sort();
        all.dedup();
        all
    }

    fn find(&self, hash: u64, wanted: &dyn Fn(&KeyEntry) -> bool, max: usize, out: &mut Vec<Lsn>) {
        let newest = self.newest.iter().rev().filter(|entry| entry.hash == hash);
        let older = self.pieces.iter().rev().flat_map(|piece| {
            let end = piece.partition_point(|entry| entry.hash <= hash);
            piece.iter().take(end).rev().take_while(|entry| entry.hash == hash)
        });
        for entry in newest.chain(older).filter(|entry| wanted(entry)) {
            if out.len() >= max {
                return;
            }
            out.push(entry.lsn);
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
                all.absorb(current);
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
        let part = |part: &KeyGenerations| part.current.len() + part.frozen.as_ref().map_or(0, |f| f.len());
        self.parts.iter().map(|p| part(&p.read())).sum::<usize>() * size_of::<KeyEntry>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(keys: &LiveKeys, hash: u64, max: usize) -> Vec<u64> {
        let mut out = Vec::new();
        keys.find(hash, &|entry| entry.lsn.get() != 5, max, &mut out);
        out.iter().map(|lsn| lsn.get()).collect()
    }

    #[test]
    fn keys_are_found_newest_first_wherever_they_are() {
        let keys = LiveKeys::default();
        let add = |from: u64, to: u64| (from..to).for_each(|n| keys.push(n % 3, Lsn(n), 0));
        // Three generations: two that a failed checkpoint left as one, and the current one.
        let many = PIECE_KEYS as u64 * 8;
        add(0, many + 10);
        keys.freeze();
        add(many + 10, many + 20);
        let frozen = keys.freeze();
        add(many + 20, many + 25);

        let expected = |hash: u64| (0..many + 25).rev().filter(move |n| n % 3 == hash && *n != 5);
        for hash in 0..3 {
            assert_eq!(found(&keys, hash, usize::MAX), expected(hash).collect::<Vec<_>>());
            assert_eq!(found(&keys, hash, 4), expected(hash).take(4).collect::<Vec<_>>());
        }
        assert!(found(&keys, 3, 9).is_empty());
        let sorted: Vec<Vec<KeyEntry>> = frozen.iter().map(|part| part.sorted()).collect();
        assert_eq!(sorted.iter().map(Vec::len).sum::<usize>() as u64, many + 20);
        assert!(sorted.iter().all(|part| part.is_sorted()));
    }
}
