//! Which stream holds what: the top byte of a stream id is its kind.

use model::{QueueId, StreamId};

const QUEUE: u64 = 1;
const DUE_MINUTE: u64 = 2;

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
}
