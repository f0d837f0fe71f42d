//! Checks everything that a closed store has on disk: frames (checksum, position, chain, epoch),
//! records, run and key files, and that every stream entry points at a whole record of its length.
//!
//! Reads only. Damage that a start would not notice, because it lies below the checkpoint, is
//! found here.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::{DiskFile, Doors, OpenMode};
use model::Lsn;

use crate::error::{IoFault, ReadError, at};
use crate::limits::VERIFY_PROBLEMS_MAX;
use crate::log::frame::{FrameHeader, RECORD_HEADER_BYTES, Records, check_record};
use crate::log::recover::{check_chain, trimmed_before};
use crate::log::scan::{FrameAt, SegmentScan};
use crate::log::segments::{parse_segment_name, segment_name};
use crate::log::tail::Chain;
use crate::patience::Patience;
use crate::views::entry::Entry;
use crate::views::key_file::{KeyFile, KeyFileMeta};
use crate::views::manifest::{self, Manifest};
use crate::views::run::Run;

/// What a verification found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VerifyReport {
    pub frames: u64,
    pub records: u64,
    pub runs: u64,
    pub entries: u64,
    pub objects: u64,
    pub keys: u64,
    /// The readable log is `start..end`.
    pub start: Lsn,
    pub end: Lsn,
    /// Bytes behind the end that are no frames: an unfinished write, or stale bytes of a reused
    /// file. The next start cuts them off.
    pub tail_bytes: u64,
    /// What is damaged, in words; empty if all is well.
    pub problems: Vec<String>,
}

impl VerifyReport {
    /// True if nothing is damaged.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.problems.is_empty()
    }

    fn problem(&mut self, what: impl std::fmt::Display) {
        if self.problems.len() < VERIFY_PROBLEMS_MAX {
            self.problems.push(what.to_string());
        }
    }
}

struct SegmentFile {
    base: Lsn,
    len: u64,
    path: PathBuf,
    file: Arc<dyn DiskFile>,
}

/// Checks every byte of the store in `dir`, which must not be open.
#[must_use]
pub fn verify(doors: &Doors, dir: &Path) -> VerifyReport {
    let mut report = VerifyReport::default();
    let _lock = match doors.disk.lock(dir) {
        Ok(lock) => lock,
        Err(error) => {
            report.problem(format_args!("{} cannot be locked ({error}); stop the node first", dir.display()));
            return report;
        }
    };
    let manifest = match manifest::load(doors, dir) {
        Ok(manifest) => manifest.unwrap_or_default(),
        Err(error) => {
            report.problem(error);
            Manifest::default()
        }
    };
    match segments(doors, &dir.join("log")) {
        Ok(mut segments) => {
            segments.drain(..trimmed_before(segments.iter().map(|s| s.base), manifest.log_start));
            check_log(&segments, &mut report);
            let (end, checkpoint) = (report.end, manifest.checkpoint);
            if end < checkpoint {
                report.problem(format_args!("the log ends at {end} below the checkpoint {checkpoint}"));
            }
            check_views(doors, &dir.join("runs"), &manifest, &segments, &mut report);
        }
        Err(fault) => report.problem(fault),
    }
    report
}

fn segments(doors: &Doors, dir: &Path) -> Result<Vec<SegmentFile>, IoFault> {
    let names = doors.disk.list(dir).map_err(at(dir))?;
    let mut out = Vec::new();
    for base in names.iter().filter_map(|name| parse_segment_name(name)) {
        let path = dir.join(segment_name(base));
        let file = doors.disk.open(&path, OpenMode::Read).map_err(at(&path))?;
        out.push(SegmentFile { base, len: file.len().map_err(at(&path))?, path, file });
    }
    out.sort_by_key(|s| s.base);
    Ok(out)
}

// ---- the log

fn check_log(segments: &[SegmentFile], report: &mut VerifyReport) {
    let Some(first) = segments.first() else { return };
    report.start = first.base;
    report.end = first.base;
    let mut chain: Option<Chain> = None;
    for (i, segment) in segments.iter().enumerate() {
        let end = report.end;
        if segment.base != end {
            report.problem(format_args!("the log has a hole from {end} to {}", segment.base));
            chain = None;
        }
        let next = segments.get(i + 1).map(|s| s.base);
        if let Err(error) = check_segment(segment, next, &mut chain, report) {
            report.problem(IoFault::at(&segment.path, &error));
        }
    }
}

