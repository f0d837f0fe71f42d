//! What a signed request says of its signer, and what was signed (`AclClientRPCHook`,
//! `AclUtils.combineRequestContent`). Pure: whether the signature is right is not decided here.
//!
//! Signed is: the values of all fields but the signature, sorted by their keys, then the body.

use crate::frame::Command;

/// `V4_9_3`: up to here clients leave the unique-key flag of queries out.
const VERSION_LAST_WITHOUT_QUERY_FLAG: i32 = 399;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    pub access_key: String,
    /// Base64 of HMAC-SHA1 (or the method that the client names).
    pub signature: String,
    pub security_token: Option<String>,
    /// The bytes that the signature is of.
    pub content: Vec<u8>,
}

/// The signature of a request, if it has one.
#[must_use]
pub fn of(request: &Command) -> Option<Signature> {
    let fields = &request.fields;
    Some(Signature {
        access_key: fields.get("AccessKey")?.to_owned(),
        signature: fields.get("Signature")?.to_owned(),
        security_token: fields.get("SecurityToken").map(str::to_owned),
        content: content(request),
    })
}

fn content(request: &Command) -> Vec<u8> {
    let left_out = |key: &str| {
        key == "Signature"
            || (key == "_UNIQUE_KEY_QUERY" && request.version <= VERSION_LAST_WITHOUT_QUERY_FLAG)
    };
    let mut fields: Vec<(&str, &str)> = request.fields.iter().filter(|(key, _)| !left_out(key)).collect();
    fields.sort_unstable();
    let mut content: Vec<u8> = fields.iter().flat_map(|(_, value)| value.bytes()).collect();
    content.extend_from_slice(&request.body.bytes());
    content
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::Fields;

    #[test]
    fn values_are_signed_in_the_order_of_their_keys() {
        let fields =
            Fields::new().with("topic", "T").with("AccessKey", "ak").with("Signature", "s").with("b", "2");
        let request = Command::request(10, fields, "body".to_owned().into());
        let signature = of(&request).expect("signed");
        assert_eq!(signature.access_key, "ak");
        assert_eq!(signature.content, b"ak2Tbody");
        assert_eq!(of(&Command::request(10, Fields::new(), "".to_owned().into())), None);
    }
}
