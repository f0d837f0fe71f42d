//! Targets in `store`: a small sound store with one damaged file is opened, replayed, read and
//! verified. It may refuse or report; it must neither panic nor serve what was never appended.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use base::{Disk, OpenMode};
use model::{Lsn, StreamId};
use store::{NewEntry, Repair, Store, StoreConfig, verify};

use super::Target;
use crate::doors::SimDoors;
use crate::trace::hash_bytes;

/// All of them.
pub const ALL: &[Target] = &[
    Target {
        name: "store-segment",
        seeds: || seeds(".log"),
        run: |b| run(".log", b),
        mend: mend_segment,
        bytes_max: BYTES_MAX,
    },
    Target {
        name: "store-manifest",
        seeds: || seeds("MANIFEST"),
        run: |b| run("MANIFEST", b),
        mend: if FORGED_MANIFESTS_ARE_REFUSED { mend_sealed } else { |_| {} },
        bytes_max: BYTES_MAX,
    },
    Target {
        name: "store-state",
        seeds: || seeds("STATE"),
        run: |b| run("STATE", b),
        mend: mend_sealed,
        bytes_max: BYTES_MAX,
    },
    Target {
        name: "store-run",
        seeds: || seeds(".run"),
        run: |b| run(".run", b),
        mend: |_| {},
        bytes_max: BYTES_MAX,
    },
    Target {
        name: "store-keys",
        seeds: || seeds(".keys"),
        run: |b| run(".keys", b),
        mend: |_| {},
        bytes_max: BYTES_MAX,
    },
];

/// A manifest whose checksum is right is believed: absurd counts of a key file overflow when the
/// file is opened. Off: manifests are damaged, but not forged.
const FORGED_MANIFESTS_ARE_REFUSED: bool = false;

const BYTES_MAX: usize = 64 * 1024;
const DIR: &str = "/store";
const STREAMS: u64 = 5;

fn config() -> StoreConfig {
    StoreConfig { segment_bytes: 4096, tail_cache_bytes: 2048, ..StoreConfig::default() }
}

/// What the record number `i` holds.
fn payload(i: u64) -> Vec<u8> {
    let mut out = i.to_le_bytes().to_vec();
    out.resize(20 + usize::try_from(i % 60).unwrap_or_default(), b'x');
    out
}

/// The files of a sound store: two checkpoints, and a log that goes on behind them.
fn sound() -> &'static [(PathBuf, Vec<u8>)] {
    static FILES: OnceLock<Vec<(PathBuf, Vec<u8>)>> = OnceLock::new();
    FILES.get_or_init(|| {
        let doors = SimDoors::new(7);
        fill(&doors).expect("a sound store on a sound disk");
        let disk = doors.process().disk;
        let read = |(path, len): (PathBuf, u64)| {
            let mut bytes = vec![0; usize::try_from(len).unwrap_or_default()];
            let file = disk.open(&path, OpenMode::Read).expect("the file was just listed");
            file.read_exact_at(&mut bytes, 0).expect("its length was just told");
            (path, bytes)
        };
        doors.disk.files_below(Path::new(DIR)).into_iter().map(read).collect()
    })
}

fn fill(doors: &SimDoors) -> Result<(), String> {
    let text = |e: &dyn std::fmt::Display| e.to_string();
    let mut store =
        Store::open(&doors.process(), Path::new(DIR), &config(), Repair::Refuse).map_err(|e| text(&e))?;
    for i in 0..150_u64 {
        let mut frame = store.log.begin_frame(Lsn(0));
        let placed = frame.push(1, |_, out| out.extend_from_slice(&payload(i)));
        store.log.append(frame).map_err(|e| text(&e))?;
        let entry = NewEntry {
            lsn: placed.lsn,
            len: placed.len,
            tag: 0,
            time_ms: i.cast_signed(),
            count: 1,
            flags: 0,
        };
        store.views.append(StreamId(i % STREAMS), entry);
        store.views.put_object(format!("key-{}", i % 20).as_bytes(), &payload(i));
        store.views.index_key(i % 30, placed.lsn, i.cast_signed());
        if i == 60 || i == 120 {
            let done = store.views.checkpoint_begin(store.log.end()).run().map_err(|e| text(&e))?;
            store.views.checkpoint_finish(done);
        }
    }
    store.log.flush().map(|_| ()).map_err(|e| text(&e))
}

/// The contents of the files of one kind.
fn seeds(ending: &str) -> Vec<Vec<u8>> {
    let fits = |path: &Path| path.to_string_lossy().ends_with(ending);
    sound().iter().filter(|(path, _)| fits(path)).map(|(_, bytes)| bytes.clone()).collect()
}

