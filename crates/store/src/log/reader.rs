//! Reads records by position, from any thread. Hot ones come from the tail cache without a copy;
//! cold ones from disk, by blocks that neighbours share. What the system has in memory is read by the caller
//! itself; the rest on a bounded pool with a budget of its own.

use std::sync::Arc;

use bytes::Bytes;
use model::Lsn;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::cold_room::Untaken;
use super::frame::{
    FRAME_HEADER_BYTES, FrameHeader, RECORD_HEADER_BYTES, check_frame, check_record, decode_record_header,
};
use super::shared::{LogShared, Record};
use super::space::{DiskUse, SpaceRules};
use super::tail::Part;
use super::walk::walk;
use crate::config::StoreConfig;
use crate::error::{IoFault, ReadError};
use crate::limits::COLD_BLOCK_BYTES;
use crate::patience::Patience;

/// A cheap-to-clone view of a log for readers.
#[derive(Clone)]
pub struct LogReader {
    shared: Arc<LogShared>,
}

impl std::fmt::Debug for LogReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LogReader({}..{})", self.start(), self.end())
    }
}

/// Wants that are looked for under one lock of the newest frames: the owner waits for it with its next one.
const WANTS_PER_LOCK: usize = 64;

/// Index in the caller's list, position, length.
type Want = (usize, Lsn, u32);
pub(super) type Found = Vec<(usize, Result<Bytes, ReadError>)>;

impl LogReader {
    pub(super) fn new(shared: Arc<LogShared>) -> Self {
        Self { shared }
    }

    /// Puts changed settings of retention and disk space into force; others stay as they are.
    pub fn reconfigure(&self, config: &StoreConfig) {
        self.shared.rules.store(Arc::new(SpaceRules::of(config)));
    }

    #[must_use]
    pub fn start(&self) -> Lsn {
        self.shared.start()
    }

    #[must_use]
    pub fn end(&self) -> Lsn {
        self.shared.end()
    }

    /// How full the disk is that the log stands on.
    ///
    /// # Errors
    /// If the disk does not say.
    pub fn disk_use(&self) -> Result<DiskUse, IoFault> {
        self.shared.disk_use()
    }

    #[must_use]
    pub fn flushed(&self) -> Lsn {
        self.shared.flushed()
    }

    /// Memory of the newest frames, and of cold reads under way, in bytes.
    #[must_use]
    pub fn memory_bytes(&self) -> (u64, u64) {
        self.shared.memory_bytes()
    }

    /// The payload of a record that is still in memory. `len` is that of the whole record, or 0
    /// if unknown.
    #[must_use]
    pub fn cached(&self, lsn: Lsn, len: u32) -> Option<Bytes> {
        self.shared.tail.record(lsn, len).map(|r| r.payload)
    }

    /// The payload of a record. May block on the disk.
    pub fn read(&self, lsn: Lsn, len: u32) -> Result<Bytes, ReadError> {
        self.record(lsn, len).map(|r| r.payload)
    }

    /// A record with its kind. May block on the disk.
    pub fn record(&self, lsn: Lsn, len: u32) -> Result<Record, ReadError> {
        match self.shared.tail.record(lsn, len) {
            Some(record) => Ok(record.into()),
            None => self.shared.read_cold(lsn, len),
        }
    }

    /// The record at a position that somebody else names: none begins there, or it is not stored, is no
    /// damage. May block on the disk.
    #[must_use]
    pub fn probe(&self, lsn: Lsn) -> Option<Record> {
        if let Some(record) = self.shared.tail.record(lsn, 0) {
            return Some(record.into());
        }
        let head = self.shared.pread(lsn, RECORD_HEADER_BYTES as u64).ok()?;
        let header = decode_record_header(&head, u64::MAX)?;
        let bytes = Bytes::from(self.shared.pread(lsn, u64::from(header.len)).ok()?);
        check_record(&bytes, lsn).ok()?;
        Some(Record { kind: header.kind, payload: bytes.slice(RECORD_HEADER_BYTES..), len: header.len })
    }

    /// As [`Self::record`], without ever blocking the caller's thread on the disk.
    pub async fn look_at(&self, lsn: Lsn, len: u32) -> Result<Record, ReadError> {
        if let Some(record) = self.shared.tail.record(lsn, len) {
            return Ok(record.into());
        }
        let reader = self.clone();
        in_pool(&self.shared, move || reader.record(lsn, len)).await.unwrap_or_else(|| Err(pool_ended()))
    }

    /// As [`Self::probe`], without ever blocking the caller's thread on the disk.
    pub async fn look_for(&self, lsn: Lsn) -> Option<Record> {
        if let Some(record) = self.shared.tail.record(lsn, 0) {
            return Some(record.into());
        }
        let reader = self.clone();
        in_pool(&self.shared, move || reader.probe(lsn)).await.flatten()
    }

