//! The server's certificate and what is agreed in TLS handshakes.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{CertificateParams, DnType, KeyPair};
use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::TlsConfig;
use crate::error::NetError;
use crate::protocol::{Protocol, Recognised};

const CERTIFICATE_FILE: &str = "server.crt";
const KEY_FILE: &str = "server.key";
/// How a client of each application protocol begins. Which of them a listener offers follows from
/// which its protocols recognise.
const ALPN: [(&[u8], &[u8]); 2] = [
    (b"h2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    (b"http/1.1", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
];

/// A certificate chain and its key.
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    self_signed: bool,
}

impl Identity {
    /// The configured certificate, or the self-signed one in `dir`, made (for `names`) if it is
    /// not there yet.
    ///
    /// # Errors
    /// If files cannot be read or written, or hold no certificate or key.
    pub fn load(config: &TlsConfig, dir: &Path, names: Vec<String>) -> Result<Self, NetError> {
        match (&config.certificate, &config.key) {
            (Some(certificate), Some(key)) => Self::read(certificate, key, false),
            (None, None) => {
                let (certificate, key) = (dir.join(CERTIFICATE_FILE), dir.join(KEY_FILE));
                if !(certificate.exists() && key.exists()) {
                    make(&certificate, &key, names)?;
                }
                Self::read(&certificate, &key, true)
            }
            _ => Err(NetError::HalfCertificate),
        }
    }

    fn read(certificate: &Path, key: &Path, self_signed: bool) -> Result<Self, NetError> {
        let chain = CertificateDer::pem_file_iter(certificate)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| unusable(certificate, &error))?;
        if chain.is_empty() {
            return Err(unusable(certificate, &"it holds no certificate"));
        }
        let key = PrivateKeyDer::from_pem_file(key).map_err(|error| unusable(key, &error))?;
        Ok(Self { chain, key, self_signed })
    }

    #[must_use]
    pub fn is_self_signed(&self) -> bool {
        self.self_signed
    }

    /// What a listener of `protocols` agrees to.
    pub(crate) fn server_config(
        &self,
        protocols: &[Arc<dyn Protocol>],
    ) -> Result<Arc<ServerConfig>, NetError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(self.chain.clone(), self.key.clone_key())?;
        let spoken = |start: &[u8]| protocols.iter().any(|p| p.recognises(start) == Recognised::Yes);
        config.alpn_protocols =
            ALPN.iter().filter(|(_, start)| spoken(start)).map(|(name, _)| name.to_vec()).collect();
        Ok(Arc::new(config))
    }
}

fn unusable(path: &Path, reason: &dyn std::fmt::Display) -> NetError {
    NetError::Certificate { path: PathBuf::from(path), reason: reason.to_string() }
}

/// The key is written first and the certificate last: both there means both whole.
fn make(certificate: &Path, key: &Path, names: Vec<String>) -> Result<(), NetError> {
    let failed = |error: rcgen::Error| NetError::SelfSigned(error.to_string());
    let mut params = CertificateParams::new(names).map_err(failed)?;
    params.distinguished_name.push(DnType::CommonName, "apogee");
    let pair = KeyPair::generate().map_err(failed)?;
    let signed = params.self_signed(&pair).map_err(failed)?;
    write_file(key, &pair.serialize_pem(), 0o600)?;
    write_file(certificate, &signed.pem(), 0o644)?;
    tracing::info!(certificate = %certificate.display(), "made a self-signed certificate");
    Ok(())
}

/// Not by the disk door: the key must be private from its first byte on, which that cannot say.
fn write_file(path: &Path, text: &str, mode: u32) -> Result<(), NetError> {
    let failed = |error: std::io::Error| unusable(path, &error);
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir).map_err(failed)?;
    }
    let new = path.with_extension("new");
    let _ = fs::remove_file(&new);
    let mut file =
        fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&new).map_err(failed)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
    fs::rename(&new, path).map_err(failed)
}
