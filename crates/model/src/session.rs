//! Who calls, and how to reach them.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::ids::SessionId;
use crate::message::StoredMessage;
use crate::names::{GroupName, TopicName};

/// A name or address and a port, as it is told to clients.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    pub host: String,
    pub port: u16,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Self {
        Self { host: address.ip().to_canonical().to_string(), port: address.port() }
    }
}

/// What the engine tells a client unasked. Each protocol translates.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Notice {
    /// Members or subscriptions of a consumer group changed: balance again.
    MembersChanged { group: GroupName },
    /// A half message is undecided: say what became of its transaction.
    CheckTransaction { message: StoredMessage, producer_group: GroupName, transaction_id: String },
    /// A reply to a request that this client sent.
    Reply { message: StoredMessage },
    /// The group's progress was set anew: forget what was fetched.
    OffsetsReset { group: GroupName, topic: TopicName },
    /// Another client has the lite topic now: this one has it no more.
    LiteTaken { group: GroupName, topic: TopicName, lite_topic: String, client_id: String },
    /// The server goes away: use another node.
    GoAway,
}

/// Takes notices for one client. Must not block; a notice that cannot be taken is dropped.
pub trait NoticeSink: Send + Sync + 'static {
    /// Returns `false` if the client is gone or its buffer is full.
    fn notify(&self, notice: Notice) -> bool;
}

/// Swallows notices, for callers that cannot be reached.
#[derive(Debug, Clone, Copy)]
pub struct NoNotices;

impl NoticeSink for NoNotices {
    fn notify(&self, _notice: Notice) -> bool {
        false
    }
}

/// The caller of a verb. Cheap to clone.
#[derive(Clone)]
pub struct Session {
    pub id: SessionId,
    /// `remoting`, `grpc`, `rest`, ... for logs and metrics.
    pub protocol: &'static str,
    /// The client's address (from the PROXY protocol where there is one).
    pub peer: SocketAddr,
    /// The address that the client came in by, as it is to be told to clients.
    pub advertised: Endpoint,
    /// The name in the certificate that the client has shown in a TLS handshake and proved to own.
    pub certificate: Option<Arc<str>>,
    /// The user that the client has proved to be.
    pub user: Option<Arc<str>>,
    pub notices: Arc<dyn NoticeSink>,
}

impl Session {
    /// What callers inside the process have for a protocol: they may do everything.
    pub const INTERNAL: &'static str = "internal";

    /// A caller inside the process (command line, tests).
    #[must_use]
    pub fn internal() -> Self {
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        Self {
            id: SessionId(0),
            protocol: Self::INTERNAL,
            peer: nowhere,
            advertised: nowhere.into(),
            certificate: None,
            user: None,
            notices: Arc::new(NoNotices),
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}@{}", self.protocol, self.id, self.peer)
    }
}
