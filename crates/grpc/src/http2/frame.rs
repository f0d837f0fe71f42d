//! Frames of HTTP/2.
//!
//! ```text
//! length u24 | kind u8 | flags u8 | stream u31 | payload
//! ```

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

use crate::http2::Fault;

pub(crate) const HEAD_BYTES: usize = 9;
/// The largest payload that we take, and the largest that we send: what everybody takes.
pub(crate) const PAYLOAD_BYTES_MAX: usize = 16 * 1024;
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(crate) mod kind {
    pub(crate) const DATA: u8 = 0;
    pub(crate) const HEADERS: u8 = 1;
    pub(crate) const PRIORITY: u8 = 2;
    pub(crate) const RST_STREAM: u8 = 3;
    pub(crate) const SETTINGS: u8 = 4;
    pub(crate) const PUSH_PROMISE: u8 = 5;
    pub(crate) const PING: u8 = 6;
    pub(crate) const GOAWAY: u8 = 7;
    pub(crate) const WINDOW_UPDATE: u8 = 8;
    pub(crate) const CONTINUATION: u8 = 9;
}

pub(crate) mod flag {
    pub(crate) const ACK: u8 = 0x1;
    pub(crate) const END_STREAM: u8 = 0x1;
    pub(crate) const END_HEADERS: u8 = 0x4;
    pub(crate) const PADDED: u8 = 0x8;
    pub(crate) const PRIORITY: u8 = 0x20;
}

pub(crate) mod setting {
    pub(crate) const ENABLE_PUSH: u16 = 2;
    pub(crate) const STREAMS_MAX: u16 = 3;
    pub(crate) const WINDOW_BYTES: u16 = 4;
    pub(crate) const FRAME_BYTES: u16 = 5;
    pub(crate) const HEADER_BYTES: u16 = 6;
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Bytes,
}

impl Frame {
    pub(crate) const fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// The payload without padding and, in headers, without a priority.
    pub(crate) fn content(mut self) -> Result<Bytes, Fault> {
        let mut padding = 0;
        if self.has(flag::PADDED) {
            padding = usize::from(self.payload.try_get_u8().map_err(|_| Fault::PROTOCOL)?);
        }
        if self.kind == kind::HEADERS && self.has(flag::PRIORITY) {
            if self.payload.len() < 5 {
                return Err(Fault::PROTOCOL);
            }
            self.payload.advance(5);
        }
        let content = self.payload.len().checked_sub(padding).ok_or(Fault::PROTOCOL)?;
        self.payload.truncate(content);
        Ok(self.payload)
    }
}

/// Takes a frame off `inbox`, if it is all there.
pub(crate) fn take(inbox: &mut BytesMut) -> Result<Option<Frame>, Fault> {
    let Some((&[a, b, c, kind, flags, d, e, f, g], _)) = inbox.split_first_chunk::<HEAD_BYTES>() else {
        return Ok(None);
    };
    let length = u32::from_be_bytes([0, a, b, c]) as usize;
    if length > PAYLOAD_BYTES_MAX {
        return Err(Fault::FRAME_SIZE);
    }
    if inbox.len() < HEAD_BYTES + length {
        return Ok(None);
    }
    inbox.advance(HEAD_BYTES);
    let payload = if length == 0 { Bytes::new() } else { inbox.split_to(length).freeze() };
    let stream = u32::from_be_bytes([d, e, f, g]) & 0x7FFF_FFFF;
    Ok(Some(Frame { kind, flags, stream, payload }))
}

/// Appends a frame's head. The payload is one of ours and fits.
pub(crate) fn put_head(out: &mut BytesMut, payload_bytes: usize, kind: u8, flags: u8, stream: u32) {
    let length = u32::try_from(payload_bytes).unwrap_or(u32::MAX);
    out.put_uint(u64::from(length), 3);
    out.put_u8(kind);
    out.put_u8(flags);
    out.put_u32(stream);
}

pub(crate) fn put(out: &mut BytesMut, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    put_head(out, payload.len(), kind, flags, stream);
    out.put_slice(payload);
}

pub(crate) fn put_window_update(out: &mut BytesMut, stream: u32, bytes: u32) {
    put(out, kind::WINDOW_UPDATE, 0, stream, &bytes.to_be_bytes());
}

pub(crate) fn put_reset(out: &mut BytesMut, stream: u32, why: Fault) {
    put(out, kind::RST_STREAM, 0, stream, &why.0.to_be_bytes());
}

pub(crate) fn put_go_away(out: &mut BytesMut, last_stream: u32, why: Fault) {
    put_head(out, 8, kind::GOAWAY, 0, 0);
    out.put_u32(last_stream);
    out.put_u32(why.0);
}
