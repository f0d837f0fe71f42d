//! Reads one run file. The layout stands in `run_writer`.
//!
//! A run never changes, so any number of threads read it at once. Every part is checked against
//! its checksum on each read: damage is an error, never an answer. Directory blocks that were needed lately are kept
//! decoded, because who goes through a stream needs the same one for each of its chunks.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::{Disk, DiskFile, OpenMode};
use bytes::Bytes;
use parking_lot::Mutex;
use smallvec::SmallVec;

use super::directory::{DirRecord, decode_block};
use super::entry::{Entry, decode_chunk};
use super::filter::{Filter, hash_bytes, mix};
use super::live::End;
use super::object_block::take_object;
use super::run_writer::{FOOTER_BYTES, Footer, Part};
use crate::codec::{Take, unseal};
use crate::error::{IoFault, ReadError, at};
use crate::limits::{OBJECT_VALUE_BYTES_MAX, READ_AHEAD_BYTES, RECENT_BLOCKS_PER_RUN_MAX};
use crate::patience::Patience;

/// A directory block and the first record in it.
#[derive(Debug, Clone, Copy)]
struct StreamBlock {
    stream: u64,
    first_offset: u64,
    part: Part,
}

#[derive(Debug)]
struct ObjectBlock {
    first_key: Box<[u8]>,
    part: Part,
}

/// An open run file.
pub(crate) struct Run {
    pub(crate) id: u64,
    pub(crate) level: u8,
    pub(crate) bytes: u64,
    pub(crate) footer: Footer,
    path: PathBuf,
    file: Arc<dyn DiskFile>,
    stream_blocks: Vec<StreamBlock>,
    object_blocks: Vec<ObjectBlock>,
    stream_filter: Filter,
    object_filter: Filter,
    recent: Box<[Mutex<Option<RecentBlock>>]>,
}

/// The number of a directory block, and what stands in it.
type RecentBlock = (usize, Arc<Vec<DirRecord>>);

/// Names the file of a run.
pub(crate) fn run_name(id: u64) -> String {
    format!("{id:016}.run")
}

pub(crate) fn parse_run_name(name: &str) -> Option<u64> {
    name.strip_suffix(".run").filter(|d| d.len() == 16)?.parse().ok()
}

impl Run {
    pub(crate) fn open(disk: &dyn Disk, dir: &Path, id: u64, level: u8) -> Result<Self, ReadError> {
        let path = dir.join(run_name(id));
        let file = disk.open(&path, OpenMode::Read).map_err(at(&path))?;
        let bytes = file.len().map_err(at(&path))?;
        let Some(footer_at) = bytes.checked_sub(FOOTER_BYTES as u64) else {
            return Err(ReadError::corrupt_in(&path, "the run file is too short"));
        };
        let mut run = Self {
            id,
            level,
            bytes,
            footer: Footer::default(),
            path,
            file,
            stream_blocks: Vec::new(),
            object_blocks: Vec::new(),
            stream_filter: Filter::default(),
            object_filter: Filter::default(),
            recent: (0..RECENT_BLOCKS_PER_RUN_MAX).map(|_| Mutex::default()).collect(),
        };
        let footer = run.raw(footer_at, FOOTER_BYTES, Patience::Wait)?;
        run.footer = Footer::decode(&footer).ok_or_else(|| run.damaged("the footer"))?;
        run.stream_blocks =
            run.stream_index().transpose().ok_or_else(|| run.damaged("the stream index"))??;
        run.object_blocks =
            run.object_index().transpose().ok_or_else(|| run.damaged("the object index"))??;
        run.stream_filter = Filter::decode(&run.sealed(run.footer.stream_filter, Patience::Wait)?);
        run.object_filter = Filter::decode(&run.sealed(run.footer.object_filter, Patience::Wait)?);
        Ok(run)
    }

    fn damaged(&self, what: &'static str) -> ReadError {
        ReadError::corrupt_in(&self.path, what)
    }

    fn raw(&self, position: u64, len: usize, patience: Patience) -> Result<Vec<u8>, ReadError> {
        if position.checked_add(len as u64).is_none_or(|end| end > self.bytes) {
            return Err(self.damaged("a part lies outside the file"));
        }
        let mut bytes = vec![0; len];
        match patience.fill(&mut bytes, &*self.file, position) {
            Ok(true) => Ok(bytes),
            Ok(false) => Err(ReadError::NotAtHand),
            Err(e) => Err(IoFault::at(&self.path, &e).into()),
        }
    }

