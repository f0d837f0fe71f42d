//! The ends of idle streams, in 21 bytes each: there may be millions.

use hashbrown::HashTable;

use super::filter::mix;
use super::live::End;

/// A stream's id (8 bytes), its next offset (6) and its last time in Unix milliseconds (6), little-endian.
type Packed = [u8; 20];

#[derive(Debug, Default)]
pub(super) struct IdleEnds(HashTable<Packed>);

fn pack(stream: u64, end: End) -> Option<Packed> {
    let mut packed = [0; 20];
    packed[..8].copy_from_slice(&stream.to_le_bytes());
    packed[8..14].copy_from_slice(&end.next_offset.to_le_bytes()[..6]);
    packed[14..].copy_from_slice(&end.last_time_ms.to_le_bytes()[..6]);
    (unpack(&packed) == end).then_some(packed)
}

fn id(packed: &Packed) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = *packed;
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

fn unpack(packed: &Packed) -> End {
    let [.., a, b, c, d, e, f, g, h, i, j, k, l] = *packed;
    let sign = if l & 0x80 == 0 { 0 } else { 0xFF };
    End {
        next_offset: u64::from_le_bytes([a, b, c, d, e, f, 0, 0]),
        last_time_ms: i64::from_le_bytes([g, h, i, j, k, l, sign, sign]),
    }
}

impl IdleEnds {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn get(&self, stream: u64) -> Option<End> {
        self.0.find(mix(stream), |packed| id(packed) == stream).map(unpack)
    }

    /// Puts an end in the place of the one that is known. One that is too large to be packed is not
    /// remembered: it is looked up when it is wanted.
    pub(super) fn insert(&mut self, stream: u64, end: End) {
        let Some(packed) = pack(stream, end) else { return self.remove(stream) };
        let entry = self.0.entry(mix(stream), |known| id(known) == stream, |known| mix(id(known)));
        entry.insert(packed);
    }

    pub(super) fn insert_if_unknown(&mut self, stream: u64, end: End) {
        if self.get(stream).is_none() {
            self.insert(stream, end);
        }
    }

    pub(super) fn remove(&mut self, stream: u64) {
        if let Ok(entry) = self.0.find_entry(mix(stream), |packed| id(packed) == stream) {
            entry.remove();
        }
    }

    pub(super) fn retain(&mut self, keep: impl Fn(End) -> bool) {
        self.0.retain(|packed| keep(unpack(packed)));
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn allocation_bytes(&self) -> usize {
        self.0.allocation_size()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_come_back_as_they_were() {
        let mut ends = IdleEnds::default();
        let ids = [0, 1, u64::MAX, 1 << 63];
        let mut known = Vec::new();
        for next_offset in [0, 1, (1 << 48) - 1] {
            for last_time_ms in [0, -1, 1, i64::MIN >> 16, i64::MAX >> 16] {
                known.push(End { next_offset, last_time_ms });
            }
        }
        for end in known {
            for stream in ids {
                ends.insert(stream, end);
                assert_eq!(ends.get(stream), Some(end));
            }
        }
        assert_eq!(ends.len(), ids.len());
        ends.remove(1);
        assert_eq!((ends.get(1), ends.len()), (None, ids.len() - 1));
    }

    #[test]
    fn what_is_too_large_is_not_known_any_more() {
        let small = End { next_offset: 7, last_time_ms: 7 };
        let large = [
            End { next_offset: 1 << 48, ..small },
            End { last_time_ms: 1 << 47, ..small },
            End { last_time_ms: i64::MIN, ..small },
        ];
        for end in large {
            let mut ends = IdleEnds::default();
            ends.insert(1, small);
            ends.insert_if_unknown(1, end);
            assert_eq!(ends.get(1), Some(small));
            ends.insert(1, end);
            assert_eq!(ends.get(1), None);
        }
    }
}
