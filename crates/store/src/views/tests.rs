use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use model::{Lsn, StreamId};
use proptest::prelude::*;

use super::entry::{Entry, NewEntry};
use super::reader::{Boundary, Bounds};
use crate::store::{Repair, Store};
use crate::test_disk::{TestChance, TestDisk};
use crate::{ReplayError, StoreConfig};

/// What the log says, as the tests write it: a change of the views per record.
#[derive(Debug, Clone)]
enum Change {
    Append { stream: u64, count: u16, gap_ms: u32 },
    Drop(u64),
    Put(u8, Vec<u8>),
    Remove(u8),
    Key(u64),
}

impl Change {
    fn encode(&self) -> Vec<u8> {
        match self {
            Self::Append { stream, count, gap_ms } => {
                [&[0][..], &stream.to_le_bytes(), &count.to_le_bytes(), &gap_ms.to_le_bytes()].concat()
            }
            Self::Drop(stream) => [&[1][..], &stream.to_le_bytes()].concat(),
            Self::Put(key, value) => [&[2, *key][..], value].concat(),
            Self::Remove(key) => vec![3, *key],
            Self::Key(hash) => [&[4][..], &hash.to_le_bytes()].concat(),
        }
    }

    fn decode(bytes: &[u8]) -> Self {
        let number = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
        match bytes[0] {
            0 => Self::Append {
                stream: number(1),
                count: u16::from_le_bytes([bytes[9], bytes[10]]),
                gap_ms: u32::from_le_bytes(bytes[11..15].try_into().expect("four bytes")),
            },
            1 => Self::Drop(number(1)),
            2 => Self::Put(bytes[1], bytes[2..].to_vec()),
            3 => Self::Remove(bytes[1]),
            _ => Self::Key(number(1)),
        }
    }
}

/// The views as plain maps.
#[derive(Debug, Clone, Default)]
struct Model {
    streams: BTreeMap<u64, (Vec<Entry>, u64, i64)>,
    objects: BTreeMap<Vec<u8>, Vec<u8>>,
    keys: Vec<(u64, Lsn, i64)>,
}

fn object_key(key: u8) -> Vec<u8> {
    vec![b'a' + key % 3, key]
}

