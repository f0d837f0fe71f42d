//! Settings of listeners and connections. The doc comments are the manual.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Connections of all listeners.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NetConfig {
    /// Most open connections; more are closed at once.
    pub connections_max: usize,
    /// Most open connections from one address; more are closed at once. Raise it where a proxy
    /// stands before the engine: all its connections come from one address.
    pub connections_per_ip_max: usize,
    /// A connection that has not shown its protocol (TLS handshake included) for so long is closed.
    pub sniff_timeout_ms: u64,
    /// A connection whose client takes none of what waits for it for so long is closed.
    pub write_stall_ms: u64,
    /// How long connections may go on after the server was told to stop; then they are cut.
    pub drain_ms: u64,
}

impl Default for NetConfig {
    fn default() -> Self {
        Self {
            connections_max: 65_536,
            connections_per_ip_max: 16_384,
            sniff_timeout_ms: 10_000,
            write_stall_ms: 60_000,
            drain_ms: 10_000,
        }
    }
}

/// One listening address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ListenerConfig {
    /// Listen at all.
    pub enabled: bool,
    /// Where to listen. Port 0 takes any free one.
    pub address: SocketAddr,
    /// Protocols spoken here, told apart by their first bytes: `remoting`, `grpc`, `rest`.
    pub protocols: Vec<String>,
    /// `disabled`, `permissive` (TLS and plain on the same port) or `required`.
    pub tls: TlsMode,
    /// Header of the PROXY protocol, by which a load balancer tells the client's address:
    /// `off`, `auto` (taken if it comes) or `required`.
    pub proxy_protocol: ProxyMode,
    /// Host that clients are told instead of the address that they came in by. Needed where they
    /// reach the engine by a name or through address translation.
    pub advertised_host: Option<String>,
    /// Port that clients are told instead of the port that they came in by.
    pub advertised_port: Option<u16>,
    /// Log clients that come and go. Off where health checks would fill the log.
    pub log_clients: bool,
}

impl Default for ListenerConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            protocols: Vec::new(),
            tls: TlsMode::Permissive,
            proxy_protocol: ProxyMode::Auto,
            advertised_host: None,
            advertised_port: None,
            log_clients: true,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TlsMode {
    Disabled,
    Permissive,
    Required,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProxyMode {
    Off,
    Auto,
    Required,
}

/// Certificates: ours, and which ones clients must show. Changed files are taken while running: new
/// connections see the new certificate, open ones go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TlsConfig {
    /// Certificate chain, PEM. Without it a self-signed one is made at the first start and kept
    /// in the data folder.
    pub certificate: Option<PathBuf>,
    /// Private key of the certificate, PEM.
    pub key: Option<PathBuf>,
    /// Certificates of those who sign clients' certificates, PEM. Needed unless `client_auth` is `off`.
    pub client_ca: Option<PathBuf>,
    /// Whether clients that come by TLS show a certificate: `off` (none is asked for), `optional`
    /// (one that comes must be good) or `required`. Clients without TLS are not asked: set
    /// `listen.<name>.tls` to `required` where all must come by TLS.
    pub client_auth: ClientAuth,
    /// Oldest version of TLS that is spoken: `1.2` or `1.3`.
    pub min_version: TlsVersion,
    /// How often the files are looked at for changes. 0: only when the process gets SIGHUP. Files
    /// that cannot be used change nothing; a warning tells why.
    pub reload_interval_ms: u64,
}

impl Default for TlsConfig {
    fn default() -> Self {
        Self {
            certificate: None,
            key: None,
            client_ca: None,
            client_auth: ClientAuth::Off,
            min_version: TlsVersion::V1_2,
            reload_interval_ms: 10_000,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientAuth {
    Off,
    Optional,
    Required,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TlsVersion {
    #[serde(rename = "1.2")]
    V1_2,
    #[serde(rename = "1.3")]
    V1_3,
}
