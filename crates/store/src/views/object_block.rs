//! Object blocks of a run: small keys and values, sorted by key.
//!
//! ```text
//! block    records | crc32c u32
//! record   key_len varint | value_len + 1 varint (0: removed) | key | value
//! ```

use crate::codec::{Put, Take};
use crate::limits::{OBJECT_KEY_BYTES_MAX, OBJECT_VALUE_BYTES_MAX};

pub(crate) fn put_object(key: &[u8], value: Option<&[u8]>, out: &mut Vec<u8>) {
    out.put_varint(key.len() as u64);
    out.put_varint(value.map_or(0, |v| v.len() as u64 + 1));
    out.put(key);
    out.put(value.unwrap_or_default());
}

/// Takes the next record off a block's content; `None` if it makes no sense.
pub(crate) fn take_object<'a>(take: &mut Take<'a>) -> Option<(&'a [u8], Option<&'a [u8]>)> {
    let key_len = usize::try_from(take.varint()?).ok().filter(|n| *n <= OBJECT_KEY_BYTES_MAX)?;
    let value_len = usize::try_from(take.varint()?).ok().filter(|n| *n <= OBJECT_VALUE_BYTES_MAX + 1)?;
    let key = take.bytes(key_len)?;
    let value = match value_len.checked_sub(1) {
        Some(len) => Some(take.bytes(len)?),
        None => None,
    };
    Some((key, value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn round_trip(objects in proptest::collection::vec((any::<Vec<u8>>(), any::<Option<Vec<u8>>>()), 0..20)) {
            let mut out = Vec::new();
            objects.iter().for_each(|(k, v)| put_object(k, v.as_deref(), &mut out));
            let mut take = Take::new(&out);
            for (k, v) in &objects {
                prop_assert_eq!(take_object(&mut take), Some((k.as_slice(), v.as_deref())));
            }
            prop_assert!(take.is_empty());
        }

        #[test]
        fn garbage_never_panics(bytes: Vec<u8>) {
            let mut take = Take::new(&bytes);
            while !take.is_empty() && take_object(&mut take).is_some() {}
        }
    }

    #[test]
    fn golden() {
        let mut out = Vec::new();
        put_object(b"k", Some(b"value"), &mut out);
        put_object(b"gone", None, &mut out);
        assert_eq!(out, b"\x01\x06kvalue\x04\x00gone");
    }
}
