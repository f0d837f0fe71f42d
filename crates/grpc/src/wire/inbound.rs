//! The messages of one request, as they come in.

use std::future::poll_fn;

use bytes::Bytes;
use h2::RecvStream;
use prost::Message;
use tonic::Status;

use crate::budget::Share;
use crate::limits::REQUEST_BYTES_MAX;
use crate::wire::broken;
use crate::wire::framing::Gather;

pub(crate) struct Inbound {
    body: RecvStream,
    gather: Gather,
    /// Of the bytes that are still coming in. Without one they do not count: a stream that lives
    /// long takes little at a time.
    share: Option<Share>,
}

impl Inbound {
    pub(crate) fn new(body: RecvStream, share: Option<Share>) -> Self {
        Self { body, gather: Gather::default(), share }
    }

    /// The next message; `None`: the client has sent all.
    ///
    /// # Errors
    /// If the stream breaks off, a message is malformed or too large, or the server receives as
    /// much as it can hold.
    pub(crate) async fn message<M: Message + Default>(&mut self) -> Result<Option<M>, Status> {
        loop {
            if let Some(message) = self.gather.take(REQUEST_BYTES_MAX)? {
                let malformed = |error| Status::internal(format!("a message is malformed: {error}"));
                return M::decode(message).map(Some).map_err(malformed);
            }
            match self.piece().await? {
                Some(piece) => self.gather.push(piece),
                None if self.gather.is_empty() => return Ok(None),
                None => return Err(Status::internal("the request ends within a message")),
            }
        }
    }

    /// The one message of a request.
    pub(crate) async fn only<M: Message + Default>(mut self) -> Result<M, Status> {
        let missing = || Status::internal("the request has no message");
        self.message().await?.ok_or_else(missing)
    }

    async fn piece(&mut self) -> Result<Option<Bytes>, Status> {
        let Some(piece) = poll_fn(|context| self.body.poll_data(context)).await else { return Ok(None) };
        let piece = piece.map_err(broken)?;
        self.body.flow_control().release_capacity(piece.len()).map_err(broken)?;
        if self.share.as_mut().is_some_and(|share| !share.grow(piece.len())) {
            let text = "the server is receiving as much as it can hold: try again later";
            return Err(Status::resource_exhausted(text));
        }
        Ok(Some(piece))
    }
}