    /// The checked content of a part.
    fn sealed(&self, part: Part, patience: Patience) -> Result<Vec<u8>, ReadError> {
        let mut bytes = self.raw(part.position, part.len as usize, patience)?;
        let len = unseal(&bytes).ok_or_else(|| self.damaged("a checksum does not match"))?.len();
        bytes.truncate(len);
        Ok(bytes)
    }

    fn stream_index(&self) -> Result<Option<Vec<StreamBlock>>, ReadError> {
        let bytes = self.sealed(self.footer.stream_index, Patience::Wait)?;
        let mut take = Take::new(&bytes);
        let mut read = || {
            let count = take.u32()?;
            let mut out = Vec::with_capacity((count as usize).min(bytes.len() / 28));
            for _ in 0..count {
                let (stream, first_offset) = (take.u64()?, take.u64()?);
                out.push(StreamBlock {
                    stream,
                    first_offset,
                    part: Part { position: take.u64()?, len: take.u32()? },
                });
            }
            Some(out)
        };
        Ok(read())
    }

    fn object_index(&self) -> Result<Option<Vec<ObjectBlock>>, ReadError> {
        let bytes = self.sealed(self.footer.object_index, Patience::Wait)?;
        let mut take = Take::new(&bytes);
        let mut read = || {
            let count = take.u32()?;
            let mut out = Vec::with_capacity((count as usize).min(bytes.len() / 16));
            for _ in 0..count {
                let len = take.u32()?;
                let first_key = take.bytes(len as usize)?.into();
                out.push(ObjectBlock { first_key, part: Part { position: take.u64()?, len: take.u32()? } });
            }
            Some(out)
        };
        Ok(read())
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        let keys: usize =
            self.object_blocks.iter().map(|b| b.first_key.len() + size_of::<ObjectBlock>()).sum();
        let filters = self.stream_filter.memory_bytes() + self.object_filter.memory_bytes();
        let recent = self.recent.iter().filter_map(|slot| Some(slot.lock().as_ref()?.1.capacity()));
        let recent = recent.sum::<usize>() * size_of::<DirRecord>();
        self.stream_blocks.len() * size_of::<StreamBlock>() + keys + filters + recent
    }

    // ---- streams

    /// Hands the end of each stream to `f`, reading the directory alone.
    pub(crate) fn each_end(&self, mut f: impl FnMut(u64, End)) -> Result<(), ReadError> {
        let mut last: Option<DirRecord> = None;
        let mut hand = |r: DirRecord| {
            f(r.stream, End { next_offset: r.next_offset, last_time_ms: r.last_time_ms });
        };
        for i in 0..self.stream_blocks.len() {
            for record in self.dir_block(i, Patience::Wait)?.unwrap_or_default() {
                if let Some(before) = last.replace(record).filter(|before| before.stream != record.stream) {
                    hand(before);
                }
            }
        }
        last.into_iter().for_each(hand);
        Ok(())
    }

    fn dir_block(&self, i: usize, patience: Patience) -> Result<Option<Vec<DirRecord>>, ReadError> {
        let Some(block) = self.stream_blocks.get(i) else { return Ok(None) };
        let content = self.sealed(block.part, patience)?;
        let records = decode_block(&content, block.part.position);
        records.map(Some).ok_or_else(|| self.damaged("a directory block"))
    }

    /// As [`Self::dir_block`], remembered for the next one who asks.
    fn recent_block(&self, i: usize, patience: Patience) -> Result<Option<Arc<Vec<DirRecord>>>, ReadError> {
        let slot = self.recent.get(mix(i as u64) as usize % self.recent.len());
        let slot = slot.expect("the index is below the number of slots");
        if let Some((_, records)) = slot.lock().as_ref().filter(|(block, _)| *block == i) {
            return Ok(Some(Arc::clone(records)));
        }
        let Some(mut records) = self.dir_block(i, patience)? else { return Ok(None) };
        records.shrink_to_fit();
        let records = Arc::new(records);
        *slot.lock() = Some((i, Arc::clone(&records)));
        Ok(Some(records))
    }

