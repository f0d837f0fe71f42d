//! The signature that clients put into their headers.
//!
//! ```text
//! authorization: MQv2-HMAC-SHA1 Credential=<user>[/region/service], SignedHeaders=x-mq-date-time, Signature=<hex>
//! x-mq-date-time: 20261121T103000Z
//! ```
//! The hex text (either case) is the HMAC-SHA1 of the value of `x-mq-date-time` under the user's
//! secret. Neither clock nor replay is looked at, because clients write their local time under a
//! `Z` (RocketMQ `AuthenticationHeader`, `DefaultAuthenticationContextBuilder`). Nobody calls for
//! it yet: whoever knows users' secrets does.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;
use thiserror::Error;

pub(crate) const ALGORITHM: &str = "MQv2-HMAC-SHA1";

/// A parsed `authorization` header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorization<'a> {
    /// What stands before the first `/` of the credential.
    pub user: &'a str,
    pub signed_headers: &'a str,
    pub signature: Vec<u8>,
}

/// Why a header is no signature.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SignatureError {
    #[error("the authorization header must begin with `MQv2-HMAC-SHA1 `")]
    Algorithm,
    #[error("the authorization header lacks `{0}=`")]
    Missing(&'static str),
    #[error("the signature is not hex")]
    NotHex,
}

impl<'a> Authorization<'a> {
    /// # Errors
    /// If the header has another algorithm, lacks a part, or its signature is not hex.
    pub fn parse(header: &'a str) -> Result<Self, SignatureError> {
        let (algorithm, rest) = header.trim().split_once(' ').ok_or(SignatureError::Algorithm)?;
        if algorithm != ALGORITHM {
            return Err(SignatureError::Algorithm);
        }
        let part = |name: &'static str| {
            rest.split(',')
                .filter_map(|pair| pair.trim().split_once('='))
                .find(|(key, _)| *key == name)
                .map(|(_, value)| value.trim())
                .filter(|value| !value.is_empty())
                .ok_or(SignatureError::Missing(name))
        };
        let credential = part("Credential")?;
        Ok(Self {
            user: credential.split_once('/').map_or(credential, |(user, _)| user),
            signed_headers: part("SignedHeaders")?,
            signature: hex::decode(part("Signature")?).map_err(|_| SignatureError::NotHex)?,
        })
    }

    /// Whether the signature is that of `date_time` under `secret`; takes equally long either way.
    #[must_use]
    pub fn verify(&self, secret: &[u8], date_time: &str) -> bool {
        let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(secret) else { return false };
        mac.update(date_time.as_bytes());
        mac.verify_slice(&self.signature).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATE: &str = "20261121T103000Z";
    /// HMAC-SHA1 of `DATE` under `secret`, made with `openssl dgst -sha1 -hmac secret`.
    const HEX: &str = "D507C5C8D12EEFBC6EF62FDC53D58FE0054DACD9";

    fn header(hex: &str) -> String {
        format!(
            "MQv2-HMAC-SHA1 Credential=alice/cn-x/Rocketmq, SignedHeaders=x-mq-date-time, Signature={hex}"
        )
    }

    #[test]
    fn a_signature_in_either_case_is_good_under_its_secret_only() {
        for hex in [HEX.to_owned(), HEX.to_lowercase()] {
            let header = header(&hex);
            let authorization = Authorization::parse(&header).expect("well formed");
            assert_eq!((authorization.user, authorization.signed_headers), ("alice", "x-mq-date-time"));
            assert!(authorization.verify(b"secret", DATE));
            assert!(!authorization.verify(b"other", DATE));
            assert!(!authorization.verify(b"secret", "20261121T103001Z"));
        }
    }

    #[test]
    fn malformed_headers_are_told_apart() {
        let error = |header: &str| Authorization::parse(header).expect_err("malformed");
        assert_eq!(error(""), SignatureError::Algorithm);
        assert_eq!(error("Basic abc"), SignatureError::Algorithm);
        assert_eq!(
            error("MQv2-HMAC-SHA1 SignedHeaders=x, Signature=00"),
            SignatureError::Missing("Credential")
        );
        assert_eq!(
            error("MQv2-HMAC-SHA1 Credential=, SignedHeaders=x, Signature=00"),
            SignatureError::Missing("Credential")
        );
        assert_eq!(
            error("MQv2-HMAC-SHA1 Credential=a, SignedHeaders=x"),
            SignatureError::Missing("Signature")
        );
        assert_eq!(error(&header("xyz")), SignatureError::NotHex);
    }
}
