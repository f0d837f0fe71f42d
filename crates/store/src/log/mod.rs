//! The segment log: frames appended by one owner, read by anyone.
//!
//! ```text
//! log/00000000000000000000.log  00000000000134217728.log ...   name = first position
//!     |frame|frame|frame|...    |frame|...                      no padding, no frame crosses
//! ```
//!
//! Invariants: positions are byte offsets and adjacent across segments; sealed segments are
//! durable; nothing is written after a failed flush; a frame that failed to be written leaves no
//! trace. Reading order: [`frame`], [`builder`], this file, `shared`, `tail`, [`reader`],
//! `recover`.

pub(crate) mod blocks;
pub mod builder;
mod cold_room;
pub mod frame;
pub mod prepare;
pub mod reader;
pub(crate) mod recover;
pub(crate) mod replay;
pub(crate) mod scan;
pub(crate) mod segments;
pub(crate) mod shared;
pub(crate) mod space;
pub(crate) mod tail;
mod walk;

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use base::{DiskFile, Doors, OpenMode};
use bytes::Bytes;
use model::{Epoch, Lsn};

use self::builder::FrameBuilder;
use self::frame::{FLAG_FLUSHED_BEFORE, FrameHeader, Records, check_frame, finish_frame};
use self::prepare::Ahead;
use self::reader::LogReader;
use self::recover::{Known, LogRecovery, check_chain, epoch_of, recover};
use self::segments::{Segment, Segments, segment_name};
use self::shared::LogShared;
use self::space::SpaceWatch;
use self::tail::Chain;
use crate::config::StoreConfig;
use crate::error::{IoFault, LogError, OpenError, is_full};
use crate::limits::{FRAME_BUFFER_BYTES_MAX, FRAME_BYTES_MAX, FRAME_RECORDS_MAX};
use crate::store::Repair;

/// The owner's side of the log.
pub struct Log {
    shared: Arc<LogShared>,
    config: StoreConfig,
    active: Arc<dyn DiskFile>,
    epoch: Epoch,
    /// What the next frame follows.
    chain: Option<Chain>,
    spares: Vec<String>,
    /// The next segment, prepared ahead.
    ahead: Ahead,
    /// Segments that are trimmed, but whose files may still be there: oldest first.
    trimmed: VecDeque<Arc<Segment>>,
    space: SpaceWatch,
    /// Kept between frames, so that a frame costs no allocation.
    starts: Vec<u32>,
    buf: Vec<u8>,
}

/// Makes a log durable from any thread.
pub struct Flusher(Arc<LogShared>);

impl Flusher {
    /// As [`Log::flush`].
    pub fn flush(&self) -> Result<Lsn, LogError> {
        self.0.flush()
    }
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Log({}..{}, epoch {})", self.start(), self.end(), self.epoch)
    }
}

impl Log {
    pub(crate) fn open(
        doors: &Doors,
        dir: &Path,
        config: &StoreConfig,
        known: &Known,
        repair: Repair,
    ) -> Result<(Self, LogRecovery), OpenError> {
        let shared = LogShared::new(doors, dir, config);
        let found = recover(&shared, known, repair)?;
        let now = doors.clock.now_ms();
        for sealed in found.segments.iter().rev().skip(1).filter(|s| s.sealed_ms() == 0) {
            sealed.set_sealed_ms(now);
        }
        let start = found.segments.first().expect("recovery makes a segment").base;
        shared.start.store(start.get(), Ordering::Release);
        shared.end.store(found.end.get(), Ordering::Release);
        shared.set_checkpoint(known.checkpoint);
        let trimmed = found.trimmed.iter().map(|base| Arc::new(Segment::new(dir, *base, None))).collect();
        shared.segments.store(Arc::new(Segments { list: found.segments }));
        let segments = shared.segments.load_full();
        let path = &segments.last().path;
        let active = shared.handles.get(segments.last(), &segments).map_err(crate::error::at(path))?;
        let mut log = Self {
            shared: Arc::new(shared),
            config: config.clone(),
            active,
            epoch: epoch_of(found.chain),
            chain: found.chain,
            spares: found.spares,
            ahead: Ahead::default(),
            trimmed,
            space: SpaceWatch::default(),
            starts: Vec::new(),
            buf: Vec::new(),
        };
        log.shared.flushed.store(found.end.get(), Ordering::Release);
        if let Err(error) = log.remove_trimmed() {
            tracing::warn!(%error, "cannot remove a trimmed segment; trying again at the next trim");
        }
        Ok((log, found.report))
    }

    pub(crate) fn shared(&self) -> &Arc<LogShared> {
        &self.shared
    }

