//! How a message stands in a record: the layout that pull, pop and query answers of the 4.x
//! protocol carry, so that reading needs no re-encoding.
//!
//! All numbers big-endian (RocketMQ `MessageDecoder`, `MessageExtEncoder`):
//!
//! ```text
//! 0  total length 4 | 4 magic 4 | 8 body crc 4 | 12 queue id 4 | 16 flag 4 | 20 queue offset 8
//! 28 position 8 | 36 system flags 4 | 40 born ms 8 | 48 born host 8 or 20 | store ms 8
//! | store host 8 or 20 | reconsume times 4 | prepared position 8 | body length 4, body
//! | topic length 1 (magic 1) or 2 (magic 2), topic | properties length 2, properties
//! ```
//! A host is 4 or 16 address bytes and a 4 byte port; its length is told by the system flags.
//! Body crc is CRC-32 with the sign bit cleared.

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use thiserror::Error;

use crate::ids::{Lsn, Offset, QueueId};
use crate::limits::{BODY_BYTES_MAX, PROPERTIES_BYTES_MAX};
use crate::message::{NewMessage, flags};
use crate::properties;

/// Topic length in one byte.
pub const MAGIC_V1: i32 = -626_843_481;
/// Topic length in two bytes.
pub const MAGIC_V2: i32 = -626_843_477;

const QUEUE_ID_AT: usize = 12;
const QUEUE_OFFSET_AT: usize = 20;
const POSITION_AT: usize = 28;
const SYSTEM_FLAGS_AT: usize = 36;
const BORN_HOST_AT: usize = 48;
/// Everything but hosts, body, topic and properties.
const FIXED_BYTES: usize = 4 + 4 + 4 + 4 + 4 + 8 + 8 + 4 + 8 + 8 + 4 + 8 + 4 + 2;

