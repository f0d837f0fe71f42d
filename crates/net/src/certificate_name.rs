//! The name in a client's certificate, after the handshake has found the certificate good.
//!
//! The common name of its subject; without one the first of its DNS names, then of its URIs.

use rustls_pki_types::CertificateDer;

use crate::limits::CERTIFICATE_NAME_BYTES_MAX;

/// 2.5.4.3, `commonName`, as DER writes it.
const COMMON_NAME: [u8; 3] = [0x55, 0x04, 0x03];
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OBJECT_IDENTIFIER: u8 = 0x06;
/// Texts that are UTF-8 or a part of it: UTF8String, PrintableString, IA5String.
const TEXTS: [u8; 3] = [0x0c, 0x13, 0x16];

/// Empty if the certificate names nobody, or cannot be read.
pub(crate) fn certificate_name(certificate: &CertificateDer<'_>) -> String {
    let Ok(parsed) = webpki::EndEntityCert::try_from(certificate) else { return String::new() };
    let name = common_name(parsed.subject())
        .or_else(|| parsed.valid_dns_names().next().map(str::to_owned))
        .or_else(|| parsed.valid_uri_names().next().map(str::to_owned))
        .unwrap_or_default();
    if name.len() <= CERTIFICATE_NAME_BYTES_MAX { name } else { String::new() }
}

/// `subject` is what stands in the sequence of relative names: sets of pairs of type and value.
fn common_name(mut subject: &[u8]) -> Option<String> {
    // With or without the head of the sequence around them.
    if subject.first() == Some(&SEQUENCE) {
        (_, subject, _) = element(subject)?;
    }
    while !subject.is_empty() {
        let (tag, mut pairs, rest) = element(subject)?;
        subject = rest;
        while tag == SET && !pairs.is_empty() {
            let (_, pair, more) = element(pairs)?;
            pairs = more;
            let (kind, oid, value) = element(pair)?;
            let (text_kind, text, _) = element(value)?;
            if kind == OBJECT_IDENTIFIER && oid == COMMON_NAME && TEXTS.contains(&text_kind) {
                return std::str::from_utf8(text).ok().map(str::to_owned);
            }
        }
    }
    None
}

/// Tag, content and what follows. Lengths of more than two bytes are no names.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = der.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (len, rest) = match first {
        0..=0x7f => (usize::from(*first), rest),
        0x81 => rest.split_first().map(|(len, rest)| (usize::from(*len), rest))?,
        0x82 => rest.split_first_chunk::<2>().map(|(len, rest)| (u16::from_be_bytes(*len).into(), rest))?,
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(len)?;
    Some((*tag, content, rest))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    use super::*;

    fn made(common_name: Option<&str>, names: Vec<SanType>) -> String {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "birds");
        if let Some(name) = common_name {
            params.distinguished_name.push(DnType::CommonName, name);
        }
        params.subject_alt_names = names;
        let pair = KeyPair::generate().expect("a key");
        certificate_name(params.self_signed(&pair).expect("a certificate").der())
    }

    #[test]
    fn the_common_name_comes_first() {
        let dns = || SanType::DnsName("crow.example".try_into().expect("a name"));
        let uri = || SanType::URI("spiffe://birds/crow".try_into().expect("a name"));
        assert_eq!(made(Some("crow"), vec![dns()]), "crow");
        assert_eq!(made(None, vec![uri(), dns()]), "crow.example");
        assert_eq!(made(None, vec![uri()]), "spiffe://birds/crow");
        assert_eq!(made(None, Vec::new()), "");
        assert_eq!(made(Some(&"x".repeat(CERTIFICATE_NAME_BYTES_MAX + 1)), Vec::new()), "");
    }

    #[test]
    fn what_is_cut_off_has_no_name() {
        let whole = [0x31, 0x0c, 0x30, 0x0a, 0x06, 0x03, 0x55, 0x04, 0x03, 0x0c, 0x03, b'a', b'b', b'c'];
        assert_eq!(common_name(&whole).as_deref(), Some("abc"));
        for len in 0..whole.len() {
            assert_eq!(common_name(&whole[..len]), None, "{len} bytes");
        }
    }
}
