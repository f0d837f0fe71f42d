//! Extension fields of a header: string pairs, kept in one buffer in the order in which they
//! came, because a request has about a dozen of them and each is looked up once or twice.
//!
//! Numbers and booleans travel as text (`RemotingCommand.makeCustomHeaderToNet`); JSON values
//! that are no strings are taken as their text, `null` as absent, because the Java side does so.

use std::fmt::{self, Display, Write as _};
use std::ops::Range;
use std::str::FromStr;

use model::decimal::decimal;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::error::Failure;

/// String pairs; the first of equal keys counts.
#[derive(Debug, Clone, Default)]
pub struct Fields {
    /// All keys and values, and what stood between them in a header.
    text: String,
    spans: Vec<Span>,
}

/// A pair inside the text.
#[derive(Debug, Clone, Copy)]
struct Span {
    key: Part,
    value: Part,
}

#[derive(Debug, Clone, Copy)]
struct Part {
    start: u32,
    end: u32,
}

impl From<Range<usize>> for Part {
    fn from(range: Range<usize>) -> Self {
        let fit = |n: usize| u32::try_from(n).expect("a header is below 4 GiB");
        Self { start: fit(range.start), end: fit(range.end) }
    }
}

impl Part {
    fn of(self, text: &str) -> &str {
        text.get(self.start as usize..self.end as usize).unwrap_or_default()
    }
}

impl PartialEq for Fields {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Fields {}

impl Fields {
    #[must_use]
    pub const fn new() -> Self {
        Self { text: String::new(), spans: Vec::new() }
    }

    /// Room for so many bytes of text and so many pairs.
    pub(crate) fn with_capacity(text_bytes: usize, pairs: usize) -> Self {
        Self { text: String::with_capacity(text_bytes), spans: Vec::with_capacity(pairs) }
    }

    /// Room for pairs that stand in a text, and for some text more.
    pub(crate) fn over(text: &str, pairs: usize) -> Self {
        let mut fields = Self::with_capacity(text.len() * 5 / 4, pairs);
        fields.text.push_str(text);
        fields
    }

    /// About what the fields take in a JSON header: texts, quotes and separators.
    pub(crate) fn bytes(&self) -> usize {
        self.text.len() + 6 * self.spans.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// All text of the fields, and what may stand between them.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Adds a pair. A header is below 4 GiB (`HEADER_BYTES_MAX`), so its parts fit.
    pub fn push(&mut self, key: &str, value: impl Display) {
        let start = self.text.len();
        self.text.push_str(key);
        let _ = write!(self.text, "{value}");
        self.close(start, key.len());
    }

    /// As [`Self::push`], without the machinery of formatting.
    pub fn push_text(&mut self, key: &str, value: &str) {
        let start = self.text.len();
        self.text.push_str(key);
        self.text.push_str(value);
        self.close(start, key.len());
    }

    /// As [`Self::push`] of what `write` appends to the text.
    pub(crate) fn push_written(&mut self, key: &str, write: impl FnOnce(&mut String)) {
        let start = self.text.len();
        self.text.push_str(key);
        write(&mut self.text);
        self.close(start, key.len());
    }

    #[must_use]
    pub fn with(mut self, key: &str, value: impl Display) -> Self {
        self.push(key, value);
        self
    }

    /// As [`Self::push`] of a number that is not negative.
    pub(crate) fn push_number(&mut self, key: &str, value: impl Into<u64>) {
        decimal(value.into(), |digits| self.push_text(key, digits));
    }

    /// Where a reader puts what it must write itself.
    pub(crate) fn text_mut(&mut self) -> &mut String {
        &mut self.text
    }

    /// Adds a pair whose key and value stand in the text.
    #[inline]
    pub(crate) fn push_span(&mut self, key: Range<usize>, value: Range<usize>) {
        self.spans.push(Span { key: key.into(), value: value.into() });
    }

    /// Adds the pair that was written last: from `start` on its key, then its value.
    fn close(&mut self, start: usize, key_len: usize) {
        let key = start..start + key_len;
        let value = key.end..self.text.len();
        self.push_span(key, value);
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.spans.iter().map(|span| (span.key.of(&self.text), span.value.of(&self.text)))
    }

    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.iter().find(|(k, _)| *k == key).map(|(_, v)| v)
    }

    /// A field that the request cannot do without.
    ///
    /// # Errors
    /// `SYSTEM_ERROR`, as a missing field is answered by the Java server.
    pub fn required(&self, key: &'static str) -> Result<&str, Failure> {
        required(key, self.get(key))
    }

    /// A required field of another type than text.
    ///
    /// # Errors
    /// If it is missing or does not parse.
    pub fn parse<T: FromStr>(&self, key: &'static str) -> Result<T, Failure> {
        parsed(key, self.get(key))
    }

    /// An optional field of another type than text.
    ///
    /// # Errors
    /// If it is there, not blank, and does not parse.
    pub fn parse_opt<T: FromStr>(&self, key: &'static str) -> Result<Option<T>, Failure> {
        parsed_opt(key, self.get(key))
    }

