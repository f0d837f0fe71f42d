//! Reading the log in order: replay after a start, and finding a frame's end for a cut.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use base::OpenMode;
use model::Lsn;

use super::Log;
use super::frame::{FrameHeader, RecordRef, Records};
use super::recover::epoch_of;
use super::scan::{FrameAt, SegmentScan};
use super::segments::Segments;
use super::tail::{Boundary, Chain};
use crate::error::{IoFault, LogError, ReadError, ReplayError};

type OnFrame<'f> = &'f mut dyn FnMut(&FrameHeader, &[u8]) -> Result<(), ReplayError>;

impl Log {
    /// Hands every record in `from..to` to `f`, in order. Stops at the first error.
    pub fn replay(
        &self,
        from: Lsn,
        to: Lsn,
        f: &mut dyn FnMut(RecordRef<'_>) -> Result<(), ReplayError>,
    ) -> Result<(), ReplayError> {
        self.frames_between(from, to, &mut |header, frame| {
            for record in Records::new(frame, *header) {
                let record = record.map_err(|what| ReadError::corrupt_at(header.lsn, what))?;
                if record.lsn >= from && record.lsn < to {
                    f(record)?;
                }
            }
            Ok(())
        })
    }

    /// Hands every frame that overlaps `from..to` to `f`.
    fn frames_between(&self, from: Lsn, to: Lsn, f: OnFrame<'_>) -> Result<(), ReplayError> {
        let (start, end) = (self.start(), self.end());
        let to = to.min(end);
        if from < start {
            return Err(ReadError::Trimmed { lsn: from, start }.into());
        }
        let segments = self.shared.segments.load_full();
        let first = segments.list.partition_point(|s| s.base <= from).saturating_sub(1);
        let mut at = from;
        for (i, segment) in segments.list.iter().enumerate().skip(first) {
            if at >= to {
                break;
            }
            let segment_end = segments.end_of(i, end);
            let io = |e: std::io::Error| ReadError::from(IoFault::at(&segment.path, &e));
            let file = self.shared.handles.get(segment, &segments).map_err(io)?;
            let mut scan = SegmentScan::new(file, segment.base, segment_end.get() - segment.base.get());
            if at > segment.base
                && !matches!(scan.frame_at(at).map_err(io)?, FrameAt::Good(..) | FrameAt::End)
            {
                // Inside a frame: its beginning is found from the segment's.
                at = frame_around(&mut scan, segment.base, at).map_err(io)?;
            }
            while at < to {
                match scan.frame_at(at).map_err(io)? {
                    FrameAt::End => break,
                    FrameAt::Bad(what) => return Err(ReadError::corrupt_at(at, what).into()),
                    FrameAt::Good(header, frame) => {
                        f(&header, frame)?;
                        at = header.end();
                    }
                }
            }
        }
        Ok(())
    }

    /// The frame that ends at `at`.
    fn chain_at(&self, at: Lsn) -> Result<Option<Chain>, LogError> {
        match self.shared.boundary(at) {
            Boundary::EndOf(chain) => return Ok(Some(chain)),
            Boundary::Inside => return Err(LogError::BadCut { to: at, what: "it lies inside a frame" }),
            Boundary::Unknown => {}
        }
        let segments = self.shared.segments.load_full();
        let below = segments.list.iter().rev().find(|s| s.base < at);
        let Some(segment) = below else { return Ok(None) };
        let mut found = None;
        let walked = self.frames_between(segment.base, at, &mut |header, _| {
            found = Some((header.end(), Chain { crc: header.crc, epoch: header.epoch }));
            Ok(())
        });
        walked.map_err(|_| LogError::BadCut { to: at, what: "the log below it is damaged" })?;
        match found {
            Some((end, chain)) if end == at => Ok(Some(chain)),
            _ => Err(LogError::BadCut { to: at, what: "it lies inside a frame" }),
        }
    }

    /// Cuts the log at `to`, the end of a frame, durably. What the views have applied above must
    /// be forgotten with `Views::rewind` and replayed. Never below [`Self::cut_floor`].
    pub fn truncate(&mut self, to: Lsn) -> Result<(), LogError> {
        self.shared.check_fence()?;
        if to > self.end() || to < self.start() || to < self.cut_floor() {
            let what =
                "it is above the end, below the start, or below a checkpoint that was written or tried";
            return Err(LogError::BadCut { to, what });
        }
        let chain = self.chain_at(to)?;
        // Readers first: nobody may begin to read what is about to go.
        self.shared.end.store(to.get(), Ordering::Release);
        self.shared.flushed.fetch_min(to.get(), Ordering::AcqRel);
        self.shared.tail.cut(to);
        self.shared.blocks.cut(to);
        let cut = self.cut_files(to);
        cut.map_err(|fault| self.shared.fence(fault.to_string()))?;
        self.shared.flushed.store(to.get(), Ordering::Release);
        self.chain = chain;
        self.epoch = epoch_of(chain);
        Ok(())
    }

    fn cut_files(&mut self, to: Lsn) -> Result<(), IoFault> {
        let (disk, dir) = (&self.shared.doors.disk, &self.shared.dir);
        let mut list = self.shared.segments.load().list.clone();
        while list.len() > 1
            && let Some(last) = list.pop_if(|s| s.base >= to)
        {
            disk.remove(&last.path).map_err(|e| IoFault::at(&last.path, &e))?;
            disk.sync_dir(dir).map_err(|e| IoFault::at(dir, &e))?;
        }
        let segments = Segments { list };
        let last = segments.last();
        let io = |e: std::io::Error| IoFault::at(&last.path, &e);
        let file = disk.open(&last.path, OpenMode::ReadWrite).map_err(io)?;
        file.set_len(to.get() - last.base.get()).map_err(io)?;
        file.sync().map_err(io)?;
        last.set_sealed_ms(0);
        self.active = file;
        self.ahead.on_rolled(0);
        self.shared.segments.store(Arc::new(segments));
        Ok(())
    }
}

/// The beginning of the frame that holds `at`, or `at` itself if the walk meets no such frame.
fn frame_around(scan: &mut SegmentScan, base: Lsn, at: Lsn) -> std::io::Result<Lsn> {
    let mut lsn = base;
    while lsn < at {
        match scan.frame_at(lsn)? {
            FrameAt::Good(header, _) if header.end() > at => return Ok(lsn),
            FrameAt::Good(header, _) => lsn = header.end(),
            _ => break,
        }
    }
    Ok(at)
}
