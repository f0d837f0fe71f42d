//! What an append, a view entry and a view read cost. `cargo bench -p store`.

use base::Doors;
use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use model::{Lsn, StreamId};
use store::{NewEntry, Repair, Store, StoreConfig};

fn main() {
    divan::main();
}

fn fresh() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let config = StoreConfig::default();
    let store = Store::open(&Doors::system(), dir.path(), &config, Repair::Refuse).expect("open");
    (dir, store)
}

fn entry(lsn: u64) -> NewEntry {
    NewEntry { lsn: Lsn(lsn), len: 300, tag: 7, time_ms: 1_700_000_000_000, count: 1, flags: 0 }
}

/// Frames of `records` records of 200 bytes into the page cache.
#[divan::bench(args = [1, 16, 256])]
fn log_append(bencher: Bencher<'_, '_>, records: usize) {
    let (_dir, mut store) = fresh();
    let payload = [42_u8; 200];
    bencher.counter(ItemsCount::new(records)).counter(BytesCount::new(records * 212)).bench_local(|| {
        let mut frame = store.log.begin_frame(Lsn::ZERO);
        for _ in 0..records {
            frame.push(1, |_, out| out.extend_from_slice(&payload));
        }
        store.log.append(frame).expect("append")
    });
}

/// 64 records, then `fdatasync`.
#[divan::bench]
fn log_append_and_flush(bencher: Bencher<'_, '_>) {
    let (_dir, mut store) = fresh();
    let payload = [42_u8; 200];
    bencher.counter(ItemsCount::new(64_usize)).bench_local(|| {
        let mut frame = store.log.begin_frame(Lsn::ZERO);
        for _ in 0..64 {
            frame.push(1, |_, out| out.extend_from_slice(&payload));
        }
        store.log.append(frame).expect("append");
        store.log.flush().expect("flush")
    });
}

/// A payload of the tail cache.
#[divan::bench]
fn log_read_cached(bencher: Bencher<'_, '_>) {
    let (_dir, mut store) = fresh();
    let mut at = Vec::new();
    for _ in 0..100_000 {
        let mut frame = store.log.begin_frame(Lsn::ZERO);
        at.push(frame.push(1, |_, out| out.extend_from_slice(&[1; 200])));
        store.log.append(frame).expect("append");
    }
    let reader = store.log.reader();
    let mut next = at.iter().cycle();
    bencher.bench_local(|| {
        let placed = next.next().expect("a cycle");
        reader.cached(placed.lsn, placed.len)
    });
}

/// Round robin over `streams` streams, with the checkpoints and merges that this brings.
#[divan::bench(args = [1, 1_000, 1_000_000], sample_count = 20, sample_size = 1)]
fn views_append(bencher: Bencher<'_, '_>, streams: u64) {
    const ENTRIES: u64 = 200_000;
    let (_dir, mut store) = fresh();
    let mut n = 0;
    bencher.counter(ItemsCount::new(ENTRIES)).bench_local(|| {
        for _ in 0..ENTRIES {
            n += 1;
            let stream = (n * 7919) % streams;
            store.views.append(StreamId(stream), entry(n));
        }
        let job = store.views.checkpoint_begin(Lsn::ZERO);
        let done = job.run().expect("checkpoint");
        store.views.checkpoint_finish(done);
        while let Some(job) = store.views.merge_begin() {
            let done = job.run().expect("merge");
            store.views.merge_finish(done);
        }
    });
}

/// 32 entries from memory, or from run files.
#[divan::bench(args = [false, true])]
fn views_read_32(bencher: Bencher<'_, '_>, from_runs: bool) {
    const STREAMS: u64 = 1_000;
    let (_dir, mut store) = fresh();
    for n in 0..200 * STREAMS {
        store.views.append(StreamId(n % STREAMS), entry(n));
    }
    if from_runs {
        let job = store.views.checkpoint_begin(Lsn::ZERO);
        let done = job.run().expect("checkpoint");
        store.views.checkpoint_finish(done);
    }
    let reader = store.views.reader();
    let mut out = Vec::new();
    let mut n = 0;
    bencher.bench_local(|| {
        n += 1;
        out.clear();
        reader.read(StreamId((n * 7919) % STREAMS), n % 160, 32, Lsn(u64::MAX), &mut out).expect("read");
        assert_eq!(out.len(), 32);
    });
}

/// A frame's records applied again.
#[divan::bench(sample_count = 20)]
fn log_replay_100k_records(bencher: Bencher<'_, '_>) {
    let (_dir, mut store) = fresh();
    for _ in 0..1_000 {
        let mut frame = store.log.begin_frame(Lsn::ZERO);
        for _ in 0..100 {
            frame.push(1, |_, out| out.extend_from_slice(&[1; 200]));
        }
        store.log.append(frame).expect("append");
    }
    let log = &store.log;
    bencher.counter(ItemsCount::new(100_000_u64)).bench_local(|| {
        let mut bytes = 0;
        log.replay(log.start(), log.end(), &mut |r| {
            bytes += r.payload.len();
            Ok(())
        })
        .expect("replay");
        bytes
    });
}
