//! Finds the end of the log at start, and tells a torn tail from corruption.
//!
//! The scan begins at the checkpoint: what lies below is a view's business only when it is read.
//! At the first bad frame there are two cases.
//!
//! **Torn tail**: bytes that were never durable. A crash of the process can tear only the last
//! write. A power cut can also keep a later unflushed write and lose an earlier one.
//! The log is cut at the bad frame.
//!
//! **Corruption**: bytes that were durable once. The proof is one of: a clean shutdown mark above;
//! a later segment (the one before is synced first); a later valid frame, where either the
//! machine has not restarted since (the page cache survived) or the frame says that everything
//! before it was flushed. The store refuses to open, unless the operator says to cut.
//!
//! Below the checkpoint no cut helps, because the views stand higher: such damage is refused
//! whatever the operator says. Everything is looked at before anything is changed.
//!
//! **What is read may not be durable.** After a failed sync the page cache shows pages that never
//! reached the disk and that no later sync writes: they count as clean. So unless the log was
//! closed in order or the machine has restarted, everything that is not known to be durable is
//! checked and written again before it is built on. Known are the sealed segments and what lies
//! below the checkpoint. Nothing needs to be remembered about the failure for that.
//!
//! Stale bytes of a recycled file are full of frames, but of lower positions, so they are never
//! taken for a later valid frame; frames cut off by a truncation are removed from the file.

use std::path::Path;
use std::sync::Arc;

use base::{DiskFile, Doors, OpenMode};
use model::{Epoch, Lsn};

use super::frame::{FLAG_FLUSHED_BEFORE, FRAME_HEADER_BYTES, FrameHeader, Records};
use super::scan::{FrameAt, SegmentScan};
use super::segments::{Segment, is_spare_name, parse_segment_name, segment_name};
use super::shared::LogShared;
use super::tail::Chain;
use crate::error::{OpenError, at};
use crate::limits::SCAN_BYTES;
use crate::store::Repair;

/// What is known before the log is opened.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    /// Where the views stand: the log must reach it, and is scanned from it.
    pub(crate) checkpoint: Lsn,
    /// The frame that ends at the checkpoint.
    pub(crate) chain: Option<Chain>,
    /// Where the views take the log to begin. Segments wholly below were trimmed, even if their
    /// files could not be removed.
    pub(crate) log_start: Lsn,
    /// Everything below was durable (a clean shutdown).
    pub(crate) durable: Lsn,
    /// The machine may have restarted since the log was last written.
    pub(crate) power_lost: bool,
    /// The page cache may show what a failed sync has not made durable.
    pub(crate) is_unsure: bool,
    pub(crate) sealed_ms: Vec<(Lsn, i64)>,
}

/// What the scan found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogRecovery {
    /// Bytes of an unfinished write that were cut off.
    pub torn_bytes: u64,
    /// Damaged bytes that were cut off at the operator's word, with whole frames behind them.
    pub corrupt_bytes: u64,
    /// Frames that were cut off show that the log was committed up to here: committed records
    /// that were never flushed are lost.
    pub committed_lost: Option<Lsn>,
    /// Frames between the checkpoint and the end.
    pub frames: u64,
}

pub(super) struct Recovered {
    pub(super) segments: Vec<Arc<Segment>>,
    pub(super) spares: Vec<String>,
    /// Trimmed segments whose files are still there, oldest first.
    pub(super) trimmed: Vec<Lsn>,
    pub(super) end: Lsn,
    pub(super) chain: Option<Chain>,
    pub(super) report: LogRecovery,
}

struct OnDisk {
    base: Lsn,
    len: u64,
}

/// Where the scan stands.
struct Cursor {
    at: Lsn,
    chain: Option<Chain>,
}

struct Bad {
    at: Lsn,
    what: &'static str,
    /// Index of the segment that holds `at`.
    segment: usize,
}