/// Applies a record to the views and to the model, which must agree on offsets.
fn apply(store_views: &mut super::Views, model: Option<&mut Model>, lsn: Lsn, len: u32, change: &Change) {
    let views = store_views;
    match change {
        Change::Append { stream, count, gap_ms } => {
            let id = StreamId(*stream);
            let time_ms = views.last_time_ms(id) + i64::from(*gap_ms);
            let new = NewEntry { lsn, len, tag: *gap_ms, time_ms, count: *count, flags: 1 };
            let next = views.next_offset(id);
            let offset = views.append(id, new);
            assert_eq!(offset, next);
            if let Some(model) = model {
                let (entries, next, last) = model.streams.entry(*stream).or_default();
                assert_eq!(offset, *next, "stream {stream}");
                assert_eq!(time_ms, *last + i64::from(*gap_ms), "stream {stream}");
                entries.push(new.at(offset));
                (*next, *last) = (offset + u64::from(*count), time_ms);
            }
        }
        Change::Drop(stream) => {
            views.drop_stream(StreamId(*stream));
            model.map(|m| m.streams.remove(stream));
        }
        Change::Put(key, value) => {
            views.put_object(&object_key(*key), value);
            model.map(|m| m.objects.insert(object_key(*key), value.clone()));
        }
        Change::Remove(key) => {
            views.remove_object(&object_key(*key));
            model.map(|m| m.objects.remove(&object_key(*key)));
        }
        Change::Key(hash) => {
            views.index_key(*hash, lsn, lsn.get() as i64);
            if let Some(model) = model {
                model.keys.push((*hash, lsn, lsn.get() as i64));
            }
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    Change(Change),
    Many(u64, u16),
    Checkpoint {
        finish: bool,
    },
    FailedCheckpoint,
    Merge,
    Reopen,
    Trim(u8),
    CutTail(u8),
    Flush,
    /// The power fails in the middle of a checkpoint and a merge: `room` bytes were written.
    PowerCut {
        seed: u64,
        room: u64,
    },
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        12 => (0..6_u64, 1..4_u16, 0..50_u32).prop_map(|(stream, count, gap_ms)| Change::Append { stream, count, gap_ms }),
        1 => (0..6_u64).prop_map(Change::Drop),
        4 => (0..20_u8, proptest::collection::vec(any::<u8>(), 0..40)).prop_map(|(k, v)| Change::Put(k, v)),
        1 => (0..20_u8).prop_map(Change::Remove),
        3 => (0..5_u64).prop_map(Change::Key),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        30 => change().prop_map(Step::Change),
        1 => (0..6_u64, 1..700_u16).prop_map(|(stream, n)| Step::Many(stream, n)),
        4 => any::<bool>().prop_map(|finish| Step::Checkpoint { finish }),
        1 => Just(Step::FailedCheckpoint),
        3 => Just(Step::Merge),
        1 => Just(Step::Reopen),
        2 => any::<u8>().prop_map(Step::Trim),
        1 => any::<u8>().prop_map(Step::CutTail),
        3 => Just(Step::Flush),
        2 => (any::<u64>(), 0..6000_u64).prop_map(|(seed, room)| Step::PowerCut { seed, room }),
    ]
}

struct World {
    disk: Arc<TestDisk>,
    store: Option<Store>,
    model: Model,
    /// The model at each frame's end since the last checkpoint, for cutting the log.
    history: Vec<(Lsn, Model)>,
}

fn config() -> StoreConfig {
    StoreConfig {
        segment_bytes: 4096,
        tail_cache_bytes: 8192,
        idle_streams_max: 128,
        ..StoreConfig::default()
    }
}

impl World {
    fn new() -> Self {
        let disk = Arc::new(TestDisk::default());
        let store = Store::open(&disk.doors(), Path::new("/v"), &config(), Repair::Refuse).expect("open");
        Self {
            disk,
            store: Some(store),
            model: Model::default(),
            history: vec![(Lsn::ZERO, Model::default())],
        }
    }

    fn store(&mut self) -> &mut Store {
        self.store.as_mut().expect("open")
    }

    fn change(&mut self, change: &Change) {
        let store = self.store.as_mut().expect("open");
        let mut frame = store.log.begin_frame(Lsn::ZERO);
        let placed = frame.push(1, |_, out| out.extend_from_slice(&change.encode()));
        store.log.append(frame).expect("append");
        apply(&mut store.views, Some(&mut self.model), placed.lsn, placed.len, change);
        let end = store.log.end();
        self.history.push((end, self.model.clone()));
    }

    fn replay(&mut self, from: Lsn) {
        let store = self.store.as_mut().expect("open");
        let (log, views) = (&store.log, &mut store.views);
        views.learn_ends(u64::MAX).expect("whole run files");
        log.replay(from, log.end(), &mut |r| -> Result<(), ReplayError> {
            apply(views, None, r.lsn, r.len, &Change::decode(r.payload));
            Ok(())
        })
        .expect("replay");
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Change(change) => self.change(change),
            Step::Many(stream, n) => {
                (0..*n).for_each(|_| self.change(&Change::Append { stream: *stream, count: 1, gap_ms: 1 }));
            }
            Step::Checkpoint { finish } => {
                let end = self.store().log.end();
                let job = self.store().views.checkpoint_begin(end);
                // Seen while frozen, while written, and while finished.
                self.check();
                let done = job.run().expect("checkpoint");
                self.check();
                if *finish {
                    self.store().views.checkpoint_finish(done);
                    assert_eq!(self.store().views.checkpoint_lsn(), end);
                } else {
                    drop(done);
                }
                self.history.retain(|(lsn, _)| *lsn >= end);
            }
            Step::FailedCheckpoint => {
                let end = self.store().log.end();
                self.store().log.flush().expect("flush");
                let job = self.store().views.checkpoint_begin(end);
                self.disk.fail_syncs(true);
                job.run().expect_err("syncs fail");
                self.disk.fail_syncs(false);
            }
            Step::Merge => {
                while let Some(job) = self.store().views.merge_begin() {
                    let done = job.run().expect("merge");
                    self.store().views.merge_finish(done);
                }
            }
            Step::Flush => {
                self.store().log.flush().expect("flush");
            }
            Step::PowerCut { seed, room } => self.power_cut(*seed, *room),
            Step::Reopen => {
                drop(self.store.take());
                self.disk.crash();
                let opened = Store::open(&self.disk.doors(), Path::new("/v"), &config(), Repair::Refuse);
                self.store = Some(opened.expect("open"));
                let from = self.store().views.checkpoint_lsn();
                self.replay(from);
            }
            Step::Trim(part) => {
                let end = self.store().log.end().get();
                self.store().log.trim(Lsn(end * u64::from(*part) / 255)).expect("trim");
            }
            Step::CutTail(back) => {
                let i = self.history.len().saturating_sub(1 + usize::from(*back % 8));
                let (to, model) = self.history[i].clone();
                self.history.truncate(i + 1);
                self.model = model;
                // An unfinished checkpoint counts from when it is durable.
                let durable = self.store().views.shared.durable_checkpoint();
                assert!(to >= durable);
                self.store().log.truncate(to).expect("cut");
                let from = self.store().views.rewind();
                self.replay(from);
            }
        }
    }

    fn power_cut(&mut self, seed: u64, room: u64) {
        let flushed = self.store().log.flushed();
        if seed.is_multiple_of(2) {
            self.disk.limit(Some(room));
            let end = self.store().log.end();
            let _ = self.store().views.checkpoint_begin(end).run();
            if let Some(job) = self.store().views.merge_begin() {
                let _ = job.run();
            }
            self.disk.limit(None);
        }
        let flushed = flushed.max(self.store().views.shared.durable_checkpoint());
        drop(self.store.take());
        self.disk.power_cut(&TestChance::new(seed));
        let opened = Store::open(&self.disk.doors(), Path::new("/v"), &config(), Repair::Refuse);
        self.store = Some(opened.expect("open"));
        let (end, from) = (self.store().log.end(), self.store().views.checkpoint_lsn());
        assert!(end >= flushed && from <= end);
        let i = self.history.iter().rposition(|(lsn, _)| *lsn == end).expect("a frame ended there");
        self.history.truncate(i + 1);
        self.model = self.history[i].1.clone();
        self.history.retain(|(lsn, _)| *lsn >= from);
        self.replay(from);
        let report = crate::log::recover::LogRecovery { frames: 0, ..self.store().recovery().log.clone() };
        assert_eq!((report.corrupt_bytes, report.committed_lost), (0, None));
    }

    fn check(&mut self) {
        let views = &self.store().views;
        let (counted, taken) = (views.live_bytes(), views.reader().memory().live_bytes);
        // Small tables have room for more than they hold.
        assert!(counted + 64 * 1024 >= taken, "{taken} bytes are taken, and only {counted} counted");
        let model = self.model.clone();
        let store = self.store();
        let (start, end) = (store.log.start(), store.log.end());
        let reader = store.views.reader();
        for stream in 0..6 {
            let id = StreamId(stream);
            let (entries, next, last) = model.streams.get(&stream).cloned().unwrap_or_default();
            assert_eq!((store.views.next_offset(id), store.views.last_time_ms(id)), (next, last));
            for below in [end, Lsn(end.get() - end.get() / 10)] {
                if below < store.views.shared.durable_checkpoint() && below != end {
                    continue;
                }
                check_stream(&reader, id, &entries, next, (start, below));
            }
        }
        for (key, value) in &model.objects {
            assert_eq!(reader.object(key).expect("object").as_deref(), Some(value.as_slice()));
        }
        for prefix in [&b""[..], b"b", b"zz"] {
            let mut found = BTreeMap::new();
            reader
                .scan_objects(prefix, &mut |k, v| assert!(found.insert(k.to_vec(), v.to_vec()).is_none()))
                .expect("scan");
            let wanted = model.objects.iter().filter(|(k, _)| k.starts_with(prefix));
            assert_eq!(found, wanted.map(|(k, v)| (k.clone(), v.clone())).collect());
        }
        for hash in 0..5 {
            let found = reader.lookup_key(hash, 100, i64::MAX, 7, end).expect("keys");
            let hits = model.keys.iter().rev().filter(|k| k.0 == hash && k.1 >= start && k.2 >= 100);
            assert_eq!(found, hits.map(|k| k.1).take(7).collect::<Vec<_>>());
        }
    }
}

