//! Compressed bodies, for clients that do not open them.
//!
//! A 4.x producer compresses what is larger than 4 KiB, with zlib, and the 5.x protocol calls that
//! GZIP. Java, Go, Python, C++ and C# clients look at the first bytes and open either; the Node
//! client opens gzip alone and fails on zlib, and the Rust client opens nothing.

use std::io::Read;

use bytes::Bytes;
use flate2::read::{GzDecoder, ZlibDecoder};
use model::StoredMessage;
use model::limits::BODY_BYTES_MAX;
use model::message::flags;

const LZ4: i32 = 0x100;
const ZSTD: i32 = 0x200;

/// How a client takes compressed bodies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bodies {
    AsStored,
    Opened,
}

impl Bodies {
    /// By the language that the client says it is written in.
    pub(crate) fn of_language(language: &str) -> Self {
        match language {
            // The Node client calls itself HTTP.
            "HTTP" | "NODE_JS" | "RUST" => Self::Opened,
            _ => Self::AsStored,
        }
    }
}

/// The body as the client is to get it, and whether it is (still) compressed.
pub(crate) fn body(stored: &StoredMessage, bodies: Bodies) -> (Bytes, bool) {
    let body = stored.body();
    let system_flags = stored.system_flags();
    if system_flags & flags::COMPRESSED == 0 {
        return (body, false);
    }
    let other = matches!(system_flags & flags::COMPRESSION_TYPE_MASK, LZ4 | ZSTD);
    if bodies == Bodies::AsStored || other {
        return (body, true);
    }
    match open(&body) {
        Some(opened) => (opened, false),
        None => (body, true),
    }
}

/// `None`: it is no such stream, or larger inside than any message may be.
fn open(body: &[u8]) -> Option<Bytes> {
    let most = BODY_BYTES_MAX as u64 + 1;
    let mut opened = Vec::new();
    let read = match body {
        [0x1F, 0x8B, ..] => GzDecoder::new(body).take(most).read_to_end(&mut opened),
        _ => ZlibDecoder::new(body).take(most).read_to_end(&mut opened),
    };
    (read.is_ok() && opened.len() <= BODY_BYTES_MAX).then(|| opened.into())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::{GzEncoder, ZlibEncoder};

    use super::*;

    fn zlib(body: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(body).expect("in memory");
        encoder.finish().expect("in memory")
    }

    #[test]
    fn zlib_and_gzip_are_opened() {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        gzip.write_all(b"hello").expect("in memory");
        assert_eq!(open(&gzip.finish().expect("in memory")), Some(Bytes::from_static(b"hello")));
        assert_eq!(open(&zlib(b"hello")), Some(Bytes::from_static(b"hello")));
        assert_eq!(open(b"hello"), None);
        assert_eq!(open(b""), None);
    }

    #[test]
    fn only_those_get_opened_bodies_that_cannot_open_them() {
        assert_eq!(Bodies::of_language("JAVA"), Bodies::AsStored);
        assert_eq!(Bodies::of_language("GO"), Bodies::AsStored);
        assert_eq!(Bodies::of_language("HTTP"), Bodies::Opened);
        assert_eq!(Bodies::of_language("RUST"), Bodies::Opened);
    }

    #[test]
    fn a_bomb_is_left_closed() {
        assert!(open(&zlib(&vec![0; BODY_BYTES_MAX])).is_some());
        assert_eq!(open(&zlib(&vec![0; BODY_BYTES_MAX + 1])), None);
    }
}
