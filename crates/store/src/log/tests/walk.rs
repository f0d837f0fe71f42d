//! Walks over several segments.

use super::*;

type Records = Vec<(Lsn, Vec<u8>)>;

/// Appends one frame of records of two kinds, so that some stand in the middle of a frame.
fn put_all(store: &mut Store, payloads: &[Vec<u8>]) -> Records {
    let mut frame = store.log.begin_frame(Lsn::ZERO);
    let mut placed = Vec::new();
    for (at, payload) in payloads.iter().enumerate() {
        let kind = if at.is_multiple_of(3) { 2 } else { 1 };
        let lsn = frame.push(kind, |_, out| out.extend_from_slice(payload)).lsn;
        if kind == 1 {
            placed.push((lsn, payload.clone()));
        }
    }
    store.log.append(frame).expect("append");
    placed
}

fn walked(store: &Store, from: Lsn, to: Lsn, most: usize) -> (Result<Lsn, ReadError>, Records) {
    let mut seen = Vec::new();
    let wants = |kind: u8| kind == 1;
    let end = store.log.reader().walk(from, to, &wants, &mut |lsn, record| {
        assert_eq!(record.kind, 1, "others are not handed out");
        seen.push((lsn, record.payload.to_vec()));
        seen.len() < most
    });
    (end, seen)
}

#[test]
fn a_walk_goes_from_segment_to_segment_and_from_any_record_on() {
    let disk = Arc::new(TestDisk::default());
    let mut store = open(&disk);
    let mut all = Vec::new();
    for frame in numbered(300).chunks(4) {
        all.extend(put_all(&mut store, frame));
    }
    let (start, end) = (store.log.start(), store.log.end());
    assert!(disk.list(&dir().join("log")).expect("list").len() >= 4, "several segments");
    for is_reopened in [false, true] {
        if is_reopened {
            store.close().expect("close");
            disk.crash();
            store = open(&disk);
        }
        let (reached, seen) = walked(&store, start, end, usize::MAX);
        assert_eq!(reached.expect("walked"), end);
        assert_eq!(seen, all);
        for (at, (lsn, _)) in all.iter().enumerate() {
            let (reached, seen) = walked(&store, *lsn, end, usize::MAX);
            assert_eq!((reached.expect("walked"), seen.as_slice()), (end, &all[at..]), "from {lsn}");
            let (_, seen) = walked(&store, start, *lsn, usize::MAX);
            assert_eq!(seen, all[..at], "up to {lsn}");
        }
        let (reached, seen) = walked(&store, start, end, 5);
        assert_eq!(seen, all[..5]);
        assert!(reached.expect("stopped") <= all[5].0);
        let (reached, seen) = walked(&store, start, Lsn(u64::MAX), usize::MAX);
        assert_eq!((reached.expect("no further than the end"), seen.len()), (end, all.len()));
    }
}

#[test]
fn a_walk_tells_what_is_gone() {
    let disk = Arc::new(TestDisk::default());
    let mut store = open(&disk);
    let all: Vec<_> = numbered(300).chunks(4).flat_map(|frame| put_all(&mut store, frame)).collect();
    let end = store.log.end();
    let job = store.views.checkpoint_begin(end);
    let done = job.run().expect("checkpoint");
    store.views.checkpoint_finish(done);
    store.log.trim(Lsn(9_000)).expect("trim");
    let start = store.log.start();
    assert!(start > all[0].0);
    let (reached, seen) = walked(&store, all[0].0, end, usize::MAX);
    assert!(matches!(reached, Err(ReadError::Trimmed { .. })) && seen.is_empty());
    let left: Vec<_> = all.into_iter().filter(|(lsn, _)| *lsn >= start).collect();
    assert_eq!(walked(&store, start, end, usize::MAX).1, left);
}
