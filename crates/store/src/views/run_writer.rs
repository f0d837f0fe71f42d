//! Writes one run file, from front to back.
//!
//! ```text
//! magic u32 "APR1" | version u32
//! ( chunks | directory block ) ...           see `directory`
//! object block ...                           see `object_block`
//! stream index    count u32 ( stream u64 | first_offset u64 | position u64 | len u32 ) ... crc32c
//! object index    count u32 ( key_len u32 | key | position u64 | len u32 ) ... crc32c
//! stream filter   words u64 ... crc32c
//! object filter   words u64 ... crc32c
//! footer          stream_index u64 u32 | object_index u64 u32 | stream_filter u64 u32 |
//!                 object_filter u64 u32 | streams u64 | entries u64 | objects u64 |
//!                 min_lsn u64 | max_lsn u64 | magic u32 | crc32c u32
//! ```
//!
//! Only the indexes and filters are kept in memory, while writing as while reading.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::{Disk, DiskFile, OpenMode};
use model::Lsn;

use super::directory::{DirBlock, DirRecord};
use super::entry::{Base, Entry, chunk_prefix, encode_chunk};
use super::filter::{Filter, hash_bytes, mix};
use super::object_block::put_object;
use crate::codec::{Put, Take, seal, unseal};
use crate::error::{IoFault, at};
use crate::limits::{BLOCK_BYTES, CHUNK_ENTRIES_MAX, SCAN_BYTES, SYNC_STEP_BYTES};

pub(crate) const RUN_MAGIC: u32 = u32::from_le_bytes(*b"APR1");
pub(crate) const RUN_VERSION: u32 = 1;
pub(crate) const FOOTER_BYTES: usize = 4 * 12 + 5 * 8 + 4 + 4;

/// A part of a file: position and length.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) position: u64,
    pub(crate) len: u32,
}

/// The fixed end of a run file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Footer {
    pub(crate) stream_index: Part,
    pub(crate) object_index: Part,
    pub(crate) stream_filter: Part,
    pub(crate) object_filter: Part,
    pub(crate) streams: u64,
    pub(crate) entries: u64,
    pub(crate) objects: u64,
    /// Lowest and highest position of any entry.
    pub(crate) min_lsn: Lsn,
    pub(crate) max_lsn: Lsn,
}

impl Footer {
    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(FOOTER_BYTES);
        for part in [self.stream_index, self.object_index, self.stream_filter, self.object_filter] {
            out.put_u64(part.position);
            out.put_u32(part.len);
        }
        for n in [self.streams, self.entries, self.objects, self.min_lsn.get(), self.max_lsn.get()] {
            out.put_u64(n);
        }
        out.put_u32(RUN_MAGIC);
        seal(&mut out);
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut take = Take::new(unseal(bytes)?);
        let mut part = || Some(Part { position: take.u64()?, len: take.u32()? });
        let (stream_index, object_index, stream_filter, object_filter) = (part()?, part()?, part()?, part()?);
        let footer = Self {
            stream_index,
            object_index,
            stream_filter,
            object_filter,
            streams: take.u64()?,
            entries: take.u64()?,
            objects: take.u64()?,
            min_lsn: Lsn(take.u64()?),
            max_lsn: Lsn(take.u64()?),
        };
        (take.u32()? == RUN_MAGIC).then_some(footer)
    }
}

/// Upper bounds of what will be written, to size the filters.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Expect {
    pub(crate) streams: u64,
    pub(crate) objects: u64,
}

/// A run being written. Streams first, sorted; then objects, sorted.
pub(crate) struct RunWriter {
    path: PathBuf,
    file: Arc<dyn DiskFile>,
    out: Vec<u8>,
    written: u64,
    block: DirBlock,
    objects: Vec<u8>,
    stream_index: Vec<u8>,
    stream_blocks: u32,
    object_index: Vec<u8>,
    object_blocks: u32,
    stream_filter: Filter,
    object_filter: Filter,
    last_stream: Option<u64>,
    first_object: Option<Vec<u8>>,
    footer: Footer,
}