    /// The kind of the record at `lsn`. May block on the disk.
    pub fn kind_at(&self, lsn: Lsn) -> Result<u8, ReadError> {
        self.record(lsn, 0).map(|r| r.kind)
    }

    /// Reads many payloads; `out` gets one result per want, in order. Never blocks the caller's
    /// thread on the disk.
    pub async fn read_many(&self, wants: &[(Lsn, u32)], out: &mut Vec<Result<Bytes, ReadError>>) {
        out.extend(self.read_wanted(wants, |_, _| true).await.into_iter().flatten());
    }

    /// As [`Self::read_many`], but only those that `is_wanted` by their place in the list and their payload. That
    /// is looked at where it stands, so that what is not wanted (`None`) is neither copied nor held.
    pub async fn read_wanted(
        &self,
        wants: &[(Lsn, u32)],
        is_wanted: impl Fn(usize, &[u8]) -> bool,
    ) -> Vec<Option<Result<Bytes, ReadError>>> {
        let mut out = Vec::with_capacity(wants.len());
        let mut cold: Vec<Want> = Vec::new();
        for some in wants.chunks(WANTS_PER_LOCK) {
            self.shared.tail.payloads(some, |(lsn, len), payload| {
                let i = out.len();
                out.push(match payload {
                    Some(payload) => is_wanted(i, payload.bytes()).then(|| Ok(payload.share())),
                    None => {
                        cold.push((i, lsn, len));
                        Some(Err(pool_ended()))
                    }
                });
            });
        }
        if cold.is_empty() {
            return out;
        }
        cold.sort_unstable_by_key(|(_, lsn, _)| *lsn);
        let waiting = {
            let mut reading = ColdReading::new(&self.shared, Patience::Now);
            let read = |(i, lsn, len): &Want| {
                let payload = reading.payload(*lsn, *len)?;
                out[*i] = is_wanted(*i, payload.bytes()).then(|| Ok(payload.share()));
                Some(())
            };
            let done = cold.iter().map_while(read).count();
            cold.split_off(done)
        };
        if waiting.is_empty() {
            return out;
        }
        for (i, result) in self.read_waiting(waiting).await {
            let is_out = result.as_ref().is_ok_and(|payload| !is_wanted(i, payload));
            out[i] = if is_out { None } else { Some(result) };
        }
        out
    }

    /// By a task of its own: who asked may not be polled for long (a client that takes nothing), and
    /// must not hold meanwhile what others wait for.
    async fn read_waiting(&self, wants: Vec<Want>) -> Found {
        loop {
            let (mut found, when_found) = oneshot::channel();
            let (shared, wants) = (Arc::clone(&self.shared), wants.clone());
            let work = async move {
                let given_up = found.closed();
                let read = tokio::select! {
                    biased;
                    () = given_up => return,
                    read = read_in_turn(&shared, wants) => read,
                };
                if let Some(untaken) = read {
                    let _ = found.send(untaken);
                }
            };
            self.shared.doors.spawn.spawn("cold-read", Box::pin(work));
            match when_found.await.map(|untaken| untaken.take()) {
                Ok(Some(found)) => return found,
                Ok(None) => {}
                Err(_) => return Found::new(),
            }
        }
    }

    /// Calls `each` for the records from the one at `from` on that stand below `to` and whose kind `wants`
    /// names, until it answers `false`. Answers where it ended. Blocks on the disk, and takes a core
    /// meanwhile.
    pub fn walk(
        &self,
        from: Lsn,
        to: Lsn,
        wants: &dyn Fn(u8) -> bool,
        each: &mut dyn FnMut(Lsn, Record) -> bool,
    ) -> Result<Lsn, ReadError> {
        walk(&self.shared, from, to.min(self.end()), wants, each)
    }

    /// Whole frames, as they stand in the log, from the frame that begins at `from`: for another
    /// replica that catches up. At most `max` bytes but at least one frame; empty at the end.
    /// May block on the disk.
    pub fn frames(&self, from: Lsn, max: usize) -> Result<Vec<Bytes>, ReadError> {
        let hot = self.shared.tail.frames_from(from, max);
        if !hot.is_empty() || from >= self.end() {
            return Ok(hot);
        }
        let mut out = Vec::new();
        let mut at = from;
        let mut total = 0;
        while at < self.end() {
            let head = self.shared.pread(at, FRAME_HEADER_BYTES as u64)?;
            let header = FrameHeader::decode(&head).filter(|h| h.lsn == at);
            let Some(header) = header else { return Err(ReadError::corrupt_at(at, "no frame header")) };
            total += header.len as usize;
            if total > max && !out.is_empty() {
                break;
            }
            let frame = Bytes::from(self.shared.pread(at, u64::from(header.len))?);
            check_frame(&frame, at).map_err(|what| ReadError::corrupt_at(at, what))?;
            at = header.end();
            out.push(frame);
        }
        Ok(out)
    }
}

