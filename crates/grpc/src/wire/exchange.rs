//! What a connection keeps with a stream: a request while it comes in, its call while that runs,
//! its answer while the client takes it.

use std::sync::Arc;

use base::{Budget, Share};
use bytes::Bytes;
use futures::future::AbortHandle;
use tokio::sync::mpsc::Sender;
use tonic::Status;

use crate::limits::TELEMETRY_BYTES_MAX;
use crate::service::Asked;
use crate::wire::framing::Gather;
use crate::wire::inbound::Arrived;
use crate::wire::reply::{Sequence, Work};

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
    /// What is asked, until the request is complete.
    asked: Option<Asked>,
    /// Its message.
    message: Option<Bytes>,
    /// Of the bytes that are still coming in.
    share: Option<Share>,
    /// Takes the messages of a request that lives long.
    messages: Option<Messages>,
    pub(crate) stops: Option<Stops>,
    /// What of an answer is not yet put into the stream.
    pub(crate) sequence: Option<Box<dyn Sequence>>,
    /// The call goes on when the client has taken what it said.
    pub(crate) paused: Option<Work>,
}

/// The way of messages to a call that lives long.
pub(crate) struct Messages {
    pub(crate) to: Sender<Result<Arrived, Status>>,
    pub(crate) incoming: Arc<Budget>,
}

impl Exchange {
    /// A request of one message begins.
    pub(crate) fn ask(&mut self, asked: Asked, share: Option<Share>) {
        (self.asked, self.share) = (Some(asked), share);
    }

    /// A request of many messages begins.
    pub(crate) fn talk(&mut self, messages: Messages) {
        self.share = messages.incoming.take(0);
        self.messages = Some(messages);
    }

    /// Data of the request. Returns what is asked and its message, once the client has said all:
    /// some are confused by an answer that comes before.
    pub(crate) fn on_data(
        &mut self,
        bytes: Bytes,
        is_complete: bool,
    ) -> Result<Option<(Asked, Bytes)>, Status> {
        if self.share.as_mut().is_some_and(|share| !share.grow(bytes.len())) {
            let text = "the server is receiving as much as it can hold: try again later";
            return Err(Status::resource_exhausted(text));
        }
        let Some(asked) = &self.asked else {
            self.pass_on(bytes, is_complete);
            return Ok(None);
        };
        if self.message.is_none() {
            self.gather.push(bytes);
            self.message = self.gather.take(asked.bytes_max())?;
        }
        if !is_complete {
            return Ok(None);
        }
        self.share = None;
        let message = self.message.take().ok_or_else(|| self.missing())?;
        Ok(self.asked.take().map(|asked| (asked, message)))
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

    /// Who sends faster than we read, or what is no message, is not listened to any more; what a call says that has
    /// ended already is of no interest.
    fn pass_on(&mut self, bytes: Bytes, is_complete: bool) {
        let Some(Messages { to, incoming }) = self.messages.take() else { return };
        self.gather.push(bytes);
        loop {
            let arrived = match self.gather.take(TELEMETRY_BYTES_MAX) {
                Ok(None) => break,
                Ok(Some(message)) => {
                    let share = std::mem::replace(&mut self.share, incoming.take(0));
                    Ok(Arrived { message, _share: share })
                }
                Err(status) => Err(status),
            };
            let is_last = arrived.is_err();
            if to.try_send(arrived).is_err() || is_last {
                return;
            }
        }
        if !is_complete {
            self.messages = Some(Messages { to, incoming });
        }
    }
}