/// Why bytes are no message.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RecordError {
    #[error("the record ends after {len} bytes, in the middle of {field}")]
    Short { field: &'static str, len: usize },
    #[error("the record starts with the unknown magic {0}")]
    Magic(i32),
    #[error("the record says that it is {said} bytes long, but is {len}")]
    Length { said: usize, len: usize },
    #[error("the field {0} is out of range")]
    Range(&'static str),
    #[error("the field {0} is not UTF-8")]
    Text(&'static str),
}

/// What the sequencer adds to a message.
#[derive(Debug, Clone, Copy)]
pub struct Placement<'a> {
    pub topic: &'a str,
    pub queue: QueueId,
    pub offset: Offset,
    pub lsn: Lsn,
    pub stored_ms: i64,
    pub store_host: SocketAddr,
    /// Position of the half message that this one commits, else 0.
    pub prepared: Lsn,
}

fn host_bytes(host: SocketAddr) -> usize {
    if host.is_ipv4() { 8 } else { 20 }
}

fn put_host(out: &mut Vec<u8>, host: SocketAddr) {
    match host.ip() {
        IpAddr::V4(ip) => out.extend_from_slice(&ip.octets()),
        IpAddr::V6(ip) => out.extend_from_slice(&ip.octets()),
    }
    out.extend_from_slice(&u32::from(host.port()).to_be_bytes());
}

/// An address as records carry it: IPv4 where it is one in disguise.
#[must_use]
pub fn canonical(host: SocketAddr) -> SocketAddr {
    SocketAddr::new(host.ip().to_canonical(), host.port())
}

/// Bytes that [`encode`] will write.
#[must_use]
pub fn encoded_len(message: &NewMessage, topic: &str, store_host: SocketAddr) -> usize {
    let topic_len_bytes = if topic.len() <= 127 { 1 } else { 2 };
    FIXED_BYTES
        + topic_len_bytes
        + host_bytes(canonical(message.born_host))
        + host_bytes(canonical(store_host))
        + message.body.len()
        + topic.len()
        + message.properties.as_encoded().len()
}

/// Appends a message to `out`. Sizes must have been checked before: body, topic and properties
/// within their limits.
#[expect(clippy::cast_possible_truncation, reason = "sizes are below their limits, which fit")]
#[expect(clippy::cast_possible_wrap, reason = "sizes are below their limits, which fit")]
pub fn encode(out: &mut Vec<u8>, message: &NewMessage, place: &Placement<'_>) {
    let born_host = canonical(message.born_host);
    let store_host = canonical(place.store_host);
    let wide_topic = place.topic.len() > 127;
    let mut system_flags = message.system_flags & !(flags::BORN_HOST_V6 | flags::STORE_HOST_V6);
    if born_host.is_ipv6() {
        system_flags |= flags::BORN_HOST_V6;
    }
    if store_host.is_ipv6() {
        system_flags |= flags::STORE_HOST_V6;
    }
    let total = encoded_len(message, place.topic, place.store_host);
    out.reserve(total);
    out.extend_from_slice(&(total as i32).to_be_bytes());
    out.extend_from_slice(&(if wide_topic { MAGIC_V2 } else { MAGIC_V1 }).to_be_bytes());
    out.extend_from_slice(&body_crc(&message.body).to_be_bytes());
    out.extend_from_slice(&place.queue.get().to_be_bytes());
    out.extend_from_slice(&message.flag.to_be_bytes());
    out.extend_from_slice(&place.offset.get().to_be_bytes());
    out.extend_from_slice(&place.lsn.get().to_be_bytes());
    out.extend_from_slice(&system_flags.to_be_bytes());
    out.extend_from_slice(&message.born_ms.to_be_bytes());
    put_host(out, born_host);
    out.extend_from_slice(&place.stored_ms.to_be_bytes());
    put_host(out, store_host);
    out.extend_from_slice(&message.reconsume_times.to_be_bytes());
    out.extend_from_slice(&place.prepared.get().to_be_bytes());
    out.extend_from_slice(&(message.body.len() as i32).to_be_bytes());
    out.extend_from_slice(&message.body);
    if wide_topic {
        out.extend_from_slice(&(place.topic.len() as i16).to_be_bytes());
    } else {
        out.push(place.topic.len() as u8);
    }
    out.extend_from_slice(place.topic.as_bytes());
    let encoded = message.properties.as_encoded();
    out.extend_from_slice(&(encoded.len() as i16).to_be_bytes());
    out.extend_from_slice(encoded.as_bytes());
}

/// Bytes of the part that [`Stamp::put`] may touch: a record is at least this long.
const STAMPED_BYTES: usize = BORN_HOST_AT + 8 + 8;

/// What is known only when a record is placed: written over the zeros of an encoded message.
#[derive(Debug, Clone, Copy)]
pub struct Stamp {
    pub offset: Offset,
    pub lsn: Lsn,
    pub stored_ms: i64,
}

impl Stamp {
    /// Stamps an encoded record in place.
    ///
    /// # Errors
    /// If `record` is too short to be one.
    pub fn put(&self, record: &mut [u8]) -> Result<(), RecordError> {
        let len = record.len();
        let short = RecordError::Short { field: "header", len };
        if len < STAMPED_BYTES {
            return Err(short);
        }
        let v6 =
            record.get(SYSTEM_FLAGS_AT + 3).is_some_and(|flags| i32::from(*flags) & flags::BORN_HOST_V6 != 0);
        let stored_at = BORN_HOST_AT + if v6 { 20 } else { 8 };
        let mut write = |at: usize, bytes: [u8; 8]| match record.get_mut(at..at + 8) {
            Some(place) => {
                place.copy_from_slice(&bytes);
                Ok(())
            }
            None => Err(short.clone()),
        };
        write(QUEUE_OFFSET_AT, self.offset.get().to_be_bytes())?;
        write(POSITION_AT, self.lsn.get().to_be_bytes())?;
        write(stored_at, self.stored_ms.to_be_bytes())
    }
}

/// CRC-32 of a body as RocketMQ clients check it: sign bit cleared.
#[must_use]
pub fn body_crc(body: &[u8]) -> u32 {
    crc32fast::hash(body) & 0x7FFF_FFFF
}

/// A message as it stands in the log, decoded lazily. Cheap to clone.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredMessage {
    bytes: Bytes,
    layout: Layout,
}

