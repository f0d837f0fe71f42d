//! What happened in a run: a hash of every event, and on request the events as text.
//!
//! Two runs of one seed must give the same hash. Text costs time, so it is only kept when a
//! failing seed is run again to be read.

use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;

/// Text lines kept; a run that goes on longer loses its beginning.
const LINES_MAX: usize = 200_000;

#[derive(Debug, Default)]
struct Inner {
    hash: u64,
    events: u64,
    lines: Option<std::collections::VecDeque<String>>,
}

/// A shared recorder of events. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Trace {
    inner: Arc<Mutex<Inner>>,
}

/// Folds bytes into a hash (FNV-1a with a final mix; the same on every machine).
#[must_use]
pub fn hash_bytes(seed: u64, bytes: &[u8]) -> u64 {
    let mut h = seed ^ 0xCBF2_9CE4_8422_2325;
    let mut chunks = bytes.chunks_exact(8);
    for chunk in &mut chunks {
        let word = chunk.try_into().map_or(0, u64::from_le_bytes);
        h = (h ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29);
    }
    for byte in chunks.remainder() {
        h = (h ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01B3);
    }
    h ^= h >> 32;
    h.wrapping_mul(0xD6E8_FEB8_6659_FD93) ^ bytes.len() as u64
}

impl Trace {
    /// Keeps the text of events too.
    #[must_use]
    pub fn with_text() -> Self {
        let trace = Self::default();
        trace.inner.lock().lines = Some(std::collections::VecDeque::new());
        trace
    }

    /// Records an event: its numbers count for the hash, its text is made only if it is kept.
    pub fn event(&self, what: &'static str, numbers: &[u64], text: impl FnOnce() -> String) {
        let mut inner = self.inner.lock();
        inner.events += 1;
        let mut hash = hash_bytes(inner.hash, what.as_bytes());
        for n in numbers {
            hash = hash_bytes(hash, &n.to_le_bytes());
        }
        inner.hash = hash;
        let number = inner.events;
        if let Some(lines) = &mut inner.lines {
            if lines.len() >= LINES_MAX {
                lines.pop_front();
            }
            lines.push_back(format!("{number:>7} {what:<12} {}", text()));
        }
    }

    /// Records bytes that were produced.
    pub fn bytes(&self, what: &'static str, bytes: &[u8]) {
        self.event(what, &[hash_bytes(0, bytes)], || format!("{} bytes", bytes.len()));
    }

    #[must_use]
    pub fn hash(&self) -> u64 {
        self.inner.lock().hash
    }

    #[must_use]
    pub fn events(&self) -> u64 {
        self.inner.lock().events
    }

    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.inner.lock().lines.iter().flatten().cloned().collect()
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = self.inner.lock();
        for line in inner.lines.iter().flatten() {
            writeln!(f, "{line}")?;
        }
        write!(f, "{} events, hash {:016x}", inner.events, inner.hash)
    }
}
