//! The ends of idle streams: there may be millions, so a table's empty places would cost as much as what it holds.
//!
//! Ends lie in small buckets that are as large as what is in them. When buckets are well filled on average, each
//! is split in two.

use super::filter::mix;
use super::live::End;

/// Ends of a bucket on average before all are split.
const BUCKET_ENDS: usize = 24;

/// A stream's id (8 bytes), its next offset (6) and its last time in Unix milliseconds (6), little-endian.
type Packed = [u8; 20];

/// A bucket is the place of the streams whose hashes end alike.
#[derive(Debug, Default)]
pub(super) struct IdleEnds {
    /// None, or a power of two.
    buckets: Vec<Vec<Packed>>,
    len: usize,
}

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

/// The bucket of a stream, of as many as there are: none, or a power of two.
fn place(stream: u64, buckets: usize) -> usize {
    // Shards go by the upper bits of the same hash.
    mix(stream) as usize & buckets.wrapping_sub(1)
}

fn position(bucket: &[Packed], stream: u64) -> Option<usize> {
    bucket.iter().position(|packed| id(packed) == stream)
}

impl IdleEnds {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    fn bucket(&self, stream: u64) -> Option<&Vec<Packed>> {
        self.buckets.get(place(stream, self.buckets.len()))
    }

    fn bucket_mut(&mut self, stream: u64) -> Option<&mut Vec<Packed>> {
        let place = place(stream, self.buckets.len());
        self.buckets.get_mut(place)
    }

    pub(super) fn get(&self, stream: u64) -> Option<End> {
        self.bucket(stream)?.iter().find(|packed| id(packed) == stream).map(unpack)
    }

    /// Puts an end in the place of the one that is known. One that is too large to be packed is not
    /// remembered: it is looked up when it is wanted.
    pub(super) fn insert(&mut self, stream: u64, end: End) {
        let Some(packed) = pack(stream, end) else { return self.remove(stream) };
        if let Some(known) =
            self.bucket_mut(stream).and_then(|b| b.iter_mut().find(|known| id(known) == stream))
        {
            *known = packed;
            return;
        }
        if self.len >= self.buckets.len() * BUCKET_ENDS {
            self.split();
        }
        if let Some(bucket) = self.bucket_mut(stream) {
            if bucket.len() == bucket.capacity() {
                bucket.reserve_exact(1 + bucket.len() / 8);
            }
            bucket.push(packed);
            self.len += 1;
        }
    }

    /// Twice as many buckets, half as full.
    fn split(&mut self) {
        let before = self.buckets.len();
        let after = (before * 2).max(1);
        self.buckets.reserve_exact(after - before);
        self.buckets.resize_with(after, Vec::new);
        for i in 0..before {
            let Some(bucket) = self.buckets.get_mut(i) else { continue };
            let (stays, goes): (Vec<_>, Vec<_>) =
                std::mem::take(bucket).into_iter().partition(|packed| place(id(packed), after) == i);
            for (i, mut half) in [(i, stays), (i + before, goes)] {
                half.shrink_to_fit();
                if let Some(bucket) = self.buckets.get_mut(i) {
                    *bucket = half;
                }
            }
        }
    }

    pub(super) fn insert_if_unknown(&mut self, stream: u64, end: End) {
        if self.get(stream).is_none() {
            self.insert(stream, end);
        }
    }

    pub(super) fn remove(&mut self, stream: u64) {
        let Some(bucket) = self.bucket_mut(stream) else { return };
        let Some(position) = position(bucket, stream) else { return };
        bucket.swap_remove(position);
        if bucket.len() <= bucket.capacity() / 2 {
            bucket.shrink_to_fit();
        }
        self.len -= 1;
    }

    pub(super) fn retain(&mut self, keep: impl Fn(End) -> bool) {
        for bucket in &mut self.buckets {
            bucket.retain(|packed| keep(unpack(packed)));
            bucket.shrink_to_fit();
        }
        self.len = self.buckets.iter().map(Vec::len).sum();
        if self.len == 0 {
            self.clear();
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(super) fn allocation_bytes(&self) -> usize {
        let ends: usize = self.buckets.iter().map(Vec::capacity).sum();
        self.buckets.capacity() * size_of::<Vec<Packed>>() + ends * size_of::<Packed>()
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

    #[test]
    fn thousands_take_little_more_than_their_bytes() {
        let mut ends = IdleEnds::default();
        let end = |n: u64| End { next_offset: n, last_time_ms: 7 };
        for n in 1..=20_000 {
            ends.insert(n, end(n));
            if n.is_multiple_of(1_000) {
                let each = ends.allocation_bytes() as f64 / n as f64;
                assert!(each < 25.0, "{each} bytes for each of {n}");
            }
        }
        assert!((1..=20_000).all(|n| ends.get(n) == Some(end(n))));
        ends.retain(|end| end.next_offset.is_multiple_of(2));
        assert_eq!((ends.len(), ends.get(7), ends.get(8)), (10_000, None, Some(end(8))));
        for n in 1..=20_000 {
            ends.remove(n);
        }
        assert_eq!(ends.len(), 0);
        assert!(ends.allocation_bytes() < 100_000, "{} bytes for nothing", ends.allocation_bytes());
        ends.clear();
        assert_eq!((ends.allocation_bytes(), ends.get(7)), (0, None));
    }
}