    /// A boolean as Java's `Boolean.parseBoolean` reads it; `false` if absent.
    #[must_use]
    pub fn flag(&self, key: &str) -> bool {
        is_true(self.get(key))
    }
}

// What a field's value says, for those who read all fields in one pass.

/// As [`Fields::required`], of the value that was found for `key`.
pub(crate) fn required<'a>(key: &'static str, value: Option<&'a str>) -> Result<&'a str, Failure> {
    value.ok_or_else(|| Failure::missing(key))
}

/// As [`Fields::parse`].
pub(crate) fn parsed<T: FromStr>(key: &'static str, value: Option<&str>) -> Result<T, Failure> {
    let text = required(key, value)?;
    text.parse().map_err(|_| Failure::malformed(key, text))
}

/// As [`Fields::parse_opt`].
pub(crate) fn parsed_opt<T: FromStr>(key: &'static str, value: Option<&str>) -> Result<Option<T>, Failure> {
    match value {
        None | Some("" | "null") => Ok(None),
        Some(text) => text.parse().map(Some).map_err(|_| Failure::malformed(key, text)),
    }
}

/// As [`Fields::flag`].
pub(crate) fn is_true(value: Option<&str>) -> bool {
    value.is_some_and(|text| text.eq_ignore_ascii_case("true"))
}

impl<'a> Extend<(&'a str, &'a str)> for Fields {
    fn extend<T: IntoIterator<Item = (&'a str, &'a str)>>(&mut self, pairs: T) {
        for (key, value) in pairs {
            self.push_text(key, value);
        }
    }
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_option(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of strings")
    }

    fn visit_none<E>(self) -> Result<Fields, E> {
        Ok(Fields::new())
    }

    fn visit_unit<E>(self) -> Result<Fields, E> {
        Ok(Fields::new())
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Fields, D::Error> {
        deserializer.deserialize_map(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
        let mut fields = Fields { text: String::with_capacity(256), spans: Vec::with_capacity(16) };
        loop {
            let start = fields.text.len();
            if map.next_key_seed(Append(&mut fields.text))?.is_none() {
                return Ok(fields);
            }
            let key_len = fields.text.len() - start;
            if map.next_value_seed(Append(&mut fields.text))? {
                fields.close(start, key_len);
            } else {
                fields.text.truncate(start);
            }
        }
    }
}

/// Appends a scalar's text; answers `false` if there is none.
struct Append<'a>(&'a mut String);

impl<'de> DeserializeSeed<'de> for Append<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Append<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string, number or boolean")
    }

    fn visit_str<E>(self, v: &str) -> Result<bool, E> {
        self.0.push_str(v);
        Ok(true)
    }

    fn visit_bool<E>(self, v: bool) -> Result<bool, E> {
        self.0.push_str(if v { "true" } else { "false" });
        Ok(true)
    }

    fn visit_i64<E: serde::de::Error>(self, v: i64) -> Result<bool, E> {
        write!(self.0, "{v}").map_err(E::custom)?;
        Ok(true)
    }

    fn visit_u64<E: serde::de::Error>(self, v: u64) -> Result<bool, E> {
        write!(self.0, "{v}").map_err(E::custom)?;
        Ok(true)
    }

    fn visit_f64<E: serde::de::Error>(self, v: f64) -> Result<bool, E> {
        write!(self.0, "{v}").map_err(E::custom)?;
        Ok(true)
    }

    fn visit_unit<E>(self) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<bool, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Err(A::Error::custom("an extension field is a list"))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Err(A::Error::custom("an extension field is an object"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_are_no_strings_become_their_text() {
        let text = r#"{"a":"x","b":7,"c":true,"d":null,"e":-1.5,"a":"second"}"#;
        let fields: Fields = serde_json::from_str(text).expect("legal");
        let seen: Vec<_> = fields.iter().collect();
        assert_eq!(seen, [("a", "x"), ("b", "7"), ("c", "true"), ("e", "-1.5"), ("a", "second")]);
        assert_eq!(fields.get("a"), Some("x"));
        assert_eq!(fields.get("d"), None);
        assert!(fields.flag("c"));
    }

    #[test]
    fn null_is_no_fields_and_a_list_is_an_error() {
        assert_eq!(serde_json::from_str::<Fields>("null").expect("legal"), Fields::new());
        assert!(serde_json::from_str::<Fields>("[]").is_err());
        assert!(serde_json::from_str::<Fields>(r#"{"a":[1]}"#).is_err());
        assert!(serde_json::from_str::<Fields>(r#"{"a":{"b":1}}"#).is_err());
    }

    #[test]
    fn missing_and_malformed_fields_say_so() {
        let fields = Fields::new().with("n", "x").with("empty", "");
        assert!(fields.parse::<i32>("n").is_err());
        assert!(fields.parse::<i32>("absent").is_err());
        assert_eq!(fields.parse_opt::<i32>("empty").expect("blank is absent"), None);
        assert!(fields.parse_opt::<i32>("n").is_err());
    }
}
