//! The answer to one request.
//!
//! ```text
//! head (200, application/grpc), message*, trailers (grpc-status)
//! trailers alone                                                     nothing but a refusal
//! ```
//! One message is handed over at once, whatever the client takes: it is small, and the number of
//! streams is bounded. Sequences wait for the client's window.

use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use futures::future::{Either, poll_fn, select};
use futures::stream::Fuse;
use futures::{Stream, StreamExt as _};
use h2::SendStream;
use h2::server::SendResponse;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use prost::Message;
use tonic::Status;

use crate::wire::framing;

/// A sequence is handed over in pieces of about so many bytes: one frame of the default size.
const PIECE_BYTES: usize = 16 * 1024;

const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const STATUS_OK: HeaderValue = HeaderValue::from_static("0");

/// The client does not want the answer any more, or is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gone;

pub(crate) struct Responder(SendResponse<Bytes>);

impl Responder {
    pub(crate) const fn new(stream: SendResponse<Bytes>) -> Self {
        Self(stream)
    }

    /// Works for the client for as long as it waits.
    pub(crate) async fn unless_gone<F: Future>(&mut self, work: F) -> Result<F::Output, Gone> {
        let gone = pin!(poll_fn(|context| self.0.poll_reset(context)));
        match select(pin!(work), gone).await {
            Either::Left((done, _)) => Ok(done),
            Either::Right(_) => Err(Gone),
        }
    }

    pub(crate) fn message(self, message: &impl Message) -> Result<(), Gone> {
        let mut bytes = BytesMut::new();
        framing::put(&mut bytes, message);
        let mut stream = self.head()?;
        stream.send_data(bytes.freeze(), false).map_err(gone)?;
        stream.send_trailers(trailers(None)).map_err(gone)
    }

    pub(crate) fn refuse(mut self, status: Status) -> Result<(), Gone> {
        self.0.send_response(status.into_http(), true).map(drop).map_err(gone)
    }

    /// For requests that are none of gRPC.
    pub(crate) fn http_status(mut self, status: http::StatusCode) -> Result<(), Gone> {
        let mut response = Response::new(());
        *response.status_mut() = status;
        self.0.send_response(response, true).map(drop).map_err(gone)
    }

    /// Begins a sequence of messages.
    pub(crate) fn begin(self) -> Result<Sequence, Gone> {
        Ok(Sequence(self.head()?))
    }

    fn head(mut self) -> Result<SendStream<Bytes>, Gone> {
        let mut head = Response::new(());
        head.headers_mut().insert(CONTENT_TYPE, GRPC);
        self.0.send_response(head, false).map_err(gone)
    }
}

fn gone(_: h2::Error) -> Gone {
    Gone
}

fn trailers(status: Option<&Status>) -> HeaderMap {
    let mut trailers = HeaderMap::with_capacity(2);
    match status {
        None => drop(trailers.insert(GRPC_STATUS, STATUS_OK)),
        // A text that is no header stays away; the code is always there.
        Some(status) => drop(status.add_header(&mut trailers)),
    }
    trailers
}

/// An answer of several messages whose head is sent.
pub(crate) struct Sequence(SendStream<Bytes>);

impl Sequence {
    /// Sends what comes, as fast as the client takes it. What is not sent is dropped with `items`.
    pub(crate) async fn all<M: Message>(
        mut self,
        items: impl Stream<Item = Result<M, Status>>,
    ) -> Result<(), Gone> {
        let mut items = pin!(items.fuse());
        let mut piece = BytesMut::new();
        loop {
            poll_fn(|context| self.poll_room(context)).await?;
            let filled = self.fill(&mut piece, items.as_mut()).await?;
            if !piece.is_empty() {
                self.0.send_data(piece.split().freeze(), false).map_err(gone)?;
            }
            if let Filled::End(status) = filled {
                return self.0.send_trailers(trailers(status.as_ref())).map_err(gone);
            }
        }
    }

    /// Waits for a first message, then takes what is there.
    async fn fill<M: Message>(
        &mut self,
        piece: &mut BytesMut,
        mut items: Pin<&mut Fuse<impl Stream<Item = Result<M, Status>>>>,
    ) -> Result<Filled, Gone> {
        poll_fn(|context| {
            while piece.len() < PIECE_BYTES {
                match items.as_mut().poll_next(context) {
                    Poll::Ready(Some(Ok(message))) => framing::put(piece, &message),
                    Poll::Ready(Some(Err(status))) => return Poll::Ready(Ok(Filled::End(Some(status)))),
                    Poll::Ready(None) => return Poll::Ready(Ok(Filled::End(None))),
                    Poll::Pending if piece.is_empty() => {
                        return self.0.poll_reset(context).map(|_| Err(Gone));
                    }
                    Poll::Pending => break,
                }
            }
            Poll::Ready(Ok(Filled::More))
        })
        .await
    }

    /// Ready when the client takes bytes.
    fn poll_room(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        self.0.reserve_capacity(1);
        while self.0.capacity() == 0 {
            if ready!(self.0.poll_capacity(context)).is_none_or(|room| room.is_err()) {
                return Poll::Ready(Err(Gone));
            }
        }
        Poll::Ready(Ok(()))
    }
}

enum Filled {
    More,
    End(Option<Status>),
}
