//! The PROXY protocol, versions 1 and 2: a load balancer's word on who connected, and to what.
//!
//! ```text
//! v1  "PROXY TCP4 <source> <destination> <source port> <destination port>\r\n"  or  "PROXY UNKNOWN...\r\n"
//! v2  signature 12 | 2 and command 1 | family and transport 1 | length 2 | addresses | extensions
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::limits::{PROXY_V1_BYTES_MAX, PROXY_V2_BYTES_MAX};

const V1_START: &[u8] = b"PROXY ";
const V2_SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
const V2_FIXED_BYTES: usize = 16;

/// What the first bytes of a connection are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Header {
    /// Something else.
    Absent,
    /// Possibly a header: at least so many bytes must be seen to go on.
    NeedMore(usize),
    /// A header of `len` bytes. No addresses: the balancer speaks for itself.
    Present { len: usize, addresses: Option<Addresses> },
    /// It starts like a header and is none.
    Malformed(&'static str),
}

/// Both ends as the load balancer saw them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    pub source: SocketAddr,
    pub destination: SocketAddr,
}

/// Looks at the first bytes of a connection.
#[must_use]
pub fn parse(bytes: &[u8]) -> Header {
    if starts_alike(bytes, V2_SIGNATURE) {
        if bytes.len() < V2_FIXED_BYTES { Header::NeedMore(V2_FIXED_BYTES) } else { parse_v2(bytes) }
    } else if starts_alike(bytes, V1_START) {
        parse_v1(bytes)
    } else {
        Header::Absent
    }
}

/// Whether `bytes` and `pattern` agree as far as both go. No bytes tell nothing: `true`.
fn starts_alike(bytes: &[u8], pattern: &[u8]) -> bool {
    bytes.iter().zip(pattern).all(|(a, b)| a == b)
}

fn parse_v1(bytes: &[u8]) -> Header {
    let Some(end) = bytes.windows(2).position(|pair| pair == b"\r\n") else {
        return if bytes.len() < PROXY_V1_BYTES_MAX {
            Header::NeedMore(bytes.len() + 1)
        } else {
            Header::Malformed("the line of version 1 has no end")
        };
    };
    let line = bytes.get(..end).and_then(|line| std::str::from_utf8(line).ok()).unwrap_or_default();
    let words: Vec<&str> = line.split(' ').collect();
    let addresses = match words.as_slice() {
        ["PROXY", "UNKNOWN", ..] => None,
        ["PROXY", "TCP4" | "TCP6", source, destination, source_port, destination_port] => {
            match (address(source, source_port), address(destination, destination_port)) {
                (Some(source), Some(destination)) => Some(Addresses { source, destination }),
                _ => return Header::Malformed("version 1 has an illegal address"),
            }
        }
        _ => return Header::Malformed("version 1 has an unknown form"),
    };
    Header::Present { len: end + 2, addresses }
}

fn address(ip: &str, port: &str) -> Option<SocketAddr> {
    Some(SocketAddr::new(ip.parse().ok()?, port.parse().ok()?))
}

fn parse_v2(bytes: &[u8]) -> Header {
    let (Some(&command), Some(&family)) = (bytes.get(12), bytes.get(13)) else {
        return Header::NeedMore(V2_FIXED_BYTES);
    };
    let len = V2_FIXED_BYTES + usize::from(be_u16(bytes, 14));
    if command >> 4 != 2 {
        return Header::Malformed("version 2 has another version number");
    }
    if len > PROXY_V2_BYTES_MAX {
        return Header::Malformed("the header of version 2 is too long");
    }
    let Some(body) = bytes.get(V2_FIXED_BYTES..len) else { return Header::NeedMore(len) };
    let addresses = match (command & 0xF, family) {
        (0, _) => None,
        (1, 0x11) => addresses_v4(body),
        (1, 0x21) => addresses_v6(body),
        // Datagrams and local sockets: the balancer means it, we have no use for it.
        (1, _) => return Header::Present { len, addresses: None },
        _ => return Header::Malformed("version 2 has an unknown command"),
    };
    if command & 0xF == 1 && addresses.is_none() {
        return Header::Malformed("the addresses of version 2 are cut short");
    }
    Header::Present { len, addresses }
}

fn be_u16(bytes: &[u8], at: usize) -> u16 {
    let high = bytes.get(at).copied().unwrap_or_default();
    let low = bytes.get(at + 1).copied().unwrap_or_default();
    u16::from_be_bytes([high, low])
}