impl RunWriter {
    pub(crate) fn create(disk: &dyn Disk, path: &Path, expect: Expect) -> Result<Self, IoFault> {
        let file = disk.open(path, OpenMode::Create).map_err(at(path))?;
        let mut out = Vec::with_capacity(SCAN_BYTES + BLOCK_BYTES);
        out.put_u32(RUN_MAGIC);
        out.put_u32(RUN_VERSION);
        let room = |n: u64| Filter::with_room(usize::try_from(n).unwrap_or_default());
        Ok(Self {
            path: path.to_owned(),
            file,
            out,
            written: 0,
            block: DirBlock::default(),
            objects: Vec::new(),
            stream_index: Vec::new(),
            stream_blocks: 0,
            object_index: Vec::new(),
            object_blocks: 0,
            stream_filter: room(expect.streams),
            object_filter: room(expect.objects),
            last_stream: None,
            first_object: None,
            footer: Footer { min_lsn: Lsn(u64::MAX), ..Footer::default() },
        })
    }

    fn position(&self) -> u64 {
        self.written + self.out.len() as u64
    }

    /// Writes all entries of a stream, in chunks. `reset` hides what older runs say of it.
    pub(crate) fn put_entries(&mut self, stream: u64, entries: &[Entry], reset: bool) -> Result<(), IoFault> {
        let mut rest = entries;
        let mut reset = reset;
        while let Some((n, base)) = chunk_prefix(rest, CHUNK_ENTRIES_MAX) {
            let (chunk, later) = rest.split_at(n.max(1));
            self.put_chunk(stream, chunk, base, reset)?;
            reset = false;
            rest = later;
        }
        Ok(())
    }

    fn put_chunk(&mut self, stream: u64, chunk: &[Entry], base: Base, reset: bool) -> Result<(), IoFault> {
        let (Some(first), Some(last)) = (chunk.first(), chunk.last()) else { return Ok(()) };
        let start = self.out.len();
        let position = self.position();
        encode_chunk(chunk, base, &mut self.out);
        let crc = crc32c::crc32c(&self.out[start..]);
        self.put_record(&DirRecord {
            stream,
            reset,
            entries: u32::try_from(chunk.len()).expect("at most CHUNK_ENTRIES_MAX"),
            first_offset: base.offset,
            next_offset: last.next_offset(),
            base_time_ms: base.time_ms,
            last_time_ms: last.time_ms,
            first_lsn: first.lsn,
            last_lsn: last.lsn,
            crc,
            position,
        })
    }

    /// Writes a chunk that another run holds, unchanged. `bytes` has been checked.
    pub(crate) fn put_raw_chunk(
        &mut self,
        record: &DirRecord,
        bytes: &[u8],
        reset: bool,
    ) -> Result<(), IoFault> {
        let position = self.position();
        self.out.put(bytes);
        self.put_record(&DirRecord { position, reset, ..*record })
    }

    /// Keeps the end of a stream that has no entries (any more).
    pub(crate) fn put_end(
        &mut self,
        stream: u64,
        next_offset: u64,
        last_time_ms: i64,
        reset: bool,
    ) -> Result<(), IoFault> {
        self.put_record(&DirRecord {
            stream,
            reset,
            entries: 0,
            first_offset: next_offset,
            next_offset,
            base_time_ms: last_time_ms,
            last_time_ms,
            first_lsn: Lsn::ZERO,
            last_lsn: Lsn::ZERO,
            crc: 0,
            position: self.position(),
        })
    }

