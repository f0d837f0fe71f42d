//! Collects the records of one frame, in the bytes that will be written.
//!
//! Positions are known from the first push, because a frame stands where the log ends. Payloads
//! may still be patched until the frame is appended: checksums are computed then.

use model::{Epoch, Lsn};

use super::frame::{FRAME_HEADER_BYTES, RECORD_HEADER_BYTES, RecordRef, put_record_header};
use crate::limits::{FRAME_BYTES_FULL, FRAME_RECORDS_MAX};

/// Where a pushed record will stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    pub lsn: Lsn,
    /// Bytes of the whole record, header included.
    pub len: u32,
}

/// A frame being filled. Made by `Log::begin_frame`, consumed by `Log::append`.
#[derive(Debug)]
pub struct FrameBuilder {
    pub(super) buf: Vec<u8>,
    pub(super) starts: Vec<u32>,
    pub(super) lsn: Lsn,
    pub(super) epoch: Epoch,
    pub(super) commit: Lsn,
}

impl FrameBuilder {
    pub(super) fn new(mut buf: Vec<u8>, mut starts: Vec<u32>, lsn: Lsn, epoch: Epoch, commit: Lsn) -> Self {
        buf.clear();
        buf.resize(FRAME_HEADER_BYTES, 0);
        starts.clear();
        Self { buf, starts, lsn, epoch, commit }
    }

    /// The position that the next pushed record will have.
    #[must_use]
    pub fn next_lsn(&self) -> Lsn {
        self.lsn.plus(self.buf.len() as u64)
    }

    /// Adds a record. `write` is given the record's position and appends the payload to the
    /// buffer; it must leave alone what the buffer already holds.
    pub fn push(&mut self, kind: u8, write: impl FnOnce(Lsn, &mut Vec<u8>)) -> Placed {
        let start = self.buf.len();
        let lsn = self.next_lsn();
        self.buf.extend_from_slice(&[0; RECORD_HEADER_BYTES]);
        write(lsn, &mut self.buf);
        let len = self.buf.len().checked_sub(start).expect("a payload writer only appends");
        assert!(len >= RECORD_HEADER_BYTES, "a payload writer only appends");
        let len = u32::try_from(len).expect("a record is far below 4 GiB");
        put_record_header(&mut self.buf[start..], len, kind);
        self.starts.push(u32::try_from(start).expect("a frame is far below 4 GiB"));
        Placed { lsn, len }
    }

    /// The `i`th pushed record.
    #[must_use]
    pub fn record(&self, i: usize) -> Option<RecordRef<'_>> {
        let range = self.range(i)?;
        let start = range.start;
        let bytes = self.buf.get(range)?;
        Some(RecordRef {
            lsn: self.lsn.plus(start as u64),
            kind: *bytes.get(4)?,
            payload: bytes.get(RECORD_HEADER_BYTES..)?,
            len: u32::try_from(bytes.len()).ok()?,
            epoch: self.epoch,
        })
    }

    /// The payload of the `i`th pushed record, to be patched in place.
    pub fn payload_mut(&mut self, i: usize) -> Option<&mut [u8]> {
        let range = self.range(i)?;
        self.buf.get_mut(range)?.get_mut(RECORD_HEADER_BYTES..)
    }

    /// All pushed records in order.
    pub fn records(&self) -> impl Iterator<Item = RecordRef<'_>> {
        (0..self.starts.len()).filter_map(|i| self.record(i))
    }

    /// Takes back the records after the first `records`: for a change that turned out invalid
    /// while it was being written.
    pub fn rewind(&mut self, records: usize) {
        if let Some(start) = self.starts.get(records) {
            self.buf.truncate(*start as usize);
            self.starts.truncate(records);
        }
    }

    /// Number of pushed records.
    #[must_use]
    pub fn len(&self) -> usize {
        self.starts.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    /// Bytes of the frame so far, header included.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.buf.len()
    }

    /// True when further records should go into the next frame. One record (a batch of up to
    /// `FRAME_BYTES_MAX - FRAME_BYTES_FULL` bytes) may always be pushed while this is false.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.buf.len() >= FRAME_BYTES_FULL || self.starts.len() >= FRAME_RECORDS_MAX
    }

    /// Where the frame begins.
    #[must_use]
    pub fn lsn(&self) -> Lsn {
        self.lsn
    }

    fn range(&self, i: usize) -> Option<std::ops::Range<usize>> {
        let start = *self.starts.get(i)? as usize;
        let end = self.starts.get(i + 1).map_or(self.buf.len(), |next| *next as usize);
        Some(start..end)
    }
}
