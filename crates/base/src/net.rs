//! The door to the network: byte streams only.

use std::io;
use std::net::SocketAddr;

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};

/// The thread whose runtime waits for a connection's bytes, where it matters.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Home(pub usize);

/// A byte stream in both directions.
pub trait Connection: AsyncRead + AsyncWrite + Send + Unpin + 'static {
    /// The address of the far end.
    fn peer(&self) -> io::Result<SocketAddr>;
    /// The address that the far end connected to, as this machine sees it.
    fn local(&self) -> io::Result<SocketAddr>;
    /// Where it is best worked on.
    fn home(&self) -> Home {
        Home::default()
    }
}

/// Waits for connections at one address.
#[async_trait]
pub trait Listener: Send + Sync + 'static {
    async fn accept(&self) -> io::Result<Box<dyn Connection>>;
    fn local(&self) -> io::Result<SocketAddr>;
}

/// Makes listeners and connections.
#[async_trait]
pub trait Net: Send + Sync + 'static {
    async fn listen(&self, address: SocketAddr) -> io::Result<Box<dyn Listener>>;
    async fn connect(&self, address: SocketAddr) -> io::Result<Box<dyn Connection>>;
}

/// The machine's TCP.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemNet;

impl Connection for TcpStream {
    fn peer(&self) -> io::Result<SocketAddr> {
        self.peer_addr()
    }

    fn local(&self) -> io::Result<SocketAddr> {
        self.local_addr()
    }
}

#[async_trait]
impl Listener for TcpListener {
    async fn accept(&self) -> io::Result<Box<dyn Connection>> {
        let (stream, _) = TcpListener::accept(self).await?;
        stream.set_nodelay(true)?;
        Ok(Box::new(stream))
    }

    fn local(&self) -> io::Result<SocketAddr> {
        self.local_addr()
    }
}

#[async_trait]
impl Net for SystemNet {
    async fn listen(&self, address: SocketAddr) -> io::Result<Box<dyn Listener>> {
        Ok(Box::new(TcpListener::bind(address).await?))
    }

    async fn connect(&self, address: SocketAddr) -> io::Result<Box<dyn Connection>> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Box::new(stream))
    }
}