    fn put_record(&mut self, record: &DirRecord) -> Result<(), IoFault> {
        if self.last_stream != Some(record.stream) {
            self.last_stream = Some(record.stream);
            self.footer.streams += 1;
            self.stream_filter.insert(mix(record.stream));
        }
        if record.entries > 0 {
            self.footer.entries += u64::from(record.entries);
            self.footer.min_lsn = self.footer.min_lsn.min(record.first_lsn);
            self.footer.max_lsn = self.footer.max_lsn.max(record.last_lsn);
        }
        self.block.push(record);
        if self.block.bytes() >= BLOCK_BYTES {
            self.close_dir_block();
        }
        self.write_if_large()
    }

    fn close_dir_block(&mut self) {
        let Some((stream, offset)) = self.block.first() else { return };
        let bytes = self.block.take();
        self.stream_index.put_u64(stream);
        self.stream_index.put_u64(offset);
        self.stream_index.put_u64(self.position());
        self.stream_index.put_u32(u32::try_from(bytes.len()).expect("a block is small"));
        self.stream_blocks += 1;
        self.out.put(&bytes);
    }

    /// Writes an object, or that it was removed. Keys must ascend.
    pub(crate) fn put_object(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), IoFault> {
        self.close_dir_block();
        if self.first_object.is_none() {
            self.first_object = Some(key.to_vec());
        }
        put_object(key, value, &mut self.objects);
        self.object_filter.insert(hash_bytes(key));
        self.footer.objects += 1;
        if self.objects.len() >= BLOCK_BYTES {
            self.close_object_block();
        }
        self.write_if_large()
    }

    fn close_object_block(&mut self) {
        let Some(key) = self.first_object.take() else { return };
        seal(&mut self.objects);
        self.object_index.put_u32(u32::try_from(key.len()).expect("checked when the object was put"));
        self.object_index.put(&key);
        self.object_index.put_u64(self.position());
        self.object_index
            .put_u32(u32::try_from(self.objects.len()).expect("checked when the object was put"));
        self.object_blocks += 1;
        self.out.append(&mut self.objects);
    }

    fn write_if_large(&mut self) -> Result<(), IoFault> {
        if self.out.len() >= SCAN_BYTES { self.write_out() } else { Ok(()) }
    }

    fn write_out(&mut self) -> Result<(), IoFault> {
        self.file.write_at(&self.out, self.written).map_err(at(&self.path))?;
        let before = self.written;
        self.written += self.out.len() as u64;
        self.out.clear();
        if before / SYNC_STEP_BYTES != self.written / SYNC_STEP_BYTES {
            self.file.sync().map_err(at(&self.path))?;
        }
        Ok(())
    }

    fn put_part(&mut self, mut bytes: Vec<u8>) -> Part {
        seal(&mut bytes);
        let len = u32::try_from(bytes.len()).expect("an index is far below 4 GiB");
        let part = Part { position: self.position(), len };
        self.out.put(&bytes);
        part
    }

    /// Writes the rest and makes the file durable (but not its name: sync the folder). Returns
    /// its length.
    pub(crate) fn finish(mut self) -> Result<u64, IoFault> {
        self.close_dir_block();
        self.close_object_block();
        let counted = |count: u32, index: Vec<u8>| [&count.to_le_bytes()[..], &index].concat();
        let stream_index = counted(self.stream_blocks, std::mem::take(&mut self.stream_index));
        let object_index = counted(self.object_blocks, std::mem::take(&mut self.object_index));
        let (mut streams, mut objects) = (Vec::new(), Vec::new());
        self.stream_filter.shrink(usize::try_from(self.footer.streams).unwrap_or(usize::MAX));
        self.object_filter.shrink(usize::try_from(self.footer.objects).unwrap_or(usize::MAX));
        self.stream_filter.encode(&mut streams);
        self.object_filter.encode(&mut objects);
        self.footer.stream_index = self.put_part(stream_index);
        self.footer.object_index = self.put_part(object_index);
        self.footer.stream_filter = self.put_part(streams);
        self.footer.object_filter = self.put_part(objects);
        let footer = self.footer.encode();
        self.out.put(&footer);
        self.write_out()?;
        self.file.sync().map_err(at(&self.path))?;
        Ok(self.written)
    }
}
