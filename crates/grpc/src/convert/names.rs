//! Names, addresses, kinds and filters.

use std::net::IpAddr;

use model::names::{DLQ_PREFIX, RETRY_PREFIX};
use model::{Endpoint, Filter, MessageKind};

use crate::proto::{Address, AddressScheme, Endpoints, FilterExpression, FilterType, MessageType, Resource};

/// A stored name as clients see it: `namespace%name` comes apart, and the prefix of a derived
/// topic stays with the name (`NamespaceUtil`).
pub(crate) fn resource(stored: &str) -> Resource {
    let prefix =
        [RETRY_PREFIX, DLQ_PREFIX].into_iter().find(|prefix| stored.starts_with(prefix)).unwrap_or_default();
    let bare = stored.get(prefix.len()..).unwrap_or_default();
    match bare.split_once('%') {
        Some((namespace, name)) if !namespace.is_empty() => {
            Resource { resource_namespace: namespace.to_owned(), name: format!("{prefix}{name}") }
        }
        _ => Resource { resource_namespace: String::new(), name: stored.to_owned() },
    }
}

pub(crate) fn endpoints(endpoint: &Endpoint) -> Endpoints {
    let scheme = match endpoint.host.parse() {
        Ok(IpAddr::V4(_)) => AddressScheme::IPv4,
        Ok(IpAddr::V6(_)) => AddressScheme::IPv6,
        Err(_) => AddressScheme::DomainName,
    };
    let address = Address { host: endpoint.host.clone(), port: i32::from(endpoint.port) };
    Endpoints { scheme: scheme.into(), addresses: vec![address] }
}

/// The first usable address that a client names.
pub(crate) fn endpoint(endpoints: Option<&Endpoints>) -> Option<Endpoint> {
    endpoints?.addresses.iter().find_map(|address| {
        let port = u16::try_from(address.port).ok().filter(|port| *port != 0)?;
        let host = address.host.trim_start_matches('[').trim_end_matches(']');
        is_host(host).then(|| Endpoint { host: host.to_owned(), port })
    })
}

/// `host:port` as clients write it. A host without a port is none: some clients put a made-up
/// name in its place.
pub(crate) fn parse_endpoint(text: &str) -> Option<Endpoint> {
    let (host, port) = text.rsplit_once(':')?;
    let port = port.parse().ok().filter(|port| *port != 0)?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    is_host(host).then(|| Endpoint { host: host.to_owned(), port })
}

fn is_host(host: &str) -> bool {
    let name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    !host.is_empty() && host.len() <= 253 && (host.bytes().all(name) || host.parse::<IpAddr>().is_ok())
}

pub(crate) const fn message_type(kind: MessageKind) -> MessageType {
    match kind {
        MessageKind::Normal => MessageType::Normal,
        MessageKind::Fifo => MessageType::Fifo,
        MessageKind::Delay => MessageType::Delay,
        MessageKind::Transaction => MessageType::Transaction,
        MessageKind::Lite => MessageType::Lite,
        MessageKind::Priority => MessageType::Priority,
    }
}

/// Anything but SQL counts as tags; an empty expression takes everything.
pub(crate) fn filter(expression: Option<&FilterExpression>) -> Filter {
    let Some(expression) = expression else { return Filter::all() };
    if expression.r#type() == FilterType::Sql {
        Filter::sql92(&expression.expression)
    } else if expression.expression.trim().is_empty() {
        Filter::all()
    } else {
        Filter::tag(&expression.expression)
    }
}