fn check_stream(
    reader: &super::ViewsReader,
    id: StreamId,
    entries: &[Entry],
    next: u64,
    (start, below): (Lsn, Lsn),
) {
    let visible: Vec<Entry> = entries.iter().filter(|e| e.lsn < below && e.lsn >= start).copied().collect();
    let hidden = entries.iter().find(|e| e.lsn >= below).map(|e| e.offset);
    let max = hidden.unwrap_or(next);
    let min = visible.first().map_or(max, |e| e.offset);
    assert_eq!(reader.bounds(id, below).expect("bounds"), Bounds { min, max }, "{id} {start} {below}");
    for (from, limit) in [(0, 1000), (min, 3), ((min + max) / 2, 10), (max.saturating_sub(2), 10), (max, 5)] {
        let mut out = Vec::new();
        reader.read(id, from, limit, below, &mut out).expect("read");
        let wanted: Vec<Entry> =
            visible.iter().filter(|e| e.next_offset() > from).take(limit).copied().collect();
        assert_eq!(out, wanted, "stream {id} from {from}");
    }
    let times = entries.iter().step_by(1 + entries.len() / 10).map(|e| e.time_ms).chain([-1, i64::MAX]);
    for time in times {
        let lower = visible.iter().find(|e| e.time_ms >= time).map_or(max, |e| e.offset);
        assert_eq!(
            reader.offset_by_time(id, time, Boundary::Lower, below).expect("lower"),
            lower,
            "time {time}"
        );
        let upper = visible.iter().rfind(|e| e.time_ms <= time).map_or(min, |e| e.next_offset() - 1);
        assert_eq!(
            reader.offset_by_time(id, time, Boundary::Upper, below).expect("upper"),
            upper,
            "time {time}"
        );
    }
}

