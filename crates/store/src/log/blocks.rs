//! Blocks of the log that were read from disk, kept for a moment: readers of old messages go
//! through the same stretch of the log one after the other, each for the few records of its queue.
//!
//! Invariant: a kept block holds what stood in the log at its place when it was read. Only the block
//! at the log's end can grow; it is read again when more of it is wanted.

use bytes::{Bytes, BytesMut};
use model::Lsn;
use parking_lot::Mutex;

use crate::limits::COLD_BLOCK_BYTES;

#[derive(Debug)]
struct Block {
    from: Lsn,
    bytes: Bytes,
    /// When it was last wanted, by [`Kept::turn`].
    wanted: u64,
}

#[derive(Debug, Default)]
struct Kept {
    blocks: Vec<Block>,
    turn: u64,
}

/// The blocks of one log.
#[derive(Debug)]
pub(super) struct Blocks {
    kept: Mutex<Kept>,
    max: usize,
}

impl Blocks {
    /// Keeps blocks of so many bytes in all, but at least one.
    pub(super) fn new(bytes: usize) -> Self {
        Self { kept: Mutex::default(), max: (bytes / COLD_BLOCK_BYTES).max(1) }
    }

    /// The block that begins at `from`, if `len` bytes of it are kept.
    pub(super) fn get(&self, from: Lsn, len: usize) -> Option<Bytes> {
        let mut kept = self.kept.lock();
        kept.turn += 1;
        let turn = kept.turn;
        let block = kept.blocks.iter_mut().find(|block| block.from == from && block.bytes.len() >= len)?;
        block.wanted = turn;
        Some(block.bytes.clone())
    }

    /// Memory for a block of `len` bytes: when there are enough blocks, that of the one that nobody
    /// has wanted for longest.
    pub(super) fn memory(&self, len: usize) -> BytesMut {
        let spare = self.kept.lock().take_oldest(self.max);
        let mut memory = match spare.map(Bytes::try_into_mut) {
            Some(Ok(spare)) if spare.capacity() >= len => spare,
            _ => BytesMut::with_capacity(COLD_BLOCK_BYTES.max(len)),
        };
        memory.resize(len, 0);
        memory
    }

    pub(super) fn put(&self, from: Lsn, bytes: Bytes) {
        let mut kept = self.kept.lock();
        kept.blocks.retain(|block| block.from != from);
        let wanted = kept.turn;
        kept.blocks.push(Block { from, bytes, wanted });
    }

    /// Forgets what stands at or above `to`.
    pub(super) fn cut(&self, to: Lsn) {
        self.kept.lock().blocks.retain(|block| block.from.plus(block.bytes.len() as u64) <= to);
    }

    pub(super) fn cost(&self) -> u64 {
        (self.kept.lock().blocks.len() * COLD_BLOCK_BYTES) as u64
    }
}

impl Kept {
    fn take_oldest(&mut self, max: usize) -> Option<Bytes> {
        if self.blocks.len() < max {
            return None;
        }
        let oldest = self.blocks.iter().enumerate().min_by_key(|(_, block)| block.wanted)?.0;
        Some(self.blocks.swap_remove(oldest).bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNT: usize = 20;
    const BYTES: usize = COUNT * COLD_BLOCK_BYTES;

    fn block(n: u64) -> Lsn {
        Lsn(n * COLD_BLOCK_BYTES as u64)
    }

    #[test]
    fn the_block_that_was_not_wanted_for_longest_leaves() {
        let blocks = Blocks::new(BYTES);
        for n in 0..COUNT as u64 {
            blocks.put(block(n), blocks.memory(COLD_BLOCK_BYTES).freeze());
            assert!(blocks.get(block(n), 1).is_some());
        }
        assert!(blocks.get(block(0), 1).is_some());
        let reused = blocks.memory(100);
        assert_eq!(reused, [0; 100].as_slice());
        blocks.put(block(900), reused.freeze());
        assert!(blocks.get(block(0), COLD_BLOCK_BYTES).is_some());
        assert!(blocks.get(block(1), 1).is_none(), "nobody has wanted it since");
        assert_eq!(blocks.cost(), BYTES as u64);
    }

    #[test]
    fn a_block_that_has_grown_is_read_again_and_a_cut_one_forgotten() {
        let blocks = Blocks::new(BYTES);
        blocks.put(block(1), Bytes::from_static(b"short"));
        assert_eq!(blocks.get(block(1), 5).as_deref(), Some(&b"short"[..]));
        assert!(blocks.get(block(1), 6).is_none());
        blocks.put(block(1), Bytes::from_static(b"longer"));
        assert_eq!(blocks.get(block(1), 6).as_deref(), Some(&b"longer"[..]));
        blocks.cut(block(1).plus(5));
        assert!(blocks.get(block(1), 1).is_none());
    }
}
