//! Reads a connection's first bytes until it is clear what they begin.

use std::io;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::config::{ProxyMode, TlsMode};
use crate::limits::SNIFF_BYTES_MAX;
use crate::protocol::{Protocol, Recognised};
use crate::proxy::{Addresses, Header, parse};

/// Why a connection is closed before it is served.
#[derive(Debug, Error)]
pub(crate) enum Refusal {
    #[error("it ended before it said what it speaks: {0}")]
    Silent(#[from] io::Error),
    #[error("PROXY protocol: {0}")]
    Proxy(&'static str),
    #[error("it does not speak TLS, which this listener requires")]
    NotTls,
    #[error("it speaks TLS, which is disabled here")]
    TlsDisabled,
    #[error("TLS handshake: {0}")]
    Handshake(io::Error),
    #[error("no protocol of this listener begins with `{}`", .0.escape_ascii())]
    Unrecognised(Bytes),
    #[error("it did not say in time what it speaks")]
    Timeout,
}

impl Refusal {
    /// Label of the metric.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::Silent(_) => "silent",
            Self::Proxy(_) => "proxy_header",
            Self::NotTls => "not_tls",
            Self::TlsDisabled => "tls_disabled",
            Self::Handshake(_) => "tls_handshake",
            Self::Unrecognised(_) => "unrecognised",
            Self::Timeout => "timeout",
        }
    }
}

/// A stream and the bytes read off it so far.
pub(crate) struct Sniffer<S> {
    stream: S,
    seen: BytesMut,
}

impl<S: AsyncRead + Unpin> Sniffer<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, seen: BytesMut::new() }
    }

    pub(crate) fn into_parts(self) -> (Bytes, S) {
        (self.seen.freeze(), self.stream)
    }

    /// Reads some more; small steps, as most of what follows belongs to the protocol.
    async fn more(&mut self, at_least: usize) -> Result<(), Refusal> {
        let wanted = at_least.max(SNIFF_BYTES_MAX).saturating_sub(self.seen.len()).max(1);
        self.seen.reserve(wanted);
        let mut limited = (&mut self.stream).take(wanted as u64);
        if limited.read_buf(&mut self.seen).await? == 0 {
            return Err(Refusal::Silent(io::ErrorKind::UnexpectedEof.into()));
        }
        Ok(())
    }

    /// Takes a PROXY header off the stream, if there is one.
    pub(crate) async fn proxy_header(&mut self, mode: ProxyMode) -> Result<Option<Addresses>, Refusal> {
        if mode == ProxyMode::Off {
            return Ok(None);
        }
        loop {
            match parse(&self.seen) {
                Header::Absent if mode == ProxyMode::Required => {
                    return Err(Refusal::Proxy("no header of the PROXY protocol"));
                }
                Header::Absent => return Ok(None),
                Header::NeedMore(bytes) => self.more(bytes).await?,
                Header::Malformed(why) => return Err(Refusal::Proxy(why)),
                Header::Present { len, addresses } => {
                    let _ = self.seen.split_to(len);
                    return Ok(addresses);
                }
            }
        }
    }

    /// Whether a TLS handshake begins here. No plain protocol of ours starts so: as a length,
    /// these bytes are over every limit.
    pub(crate) async fn is_tls(&mut self, mode: TlsMode) -> Result<bool, Refusal> {
        loop {
            let tls = match *self.seen {
                [] | [0x16] => {
                    self.more(2).await?;
                    continue;
                }
                [0x16, 0x03, ..] => true,
                _ => false,
            };
            return match (mode, tls) {
                (TlsMode::Required, false) => Err(Refusal::NotTls),
                (TlsMode::Disabled, true) => Err(Refusal::TlsDisabled),
                _ => Ok(tls),
            };
        }
    }

    /// Which of `protocols` the bytes speak.
    pub(crate) async fn protocol(
        &mut self,
        protocols: &[Arc<dyn Protocol>],
    ) -> Result<Arc<dyn Protocol>, Refusal> {
        loop {
            let first = self.seen.get(..SNIFF_BYTES_MAX).unwrap_or(&self.seen);
            let mut undecided = self.seen.is_empty();
            for protocol in protocols {
                match protocol.recognises(first) {
                    Recognised::Yes => return Ok(Arc::clone(protocol)),
                    Recognised::No => {}
                    Recognised::NeedMore => undecided = true,
                }
            }
            if !undecided || self.seen.len() >= SNIFF_BYTES_MAX {
                return Err(Refusal::Unrecognised(self.seen.split().freeze()));
            }
            self.more(0).await?;
        }
    }
}