/// A few unless asked for more by `PROPTEST_CASES`: a case restarts stores and replays logs.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), max_shrink_iters: 2000, ..ProptestConfig::default() })]
    #[test]
    fn views_equal_a_model_whatever_happens_to_the_files(steps in proptest::collection::vec(step(), 1..120)) {
        let mut world = World::new();
        for step in &steps {
            world.step(step);
            if !matches!(step, Step::Change(_)) {
                world.check();
            }
        }
        world.check();
    }

    /// The hash depends on what was applied, not on checkpoints, merges and restarts.
    #[test]
    fn the_state_hash_does_not_depend_on_the_layout(steps in proptest::collection::vec(step(), 1..80)) {
        let (mut plain, mut other) = (World::new(), World::new());
        for step in &steps {
            match step {
                Step::Trim(_) | Step::CutTail(_) | Step::PowerCut { .. } => {}
                Step::Change(_) | Step::Many(..) => {
                    plain.step(step);
                    other.step(step);
                }
                _ => other.step(step),
            }
        }
        prop_assert_eq!(plain.store().views.state_hash(), other.store().views.state_hash());
        plain.change(&Change::Put(0, b"different".to_vec()));
        prop_assert_ne!(plain.store().views.state_hash(), other.store().views.state_hash());
    }
}

#[test]
fn emptied_streams_keep_their_end_and_their_files_shrink() {
    let mut world = World::new();
    for round in 0..40 {
        for stream in 0..50_u64 {
            let stream = if round == 0 { stream } else { 1000 };
            world.change(&Change::Append { stream, count: 1, gap_ms: 1 });
        }
        world.step(&Step::Checkpoint { finish: true });
        let end = world.store().log.end();
        world.store().log.trim(end).expect("trim");
        world.step(&Step::Merge);
    }
    world.step(&Step::Reopen);
    assert_eq!(world.store().views.next_offset(StreamId(7)), 1);
    let reader = world.store().views.reader();
    assert_eq!(reader.bounds(StreamId(7), Lsn(u64::MAX)).expect("bounds"), Bounds { min: 1, max: 1 });
    assert!(reader.file_counts().0 < 10, "{:?}", reader.file_counts());
}