/// Reads in the pool, where it may block on the disk. `None`: the log is closed.
pub(crate) async fn in_pool<T: Send + 'static>(
    shared: &LogShared,
    read: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let _permit = shared.cold_reads.acquire().await.ok()?;
    let slot: Arc<Mutex<Option<T>>> = Arc::default();
    let found = Arc::clone(&slot);
    shared.doors.spawn.blocking(Box::new(move || *found.lock() = Some(read()))).await;
    slot.lock().take()
}

/// Waits for room and for a place in the pool, then reads. `None`: the log is closed.
async fn read_in_turn(shared: &Arc<LogShared>, wants: Vec<Want>) -> Option<Arc<Untaken>> {
    let room = shared.cold_room.take(bytes_of_blocks(&wants)).await?;
    let pool = Arc::clone(shared);
    let read = move || {
        let mut reading = ColdReading::new(&pool, Patience::Wait);
        let read = |(i, lsn, len): Want| {
            // What is not as it should be in a block is read by itself, which tells why.
            let payload = reading.payload(lsn, len).map(|part| Ok(part.share()));
            (i, payload.unwrap_or_else(|| pool.read_cold(lsn, len).map(|r| r.payload)))
        };
        wants.into_iter().map(read).collect()
    };
    let found = in_pool(shared, read).await?;
    Some(shared.cold_room.keep(found, room))
}

/// What a want is answered with when the pool never ran its read.
pub(crate) fn pool_ended() -> ReadError {
    ReadError::Io(IoFault {
        place: "cold read".to_owned(),
        kind: std::io::ErrorKind::Interrupted,
        message: "the pool ended before the read; try again".to_owned(),
    })
}

/// About what the blocks take that these wants stand in, in the order of their positions.
fn bytes_of_blocks(wants: &[Want]) -> u64 {
    let block = COLD_BLOCK_BYTES as u64;
    let mut last = None;
    let each = wants.iter().map(|(_, lsn, len)| {
        let is_new = last.replace(lsn.get() / block) != Some(lsn.get() / block);
        if is_new { block.max(u64::from(*len)) } else { 0 }
    });
    each.sum()
}

/// Reads records from disk by blocks, best in the order of their positions.
struct ColdReading<'a> {
    shared: &'a LogShared,
    patience: Patience,
    /// The block that was read last, and where it begins.
    block: Option<(Lsn, Bytes)>,
}

impl<'a> ColdReading<'a> {
    const fn new(shared: &'a LogShared, patience: Patience) -> Self {
        Self { shared, patience, block: None }
    }

    /// The payload of a record of a known length that stands well in the log; `None` if that cannot
    /// be told without more patience, or without a read of its own.
    fn payload(&mut self, lsn: Lsn, len: u32) -> Option<Part<'_>> {
        let len = len as usize;
        if !(RECORD_HEADER_BYTES..=COLD_BLOCK_BYTES).contains(&len) || lsn < self.shared.start() {
            return None;
        }
        if !self.holds(lsn, len) {
            self.read(lsn, len)?;
        }
        let (from, bytes) = self.block.as_ref()?;
        let at = usize::try_from(lsn.get().checked_sub(from.get())?).ok()?;
        check_record(bytes.get(at..at + len)?, lsn).ok()?;
        Part::of(bytes, at + RECORD_HEADER_BYTES..at + len)
    }

    fn holds(&self, lsn: Lsn, len: usize) -> bool {
        let place = |(from, bytes): &(Lsn, Bytes)| {
            let at = lsn.get().checked_sub(from.get())?;
            Some(usize::try_from(at).ok()? + len <= bytes.len())
        };
        self.block.as_ref().and_then(place).unwrap_or(false)
    }

    /// Makes the bytes of a record the current block, or a part of it.
    fn read(&mut self, lsn: Lsn, len: usize) -> Option<()> {
        let (from, block_len) = self.shared.block_of(lsn)?;
        let wanted = usize::try_from(lsn.get() - from.get()).ok()? + len;
        if wanted > block_len {
            // It goes on in the next block.
            let mut bytes = vec![0; len];
            let is_read = self.shared.pread_into(lsn, &mut bytes, self.patience).ok()?;
            self.block = is_read.then(|| (lsn, Bytes::from(bytes)));
            return self.block.as_ref().map(|_| ());
        }
        let block = match self.shared.blocks.get(from, wanted) {
            Some(block) => block,
            None => {
                let mut memory = self.shared.blocks.memory(block_len);
                let is_read = self.shared.pread_into(from, &mut memory, self.patience).ok()?;
                let block = is_read.then(|| memory.freeze())?;
                self.shared.blocks.put(from, block.clone());
                block
            }
        };
        self.block = Some((from, block));
        Some(())
    }
}