    /// The oldest readable position.
    #[must_use]
    pub fn start(&self) -> Lsn {
        self.shared.start()
    }

    /// Where the next frame will stand.
    #[must_use]
    pub fn end(&self) -> Lsn {
        self.shared.end()
    }

    /// Everything below is durable.
    #[must_use]
    pub fn flushed(&self) -> Lsn {
        self.shared.flushed()
    }

    /// The log is never cut below: the highest checkpoint that may stand on disk. Above the
    /// current one after an attempt that failed at its last step.
    #[must_use]
    pub fn cut_floor(&self) -> Lsn {
        self.shared.cut_floor()
    }

    /// The epoch of the next frame.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Sets the epoch of the following frames. Lower ones are ignored: epochs never decrease.
    pub fn set_epoch(&mut self, epoch: Epoch) {
        self.epoch = self.epoch.max(epoch);
    }

    /// A view of the log for readers.
    #[must_use]
    pub fn reader(&self) -> LogReader {
        LogReader::new(Arc::clone(&self.shared))
    }

    /// Metrics of the store that this log belongs to.
    #[must_use]
    pub fn metrics(&self) -> &Arc<crate::metrics::Metrics> {
        &self.shared.metrics
    }

    /// True when the log has grown by `checkpoint_bytes` since the last checkpoint.
    #[must_use]
    pub fn is_checkpoint_due(&self) -> bool {
        self.end().get() - self.shared.checkpoint().get() >= self.config.checkpoint_bytes
    }

    // ---- append

    /// Begins a frame at the end of the log. `commit` is what is known to be committed.
    pub fn begin_frame(&mut self, commit: Lsn) -> FrameBuilder {
        let buf = std::mem::take(&mut self.buf);
        let starts = std::mem::take(&mut self.starts);
        FrameBuilder::new(buf, starts, self.end(), self.epoch, commit)
    }

    /// Takes back a frame that is not to be written, so that the next one has its memory.
    pub fn give_back(&mut self, frame: FrameBuilder) {
        (self.buf, self.starts) = (frame.buf, frame.starts);
    }

    /// Writes a frame and makes it readable; returns the log's new end. An empty frame is not
    /// written.
    pub fn append(&mut self, frame: FrameBuilder) -> Result<Lsn, LogError> {
        self.shared.check_fence()?;
        let end = self.end();
        if frame.is_empty() {
            self.give_back(frame);
            return Ok(end);
        }
        let FrameBuilder { mut buf, starts, lsn, epoch, commit } = frame;
        if lsn != end {
            return Err(LogError::NotAtEnd { lsn, end });
        }
        if epoch < self.epoch {
            return Err(LogError::OldEpoch { epoch: epoch.get(), current: self.epoch.get() });
        }
        if buf.len() > FRAME_BYTES_MAX || starts.len() > FRAME_RECORDS_MAX {
            return Err(LogError::FrameTooLarge { bytes: buf.len(), records: starts.len() });
        }
        let flags = if self.flushed() == end { FLAG_FLUSHED_BEFORE } else { 0 };
        let records = u16::try_from(starts.len()).expect("checked above");
        let prev_crc = self.chain.map_or(0, |c| c.crc);
        let header = FrameHeader { len: 0, crc: 0, epoch, lsn, commit, prev_crc, records, flags };
        let crc = finish_frame(&mut buf, &starts, header);
        self.starts = starts;
        let written = self.write(&buf, Chain { crc, epoch });
        if buf.capacity() <= FRAME_BUFFER_BYTES_MAX {
            self.buf = buf;
        }
        written
    }

    /// Appends a frame exactly as another replica holds it; returns the log's new end. Refused
    /// unless it continues this log: position, checksum, chain and epoch.
    pub fn append_copy(&mut self, frame: Bytes) -> Result<Lsn, LogError> {
        self.shared.check_fence()?;
        let lsn = self.end();
        let bad = |what| LogError::BadFrame { lsn, what };
        let header = check_frame(&frame, lsn).map_err(bad)?;
        check_chain(self.chain, &header).map_err(bad)?;
        for record in Records::new(&frame, header) {
            record.map_err(bad)?;
        }
        self.epoch = self.epoch.max(header.epoch);
        self.write(&frame, Chain { crc: header.crc, epoch: header.epoch })
    }

