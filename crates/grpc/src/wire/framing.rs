//! Messages of gRPC in a sequence of bytes.
//!
//! ```text
//! compressed u8 (0) | length u32 | message        repeated
//! ```
//! Compressed messages are not taken, which the answer to a request that has them says.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use prost::Message;
use tonic::Status;

const PREFIX_BYTES: usize = 5;

/// Puts messages together from the pieces that they come in. A message that lies in one piece is
/// not copied.
#[derive(Debug, Default)]
pub(crate) struct Gather {
    whole: Bytes,
    pieces: BytesMut,
    /// Bytes until the next message is whole; zero: not known.
    wanted: usize,
}

impl Gather {
    pub(crate) fn push(&mut self, piece: Bytes) {
        if self.pieces.is_empty() && self.whole.is_empty() {
            self.whole = piece;
            return;
        }
        if self.pieces.is_empty() {
            self.pieces = BytesMut::from(std::mem::take(&mut self.whole));
        }
        self.pieces.extend_from_slice(&piece);
        if self.pieces.len() >= self.wanted {
            self.whole = self.pieces.split().freeze();
        }
    }

    /// Whether nothing of a message has come.
    pub(crate) fn is_empty(&self) -> bool {
        self.whole.is_empty() && self.pieces.is_empty()
    }

    /// The next message, if it is all there.
    pub(crate) fn take(&mut self, bytes_max: usize) -> Result<Option<Bytes>, Status> {
        let Some((&[compressed, a, b, c, d], _)) = self.whole.split_first_chunk::<PREFIX_BYTES>() else {
            self.wanted = PREFIX_BYTES;
            return Ok(None);
        };
        match compressed {
            0 => {}
            1 => {
                let text = "a message is compressed, but the request named no grpc-encoding";
                return Err(Status::internal(text));
            }
            other => {
                let text = format!("a message begins with {other}, which is not 0 (plain) or 1 (compressed)");
                return Err(Status::internal(text));
            }
        }
        let bytes = u32::from_be_bytes([a, b, c, d]) as usize;
        if bytes > bytes_max {
            let text = format!("a message of {bytes} bytes is too large: the limit is {bytes_max}");
            return Err(Status::out_of_range(text));
        }
        self.wanted = PREFIX_BYTES + bytes;
        if self.whole.len() < self.wanted {
            return Ok(None);
        }
        self.whole.advance(PREFIX_BYTES);
        self.wanted = 0;
        Ok(Some(self.whole.split_to(bytes)))
    }
}

/// Appends a message with its prefix.
pub(crate) fn put(out: &mut BytesMut, message: &impl Message) {
    let bytes = message.encoded_len();
    out.reserve(PREFIX_BYTES + bytes);
    out.put_u8(0);
    // Nothing that is answered comes near 4 GiB.
    out.put_u32(u32::try_from(bytes).unwrap_or(u32::MAX));
    message.encode_raw(out);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::proto::Resource;

    const BYTES_MAX: usize = 1_000;

    fn framed(names: &[String]) -> BytesMut {
        let mut out = BytesMut::new();
        for name in names {
            put(&mut out, &Resource { resource_namespace: String::new(), name: name.clone() });
        }
        out
    }

    fn take(gather: &mut Gather) -> Option<String> {
        let message = gather.take(BYTES_MAX).expect("well formed")?;
        Some(Resource::decode(message).expect("well formed").name)
    }

    proptest! {
        #[test]
        fn messages_come_out_as_they_went_in_however_they_are_cut(
            names in proptest::collection::vec("[a-z]{0,40}", 0..6),
            cuts in proptest::collection::vec(1_usize..30, 1..8),
        ) {
            let mut bytes = framed(&names).freeze();
            let mut gather = Gather::default();
            let mut found = Vec::new();
            let mut cuts = cuts.into_iter().cycle();
            while !bytes.is_empty() {
                let cut = cuts.next().expect("endless").min(bytes.len());
                gather.push(bytes.split_to(cut));
                while let Some(name) = take(&mut gather) {
                    found.push(name);
                }
            }
            prop_assert_eq!(found, names);
            prop_assert!(gather.is_empty());
        }
    }

    #[test]
    fn the_prefix_is_checked_before_the_message_is_waited_for() {
        let error = |bytes: &'static [u8]| {
            let mut gather = Gather::default();
            gather.push(Bytes::from_static(bytes));
            gather.take(BYTES_MAX).expect_err("refused").code()
        };
        assert_eq!(error(&[0, 0, 0, 0x03, 0xE9]), tonic::Code::OutOfRange);
        assert_eq!(error(&[1, 0, 0, 0, 1]), tonic::Code::Internal);
        assert_eq!(error(&[2, 0, 0, 0, 1]), tonic::Code::Internal);
    }

    #[test]
    fn a_message_in_one_piece_is_not_copied() {
        let bytes = framed(&["t".to_owned()]).freeze();
        let mut gather = Gather::default();
        gather.push(bytes.clone());
        let message = gather.take(BYTES_MAX).expect("well formed").expect("whole");
        assert_eq!(message.as_ptr(), bytes.slice(PREFIX_BYTES..).as_ptr());
    }
}
