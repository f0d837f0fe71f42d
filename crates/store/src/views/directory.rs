//! Directory blocks of a run: which chunks of which streams stand just before the block.
//!
//! ```text
//! block    data_len varint | records | crc32c u32
//! record   stream      varint  minus that of the record before, 0 at first
//!          shape       varint  entries * 2 + reset
//!          first       varint  first offset
//!          span        varint  next offset minus first offset
//!          base_time   zigzag  lowest time, minus that of the record before
//!          last_time   zigzag  time of the last entry, minus base_time
//!          -- if entries > 0
//!          first_lsn   zigzag  minus that of the record before
//!          last_lsn    varint  minus first_lsn
//!          crc32c      u32     of the chunk's bytes
//! ```
//!
//! The chunks of a block stand one behind the other and end where the block begins, so their
//! positions follow from their lengths. Records are sorted by (stream, first offset). `reset`
//! stands on the first record of a stream in a run and hides what older runs say of it. A record
//! without entries keeps the end of a stream whose entries are gone.

use model::Lsn;

use super::entry::{Base, ENTRY_BYTES};
use crate::codec::{Put, Take, seal};
use crate::limits::CHUNK_ENTRIES_MAX;

/// One chunk, or the end of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DirRecord {
    pub(crate) stream: u64,
    pub(crate) reset: bool,
    pub(crate) entries: u32,
    pub(crate) first_offset: u64,
    pub(crate) next_offset: u64,
    pub(crate) base_time_ms: i64,
    pub(crate) last_time_ms: i64,
    pub(crate) first_lsn: Lsn,
    pub(crate) last_lsn: Lsn,
    pub(crate) crc: u32,
    /// Where the chunk stands in the file.
    pub(crate) position: u64,
}

impl DirRecord {
    pub(crate) fn base(&self) -> Base {
        Base { offset: self.first_offset, time_ms: self.base_time_ms }
    }

    pub(crate) fn chunk_bytes(&self) -> usize {
        self.entries as usize * ENTRY_BYTES
    }
}

/// What the next record is coded against.
#[derive(Debug, Clone, Copy, Default)]
struct Before {
    stream: u64,
    time_ms: i64,
    lsn: u64,
}

/// Collects the records of one block.
#[derive(Debug, Default)]
pub(crate) struct DirBlock {
    records: Vec<u8>,
    before: Before,
    data_len: u64,
    first: Option<(u64, u64)>,
}

impl DirBlock {
    /// `record.position` is not stored: chunks must be pushed in the order they are written.
    pub(crate) fn push(&mut self, r: &DirRecord) {
        let out = &mut self.records;
        out.put_varint(r.stream - self.before.stream);
        out.put_varint(u64::from(r.entries) << 1 | u64::from(r.reset));
        out.put_varint(r.first_offset);
        out.put_varint(r.next_offset - r.first_offset);
        out.put_zigzag(r.base_time_ms.wrapping_sub(self.before.time_ms));
        out.put_zigzag(r.last_time_ms.wrapping_sub(r.base_time_ms));
        self.before.stream = r.stream;
        self.before.time_ms = r.base_time_ms;
        if r.entries > 0 {
            out.put_zigzag(r.first_lsn.get().wrapping_sub(self.before.lsn).cast_signed());
            out.put_varint(r.last_lsn.get().wrapping_sub(r.first_lsn.get()));
            out.put_u32(r.crc);
            self.before.lsn = r.first_lsn.get();
        }
        self.data_len += r.chunk_bytes() as u64;
        self.first.get_or_insert((r.stream, r.first_offset));
    }

    pub(crate) fn bytes(&self) -> usize {
        self.records.len()
    }

    /// The first record's stream and offset; `None` while empty.
    pub(crate) fn first(&self) -> Option<(u64, u64)> {
        self.first
    }

    /// The sealed block; empties the collection.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        let done = std::mem::take(self);
        let mut out = Vec::with_capacity(done.records.len() + 16);
        out.put_varint(done.data_len);
        out.put(&done.records);
        seal(&mut out);
        out
    }
}

