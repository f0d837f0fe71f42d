//! Certificates that clients show, and certificates that change while connections are open.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use base::Doors;
use net::tls::Identity;
use net::{ClientAuth, ListenerConfig, Listeners, Metrics, NetConfig, NetError, Protocol};
use net::{Serving, TlsConfig, TlsMode, TlsVersion};
use prometheus_client::registry::Registry;
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rustls::ClientConfig;
use rustls::version::TLS12;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::{Parrot, line, within};

/// Signs certificates.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

struct Signed {
    certificate: String,
    key: String,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let pair = KeyPair::generate().expect("a key");
        let pem = params.self_signed(&pair).expect("a certificate").pem();
        Self { issuer: Issuer::new(params, pair), pem }
    }

    fn sign(&self, name: &str, purpose: ExtendedKeyUsagePurpose) -> Signed {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).expect("legal names");
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![purpose];
        let pair = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&pair, &self.issuer).expect("a certificate").pem();
        Signed { certificate, key: pair.serialize_pem() }
    }

    fn server(&self, name: &str) -> Signed {
        self.sign(name, ExtendedKeyUsagePurpose::ServerAuth)
    }

    fn client(&self, name: &str) -> Signed {
        self.sign(name, ExtendedKeyUsagePurpose::ClientAuth)
    }
}

struct Rig {
    serving: Serving,
    folder: tempfile::TempDir,
    authority: Authority,
    registry: Registry,
}

fn put(folder: &Path, signed: &Signed) {
    fs::write(folder.join("s.crt"), &signed.certificate).expect("a folder");
    fs::write(folder.join("s.key"), &signed.key).expect("a folder");
}

impl Rig {
    async fn start(client_auth: ClientAuth, more: TlsConfig) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let authority = Authority::new("birds");
        put(folder.path(), &authority.server("first"));
        fs::write(folder.path().join("ca.crt"), &authority.pem).expect("a folder");
        let config = TlsConfig {
            certificate: Some(folder.path().join("s.crt")),
            key: Some(folder.path().join("s.key")),
            client_ca: Some(folder.path().join("ca.crt")),
            client_auth,
            ..more
        };
        let identity = Identity::load(&Doors::system(), &config, folder.path(), Vec::new()).expect("usable");
        let listener = ListenerConfig {
            protocols: vec!["crow".to_owned()],
            tls: TlsMode::Required,
            ..ListenerConfig::default()
        };
        let bound =
            Listeners::bind(&Doors::system(), NetConfig::default(), [("nest".to_owned(), listener)]).await;
        let crow: Arc<dyn Protocol> = Arc::new(Parrot { word: "crow", stubborn: false });
        let (metrics, mut registry) = (Metrics::default(), Registry::default());
        metrics.register(&mut registry);
        let serving = bound.expect("a free port").serve(&[crow], Some(identity), metrics).expect("it fits");
        Self { serving, folder, authority, registry }
    }

    fn client(&self, own: Option<&Signed>) -> ClientConfig {
        let mut roots = rustls::RootCertStore::empty();
        let root = CertificateDer::from_pem_slice(self.authority.pem.as_bytes()).expect("a certificate");
        roots.add(root).expect("a certificate");
        let builder = ClientConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
            .with_safe_default_protocol_versions()
            .expect("ring knows them")
            .with_root_certificates(roots);
        let Some(own) = own else { return builder.with_no_client_auth() };
        let chain = CertificateDer::from_pem_slice(own.certificate.as_bytes()).expect("a certificate");
        let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes()).expect("a key");
        builder.with_client_auth_cert(vec![chain], key).expect("they fit")
    }

    async fn open(&self, config: ClientConfig) -> io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(self.serving.bound()[0].address).await.expect("it listens");
        let name = ServerName::try_from("localhost").expect("a legal name");
        within(tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream)).await
    }

    /// What the parrot knows of a client; empty if it is not let in. (A client learns of a refusal
    /// only when it reads.)
    async fn known(&self, own: Option<&Signed>) -> String {
        let Ok(mut stream) = self.open(self.client(own)).await else { return String::new() };
        let _ = stream.write_all(b"crow\n").await;
        line(&mut stream).await
    }

    fn metric(&self, line: &str) -> Option<f64> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).expect("memory does not fail");
        text.lines().find_map(|l| l.strip_prefix(line)?.trim().parse().ok())
    }
}

#[tokio::test]
async fn clients_must_show_certificates_of_the_right_authority() {
    let rig = Rig::start(ClientAuth::Required, TlsConfig::default()).await;
    let ours = rig.authority.client("raven");
    assert!(rig.known(Some(&ours)).await.ends_with("tls=true certificate=raven"));
    assert_eq!(rig.known(None).await, "");
    let strange = Authority::new("birds").client("raven");
    assert_eq!(rig.known(Some(&strange)).await, "");
    let not_for_clients = rig.authority.server("raven");
    assert_eq!(rig.known(Some(&not_for_clients)).await, "");
    assert_eq!(rig.metric("net_connections_refused_total{reason=\"tls_handshake\"}"), Some(3.0));
}

