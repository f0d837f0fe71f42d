//! What was read from a run beyond what was asked for: a reader that goes through a queue asks for
//! a few entries at a time, and the run has them in chunks.
//!
//! Entries in runs do not change. What the log's start or the commit position hides is hidden when the
//! entries are handed out; a stream that is dropped changes its shard's count, and what was kept
//! under another count is not used.

use parking_lot::Mutex;

use super::entry::Entry;
use super::filter::mix;
use crate::limits::READ_AHEAD_STREAMS_MAX;

/// Adjacent entries of one stream.
#[derive(Debug, Default)]
struct Stretch {
    stream: u64,
    /// [`super::live::Shard::drops`] when it was read.
    drops: u64,
    entries: Vec<Entry>,
}

/// One stretch for each of some streams.
#[derive(Debug)]
pub(crate) struct ReadAhead {
    slots: Vec<Mutex<Stretch>>,
}

impl Default for ReadAhead {
    fn default() -> Self {
        Self { slots: (0..READ_AHEAD_STREAMS_MAX).map(|_| Mutex::default()).collect() }
    }
}

impl ReadAhead {
    fn slot(&self, stream: u64) -> &Mutex<Stretch> {
        let i = (mix(stream) >> 32) as usize % self.slots.len();
        self.slots.get(i).expect("the index is below the number of slots")
    }

    /// Hands the kept entries from the one that holds `from` to `f`, in order, until it returns false.
    pub(crate) fn each(&self, stream: u64, drops: u64, from: u64, f: &mut dyn FnMut(&Entry) -> bool) {
        let stretch = self.slot(stream).lock();
        let is_known = stretch.stream == stream
            && stretch.drops == drops
            && stretch.entries.first().is_some_and(|first| first.offset <= from);
        if is_known {
            let first = stretch.entries.partition_point(|e| e.next_offset() <= from);
            let mut rest = stretch.entries.iter().skip(first);
            while rest.next().is_some_and(&mut *f) {}
        }
    }

    /// Keeps entries in place of what the slot held.
    pub(crate) fn keep(&self, stream: u64, drops: u64, entries: &[Entry]) {
        let mut stretch = self.slot(stream).lock();
        (stretch.stream, stretch.drops) = (stream, drops);
        stretch.entries.clear();
        stretch.entries.extend_from_slice(entries);
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.slots.iter().map(|slot| slot.lock().entries.capacity() * size_of::<Entry>()).sum()
    }
}

#[cfg(test)]
mod tests {
    use model::Lsn;

    use super::*;

    fn entry(offset: u64) -> Entry {
        Entry { offset, lsn: Lsn(offset * 10), len: 10, tag: 0, time_ms: 0, count: 2, flags: 0 }
    }

    fn from(ahead: &ReadAhead, drops: u64, from: u64, max: usize) -> Vec<u64> {
        let mut out = Vec::new();
        ahead.each(7, drops, from, &mut |entry| {
            out.push(entry.offset);
            out.len() < max
        });
        out
    }

    #[test]
    fn what_was_kept_is_handed_out_from_any_place_in_it() {
        let ahead = ReadAhead::default();
        ahead.keep(7, 1, &[entry(4), entry(6), entry(8)]);
        assert_eq!(from(&ahead, 1, 4, 9), [4, 6, 8]);
        assert_eq!(from(&ahead, 1, 7, 9), [6, 8]);
        assert_eq!(from(&ahead, 1, 5, 1), [4]);
        assert!(from(&ahead, 1, 3, 9).is_empty(), "what is before it is not known");
        assert!(from(&ahead, 1, 10, 9).is_empty());
        assert!(from(&ahead, 2, 4, 9).is_empty(), "the stream was dropped meanwhile");
        assert!(ahead.memory_bytes() > 0);
    }
}
