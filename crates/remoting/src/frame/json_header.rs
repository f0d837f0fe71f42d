//! The JSON header, read and written without detours: a node spends more on headers than on the messages behind them.
//!
//! Reading is in two steps. [`plain`] takes the one shape that official clients write: known members, numbers as
//! digits, fields as strings. Whatever else is legal or not is left to the general parser behind it, so there is one
//! judge of what is JSON; what `plain` takes it takes as the general parser would.

use std::ops::Range;

use model::decimal::decimal;
use serde::Deserialize;

use super::{Command, HeaderKind, Language};
use crate::header::Fields;

/// The JSON header as it stands on the wire; unknown members are passed over.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct JsonHeader<'a> {
    code: i32,
    #[serde(default, borrow)]
    language: Option<std::borrow::Cow<'a, str>>,
    #[serde(default)]
    version: i32,
    #[serde(default)]
    opaque: i32,
    #[serde(default)]
    flag: i32,
    #[serde(default)]
    remark: Option<String>,
    #[serde(default)]
    ext_fields: Fields,
}

/// Reads a header. The command has no body yet.
pub(super) fn decode(header: &[u8]) -> Result<Command, serde_json::Error> {
    match plain(header) {
        Some(command) => Ok(command),
        None => general(header),
    }
}

/// Reads any legal header.
pub(super) fn general(header: &[u8]) -> Result<Command, serde_json::Error> {
    let header: JsonHeader<'_> = serde_json::from_slice(header)?;
    Ok(Command {
        code: header.code,
        language: header.language.map_or(Language::OTHER, |name| Language::of_name(&name)),
        version: header.version,
        opaque: header.opaque,
        flag: header.flag,
        remark: header.remark,
        fields: header.ext_fields,
        header_kind: HeaderKind::Json,
        ..Command::default()
    })
}

/// Reads a header of the usual shape; `None` if it is of another.
pub(super) fn plain(header: &[u8]) -> Option<Command> {
    const CODE: u8 = 1;
    let mut from = Scanner { text: std::str::from_utf8(header).ok()?, at: 0 };
    let mut command = Command { language: Language::OTHER, ..Command::default() };
    let mut seen = 0_u8;
    from.take(b'{')?;
    loop {
        // The known members begin with different letters.
        let member = match from.peek(1)? {
            b'c' => {
                from.take_all(b"\"code\":")?;
                command.code = from.number()?;
                CODE
            }
            b'l' => {
                from.take_all(b"\"language\":")?;
                command.language = Language::of_name(from.plain_string()?);
                2
            }
            b'v' => {
                from.take_all(b"\"version\":")?;
                command.version = from.number()?;
                4
            }
            b'o' => {
                from.take_all(b"\"opaque\":")?;
                command.opaque = from.number()?;
                8
            }
            b'f' => {
                from.take_all(b"\"flag\":")?;
                command.flag = from.number()?;
                16
            }
            b'e' => {
                from.take_all(b"\"extFields\":")?;
                command.fields = from.fields()?;
                32
            }
            b's' => {
                from.take_all(b"\"serializeTypeCurrentRPC\":")?;
                from.plain_string()?;
                64
            }
            _ => return None,
        };
        if seen & member != 0 {
            return None;
        }
        seen |= member;
        match from.next()? {
            b',' => {}
            b'}' => break,
            _ => return None,
        }
    }
    (from.at == header.len() && seen & CODE != 0).then_some(command)
}

