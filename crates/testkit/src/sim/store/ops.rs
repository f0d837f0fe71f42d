//! What a record of the simulation means: its payload is a seed, from which the changes of the
//! views follow. Appending and replaying use the same function, as a state machine would.

use model::{Lsn, StreamId};
use store::{NewEntry, Views};

use crate::rng::Rng;

/// One change of the views.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ViewOp {
    Append { stream: u64, entry: NewEntry },
    Put { key: Vec<u8>, value: Vec<u8> },
    Remove { key: Vec<u8> },
    Index { hash: u64, time_ms: i64 },
    Drop { stream: u64 },
}

/// Bytes of the payload that have a meaning; the rest is filler.
const HEAD_BYTES: usize = 16;

/// A payload of about `filler` bytes.
pub(super) fn payload(seed: u64, time_ms: i64, filler: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEAD_BYTES + filler);
    out.extend_from_slice(&seed.to_le_bytes());
    out.extend_from_slice(&time_ms.to_le_bytes());
    out.extend_from_slice(&Rng::new(seed ^ 0xF111).bytes(filler));
    out
}

/// The time that a payload carries.
pub(super) fn time_of(payload: &[u8]) -> i64 {
    let time = payload.get(8..16).and_then(|b| b.try_into().ok());
    time.map_or(0, i64::from_le_bytes)
}

fn a_stream(rng: &mut Rng) -> u64 {
    // A few busy ones, some that come back, many that are seen once.
    match rng.below(10) {
        0..5 => rng.below(4),
        5..9 => 10 + rng.below(60),
        _ => 1_000 + rng.below(1 << 40),
    }
}

fn a_key(rng: &mut Rng) -> Vec<u8> {
    let kind = if rng.percent(50) { b'a' } else { b'b' };
    let mut key = vec![kind];
    key.extend_from_slice(rng.below(40).to_string().as_bytes());
    key
}

/// What the record at `lsn` with `len` bytes in all changes.
pub(super) fn changes(payload: &[u8], lsn: Lsn, len: u32) -> Vec<ViewOp> {
    let Some(seed) = payload.get(..8).and_then(|b| b.try_into().ok()).map(u64::from_le_bytes) else {
        return Vec::new();
    };
    let time_ms = time_of(payload);
    let rng = &mut Rng::new(seed);
    let mut out: Vec<ViewOp> = Vec::new();
    let mut streams = Vec::new();
    for _ in 0..rng.below(5) {
        match rng.below(20) {
            0..12 => {
                let stream = a_stream(rng);
                let count = if rng.percent(15) { 1 + rng.below(40) as u16 } else { 1 };
                let entry = NewEntry {
                    lsn,
                    len,
                    tag: rng.below(5) as u32,
                    time_ms,
                    count,
                    flags: rng.below(3) as u16,
                };
                if !streams.contains(&stream) {
                    streams.push(stream);
                    out.push(ViewOp::Append { stream, entry });
                }
            }
            12..15 => {
                let len = rng.skewed(300);
                out.push(ViewOp::Put { key: a_key(rng), value: Rng::new(seed).bytes(len as usize) });
            }
            15..16 => out.push(ViewOp::Remove { key: a_key(rng) }),
            16..19 => {
                let hash = rng.below(30);
                if !out.iter().any(|op| matches!(op, ViewOp::Index { hash: h, .. } if *h == hash)) {
                    out.push(ViewOp::Index { hash, time_ms });
                }
            }
            _ => {
                let stream = a_stream(rng);
                if !streams.contains(&stream) {
                    streams.push(stream);
                    out.push(ViewOp::Drop { stream });
                }
            }
        }
    }
    out
}

/// Applies a record to real views.
pub(super) fn apply(views: &mut Views, payload: &[u8], lsn: Lsn, len: u32) {
    for change in changes(payload, lsn, len) {
        match change {
            ViewOp::Append { stream, entry } => {
                views.append(StreamId(stream), entry);
            }
            ViewOp::Put { key, value } => views.put_object(&key, &value),
            ViewOp::Remove { key } => views.remove_object(&key),
            ViewOp::Index { hash, time_ms } => views.index_key(hash, lsn, time_ms),
            ViewOp::Drop { stream } => views.drop_stream(StreamId(stream)),
        }
    }
}
