//! Frames: the unit of the wire, in both header encodings, decoded incrementally.
//!
//! ```text
//! length 4 (of all that follows) | header kind 1, header length 3 | header | body
//! JSON header (kind 0): {"code":..,"extFields":{..},"flag":..,"language":"JAVA","opaque":..,"version":..}
//! binary header (kind 1): code 2 | language 1 | version 2 | opaque 4 | flag 4
//!                         | remark length 4, remark | fields length 4, { key length 2, key, value length 4, value }*
//! ```
//! All numbers big-endian. Facts: `RemotingCommand`, `NettyDecoder`, `RocketMQSerializable`.
//! The binary header holds codes below 32768 only. We answer in JSON whatever a request came
//! in, as the Java server does.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use smallvec::SmallVec;
use thiserror::Error;

use crate::code;
use crate::header::Fields;
use crate::limits::{FRAME_BYTES_MAX, HEADER_BYTES_MAX};

mod json_header;

/// This frame answers one of the other side.
pub const FLAG_RESPONSE: i32 = 1;
/// This request wants no answer.
pub const FLAG_ONEWAY: i32 = 2;

/// How a header is encoded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum HeaderKind {
    #[default]
    Json,
    Binary,
}

/// A request or an answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Command {
    pub code: i32,
    pub language: Language,
    pub version: i32,
    /// Pairs an answer with its request.
    pub opaque: i32,
    pub flag: i32,
    pub remark: Option<String>,
    pub fields: Fields,
    pub body: Body,
    pub header_kind: HeaderKind,
}

impl Command {
    #[must_use]
    pub fn request(code: i32, fields: Fields, body: Body) -> Self {
        Self { code, version: code::VERSION, fields, body, ..Self::default() }
    }

    #[must_use]
    pub fn response(code: i32) -> Self {
        Self { code, version: code::VERSION, flag: FLAG_RESPONSE, ..Self::default() }
    }

    #[must_use]
    pub const fn is_response(&self) -> bool {
        self.flag & FLAG_RESPONSE != 0
    }

    #[must_use]
    pub const fn is_oneway(&self) -> bool {
        self.flag & FLAG_ONEWAY != 0
    }
}

/// `LanguageCode`, by its number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Language(u8);

const LANGUAGES: [&str; 14] = [
    "JAVA", "CPP", "DOTNET", "PYTHON", "DELPHI", "ERLANG", "RUBY", "OTHER", "HTTP", "GO", "PHP", "OMS",
    "RUST", "NODE_JS",
];

impl Language {
    /// What we say of ourselves: the only name that clients of every age know.
    pub const JAVA: Self = Self(0);
    pub const CPP: Self = Self(1);
    const OTHER: Self = Self(7);

    #[must_use]
    pub fn name(self) -> &'static str {
        LANGUAGES.get(usize::from(self.0)).copied().unwrap_or("OTHER")
    }

    #[must_use]
    pub fn of_name(name: &str) -> Self {
        let found = LANGUAGES.iter().position(|known| *known == name);
        found.and_then(|n| u8::try_from(n).ok()).map_or(Self::OTHER, Self)
    }

    #[must_use]
    pub fn of_number(number: u8) -> Self {
        if usize::from(number) < LANGUAGES.len() { Self(number) } else { Self::OTHER }
    }
}

/// A body in parts, so that stored messages are written without being copied together.
#[derive(Debug, Clone, Default)]
pub struct Body(SmallVec<[Bytes; 1]>);

impl Body {
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.iter().map(Bytes::len).sum()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(Bytes::is_empty)
    }

    pub fn push(&mut self, part: Bytes) {
        if !part.is_empty() {
            self.0.push(part);
        }
    }

    /// The whole, copied only if it is in several parts.
    #[must_use]
    pub fn bytes(&self) -> Bytes {
        match self.0.as_slice() {
            [] => Bytes::new(),
            [one] => one.clone(),
            many => many.concat().into(),
        }
    }

    pub(crate) fn parts(&self) -> &[Bytes] {
        &self.0
    }

    pub(crate) fn into_parts(self) -> impl Iterator<Item = Bytes> {
        self.0.into_iter()
    }
}

