//! What waits to be written to one client: small things gathered in one buffer, stored messages
//! as references, all written by vectored writes, so that answers which are ready together
//! leave together.

use std::collections::VecDeque;
use std::io::{self, IoSlice};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use crate::frame::{self, Command};

/// Parts shorter than this are copied: a slice of their own would cost more.
const COPY_BYTES_MAX: usize = 2 * 1024;
/// Slices of one write.
const SLICES_MAX: usize = 64;
/// The buffer is handed over when it is so long, so that its memory can be freed in pieces.
const TAIL_BYTES_MAX: usize = 64 * 1024;

#[derive(Debug, Default)]
pub(crate) struct OutQueue {
    chunks: VecDeque<Bytes>,
    tail: BytesMut,
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
        let before = self.tail.len();
        frame::encode_head(&command, &mut self.tail);
        self.bytes += self.tail.len() - before + command.body.len();
        for part in command.body.into_parts() {
            if part.len() < COPY_BYTES_MAX {
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
        if !self.tail.is_empty() {
            self.chunks.push_back(self.tail.split().freeze());
        }
    }

    /// Writes once, as much as the client takes. Loses nothing if it is dropped while waiting.
    pub(crate) async fn write_some(&mut self, to: &mut (impl AsyncWrite + Unpin)) -> io::Result<usize> {
        self.seal();
        if !to.is_write_vectored() {
            self.join_front();
        }
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let mut used = 0;
        for (slice, chunk) in slices.iter_mut().zip(&self.chunks) {
            *slice = IoSlice::new(chunk);
            used += 1;
        }
        let written = to.write_vectored(slices.get(..used).unwrap_or_default()).await?;
        if written == 0 && !self.is_empty() {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.advance(written);
        Ok(written)
    }

    /// Where one write takes one slice (TLS): the small ones at the front become one.
    fn join_front(&mut self) {
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
    }
}
