//! Which stream holds what: the top byte of a stream id is its kind.

use model::{QueueId, StreamId};

const QUEUE: u64 = 1;
const DUE_MINUTE: u64 = 2;
const LITE: u64 = 3;

/// The entries of a queue. Topic ids are never used twice, so neither are streams.
#[must_use]
pub fn of_queue(topic_id: u32, queue: QueueId) -> StreamId {
    StreamId(QUEUE << 56 | u64::from(topic_id) << 24 | u64::from(queue.get()) & 0xFF_FFFF)
}

/// What is due in a minute (Unix minutes).
#[must_use]
pub fn of_due_minute(minute: i64) -> StreamId {
    StreamId(DUE_MINUTE << 56 | minute.max(0).unsigned_abs() & 0xFF_FFFF_FFFF)
}

/// The entries of a lite topic: a hash of 56 bits, so that subscriptions need no names. Two names of
/// one parent that meet in it (one in 10^5 at a million) are told apart by the sender, which refuses
/// the second.
#[must_use]
pub fn of_lite(parent_id: u32, name: &str) -> StreamId {
    let bytes = parent_id.to_le_bytes().into_iter().chain(name.bytes());
    let hash = fnv1a(bytes);
    let mixed = (hash ^ hash >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    StreamId(LITE << 56 | (mixed ^ mixed >> 31) >> 8)
}

/// FNV-1a of 64 bits. What it names stands in the log: it stays as it is.
pub(crate) fn fnv1a(bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(FNV1A_OF_NOTHING, fnv1a_step)
}

/// [`fnv1a`] of what was hashed before and of `bytes` after it.
pub(crate) fn fnv1a_on(before: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(before, |hash, byte| fnv1a_step(hash, *byte))
}

pub(crate) const FNV1A_OF_NOTHING: u64 = 0xCBF2_9CE4_8422_2325;

const fn fnv1a_step(hash: u64, byte: u8) -> u64 {
    (hash ^ byte as u64).wrapping_mul(0x0100_0000_01B3)
}

#[must_use]
pub const fn is_lite(stream: StreamId) -> bool {
    stream.get() >> 56 == LITE
}

/// The first stream of one of the 256 parts that lite topics are looked through by.
#[must_use]
pub const fn lite_part(part: u8) -> StreamId {
    StreamId(LITE << 56 | (part as u64) << 48)
}

/// The part of a lite topic's stream.
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "one byte is meant")]
pub const fn part_of_lite(stream: StreamId) -> u8 {
    (stream.get() >> 48) as u8
}

/// Topic id and queue of a queue's stream.
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "the bits were packed from these widths")]
pub fn queue_of(stream: StreamId) -> Option<(u32, QueueId)> {
    (stream.get() >> 56 == QUEUE)
        .then(|| ((stream.get() >> 24) as u32, QueueId((stream.get() & 0xFF_FFFF) as u32)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_survives_its_stream() {
        let stream = of_queue(u32::MAX, QueueId(65_535));
        assert_eq!(queue_of(stream), Some((u32::MAX, QueueId(65_535))));
        assert_eq!(queue_of(of_due_minute(29_000_000)), None);
    }

    #[test]
    fn lite_topics_are_spread_over_all_parts() {
        let streams: std::collections::BTreeSet<_> =
            (0..20_000).map(|i| of_lite(7, &format!("room-{i}"))).collect();
        assert_eq!(streams.len(), 20_000);
        assert!(streams.iter().all(|stream| is_lite(*stream) && queue_of(*stream).is_none()));
        let parts: std::collections::BTreeSet<_> = streams.iter().map(|s| part_of_lite(*s)).collect();
        assert_eq!(parts.len(), 256);
        assert_eq!(part_of_lite(lite_part(200)), 200);
        assert_ne!(of_lite(7, "a"), of_lite(8, "a"));
    }
}
