//! Bytes that somebody compressed, made readable: what clients do to bodies.

use std::io::Read;

use bytes::Bytes;

/// What was compressed; none if that is more than `bytes_max`, or was not compressed in a way known here.
/// Told by the first bytes, not by flags: clients of different ages set those differently.
#[must_use]
pub fn inflate(bytes: &[u8], bytes_max: usize) -> Option<Bytes> {
    let read = |from| read(from, bytes_max);
    match bytes {
        [0x1F, 0x8B, ..] => read(&mut flate2::read::MultiGzDecoder::new(bytes)),
        [0x28, 0xB5, 0x2F, 0xFD, ..] => read(&mut zstd::Decoder::new(bytes).ok()?),
        [0x04, 0x22, 0x4D, 0x18, ..] => read(&mut lz4_flex::frame::FrameDecoder::new(bytes)),
        [0x78, ..] => read(&mut flate2::read::ZlibDecoder::new(bytes)),
        _ => None,
    }
}

fn read(from: &mut dyn Read, bytes_max: usize) -> Option<Bytes> {
    let mut out = Vec::new();
    let read = from.take(bytes_max as u64 + 1).read_to_end(&mut out).ok()?;
    (read <= bytes_max).then(|| out.into())
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
            assert_eq!(inflate(&body, 1 << 20).as_deref(), Some(text));
        }
        assert_eq!(inflate(b"\x78nonsense", 1 << 20), None);
    }

    #[test]
    fn a_bomb_does_not_go_off() {
        let bomb = zstd::encode_all(std::io::repeat(0).take(64 << 20), 0).expect("memory does not fail");
        assert_eq!(inflate(&bomb, 16 << 20), None);
    }
}