/// Checks the frames of one segment. Behind a bad frame it goes on at the next valid one.
fn check_segment(
    segment: &SegmentFile,
    next: Option<Lsn>,
    chain: &mut Option<Chain>,
    report: &mut VerifyReport,
) -> std::io::Result<()> {
    let limit = next.map_or(segment.len, |n| segment.len.min(n.get() - segment.base.get()));
    let mut scan = SegmentScan::new(Arc::clone(&segment.file), segment.base, limit);
    let mut lsn = segment.base;
    loop {
        let bad = match scan.frame_at(lsn)? {
            FrameAt::End => break,
            FrameAt::Bad(what) => what,
            FrameAt::Good(header, frame) => {
                check_frame_content(*chain, &header, frame, report);
                *chain = Some(Chain { crc: header.crc, epoch: header.epoch });
                lsn = header.end();
                continue;
            }
        };
        let Some(later) = scan.find_after(lsn)? else {
            if next.is_some() {
                report.problem(format_args!("the log is damaged at {lsn}: {bad}"));
            } else {
                report.tail_bytes = segment.base.plus(limit).get() - lsn.get();
            }
            break;
        };
        report.problem(format_args!("the log is damaged at {lsn} ({bad}) up to {}", later.lsn));
        *chain = None;
        lsn = later.lsn;
    }
    report.end = lsn;
    Ok(())
}

fn check_frame_content(chain: Option<Chain>, header: &FrameHeader, frame: &[u8], report: &mut VerifyReport) {
    report.frames += 1;
    if let Err(what) = check_chain(chain, header) {
        report.problem(format_args!("the frame at {} is not in its place: {what}", header.lsn));
    }
    for record in Records::new(frame, *header) {
        let checked = record.and_then(|r| {
            let start = usize::try_from(r.lsn.get() - header.lsn.get()).unwrap_or(usize::MAX);
            let bytes = frame.get(start..start + r.len as usize).unwrap_or_default();
            check_record(bytes, r.lsn)
        });
        match checked {
            Ok(_) => report.records += 1,
            Err(what) => report.problem(format_args!("a record of the frame at {}: {what}", header.lsn)),
        }
    }
}

// ---- the views

fn check_views(
    doors: &Doors,
    runs_dir: &Path,
    manifest: &Manifest,
    segments: &[SegmentFile],
    report: &mut VerifyReport,
) {
    for meta in &manifest.runs {
        report.runs += 1;
        let run = Run::open(doors.disk.as_ref(), runs_dir, meta.id, meta.level).map(Arc::new);
        let checked = run.and_then(|run| {
            check_streams(&run, segments, report)?;
            check_objects(&run, report)
        });
        if let Err(error) = checked {
            report.problem(error);
        }
    }
    for meta in &manifest.keys {
        if let Err(error) = check_keys(doors, runs_dir, meta, report) {
            report.problem(error);
        }
    }
}

fn check_streams(
    run: &Arc<Run>,
    segments: &[SegmentFile],
    report: &mut VerifyReport,
) -> Result<(), ReadError> {
    let mut cursor = run.scan();
    let mut entries: Vec<Entry> = Vec::new();
    let mut before: Option<(u64, u64)> = None;
    while let Some(record) = cursor.take()? {
        if before.is_some_and(|b| b >= (record.stream, record.first_offset)) {
            report.problem(format_args!("run {}: stream {} is out of order", run.id, record.stream));
        }
        before = Some((record.stream, record.first_offset));
        entries.clear();
        if let Err(error) = run.chunk(&record, &mut entries, Patience::Wait) {
            report.problem(format_args!("stream {}: {error}", record.stream));
            continue;
        }
        report.entries += entries.len() as u64;
        let start = report.start;
        for entry in entries.iter().filter(|e| e.lsn >= start) {
            if let Err(what) = check_entry(entry, segments) {
                report.problem(format_args!("stream {} offset {}: {what}", record.stream, entry.offset));
            }
        }
    }
    Ok(())
}

