//! The next segment, prepared ahead.

use super::*;

#[test]
fn a_prepared_segment_is_taken_at_once_and_then_used_up() {
    let disk = Arc::new(TestDisk::default());
    let mut store = open(&disk);
    put(&mut store, b"little").expect("append");
    assert!(!prepare(&mut store), "who writes little needs none");
    put(&mut store, &[b'x'; 1100]).expect("append");
    assert!(prepare(&mut store));
    assert_eq!(files(&disk, ".spare"), ["00000000000000000000.ahead.spare"]);
    assert!(!prepare(&mut store), "one is enough");
    let left = store.log.end();
    put(&mut store, b"the first of the next").expect("append");
    assert_eq!(disk.bytes(&segment(0)).len() as u64, left.get(), "left early, without spare bytes");
    assert_eq!(disk.bytes(&segment(left.get())).len(), 4096);
    assert!(files(&disk, ".spare").is_empty());
    assert!(!prepare(&mut store), "this one has room");
    put(&mut store, &[b'y'; 1100]).expect("append");
    assert!(prepare(&mut store));
    put(&mut store, b"still here").expect("append");
    assert_eq!(files(&disk, ".log").len(), 2, "a prepared segment is not left early");
    // Stays whole through a crash, with zeros behind its end and a spare beside it.
    let (wanted, end) = (payloads(&store), store.log.end());
    drop(store);
    disk.crash();
    let mut store = open(&disk);
    assert_eq!((payloads(&store), store.log.end()), (wanted, end));
    assert_eq!(store.recovery().log.torn_bytes, 0);
    // The spare is prepared again, not a second one made.
    put(&mut store, &[b'z'; 1100]).expect("append");
    assert!(prepare(&mut store));
    assert_eq!(files(&disk, ".spare").len(), 1);
    put(&mut store, b"last").expect("append");
    store.close().expect("close");
    disk.crash();
    let report = crate::verify(&disk.doors(), dir());
    assert!(report.is_sound() && report.tail_bytes == 0, "{report:?}");
}

#[test]
fn a_segment_that_cannot_be_prepared_changes_nothing() {
    let disk = Arc::new(TestDisk::default());
    let mut store = open(&disk);
    put(&mut store, &[b'x'; 1100]).expect("append");
    let job = store.log.prepare_begin(Preparation::Flushes).expect("it is time");
    disk.fail_syncs(true);
    let prepared = job.run();
    disk.fail_syncs(false);
    assert!(store.log.prepare_finish(prepared).is_err());
    assert!(files(&disk, ".spare").is_empty());
    assert!(!prepare(&mut store), "not again in this segment");
    put(&mut store, &[b'x'; 3000]).expect("append");
    store.log.flush().expect("the log itself is well");
    assert!(prepare(&mut store));
    // A log that closes waits for nobody.
    put(&mut store, b"taken").expect("append");
    put(&mut store, &[b'x'; 1100]).expect("append");
    let job = store.log.prepare_begin(Preparation::Flushes).expect("it is time");
    store.log.prepare_cancel();
    assert!(job.run().expect("no fault").is_none());
}

#[test]
fn a_reserved_segment_is_as_good_even_over_old_frames() {
    let disk = Arc::new(TestDisk::default());
    let mut store = open(&disk);
    put(&mut store, &[b'x'; 1100]).expect("append");
    assert!(prepare_for(&mut store, Preparation::Writes));
    let spares = files(&disk, ".spare");
    let [spare] = spares.as_slice() else { panic!("one spare, not {spares:?}") };
    // As if it were a segment of before: whole frames, of lower positions.
    let old = disk.bytes(&segment(0));
    let path = dir().join("log").join(spare);
    disk.open(&path, OpenMode::ReadWrite).and_then(|file| file.write_at(&old, 0)).expect("old frames");
    put(&mut store, b"the first of the next").expect("append");
    assert_eq!(files(&disk, ".log").len(), 2);
    let (wanted, end) = (payloads(&store), store.log.end());
    store.log.flush().expect("flush");
    drop(store);
    disk.crash();
    let store = open(&disk);
    assert_eq!((payloads(&store), store.log.end()), (wanted, end));
    assert_eq!(store.recovery().log.torn_bytes, 0);
}