/// Reads JSON without blanks.
struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    fn next(&mut self) -> Option<u8> {
        let byte = *self.text.as_bytes().get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    /// The byte that stands so many behind the next.
    fn peek(&self, ahead: usize) -> Option<u8> {
        self.text.as_bytes().get(self.at + ahead).copied()
    }

    fn take(&mut self, expected: u8) -> Option<()> {
        (self.next()? == expected).then_some(())
    }

    fn take_all(&mut self, expected: &[u8]) -> Option<()> {
        let is_there = self.text.as_bytes().get(self.at..)?.starts_with(expected);
        self.at += expected.len();
        is_there.then_some(())
    }

    /// Passes over what stands in a string as it is.
    fn plain(&mut self) -> Option<Range<usize>> {
        let start = self.at;
        self.at += plain_len(self.text.as_bytes().get(start..)?);
        Some(start..self.at)
    }

    /// A string without escapes.
    fn plain_string(&mut self) -> Option<&'a str> {
        self.take(b'"')?;
        let text = self.plain()?;
        self.take(b'"')?;
        self.text.get(text)
    }

    fn number(&mut self) -> Option<i32> {
        let text = self.text.as_bytes().get(self.at..)?;
        let is_negative = text.first() == Some(&b'-');
        let digits = text.get(usize::from(is_negative)..)?;
        let (mut number, mut count) = (0_i64, 0);
        while let Some(digit @ b'0'..=b'9') = digits.get(count) {
            number = number * 10 + i64::from(digit - b'0');
            count += 1;
            if count > 10 {
                return None;
            }
        }
        let has_idle_zero = digits.first() == Some(&b'0') && (is_negative || count > 1);
        if count == 0 || has_idle_zero {
            return None;
        }
        self.at += usize::from(is_negative) + count;
        i32::try_from(if is_negative { -number } else { number }).ok()
    }

    /// The fields stay where they stand in a copy of the header; only what was escaped is written behind it.
    fn fields(&mut self) -> Option<Fields> {
        self.take(b'{')?;
        let mut fields = Fields::over(self.text, 16);
        if self.text.as_bytes().get(self.at) == Some(&b'}') {
            return self.next().map(|_| fields);
        }
        loop {
            // Keys of one letter, as those of sends are, need no look for their end.
            let key = if let Some([b'"', letter, b'"', b':', ..]) = self.text.as_bytes().get(self.at..)
                && is_plain(*letter)
            {
                self.at += 4;
                self.at - 3..self.at - 2
            } else {
                let key = self.string(&mut fields)?;
                self.take(b':')?;
                key
            };
            let value = self.string(&mut fields)?;
            fields.push_span(key, value);
            match self.next()? {
                b',' => {}
                b'}' => return Some(fields),
                _ => return None,
            }
        }
    }

    /// Where in the fields' text a string stands.
    #[inline]
    fn string(&mut self, fields: &mut Fields) -> Option<Range<usize>> {
        let (quote, rest) = self.text.as_bytes().get(self.at..)?.split_first()?;
        let (start, len) = (self.at + 1, plain_len(rest));
        if (*quote, rest.get(len)) == (b'"', Some(&b'"')) {
            self.at = start + len + 1;
            return Some(start..start + len);
        }
        self.escaped_string(fields)
    }

    /// Writes what a string with escapes says behind the text of the fields.
    #[cold]
    #[inline(never)]
    fn escaped_string(&mut self, fields: &mut Fields) -> Option<Range<usize>> {
        self.take(b'"')?;
        let start = fields.text_mut().len();
        loop {
            let plain = self.plain()?;
            fields.text_mut().push_str(self.text.get(plain)?);
            match self.next()? {
                b'"' => return Some(start..fields.text_mut().len()),
                b'\\' => fields.text_mut().push(self.escaped()?),
                _ => return None,
            }
        }
    }

    fn escaped(&mut self) -> Option<char> {
        Some(match self.next()? {
            b'u' => {
                let digits = self.text.as_bytes().get(self.at..)?.first_chunk::<4>()?;
                self.at += 4;
                // What stands between properties is below ten.
                let code = if let [b'0', b'0', b'0', digit @ b'0'..=b'9'] = digits {
                    u32::from(digit - b'0')
                } else {
                    let digit = |code, digit: &u8| Some(code << 4 | char::from(*digit).to_digit(16)?);
                    digits.iter().try_fold(0, digit)?
                };
                // Halves of a pair are rare: the general parser joins them.
                char::from_u32(code)?
            }
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            same @ (b'"' | b'\\' | b'/') => char::from(same),
            _ => return None,
        })
    }
}

