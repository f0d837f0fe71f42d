//! One call: who makes it, by which way, and how long it may take.
//!
//! Facts: `ContextInterceptor`, `HeaderInterceptor` of RocketMQ 5.5 (headers `x-mq-client-id`,
//! `x-mq-language`, `x-mq-client-version`), gRPC over HTTP/2 (`grpc-timeout`).

use std::net::SocketAddr;
use std::sync::Arc;

use model::session::NoNotices;
use model::{Endpoint, Session, SessionId};
use net::Drain;

use crate::answer::Refusal;
use crate::clients::{Client, Registration};
use crate::convert::names;
use crate::http2::hpack::{Field, Head};
use crate::limits::CLIENT_ID_BYTES_MAX;
use crate::node::Node;
use crate::proto::{Code, Endpoints};
use crate::settings::{ClientSettings, Role};
use crate::signature;

/// A connection, as all calls on it see it.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) peer: SocketAddr,
    pub(crate) advertised: Endpoint,
    pub(crate) session: SessionId,
    pub(crate) certificate: Option<Arc<str>>,
    pub(crate) drain: Drain,
}

impl Connection {
    /// A caller of whom only the connection is known.
    pub(crate) fn stranger(&self, advertised: Endpoint) -> Session {
        Session {
            id: self.session,
            protocol: crate::NAME,
            peer: self.peer,
            advertised,
            certificate: self.certificate.clone(),
            user: None,
            notices: Arc::new(NoNotices),
        }
    }
}

/// What the operator says, what the connection was opened to, what the client says that it was
/// configured with, what we see: the first of them that is an address.
fn advertised(
    node: &Node,
    authority: Option<&str>,
    said: Option<&Endpoints>,
    connection: &Connection,
) -> Endpoint {
    node.advertised
        .clone()
        .or_else(|| names::parse_endpoint(authority?))
        .or_else(|| names::endpoint(said))
        .unwrap_or_else(|| connection.advertised.clone())
}

/// What the transport knows of a request.
#[derive(Debug)]
pub(crate) struct Origin {
    pub(crate) connection: Arc<Connection>,
    pub(crate) head: Box<Head>,
}

pub(crate) struct Call {
    pub(crate) node: Arc<Node>,
    pub(crate) client_id: Arc<str>,
    /// `None`: the client has not sent its settings.
    pub(crate) client: Option<Arc<Client>>,
    pub(crate) connection: Arc<Connection>,
    pub(crate) session: Arc<Session>,
    head: Box<Head>,
    begun_ms: i64,
}

impl Call {
    pub(crate) fn new(node: &Arc<Node>, origin: Origin) -> Result<Self, Refusal> {
        let Origin { connection, head } = origin;
        let id = client_id(&head)?;
        let auth = &*node.auth;
        let user = if auth.is_required() { Some(signature::signer(&head, auth)?) } else { None };
        let client = node.clients.get(id);
        let client_id = client.as_ref().map_or_else(|| Arc::from(id), |client| client.id.clone());
        let begun_ms = node.monotonic_ms();
        let session = match &client {
            Some(client) => client.session(),
            None => {
                Arc::new(connection.stranger(advertised(node, head.get(Field::Authority), None, &connection)))
            }
        };
        let session = of_user(session, user);
        Ok(Self { node: node.clone(), client_id, client, connection, session, head, begun_ms })
    }

    /// Makes an entry for a client that has sent no settings, so that what it holds can be renewed.
    pub(crate) fn make_known(&mut self) {
        if self.client.is_some() {
            return;
        }
        let registration = Registration {
            id: self.client_id.clone(),
            caller: (*self.session).clone(),
            settings: ClientSettings { role: Role::Unsaid, request_timeout_ms: 0 },
            now_ms: self.begun_ms,
        };
        // With too many clients this one goes without.
        self.client = self.node.clients.known(registration).ok();
        if let Some(client) = &self.client {
            self.session = of_user(client.session(), self.session.user.clone());
        }
    }

