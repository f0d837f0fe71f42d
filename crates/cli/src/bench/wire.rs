//! What the load generator wants of a protocol.

use bytes::Bytes;
use futures::future::BoxFuture;

/// One connection.
pub(crate) trait Wire: Send + Sync {
    /// Sends messages in one request, and waits until they are stored.
    fn send(&self, parcels: Vec<Parcel>) -> BoxFuture<'_, anyhow::Result<()>>;
    /// Waits for messages, as worker `worker` of `workers`. Empty: none came for some time.
    fn receive(&self, worker: usize, workers: usize) -> BoxFuture<'_, anyhow::Result<Vec<Taken>>>;
    /// Settles what was received.
    fn settle(&self, taken: Vec<Taken>) -> BoxFuture<'_, anyhow::Result<()>>;
}

/// A message to send.
#[derive(Debug, Clone)]
pub(crate) struct Parcel {
    pub(crate) body: Bytes,
    /// When it is to be delivered, Unix milliseconds; `None`: at once.
    pub(crate) due_ms: Option<i64>,
}

/// A message that was received.
pub(crate) struct Taken {
    pub(crate) body: Bytes,
    /// When it was stored in its queue, Unix milliseconds.
    pub(crate) stored_ms: i64,
    pub(crate) claim: Claim,
}

/// What settles it.
pub(crate) enum Claim {
    /// The offset behind it.
    Offset {
        queue: u32,
        next: i64,
    },
    Receipt {
        message_id: String,
        handle: String,
    },
}

/// What a body begins with: which run sent it, and when.
pub(crate) const STAMP_BYTES: usize = 16;

/// Puts a stamp at a body's head.
pub(crate) fn stamped(filling: &[u8], run: u64, now_us: u64) -> Bytes {
    let mut body = Vec::with_capacity(filling.len());
    body.extend(run.to_be_bytes());
    body.extend(now_us.to_be_bytes());
    body.extend(filling.get(STAMP_BYTES..).unwrap_or_default());
    body.into()
}

/// When this run sent a body; `None` if another did.
pub(crate) fn sent_us(body: &[u8], run: u64) -> Option<u64> {
    let (id, rest) = body.split_first_chunk::<8>()?;
    let sent = rest.first_chunk::<8>()?;
    (u64::from_be_bytes(*id) == run).then(|| u64::from_be_bytes(*sent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_tells_the_run_and_the_time() {
        let body = stamped(&[7; 20], 3, 99);
        assert_eq!((body.len(), sent_us(&body, 3), sent_us(&body, 4)), (20, Some(99), None));
        assert_eq!(sent_us(b"short", 3), None);
    }
}