/// Puts the damaged bytes in the place of the first file of the kind, and looks at everything.
fn run(ending: &str, input: &[u8]) -> u64 {
    let doors = SimDoors::new(1);
    let disk = doors.process().disk;
    let mut is_replaced = false;
    for (path, bytes) in sound() {
        let takes_input = !is_replaced && path.to_string_lossy().ends_with(ending);
        is_replaced |= takes_input;
        put(&*disk, path, if takes_input { input } else { bytes });
    }
    let refused = match Store::open(&doors.process(), Path::new(DIR), &config(), Repair::Refuse) {
        Ok(mut store) => return 1 + look(&mut store) * 2,
        Err(error) => outcome(&error.to_string()),
    };
    doors.disk.crash_process();
    let report = verify(&doors.process(), Path::new(DIR));
    let repaired = Store::open(&doors.process(), Path::new(DIR), &config(), Repair::TruncateCorrupt);
    refused ^ u64::from(report.is_sound()) ^ u64::from(repaired.is_ok()) << 1
}

fn put(disk: &dyn Disk, path: &Path, bytes: &[u8]) {
    let dir = path.parent().unwrap_or(Path::new("/"));
    let made = disk.create_dir_all(dir).and_then(|()| disk.open(path, OpenMode::Create));
    made.and_then(|file| file.write_at(bytes, 0)).expect("the simulated disk is sound");
}

/// What happened, without the numbers in its text.
fn outcome(text: &str) -> u64 {
    let words: String = text.chars().filter(|c| !c.is_ascii_digit()).collect();
    hash_bytes(3, words.as_bytes())
}

fn look(store: &mut Store) -> u64 {
    let mut wrong_records = 0;
    let mut records = 0_u64;
    let replayed = store.log.replay(store.log.start(), store.log.end(), &mut |record| {
        records += 1;
        let number = record.payload.get(..8).and_then(|b| b.try_into().ok()).map(u64::from_le_bytes);
        wrong_records += u64::from(number.is_none_or(|n| payload(n) != record.payload));
        Ok(())
    });
    let (log, views) = (store.log.reader(), store.views.reader());
    let ended_well = u64::from(store.recovery().clean) | u64::from(store.recovery().power_lost) << 1;
    let mut failed = u64::from(replayed.is_err());
    for stream in (0..=STREAMS).map(StreamId) {
        let mut entries = Vec::new();
        failed += u64::from(views.bounds(stream, store.log.end()).is_err());
        failed += u64::from(views.read(stream, 0, 1000, store.log.end(), &mut entries).is_err());
        for entry in &entries {
            failed += u64::from(log.read(entry.lsn, entry.len).is_err());
        }
        let _ = (store.views.next_offset(stream), store.views.last_time_ms(stream));
    }
    failed += u64::from(views.scan_objects(b"", &mut |_, _| {}).is_err());
    for hash in 0..30 {
        let found = views.lookup_key(hash, i64::MIN, i64::MAX, 100, store.log.end());
        failed += u64::from(found.is_err());
    }
    failed += u64::from(store.views.try_state_hash().is_err());
    failed.min(20) | records.min(200) << 8 | wrong_records.min(3) << 16 | ended_well << 20
}

/// The last four bytes are the checksum of the rest.
fn mend_sealed(input: &mut Vec<u8>) {
    let Some(at) = input.len().checked_sub(4) else { return };
    let crc = crc32c::crc32c(input.get(..at).unwrap_or_default());
    input.truncate(at);
    input.extend_from_slice(&crc.to_le_bytes());
}

/// Makes the checksums and the chain of as many frames right as can be walked over.
#[expect(clippy::ptr_arg, reason = "the signature of `Target::mend`")]
fn mend_segment(input: &mut Vec<u8>) {
    let (mut at, mut chain) = (0_usize, 0_u32);
    while let Some(len) = u32_at(input, at + 4).map(|len| len as usize).filter(|len| *len >= 40) {
        let lsn = input.get(at + 16..at + 24).and_then(|b| b.try_into().ok()).map_or(0, u64::from_le_bytes);
        let Some(frame) = input.get_mut(at..at.saturating_add(len)) else { return };
        mend_records(frame, lsn);
        put_u32(frame, 32, chain);
        let head = crc32c::crc32c(frame.get(..8).unwrap_or_default());
        chain = crc32c::crc32c_append(head, frame.get(12..).unwrap_or_default());
        put_u32(frame, 8, chain);
        at += len;
    }
}

fn mend_records(frame: &mut [u8], lsn: u64) {
    let mut at = 40;
    while let Some(len) = u32_at(frame, at).map(|len| len as usize).filter(|len| *len >= 12) {
        let Some(record) = frame.get_mut(at..at.saturating_add(len)) else { return };
        let mut crc = crc32c::crc32c(&(lsn.wrapping_add(at as u64)).to_le_bytes());
        crc = crc32c::crc32c_append(crc, record.get(..8).unwrap_or_default());
        crc = crc32c::crc32c_append(crc, record.get(12..).unwrap_or_default());
        put_u32(record, 8, crc);
        at += len;
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at.checked_add(4)?)?.try_into().ok().map(u32::from_le_bytes)
}

fn put_u32(bytes: &mut [u8], at: usize, value: u32) {
    if let Some(place) = bytes.get_mut(at..at + 4) {
        place.copy_from_slice(&value.to_le_bytes());
    }
}
