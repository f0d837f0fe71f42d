use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::{Chance, Disk, OpenMode};
use model::{Epoch, Lsn};

use crate::store::{Repair, Store};
use crate::test_disk::{TestChance, TestDisk};
use crate::{DiskState, LogError, OpenError, Preparation, ReadError, StoreConfig};

mod prepared;
mod walk;

fn dir() -> &'static Path {
    Path::new("/s")
}

fn segment(base: u64) -> PathBuf {
    dir().join("log").join(format!("{base:020}.log"))
}

fn small() -> StoreConfig {
    StoreConfig { segment_bytes: 4096, tail_cache_bytes: 2000, ..StoreConfig::default() }
}

fn open(disk: &Arc<TestDisk>) -> Store {
    try_open(disk, Repair::Refuse).expect("open")
}

fn try_open(disk: &Arc<TestDisk>, repair: Repair) -> Result<Store, OpenError> {
    let opened = Store::open(&disk.doors(), dir(), &small(), repair);
    if opened.is_err() {
        disk.crash();
    }
    opened
}

/// Appends one frame of one record.
fn put(store: &mut Store, payload: &[u8]) -> Result<Lsn, LogError> {
    put_at(store, payload, Lsn::ZERO)
}

fn put_at(store: &mut Store, payload: &[u8], commit: Lsn) -> Result<Lsn, LogError> {
    let mut frame = store.log.begin_frame(commit);
    let placed = frame.push(1, |_, out| out.extend_from_slice(payload));
    store.log.append(frame).map(|_| placed.lsn)
}

fn payloads(store: &Store) -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    let log = &store.log;
    log.replay(log.start(), log.end(), &mut |r| {
        out.push(r.payload.to_vec());
        Ok(())
    })
    .expect("replay");
    out
}

fn numbered(n: usize) -> Vec<Vec<u8>> {
    (0..n).map(|i| format!("record {i:5} {}", "x".repeat(i % 300)).into_bytes()).collect()
}

#[test]
fn what_is_appended_is_read_hot_and_cold_and_after_reopening() {
    let disk = Arc::new(TestDisk::default());
    let mut store = open(&disk);
    let wanted = numbered(100);
    let at: Vec<Lsn> = wanted.iter().map(|p| put(&mut store, p).expect("append")).collect();
    let reader = store.log.reader();
    assert!(reader.cached(at[0], 0).is_none());
    assert!(reader.cached(at[99], 0).is_some());
    for (lsn, payload) in at.iter().zip(&wanted) {
        assert_eq!(reader.read(*lsn, 0).expect("read"), payload.as_slice());
        assert_eq!(reader.read(*lsn, payload.len() as u32 + 12).expect("read"), payload.as_slice());
    }
    assert!(reader.read(Lsn(at[3].get() + 1), 0).is_err());
    assert!(matches!(reader.read(store.log.end(), 0), Err(ReadError::BeyondEnd { .. })));
    assert_eq!(payloads(&store), wanted);
    let end = store.log.end();
    store.close().expect("close");
    disk.crash();
    let store = open(&disk);
    assert!(store.recovery().clean);
    assert_eq!(store.log.end(), end);
    assert_eq!(payloads(&store), wanted);
    assert!(disk.list(&dir().join("log")).expect("list").len() >= 3);
}

#[tokio::test]
async fn many_are_read_at_once_in_order() {
    let disk = Arc::new(TestDisk::default());
    let mut store = open(&disk);
    let wanted = numbered(100);
    let mut wants: Vec<(Lsn, u32)> = Vec::new();
    for p in &wanted {
        let lsn = put(&mut store, p).expect("append");
        wants.push((lsn, if wants.len().is_multiple_of(7) { 0 } else { p.len() as u32 + 12 }));
    }
    wants.push((Lsn(wants[5].0.get() + 3), 20));
    wants.push((store.log.end(), 20));
    wants.reverse();
    let mut out = Vec::new();
    store.log.reader().read_many(&wants, &mut out).await;
    assert!(matches!(out[0], Err(ReadError::BeyondEnd { .. })));
    assert!(matches!(out[1], Err(ReadError::Corrupt { .. })));
    let got: Vec<_> = out[2..].iter().rev().map(|r| r.as_ref().expect("read").to_vec()).collect();
    assert_eq!(got, wanted);
}