/// Opens the segment files of `shared.dir` and fills the tail cache.
pub(super) fn recover(shared: &LogShared, known: &Known, repair: Repair) -> Result<Recovered, OpenError> {
    let doors = &shared.doors;
    let dir = &shared.dir;
    doors.disk.create_dir_all(dir).map_err(at(dir))?;
    let (mut found, spares) = list(doors, dir)?;
    let trimmed = leave_out_trimmed(&mut found, known.log_start);
    let end = found.last().map_or(Lsn::ZERO, |last| last.base.plus(last.len));
    if end < known.checkpoint {
        return Err(OpenError::LogBehind { end, checkpoint: known.checkpoint });
    }
    let below_hole = leave_out_below_hole(&mut found, known, repair)?;
    if found.is_empty() {
        let segment = create(doors, dir, Lsn::ZERO)?;
        shared.tail.reset(None);
        let report = LogRecovery::default();
        let segments = vec![segment];
        return Ok(Recovered { segments, spares, trimmed, end: Lsn::ZERO, chain: None, report });
    }
    if found[0].base > known.checkpoint {
        let lost = found[0].base.get() - known.checkpoint.get();
        return Err(OpenError::Corrupt {
            at: known.checkpoint,
            what: "the segments from here on are missing",
            lost,
        });
    }
    let mut report = LogRecovery::default();
    let mut cursor = scan_start(&found, known);
    let bad = scan(shared, &found, &mut cursor, known.checkpoint, &mut report)?;
    let end = cursor.at;
    let mut behind = Vec::new();
    if let Some(bad) = bad {
        judge(shared, &found, &bad, known, repair, &mut report)?;
        behind = found.split_off(bad.segment + 1);
    }
    // Nothing has been changed up to here. From the end, so that a crash leaves no hole.
    for segment in behind.iter().rev().chain(&below_hole) {
        remove(doors, dir, segment.base)?;
    }
    let segments = open_all(dir, &found, known);
    if let Some(last) = segments.last() {
        settle(shared, last, known, end)?;
    }
    Ok(Recovered { segments, spares, trimmed, end, chain: cursor.chain, report })
}

fn list(doors: &Doors, dir: &Path) -> Result<(Vec<OnDisk>, Vec<String>), OpenError> {
    let mut segments = Vec::new();
    let mut spares = Vec::new();
    for name in doors.disk.list(dir).map_err(at(dir))? {
        if let Some(base) = parse_segment_name(&name) {
            let path = dir.join(&name);
            let file = doors.disk.open(&path, OpenMode::Read).map_err(at(&path))?;
            segments.push(OnDisk { base, len: file.len().map_err(at(&path))? });
        } else if is_spare_name(&name) {
            spares.push(name);
        }
    }
    segments.sort_by_key(|s| s.base);
    Ok((segments, spares))
}

/// Takes out the segments that end at or below the log's start; the last one always stays.
fn leave_out_trimmed(found: &mut Vec<OnDisk>, log_start: Lsn) -> Vec<Lsn> {
    let n = trimmed_before(found.iter().map(|s| s.base), log_start);
    found.drain(..n).map(|s| s.base).collect()
}

/// How many of the segments that begin at `bases`, oldest first, are wholly below the log's start.
pub(crate) fn trimmed_before(bases: impl Iterator<Item = Lsn>, log_start: Lsn) -> usize {
    bases.skip(1).take_while(|next| *next <= log_start).count()
}

/// Segments must be adjacent. (Trimming removes the oldest first, one durable step at a time.)
/// Takes out those below a hole, at the operator's word.
fn leave_out_below_hole(
    found: &mut Vec<OnDisk>,
    known: &Known,
    repair: Repair,
) -> Result<Vec<OnDisk>, OpenError> {
    let gap = found.windows(2).rposition(|pair| match pair {
        [a, b] => a.base.get() + a.len < b.base.get(),
        _ => false,
    });
    let Some(gap) = gap else { return Ok(Vec::new()) };
    let hole = found[gap].base.plus(found[gap].len);
    let above = found[gap + 1].base;
    if above > known.checkpoint {
        // The hole lies in what must be replayed: the scan will meet it as a bad frame.
        return Ok(Vec::new());
    }
    if repair == Repair::Refuse {
        let what = "a segment file is missing or too short";
        return Err(OpenError::Corrupt { at: hole, what, lost: above.get() - hole.get() });
    }
    Ok(found.drain(..=gap).collect())
}

fn remove(doors: &Doors, dir: &Path, base: Lsn) -> Result<(), OpenError> {
    let path = dir.join(segment_name(base));
    tracing::warn!(path = %path.display(), "removing a segment at the operator's word");
    doors.disk.remove(&path).map_err(at(&path))?;
    doors.disk.sync_dir(dir).map_err(at(dir))?;
    Ok(())
}

