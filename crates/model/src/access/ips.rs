//! Addresses that an entry of a policy is for: `10.0.0.1`, `10.0.0.0/8`, `fd00::/8`.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use super::text::as_text;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IpRange {
    text: String,
    address: IpAddr,
    bits: u8,
}

impl IpRange {
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let same = |a: u128, b: u128, width: u32| {
            let dropped = width - u32::from(self.bits);
            a.checked_shr(dropped).unwrap_or(0) == b.checked_shr(dropped).unwrap_or(0)
        };
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                same(u32::from(own).into(), u32::from(other).into(), u32::BITS)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => same(own.into(), other.into(), u128::BITS),
            _ => false,
        }
    }
}

impl FromStr for IpRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // The text is RocketMQ's.
        let bad = || "The source ip is invalid.".to_owned();
        let (address, bits) = text.split_once('/').map_or((text, None), |(a, bits)| (a, Some(bits)));
        let address: IpAddr = address.parse().map_err(|_| bad())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            None => most,
            Some(bits) => bits.parse().ok().filter(|bits| *bits <= most).ok_or_else(bad)?,
        };
        Ok(Self { text: text.to_owned(), address, bits })
    }
}

impl fmt::Display for IpRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

as_text!(IpRange);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold_their_addresses() {
        let cases = [
            ("10.0.0.1", "10.0.0.1", true),
            ("10.0.0.1", "10.0.0.2", false),
            ("10.0.0.1", "::ffff:10.0.0.1", true),
            ("10.1.0.0/16", "10.1.255.255", true),
            ("10.1.0.0/16", "10.2.0.0", false),
            ("0.0.0.0/0", "255.1.2.3", true),
            ("0.0.0.0/0", "::1", false),
            ("fd00::/8", "fdab::1", true),
            ("fd00::/8", "fe80::1", false),
            ("::/0", "fe80::1", true),
        ];
        for (range, address, expected) in cases {
            let held = range.parse::<IpRange>().expect("legal").contains(address.parse().expect("legal"));
            assert_eq!(held, expected, "{range} {address}");
        }
    }

    #[test]
    fn malformed_ranges_are_refused() {
        for text in ["", "10.0.0", "10.0.0.0/33", "10.0.0.0/x", "10.0.0.*", "::/129", "10.0.0.0/8/8"] {
            assert!(text.parse::<IpRange>().is_err(), "{text}");
        }
    }
}