    /// A cursor at the chunk of `stream` that holds `offset`, or at its first one behind it;
    /// `None` if the run knows nothing of the stream. Behind the last chunk it stands at that.
    pub(crate) fn seek(
        self: &Arc<Self>,
        stream: u64,
        offset: u64,
        patience: Patience,
    ) -> Result<Option<Cursor>, ReadError> {
        if !self.stream_filter.may_hold(mix(stream)) {
            return Ok(None);
        }
        let block = self.stream_blocks.partition_point(|b| (b.stream, b.first_offset) <= (stream, offset));
        // The stream's first record may stand at the head of the next block.
        for block in [block.checked_sub(1), Some(block)].into_iter().flatten() {
            let Some(records) = self.recent_block(block, patience)? else { continue };
            let first = records.partition_point(|r| r.stream < stream);
            let behind = records.partition_point(|r| (r.stream, r.first_offset) <= (stream, offset));
            let i = behind.saturating_sub(1).max(first);
            if records.get(i).is_some_and(|r| r.stream == stream) {
                return Ok(Some(Cursor {
                    run: Arc::clone(self),
                    block,
                    records,
                    i,
                    stream: Some(stream),
                    ahead: None,
                    patience,
                }));
            }
        }
        Ok(None)
    }

    /// A cursor over all records of the run.
    pub(crate) fn scan(self: &Arc<Self>) -> Cursor {
        Cursor {
            run: Arc::clone(self),
            block: usize::MAX,
            records: Arc::default(),
            i: 0,
            stream: None,
            ahead: None,
            patience: Patience::Wait,
        }
    }

    /// What a run says last of a stream.
    pub(crate) fn last_record(
        self: &Arc<Self>,
        stream: u64,
        patience: Patience,
    ) -> Result<Option<DirRecord>, ReadError> {
        Ok(self.seek(stream, u64::MAX, patience)?.and_then(|c| c.current()))
    }

    /// The checked bytes of a chunk.
    fn chunk_bytes(&self, record: &DirRecord, patience: Patience) -> Result<Vec<u8>, ReadError> {
        let bytes = self.raw(record.position, record.chunk_bytes(), patience)?;
        if crc32c::crc32c(&bytes) != record.crc {
            return Err(self.damaged("a chunk's checksum does not match"));
        }
        Ok(bytes)
    }

    /// Appends the entries of a chunk to `out`.
    pub(crate) fn chunk(
        &self,
        record: &DirRecord,
        out: &mut Vec<Entry>,
        patience: Patience,
    ) -> Result<(), ReadError> {
        if record.entries == 0 {
            return Ok(());
        }
        let bytes = self.chunk_bytes(record, patience)?;
        decode_chunk(&bytes, record.base(), out).ok_or_else(|| self.damaged("a chunk"))
    }

    // ---- objects

    /// What the run says of an object: nothing, that it was removed, or its value.
    pub(crate) fn object(&self, key: &[u8], patience: Patience) -> Result<Option<Option<Bytes>>, ReadError> {
        if !self.object_filter.may_hold(hash_bytes(key)) {
            return Ok(None);
        }
        let Some(i) = self.object_blocks.partition_point(|b| *b.first_key <= *key).checked_sub(1) else {
            return Ok(None);
        };
        let Some(content) = self.object_block(i, patience)? else { return Ok(None) };
        let mut take = Take::new(&content);
        while !take.is_empty() {
            let (k, v) = take_object(&mut take).ok_or_else(|| self.damaged("an object block"))?;
            if k == key {
                return Ok(Some(v.map(|v| content.slice_ref(v))));
            }
        }
        Ok(None)
    }

    fn object_block(&self, i: usize, patience: Patience) -> Result<Option<Bytes>, ReadError> {
        let Some(block) = self.object_blocks.get(i) else { return Ok(None) };
        if block.part.len as usize > OBJECT_VALUE_BYTES_MAX * 2 {
            return Err(self.damaged("an object block is too large"));
        }
        Ok(Some(Bytes::from(self.sealed(block.part, patience)?)))
    }

    /// A cursor over the objects from `key` on.
    pub(crate) fn objects_from(self: &Arc<Self>, key: &[u8]) -> ObjectCursor {
        let block = self.object_blocks.partition_point(|b| *b.first_key <= *key).saturating_sub(1);
        ObjectCursor { run: Arc::clone(self), block, objects: SmallVec::new(), from: key.into() }
    }
}

/// Walks over directory records: those of one stream, or all.
pub(crate) struct Cursor {
    run: Arc<Run>,
    block: usize,
    records: Arc<Vec<DirRecord>>,
    i: usize,
    stream: Option<u64>,
    /// The chunks of the block and where they begin in the file, read in one piece by a scan.
    ahead: Option<(u64, Bytes)>,
    patience: Patience,
}

/// A directory record and, where a scan has read them already, the bytes of its chunk.
pub(crate) struct Piece {
    pub(crate) run: Arc<Run>,
    pub(crate) record: DirRecord,
    bytes: Option<Bytes>,
}

