//! Headers of requests (RFC 7541), decoding only: what we send needs no table.
//!
//! Of all headers those of [`Field`] are kept. Others count for the table and the limits, but are
//! not stored. Whatever one request says is copied out of the read buffer, which is not to be held
//! by a table.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::http2::{Fault, huffman};
use crate::limits::HEADER_BYTES_MAX;

/// Bytes of the table that clients may fill: the default of the standard.
const TABLE_BYTES: usize = 4_096;
/// What an entry costs besides its strings.
const ENTRY_BYTES: usize = 32;

/// A header that matters to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field {
    Method,
    Path,
    Authority,
    ContentType,
    GrpcEncoding,
    GrpcTimeout,
    ClientId,
    Language,
    ClientVersion,
    Authorization,
    DateTime,
}

const FIELDS: usize = Field::DateTime as usize + 1;

impl Field {
    fn of(name: &[u8]) -> Option<Self> {
        Some(match name {
            b":method" => Self::Method,
            b":path" => Self::Path,
            b":authority" => Self::Authority,
            b"content-type" => Self::ContentType,
            b"grpc-encoding" => Self::GrpcEncoding,
            b"grpc-timeout" => Self::GrpcTimeout,
            b"x-mq-client-id" => Self::ClientId,
            b"x-mq-language" => Self::Language,
            b"x-mq-client-version" => Self::ClientVersion,
            b"authorization" => Self::Authorization,
            b"x-mq-date-time" => Self::DateTime,
            _ => return None,
        })
    }
}

/// The headers of one request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Head {
    values: [Option<Bytes>; FIELDS],
    /// As the standard counts: strings and 32 for each header.
    bytes: usize,
}

impl Head {
    /// Without blanks around it; `None`: it is not there, or no visible ASCII.
    pub(crate) fn get(&self, field: Field) -> Option<&str> {
        let value = self.values.get(field as usize)?.as_deref()?;
        std::str::from_utf8(value).ok().filter(|text| !text.chars().any(char::is_control)).map(str::trim)
    }

    pub(crate) const fn is_too_large(&self) -> bool {
        self.bytes > HEADER_BYTES_MAX as usize
    }

    /// The first of a name counts.
    fn put(&mut self, entry: &Entry) {
        self.bytes += entry.bytes();
        if let Some(slot) = entry.field.and_then(|field| self.values.get_mut(field as usize))
            && slot.is_none()
        {
            *slot = Some(entry.value.clone());
        }
    }

    #[cfg(test)]
    pub(crate) fn with(mut self, field: Field, value: &str) -> Self {
        self.values[field as usize] = Some(Bytes::copy_from_slice(value.as_bytes()));
        self
    }
}

#[derive(Debug, Clone)]
struct Entry {
    field: Option<Field>,
    name_bytes: usize,
    value_bytes: usize,
    /// Empty if the header does not matter.
    value: Bytes,
}

impl Entry {
    const fn bytes(&self) -> usize {
        self.name_bytes + self.value_bytes + ENTRY_BYTES
    }
}

/// One per connection: later requests refer to headers of earlier ones.
#[derive(Debug)]
pub(crate) struct Decoder {
    /// Newest first.
    entries: VecDeque<Entry>,
    bytes: usize,
    bytes_max: usize,
    scratch: Vec<u8>,
}

impl Default for Decoder {
    fn default() -> Self {
        Self { entries: VecDeque::new(), bytes: 0, bytes_max: TABLE_BYTES, scratch: Vec::new() }
    }
}