/// Whether a whole record of the entry's length stands at its position.
fn check_entry(entry: &Entry, segments: &[SegmentFile]) -> Result<(), String> {
    let i = segments.partition_point(|s| s.base <= entry.lsn).checked_sub(1);
    let segment = i.and_then(|i| segments.get(i)).ok_or("its position lies in no segment")?;
    let offset = entry.lsn.get() - segment.base.get();
    let fits = offset + u64::from(entry.len) <= segment.len && entry.len as usize >= RECORD_HEADER_BYTES;
    if !fits {
        return Err(format!("its record at {} lies behind the end of the segment", entry.lsn));
    }
    let mut bytes = vec![0; entry.len as usize];
    segment.file.read_exact_at(&mut bytes, offset).map_err(|e| e.to_string())?;
    check_record(&bytes, entry.lsn).map_err(|what| format!("its record at {}: {what}", entry.lsn))?;
    Ok(())
}

fn check_objects(run: &Arc<Run>, report: &mut VerifyReport) -> Result<(), ReadError> {
    let mut objects = run.objects_from(b"");
    let mut before: Option<bytes::Bytes> = None;
    while objects.peek()?.is_some() {
        let Some((key, _)) = objects.pop() else { break };
        if before.as_ref().is_some_and(|b| *b >= key) {
            report.problem(format_args!("run {}: objects are out of order", run.id));
        }
        before = Some(key);
        report.objects += 1;
    }
    Ok(())
}

fn check_keys(
    doors: &Doors,
    dir: &Path,
    meta: &KeyFileMeta,
    report: &mut VerifyReport,
) -> Result<(), ReadError> {
    let file = KeyFile::open(doors.disk.as_ref(), dir, meta)?;
    file.check_header()?;
    let mut scan = file.scan();
    let mut before = None;
    while let Some(entry) = scan.peek()? {
        scan.pop();
        if before.is_some_and(|b| b >= entry) {
            report.problem(format_args!("key file {}: keys are out of order", meta.id));
        }
        before = Some(entry);
        report.keys += 1;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_disk::TestDisk;
    use crate::{NewEntry, Repair, Store, StoreConfig};
    use model::StreamId;

    fn filled(disk: &Arc<TestDisk>) -> Lsn {
        let config = StoreConfig { segment_bytes: 4096, ..StoreConfig::default() };
        let mut store = Store::open(&disk.doors(), Path::new("/s"), &config, Repair::Refuse).expect("open");
        let mut third = Lsn::ZERO;
        for i in 0..200_u64 {
            let mut frame = store.log.begin_frame(Lsn::ZERO);
            let placed = frame.push(1, |_, out| out.extend_from_slice(&[i as u8; 50]));
            store.log.append(frame).expect("append");
            let (lsn, len) = (placed.lsn, placed.len);
            let entry = NewEntry { lsn, len, tag: 0, time_ms: 5, count: 1, flags: 0 };
            store.views.append(StreamId(i % 3), entry);
            store.views.put_object(&i.to_le_bytes(), b"value");
            store.views.index_key(i, lsn, 5);
            third = if i == 2 { lsn } else { third };
        }
        let job = store.views.checkpoint_begin(store.log.end());
        let done = job.run().expect("checkpoint");
        store.views.checkpoint_finish(done);
        store.close().expect("close");
        disk.crash();
        third
    }

    #[test]
    fn a_sound_store_has_no_problems() {
        let disk = Arc::new(TestDisk::default());
        filled(&disk);
        let report = verify(&disk.doors(), Path::new("/s"));
        assert!(report.is_sound(), "{report:?}");
        let counts = (report.frames, report.records, report.entries, report.objects, report.keys);
        assert_eq!(counts, (200, 200, 200, 200, 200));
    }

    #[test]
    fn damage_anywhere_is_found() {
        let disk = Arc::new(TestDisk::default());
        let third = filled(&disk);
        let log = Path::new("/s/log/00000000000000000000.log");
        let found = |path: &Path, at: u64| {
            disk.flip(path, at);
            let report = verify(&disk.doors(), Path::new("/s"));
            disk.crash();
            disk.flip(path, at);
            report.problems
        };
        disk.crash();
        let in_log = found(log, third.get() + 20);
        assert_eq!(in_log.len(), 2, "the frame, and the entry that points into it: {in_log:?}");
        for name in ["runs/0000000000000000.run", "runs/0000000000000001.keys", "MANIFEST"] {
            let path = Path::new("/s").join(name);
            for at in (0..disk.bytes(&path).len() as u64).step_by(31) {
                // The run's first eight bytes are only for people who look at the file.
                assert!(!found(&path, at).is_empty() || at < 8, "{name} {at}");
            }
        }
    }
}