/// The checkpoint, if the frame before it is known; otherwise far enough below to learn it.
fn scan_start(found: &[OnDisk], known: &Known) -> Cursor {
    if known.chain.is_some() && known.checkpoint >= found[0].base {
        return Cursor { at: known.checkpoint, chain: known.chain };
    }
    let below = found.iter().rev().find(|s| s.base < known.checkpoint);
    Cursor { at: below.unwrap_or(&found[0]).base, chain: None }
}

/// Reads frames until the end or the first bad one. `cursor` ends behind the last good frame.
fn scan(
    shared: &LogShared,
    found: &[OnDisk],
    cursor: &mut Cursor,
    checkpoint: Lsn,
    report: &mut LogRecovery,
) -> Result<Option<Bad>, OpenError> {
    shared.tail.reset(cursor.chain.map(|chain| (cursor.at, chain)));
    let first = found.partition_point(|s| s.base <= cursor.at).saturating_sub(1);
    for (i, on_disk) in found.iter().enumerate().skip(first) {
        if cursor.at < on_disk.base {
            return Ok(Some(Bad { at: cursor.at, what: "a segment file is missing", segment: i - 1 }));
        }
        let next = found.get(i + 1).map(|n| n.base);
        let path = shared.dir.join(segment_name(on_disk.base));
        let file = shared.doors.disk.open(&path, OpenMode::Read).map_err(at(&path))?;
        let limit = next.map_or(on_disk.len, |n| on_disk.len.min(n.get() - on_disk.base.get()));
        let mut segment = SegmentScan::new(file, on_disk.base, limit);
        loop {
            let bad = match segment.frame_at(cursor.at).map_err(at(&path))? {
                FrameAt::End => break,
                FrameAt::Bad(what) => Some(what),
                FrameAt::Good(header, frame) => follow(cursor, &header, frame).err().or_else(|| {
                    shared.tail.push(header.lsn, frame);
                    report.frames += u64::from(header.lsn >= checkpoint);
                    None
                }),
            };
            if let Some(what) = bad {
                return Ok(Some(Bad { at: cursor.at, what, segment: i }));
            }
        }
    }
    Ok(None)
}

/// Moves the cursor behind a frame whose checksum is right, if it continues the chain.
fn follow(cursor: &mut Cursor, header: &FrameHeader, frame: &[u8]) -> Result<(), &'static str> {
    check_chain(cursor.chain, header)?;
    for record in Records::new(frame, *header) {
        record?;
    }
    cursor.at = header.end();
    cursor.chain = Some(Chain { crc: header.crc, epoch: header.epoch });
    Ok(())
}

/// Whether a frame continues what stands before it.
pub(crate) fn check_chain(chain: Option<Chain>, header: &FrameHeader) -> Result<(), &'static str> {
    let Some(chain) = chain else { return Ok(()) };
    if header.prev_crc != chain.crc {
        return Err("the frame follows another history");
    }
    if header.epoch < chain.epoch {
        return Err("the frame's epoch is older than that of the frame before");
    }
    Ok(())
}

/// Decides between torn tail and corruption, and refuses the latter unless told otherwise.
fn judge(
    shared: &LogShared,
    found: &[OnDisk],
    bad: &Bad,
    known: &Known,
    repair: Repair,
    report: &mut LogRecovery,
) -> Result<(), OpenError> {
    if bad.at < known.checkpoint {
        let checkpoint = known.checkpoint;
        return Err(OpenError::DamagedBelowCheckpoint { at: bad.at, what: bad.what, checkpoint });
    }
    let on_disk = &found[bad.segment];
    let path = shared.dir.join(segment_name(on_disk.base));
    let file = shared.doors.disk.open(&path, OpenMode::Read).map_err(at(&path))?;
    let torn = torn_bytes(file.as_ref(), on_disk, bad.at).map_err(at(&path))?;
    let mut proven = known.durable > bad.at || bad.segment + 1 < found.len();
    let mut last_valid = bad.at;
    let mut committed = Lsn::ZERO;
    let mut scan = SegmentScan::new(file, on_disk.base, on_disk.len);
    while let Some(later) = scan.find_after(last_valid).map_err(at(&path))? {
        proven |= !known.power_lost || later.flags & FLAG_FLUSHED_BEFORE != 0;
        committed = committed.max(later.commit);
        last_valid = later.end().max(Lsn(later.lsn.get() + 1));
        // `find_after` looks above a position; the next frame may stand exactly there.
        last_valid = Lsn(last_valid.get() - 1);
    }
    let log_end = found.last().map_or(bad.at, |s| s.base.plus(s.len)).max(known.durable);
    let lost = log_end.get().saturating_sub(bad.at.get());
    if proven && repair == Repair::Refuse {
        return Err(OpenError::Corrupt { at: bad.at, what: bad.what, lost });
    }
    if committed > bad.at {
        report.committed_lost = Some(committed);
    }
    if proven {
        tracing::error!(at = %bad.at, what = bad.what, lost, "cutting a damaged log at the operator's word");
        report.corrupt_bytes = lost;
    } else {
        report.torn_bytes = torn.max(last_valid.get() - bad.at.get());
    }
    Ok(())
}

