//! Messages of a request that lives long, as they come in.

use bytes::Bytes;
use prost::Message;
use tokio::sync::mpsc::Receiver;
use tonic::Status;

pub(crate) struct Inbound(Receiver<Result<Bytes, Status>>);

impl Inbound {
    pub(crate) const fn new(messages: Receiver<Result<Bytes, Status>>) -> Self {
        Self(messages)
    }

    /// The next message; `None`: the client has sent all.
    ///
    /// # Errors
    /// If a message is malformed or too large.
    pub(crate) async fn message<M: Message + Default>(&mut self) -> Result<Option<M>, Status> {
        match self.0.recv().await {
            Some(message) => decode(message?).map(Some),
            None => Ok(None),
        }
    }
}

pub(crate) fn decode<M: Message + Default>(message: Bytes) -> Result<M, Status> {
    M::decode(message).map_err(|error| Status::internal(format!("a message is malformed: {error}")))
}
