//! Bodies that a client compressed, made readable.

use std::io::Read;

use bytes::Bytes;
use model::StoredMessage;
use model::message::flags;

use crate::limits::PLAIN_BODY_BYTES_MAX;

/// The body as the application gave it; as it is stored, where that cannot be told.
pub(crate) fn plain(message: &StoredMessage) -> Bytes {
    let body = message.body();
    if message.system_flags() & flags::COMPRESSED == 0 {
        return body;
    }
    decompress(&body).unwrap_or(body)
}

/// Told by the first bytes, not by the flags: clients of different ages set those differently.
fn decompress(body: &[u8]) -> Option<Bytes> {
    match body {
        [0x1F, 0x8B, ..] => read(flate2::read::MultiGzDecoder::new(body)),
        [0x28, 0xB5, 0x2F, 0xFD, ..] => read(zstd::Decoder::new(body).ok()?),
        [0x04, 0x22, 0x4D, 0x18, ..] => read(lz4_flex::frame::FrameDecoder::new(body)),
        [0x78, ..] => read(flate2::read::ZlibDecoder::new(body)),
        _ => None,
    }
}

fn read(from: impl Read) -> Option<Bytes> {
    let mut out = Vec::new();
    let read = from.take(PLAIN_BODY_BYTES_MAX as u64 + 1).read_to_end(&mut out).ok()?;
    (read <= PLAIN_BODY_BYTES_MAX).then(|| out.into())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn every_compression_of_the_clients_is_undone() {
        let text = b"hello hello hello".as_slice();
        let level = flate2::Compression::default();
        let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), level);
        zlib.write_all(text).expect("memory does not fail");
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), level);
        gzip.write_all(text).expect("memory does not fail");
        let mut lz4 = lz4_flex::frame::FrameEncoder::new(Vec::new());
        lz4.write_all(text).expect("memory does not fail");
        let all = [
            zlib.finish().expect("memory does not fail"),
            gzip.finish().expect("memory does not fail"),
            lz4.finish().expect("memory does not fail"),
            zstd::encode_all(text, 0).expect("memory does not fail"),
        ];
        for body in all {
            assert_eq!(decompress(&body).as_deref(), Some(text));
        }
        assert_eq!(decompress(b"\x78nonsense"), None);
    }

    #[test]
    fn a_bomb_does_not_go_off() {
        let bomb = zstd::encode_all(std::io::repeat(0).take(64 << 20), 0).expect("memory does not fail");
        assert_eq!(decompress(&bomb), None);
    }
}