/// Bytes before the first that a JSON string cannot hold as it is: a quote, a backslash, a control character.
/// Eight at a time; of the eight, the lowest mark is exact.
fn plain_len(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::from_le_bytes([0x01; 8]);
    const HIGHS: u64 = ONES << 7;
    const QUOTES: u64 = u64::from_le_bytes([b'"'; 8]);
    const BACKSLASHES: u64 = u64::from_le_bytes([b'\\'; 8]);
    let mut rest = bytes;
    while let Some((word, tail)) = rest.split_first_chunk::<8>() {
        let word = u64::from_le_bytes(*word);
        let less = |bytes: u64, limit: u64| bytes.wrapping_sub(ONES * limit);
        let low = less(word ^ QUOTES, 1) | less(word ^ BACKSLASHES, 1) | less(word, 0x20);
        let marks = low & !word & HIGHS;
        if marks != 0 {
            return bytes.len() - rest.len() + marks.trailing_zeros() as usize / 8;
        }
        rest = tail;
    }
    let special = |byte: &u8| !is_plain(*byte);
    bytes.len() - rest.len() + rest.iter().position(special).unwrap_or(rest.len())
}

const fn is_plain(byte: u8) -> bool {
    byte >= 0x20 && byte != b'"' && byte != b'\\'
}

/// Appends a header.
pub(super) fn encode(command: &Command, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"code\":");
    put_number(out, command.code);
    if !command.fields.is_empty() {
        out.extend_from_slice(b",\"extFields\":{");
        // Fields of our own hold nothing that must be escaped, which one look tells for all of them.
        let text = command.fields.text();
        let put = if plain_len(text.as_bytes()) == text.len() { put_plain } else { put_string };
        for (n, (key, value)) in command.fields.iter().enumerate() {
            if n > 0 {
                out.push(b',');
            }
            put(out, key);
            out.push(b':');
            put(out, value);
        }
        out.push(b'}');
    }
    out.extend_from_slice(b",\"flag\":");
    put_number(out, command.flag);
    out.extend_from_slice(b",\"language\":\"");
    out.extend_from_slice(command.language.name().as_bytes());
    out.extend_from_slice(b"\",\"opaque\":");
    put_number(out, command.opaque);
    if let Some(remark) = &command.remark {
        out.extend_from_slice(b",\"remark\":");
        put_string(out, remark);
    }
    out.extend_from_slice(b",\"serializeTypeCurrentRPC\":\"JSON\",\"version\":");
    put_number(out, command.version);
    out.push(b'}');
}

fn put_number(out: &mut Vec<u8>, number: i32) {
    if number < 0 {
        out.push(b'-');
    }
    decimal(u64::from(number.unsigned_abs()), |digits| out.extend_from_slice(digits.as_bytes()));
}

/// A JSON string of text that needs no escapes.
fn put_plain(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}

/// A JSON string: what must be escaped is, the rest goes as it is.
fn put_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let mut rest = text.as_bytes();
    loop {
        let (plain, tail) = rest.split_at(plain_len(rest));
        out.extend_from_slice(plain);
        let Some((special, tail)) = tail.split_first() else { break };
        put_escaped(out, *special);
        rest = tail;
    }
    out.push(b'"');
}