/// Whether a record comes from memory, from the disk at once, or from the pool.
#[tokio::test]
async fn what_is_not_wanted_is_left_where_it_stands() {
    let disk = Arc::new(TestDisk::default());
    let mut store = open(&disk);
    let all = numbered(300);
    let wants: Vec<(Lsn, u32)> =
        all.iter().map(|p| (put(&mut store, p).expect("append"), p.len() as u32 + 12)).collect();
    let reader = store.log.reader();
    assert!(reader.cached(wants[0].0, 0).is_none() && reader.cached(wants[299].0, 0).is_some());
    let read = reader.read_wanted(&wants, |i, payload| payload == all[i] && i % 3 == 1).await;
    assert_eq!(read.len(), all.len());
    for (i, payload) in read.into_iter().enumerate() {
        let expected = (i % 3 == 1).then(|| all[i].clone());
        assert_eq!(payload.map(|read| read.expect("read").to_vec()), expected, "{i}");
    }
}

/// A reader whose client takes nothing is not polled: it must not hold what others wait for.
#[tokio::test]
async fn a_reader_that_is_left_alone_holds_nobody_up() {
    let disk = Arc::new(TestDisk::default());
    let config = StoreConfig { cold_read_concurrency: 1, ..small() };
    let mut store = Store::open(&disk.doors(), dir(), &config, Repair::Refuse).expect("open");
    let wants: Vec<(Lsn, u32)> =
        numbered(100).iter().map(|p| (put(&mut store, p).expect("append"), p.len() as u32 + 12)).collect();
    let reader = store.log.reader();
    let (mut left, mut mine) = (Vec::new(), Vec::new());
    let mut left_alone = Box::pin(reader.read_many(&wants[..50], &mut left));
    assert!(futures::poll!(left_alone.as_mut()).is_pending());
    reader.read_many(&wants[10..60], &mut mine).await;
    assert!(mine.iter().all(Result::is_ok));
    left_alone.await;
    assert!(left.iter().all(Result::is_ok));
}

/// What a reader does not come for is counted as long as it is kept, and given up for others; it reads again.
#[tokio::test]
async fn a_read_that_nobody_takes_up_is_counted_and_gives_way() {
    let disk = Arc::new(TestDisk::default());
    // Of the mebibyte half is room; each of the two reads takes more than half of that.
    let config = StoreConfig { cold_read_bytes_max: 1024 * 1024, ..small() };
    let mut store = Store::open(&disk.doors(), dir(), &config, Repair::Refuse).expect("open");
    let payload = vec![b'x'; 60_000];
    let wants: Vec<(Lsn, u32)> =
        (0..8).map(|_| (put(&mut store, &payload).expect("append"), payload.len() as u32 + 12)).collect();
    let reader = store.log.reader();
    let (mut left, mut mine) = (Vec::new(), Vec::new());
    let mut left_alone = Box::pin(reader.read_many(&wants[..6], &mut left));
    assert!(futures::poll!(left_alone.as_mut()).is_pending());
    reader.read_many(&wants[1..7], &mut mine).await;
    assert!(mine.iter().all(Result::is_ok));
    assert!(futures::poll!(left_alone.as_mut()).is_pending(), "its read was given up, and is done again");
    left_alone.await;
    assert_eq!(left.len(), 6);
    assert!(left.iter().all(Result::is_ok));
}

#[test]
fn a_frame_may_be_patched_until_it_is_appended() {
    let disk = Arc::new(TestDisk::default());
    let mut store = open(&disk);
    let mut frame = store.log.begin_frame(Lsn::ZERO);
    assert!(frame.is_empty());
    let first = frame.push(1, |lsn, out| {
        assert_eq!(lsn, Lsn(40));
        out.extend_from_slice(b"????");
    });
    let next = frame.next_lsn();
    let second = frame.push(2, |_, out| out.extend_from_slice(b"second"));
    frame.push(3, |_, out| out.extend_from_slice(b"taken back"));
    frame.rewind(2);
    assert_eq!(second.lsn, next);
    assert_eq!(first.len, 16);
    frame.payload_mut(0).expect("the first record").copy_from_slice(b"done");
    assert_eq!(frame.record(1).map(|r| (r.kind, r.payload)), Some((2, &b"second"[..])));
    assert_eq!(frame.records().count(), 2);
    let end = store.log.append(frame).expect("append");
    assert_eq!(end, store.log.end());
    assert_eq!(store.log.reader().read(first.lsn, first.len).expect("read"), &b"done"[..]);
    assert_eq!(store.log.reader().kind_at(second.lsn).expect("kind"), 2);
    assert_eq!(payloads(&store), [b"done".to_vec(), b"second".to_vec()]);
}

