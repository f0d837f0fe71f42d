//! Reads records by position, from any thread. Hot ones come from the tail cache without a copy;
//! cold ones from disk, on a bounded pool with a budget of its own, neighbours in one read.

use std::sync::Arc;

use bytes::Bytes;
use model::Lsn;
use parking_lot::Mutex;

use super::frame::{FRAME_HEADER_BYTES, FrameHeader, RECORD_HEADER_BYTES, check_frame};
use super::shared::{LogShared, Record};
use crate::error::{IoFault, ReadError};
use crate::limits::{COALESCE_BYTES_MAX, COALESCE_GAP_BYTES};

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

/// One read from disk that covers several wanted records.
struct Batch {
    from: Lsn,
    to: Lsn,
    /// Index in the caller's list, position, length.
    wants: Vec<(usize, Lsn, u32)>,
}

type Found = Vec<(usize, Result<Bytes, ReadError>)>;

impl LogReader {
    pub(super) fn new(shared: Arc<LogShared>) -> Self {
        Self { shared }
    }

    #[must_use]
    pub fn start(&self) -> Lsn {
        self.shared.start()
    }

    #[must_use]
    pub fn end(&self) -> Lsn {
        self.shared.end()
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

    /// The kind of the record at `lsn`. May block on the disk.
    pub fn kind_at(&self, lsn: Lsn) -> Result<u8, ReadError> {
        self.record(lsn, 0).map(|r| r.kind)
    }

    /// Reads many payloads; `out` gets one result per want, in order. Never blocks the caller's
    /// thread on the disk.
    pub async fn read_many(&self, wants: &[(Lsn, u32)], out: &mut Vec<Result<Bytes, ReadError>>) {
        let first = out.len();
        let mut cold = Vec::new();
        for (i, (lsn, len)) in wants.iter().enumerate() {
            out.push(match self.cached(*lsn, *len) {
                Some(payload) => Ok(payload),
                None => {
                    cold.push((i, *lsn, *len));
                    Err(pool_ended())
                }
            });
        }
        if cold.is_empty() {
            return;
        }
        let batches = batches(cold);
        let bytes = batches.iter().map(|batch| batch.to.get() - batch.from.get()).sum();
        let Some(_room) = self.shared.cold_room.take(bytes).await else { return };
        let reads = batches.into_iter().map(|batch| self.read_batch(batch));
        for (i, result) in futures::future::join_all(reads).await.into_iter().flatten() {
            out[first + i] = result;
        }
    }

    async fn read_batch(&self, batch: Batch) -> Found {
        let Ok(_permit) = self.shared.cold_reads.acquire().await else { return Vec::new() };
        let found: Arc<Mutex<Found>> = Arc::default();
        let (shared, slot) = (Arc::clone(&self.shared), Arc::clone(&found));
        let work = Box::new(move || *slot.lock() = batch.read(&shared));
        self.shared.doors.spawn.blocking(work).await;
        std::mem::take(&mut *found.lock())
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

/// What a want is answered with when the pool never ran its read.
fn pool_ended() -> ReadError {
    ReadError::Io(IoFault {
        place: "cold read".to_owned(),
        kind: std::io::ErrorKind::Interrupted,
        message: "the pool ended before the read; try again".to_owned(),
    })
}

/// Groups wants that lie close together. Those of unknown length stand alone.
fn batches(mut cold: Vec<(usize, Lsn, u32)>) -> Vec<Batch> {
    cold.sort_unstable_by_key(|(_, lsn, _)| *lsn);
    let mut out: Vec<Batch> = Vec::new();
    for (i, lsn, len) in cold {
        let to = lsn.plus(u64::from(len));
        let joined = out.last_mut().filter(|b| {
            let near = lsn.get() <= b.to.get() + COALESCE_GAP_BYTES;
            let small = to.get() - b.from.get() <= COALESCE_BYTES_MAX;
            near && small && len != 0 && b.to != b.from
        });
        match joined {
            Some(batch) => {
                batch.to = batch.to.max(to);
                batch.wants.push((i, lsn, len));
            }
            None => out.push(Batch { from: lsn, to, wants: vec![(i, lsn, len)] }),
        }
    }
    out
}

impl Batch {
    fn read(self, shared: &LogShared) -> Found {
        if let [(i, lsn, len)] = self.wants[..] {
            return vec![(i, shared.read_cold(lsn, len).map(|r| r.payload))];
        }
        match shared.pread(self.from, self.to.get() - self.from.get()) {
            Ok(bytes) => {
                let bytes = Bytes::from(bytes);
                self.wants.iter().map(|want| (want.0, self.cut(want.1, want.2, &bytes, shared))).collect()
            }
            // A batch may cross segments or reach below the start: one by one tells which.
            Err(_) => {
                let one =
                    |(i, lsn, len): &(usize, Lsn, u32)| (*i, shared.read_cold(*lsn, *len).map(|r| r.payload));
                self.wants.iter().map(one).collect()
            }
        }
    }

    fn cut(&self, lsn: Lsn, len: u32, bytes: &Bytes, shared: &LogShared) -> Result<Bytes, ReadError> {
        let at = usize::try_from(lsn.get() - self.from.get()).expect("bounded by COALESCE_BYTES_MAX");
        if (len as usize) < RECORD_HEADER_BYTES {
            return Err(ReadError::corrupt_at(lsn, "no record has this length"));
        }
        shared.checked(lsn, bytes.slice(at..at + len as usize)).map(|r| r.payload)
    }
}
