//! The server's certificate, whose certificates clients may show, and what is agreed in TLS handshakes.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base::{Disk, Doors, OpenMode};
use parking_lot::Mutex;
use rcgen::{CertificateParams, DnType, KeyPair};
use rustls::crypto::CryptoProvider;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::{ClientAuth, TlsConfig, TlsVersion};
use crate::error::NetError;
use crate::limits::PEM_BYTES_MAX;
use crate::protocol::{Protocol, Recognised};

const CERTIFICATE_FILE: &str = "server.crt";
const KEY_FILE: &str = "server.key";
/// How a client of each application protocol begins. Which of them a listener offers follows from
/// which its protocols recognise.
const ALPN: [(&[u8], &[u8]); 2] = [
    (b"h2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    (b"http/1.1", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
];

/// What the files held when they were read.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Material {
    certificate: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
}

/// Who we are, and whom we ask who they are: files, and what they hold.
pub struct Identity {
    config: TlsConfig,
    certificate: PathBuf,
    key: PathBuf,
    disk: Arc<dyn Disk>,
    pub(crate) material: Material,
    self_signed: bool,
}

/// What a listener agrees to in handshakes; it can change.
pub(crate) struct Agreed(Mutex<Arc<ServerConfig>>);

impl Agreed {
    pub(crate) fn new(config: Arc<ServerConfig>) -> Self {
        Self(Mutex::new(config))
    }

    pub(crate) fn now(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.0.lock())
    }

    pub(crate) fn change(&self, config: Arc<ServerConfig>) {
        *self.0.lock() = config;
    }
}

impl Identity {
    /// The configured certificate, or the self-signed one in `dir`, made (for `names`) if it is
    /// not there yet.
    ///
    /// # Errors
    /// If files cannot be read or written, or hold no certificate or key.
    pub fn load(doors: &Doors, config: &TlsConfig, dir: &Path, names: Vec<String>) -> Result<Self, NetError> {
        let (certificate, key, self_signed) = match (&config.certificate, &config.key) {
            (Some(certificate), Some(key)) => (certificate.clone(), key.clone(), false),
            (None, None) => {
                let (certificate, key) = (dir.join(CERTIFICATE_FILE), dir.join(KEY_FILE));
                if !(certificate.exists() && key.exists()) {
                    make(&certificate, &key, names)?;
                }
                (certificate, key, true)
            }
            _ => return Err(NetError::HalfCertificate),
        };
        let material = read_all(&*doors.disk, config, &certificate, &key)?;
        let disk = Arc::clone(&doors.disk);
        let identity = Self { config: config.clone(), certificate, key, disk, material, self_signed };
        identity.server_config(&identity.material, &[])?;
        Ok(identity)
    }

    #[must_use]
    pub fn is_self_signed(&self) -> bool {
        self.self_signed
    }

    /// How often the files are to be looked at.
    pub(crate) fn reload_interval(&self) -> Option<Duration> {
        let ms = self.config.reload_interval_ms;
        (ms > 0).then(|| Duration::from_millis(ms))
    }

    /// What the files hold now.
    pub(crate) fn read_again(&self) -> Result<Material, NetError> {
        read_all(&*self.disk, &self.config, &self.certificate, &self.key)
    }

    /// What a listener of `protocols` agrees to.
    pub(crate) fn server_config(
        &self,
        material: &Material,
        protocols: &[Arc<dyn Protocol>],
    ) -> Result<Arc<ServerConfig>, NetError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let versions: &[_] = match self.config.min_version {
            TlsVersion::V1_2 => &[&TLS13, &TLS12],
            TlsVersion::V1_3 => &[&TLS13],
        };
        let builder =
            ServerConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(versions)?;
        let builder = match self.client_verifier(material, provider)? {
            Some(verifier) => builder.with_client_cert_verifier(verifier),
            None => builder.with_no_client_auth(),
        };
        let chain = certificates(&self.certificate, &material.certificate)?;
        let key =
            PrivateKeyDer::from_pem_slice(&material.key).map_err(|error| unusable(&self.key, &error))?;
        let built = builder.with_single_cert(chain, key);
        let mut config = built.map_err(|error| unusable(&self.certificate, &error))?;
        let spoken = |start: &[u8]| protocols.iter().any(|p| p.recognises(start) == Recognised::Yes);
        config.alpn_protocols =
            ALPN.iter().filter(|(_, start)| spoken(start)).map(|(name, _)| name.to_vec()).collect();
        Ok(Arc::new(config))
    }

    fn client_verifier(
        &self,
        material: &Material,
        provider: Arc<CryptoProvider>,
    ) -> Result<Option<Arc<dyn ClientCertVerifier>>, NetError> {
        if self.config.client_auth == ClientAuth::Off {
            return Ok(None);
        }
        let (Some(path), Some(pem)) = (&self.config.client_ca, &material.client_ca) else {
            return Err(NetError::NoClientAuthority);
        };
        let mut roots = RootCertStore::empty();
        for root in certificates(path, pem)? {
            roots.add(root).map_err(|error| unusable(path, &error))?;
        }
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        let builder = match self.config.client_auth {
            ClientAuth::Optional => builder.allow_unauthenticated(),
            ClientAuth::Off | ClientAuth::Required => builder,
        };
        builder.build().map(Some).map_err(|error| unusable(path, &error))
    }
}

fn read_all(
    disk: &dyn Disk,
    config: &TlsConfig,
    certificate: &Path,
    key: &Path,
) -> Result<Material, NetError> {
    let authority = config.client_ca.as_deref().filter(|_| config.client_auth != ClientAuth::Off);
    Ok(Material {
        certificate: read(disk, certificate)?,
        key: read(disk, key)?,
        client_ca: authority.map(|path| read(disk, path)).transpose()?,
    })
}

fn read(disk: &dyn Disk, path: &Path) -> Result<Vec<u8>, NetError> {
    let failed = |error: std::io::Error| unusable(path, &error);
    let file = disk.open(path, OpenMode::Read).map_err(failed)?;
    let len = file.len().map_err(failed)?;
    if len > PEM_BYTES_MAX {
        return Err(unusable(path, &format!("it has {len} bytes, allowed are {PEM_BYTES_MAX}")));
    }
    let mut bytes = vec![0; usize::try_from(len).unwrap_or_default()];
    file.read_exact_at(&mut bytes, 0).map_err(failed)?;
    Ok(bytes)
}

fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, NetError> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let chain = chain.map_err(|error| unusable(path, &error))?;
    if chain.is_empty() {
        return Err(unusable(path, &"it holds no certificate"));
    }
    Ok(chain)
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