#[test]
fn two_hundred_thousand_idle_streams_cost_little() {
    const STREAMS: u64 = 200_000;
    let disk = Arc::new(TestDisk::default());
    let config = StoreConfig::default();
    let mut store = Store::open(&disk.doors(), Path::new("/v"), &config, Repair::Refuse).expect("open");
    for n in 0..2 * STREAMS {
        let entry =
            NewEntry { lsn: Lsn(n), len: 100, tag: 1, time_ms: 1_700_000_000_000, count: 1, flags: 0 };
        store.views.append(StreamId(n.wrapping_mul(0x9e37_79b9) % STREAMS), entry);
        if n % STREAMS == STREAMS - 1 {
            let done = store.views.checkpoint_begin(Lsn::ZERO).run().expect("checkpoint");
            store.views.checkpoint_finish(done);
        }
    }
    let reader = store.views.reader();
    assert_eq!(reader.streams_in_memory(), (0, STREAMS as usize));
    assert!(reader.memory_bytes() < STREAMS as usize * 64, "{} bytes of memory", reader.memory_bytes());
    assert!(reader.disk_bytes() < STREAMS * 256, "{} bytes of disk", reader.disk_bytes());
    drop((store, reader));
    disk.crash();
    let mut store = Store::open(&disk.doors(), Path::new("/v"), &config, Repair::Refuse).expect("open");
    let reader = store.views.reader();
    assert_eq!(reader.streams_in_memory(), (0, 0));
    store.views.learn_ends(STREAMS).expect("whole run files");
    assert_eq!(reader.streams_in_memory(), (0, 0), "a short replay looks up what it meets");
    store.views.learn_ends(u64::MAX).expect("whole run files");
    assert_eq!(reader.streams_in_memory(), (0, STREAMS as usize));
    assert!((0..STREAMS).step_by(997).all(|n| store.views.next_offset(StreamId(n)) == 2));
    let mut out = Vec::new();
    reader.read(StreamId(5), 0, 10, Lsn(u64::MAX), &mut out).expect("read");
    assert_eq!(out.iter().map(|e| e.offset).collect::<Vec<_>>(), [0, 1]);
}

#[test]
fn no_number_of_idle_streams_is_an_unlucky_one() {
    let disk = Arc::new(TestDisk::default());
    let config = StoreConfig::default();
    let mut store = Store::open(&disk.doors(), Path::new("/v"), &config, Repair::Refuse).expect("open");
    for step in 1..=20 {
        let streams = step * 10_000_u64;
        for stream in streams - 10_000..streams {
            let entry = NewEntry { lsn: Lsn(stream), len: 100, tag: 1, time_ms: 1, count: 1, flags: 0 };
            store.views.append(StreamId(stream), entry);
        }
        let done = store.views.checkpoint_begin(Lsn::ZERO).run().expect("checkpoint");
        store.views.checkpoint_finish(done);
        let reader = store.views.reader();
        assert_eq!(reader.streams_in_memory(), (0, streams as usize));
        let each = reader.memory_bytes() as f64 / streams as f64;
        // 20 bytes, the room of a bucket that grows, and the buckets themselves.
        assert!(each < 25.0, "{each} bytes for each of {streams}");
    }
}

#[test]
fn changes_count_until_a_checkpoint_holds_them() {
    let mut world = World::new();
    for stream in 0..7 {
        world.change(&Change::Append { stream, count: 1, gap_ms: 1 });
    }
    world.change(&Change::Put(1, vec![1]));
    world.change(&Change::Key(1));
    let store = world.store();
    assert_eq!(store.views.changes(), 8);
    let job = store.views.checkpoint_begin(store.log.end());
    world.change(&Change::Drop(3));
    let store = world.store();
    assert_eq!(store.views.changes(), 9);
    let done = job.run().expect("checkpoint");
    assert_eq!(store.views.reader().streams_in_memory().0, 1, "what the run holds is let go at once");
    store.views.checkpoint_finish(done);
    assert_eq!(store.views.changes(), 1);
    world.step(&Step::FailedCheckpoint);
    assert_eq!(world.store().views.changes(), 1, "a failed checkpoint holds nothing");
}

#[test]
fn a_position_inside_a_frame_is_no_checkpoint() {
    let mut world = World::new();
    world.change(&Change::Key(1));
    let job = world.store().views.checkpoint_begin(Lsn(10));
    assert!(matches!(job.run(), Err(crate::JobError::NotABoundary { .. })));
}

