//! What waits to be written to one client: small things gathered in one buffer, stored messages
//! as references, all written by vectored writes, so that answers which are ready together
//! leave together.

use std::collections::VecDeque;
use std::io::{self, IoSlice};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use crate::frame::{self, Command};
use crate::limits::ANSWER_BYTES_SHARED_MAX;

/// Parts shorter than this are copied: a slice of their own would cost more.
const COPY_BYTES_MAX: usize = 2 * 1024;
/// Slices of one write.
const SLICES_MAX: usize = 64;
/// The buffer is handed over when it is so long, so that its memory can be freed in pieces.
const TAIL_BYTES_MAX: usize = 64 * 1024;
/// A buffer of this size is kept while nothing waits: most clients need no more.
const TAIL_BYTES_KEPT: usize = 4 * 1024;

#[derive(Debug, Default)]
pub(crate) struct OutQueue {
    chunks: VecDeque<Bytes>,
    /// Comes after the chunks.
    tail: Vec<u8>,
    /// Of the tail.
    written: usize,
    bytes: usize,
}

impl OutQueue {
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    pub(crate) fn push(&mut self, command: Command) {
        let is_behind = self.bytes > ANSWER_BYTES_SHARED_MAX;
        let before = self.tail.len();
        frame::encode_head(&command, &mut self.tail);
        self.bytes += self.tail.len() - before + command.body.len();
        let copied = command.body.parts().iter().map(Bytes::len).filter(|bytes| *bytes < COPY_BYTES_MAX);
        self.tail.reserve(copied.sum());
        for part in command.body.into_parts() {
            if part.len() < COPY_BYTES_MAX || is_behind {
                self.tail.extend_from_slice(&part);
            } else {
                self.seal();
                self.chunks.push_back(part);
            }
        }
        if self.tail.len() >= TAIL_BYTES_MAX {
            self.seal();
        }
    }

    fn seal(&mut self) {
        let mut sealed = Bytes::from(std::mem::take(&mut self.tail));
        sealed.advance(std::mem::take(&mut self.written));
        if !sealed.is_empty() {
            self.chunks.push_back(sealed);
        }
    }

    /// Writes once, as much as the client takes. Loses nothing if it is dropped while waiting.
    pub(crate) async fn write_some(&mut self, to: &mut (impl AsyncWrite + Unpin)) -> io::Result<usize> {
        let tail = self.tail.get(self.written..).unwrap_or_default();
        let written = if self.chunks.is_empty() {
            to.write(tail).await?
        } else if to.is_write_vectored() {
            let mut slices = [IoSlice::new(&[]); SLICES_MAX];
            let mut used = 0;
            let waiting = self.chunks.iter().map(|chunk| &**chunk).chain([tail]);
            for (slice, part) in slices.iter_mut().zip(waiting) {
                *slice = IoSlice::new(part);
                used += 1;
            }
            to.write_vectored(slices.get(..used).unwrap_or_default()).await?
        } else {
            self.join_front();
            to.write(self.chunks.front().map_or(&[], |front| front)).await?
        };
        if written == 0 && !self.is_empty() {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.advance(written);
        Ok(written)
    }

    /// Where one write takes one slice (TLS): the small ones at the front become one.
    fn join_front(&mut self) {
        self.seal();
        let small = |chunk: &Bytes| chunk.len() < COPY_BYTES_MAX;
        let count = self.chunks.iter().take(SLICES_MAX).take_while(|chunk| small(chunk)).count();
        if count > 1 {
            let joined: Vec<Bytes> = self.chunks.drain(..count).collect();
            self.chunks.push_front(joined.concat().into());
        }
    }

    fn advance(&mut self, mut written: usize) {
        self.bytes = self.bytes.saturating_sub(written);
        while let Some(front) = self.chunks.front_mut() {
            if front.len() > written {
                front.advance(written);
                return;
            }
            written -= front.len();
            self.chunks.pop_front();
        }
        self.written += written;
        if self.written == self.tail.len() {
            self.written = 0;
            self.tail.clear();
            if self.tail.capacity() > TAIL_BYTES_KEPT {
                self.tail = Vec::new();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use futures::FutureExt;

    use super::*;
    use crate::header::Fields;

    /// Takes a few bytes of each write.
    #[derive(Default)]
    struct Slow {
        taken: Vec<u8>,
        vectored: bool,
        step: usize,
    }

    impl AsyncWrite for Slow {
        fn poll_write(
            mut self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
            data: &[u8],
        ) -> std::task::Poll<io::Result<usize>> {
            let count = data.len().min(self.step);
            self.taken.extend_from_slice(&data[..count]);
            std::task::Poll::Ready(Ok(count))
        }

        fn poll_write_vectored(
            self: std::pin::Pin<&mut Self>,
            cx: &mut std::task::Context<'_>,
            slices: &[IoSlice<'_>],
        ) -> std::task::Poll<io::Result<usize>> {
            let front: Vec<u8> =
                slices.iter().flat_map(|slice| slice.iter().copied()).take(self.step).collect();
            self.poll_write(cx, &front)
        }

        fn is_write_vectored(&self) -> bool {
            self.vectored
        }

        fn poll_flush(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<io::Result<()>> {
            std::task::Poll::Ready(Ok(()))
        }

        fn poll_shutdown(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<io::Result<()>> {
            std::task::Poll::Ready(Ok(()))
        }
    }

    fn answer(n: usize, body: usize) -> Command {
        let fields = Fields::new().with("n", n);
        Command { fields, body: vec![b'x'; body].into(), ..Command::response(0) }
    }

    /// Answers of all sizes, some pushed while others are half written, leave whole and in their order.
    #[test]
    fn what_is_pushed_leaves_in_its_order_however_little_is_taken() {
        for (vectored, step) in [(true, 97), (true, 100_000), (false, 97), (false, 3_000)] {
            let mut to = Slow { vectored, step, ..Slow::default() };
            let (mut queue, mut expected) = (OutQueue::default(), BytesMut::new());
            for (n, body) in [0, 10, 5_000, 3, 70_000, 1, 2_047, 2_048, 60_000, 0].into_iter().enumerate() {
                frame::encode(&answer(n, body), &mut expected);
                queue.push(answer(n, body));
                queue.write_some(&mut to).now_or_never().expect("it never waits").expect("it never fails");
            }
            while !queue.is_empty() {
                queue.write_some(&mut to).now_or_never().expect("it never waits").expect("it never fails");
            }
            assert!(to.taken == expected, "vectored {vectored}, {step} at a time");
            assert!(queue.tail.capacity() <= TAIL_BYTES_KEPT && queue.chunks.is_empty());
        }
    }

    #[test]
    fn a_slow_client_does_not_keep_whole_frames_in_memory() {
        let mut out = OutQueue::default();
        let part = || Bytes::from(vec![1; 100_000]);
        let early = part();
        out.push(Command { body: early.clone().into(), ..Command::response(0) });
        assert!(!early.is_unique(), "what goes soon is not copied");
        while out.bytes() <= ANSWER_BYTES_SHARED_MAX {
            out.push(Command { body: part().into(), ..Command::response(0) });
        }
        let late = part();
        out.push(Command { body: late.clone().into(), ..Command::response(0) });
        assert!(late.is_unique(), "what waits behind much is copied");
    }
}
