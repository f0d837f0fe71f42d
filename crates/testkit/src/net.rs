//! Simulated network: none yet. Whole-node tests use real sockets.

use std::io;
use std::net::SocketAddr;

use async_trait::async_trait;
use base::{Connection, Listener, Net};

/// Refuses every connection and listener as unsupported.
#[derive(Debug, Default, Clone, Copy)]
pub struct SimNet;

fn unsupported() -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, "the simulation has no network")
}

#[async_trait]
impl Net for SimNet {
    async fn listen(&self, _address: SocketAddr) -> io::Result<Box<dyn Listener>> {
        Err(unsupported())
    }

    async fn connect(&self, _address: SocketAddr) -> io::Result<Box<dyn Connection>> {
        Err(unsupported())
    }
}
