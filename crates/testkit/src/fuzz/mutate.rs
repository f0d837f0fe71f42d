//! How inputs are damaged, and how a finding is made small.

use crate::rng::Rng;

/// Numbers that decoders trip over.
const EDGES: [u64; 14] = [
    0,
    1,
    0x7F,
    0x80,
    0xFF,
    0x7FFF,
    0x8000,
    0xFFFF,
    0x7FFF_FFFF,
    0x8000_0000,
    0xFFFF_FFFF,
    i64::MAX as u64,
    1 << 63,
    u64::MAX,
];

/// An input of the corpus after a few mutations, at most `bytes_max` long.
#[must_use]
pub fn from_corpus(corpus: &[Vec<u8>], bytes_max: usize, rng: &mut Rng) -> Vec<u8> {
    let mut input = rng.pick(corpus).cloned().unwrap_or_default();
    for _ in 0..=rng.skewed(7) {
        mutate(&mut input, corpus, rng);
    }
    input.truncate(bytes_max);
    input
}

fn mutate(input: &mut Vec<u8>, corpus: &[Vec<u8>], rng: &mut Rng) {
    if input.is_empty() {
        let len = rng.skewed(64);
        *input = rng.bytes(usize::try_from(len).unwrap_or_default());
        return;
    }
    let at = rng.index(input.len());
    match rng.below(10) {
        0 | 1 => flip_bit(input, at, rng),
        2 => set_byte(input, at, rng),
        3 | 4 => stretch_number(input, at, rng),
        5 => input.truncate(at),
        6 => cut_out(input, at, rng),
        7 => repeat(input, at, rng),
        8 => insert_noise(input, at, rng),
        _ => splice(input, at, corpus, rng),
    }
}

fn flip_bit(input: &mut [u8], at: usize, rng: &mut Rng) {
    if let Some(byte) = input.get_mut(at) {
        *byte ^= 1 << rng.below(8);
    }
}

fn set_byte(input: &mut [u8], at: usize, rng: &mut Rng) {
    let value = rng.next_u64().to_le_bytes();
    if let (Some(byte), [value, ..]) = (input.get_mut(at), value) {
        *byte = value;
    }
}

/// Treats the bytes at `at` as a number of 1, 2, 4 or 8 bytes and makes it absurd, or a little
/// larger or smaller.
fn stretch_number(input: &mut [u8], at: usize, rng: &mut Rng) {
    let width = 1 << rng.below(4);
    let is_big_endian = rng.percent(50);
    let Some(place) = input.get_mut(at..at + width) else { return };
    let mut number = [0; 8];
    for (to, from) in number.iter_mut().zip(place.iter()) {
        *to = *from;
    }
    let old = if is_big_endian {
        u64::from_be_bytes(number) >> (64 - 8 * width)
    } else {
        u64::from_le_bytes(number)
    };
    let new = match rng.below(3) {
        0 => EDGES.get(rng.index(EDGES.len())).copied().unwrap_or_default(),
        1 => old.wrapping_add(rng.skewed(64)),
        _ => old.wrapping_sub(rng.skewed(64)),
    };
    let bytes = if is_big_endian { (new << (64 - 8 * width)).to_be_bytes() } else { new.to_le_bytes() };
    for (to, from) in place.iter_mut().zip(bytes) {
        *to = from;
    }
}

fn cut_out(input: &mut Vec<u8>, at: usize, rng: &mut Rng) {
    let end = (at + 1 + short(rng)).min(input.len());
    input.drain(at..end);
}

fn repeat(input: &mut Vec<u8>, at: usize, rng: &mut Rng) {
    let end = (at + 1 + short(rng)).min(input.len());
    let part = input.get(at..end).unwrap_or_default().repeat(1 + short(rng) % 8);
    input.splice(at..at, part);
}

fn insert_noise(input: &mut Vec<u8>, at: usize, rng: &mut Rng) {
    let len = 1 + short(rng) % 16;
    let noise = rng.bytes(len);
    input.splice(at..at, noise);
}

fn splice(input: &mut Vec<u8>, at: usize, corpus: &[Vec<u8>], rng: &mut Rng) {
    let Some(other) = rng.pick(corpus).filter(|o| !o.is_empty()) else { return };
    let from = rng.index(other.len());
    input.truncate(at);
    input.extend_from_slice(other.get(from..).unwrap_or_default());
}

fn short(rng: &mut Rng) -> usize {
    usize::try_from(rng.skewed(64)).unwrap_or_default()
}

/// Removes pieces and plain bytes while the input still fails.
#[must_use]
pub fn shrink(mut input: Vec<u8>, attempts: usize, still_fails: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let mut left = attempts;
    let mut piece = input.len() / 2;
    while piece > 0 && left > 0 {
        let mut at = 0;
        while at < input.len() && left > 0 {
            left -= 1;
            let mut candidate = input.clone();
            candidate.drain(at..(at + piece).min(input.len()));
            if still_fails(&candidate) { input = candidate } else { at += piece }
        }
        piece /= 2;
    }
    input
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mutations_differ_and_stay_within_bounds() {
        let corpus = vec![vec![1; 100], b"abcdefgh".to_vec()];
        let mut rng = Rng::new(3);
        let made: std::collections::BTreeSet<Vec<u8>> =
            (0..1000).map(|_| from_corpus(&corpus, 120, &mut rng)).collect();
        assert!(made.len() > 700, "{}", made.len());
        assert!(made.iter().all(|m| m.len() <= 120));
    }

    #[test]
    fn shrinking_keeps_what_matters() {
        let small = shrink((0..200).collect(), 10_000, |input| input.contains(&77) && input.contains(&99));
        assert_eq!(small, [77, 99]);
    }
}