#[tokio::test]
async fn clients_may_show_certificates() {
    let rig = Rig::start(ClientAuth::Optional, TlsConfig::default()).await;
    assert!(rig.known(None).await.ends_with("tls=true"));
    assert!(rig.known(Some(&rig.authority.client("raven"))).await.ends_with("certificate=raven"));
    assert_eq!(rig.known(Some(&Authority::new("birds").client("raven"))).await, "");
}

#[tokio::test]
async fn old_versions_can_be_refused() {
    let config = TlsConfig { min_version: TlsVersion::V1_3, ..TlsConfig::default() };
    let rig = Rig::start(ClientAuth::Off, config).await;
    assert!(rig.known(None).await.ends_with("tls=true"));
    let roots = rustls::RootCertStore::empty();
    let old = ClientConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
        .with_protocol_versions(&[&TLS12])
        .expect("ring knows it")
        .with_root_certificates(roots)
        .with_no_client_auth();
    rig.open(old).await.expect_err("1.2 is not spoken");
}

/// The certificate that the server has shown.
fn shown(stream: &TlsStream<TcpStream>) -> Vec<u8> {
    stream.get_ref().1.peer_certificates().expect("shown")[0].to_vec()
}

fn der(signed: &Signed) -> Vec<u8> {
    CertificateDer::from_pem_slice(signed.certificate.as_bytes()).expect("a certificate").to_vec()
}

#[tokio::test]
async fn a_new_certificate_is_for_new_connections() {
    let rig = Rig::start(ClientAuth::Off, TlsConfig { reload_interval_ms: 0, ..TlsConfig::default() }).await;
    let mut before = rig.open(rig.client(None)).await.expect("let in");
    before.write_all(b"crow\n").await.expect("open");
    assert!(line(&mut before).await.ends_with("tls=true"));
    let second = rig.authority.server("second");
    put(rig.folder.path(), &second);
    rig.serving.reload_certificates();
    rig.serving.reload_certificates();
    assert_eq!(rig.metric("net_tls_reloads_total{outcome=\"taken\"}"), Some(1.0));
    let after = rig.open(rig.client(None)).await.expect("let in");
    assert_eq!(shown(&after), der(&second));
    assert_ne!(shown(&before), der(&second));
    before.write_all(b"hello\n").await.expect("the old connection goes on");
    assert_eq!(line(&mut before).await, "hello");
}

#[tokio::test]
async fn a_broken_certificate_changes_nothing() {
    let rig = Rig::start(ClientAuth::Off, TlsConfig { reload_interval_ms: 0, ..TlsConfig::default() }).await;
    let first = shown(&rig.open(rig.client(None)).await.expect("let in"));
    let other_key = rig.authority.server("second").key;
    for broken in ["", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", &other_key] {
        fs::write(rig.folder.path().join("s.key"), broken).expect("a folder");
        rig.serving.reload_certificates();
        rig.serving.reload_certificates();
        assert_eq!(shown(&rig.open(rig.client(None)).await.expect("let in")), first);
    }
    fs::remove_file(rig.folder.path().join("s.key")).expect("it is there");
    rig.serving.reload_certificates();
    let line = "net_tls_reloads_total{outcome=\"refused\"}";
    assert_eq!(rig.metric(line), Some(4.0), "each broken state is told once");
    let third = rig.authority.server("third");
    put(rig.folder.path(), &third);
    rig.serving.reload_certificates();
    assert_eq!(shown(&rig.open(rig.client(None)).await.expect("let in")), der(&third));
}

#[tokio::test]
async fn changes_are_seen_unasked_and_halves_of_them_are_not_told() {
    let rig =
        Rig::start(ClientAuth::Required, TlsConfig { reload_interval_ms: 5, ..TlsConfig::default() }).await;
    let other = Authority::new("fish");
    assert_eq!(rig.known(Some(&other.client("pike"))).await, "");
    fs::write(rig.folder.path().join("ca.new"), &other.pem).expect("a folder");
    fs::rename(rig.folder.path().join("ca.new"), rig.folder.path().join("ca.crt")).expect("a folder");
    within(async {
        while rig.metric("net_tls_reloads_total{outcome=\"taken\"}").is_none() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(rig.known(Some(&other.client("pike"))).await.ends_with("certificate=pike"));
    assert_eq!(rig.known(Some(&rig.authority.client("raven"))).await, "");
    fs::write(rig.folder.path().join("s.key"), "").expect("a folder");
    within(async {
        while rig.metric("net_tls_reloads_total{outcome=\"refused\"}").is_none() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[test]
fn who_asks_for_certificates_must_say_whose() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = TlsConfig { client_auth: ClientAuth::Required, ..TlsConfig::default() };
    let refused = Identity::load(&Doors::system(), &config, folder.path(), vec!["localhost".to_owned()]);
    assert!(matches!(refused, Err(NetError::NoClientAuthority)));
}