/// Where the parts of variable length stand.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Layout {
    stored_ms_at: u32,
    body_at: u32,
    body_len: u32,
    topic_at: u32,
    topic_len: u32,
    properties_at: u32,
    properties_len: u32,
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    fn skip(&mut self, n: usize, field: &'static str) -> Result<usize, RecordError> {
        let from = self.at;
        let to = from.checked_add(n).filter(|to| *to <= self.bytes.len());
        self.at = to.ok_or(RecordError::Short { field, len: self.bytes.len() })?;
        Ok(from)
    }

    fn uint(&mut self, n: usize, field: &'static str) -> Result<u64, RecordError> {
        let from = self.skip(n, field)?;
        let part = self.bytes.get(from..from + n).unwrap_or_default();
        Ok(part.iter().fold(0, |acc, b| acc << 8 | u64::from(*b)))
    }
}

/// The encoded properties of one record that fills `bytes` exactly; `None` if it is damaged. For who asks many
/// records, most of which it does not take.
#[must_use]
pub fn properties_in(bytes: &[u8]) -> Option<&str> {
    let layout = Layout::of(bytes).ok()?;
    text_in(bytes, layout.properties_at, layout.properties_len)
}

fn text_in(bytes: &[u8], at: u32, len: u32) -> Option<&str> {
    let part = bytes.get(at as usize..)?.get(..len as usize)?;
    std::str::from_utf8(part).ok()
}

#[expect(clippy::cast_possible_truncation, reason = "record sizes are checked to be below 2^31")]
impl Layout {
    /// Where the parts of a record stand that fills `bytes` exactly. Whether its texts are UTF-8 is not looked at.
    fn of(bytes: &[u8]) -> Result<Self, RecordError> {
        let mut cursor = Cursor { bytes, at: 0 };
        let said = cursor.uint(4, "length")? as usize;
        if said != bytes.len() {
            return Err(RecordError::Length { said, len: bytes.len() });
        }
        let magic = cursor.uint(4, "magic")? as u32 as i32;
        let topic_len_bytes = match magic {
            MAGIC_V1 => 1,
            MAGIC_V2 => 2,
            other => return Err(RecordError::Magic(other)),
        };
        cursor.skip(SYSTEM_FLAGS_AT - cursor.at, "header")?;
        let system_flags = cursor.uint(4, "system flags")? as u32 as i32;
        let v6 = |bit: i32| if system_flags & bit == 0 { 8 } else { 20 };
        cursor.skip(8 + v6(flags::BORN_HOST_V6), "born host")?;
        let stored_ms_at = cursor.skip(8, "store time")?;
        cursor.skip(v6(flags::STORE_HOST_V6) + 4 + 8, "store host")?;
        let body_len = cursor.uint(4, "body length")? as usize;
        if body_len > BODY_BYTES_MAX + 64 * 1024 {
            return Err(RecordError::Range("body length"));
        }
        let body_at = cursor.skip(body_len, "body")?;
        let topic_len = cursor.uint(topic_len_bytes, "topic length")? as usize;
        let topic_at = cursor.skip(topic_len, "topic")?;
        let properties_len = cursor.uint(2, "properties length")? as usize;
        if properties_len > PROPERTIES_BYTES_MAX {
            return Err(RecordError::Range("properties length"));
        }
        let properties_at = cursor.skip(properties_len, "properties")?;
        if cursor.at != bytes.len() {
            return Err(RecordError::Length { said: cursor.at, len: bytes.len() });
        }
        Ok(Self {
            stored_ms_at: stored_ms_at as u32,
            body_at: body_at as u32,
            body_len: body_len as u32,
            topic_at: topic_at as u32,
            topic_len: topic_len as u32,
            properties_at: properties_at as u32,
            properties_len: properties_len as u32,
        })
    }
}

