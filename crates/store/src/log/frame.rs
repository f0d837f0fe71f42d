//! The frame and record layouts: what stands on disk and goes to other replicas, byte for byte.
//!
//! A frame is one group commit. All numbers are little-endian.
//!
//! ```text
//! frame   0  magic      u32   "APF1"
//!         4  len        u32   of the whole frame, header included
//!         8  crc32c     u32   of bytes 0..8 and 12..len
//!        12  epoch      u32   never decreases along a log
//!        16  lsn        u64   position of this frame in its log
//!        24  commit_lsn u64   what the leader knew to be committed
//!        32  prev_crc   u32   crc32c of the frame before, 0 for the first of a log
//!        36  nrec       u16
//!        38  flags      u16   bit 0: everything before was durable when this was written
//!        40  records
//!
//! record  0  len        u32   of the whole record, header included
//!         4  kind       u8
//!         5  flags      u8    0
//!         6  reserved   u16   0
//!         8  crc32c     u32   of the record's lsn (u64), bytes 0..8 and the payload
//!        12  payload
//! ```
//!
//! The lsn in the header rejects misdirected writes and the stale bytes of a recycled file;
//! `prev_crc` rejects a frame that followed another history. The record's own checksum covers its
//! lsn, so that a single record read by position is either the right one or an error.

use model::{Epoch, Lsn};

use crate::codec::Take;
use crate::limits::FRAME_BYTES_MAX;

pub const FRAME_MAGIC: u32 = u32::from_le_bytes(*b"APF1");
pub const FRAME_HEADER_BYTES: usize = 40;
pub const RECORD_HEADER_BYTES: usize = 12;

/// Everything before this frame was durable when it was written: damage before it is corruption,
/// not a torn tail.
pub const FLAG_FLUSHED_BEFORE: u16 = 1;

/// A decoded frame header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHeader {
    pub len: u32,
    pub crc: u32,
    pub epoch: Epoch,
    pub lsn: Lsn,
    pub commit: Lsn,
    pub prev_crc: u32,
    pub records: u16,
    pub flags: u16,
}

/// A decoded record header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordHeader {
    pub len: u32,
    pub kind: u8,
    pub crc: u32,
}

/// A record inside a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordRef<'a> {
    pub lsn: Lsn,
    pub kind: u8,
    pub payload: &'a [u8],
    /// Bytes of the whole record, header included.
    pub len: u32,
    pub epoch: Epoch,
}

/// Why bytes are no frame.
pub(crate) type BadFrame = &'static str;

impl FrameHeader {
    /// Decodes the fixed part; `None` unless magic and length make sense.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut take = Take::new(bytes);
        let magic = take.u32()?;
        let len = take.u32()?;
        let crc = take.u32()?;
        let epoch = Epoch(take.u32()?);
        let lsn = Lsn(take.u64()?);
        let commit = Lsn(take.u64()?);
        let prev_crc = take.u32()?;
        let records = take.u16()?;
        let flags = take.u16()?;
        let sane = magic == FRAME_MAGIC && (FRAME_HEADER_BYTES..=FRAME_BYTES_MAX).contains(&(len as usize));
        sane.then_some(Self { len, crc, epoch, lsn, commit, prev_crc, records, flags })
    }

    /// Writes the header, without its checksum, over the first bytes of `frame`.
    fn encode_into(&self, frame: &mut [u8]) {
        let mut header = [0_u8; FRAME_HEADER_BYTES];
        header[0..4].copy_from_slice(&FRAME_MAGIC.to_le_bytes());
        header[4..8].copy_from_slice(&self.len.to_le_bytes());
        header[12..16].copy_from_slice(&self.epoch.get().to_le_bytes());
        header[16..24].copy_from_slice(&self.lsn.get().to_le_bytes());
        header[24..32].copy_from_slice(&self.commit.get().to_le_bytes());
        header[32..36].copy_from_slice(&self.prev_crc.to_le_bytes());
        header[36..38].copy_from_slice(&self.records.to_le_bytes());
        header[38..40].copy_from_slice(&self.flags.to_le_bytes());
        frame[..FRAME_HEADER_BYTES].copy_from_slice(&header);
    }

    /// Where the next frame begins.
    #[must_use]
    pub fn end(&self) -> Lsn {
        self.lsn.plus(u64::from(self.len))
    }
}

