//! Bytes that somebody compressed, made readable: what clients do to bodies.

use std::io::Read;

use bytes::Bytes;

/// With what bytes were compressed, as their beginning tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    Gzip,
    Lz4,
    Zstd,
    /// Or nothing that is known here: zlib has no mark of its own.
    Zlib,
}

impl Compression {
    #[must_use]
    pub const fn of(bytes: &[u8]) -> Self {
        match bytes {
            [0x1F, 0x8B, ..] => Self::Gzip,
            [0x04, 0x22, 0x4D, 0x18, ..] => Self::Lz4,
            [0x28, 0xB5, 0x2F, 0xFD, ..] => Self::Zstd,
            _ => Self::Zlib,
        }
    }
}

/// What was compressed; none if that is more than `bytes_max`, or was not compressed in a way known here, or
/// is not whole. Told by the first bytes, not by flags: clients of different ages set those differently.
#[must_use]
pub fn inflate(bytes: &[u8], bytes_max: usize) -> Option<Bytes> {
    let read = |from| read(from, bytes_max);
    match Compression::of(bytes) {
        Compression::Gzip => read(&mut flate2::read::MultiGzDecoder::new(bytes)),
        Compression::Zstd => read(&mut zstd::Decoder::new(bytes).ok()?),
        Compression::Lz4 if !ends_as_lz4(bytes) => None,
        Compression::Lz4 => read(&mut lz4_flex::frame::FrameDecoder::new(bytes)),
        Compression::Zlib => read(&mut flate2::read::ZlibDecoder::new(bytes)),
    }
}

/// The decoder takes an end in the middle for an end: a whole frame has a mark there, and a
/// checksum behind it if its flags say so.
fn ends_as_lz4(bytes: &[u8]) -> bool {
    const HAS_CHECKSUM: u8 = 0x04;
    let checksum = if bytes.get(4).is_some_and(|flags| flags & HAS_CHECKSUM != 0) { 4 } else { 0 };
    bytes.get(..bytes.len().saturating_sub(checksum)).is_some_and(|frame| frame.ends_with(&[0; 4]))
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
