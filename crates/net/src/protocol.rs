//! The waist between listeners and wire protocols.

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use model::{Endpoint, SessionId};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

/// A byte stream in both directions, TLS and PROXY header already taken off.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> ByteStream for T {}

/// What a protocol says of a connection's first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recognised {
    Yes,
    No,
    /// Not enough bytes to tell.
    NeedMore,
}

/// A connection, ready for its protocol. The first bytes that were looked at are still in the stream.
pub struct Accepted {
    pub stream: Box<dyn ByteStream>,
    /// The client (as the PROXY protocol names it, where it is spoken).
    pub peer: SocketAddr,
    /// The address that the client connected to, as this machine sees it.
    pub local: SocketAddr,
    /// The address that the client came in by, as it is to be told to clients.
    pub advertised: Endpoint,
    pub session: SessionId,
    pub tls: bool,
    /// The name in the certificate that the client has shown, if it had to and did.
    pub certificate: Option<Arc<str>>,
    pub drain: Drain,
}

/// Tells connections that the server wants to stop: finish what runs, take nothing new.
#[derive(Debug, Clone, Default)]
pub struct Drain(CancellationToken);

impl Drain {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    pub fn request(&self) {
        self.0.cancel();
    }

    #[must_use]
    pub fn is_requested(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Completes when the drain is requested.
    pub async fn requested(&self) {
        self.0.cancelled().await;
    }
}

/// One wire protocol.
#[async_trait]
pub trait Protocol: Send + Sync + 'static {
    /// `remoting`, `grpc`, ... for logs, metrics and configuration.
    fn name(&self) -> &'static str;
    /// Looks at a connection's first bytes (at most 64 of them are offered).
    fn recognises(&self, first_bytes: &[u8]) -> Recognised;
    /// Serves the connection until it ends. Must return soon after a drain is requested.
    async fn serve(self: Arc<Self>, connection: Accepted);
}
