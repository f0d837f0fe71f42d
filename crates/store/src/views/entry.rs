//! Entries of a stream, and how a chunk of them stands in a run file.
//!
//! ```text
//! entry   0  lsn           u64   28 bytes, little-endian
//!         8  len           u32
//!        12  tag           u32
//!        16  offset_delta  u32   from the chunk's first offset
//!        20  time_delta    u32   milliseconds from the chunk's lowest time
//!        24  count         u16
//!        26  flags         u16
//! ```
//!
//! A chunk is a sequence of entries of one stream; its first offset, lowest time, length and
//! checksum stand in the directory of the run. A chunk ends where a delta would not fit.

use model::Lsn;

use crate::codec::{Put, Take};

pub(crate) const ENTRY_BYTES: usize = 28;

/// What a stream says about one record: enough to find it and to decide without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Entry {
    pub offset: u64,
    pub lsn: Lsn,
    /// Bytes of the whole record, header included.
    pub len: u32,
    pub tag: u32,
    pub time_ms: i64,
    /// Offsets that this entry takes: `offset..offset + count`.
    pub count: u16,
    pub flags: u16,
}

impl Entry {
    /// The first offset behind this entry.
    #[must_use]
    pub fn next_offset(&self) -> u64 {
        self.offset + u64::from(self.count)
    }
}

/// An entry before it has an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewEntry {
    pub lsn: Lsn,
    /// Bytes of the whole record, header included.
    pub len: u32,
    pub tag: u32,
    pub time_ms: i64,
    /// At least 1.
    pub count: u16,
    pub flags: u16,
}

impl NewEntry {
    pub(crate) fn at(self, offset: u64) -> Entry {
        let Self { lsn, len, tag, time_ms, count, flags } = self;
        Entry { offset, lsn, len, tag, time_ms, count, flags }
    }
}

/// Where the deltas of a chunk start from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Base {
    pub(crate) offset: u64,
    pub(crate) time_ms: i64,
}

/// How many of the first entries, at most `max`, fit one chunk, and its base.
pub(crate) fn chunk_prefix(entries: &[Entry], max: usize) -> Option<(usize, Base)> {
    let first = entries.first()?;
    let (mut low, mut high) = (first.time_ms, first.time_ms);
    let mut n = 0;
    for entry in entries.iter().take(max) {
        let (l, h) = (low.min(entry.time_ms), high.max(entry.time_ms));
        let fits = u32::try_from(entry.offset - first.offset).is_ok() && u32::try_from(h.abs_diff(l)).is_ok();
        if !fits {
            break;
        }
        (low, high) = (l, h);
        n += 1;
    }
    Some((n, Base { offset: first.offset, time_ms: low }))
}

/// Appends entries that fit one chunk.
pub(crate) fn encode_chunk(entries: &[Entry], base: Base, out: &mut Vec<u8>) {
    out.reserve(entries.len() * ENTRY_BYTES);
    for e in entries {
        let offset = u32::try_from(e.offset - base.offset).expect("chunk_prefix has checked the offsets");
        let time =
            u32::try_from(e.time_ms.abs_diff(base.time_ms)).expect("chunk_prefix has checked the times");
        out.put_u64(e.lsn.get());
        out.put_u32(e.len);
        out.put_u32(e.tag);
        out.put_u32(offset);
        out.put_u32(time);
        out.put_u16(e.count);
        out.put_u16(e.flags);
    }
}

/// Decodes a checked chunk; `None` if its size is wrong or an offset or time does not exist.
pub(crate) fn decode_chunk(bytes: &[u8], base: Base, out: &mut Vec<Entry>) -> Option<()> {
    if !bytes.len().is_multiple_of(ENTRY_BYTES) {
        return None;
    }
    out.reserve(bytes.len() / ENTRY_BYTES);
    let mut take = Take::new(bytes);
    while !take.is_empty() {
        let lsn = Lsn(take.u64()?);
        let len = take.u32()?;
        let tag = take.u32()?;
        let offset = base.offset.checked_add(u64::from(take.u32()?))?;
        let time_ms = base.time_ms.checked_add(i64::from(take.u32()?))?;
        let count = take.u16()?;
        let flags = take.u16()?;
        out.push(Entry { offset, lsn, len, tag, time_ms, count, flags });
    }
    Some(())
}