#[test]
fn a_stale_frame_and_an_old_epoch_are_refused() {
    let disk = Arc::new(TestDisk::default());
    let mut store = open(&disk);
    let mut stale = store.log.begin_frame(Lsn::ZERO);
    stale.push(1, |_, _| {});
    let mut old = store.log.begin_frame(Lsn::ZERO);
    old.push(1, |_, _| {});
    store.log.set_epoch(Epoch(3));
    assert!(matches!(store.log.append(old), Err(LogError::OldEpoch { .. })));
    put(&mut store, b"x").expect("append");
    assert!(matches!(store.log.append(stale), Err(LogError::NotAtEnd { .. })));
    store.log.set_epoch(Epoch(1));
    assert_eq!(store.log.epoch(), Epoch(3));
}

#[test]
fn a_torn_tail_is_cut_whatever_part_of_the_last_write_arrived() {
    let mut whole = Vec::new();
    for keep in 0..60 {
        let disk = Arc::new(TestDisk::default());
        let mut store = open(&disk);
        put(&mut store, b"first").expect("append");
        store.log.flush().expect("flush");
        let end = store.log.end();
        put(&mut store, b"second").expect("append");
        drop(store);
        disk.crash();
        let mut bytes = disk.bytes(&segment(0));
        whole.clone_from(&bytes);
        bytes.truncate(end.get() as usize + keep.min(57));
        disk.put(&segment(0), bytes);
        let store = open(&disk);
        assert_eq!(store.log.end(), end);
        assert_eq!(store.recovery().log.torn_bytes, keep.min(57) as u64);
        assert_eq!(payloads(&store), [b"first".to_vec()]);
        assert_eq!(disk.bytes(&segment(0)).len() as u64, end.get());
    }
}

#[test]
fn damage_before_whole_frames_is_refused_and_cut_only_at_the_operators_word() {
    let disk = Arc::new(TestDisk::default());
    let mut store = open(&disk);
    let at: Vec<Lsn> = numbered(60).iter().map(|p| put(&mut store, p).expect("append")).collect();
    drop(store);
    disk.crash();
    // In the first of several segments: proven by the later ones.
    disk.flip(&segment(0), at[2].get() + 3);
    assert!(matches!(try_open(&disk, Repair::Refuse), Err(OpenError::Corrupt { .. })));
    let store = try_open(&disk, Repair::TruncateCorrupt).expect("open");
    assert!(store.recovery().log.corrupt_bytes > 0);
    assert_eq!(payloads(&store), numbered(2));
    drop(store);
    disk.crash();
    assert_eq!(payloads(&open(&disk)), numbered(2));
}

#[test]
fn a_repair_that_would_not_help_changes_nothing() {
    let disk = Arc::new(TestDisk::default());
    let mut store = open(&disk);
    let mut at = Vec::new();
    for p in numbered(60) {
        at.push(put(&mut store, &p).expect("append"));
    }
    // So far back that the frame before is not remembered: the next start looks for it below.
    let checkpoint = Lsn(at[10].get() - 40);
    let done = store.views.checkpoint_begin(checkpoint).run().expect("checkpoint");
    store.views.checkpoint_finish(done);
    drop(store);
    disk.crash();
    let image = || -> Vec<_> {
        let names = disk.list(&dir().join("log")).expect("list");
        names.iter().map(|name| disk.bytes(&dir().join("log").join(name))).collect()
    };
    disk.flip(&segment(0), at[2].get() + 3);
    let before = image();
    for repair in [Repair::Refuse, Repair::TruncateCorrupt] {
        let refused = try_open(&disk, repair);
        assert!(matches!(refused, Err(OpenError::DamagedBelowCheckpoint { .. })), "{refused:?}");
        assert_eq!(image(), before);
    }
    for name in disk.list(&dir().join("log")).expect("list") {
        let path = dir().join("log").join(name);
        let keep = if path == segment(0) { checkpoint.get() as usize - 1 } else { 0 };
        let bytes = disk.bytes(&path);
        disk.put(&path, bytes[..keep].to_vec());
        if keep == 0 {
            disk.remove(&path).expect("remove");
        }
    }
    let before = image();
    for repair in [Repair::Refuse, Repair::TruncateCorrupt] {
        assert!(matches!(try_open(&disk, repair), Err(OpenError::LogBehind { .. })));
        assert_eq!(image(), before);
    }
}