#[test]
fn damaged_run_files_are_errors_never_answers() {
    let mut world = World::new();
    for i in 0..300 {
        world.change(&Change::Append { stream: i % 5, count: 1, gap_ms: 2 });
        world.change(&Change::Put(i as u8, vec![i as u8; 20]));
    }
    world.step(&Step::Checkpoint { finish: true });
    let path = Path::new("/v/runs/0000000000000000.run");
    let len = world.disk.bytes(path).len() as u64;
    let wanted: Vec<_> =
        (0..5).map(|s| read_all(&world.store().views.reader(), s).expect("undamaged")).collect();
    let mut errors = 0;
    for at in (8..len).step_by(97) {
        world.disk.flip(path, at);
        let reader = world.store().views.reader();
        for stream in 0..5 {
            match read_all(&reader, stream) {
                Ok(found) => assert_eq!(found, wanted[stream as usize]),
                Err(_) => errors += 1,
            }
        }
        world.disk.flip(path, at);
    }
    assert!(errors > 20);
    // The parts that are read at opening refuse to open.
    world.disk.flip(path, len - 10);
    drop(world.store.take());
    world.disk.crash();
    Store::open(&world.disk.doors(), Path::new("/v"), &config(), Repair::Refuse)
        .expect_err("a damaged footer");
}

fn read_all(reader: &super::ViewsReader, stream: u64) -> Result<Vec<Entry>, crate::ReadError> {
    let mut out = Vec::new();
    reader.read(StreamId(stream), 0, usize::MAX, Lsn(u64::MAX), &mut out)?;
    Ok(out)
}

/// This disk never has in memory what is asked for.
#[tokio::test]
async fn what_needs_the_disk_is_looked_up_on_another_thread() {
    let mut world = World::new();
    (0..40).for_each(|_| world.change(&Change::Append { stream: 1, count: 1, gap_ms: 2 }));
    world.change(&Change::Key(7));
    world.step(&Step::Checkpoint { finish: true });
    let reader = world.store().views.reader();
    let here = std::thread::current().id();
    let asked = |found: Result<usize, crate::ReadError>| Ok((std::thread::current().id(), found?));
    let of_stream = move |views: &super::ViewsReader| asked(read_all(views, 1).map(|all| all.len()));
    let (thread, entries) = reader.look(of_stream).await.expect("a look");
    assert!(entries == 40 && thread != here);
    let of_key = move |views: &super::ViewsReader| {
        asked(views.lookup_key(7, i64::MIN, i64::MAX, 9, Lsn(u64::MAX)).map(|found| found.len()))
    };
    let (thread, records) = reader.look(of_key).await.expect("a look");
    assert!(records == 1 && thread != here);
    // What memory has is told at once.
    world.change(&Change::Append { stream: 2, count: 1, gap_ms: 2 });
    let of_memory = move |views: &super::ViewsReader| asked(read_all(views, 2).map(|all| all.len()));
    assert_eq!(reader.look(of_memory).await.expect("a look"), (here, 1));
    // Nor does damage pass for something that takes waiting.
    let path = Path::new("/v/runs/0000000000000000.run");
    (0..world.disk.bytes(path).len() as u64).for_each(|at| world.disk.flip(path, at));
    assert!(matches!(reader.look(of_stream).await, Err(crate::ReadError::Corrupt { .. })));
}

/// Readers run while the owner appends, checkpoints and merges; they never miss an entry.
#[test]
fn readers_see_a_gapless_stream_at_any_moment() {
    let mut world = World::new();
    let reader = world.store().views.reader();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut longest = 0;
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    let mut out = Vec::new();
                    reader.read(StreamId(1), 0, usize::MAX, Lsn(u64::MAX), &mut out).expect("read");
                    assert!((0..).zip(&out).all(|(i, e)| e.offset == i), "gap in {} entries", out.len());
                    assert!(out.len() >= longest);
                    longest = out.len();
                    let max = reader.bounds(StreamId(1), Lsn(u64::MAX)).expect("bounds").max;
                    assert!(max >= longest as u64);
                }
            });
        }
        for _ in 0..60 {
            let (store, model) = (world.store.as_mut().expect("open"), &mut world.model);
            for _ in 0..20 {
                let mut frame = store.log.begin_frame(Lsn::ZERO);
                let placed = frame.push(1, |_, _| {});
                store.log.append(frame).expect("append");
                let change = Change::Append { stream: 1, count: 1, gap_ms: 1 };
                apply(&mut store.views, Some(model), placed.lsn, placed.len, &change);
            }
            let job = store.views.checkpoint_begin(store.log.end());
            let done = job.run().expect("checkpoint");
            store.views.checkpoint_finish(done);
            if let Some(job) = store.views.merge_begin() {
                let done = job.run().expect("merge");
                store.views.merge_finish(done);
            }
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}
