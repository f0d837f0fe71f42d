//! The signature that clients put into their headers.
//!
//! ```text
//! authorization: MQv2-HMAC-SHA1 Credential=<user>[/region/service], SignedHeaders=x-mq-date-time, Signature=<hex>
//! x-mq-date-time: 20261121T103000Z
//! ```
//! The hex text (either case) is the HMAC-SHA1 of the value of `x-mq-date-time` under the user's
//! secret. Neither clock nor replay is looked at, because clients write their local time under a
//! `Z` (RocketMQ `AuthenticationHeader`, `DefaultAuthenticationContextBuilder`). As there, neither the
//! name of the method nor that of the signed headers is looked at.

use std::sync::Arc;

use model::access::{Authenticate, Stranger};

use crate::http2::hpack::{Field, Head};

/// The user whose signature a request has.
///
/// # Errors
/// If it has none, or a wrong one.
pub(crate) fn signer(head: &Head, auth: &dyn Authenticate) -> Result<Arc<str>, Stranger> {
    let Some(header) = head.get(Field::Authorization).filter(|header| !header.is_empty()) else {
        return Err(Stranger::Nobody);
    };
    let date_time = head
        .get(Field::DateTime)
        .filter(|text| !text.is_empty())
        .ok_or_else(|| Stranger::Malformed("datetime is null.".to_owned()))?;
    let Authorization { user, signature } = Authorization::parse(header)?;
    auth.signed(user, date_time.as_bytes(), &signature)
}

/// A parsed `authorization` header.
#[derive(Debug, PartialEq, Eq)]
struct Authorization<'a> {
    /// What stands before the first `/` of the credential.
    user: &'a str,
    signature: Vec<u8>,
}

impl<'a> Authorization<'a> {
    /// The texts are RocketMQ's.
    fn parse(header: &'a str) -> Result<Self, Stranger> {
        let bad = |text: &str| Stranger::Malformed(text.to_owned());
        let (_, rest) = header.split_once(' ').ok_or_else(|| bad("authentication header is incorrect."))?;
        let (mut user, mut signature) = ("", Vec::new());
        for part in rest.split(',') {
            let (key, value) = part
                .trim()
                .split_once('=')
                .ok_or_else(|| bad("authentication keyValues length is incorrect, actual length=1."))?;
            match key {
                "Credential" => user = value.split_once('/').map_or(value, |(user, _)| user),
                "Signature" => {
                    signature =
                        hex::decode(value).map_err(|_| bad("create authentication context error."))?;
                }
                _ => {}
            }
        }
        Ok(Self { user, signature })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_taken_apart() {
        for hex in ["0AFF", "0aff"] {
            let header = format!(
                "MQv2-HMAC-SHA1 Credential=alice/cn-x/Rocketmq, SignedHeaders=x-mq-date-time, Signature={hex}"
            );
            let parsed = Authorization::parse(&header);
            assert_eq!(parsed, Ok(Authorization { user: "alice", signature: vec![0x0A, 0xFF] }));
        }
        assert_eq!(
            Authorization::parse("MQv2-HMAC-SHA1 Credential=alice"),
            Ok(Authorization { user: "alice", signature: Vec::new() })
        );
    }

    #[test]
    fn malformed_headers_are_refused() {
        for header in ["", "Basic", "MQv2-HMAC-SHA1 Credential", "MQv2-HMAC-SHA1 Signature=xy"] {
            assert!(Authorization::parse(header).is_err(), "{header}");
        }
    }
}