#[test]
fn within_the_last_segment_the_proof_is_the_same_boot_or_a_flush() {
    for (flush, cut, refused) in
        [(false, false, true), (true, false, true), (true, true, true), (false, true, false)]
    {
        let disk = Arc::new(TestDisk::default());
        let mut store = open(&disk);
        put(&mut store, b"zero").expect("append");
        store.log.flush().expect("flush");
        let damaged = put(&mut store, b"one").expect("append");
        if flush {
            store.log.flush().expect("flush");
        }
        let commit = store.log.end();
        put_at(&mut store, b"two", commit).expect("append");
        let bytes = disk.bytes(&segment(0));
        drop(store);
        disk.crash();
        if cut {
            disk.power_cut(&TestChance::new(1));
        }
        disk.put(&segment(0), bytes);
        disk.flip(&segment(0), damaged.get() + 13);
        let opened = try_open(&disk, Repair::Refuse);
        assert_eq!(opened.is_err(), refused, "flush {flush} cut {cut}");
        if let Ok(store) = opened {
            assert_eq!(payloads(&store), [b"zero".to_vec()]);
            assert_eq!(store.recovery().log.committed_lost, Some(commit));
            assert!(store.recovery().power_lost);
        }
    }
}

#[test]
fn a_shorter_log_than_at_an_orderly_close_is_corruption() {
    let disk = Arc::new(TestDisk::default());
    let mut store = open(&disk);
    put(&mut store, b"one").expect("append");
    put(&mut store, b"two").expect("append");
    store.close().expect("close");
    disk.crash();
    let mut bytes = disk.bytes(&segment(0));
    bytes.truncate(bytes.len() - 1);
    disk.put(&segment(0), bytes);
    assert!(matches!(try_open(&disk, Repair::Refuse), Err(OpenError::Corrupt { .. })));
}

#[test]
fn a_damaged_record_is_an_error_never_an_answer() {
    let disk = Arc::new(TestDisk::default());
    let mut store = open(&disk);
    let at: Vec<Lsn> = numbered(100).iter().map(|p| put(&mut store, p).expect("append")).collect();
    for place in 0..20 {
        disk.flip(&segment(0), at[1].get() + place);
        let read = store.log.reader().read(at[1], 0);
        let exact = store.log.reader().read(at[1], numbered(2)[1].len() as u32 + 12);
        assert!(matches!(read, Err(ReadError::Corrupt { .. })), "{place} {read:?}");
        assert!(matches!(exact, Err(ReadError::Corrupt { .. })), "{place}");
        disk.flip(&segment(0), at[1].get() + place);
    }
    assert!(store.log.reader().read(at[1], 0).is_ok());
}