impl PartialEq for Body {
    fn eq(&self, other: &Self) -> bool {
        self.bytes() == other.bytes()
    }
}

impl Eq for Body {}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        let mut body = Self::default();
        body.push(bytes);
        body
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Bytes::from(text).into()
    }
}

impl FromIterator<Bytes> for Body {
    fn from_iter<T: IntoIterator<Item = Bytes>>(parts: T) -> Self {
        let parts = parts.into_iter();
        let mut body = Self(SmallVec::with_capacity(parts.size_hint().0));
        parts.for_each(|part| body.push(part));
        body
    }
}

/// Why bytes are no frame. The connection cannot go on: its next frame's start is unknown, or
/// the other side does not speak this protocol.
#[derive(Debug, Error)]
pub enum FrameError {
    #[error("a frame of {length} bytes: allowed are 4 to {FRAME_BYTES_MAX}")]
    Length { length: u32 },
    #[error("a header of {header} bytes in a frame of {length}: allowed are {HEADER_BYTES_MAX}")]
    HeaderLength { header: usize, length: usize },
    #[error("the unknown header kind {0}")]
    HeaderKind(u8),
    #[error("a JSON header that does not parse: {0}")]
    Json(#[from] serde_json::Error),
    #[error("a binary header that ends in the middle of {0}")]
    Short(&'static str),
    #[error("a binary header whose {0} is not UTF-8")]
    Text(&'static str),
}

/// Takes one frame off the front of `buffer`, if a whole one is there.
///
/// # Errors
/// If the bytes are no frame. Lengths are checked before anything is waited for.
pub fn decode(buffer: &mut BytesMut) -> Result<Option<Command>, FrameError> {
    let Some((length, kind, header_len)) = peek(buffer)? else { return Ok(None) };
    if buffer.len() < 4 + length {
        return Ok(None);
    }
    let end = 8 + header_len;
    let header = buffer.get(8..end).unwrap_or_default();
    let mut command = match kind {
        HeaderKind::Json => json_header::decode(header)?,
        HeaderKind::Binary => decode_binary(header)?,
    };
    buffer.advance(end);
    let body = buffer.split_to(length - 4 - header_len);
    command.body = body.freeze().into();
    Ok(Some(command))
}

/// Bytes of the frame at the front, whole or not; 0 while they are not told yet.
pub(crate) fn awaited(buffer: &[u8]) -> usize {
    peek(buffer).ok().flatten().map_or(0, |(length, ..)| 4 + length)
}

/// Lengths and kind of the frame at the front, once they are there.
fn peek(buffer: &[u8]) -> Result<Option<(usize, HeaderKind, usize)>, FrameError> {
    let word = |at: usize| -> Option<[u8; 4]> { buffer.get(at..at + 4)?.try_into().ok() };
    let Some(length) = word(0).map(u32::from_be_bytes) else { return Ok(None) };
    if length < 4 || length as usize > FRAME_BYTES_MAX {
        return Err(FrameError::Length { length });
    }
    let Some([kind, a, b, c]) = word(4) else { return Ok(None) };
    let kind = match kind {
        0 => HeaderKind::Json,
        1 => HeaderKind::Binary,
        other => return Err(FrameError::HeaderKind(other)),
    };
    let header = u32::from_be_bytes([0, a, b, c]) as usize;
    let length = length as usize;
    if header > length - 4 || header > HEADER_BYTES_MAX {
        return Err(FrameError::HeaderLength { header, length });
    }
    Ok(Some((length, kind, header)))
}

fn decode_binary(mut header: &[u8]) -> Result<Command, FrameError> {
    if header.len() < 2 + 1 + 2 + 4 + 4 {
        return Err(FrameError::Short("fixed part"));
    }
    let mut command = Command {
        code: i32::from(header.get_i16()),
        language: Language::of_number(header.get_u8()),
        version: i32::from(header.get_i16()),
        opaque: header.get_i32(),
        flag: header.get_i32(),
        header_kind: HeaderKind::Binary,
        ..Command::default()
    };
    let remark = take(&mut header, 4, "remark")?;
    if !remark.is_empty() {
        command.remark = Some(text(remark, "remark")?.to_owned());
    }
    let mut fields = take(&mut header, 4, "fields")?;
    while !fields.is_empty() {
        let key = text(take(&mut fields, 2, "key")?, "key")?;
        let value = text(take(&mut fields, 4, "value")?, "value")?;
        command.fields.push_text(key, value);
    }
    Ok(command)
}

/// A part that its own length (of `width` bytes) stands before.
fn take<'a>(from: &mut &'a [u8], width: usize, what: &'static str) -> Result<&'a [u8], FrameError> {
    let short = FrameError::Short(what);
    let Some((length, rest)) = from.split_at_checked(width) else { return Err(short) };
    let length = length.iter().fold(0_usize, |n, byte| n << 8 | usize::from(*byte));
    let Some((part, rest)) = rest.split_at_checked(length) else { return Err(short) };
    *from = rest;
    Ok(part)
}

fn text<'a>(bytes: &'a [u8], what: &'static str) -> Result<&'a str, FrameError> {
    std::str::from_utf8(bytes).map_err(|_| FrameError::Text(what))
}

/// Appends a frame without its body, whose parts must follow.
pub fn encode_head(command: &Command, out: &mut Vec<u8>) {
    let start = out.len();
    // Most headers have no more than this around their fields.
    out.reserve(192 + command.fields.bytes());
    out.put_u64(0);
    match command.header_kind {
        HeaderKind::Json => json_header::encode(command, out),
        HeaderKind::Binary => encode_binary(command, out),
    }
    let header = out.len() - start - 8;
    let length = u32::try_from(4 + header + command.body.len()).expect("frames are below 4 GiB");
    let kind: u32 = if command.header_kind == HeaderKind::Json { 0 } else { 1 };
    let header = u32::try_from(header).expect("headers are below 16 MiB") & 0x00FF_FFFF;
    let prefix = u64::from(length) << 32 | u64::from(kind << 24 | header);
    if let Some(place) = out.get_mut(start..start + 8) {
        place.copy_from_slice(&prefix.to_be_bytes());
    }
}

/// Appends a whole frame.
pub fn encode(command: &Command, out: &mut BytesMut) {
    let mut head = Vec::new();
    encode_head(command, &mut head);
    out.put_slice(&head);
    for part in &command.body.0 {
        out.put_slice(part);
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "lengths are far below 2^31; codes are the caller's business"
)]
fn encode_binary(command: &Command, out: &mut Vec<u8>) {
    out.put_i16(command.code as i16);
    out.put_u8(command.language.0);
    out.put_i16(command.version as i16);
    out.put_i32(command.opaque);
    out.put_i32(command.flag);
    let remark = command.remark.as_deref().unwrap_or_default();
    out.put_u32(remark.len() as u32);
    out.put_slice(remark.as_bytes());
    let fields: usize = command.fields.iter().map(|(k, v)| 2 + k.len() + 4 + v.len()).sum();
    out.put_u32(fields as u32);
    for (key, value) in command.fields.iter() {
        out.put_u16(key.len() as u16);
        out.put_slice(key.as_bytes());
        out.put_u32(value.len() as u32);
        out.put_slice(value.as_bytes());
    }
}

/// Entry for fuzzing: decodes as a connection does, and encodes again what it finds.
pub fn fuzz_frame(data: &[u8]) {
    let mut buffer = BytesMut::from(data);
    while let Ok(Some(command)) = decode(&mut buffer) {
        let mut out = BytesMut::new();
        encode(&command, &mut out);
        let again = decode(&mut out);
        assert!(matches!(again, Ok(Some(ref same)) if *same == command), "{command:?} became {again:?}");
    }
}

#[cfg(test)]
mod tests;