#[expect(clippy::cast_possible_truncation, reason = "record sizes are checked to be below 2^31")]
impl StoredMessage {
    /// Reads the layout of one record that fills `bytes` exactly.
    ///
    /// # Errors
    /// If the bytes are not one whole record with a UTF-8 topic and properties.
    pub fn parse(bytes: Bytes) -> Result<Self, RecordError> {
        let layout = Layout::of(&bytes)?;
        text_in(&bytes, layout.topic_at, layout.topic_len).ok_or(RecordError::Text("topic"))?;
        text_in(&bytes, layout.properties_at, layout.properties_len)
            .ok_or(RecordError::Text("properties"))?;
        Ok(Self { bytes, layout })
    }

    /// The whole record, as answers of the 4.x protocol carry it.
    #[must_use]
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    fn be(&self, at: usize, n: usize) -> u64 {
        let part = self.bytes.get(at..at + n).unwrap_or_default();
        part.iter().fold(0, |acc, b| acc << 8 | u64::from(*b))
    }

    fn text(&self, at: u32, len: u32) -> &str {
        text_in(&self.bytes, at, len).unwrap_or_default()
    }

    fn host(&self, at: usize, v6: bool) -> SocketAddr {
        let part = |n: usize| self.bytes.get(at..at + n).unwrap_or_default();
        let ip: IpAddr = if v6 {
            <[u8; 16]>::try_from(part(16)).unwrap_or_default().into()
        } else {
            <[u8; 4]>::try_from(part(4)).unwrap_or_default().into()
        };
        let port = self.be(at + if v6 { 16 } else { 4 }, 4) as u16;
        SocketAddr::new(ip, port)
    }

    #[must_use]
    pub fn body_crc(&self) -> u32 {
        self.be(8, 4) as u32
    }

    #[must_use]
    pub fn queue(&self) -> QueueId {
        QueueId(self.be(QUEUE_ID_AT, 4) as u32)
    }

    #[must_use]
    pub fn flag(&self) -> i32 {
        self.be(16, 4) as u32 as i32
    }

    #[must_use]
    pub fn offset(&self) -> Offset {
        Offset(self.be(QUEUE_OFFSET_AT, 8))
    }

    #[must_use]
    pub fn lsn(&self) -> Lsn {
        Lsn(self.be(POSITION_AT, 8))
    }

    #[must_use]
    pub fn system_flags(&self) -> i32 {
        self.be(SYSTEM_FLAGS_AT, 4) as u32 as i32
    }

    #[must_use]
    pub fn born_ms(&self) -> i64 {
        self.be(40, 8) as i64
    }

    #[must_use]
    pub fn born_host(&self) -> SocketAddr {
        self.host(BORN_HOST_AT, self.system_flags() & flags::BORN_HOST_V6 != 0)
    }

    #[must_use]
    pub fn stored_ms(&self) -> i64 {
        self.be(self.layout.stored_ms_at as usize, 8) as i64
    }

    #[must_use]
    pub fn store_host(&self) -> SocketAddr {
        self.host(self.layout.stored_ms_at as usize + 8, self.system_flags() & flags::STORE_HOST_V6 != 0)
    }

    fn reconsume_times_at(&self) -> usize {
        self.layout.body_at as usize - 4 - 8 - 4
    }

    #[must_use]
    pub fn reconsume_times(&self) -> u32 {
        self.be(self.reconsume_times_at(), 4) as u32
    }

    #[must_use]
    pub fn prepared(&self) -> Lsn {
        Lsn(self.be(self.reconsume_times_at() + 4, 8))
    }

