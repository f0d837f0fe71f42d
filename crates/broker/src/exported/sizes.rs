//! How large messages are that clients send: counted in RocketMQ's buckets.

use std::sync::atomic::{AtomicU64, Ordering};

/// Upper bounds in bytes; larger ones fall into the last bucket.
pub(super) const BOUNDS: [u64; 6] = [1 << 10, 4 << 10, 512 << 10, 1 << 20, 2 << 20, 4 << 20];

/// A histogram of plain counters.
#[derive(Debug, Default)]
pub(crate) struct Sizes {
    buckets: [AtomicU64; BOUNDS.len() + 1],
    bytes: AtomicU64,
}

impl Sizes {
    /// Messages of a call count with their mean size.
    pub(crate) fn add(&self, messages: usize, bytes: usize) {
        let mean = bytes.checked_div(messages).unwrap_or(0) as u64;
        let at = BOUNDS.iter().position(|bound| mean <= *bound).unwrap_or(BOUNDS.len());
        if let Some(bucket) = self.buckets.get(at) {
            bucket.fetch_add(messages as u64, Ordering::Relaxed);
        }
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// The sum in bytes, and each bucket with its bound.
    pub(super) fn read(&self) -> (u64, Vec<(f64, u64)>) {
        #[expect(clippy::cast_precision_loss, reason = "the bounds are small powers of two")]
        let bounds = BOUNDS.iter().map(|bound| *bound as f64).chain([f64::INFINITY]);
        let counts = self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed));
        (self.bytes.load(Ordering::Relaxed), bounds.zip(counts).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_fall_into_their_buckets() {
        let sizes = Sizes::default();
        sizes.add(1, 1024);
        sizes.add(2, 4096);
        sizes.add(1, 1025);
        sizes.add(1, 5 << 20);
        let (bytes, buckets) = sizes.read();
        assert_eq!(bytes, 1024 + 4096 + 1025 + (5 << 20));
        assert_eq!(buckets.iter().map(|(_, count)| *count).collect::<Vec<_>>(), [1, 3, 0, 0, 0, 0, 1]);
    }
}
