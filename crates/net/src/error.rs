//! Why listeners cannot start.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use thiserror::Error;

#[derive(Debug, Error)]
pub enum NetError {
    #[error("cannot listen on {address} (listener `{listener}`)")]
    Bind { listener: String, address: SocketAddr, source: io::Error },
    #[error("listener `{listener}` names the protocol `{protocol}`; there are {known}")]
    UnknownProtocol { listener: String, protocol: String, known: String },
    #[error("listener `{listener}` names no protocol: give it at least one of {known}")]
    NoProtocol { listener: String, known: String },
    #[error("listener `{listener}` wants TLS, but there is no certificate")]
    NoCertificate { listener: String },
    #[error("cannot use the certificate or key in {path}: {reason}")]
    Certificate { path: PathBuf, reason: String },
    #[error(
        "a certificate needs its key and a key its certificate: set both `tls.certificate` and `tls.key`"
    )]
    HalfCertificate,
    #[error(
        "clients are to show certificates (`tls.client_auth`), but nobody is named who signs them: set `tls.client_ca`"
    )]
    NoClientAuthority,
    #[error("cannot make a certificate: {0}")]
    SelfSigned(String),
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
}