    fn write(&mut self, frame: &[u8], chain: Chain) -> Result<Lsn, LogError> {
        let before = self.shared.doors.clock.monotonic();
        let lsn = self.end();
        let mut base = self.shared.segments.load().last().base;
        let used = lsn.get() - base.get();
        let needed = used + frame.len() as u64;
        if used > 0 && (needed > self.config.segment_bytes || self.ahead.wants_roll(needed)) {
            self.roll(lsn)?;
            base = lsn;
        }
        self.write_at_end(frame, lsn.get() - base.get())?;
        let end = lsn.plus(frame.len() as u64);
        let len = frame.len();
        self.shared.tail.push(lsn, frame);
        self.shared.end.store(end.get(), Ordering::Release);
        self.chain = Some(chain);
        self.space.on_append_succeeded();
        self.ahead.on_appended(len);
        let took = self.shared.doors.clock.monotonic().saturating_sub(before);
        self.shared.metrics.frame_appended(len, took);
        Ok(end)
    }

    /// One positioned write. When it fails, whatever part of it arrived is cut off again, so that
    /// a frame that was refused can never come back after a crash.
    fn write_at_end(&mut self, frame: &[u8], at: u64) -> Result<(), LogError> {
        let Err(error) = self.active.write_at(frame, at) else { return Ok(()) };
        let path = self.shared.segments.load().last().path.clone();
        let fault = IoFault::at(&path, &error);
        if !is_full(error.kind()) {
            return Err(self.shared.fence(fault.to_string()));
        }
        if let Err(error) = self.active.set_len(at) {
            return Err(self.shared.fence(IoFault::at(&path, &error).to_string()));
        }
        self.space.on_disk_full();
        self.shared.metrics.disk_was_full();
        Err(LogError::DiskFull)
    }

    /// Makes everything appended so far durable. An error fences the log for good: what a failed
    /// flush has written is unknown, and trying again would report success without knowing more.
    pub fn flush(&mut self) -> Result<Lsn, LogError> {
        self.shared.flush()
    }

    /// Makes all of it durable, and leaves nothing behind the end.
    pub(crate) fn close(&mut self) -> Result<Lsn, LogError> {
        self.prepare_cancel();
        let end = self.flush()?;
        self.cut_spare_bytes(end)?;
        Ok(end)
    }

    /// Makes what is appended durable from another thread, while the owner goes on.
    #[must_use]
    pub fn flusher(&self) -> Flusher {
        Flusher(Arc::clone(&self.shared))
    }

    /// Begins the segment at `base`, after making the one before durable.
    fn roll(&mut self, base: Lsn) -> Result<(), LogError> {
        self.flush()?;
        let segments = self.shared.segments.load_full();
        let last = segments.last();
        self.cut_spare_bytes(base)?;
        let (file, prepared_bytes) = match self.new_segment_file(base) {
            Ok(made) => made,
            Err(fault) => return Err(self.undo_roll(base, &fault)),
        };
        last.set_sealed_ms(self.shared.doors.clock.now_ms());
        let mut list = segments.list.clone();
        list.push(Arc::new(Segment::new(&self.shared.dir, base, Some(Arc::clone(&file)))));
        self.shared.segments.store(Arc::new(Segments { list }));
        self.active = file;
        self.ahead.on_rolled(prepared_bytes);
        Ok(())
    }

    /// A half-made segment must not stay: frames may still go into the one before, and a start
    /// would take that one to end where the half-made one begins.
    fn undo_roll(&self, base: Lsn, fault: &IoFault) -> LogError {
        let (disk, dir) = (&self.shared.doors.disk, &self.shared.dir);
        let path = dir.join(segment_name(base));
        let undone = !disk.exists(&path) || disk.remove(&path).and_then(|()| disk.sync_dir(dir)).is_ok();
        if !undone || !fault.is_full() {
            return self.shared.fence(fault.to_string());
        }
        self.space.on_disk_full();
        self.shared.metrics.disk_was_full();
        LogError::DiskFull
    }

    /// Takes the prepared file, or another spare, or makes one; tells how much of it is prepared. A spare also
    /// helps when making one fails for lack of space.
    fn new_segment_file(&mut self, base: Lsn) -> Result<(Arc<dyn DiskFile>, u64), IoFault> {
        let (disk, dir) = (&self.shared.doors.disk, &self.shared.dir);
        let path = dir.join(segment_name(base));
        let io = |e: std::io::Error| IoFault::at(&path, &e);
        let (spare, prepared_bytes) = match self.ahead.take() {
            Some(prepared) => (Some(prepared.name), prepared.bytes),
            None => (self.spares.pop(), 0),
        };
        let file = match spare {
            Some(spare) => {
                disk.rename(&dir.join(spare), &path).map_err(io)?;
                disk.open(&path, OpenMode::ReadWrite).map_err(io)?
            }
            None => disk.open(&path, OpenMode::CreateNew).map_err(io)?,
        };
        disk.sync_dir(dir).map_err(io)?;
        Ok((file, prepared_bytes))
    }
}

#[cfg(test)]
mod tests;