#[test]
fn a_full_disk_refuses_frames_loses_nothing_and_recovers() {
    let disk = Arc::new(TestDisk::default());
    let mut store = open(&disk);
    put(&mut store, b"before").expect("append");
    for room in 0..60 {
        disk.limit(Some(room));
        let end = store.log.end();
        let result = put(&mut store, b"refused");
        if room < 40 + 12 + 7 {
            assert!(matches!(result, Err(LogError::DiskFull)), "{room}");
            assert_eq!(store.log.end(), end);
            assert_eq!(disk.bytes(&segment(0)).len() as u64, end.get());
            assert_eq!(store.log.space().expect("space"), DiskState::Full);
        } else {
            result.expect("fits");
        }
    }
    disk.limit(None);
    put(&mut store, b"after").expect("append");
    assert_eq!(store.log.space().expect("space"), DiskState::Ok);
    assert_eq!(payloads(&store), [b"before".to_vec(), b"refused".to_vec(), b"after".to_vec()]);
    disk.limit(Some(16));
    assert_eq!(store.log.space().expect("space"), DiskState::Ok);
    disk.limit(Some(15));
    assert_eq!(store.log.space().expect("space"), DiskState::RefuseProducers);
    disk.limit(Some(16));
    assert_eq!(store.log.space().expect("space"), DiskState::RefuseProducers);
    disk.limit(Some(20));
    assert_eq!(store.log.space().expect("space"), DiskState::Ok);
}

#[test]
fn a_disk_that_is_full_at_the_end_of_a_segment_leaves_no_half_made_one() {
    let disk = Arc::new(TestDisk::default());
    let mut store = open(&disk);
    put(&mut store, &[1; 3900]).expect("append");
    disk.fill_dir_in(1);
    assert!(matches!(put(&mut store, &[2; 1000]), Err(LogError::DiskFull)));
    put(&mut store, b"small").expect("fits the old segment");
    drop(store);
    disk.crash();
    let mut store = open(&disk);
    assert_eq!(payloads(&store), [vec![1; 3900], b"small".to_vec()]);
    put(&mut store, &[3; 1000]).expect("append");
    assert_eq!(payloads(&store).len(), 3);
}

#[test]
fn a_failed_flush_fences_for_good() {
    let disk = Arc::new(TestDisk::default());
    let mut store = open(&disk);
    put(&mut store, b"one").expect("append");
    disk.fail_syncs(true);
    assert!(matches!(store.log.flush(), Err(LogError::Fenced { .. })));
    disk.fail_syncs(false);
    let bytes = disk.bytes(&segment(0));
    assert!(matches!(store.log.flush(), Err(LogError::Fenced { .. })));
    assert!(matches!(put(&mut store, b"two"), Err(LogError::Fenced { .. })));
    assert_eq!(disk.bytes(&segment(0)), bytes);
    assert_eq!(store.log.flushed(), Lsn::ZERO);
    assert!(store.close().is_err());
}

#[test]
fn what_a_failed_flush_left_in_the_page_cache_is_written_again() {
    for with_checkpoint in [false, true] {
        let disk = Arc::new(TestDisk::default());
        let mut store = open(&disk);
        put(&mut store, b"one").expect("append");
        store.log.flush().expect("flush");
        if with_checkpoint {
            let done = store.views.checkpoint_begin(store.log.end()).run().expect("checkpoint");
            store.views.checkpoint_finish(done);
        }
        put(&mut store, b"two").expect("append");
        put(&mut store, b"three").expect("append");
        disk.fail_syncs(true);
        assert!(store.log.flush().is_err());
        drop(store);
        disk.crash();
        assert!(try_open(&disk, Repair::Refuse).is_err(), "opened although nothing can be made durable");
        disk.fail_syncs(false);
        let mut store = open(&disk);
        let wanted = [b"one".to_vec(), b"two".to_vec(), b"three".to_vec()];
        assert_eq!(payloads(&store), wanted);
        assert_eq!(store.log.flushed(), store.log.end());
        put(&mut store, b"four").expect("append");
        drop(store);
        disk.power_cut(&TestChance::new(7));
        assert_eq!(payloads(&open(&disk))[..3], wanted);
    }
}

#[test]
fn a_cut_log_goes_on_from_there() {
    let disk = Arc::new(TestDisk::default());
    let mut store = open(&disk);
    let mut ends = Vec::new();
    for p in numbered(60) {
        put(&mut store, &p).expect("append");
        ends.push(store.log.end());
    }
    assert!(matches!(store.log.truncate(Lsn(ends[40].get() - 1)), Err(LogError::BadCut { .. })));
    store.log.truncate(ends[40]).expect("cut in memory");
    store.log.truncate(ends[4]).expect("cut on disk");
    assert_eq!(store.log.end(), ends[4]);
    let mut wanted = numbered(5);
    assert_eq!(payloads(&store), wanted);
    put(&mut store, b"after").expect("append");
    wanted.push(b"after".to_vec());
    assert_eq!(payloads(&store), wanted);
    drop(store);
    disk.crash();
    assert_eq!(payloads(&open(&disk)), wanted);
}

