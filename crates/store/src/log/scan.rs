//! Reads frames one after another from a segment file, in large pieces. Used by recovery, replay
//! and verification; decides nothing about what a bad frame means.

use std::io;
use std::sync::Arc;

use base::DiskFile;
use memchr::memmem;
use model::Lsn;

use super::frame::{BadFrame, FRAME_HEADER_BYTES, FRAME_MAGIC, FrameHeader, check_frame};
use crate::limits::SCAN_BYTES;

/// What stands at a position.
#[derive(Debug)]
pub(crate) enum FrameAt<'a> {
    Good(FrameHeader, &'a [u8]),
    Bad(BadFrame),
    /// The data ends exactly here.
    End,
}

/// A window over one segment file.
pub(crate) struct SegmentScan {
    file: Arc<dyn DiskFile>,
    base: Lsn,
    /// Bytes of the file that may be looked at.
    limit: u64,
    window: Vec<u8>,
    window_at: u64,
}

impl SegmentScan {
    pub(crate) fn new(file: Arc<dyn DiskFile>, base: Lsn, limit: u64) -> Self {
        Self { file, base, limit, window: Vec::new(), window_at: 0 }
    }

    /// The frame that begins at `lsn`, with its checksum verified.
    pub(crate) fn frame_at(&mut self, lsn: Lsn) -> io::Result<FrameAt<'_>> {
        let Some(at) = lsn.get().checked_sub(self.base.get()).filter(|at| *at <= self.limit) else {
            return Ok(FrameAt::Bad("the position lies outside the segment"));
        };
        if at == self.limit {
            return Ok(FrameAt::End);
        }
        let head = self.bytes(at, FRAME_HEADER_BYTES)?;
        let Some(header) = FrameHeader::decode(head) else { return Ok(FrameAt::Bad("no frame header")) };
        if header.lsn != lsn {
            return Ok(FrameAt::Bad("the frame belongs to another position"));
        }
        let frame = self.bytes(at, header.len as usize)?;
        Ok(match check_frame(frame, lsn) {
            Ok(header) => FrameAt::Good(header, frame),
            Err(what) => FrameAt::Bad(what),
        })
    }

    /// The first valid frame that begins after `after`. Stale bytes of a recycled file are full
    /// of frames, but of lower positions, so that their headers are rejected at a glance.
    pub(crate) fn find_after(&mut self, after: Lsn) -> io::Result<Option<FrameHeader>> {
        let magic = FRAME_MAGIC.to_le_bytes();
        let mut at = (after.get() + 1).saturating_sub(self.base.get());
        while at + FRAME_HEADER_BYTES as u64 <= self.limit {
            let window = self.window_from(at)?;
            if window.len() < FRAME_HEADER_BYTES {
                return Ok(None);
            }
            let Some(found) = memmem::find(window, &magic) else {
                at += (window.len() - (magic.len() - 1)) as u64;
                continue;
            };
            at += found as u64;
            let lsn = self.base.plus(at);
            let head = self.bytes(at, FRAME_HEADER_BYTES)?;
            let likely = FrameHeader::decode(head).is_some_and(|h| h.lsn == lsn);
            if likely && let FrameAt::Good(header, _) = self.frame_at(lsn)? {
                return Ok(Some(header));
            }
            at += 1;
        }
        Ok(None)
    }

    /// What the window still holds from `at` on, if that is a header or more; else the next window.
    fn window_from(&mut self, at: u64) -> io::Result<&[u8]> {
        let offset = at.checked_sub(self.window_at).and_then(|o| usize::try_from(o).ok());
        if let Some(offset) = offset
            && self.window.len().saturating_sub(offset) >= FRAME_HEADER_BYTES
        {
            return Ok(&self.window[offset..]);
        }
        self.bytes(at, SCAN_BYTES)
    }

    /// Up to `len` bytes from `at`; fewer at the limit.
    fn bytes(&mut self, at: u64, len: usize) -> io::Result<&[u8]> {
        let room = usize::try_from(self.limit.saturating_sub(at)).unwrap_or(usize::MAX);
        let len = len.min(room);
        let offset = at.checked_sub(self.window_at).and_then(|o| usize::try_from(o).ok());
        if let Some(offset) = offset
            && offset + len <= self.window.len()
        {
            return Ok(&self.window[offset..offset + len]);
        }
        let want = len.max(SCAN_BYTES).min(room);
        self.window.resize(want, 0);
        self.window_at = at;
        let mut done = 0;
        while done < want {
            let n = self.file.read_at(&mut self.window[done..], at + done as u64)?;
            if n == 0 {
                break;
            }
            done += n;
        }
        self.window.truncate(done);
        Ok(&self.window[..len.min(done)])
    }
}