impl Decoder {
    /// Reads the headers of one request.
    pub(crate) fn decode(&mut self, block: &[u8]) -> Result<Head, Fault> {
        let mut head = Head::default();
        let mut rest = block;
        let mut may_resize = true;
        while let Some(&first) = rest.first() {
            if first & 0xE0 == 0x20 {
                let size = integer(&mut rest, 5)?;
                if !may_resize || size > TABLE_BYTES {
                    return Err(Fault::COMPRESSION);
                }
                self.bytes_max = size;
                self.evict(0);
                continue;
            }
            may_resize = false;
            if first & 0x80 != 0 {
                let index = integer(&mut rest, 7)?;
                self.indexed(index, &mut head)?;
                continue;
            }
            let is_kept = first & 0x40 != 0;
            let entry = self.literal(&mut rest, if is_kept { 6 } else { 4 })?;
            head.put(&entry);
            if is_kept {
                self.keep(entry);
            }
        }
        Ok(head)
    }

    #[cfg(test)]
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    fn indexed(&self, index: usize, head: &mut Head) -> Result<(), Fault> {
        match index.checked_sub(1).map(|at| STATIC.get(at).ok_or_else(|| at - STATIC.len())) {
            None => return Err(Fault::COMPRESSION),
            Some(Ok((name, value))) => head.put(&Entry {
                field: Field::of(name.as_bytes()),
                name_bytes: name.len(),
                value_bytes: value.len(),
                value: Bytes::from_static(value.as_bytes()),
            }),
            Some(Err(at)) => head.put(self.entries.get(at).ok_or(Fault::COMPRESSION)?),
        }
        Ok(())
    }

    fn literal(&mut self, rest: &mut &[u8], bits: u32) -> Result<Entry, Fault> {
        let index = integer(rest, bits)?;
        let (field, name_bytes) = match index.checked_sub(1) {
            None => {
                let name = string(rest, &mut self.scratch)?;
                (Field::of(name), name.len())
            }
            Some(at) => match STATIC.get(at) {
                Some((name, _)) => (Field::of(name.as_bytes()), name.len()),
                None => {
                    let entry = self.entries.get(at - STATIC.len()).ok_or(Fault::COMPRESSION)?;
                    (entry.field, entry.name_bytes)
                }
            },
        };
        let value = string(rest, &mut self.scratch)?;
        let kept = field.map_or_else(Bytes::new, |_| Bytes::copy_from_slice(value));
        Ok(Entry { field, name_bytes, value_bytes: value.len(), value: kept })
    }

    fn keep(&mut self, entry: Entry) {
        let bytes = entry.bytes();
        self.evict(bytes);
        // What is larger than the table empties it.
        if bytes <= self.bytes_max {
            self.bytes += bytes;
            self.entries.push_front(entry);
        }
    }

    /// Makes room for `bytes` more.
    fn evict(&mut self, bytes: usize) {
        while self.bytes + bytes > self.bytes_max {
            let Some(entry) = self.entries.pop_back() else { return };
            self.bytes -= entry.bytes();
        }
    }
}