fn addresses_v4(body: &[u8]) -> Option<Addresses> {
    let ip = |at: usize| -> Option<IpAddr> {
        let octets: [u8; 4] = body.get(at..at + 4)?.try_into().ok()?;
        Some(Ipv4Addr::from(octets).into())
    };
    let (source, destination) = (ip(0)?, ip(4)?);
    both(body.get(8..12)?, source, destination)
}

fn addresses_v6(body: &[u8]) -> Option<Addresses> {
    let ip = |at: usize| -> Option<IpAddr> {
        let octets: [u8; 16] = body.get(at..at + 16)?.try_into().ok()?;
        Some(Ipv6Addr::from(octets).into())
    };
    let (source, destination) = (ip(0)?, ip(16)?);
    both(body.get(32..36)?, source, destination)
}

fn both(ports: &[u8], source: IpAddr, destination: IpAddr) -> Option<Addresses> {
    Some(Addresses {
        source: SocketAddr::new(source, be_u16(ports, 0)),
        destination: SocketAddr::new(destination, be_u16(ports, 2)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn present(len: usize, source: &str, destination: &str) -> Header {
        let parse = |text: &str| text.parse().expect("a legal address");
        Header::Present {
            len,
            addresses: Some(Addresses { source: parse(source), destination: parse(destination) }),
        }
    }

    pub(crate) fn v2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let mut out = V2_SIGNATURE.to_vec();
        out.extend([0x20 | command, family]);
        out.extend(u16::try_from(body.len()).expect("short").to_be_bytes());
        out.extend(body);
        out
    }

    #[test]
    fn version_1() {
        let line = b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 10911\r\nrest";
        assert_eq!(parse(line), present(47, "192.0.2.7:56324", "198.51.100.1:10911"));
        let line = b"PROXY TCP6 2001:db8::1 2001:db8::2 1 2\r\n";
        assert_eq!(parse(line), present(40, "[2001:db8::1]:1", "[2001:db8::2]:2"));
        assert_eq!(parse(b"PROXY UNKNOWN\r\n"), Header::Present { len: 15, addresses: None });
        assert!(matches!(parse(b"PROXY TCP4 1.2.3 4.5.6.7 1 2\r\n"), Header::Malformed(_)));
        assert!(matches!(parse(b"PROXY TCP4 1.2.3.4 4.5.6.7 1 70000\r\n"), Header::Malformed(_)));
        assert!(matches!(parse(b"PROXY \r\n"), Header::Malformed(_)));
    }

    #[test]
    fn version_2() {
        let body = [192, 0, 2, 7, 198, 51, 100, 1, 0, 80, 0x2A, 0x9F, /* an extension */ 4, 0, 1, 9];
        assert_eq!(parse(&v2(1, 0x11, &body)), present(32, "192.0.2.7:80", "198.51.100.1:10911"));
        let mut body = [0; 36];
        body[15] = 1;
        body[31] = 2;
        body[33] = 3;
        assert_eq!(parse(&v2(1, 0x21, &body)), present(52, "[::1]:3", "[::2]:0"));
        assert_eq!(parse(&v2(0, 0, &[])), Header::Present { len: 16, addresses: None });
        assert_eq!(parse(&v2(1, 0x31, &[0; 216])), Header::Present { len: 232, addresses: None });
        assert!(matches!(parse(&v2(1, 0x11, &[0; 11])), Header::Malformed(_)));
        assert!(matches!(parse(&v2(2, 0x11, &[0; 12])), Header::Malformed(_)));
        assert!(matches!(parse(&v2(1, 0x11, &[0; 5_000])), Header::Malformed(_)));
    }

    #[test]
    fn headers_may_come_in_pieces() {
        let line = b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 10911\r\n".to_vec();
        for whole in [line, v2(1, 0x11, &[0; 12])] {
            for end in 0..whole.len() {
                assert!(matches!(parse(&whole[..end]), Header::NeedMore(n) if n > end), "{end}");
            }
        }
    }

    #[test]
    fn other_protocols_are_no_headers() {
        for bytes in [&b"PRI * HTTP/2.0"[..], b"POST / HTTP/1.1", b"\0\0\x01\0", b"\x16\x03\x01", b"\r\nGET"]
        {
            assert_eq!(parse(bytes), Header::Absent);
        }
        assert!(matches!(parse(&[b'P'; 200]), Header::Absent));
    }

    #[test]
    fn an_endless_line_ends() {
        let mut line = b"PROXY ".to_vec();
        line.resize(PROXY_V1_BYTES_MAX, b'x');
        assert!(matches!(parse(&line), Header::Malformed(_)));
    }
}