    /// The address that this very request came in by.
    pub(crate) fn advertised(&self, said: Option<&Endpoints>) -> Endpoint {
        advertised(&self.node, self.head.get(Field::Authority), said, &self.connection)
    }

    /// The session with the address that this very request is to be answered with.
    pub(crate) fn session_at(&self, said: Option<&Endpoints>) -> Session {
        Session { advertised: self.advertised(said), ..(*self.session).clone() }
    }

    /// `JAVA`, `GO`, ...
    pub(crate) fn language(&self) -> &str {
        self.head.get(Field::Language).unwrap_or_default()
    }

    pub(crate) fn client_version(&self) -> Option<&str> {
        self.head.get(Field::ClientVersion)
    }

    /// The client's version as the 4.x protocol counts them, for tools that show it
    /// (`MQVersion`: 5.0.0 is 413, each patch two more, ten patches to a minor version).
    pub(crate) fn version_number(&self) -> i32 {
        version_number(self.client_version().unwrap_or_default()).unwrap_or(CURRENT_VERSION)
    }

    /// How long the client still waits for the answer.
    pub(crate) fn remaining_ms(&self) -> i64 {
        let Some(timeout_ms) = self.head.get(Field::GrpcTimeout).and_then(parse_timeout_ms) else {
            return i64::MAX;
        };
        let spent_ms = self.node.monotonic_ms().saturating_sub(self.begun_ms);
        timeout_ms.saturating_sub(spent_ms).saturating_sub(self.node.config.deadline_reserve_ms)
    }
}

/// `V5_5_0` of `MQVersion`.
const CURRENT_VERSION: i32 = 513;

fn version_number(text: &str) -> Option<i32> {
    let text = text.trim_start_matches(['v', 'V']);
    let mut parts = text.split(['.', '-']).map(str::parse::<i32>);
    let mut next = || parts.next()?.ok();
    let (major, minor, patch) = (next()?, next()?, next().unwrap_or(0));
    let in_range = major == 5 && (0..=9).contains(&minor) && (0..=9).contains(&patch);
    in_range.then(|| 413 + 2 * (10 * minor + patch))
}

/// A session is its client's, but each request is signed by itself.
fn of_user(session: Arc<Session>, user: Option<Arc<str>>) -> Arc<Session> {
    if session.user == user { session } else { Arc::new(Session { user, ..(*session).clone() }) }
}

fn client_id(head: &Head) -> Result<&str, Refusal> {
    let id = head.get(Field::ClientId).unwrap_or_default();
    if id.is_empty() || id.len() > CLIENT_ID_BYTES_MAX {
        let text = format!("the header x-mq-client-id must hold 1 to {CLIENT_ID_BYTES_MAX} characters");
        return Err(Refusal::new(Code::ClientIdRequired, text));
    }
    Ok(id)
}

/// At most eight digits and a unit.
fn parse_timeout_ms(text: &str) -> Option<i64> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let count: i64 = digits.parse().ok()?;
    match unit {
        "H" => Some(count * 3_600_000),
        "M" => Some(count * 60_000),
        "S" => Some(count * 1_000),
        "m" => Some(count),
        "u" => Some(count / 1_000),
        "n" => Some(count / 1_000_000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_read_in_every_unit() {
        let cases = [
            ("20S", Some(20_000)),
            ("3000m", Some(3_000)),
            ("99999999u", Some(99_999)),
            ("5000000n", Some(5)),
            ("1H", Some(3_600_000)),
            ("2M", Some(120_000)),
            ("", None),
            ("S", None),
            ("-1S", None),
            ("123456789S", None),
            ("1x", None),
            ("1µ", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_timeout_ms(text), expected, "{text}");
        }
    }

    #[test]
    fn versions_are_numbered_as_4x_tools_expect() {
        let cases = [
            ("5.0.0", Some(413)),
            ("5.5.0", Some(513)),
            ("v5.1.3", Some(439)),
            ("5.0.8-SNAPSHOT", Some(429)),
            ("1.0", None),
            ("x", None),
        ];
        for (text, expected) in cases {
            assert_eq!(version_number(text), expected, "{text}");
        }
    }
}