#[test]
fn the_log_is_not_cut_below_a_checkpoint_that_may_stand_on_disk() {
    let disk = Arc::new(TestDisk::default());
    let mut store = open(&disk);
    let mut ends = Vec::new();
    for p in numbered(6) {
        put(&mut store, &p).expect("append");
        ends.push(store.log.end());
    }
    let job = store.views.checkpoint_begin(ends[5]);
    // The folder of the runs, then that of the manifest, whose new name already shows.
    disk.fill_dir_in(2);
    assert!(job.run().is_err());
    assert_eq!(store.views.checkpoint_lsn(), Lsn::ZERO);
    assert_eq!(store.log.cut_floor(), ends[5]);
    assert!(matches!(store.log.truncate(ends[2]), Err(LogError::BadCut { .. })));
    store.log.truncate(ends[5]).expect("cut");
    drop(store);
    disk.crash();
    let store = open(&disk);
    assert_eq!(store.views.checkpoint_lsn(), ends[5]);
    assert_eq!(payloads(&store), numbered(6));
}

#[test]
fn a_copy_of_a_log_is_equal_byte_for_byte() {
    let (disk, other) = (Arc::new(TestDisk::default()), Arc::new(TestDisk::default()));
    let (mut store, mut copy) = (open(&disk), open(&other));
    for (i, p) in numbered(100).iter().enumerate() {
        store.log.set_epoch(Epoch(i as u32 / 30));
        put(&mut store, p).expect("append");
    }
    while copy.log.end() < store.log.end() {
        for frame in store.log.reader().frames(copy.log.end(), 1000).expect("frames") {
            copy.log.append_copy(frame).expect("copy");
        }
    }
    assert_eq!(payloads(&copy), payloads(&store));
    assert_eq!(copy.log.epoch(), store.log.epoch());
    for name in disk.list(&dir().join("log")).expect("list") {
        let path = dir().join("log").join(name);
        assert_eq!(disk.bytes(&path), other.bytes(&path));
    }
    let first = store.log.reader().frames(Lsn::ZERO, 1).expect("frames");
    assert!(matches!(copy.log.append_copy(first[0].clone()), Err(LogError::BadFrame { .. })));
}

#[test]
fn trimming_frees_whole_segments_below_the_checkpoint_and_reuses_them() {
    let disk = Arc::new(TestDisk::default());
    let mut store = open(&disk);
    let at: Vec<Lsn> = numbered(100).iter().map(|p| put(&mut store, p).expect("append")).collect();
    let end = store.log.end();
    assert_eq!(store.log.trim(end).expect("trim"), 0);
    let job = store.views.checkpoint_begin(end);
    let done = job.run().expect("checkpoint");
    store.views.checkpoint_finish(done);
    let freed = store.log.trim(Lsn(9000)).expect("trim");
    assert_eq!(freed, store.log.start().get());
    assert!(freed > 4096 && freed <= 9000);
    let reader = store.log.reader();
    assert!(matches!(reader.read(at[0], 0), Err(ReadError::Trimmed { .. })));
    let spares =
        || disk.list(&dir().join("log")).expect("list").iter().filter(|n| n.ends_with("spare")).count();
    assert_eq!(spares(), 2);
    for p in numbered(60) {
        put(&mut store, &p).expect("append");
    }
    assert_eq!(spares(), 0);
    let (start, end) = (store.log.start(), store.log.end());
    let wanted = payloads(&store);
    drop(store);
    disk.crash();
    // Stale bytes behind the end are no corruption.
    let store = open(&disk);
    assert_eq!((store.log.start(), store.log.end()), (start, end));
    assert_eq!(store.recovery().log.torn_bytes, 0);
    assert_eq!(payloads(&store), wanted);
}

/// Prepares the next segment; `false`: it is not time to.
fn prepare(store: &mut Store) -> bool {
    prepare_for(store, Preparation::Flushes)
}

