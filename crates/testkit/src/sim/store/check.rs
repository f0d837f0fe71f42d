//! Compares an open store with the model: everything that can be read must be what was appended,
//! or an error that something injected explains.

use std::collections::BTreeMap;

use model::{Lsn, StreamId};
use store::{Boundary, Entry, ReadError, Store};

use super::model::{ModelLog, ModelRecord, ModelStream, ModelViews};
use crate::rng::Rng;
use crate::sim::{Checked, must};

/// One store beside what it must hold.
pub(super) struct Compare<'a> {
    pub(super) store: &'a Store,
    pub(super) log: &'a ModelLog,
    pub(super) views: &'a ModelViews,
    /// Errors are allowed: something was damaged, or a fault struck. Wrong content never is.
    pub(super) is_excused: bool,
}

impl Compare<'_> {
    /// The value, or `None` for an error that has an excuse.
    fn read<T>(&self, what: &dyn Fn() -> String, result: Result<T, ReadError>) -> Checked<Option<T>> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(error) => {
                must(self.is_excused, 1, || format!("{}: {error}", what()))?;
                Ok(None)
            }
        }
    }

    fn start(&self) -> Lsn {
        self.store.log.start()
    }

    /// Every record, in order, by a replay of the whole log.
    pub(super) fn whole_log(&self) -> Checked {
        let (start, end) = (self.start(), self.store.log.end());
        let mut expected = self.log.records().filter(|r| r.lsn >= start);
        let mut wrong = None;
        let replayed = self.store.log.replay(start, end, &mut |record| {
            let matches = expected.next().is_some_and(|e| {
                e.lsn == record.lsn
                    && e.kind == record.kind
                    && e.payload == record.payload
                    && e.len == record.len
            });
            if !matches && wrong.is_none() {
                wrong = Some(record.lsn);
            }
            Ok(())
        });
        if let Some(lsn) = wrong {
            return must(false, 1, || format!("the record at {lsn} is not what was appended"));
        }
        match replayed {
            Ok(()) => must(expected.next().is_none(), 3, || "the replay ends before the log does".to_owned()),
            Err(error) => must(self.is_excused, 1, || format!("the replay fails: {error}")),
        }
    }

    /// Some records by position, hot and cold.
    pub(super) fn some_records(&self, rng: &mut Rng) -> Checked {
        let reader = self.store.log.reader();
        for _ in 0..8 {
            let Some(record) = rng.pick(&self.log.frames).and_then(|f| rng.pick(&f.records)) else {
                return Ok(());
            };
            let ModelRecord { lsn, kind, len, payload } = record;
            let asked = if rng.percent(50) { *len } else { 0 };
            let found = reader.record(*lsn, asked);
            // What is trimmed may still be cached, but must not read as something else.
            if *lsn < self.start() && matches!(found, Err(ReadError::Trimmed { .. })) {
                continue;
            }
            if let Some(found) = self.read(&|| format!("reading the record at {lsn}"), found)? {
                let is_right = found.kind == *kind && found.payload == *payload && found.len == *len;
                must(is_right, 1, || format!("the record at {lsn} reads as something else"))?;
            }
        }
        let beyond = self.store.log.end().plus(rng.below(5_000));
        must(reader.record(beyond, 0).is_err(), 1, || format!("a record at {beyond}, beyond the end"))
    }

    /// Some streams that exist, and one that does not.
    pub(super) fn streams(&self, sample: usize, below: Lsn, rng: &mut Rng) -> Checked {
        let known: Vec<u64> = self.views.streams.keys().copied().collect();
        let nothing = ModelStream::default();
        self.stream(0xDEAD_0000_0001, &nothing, below, rng)?;
        for id in sampled(&known, sample, rng) {
            self.stream(id, self.views.streams.get(&id).unwrap_or(&nothing), below, rng)?;
        }
        Ok(())
    }

    fn stream(&self, id: u64, expected: &ModelStream, below: Lsn, rng: &mut Rng) -> Checked {
        let (reader, stream, start) = (self.store.views.reader(), StreamId(id), self.start());
        let bounds = expected.bounds(start, below);
        let found = reader.bounds(stream, below);
        if let Some(found) = self.read(&|| format!("bounds of stream {id}"), found)? {
            must(found == bounds, 17, || {
                format!("stream {id} below {below} has {found:?} instead of {bounds:?}")
            })?;
        }
        let from = rng.between(bounds.min.saturating_sub(2), bounds.max + 1);
        let max = 1 + rng.index(40);
        let mut entries: Vec<Entry> = Vec::new();
        let result = reader.read(stream, from, max, below, &mut entries);
        if self.read(&|| format!("reading stream {id}"), result)?.is_some() {
            let wanted = expected.read(from, max, start, below);
            must(entries == wanted, 17, || {
                format!(
                    "stream {id} from {from}, at most {max}, below {below}: {entries:?} instead of {wanted:?}"
                )
            })?;
        }
        if let Some(time) = rng.pick(&expected.entries).map(|e| e.time_ms) {
            let time = time + rng.below(3).cast_signed() - 1;
            let found = reader.offset_by_time(stream, time, Boundary::Lower, below);
            let wanted = expected.first_at_or_after(time, start, below);
            if let Some(found) = self.read(&|| format!("time in stream {id}"), found)? {
                must(found == wanted, 16, || {
                    format!("time {time} in stream {id} is offset {found} instead of {wanted}")
                })?;
            }
        }
        Ok(())
    }

    /// The ends of some streams, as the owner knows them.
    pub(super) fn ends(&self, sample: usize, rng: &mut Rng) -> Checked {
        let known: Vec<u64> = self.views.streams.keys().copied().collect();
        for id in sampled(&known, sample, rng) {
            let Some(expected) = self.views.streams.get(&id) else { continue };
            let found = self.store.views.next_offset(StreamId(id));
            must(self.is_excused || found == expected.next_offset, 16, || {
                format!("stream {id} goes on at {found} instead of {}", expected.next_offset)
            })?;
            let time = self.store.views.last_time_ms(StreamId(id));
            must(self.is_excused || time == expected.last_time_ms, 16, || {
                format!("stream {id} last had time {time} instead of {}", expected.last_time_ms)
            })?;
        }
        Ok(())
    }

    pub(super) fn objects(&self, rng: &mut Rng) -> Checked {
        let reader = self.store.views.reader();
        let prefix: &[u8] = [&b""[..], b"a", b"b1"].get(rng.index(3)).copied().unwrap_or_default();
        let mut found: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        let result =
            reader.scan_objects(prefix, &mut |key, value| found.push((key.to_vec(), value.to_vec())));
        if self.read(&|| "scanning objects".to_owned(), result)?.is_some() {
            let all = self.views.objects.iter().filter(|(k, _)| k.starts_with(prefix));
            let wanted: Vec<_> = all.map(|(k, v)| (k.clone(), v.clone())).collect();
            must(found == wanted, 13, || format!("objects under {prefix:?} are not those that were put"))?;
        }
        let mut key = vec![b'a' + u8::from(rng.percent(50))];
        key.extend_from_slice(rng.below(45).to_string().as_bytes());
        let found = reader.object(&key);
        if let Some(found) = self.read(&|| format!("object {key:?}"), found)? {
            let wanted = self.views.objects.get(&key);
            must(found.as_deref() == wanted.map(Vec::as_slice), 13, || {
                format!("object {key:?} has another value")
            })?;
        }
        Ok(())
    }

    pub(super) fn keys(&self, below: Lsn, rng: &mut Rng) -> Checked {
        let (hash, max) = (rng.below(32), 1 + rng.index(20));
        let found = self.store.views.reader().lookup_key(hash, i64::MIN, i64::MAX, max, below);
        if let Some(found) = self.read(&|| format!("key {hash}"), found)? {
            let wanted = self.views.lookup(hash, self.start(), below, max);
            must(found == wanted, 17, || format!("key {hash} leads to {found:?} instead of {wanted:?}"))?;
        }
        Ok(())
    }
}

/// Some of the streams, or all if there are no more than that.
fn sampled(known: &[u64], sample: usize, rng: &mut Rng) -> Vec<u64> {
    if known.len() <= sample {
        return known.to_vec();
    }
    (0..sample).filter_map(|_| rng.pick(known).copied()).collect()
}

/// State hashes seen, by the end and the start of the log they belong to.
#[derive(Debug, Default)]
pub(super) struct Hashes(BTreeMap<(Lsn, Lsn), u64>);

impl Hashes {
    /// Equal positions, equal state.
    pub(super) fn check(&mut self, store: &Store, is_excused: bool) -> Checked {
        let at = (store.log.end(), store.log.start());
        match store.views.try_state_hash() {
            Ok(hash) => {
                let first = *self.0.entry(at).or_insert(hash);
                must(first == hash, 13, || {
                    format!("the state at {} hashes to {hash:x}, before to {first:x}", at.0)
                })
            }
            Err(error) => must(is_excused, 13, || format!("the state cannot be hashed: {error}")),
        }
    }

    /// The log above was cut: another history may follow.
    pub(super) fn cut(&mut self, to: Lsn) {
        self.0.retain(|(end, _), _| *end <= to);
    }
}