/// Decodes the content of a block that stands at `position`; `None` if it makes no sense.
pub(crate) fn decode_block(content: &[u8], position: u64) -> Option<Vec<DirRecord>> {
    let mut take = Take::new(content);
    let mut at = position.checked_sub(take.varint()?)?;
    let mut before = Before::default();
    let mut out = Vec::with_capacity(content.len() / 12);
    while !take.is_empty() {
        let record = decode_record(&mut take, &mut before, at)?;
        at = at.checked_add(record.chunk_bytes() as u64).filter(|end| *end <= position)?;
        out.push(record);
    }
    Some(out)
}

fn decode_record(take: &mut Take<'_>, before: &mut Before, position: u64) -> Option<DirRecord> {
    let stream = before.stream.checked_add(take.varint()?)?;
    let shape = take.varint()?;
    let entries = u32::try_from(shape >> 1).ok().filter(|n| *n as usize <= CHUNK_ENTRIES_MAX)?;
    let first_offset = take.varint()?;
    let next_offset = first_offset.checked_add(take.varint()?)?;
    let base_time_ms = before.time_ms.wrapping_add(take.zigzag()?);
    let last_time_ms = base_time_ms.wrapping_add(take.zigzag()?);
    let (mut first_lsn, mut last_lsn, mut crc) = (0, 0, 0);
    if entries > 0 {
        first_lsn = before.lsn.wrapping_add(take.zigzag()?.cast_unsigned());
        last_lsn = first_lsn.wrapping_add(take.varint()?);
        crc = take.u32()?;
        before.lsn = first_lsn;
    }
    before.stream = stream;
    before.time_ms = base_time_ms;
    Some(DirRecord {
        stream,
        reset: shape & 1 == 1,
        entries,
        first_offset,
        next_offset,
        base_time_ms,
        last_time_ms,
        first_lsn: Lsn(first_lsn),
        last_lsn: Lsn(last_lsn),
        crc,
        position,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::unseal;
    use proptest::prelude::*;

    fn record() -> impl Strategy<Value = DirRecord> {
        let ids =
            (any::<u64>(), any::<bool>(), 0..=CHUNK_ENTRIES_MAX as u32, 0..u64::MAX / 2, 0..1_000_000_u64);
        let rest = (any::<i64>(), any::<i64>(), any::<u64>(), any::<u64>(), any::<u32>());
        (ids, rest).prop_map(|((stream, reset, entries, first, span), (base, last, lsn, last_lsn, crc))| {
            let has = |n: u64| if entries > 0 { n } else { 0 };
            DirRecord {
                stream,
                reset,
                entries,
                first_offset: first,
                next_offset: first + span,
                base_time_ms: base,
                last_time_ms: last,
                first_lsn: Lsn(has(lsn)),
                last_lsn: Lsn(has(last_lsn)),
                crc: if entries > 0 { crc } else { 0 },
                position: 0,
            }
        })
    }

    proptest! {
        #[test]
        fn blocks_round_trip(mut records in proptest::collection::vec(record(), 1..50)) {
            records.sort_by_key(|r| r.stream);
            let mut at = 1000;
            for r in &mut records {
                r.position = at;
                at += r.chunk_bytes() as u64;
            }
            let mut block = DirBlock::default();
            records.iter().for_each(|r| block.push(r));
            prop_assert_eq!(block.first(), Some((records[0].stream, records[0].first_offset)));
            let bytes = block.take();
            prop_assert_eq!(decode_block(unseal(&bytes).expect("sealed"), at), Some(records));
        }

        #[test]
        fn garbage_never_panics(bytes: Vec<u8>, position: u64) {
            decode_block(&bytes, position);
        }
    }

    #[test]
    fn golden() {
        let mut block = DirBlock::default();
        block.push(&DirRecord {
            stream: 7,
            reset: true,
            entries: 2,
            first_offset: 300,
            next_offset: 302,
            base_time_ms: -1,
            last_time_ms: 4,
            first_lsn: Lsn(64),
            last_lsn: Lsn(100),
            crc: 0x0403_0201,
            position: 0,
        });
        let bytes = block.take();
        assert_eq!(unseal(&bytes), Some(&[56, 7, 5, 0xac, 2, 2, 1, 10, 0x80, 1, 36, 1, 2, 3, 4][..]));
    }
}