fn prepare_for(store: &mut Store, preparation: Preparation) -> bool {
    let Some(job) = store.log.prepare_begin(preparation) else { return false };
    let prepared = job.run();
    store.log.prepare_finish(prepared).expect("prepared");
    true
}

fn files(disk: &Arc<TestDisk>, suffix: &str) -> Vec<String> {
    let names = disk.list(&dir().join("log")).expect("list");
    names.into_iter().filter(|name| name.ends_with(suffix)).collect()
}

#[test]
fn a_trimmed_segment_that_cannot_be_removed_stays_away() {
    let disk = Arc::new(TestDisk::default());
    let mut store = open(&disk);
    for p in numbered(100) {
        put(&mut store, &p).expect("append");
    }
    let checkpoint = |store: &mut Store| {
        let done = store.views.checkpoint_begin(store.log.end()).run().expect("checkpoint");
        store.views.checkpoint_finish(done);
    };
    checkpoint(&mut store);
    disk.fail_names(true);
    assert!(store.log.trim(Lsn(9000)).is_err());
    let start = store.log.start();
    assert!(start > Lsn::ZERO);
    disk.fail_names(false);
    put(&mut store, b"more").expect("append");
    checkpoint(&mut store);
    let wanted = payloads(&store);
    let stale = disk.bytes(&segment(0));
    store.close().expect("close");
    disk.crash();
    let report = crate::verify(&disk.doors(), dir());
    assert!(report.is_sound() && report.start == start, "{report:?}");
    disk.crash();
    let mut store = open(&disk);
    assert_eq!((store.log.start(), payloads(&store)), (start, wanted));
    assert!(!disk.exists(&segment(0)));
    // Back from the dead with the removed one behind it missing: still no part of the log.
    store.log.trim(Lsn(9000)).expect("trim");
    let start = store.log.start();
    put(&mut store, b"end").expect("append");
    checkpoint(&mut store);
    drop(store);
    disk.crash();
    disk.put(&segment(0), stale);
    assert_eq!(open(&disk).log.start(), start);
}

#[test]
fn retention_names_old_and_surplus_segments() {
    let disk = Arc::new(TestDisk::default());
    let mut store = open(&disk);
    for p in numbered(100) {
        put(&mut store, &p).expect("append");
    }
    let now = disk.doors().clock.now_ms();
    assert_eq!(store.log.retention_target(now), Lsn::ZERO);
    let later = now + 73 * 3_600_000;
    let target = store.log.retention_target(later);
    assert!(target > Lsn(8000) && target < store.log.end());
    let config = StoreConfig { retention_bytes: Some(9000), retention_ms: None, ..small() };
    store.close().expect("close");
    disk.crash();
    let store = Store::open(&disk.doors(), dir(), &config, Repair::Refuse).expect("open");
    let target = store.log.retention_target(later);
    let left = store.log.end().get() - target.get();
    assert!(left <= 9000 && left > 4096, "{left}");
}

/// Whatever a power cut takes, what was flushed is there, in order, and nothing else.
#[test]
fn power_cuts_take_only_what_was_not_flushed() {
    for seed in 0..400 {
        let chance = TestChance::new(seed);
        let disk = Arc::new(TestDisk::default());
        let mut written: Vec<Vec<u8>> = Vec::new();
        let mut flushed = 0;
        let mut store = open(&disk);
        for round in 0..6 {
            for i in 0..chance.below(12) {
                if chance.below(6) == 0 {
                    prepare(&mut store);
                }
                let payload =
                    format!("{seed} {round} {i} {}", "y".repeat(chance.below(900) as usize)).into_bytes();
                put(&mut store, &payload).expect("append");
                written.push(payload);
                if chance.below(3) == 0 {
                    store.log.flush().expect("flush");
                    flushed = written.len();
                }
            }
            let power = chance.below(2) == 0;
            drop(store);
            if power {
                disk.power_cut(&chance)
            } else {
                disk.crash()
            }
            store = try_open(&disk, Repair::Refuse).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
            let found = payloads(&store);
            let least = if power { flushed } else { written.len() };
            assert!(found.len() >= least, "seed {seed} round {round}: {} of {least}", found.len());
            assert_eq!(found, written[..found.len()], "seed {seed}");
            written = found;
            flushed = written.len();
        }
    }
}