impl Piece {
    /// The checked bytes of the chunk.
    pub(crate) fn chunk_bytes(&self) -> Result<Bytes, ReadError> {
        match &self.bytes {
            Some(bytes) if crc32c::crc32c(bytes) == self.record.crc => Ok(bytes.clone()),
            Some(_) => Err(self.run.damaged("a chunk's checksum does not match")),
            None => self.run.chunk_bytes(&self.record, Patience::Wait).map(Bytes::from),
        }
    }

    /// Appends the entries of the chunk to `out`.
    pub(crate) fn entries(&self, out: &mut Vec<Entry>) -> Result<(), ReadError> {
        if self.record.entries == 0 {
            return Ok(());
        }
        let bytes = self.chunk_bytes()?;
        decode_chunk(&bytes, self.record.base(), out).ok_or_else(|| self.run.damaged("a chunk"))
    }
}

impl Cursor {
    pub(crate) fn run(&self) -> &Run {
        &self.run
    }

    /// The record under the cursor; `None` at the end.
    pub(crate) fn current(&self) -> Option<DirRecord> {
        let record = self.records.get(self.i)?;
        self.stream.is_none_or(|s| s == record.stream).then_some(*record)
    }

    /// Takes the record under the cursor and moves on.
    pub(crate) fn take(&mut self) -> Result<Option<DirRecord>, ReadError> {
        if self.block == usize::MAX {
            self.load(0)?;
        }
        let record = self.current();
        if record.is_some() {
            self.i += 1;
            if self.i >= self.records.len() {
                self.load(self.block + 1)?;
            }
        }
        Ok(record)
    }

    /// Takes the record under the cursor of a scan, with its chunk if that was read ahead.
    pub(crate) fn take_piece(&mut self) -> Result<Option<Piece>, ReadError> {
        let Some(record) = self.peek()? else { return Ok(None) };
        let bytes = self.ahead.as_ref().and_then(|(start, data)| {
            let from = usize::try_from(record.position.checked_sub(*start)?).ok()?;
            let to = from + record.chunk_bytes();
            (to <= data.len()).then(|| data.slice(from..to))
        });
        let piece = Piece { run: Arc::clone(&self.run), record, bytes };
        self.take()?;
        Ok(Some(piece))
    }

    /// The record under the cursor of a scan that may not have begun.
    pub(crate) fn peek(&mut self) -> Result<Option<DirRecord>, ReadError> {
        if self.block == usize::MAX {
            self.load(0)?;
        }
        Ok(self.current())
    }

    fn load(&mut self, block: usize) -> Result<(), ReadError> {
        self.block = block;
        self.i = 0;
        let records = match self.stream {
            Some(_) => self.run.recent_block(block, self.patience)?,
            None => self.run.dir_block(block, self.patience)?.map(Arc::new),
        };
        self.records = records.unwrap_or_default();
        self.ahead = None;
        if self.stream.is_none()
            && let (Some(first), Some(last)) = (self.records.first(), self.records.last())
        {
            let start = first.position;
            let len = last.position + last.chunk_bytes() as u64 - start;
            if len <= READ_AHEAD_BYTES {
                let data = self.run.raw(start, usize::try_from(len).unwrap_or_default(), self.patience)?;
                self.ahead = Some((start, Bytes::from(data)));
            }
        }
        Ok(())
    }
}

/// Walks over the objects of a run in key order.
pub(crate) struct ObjectCursor {
    run: Arc<Run>,
    /// The next block to load.
    block: usize,
    /// Of the loaded block, last first.
    objects: SmallVec<[(Bytes, Option<Bytes>); 8]>,
    from: Box<[u8]>,
}

impl ObjectCursor {
    /// The next object, without moving.
    pub(crate) fn peek(&mut self) -> Result<Option<&(Bytes, Option<Bytes>)>, ReadError> {
        while self.objects.is_empty() {
            let Some(content) = self.run.object_block(self.block, Patience::Wait)? else { return Ok(None) };
            self.block += 1;
            let mut take = Take::new(&content);
            while !take.is_empty() {
                let object = take_object(&mut take).ok_or_else(|| self.run.damaged("an object block"))?;
                if *object.0 >= *self.from {
                    self.objects.push((content.slice_ref(object.0), object.1.map(|v| content.slice_ref(v))));
                }
            }
            self.objects.reverse();
        }
        Ok(self.objects.last())
    }

    pub(crate) fn pop(&mut self) -> Option<(Bytes, Option<Bytes>)> {
        self.objects.pop()
    }
}
