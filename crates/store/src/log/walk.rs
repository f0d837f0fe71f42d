//! Walks a log from one of its records on, record by record, for questions that no index answers.
//!
//! Bytes come from the files in large pieces, whatever else is in memory: a walk must not push out what hot
//! readers need. Only records that the caller wants are checked and handed out; of the others the
//! header is read, and that frames follow each other.
//!
//! ```text
//! ... record | frame header, record, record | frame header, record ...
//!     ^ from    begins with the magic, which no record's length is
//! ```

use bytes::Bytes;
use model::Lsn;

use super::frame::{
    FRAME_HEADER_BYTES, FRAME_MAGIC, FrameHeader, RECORD_HEADER_BYTES, check_record, decode_record_header,
};
use super::shared::{LogShared, Record};
use crate::error::ReadError;
use crate::limits::SCAN_BYTES;
use crate::patience::Patience;

/// Bytes of a log from a position on, read ahead.
struct Window<'a> {
    shared: &'a LogShared,
    at: Lsn,
    bytes: Bytes,
}

impl Window<'_> {
    /// `len` bytes at `lsn`, which must not cross the end of a segment; fewer where the log ends.
    fn bytes(&mut self, lsn: Lsn, len: usize) -> Result<Bytes, ReadError> {
        let inside = lsn.get().checked_sub(self.at.get()).and_then(|from| usize::try_from(from).ok());
        if let Some(from) = inside
            && from + len <= self.bytes.len()
        {
            return Ok(self.bytes.slice(from..from + len));
        }
        let (start, end) = (self.shared.start(), self.shared.end());
        let segments = self.shared.segments.load();
        let found = segments.find(lsn, end).filter(|_| lsn >= start && lsn < end);
        let Some((_, segment_end)) = found else { return Err(ReadError::Trimmed { lsn, start }) };
        let room = usize::try_from(segment_end.get() - lsn.get()).unwrap_or(usize::MAX);
        let mut bytes = vec![0; len.max(SCAN_BYTES).min(room)];
        self.shared.pread_into(lsn, &mut bytes, Patience::Wait)?;
        self.bytes = bytes.into();
        self.at = lsn;
        Ok(self.bytes.slice(..len.min(self.bytes.len())))
    }
}

/// Calls `each` for the records from the one at `from` on that stand below `to` and whose kind `wants` names,
/// until it answers `false`. Answers where the walk ended. Blocks on the disk.
pub(super) fn walk(
    shared: &LogShared,
    from: Lsn,
    to: Lsn,
    wants: &dyn Fn(u8) -> bool,
    each: &mut dyn FnMut(Lsn, Record) -> bool,
) -> Result<Lsn, ReadError> {
    let mut window = Window { shared, at: from, bytes: Bytes::new() };
    let mut at = from;
    let damaged = |at: Lsn| ReadError::corrupt_at(at, "no record and no frame stands where one must");
    while at < to {
        let head = window.bytes(at, RECORD_HEADER_BYTES)?;
        if head.starts_with(&FRAME_MAGIC.to_le_bytes()) {
            let head = window.bytes(at, FRAME_HEADER_BYTES)?;
            if FrameHeader::decode(&head).is_none_or(|header| header.lsn != at) {
                return Err(damaged(at));
            }
            at = at.plus(FRAME_HEADER_BYTES as u64);
            continue;
        }
        let header = decode_record_header(&head, u64::MAX).ok_or_else(|| damaged(at))?;
        let next = at.plus(u64::from(header.len));
        if wants(header.kind) {
            let bytes = window.bytes(at, header.len as usize)?;
            check_record(&bytes, at).map_err(|what| ReadError::corrupt_at(at, what))?;
            let payload = bytes.slice(RECORD_HEADER_BYTES..);
            if !each(at, Record { kind: header.kind, payload, len: header.len }) {
                return Ok(next);
            }
        }
        at = next;
    }
    Ok(at)
}
