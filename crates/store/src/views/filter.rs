//! A Bloom filter: says "surely not here" for most streams and keys that a run does not hold, so
//! that a lookup reads few files. About 1 % of its yeses are wrong.

/// Bits per key; with [`PROBES`] probes about 0.9 % false yeses.
const BITS_PER_KEY: usize = 10;
const PROBES: u32 = 6;

/// A filled filter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    words: Vec<u64>,
}

/// Spreads a number over 64 bits, one to one.
pub(crate) const fn mix(mut x: u64) -> u64 {
    x ^= x >> 30;
    x = x.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x ^= x >> 27;
    x = x.wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// Hash of a byte string, the same on every machine: it stands in files.
pub(crate) fn hash_bytes(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut hash = mix(bytes.len() as u64 ^ 0x9e37_79b9_7f4a_7c15);
    for word in words {
        hash = mix(hash ^ u64::from_le_bytes(*word));
    }
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    mix(hash ^ u64::from_le_bytes(last))
}

impl Filter {
    /// An empty filter with room for about `keys` keys.
    pub(crate) fn with_room(keys: usize) -> Self {
        let words = (keys * BITS_PER_KEY).div_ceil(64).max(1);
        // Room for halving: see `shrink`.
        Self {
            words: vec![0; if words > 64 { words.next_multiple_of(64) } else { words.next_power_of_two() }],
        }
    }

    /// Halves the filter while it is at least twice as large as `keys` keys need: a merge knows
    /// only afterwards how many different ones there were. A probe's place is its hash scaled to
    /// the size, so halving joins neighbouring bits.
    pub(crate) fn shrink(&mut self, keys: usize) {
        while self.words.len() > 1
            && self.words.len().is_multiple_of(2)
            && self.words.len() * 32 >= (keys * BITS_PER_KEY).max(64)
        {
            let half = self.words.as_chunks::<2>().0.iter().map(|[low, high]| join(*low) | join(*high) << 32);
            self.words = half.collect();
        }
    }

    /// The filter that [`Self::encode`] wrote; any bytes make some filter.
    pub(crate) fn decode(bytes: &[u8]) -> Self {
        Self { words: bytes.as_chunks::<8>().0.iter().map(|w| u64::from_le_bytes(*w)).collect() }
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.extend(self.words.iter().flat_map(|w| w.to_le_bytes()));
    }

    /// `hash` must be well spread: see [`mix`].
    pub(crate) fn insert(&mut self, hash: u64) {
        for (word, bit) in probes(hash, self.words.len()) {
            if let Some(word) = self.words.get_mut(word) {
                *word |= bit;
            }
        }
    }

    pub(crate) fn may_hold(&self, hash: u64) -> bool {
        probes(hash, self.words.len()).all(|(word, bit)| self.words.get(word).is_some_and(|w| w & bit != 0))
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.words.len() * 8
    }
}

/// Each pair of neighbouring bits as one, in the low half.
fn join(word: u64) -> u64 {
    let mut bits = (word | word >> 1) & 0x5555_5555_5555_5555;
    for (shift, mask) in [
        (1, 0x3333_3333_3333_3333),
        (2, 0x0f0f_0f0f_0f0f_0f0f),
        (4, 0x00ff_00ff_00ff_00ff),
        (8, 0x0000_ffff_0000_ffff),
        (16, 0x0000_0000_ffff_ffff),
    ] {
        bits = (bits | bits >> shift) & mask;
    }
    bits
}

/// Word index and bit of each probe.
fn probes(hash: u64, words: usize) -> impl Iterator<Item = (usize, u64)> {
    let bits = (words as u64).max(1) * 64;
    let step = mix(hash ^ 0x9e37_79b9_7f4a_7c15) | 1;
    (0..PROBES).map(move |i| {
        let place = scale(hash.wrapping_add(step.wrapping_mul(u64::from(i))), bits);
        (usize::try_from(place / 64).unwrap_or_default(), 1 << (place % 64))
    })
}

/// Maps a well spread number onto `0..bound` without a division.
fn scale(x: u64, bound: u64) -> u64 {
    u64::try_from((u128::from(x) * u128::from(bound)) >> 64).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_what_was_inserted_and_little_else() {
        let mut filter = Filter::with_room(10_000);
        (0..10_000_u64).for_each(|k| filter.insert(mix(k)));
        assert!((0..10_000_u64).all(|k| filter.may_hold(mix(k))));
        let wrong = (10_000..110_000_u64).filter(|k| filter.may_hold(mix(*k))).count();
        assert!(wrong < 1_300, "{wrong} of 100,000 are wrong");
        let mut bytes = Vec::new();
        filter.encode(&mut bytes);
        assert_eq!(Filter::decode(&bytes), filter);
    }

    #[test]
    fn a_shrunk_filter_is_as_good_as_one_of_that_size() {
        let mut filter = Filter::with_room(200_000);
        (0..10_000_u64).for_each(|k| filter.insert(mix(k)));
        filter.shrink(10_000);
        assert!(filter.memory_bytes() < 26_000, "{}", filter.memory_bytes());
        assert!((0..10_000_u64).all(|k| filter.may_hold(mix(k))));
        let wrong = (10_000..110_000_u64).filter(|k| filter.may_hold(mix(*k))).count();
        assert!(wrong < 1_300, "{wrong} of 100,000 are wrong");
    }

    #[test]
    fn an_empty_filter_holds_nothing() {
        assert!(!Filter::with_room(0).may_hold(mix(1)));
        assert!(!Filter::decode(&[]).may_hold(mix(1)));
    }

    #[test]
    fn golden_hashes() {
        assert_eq!(mix(1), 0x5692_161d_100b_05e5);
        assert_ne!(hash_bytes(b""), hash_bytes(b"\0"));
        assert_ne!(hash_bytes(b"a"), hash_bytes(b"a\0"));
    }
}