/// Bytes of the write that was cut short at `bad`, as far as they can be told from the stale
/// bytes of a recycled file.
fn torn_bytes(file: &dyn DiskFile, on_disk: &OnDisk, bad: Lsn) -> std::io::Result<u64> {
    let offset = bad.get() - on_disk.base.get();
    let rest = on_disk.len.saturating_sub(offset);
    if rest == 0 {
        return Ok(0);
    }
    let mut head = [0; FRAME_HEADER_BYTES];
    let n = file.read_at(&mut head, offset)?;
    Ok(match FrameHeader::decode(&head) {
        _ if n < FRAME_HEADER_BYTES => rest,
        Some(header) if header.lsn == bad => rest.min(u64::from(header.len)),
        _ => 0,
    })
}

fn open_all(dir: &Path, found: &[OnDisk], known: &Known) -> Vec<Arc<Segment>> {
    let segments: Vec<_> = found.iter().map(|s| Arc::new(Segment::new(dir, s.base, None))).collect();
    for segment in &segments {
        let sealed = known.sealed_ms.iter().find(|(base, _)| *base == segment.base);
        segment.set_sealed_ms(sealed.map_or(0, |(_, ms)| *ms));
    }
    segments
}

/// Makes the last segment durable up to the end, and removes what stands behind it, so that it can
/// never be taken for part of the log.
fn settle(shared: &LogShared, segment: &Segment, known: &Known, end: Lsn) -> Result<(), OpenError> {
    let (disk, dir, path) = (&shared.doors.disk, &shared.dir, &segment.path);
    let file = disk.open(path, OpenMode::ReadWrite).map_err(at(path))?;
    // Even if the length is right: a sync that failed may have forgotten how it came about.
    file.set_len(end.get() - segment.base.get()).map_err(at(path))?;
    if known.is_unsure {
        let from = segment.base.max(known.checkpoint);
        write_again(&file, segment.base, from, end).map_err(at(path))?;
    }
    file.sync().map_err(at(path))?;
    disk.sync_dir(dir).map_err(at(dir))?;
    Ok(())
}

/// Writes the frames in `from..end` over themselves, so that the next sync has them to write. In
/// place: whatever part of it a crash leaves, the bytes are the same. Each frame is checked as it
/// is read, because the page cache may have forgotten since the scan what the disk does not have.
fn write_again(file: &Arc<dyn DiskFile>, base: Lsn, from: Lsn, end: Lsn) -> std::io::Result<()> {
    let mut scan = SegmentScan::new(Arc::clone(file), base, end.get() - base.get());
    let mut batch: Vec<u8> = Vec::new();
    let mut at = from;
    while at < end {
        let FrameAt::Good(header, frame) = scan.frame_at(at)? else {
            return Err(std::io::Error::other(format!(
                "the frame at {at} was whole a moment ago; start again to see what is left"
            )));
        };
        batch.extend_from_slice(frame);
        at = header.end();
        if batch.len() >= SCAN_BYTES || at >= end {
            file.write_at(&batch, at.get() - batch.len() as u64 - base.get())?;
            batch.clear();
        }
    }
    Ok(())
}

fn create(doors: &Doors, dir: &Path, base: Lsn) -> Result<Arc<Segment>, OpenError> {
    let path = dir.join(segment_name(base));
    let file = doors.disk.open(&path, OpenMode::CreateNew).map_err(at(&path))?;
    doors.disk.sync_dir(dir).map_err(at(dir))?;
    Ok(Arc::new(Segment::new(dir, base, Some(file))))
}

/// The epoch of the last frame before the end.
pub(super) fn epoch_of(chain: Option<Chain>) -> Epoch {
    chain.map_or(Epoch(0), |c| c.epoch)
}
