//! Who has signed a request (`AclClientRPCHook`, `AclUtils.combineRequestContent`).
//!
//! Signed are the values of all fields but the signature, sorted by their keys, then the body. The
//! signature is the HMAC-SHA1 of that under the user's secret, in base64.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use model::access::{Authenticate, Stranger};
use sha1::Sha1;

use crate::frame::Command;

const ACCESS_KEY: &str = "AccessKey";
const SIGNATURE: &str = "Signature";
/// `V4_9_3`: up to here clients leave the unique-key flag of queries out.
const VERSION_LAST_WITHOUT_QUERY_FLAG: i32 = 399;

/// The user whose signature a request has.
///
/// # Errors
/// If it has none, or a wrong one.
pub(crate) fn signer(request: &Command, auth: &dyn Authenticate) -> Result<Arc<str>, Stranger> {
    let fields = &request.fields;
    let user = fields.get(ACCESS_KEY).ok_or(Stranger::Nobody)?;
    // What is no base64 is nobody's signature.
    let signature = fields.get(SIGNATURE).and_then(|text| STANDARD.decode(text).ok()).unwrap_or_default();
    auth.signed(user, &content(request), &signature)
}

/// Signs requests of our own, for tools.
#[derive(Clone)]
pub struct Signer(Arc<(String, String)>);

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Signer").field(&self.0.0).finish_non_exhaustive()
    }
}

impl Signer {
    #[must_use]
    pub fn new(user: &str, secret: &str) -> Self {
        Self(Arc::new((user.to_owned(), secret.to_owned())))
    }

    pub(crate) fn sign(&self, request: Command) -> Command {
        let (user, secret) = &*self.0;
        let mut request = Command { fields: request.fields.with(ACCESS_KEY, user.as_str()), ..request };
        let mut mac = Hmac::<Sha1>::new_from_slice(secret.as_bytes()).expect("a key has any length");
        mac.update(&content(&request));
        let signature = STANDARD.encode(mac.finalize().into_bytes());
        request.fields = request.fields.with(SIGNATURE, signature);
        request
    }
}

fn content(request: &Command) -> Vec<u8> {
    let left_out = |key: &str| {
        key == SIGNATURE || (key == "_UNIQUE_KEY_QUERY" && request.version <= VERSION_LAST_WITHOUT_QUERY_FLAG)
    };
    let mut fields: Vec<(&str, &str)> = request.fields.iter().filter(|(key, _)| !left_out(key)).collect();
    fields.sort_unstable();
    let bytes: usize = fields.iter().map(|(_, value)| value.len()).sum();
    let mut content = Vec::with_capacity(bytes + request.body.len());
    fields.iter().for_each(|(_, value)| content.extend_from_slice(value.as_bytes()));
    content.extend_from_slice(&request.body.bytes());
    content
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::Fields;

    /// Knows `ak`, and takes as a signature the signed content itself.
    struct Echo;

    impl Authenticate for Echo {
        fn is_required(&self) -> bool {
            true
        }

        fn signed(&self, user: &str, content: &[u8], signature: &[u8]) -> Result<Arc<str>, Stranger> {
            match user {
                "ak" if content == signature => Ok(user.into()),
                "ak" => Err(Stranger::Signature),
                other => Err(Stranger::Unknown(other.to_owned())),
            }
        }

        fn password(&self, _: &str, _: &str) -> Result<Arc<str>, Stranger> {
            Err(Stranger::Nobody)
        }
    }

    fn signer_of(fields: Fields) -> Result<Arc<str>, Stranger> {
        signer(&Command::request(10, fields, "body".to_owned().into()), &Echo)
    }

    #[test]
    fn values_are_signed_in_the_order_of_their_keys() {
        let fields = || Fields::new().with("topic", "T").with("AccessKey", "ak").with("b", "2");
        let signature = STANDARD.encode("ak2Tbody");
        assert_eq!(signer_of(fields().with("Signature", &signature)).as_deref(), Ok("ak"));
        assert_eq!(signer_of(fields().with("Signature", "?")), Err(Stranger::Signature));
        assert_eq!(signer_of(fields()), Err(Stranger::Signature));
        assert_eq!(signer_of(Fields::new()), Err(Stranger::Nobody));
        let other = Fields::new().with("AccessKey", "x").with("Signature", &signature);
        assert_eq!(signer_of(other), Err(Stranger::Unknown("x".to_owned())));
    }
}
