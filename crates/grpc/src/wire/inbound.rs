//! Messages of a request that lives long, as they come in.

use base::Share;
use bytes::Bytes;
use prost::Message;
use tokio::sync::mpsc::Receiver;
use tonic::Status;

/// A message, and its share of the bytes that have come in and are not worked on.
pub(crate) struct Arrived {
    pub(crate) message: Bytes,
    pub(crate) _share: Option<Share>,
}

pub(crate) struct Inbound(Receiver<Result<Arrived, Status>>);

impl Inbound {
    pub(crate) const fn new(messages: Receiver<Result<Arrived, Status>>) -> Self {
        Self(messages)
    }

    /// The next message; `None`: the client has sent all.
    ///
    /// # Errors
    /// If a message is malformed or too large.
    pub(crate) async fn message<M: Message + Default>(&mut self) -> Result<Option<M>, Status> {
        match self.0.recv().await {
            Some(arrived) => decode(arrived?.message).map(Some),
            None => Ok(None),
        }
    }
}

pub(crate) fn decode<M: Message + Default>(message: Bytes) -> Result<M, Status> {
    decode_into(M::default(), message)
}

/// Into a message that has nothing but room.
pub(crate) fn decode_into<M: Message>(mut empty: M, message: Bytes) -> Result<M, Status> {
    let malformed = |error| Status::internal(format!("a message is malformed: {error}"));
    empty.merge(message).map_err(malformed)?;
    Ok(empty)
}
