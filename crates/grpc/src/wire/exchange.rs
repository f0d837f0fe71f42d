//! What a connection keeps with a stream: a request while it comes in, its call while that runs,
//! its answer while the client takes it.

use bytes::Bytes;
use futures::future::AbortHandle;
use tokio::sync::mpsc::Sender;
use tonic::Status;

use crate::budget::Share;
use crate::limits::REQUEST_BYTES_MAX;
use crate::service::Asked;
use crate::wire::framing::Gather;
use crate::wire::reply::{Messages, Work};

/// Stops a call that nobody waits for any more.
pub(crate) struct Stops(pub(crate) AbortHandle);

impl Drop for Stops {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[derive(Default)]
pub(crate) struct Exchange {
    gather: Gather,
    /// What is asked, until the message that belongs to it is whole.
    asked: Option<Asked>,
    /// Of the bytes that are still coming in. Without one they do not count: a stream that lives
    /// long takes little at a time.
    share: Option<Share>,
    /// Takes the messages of a request that lives long.
    messages: Option<Sender<Result<Bytes, Status>>>,
    pub(crate) stops: Option<Stops>,
    /// What of an answer is not yet put into the stream.
    pub(crate) sequence: Option<Box<dyn Messages>>,
    /// The call goes on when the client has taken what it said.
    pub(crate) paused: Option<Work>,
}

impl Exchange {
    /// A request of one message begins.
    pub(crate) fn ask(&mut self, asked: Asked, share: Option<Share>) {
        (self.asked, self.share) = (Some(asked), share);
    }

    /// A request of many messages begins.
    pub(crate) fn talk(&mut self, messages: Sender<Result<Bytes, Status>>) {
        self.messages = Some(messages);
    }

    /// Data of the request. Returns what is asked and its message, once that is whole.
    pub(crate) fn on_data(
        &mut self,
        bytes: Bytes,
        is_complete: bool,
    ) -> Result<Option<(Asked, Bytes)>, Status> {
        if self.messages.is_some() {
            self.pass_on(bytes, is_complete);
            return Ok(None);
        }
        if self.asked.is_none() {
            // The message was whole before; what follows it is nothing.
            return Ok(None);
        }
        if self.share.as_mut().is_some_and(|share| !share.grow(bytes.len())) {
            let text = "the server is receiving as much as it can hold: try again later";
            return Err(Status::resource_exhausted(text));
        }
        self.gather.push(bytes);
        match self.gather.take(REQUEST_BYTES_MAX)? {
            Some(message) => {
                self.share = None;
                Ok(self.asked.take().map(|asked| (asked, message)))
            }
            None if is_complete => Err(self.missing()),
            None => Ok(None),
        }
    }

    /// The request has ended without a whole message.
    pub(crate) fn missing(&self) -> Status {
        let text = if self.gather.is_empty() {
            "the request has no message"
        } else {
            "the request ends within a message"
        };
        Status::internal(text)
    }

    fn pass_on(&mut self, bytes: Bytes, is_complete: bool) {
        self.gather.push(bytes);
        while let Some(message) = self.gather.take(REQUEST_BYTES_MAX).transpose() {
            let is_last = message.is_err();
            let is_taken = self.messages.as_ref().is_some_and(|messages| messages.try_send(message).is_ok());
            if is_last || !is_taken {
                // Who sends faster than we read is not listened to any more.
                self.messages = None;
                return;
            }
        }
        if is_complete {
            self.messages = None;
        }
    }
}
