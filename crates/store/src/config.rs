//! Settings of one store.

use serde::{Deserialize, Serialize};

/// How a store keeps its log and views. Every replica group has its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StoreConfig {
    /// Size of one segment file of the log: the unit of deletion. 16 MiB suits small devices.
    pub segment_bytes: u64,
    /// Newest part of the log that stays in memory, so that consumers that keep up never touch the disk.
    /// At most its share of `runtime.memory_budget_bytes`.
    pub tail_cache_bytes: u64,
    /// Segments whose newest record is older than this are deleted. 0: never by age.
    pub retention_ms: Option<i64>,
    /// Oldest segments are deleted while the log is larger than this. Absent or 0: never by size.
    pub retention_bytes: Option<u64>,
    /// A checkpoint is due when the log has grown by this much since the last one. Bounds the
    /// time that a restart takes. At most 512 MiB.
    pub checkpoint_bytes: u64,
    /// Memory of what was indexed since the last checkpoint, in bytes. A checkpoint is due at half of
    /// it; beyond it producers wait for one. At most its share of `runtime.memory_budget_bytes`.
    pub live_bytes_max: usize,
    /// Cold reads that may be at the disk at once, so that readers of old messages do not slow
    /// down everybody else.
    pub cold_read_concurrency: usize,
    /// Bytes that cold reads under way take, for all readers together; more reads wait their turn.
    /// At most its share of `runtime.memory_budget_bytes`.
    pub cold_read_bytes_max: usize,
    /// Producers are refused when the disk is fuller than this, in percent.
    pub disk_refuse_percent: u8,
    /// Producers are let in again when the disk is emptier than this, in percent.
    pub disk_resume_percent: u8,
    /// Trimmed segments are reused by renaming them, which makes a synchronous flush cheaper.
    /// Switch off where flushing is asynchronous.
    pub recycle_segments: bool,
    /// The next segment is prepared ahead, at the cost of a segment's space. With `flush = "sync"` it is filled with
    /// zeros, so that a flush need not change the file: it takes half the time, but each byte of the log is
    /// written twice. With `flush = "async"` its space is reserved, so that no write waits for the file system to find some.
    pub prepare_segments: bool,
    /// Streams without recent entries whose end is remembered in memory (64 bytes each).
    /// At most its share of `runtime.memory_budget_bytes`.
    pub idle_streams_max: usize,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self {
            segment_bytes: 128 << 20,
            tail_cache_bytes: 32 << 20,
            retention_ms: Some(72 * 3_600_000),
            retention_bytes: None,
            checkpoint_bytes: 64 << 20,
            live_bytes_max: 256 << 20,
            cold_read_concurrency: 8,
            cold_read_bytes_max: 64 << 20,
            disk_refuse_percent: 85,
            disk_resume_percent: 83,
            recycle_segments: true,
            prepare_segments: true,
            idle_streams_max: 2 << 20,
        }
    }
}

/// Largest accepted `checkpoint_bytes`: replaying more would make a restart take seconds.
pub const CHECKPOINT_BYTES_MAX: u64 = 512 << 20;
/// Smallest accepted `segment_bytes`.
pub const SEGMENT_BYTES_MIN: u64 = 4096;
/// Smallest accepted `live_bytes_max`: the index of a few frames.
pub const LIVE_BYTES_MIN: usize = 1 << 20;
/// Smallest accepted `cold_read_bytes_max`.
pub const COLD_READ_BYTES_MIN: usize = 1 << 20;

impl StoreConfig {
    /// Checks each setting and their relations; the message says what to change.
    pub fn validate(&self) -> Result<(), String> {
        if self.segment_bytes < SEGMENT_BYTES_MIN {
            return Err(format!(
                "segment_bytes is {}; set it to at least {SEGMENT_BYTES_MIN}",
                self.segment_bytes
            ));
        }
        if self.checkpoint_bytes == 0 || self.checkpoint_bytes > CHECKPOINT_BYTES_MAX {
            return Err(format!(
                "checkpoint_bytes is {}; set it between 1 and {CHECKPOINT_BYTES_MAX}",
                self.checkpoint_bytes
            ));
        }
        if self.cold_read_bytes_max < COLD_READ_BYTES_MIN {
            return Err(format!(
                "cold_read_bytes_max is {}; set it to at least {COLD_READ_BYTES_MIN}",
                self.cold_read_bytes_max
            ));
        }
        if self.live_bytes_max < LIVE_BYTES_MIN {
            return Err(format!(
                "live_bytes_max is {}; set it to at least {LIVE_BYTES_MIN}",
                self.live_bytes_max
            ));
        }
        if self.cold_read_concurrency == 0 {
            return Err(
                "cold_read_concurrency is 0, so old messages could never be read; set it to at least 1"
                    .to_owned(),
            );
        }
        if self.disk_refuse_percent > 100 || self.disk_resume_percent > self.disk_refuse_percent {
            return Err(format!(
                "disk_refuse_percent is {} and disk_resume_percent {}; use at most 100, and a resume value that is not above the refuse value",
                self.disk_refuse_percent, self.disk_resume_percent
            ));
        }
        Ok(())
    }
}
