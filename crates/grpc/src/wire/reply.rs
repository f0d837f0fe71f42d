//! What a call answers, and how it goes on.

use bytes::BytesMut;
use futures::future::BoxFuture;
use prost::Message;
use tonic::Status;

use crate::wire::framing;

/// A call, until its next word.
pub(crate) type Work = BoxFuture<'static, Reply>;

pub(crate) enum Reply {
    /// One framed message, and all went well.
    Message(BytesMut),
    /// The call is not done.
    Refused(Status),
    /// Messages that are there, written as the client takes them. What it does not take is dropped
    /// with them.
    Sequence(Box<dyn Sequence>),
    /// Framed messages, and more to come once they are taken.
    More(BytesMut, Work),
    End(Option<Status>),
}

impl Reply {
    pub(crate) fn message(message: &impl Message) -> Self {
        let mut bytes = BytesMut::new();
        framing::put(&mut bytes, message);
        Self::Message(bytes)
    }
}

/// A sequence of messages that need not be waited for.
pub(crate) trait Sequence: Send {
    /// Appends the next one; `false`: there is none.
    fn put_next(&mut self, out: &mut BytesMut) -> bool;
}

impl<I> Sequence for I
where
    I: Iterator<Item: Message> + Send,
{
    fn put_next(&mut self, out: &mut BytesMut) -> bool {
        let next = self.next();
        if let Some(message) = &next {
            framing::put(out, message);
        }
        next.is_some()
    }
}