/// Completes a frame in place: record checksums, header, frame checksum. `header.len` and
/// `header.crc` are set here. Returns the checksum.
pub(crate) fn finish_frame(frame: &mut [u8], starts: &[u32], mut header: FrameHeader) -> u32 {
    for (i, start) in starts.iter().enumerate() {
        let start = *start as usize;
        let end = starts.get(i + 1).map_or(frame.len(), |next| *next as usize);
        let lsn = header.lsn.plus(start as u64);
        if let Some(record) = frame.get_mut(start..end) {
            let crc = record_crc(lsn, record);
            record[8..12].copy_from_slice(&crc.to_le_bytes());
        }
    }
    header.len = u32::try_from(frame.len()).expect("the caller has checked the frame's size");
    header.encode_into(frame);
    let crc = frame_crc(frame);
    frame[8..12].copy_from_slice(&crc.to_le_bytes());
    crc
}

/// Checksum of a whole frame, leaving out its own field. `frame` has at least a header.
fn frame_crc(frame: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&frame[..8]), &frame[12..])
}

/// Checksum of a whole record, leaving out its own field. `record` has at least a header.
fn record_crc(lsn: Lsn, record: &[u8]) -> u32 {
    let mut head = [0_u8; 16];
    head[..8].copy_from_slice(&lsn.get().to_le_bytes());
    head[8..].copy_from_slice(&record[..8]);
    crc32c::crc32c_append(crc32c::crc32c(&head), &record[RECORD_HEADER_BYTES..])
}

/// Writes a record header with an empty checksum.
pub(crate) fn put_record_header(record: &mut [u8], len: u32, kind: u8) {
    record[0..4].copy_from_slice(&len.to_le_bytes());
    record[4] = kind;
    record[5..12].fill(0);
}

/// Checks that `bytes` is exactly one frame that stands at `lsn`.
pub(crate) fn check_frame(bytes: &[u8], lsn: Lsn) -> Result<FrameHeader, BadFrame> {
    let header = FrameHeader::decode(bytes).ok_or("no frame header")?;
    if header.lsn != lsn {
        return Err("the frame belongs to another position");
    }
    if header.len as usize != bytes.len() {
        return Err("the frame is cut short");
    }
    if frame_crc(bytes) != header.crc {
        return Err("the frame's checksum does not match");
    }
    Ok(header)
}

/// Decodes a record header whose record lies within `room` bytes.
pub(crate) fn decode_record_header(bytes: &[u8], room: u64) -> Option<RecordHeader> {
    let mut take = Take::new(bytes);
    let len = take.u32()?;
    let kind = take.u8()?;
    let _flags = take.u8()?;
    let _reserved = take.u16()?;
    let crc = take.u32()?;
    let sane =
        len as usize >= RECORD_HEADER_BYTES && u64::from(len) <= room && len as usize <= FRAME_BYTES_MAX;
    sane.then_some(RecordHeader { len, kind, crc })
}

/// Checks that `bytes` is exactly the record that stands at `lsn`.
pub(crate) fn check_record(bytes: &[u8], lsn: Lsn) -> Result<RecordHeader, &'static str> {
    let header = decode_record_header(bytes, bytes.len() as u64).ok_or("no record header")?;
    if header.len as usize != bytes.len() {
        return Err("the record has another length");
    }
    if record_crc(lsn, bytes) != header.crc {
        return Err("the record's checksum does not match");
    }
    Ok(header)
}

/// Walks over the records of one checked frame.
#[derive(Debug, Clone)]
pub struct Records<'a> {
    frame: &'a [u8],
    at: usize,
    header: FrameHeader,
    left: u16,
}

impl<'a> Records<'a> {
    pub(crate) fn new(frame: &'a [u8], header: FrameHeader) -> Self {
        Self { frame, at: FRAME_HEADER_BYTES, header, left: header.records }
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<RecordRef<'a>, BadFrame>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.frame.get(self.at..)?;
        if self.left == 0 {
            let clean = rest.is_empty();
            self.at = usize::MAX;
            return (!clean).then_some(Err("bytes after the last record"));
        }
        let Some(header) = decode_record_header(rest, rest.len() as u64) else {
            self.at = usize::MAX;
            return Some(Err("a record does not fit its frame"));
        };
        let payload = rest.get(RECORD_HEADER_BYTES..header.len as usize).unwrap_or_default();
        let lsn = self.header.lsn.plus(self.at as u64);
        self.at += header.len as usize;
        self.left -= 1;
        Some(Ok(RecordRef { lsn, kind: header.kind, payload, len: header.len, epoch: self.header.epoch }))
    }
}

#[cfg(test)]
mod tests;
