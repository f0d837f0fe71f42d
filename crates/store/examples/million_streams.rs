//! A million streams: what they cost in time, memory and disk, and how long opening takes.
//! `cargo run --release -p store --example million_streams [streams] [rounds]`

use std::time::Duration;

use base::Doors;
use model::{Lsn, StreamId};
use store::{NewEntry, Repair, Store, StoreConfig};

const ENTRIES_PER_CHECKPOINT: u64 = 220_000;

fn main() {
    let mut args = std::env::args().skip(1);
    let streams: u64 = args.next().and_then(|a| a.parse().ok()).unwrap_or(1_000_000);
    let rounds: u64 = args.next().and_then(|a| a.parse().ok()).unwrap_or(10);
    let doors = Doors::system();
    let dir = tempfile::tempdir().expect("a temporary folder");
    let config = StoreConfig::default();
    let mut store = Store::open(&doors, dir.path(), &config, Repair::Refuse).expect("open");
    let (mut appending, mut beginning, mut writing, mut finishing) =
        <(Duration, Duration, Duration, Duration)>::default();
    let mut longest_begin = Duration::ZERO;
    let total = streams * rounds;
    for n in 0..total {
        // Every checkpoint is its own measurement.
        if n % ENTRIES_PER_CHECKPOINT == 0 && n > 0 {
            let (job, took) = timed(&doors, || store.views.checkpoint_begin(Lsn::ZERO));
            beginning += took;
            longest_begin = longest_begin.max(took);
            let (done, took) = timed(&doors, || job.run().expect("checkpoint"));
            writing += took;
            let ((), took) = timed(&doors, || store.views.checkpoint_finish(done));
            finishing += took;
            longest_begin = longest_begin.max(took);
            while let Some(job) = store.views.merge_begin() {
                let (done, took) = timed(&doors, || job.run().expect("merge"));
                writing += took;
                store.views.merge_finish(done);
            }
        }
        let stream = StreamId((n.wrapping_mul(7_368_787)) % streams);
        let entry =
            NewEntry { lsn: Lsn(n), len: 300, tag: 1, time_ms: 1_700_000_000_000, count: 1, flags: 0 };
        let before = if n % 64 == 0 { Some(doors.clock.monotonic()) } else { None };
        store.views.append(stream, entry);
        if let Some(before) = before {
            appending += (doors.clock.monotonic() - before) * 64;
        }
    }
    let done = store.views.checkpoint_begin(Lsn::ZERO).run().expect("checkpoint");
    store.views.checkpoint_finish(done);
    let per = |d: Duration| d.as_secs_f64() * 1e6 / total as f64;
    let reader = store.views.reader();
    println!("{total} entries over {streams} streams");
    println!("append {:.3} us, checkpoints and merges {:.3} us per entry", per(appending), per(writing));
    println!(
        "owner's part of checkpoints {:.3} us per entry, longest step {longest_begin:?}",
        per(beginning + finishing)
    );
    let bytes = reader.disk_bytes();
    println!(
        "{} runs, {:.1} MB on disk, {:.1} bytes per entry",
        reader.file_counts().0,
        bytes as f64 / 1e6,
        bytes as f64 / total as f64
    );
    println!("memory {:.1} bytes per stream", reader.memory_bytes() as f64 / streams as f64);
    store.close().expect("close");
    let (store, took) =
        timed(&doors, || Store::open(&doors, dir.path(), &config, Repair::Refuse).expect("open"));
    println!(
        "open {took:?}, memory then {:.1} bytes per stream",
        store.views.reader().memory_bytes() as f64 / streams as f64
    );
    let ((), took) = timed(&doors, || {
        for n in 0..10_000 {
            let stream = StreamId(n * 7919 % streams);
            assert_eq!(store.views.next_offset(stream), rounds);
        }
    });
    println!("end of an idle stream from the runs {:.2} us", took.as_secs_f64() * 1e6 / 10_000.0);
}

fn timed<T>(doors: &Doors, work: impl FnOnce() -> T) -> (T, Duration) {
    let before = doors.clock.monotonic();
    let out = work();
    (out, doors.clock.monotonic() - before)
}