    /// The body, sharing the record's memory.
    #[must_use]
    pub fn body(&self) -> Bytes {
        let from = self.layout.body_at as usize;
        self.bytes.slice(from..from + self.layout.body_len as usize)
    }

    #[must_use]
    pub fn topic(&self) -> &str {
        self.text(self.layout.topic_at, self.layout.topic_len)
    }

    /// Encoded properties, see [`properties`].
    #[must_use]
    pub fn properties(&self) -> &str {
        self.text(self.layout.properties_at, self.layout.properties_len)
    }

    #[must_use]
    pub fn property(&self, key: &str) -> Option<&str> {
        properties::get(self.properties(), key)
    }

    /// The message as a producer would hand it in again.
    #[must_use]
    pub fn to_new(&self) -> NewMessage {
        NewMessage {
            body: self.body(),
            properties: properties::Properties::from_encoded(self.properties().to_owned()),
            flag: self.flag(),
            system_flags: self.system_flags(),
            born_ms: self.born_ms(),
            born_host: self.born_host(),
            reconsume_times: self.reconsume_times(),
        }
    }

    /// Where the message stands, to encode it again with changes.
    #[must_use]
    pub fn placement(&self) -> Placement<'_> {
        Placement {
            topic: self.topic(),
            queue: self.queue(),
            offset: self.offset(),
            lsn: self.lsn(),
            stored_ms: self.stored_ms(),
            store_host: self.store_host(),
            prepared: self.prepared(),
        }
    }

    /// The same message with another number of earlier deliveries.
    #[must_use]
    pub fn with_reconsume_times(&self, times: u32) -> Self {
        let mut bytes = self.bytes.to_vec();
        let at = self.reconsume_times_at();
        if let Some(place) = bytes.get_mut(at..at + 4) {
            place.copy_from_slice(&times.to_be_bytes());
        }
        Self { bytes: bytes.into(), layout: self.layout }
    }

    /// The 4.x message id: store host and position in upper case hex.
    #[must_use]
    pub fn offset_id(&self) -> String {
        offset_id(self.store_host(), self.lsn())
    }
}

impl std::fmt::Debug for StoredMessage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}@{} (position {})", self.topic(), self.queue(), self.offset(), self.lsn())
    }
}

/// The 4.x message id of the message at `lsn`: host, port and position in upper case hex.
#[must_use]
pub fn offset_id(store_host: SocketAddr, lsn: Lsn) -> String {
    let mut text = String::with_capacity(56);
    push_offset_id(&mut text, store_host, lsn);
    text
}

/// Appends what [`offset_id`] gives.
pub fn push_offset_id(text: &mut String, store_host: SocketAddr, lsn: Lsn) {
    let host = canonical(store_host);
    match host.ip() {
        IpAddr::V4(ip) => push_hex(text, ip.octets()),
        IpAddr::V6(ip) => push_hex(text, ip.octets()),
    }
    push_hex(text, u32::from(host.port()).to_be_bytes());
    push_hex(text, lsn.get().to_be_bytes());
}

/// Upper case; made for every message that is sent.
fn push_hex<const N: usize>(text: &mut String, bytes: [u8; N]) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let pairs = bytes.map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 0xF)]]);
    text.push_str(std::str::from_utf8(pairs.as_flattened()).unwrap_or_default());
}

/// The position in a 4.x message id.
///
/// # Errors
/// If the text is not 32 or 56 hex digits.
pub fn position_of_offset_id(id: &str) -> Result<Lsn, RecordError> {
    let legal = matches!(id.len(), 32 | 56) && id.bytes().all(|b| b.is_ascii_hexdigit());
    let tail =
        id.get(id.len().saturating_sub(16)..).filter(|_| legal).ok_or(RecordError::Range("message id"))?;
    u64::from_str_radix(tail, 16).map(Lsn).map_err(|_| RecordError::Range("message id"))
}

#[cfg(test)]
mod tests;