fn put_escaped(out: &mut Vec<u8>, byte: u8) {
    match byte {
        b'"' => out.extend_from_slice(b"\\\""),
        b'\\' => out.extend_from_slice(b"\\\\"),
        b'\n' => out.extend_from_slice(b"\\n"),
        b'\r' => out.extend_from_slice(b"\\r"),
        b'\t' => out.extend_from_slice(b"\\t"),
        other => {
            const HEX: &[u8; 16] = b"0123456789abcdef";
            out.extend_from_slice(b"\\u00");
            out.push(HEX.get(usize::from(other >> 4)).copied().unwrap_or(b'0'));
            out.push(HEX.get(usize::from(other & 15)).copied().unwrap_or(b'0'));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As the Java client sends a message (fastjson: members sorted, control characters as escapes).
    const JAVA: &str = concat!(
        r#"{"code":310,"extFields":{"a":"producers","b":"demo","c":"TBW102","d":"4","e":"3","f":"0","#,
        r#""g":"1732000000000","h":"0","i":"UNIQ_KEY\u0001C0A80001\u0002WAIT\u0001true","j":"0","k":"false","#,
        r#""m":"false","n":"broker-a"},"flag":0,"language":"JAVA","opaque":2147483647,"#,
        r#""serializeTypeCurrentRPC":"JSON","version":513}"#
    );

    #[test]
    fn the_header_of_the_java_client_is_of_the_usual_shape() {
        let command = plain(JAVA.as_bytes()).expect("of the usual shape");
        assert_eq!(command, general(JAVA.as_bytes()).expect("legal"));
        assert_eq!(command.fields.get("i"), Some("UNIQ_KEY\u{1}C0A80001\u{2}WAIT\u{1}true"));
        let mut again = Vec::new();
        encode(&command, &mut again);
        assert_eq!(std::str::from_utf8(&again), Ok(JAVA));
        let least = plain(br#"{"code":-2147483648,"opaque":0}"#).expect("of the usual shape");
        assert_eq!((least.code, least.opaque), (i32::MIN, 0));
        let none = plain(br#"{"code":1,"extFields":{}}"#).expect("of the usual shape");
        assert!(none.fields.is_empty());
    }

    #[test]
    fn what_is_of_another_shape_is_left_to_the_general_parser() {
        for header in [
            r#"{ "code":1}"#,
            r#"{"code":1} "#,
            r#"{"code":01}"#,
            r#"{"code":-0}"#,
            r#"{"code":-}"#,
            r#"{"code":}"#,
            r#"{"code":1,"extFields":{"a\":"1"}}"#,
            r#"{"code":1.0}"#,
            r#"{"code":2147483648}"#,
            r#"{"code":-2147483649}"#,
            r#"{"code":10000000000000000000000}"#,
            r#"{"code":1,"code":2}"#,
            r#"{"opaque":1}"#,
            r#"{"code":1,"extFields":null}"#,
            r#"{"code":1,"extFields":{"a":1}}"#,
            r#"{"code":1,"extFields":{"a":"\ud83d\ude00"}}"#,
            r#"{"code":1,"extFields":{"a":"\u+123"}}"#,
            r#"{"code":1,"remark":"r"}"#,
            "{\"code\":1,\"language\":\"a\u{1}b\"}",
            "{}",
            "",
        ] {
            assert_eq!(plain(header.as_bytes()), None, "{header}");
        }
    }

    #[test]
    fn numbers_are_those_of_the_formatter() {
        for number in [0, -1, 7, i32::MAX, i32::MIN] {
            let mut out = Vec::new();
            put_number(&mut out, number);
            assert_eq!(out, number.to_string().as_bytes());
        }
    }

    proptest! {
        #[test]
        fn plain_text_ends_where_an_escape_is_due(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let special = |byte: &u8| *byte < 0x20 || *byte == b'"' || *byte == b'\\';
            prop_assert_eq!(plain_len(&bytes), bytes.iter().position(special).unwrap_or(bytes.len()));
        }

        /// One to three bytes of a legal header changed: both parsers agree on whatever the first takes.
        #[test]
        fn what_is_taken_is_what_the_general_parser_reads(
            changes in proptest::collection::vec((0..JAVA.len(), "[\"\\\\{}:,0-9a-u\u{1}-]"), 1..4),
        ) {
            let mut header = JAVA.as_bytes().to_vec();
            for (at, with) in changes {
                header[at] = with.as_bytes()[0];
            }
            if let Some(command) = plain(&header) {
                prop_assert_eq!(command, general(&header).expect("what is taken is legal"));
            }
        }
    }
}