/// A number whose first `bits` bits end the first byte.
fn integer(rest: &mut &[u8], bits: u32) -> Result<usize, Fault> {
    let mut next = || {
        let (&byte, others) = rest.split_first().ok_or(Fault::COMPRESSION)?;
        *rest = others;
        Ok(usize::from(byte))
    };
    let mask = (1 << bits) - 1;
    let mut value = next()? & mask;
    if value < mask {
        return Ok(value);
    }
    for shift in [0, 7, 14, 21] {
        let byte = next()?;
        value += (byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(Fault::COMPRESSION)
}

/// A string, in place or in `scratch`.
fn string<'a, 'block: 'a>(rest: &mut &'block [u8], scratch: &'a mut Vec<u8>) -> Result<&'a [u8], Fault> {
    let is_coded = rest.first().is_some_and(|first| first & 0x80 != 0);
    let length = integer(rest, 7)?;
    let (text, others) = rest.split_at_checked(length).ok_or(Fault::COMPRESSION)?;
    *rest = others;
    if !is_coded {
        return Ok(text);
    }
    scratch.clear();
    huffman::decode(text, scratch)?;
    Ok(scratch)
}

/// RFC 7541, appendix A.
#[rustfmt::skip]
const STATIC: [(&str, &str); 61] = [
    (":authority", ""), (":method", "GET"), (":method", "POST"), (":path", "/"), (":path", "/index.html"),
    (":scheme", "http"), (":scheme", "https"), (":status", "200"), (":status", "204"), (":status", "206"),
    (":status", "304"), (":status", "400"), (":status", "404"), (":status", "500"), ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"), ("accept-language", ""), ("accept-ranges", ""), ("accept", ""),
    ("access-control-allow-origin", ""), ("age", ""), ("allow", ""), ("authorization", ""),
    ("cache-control", ""), ("content-disposition", ""), ("content-encoding", ""), ("content-language", ""),
    ("content-length", ""), ("content-location", ""), ("content-range", ""), ("content-type", ""),
    ("cookie", ""), ("date", ""), ("etag", ""), ("expect", ""), ("expires", ""), ("from", ""), ("host", ""),
    ("if-match", ""), ("if-modified-since", ""), ("if-none-match", ""), ("if-range", ""),
    ("if-unmodified-since", ""), ("last-modified", ""), ("link", ""), ("location", ""), ("max-forwards", ""),
    ("proxy-authenticate", ""), ("proxy-authorization", ""), ("range", ""), ("referer", ""), ("refresh", ""),
    ("retry-after", ""), ("server", ""), ("set-cookie", ""), ("strict-transport-security", ""),
    ("transfer-encoding", ""), ("user-agent", ""), ("vary", ""), ("via", ""), ("www-authenticate", ""),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(decoder: &mut Decoder, block: &str) -> Result<Head, Fault> {
        decoder.decode(&hex::decode(block).expect("hex"))
    }

    fn request(head: &Head) -> [Option<&str>; 3] {
        [Field::Method, Field::Path, Field::Authority].map(|field| head.get(field))
    }

    /// RFC 7541, appendix C.3 (plain) and C.4 (Huffman).
    #[test]
    fn examples_of_the_standard() {
        let plain = [
            "828684410f7777772e6578616d706c652e636f6d",
            "828684be58086e6f2d6361636865",
            "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565",
        ];
        let coded = [
            "828684418cf1e3c2e5f23a6ba0ab90f4ff",
            "828684be5886a8eb10649cbf",
            "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf",
        ];
        for blocks in [plain, coded] {
            let mut decoder = Decoder::default();
            let paths = ["/", "/", "/index.html"];
            for ((block, path), bytes) in blocks.into_iter().zip(paths).zip([57, 110, 164]) {
                let head = decode(&mut decoder, block).expect("well formed");
                assert_eq!(request(&head), [Some("GET"), Some(path), Some("www.example.com")]);
                assert_eq!(decoder.bytes, bytes);
            }
        }
    }

    #[test]
    fn old_entries_make_room_for_new_ones() {
        let mut decoder = Decoder::default();
        // The table holds 64 bytes: one entry of the authority (10 + 1 + 32).
        decode(&mut decoder, "3f2141016141016282").expect("well formed");
        assert_eq!((decoder.entries.len(), decoder.bytes), (1, 43));
        let head = decode(&mut decoder, "be").expect("well formed");
        assert_eq!(head.get(Field::Authority), Some("b"));
        assert_eq!(decode(&mut decoder, "bf").err(), Some(Fault::COMPRESSION), "it is gone");
    }

    #[test]
    fn malformed_blocks_are_refused() {
        let cases = ["80", "be", "ff", "ffffffffff7f", "41", "4105", "3fffff03", "82203f", "00"];
        for block in cases {
            assert_eq!(decode(&mut Decoder::default(), block).err(), Some(Fault::COMPRESSION), "{block}");
        }
    }

    #[test]
    fn headers_that_do_not_matter_count_but_are_not_kept() {
        let mut decoder = Decoder::default();
        let head = decode(&mut decoder, "400a637573746f6d2d6b65790c637573746f6d2d76616c7565").expect("good");
        assert_eq!(head.bytes, 54);
        assert_eq!((decoder.bytes, decoder.entries[0].value.len()), (54, 0));
    }
}
