//! Compressed bodies, for clients that do not open them.
//!
//! A 4.x producer compresses what is larger than 4 KiB, with zlib, and the 5.x protocol calls that
//! GZIP. Java, Go, Python, C++ and C# clients look at the first bytes and open either; the Node
//! client opens gzip alone and fails on zlib, and the Rust client opens nothing. LZ4 and Zstandard,
//! which a newer 4.x producer may choose, have no name in the 5.x protocol: they are opened for all.

use base::{Compression, inflate};
use bytes::Bytes;
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
    let kind = system_flags & flags::COMPRESSION_TYPE_MASK;
    if bodies == Bodies::AsStored && !matches!(kind, LZ4 | ZSTD) {
        return (body, true);
    }
    match open(&body, kind) {
        Some(opened) => (opened, false),
        None => (body, true),
    }
}

/// `None`: it is no such stream, or larger inside than any message may be.
fn open(body: &[u8], kind: i32) -> Option<Bytes> {
    let is_told = match kind {
        LZ4 => Compression::of(body) == Compression::Lz4,
        ZSTD => Compression::of(body) == Compression::Zstd,
        _ => matches!(Compression::of(body), Compression::Gzip | Compression::Zlib),
    };
    if is_told { inflate(body, BODY_BYTES_MAX) } else { None }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::write::{GzEncoder, ZlibEncoder};

    use super::*;

    fn zlib(body: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(body).expect("in memory");
        encoder.finish().expect("in memory")
    }

    fn lz4(body: &[u8]) -> Vec<u8> {
        let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
        encoder.write_all(body).expect("in memory");
        encoder.finish().expect("in memory")
    }

    #[test]
    fn lz4_and_zstandard_are_opened() {
        let zstd = zstd::encode_all(&b"hello"[..], 0).expect("in memory");
        for (kind, body) in [(LZ4, lz4(b"hello")), (ZSTD, zstd)] {
            assert_eq!(open(&body, kind), Some(Bytes::from_static(b"hello")));
            assert_eq!(open(&body, kind ^ LZ4 ^ ZSTD), None, "another kind than the flags say");
            assert_eq!(open(&body[..body.len() / 2], kind), None, "half of it");
        }
    }

    #[test]
    fn zlib_and_gzip_are_opened() {
        let mut gzip = GzEncoder::new(Vec::new(), flate2::Compression::default());
        gzip.write_all(b"hello").expect("in memory");
        assert_eq!(open(&gzip.finish().expect("in memory"), 0), Some(Bytes::from_static(b"hello")));
        assert_eq!(open(&zlib(b"hello"), 0), Some(Bytes::from_static(b"hello")));
        for kind in [0, LZ4, ZSTD] {
            assert_eq!(open(b"hello", kind), None);
        }
        assert_eq!(open(b"", 0), None);
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
        assert!(open(&zlib(&vec![0; BODY_BYTES_MAX]), 0).is_some());
        let bomb = vec![0; BODY_BYTES_MAX + 1];
        assert_eq!(open(&zlib(&bomb), 0), None);
        assert_eq!(open(&lz4(&bomb), LZ4), None);
        assert_eq!(open(&zstd::encode_all(&bomb[..], 0).expect("in memory"), ZSTD), None);
    }
}
