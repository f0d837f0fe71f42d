//! gRPC over TLS where clients must show a certificate. No official client for the 5.x protocol can
//! show one, so a client of our own does.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use grpc::proto::messaging_service_client::MessagingServiceClient;
use grpc::proto::{QueryRouteRequest, Resource};
use hyper_util::rt::TokioIo;
use net::{ClientAuth, TlsMode};
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rustls::ClientConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::codegen::Service;
use tonic::codegen::http::Uri;
use tonic::transport::{Channel, Endpoint};

use crate::node::{address, config, post, start};

/// Signs certificates, each with its key behind it in one text.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(super) pem: String,
}

impl Authority {
    pub(super) fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let pair = KeyPair::generate().expect("a key");
        let pem = params.self_signed(&pair).expect("a certificate").pem();
        Self { issuer: Issuer::new(params, pair), pem }
    }

    pub(super) fn sign(&self, purpose: ExtendedKeyUsagePurpose) -> String {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).expect("legal names");
        params.extended_key_usages = vec![purpose];
        let pair = KeyPair::generate().expect("a key");
        params.signed_by(&pair, &self.issuer).expect("a certificate").pem() + &pair.serialize_pem()
    }
}

/// Connects over TLS, trusting one authority, with a certificate of its own or none.
#[derive(Clone)]
struct Connector {
    to: SocketAddr,
    tls: TlsConnector,
}

impl Connector {
    fn new(to: SocketAddr, trusted: &Authority, own: Option<&str>) -> Self {
        let mut roots = rustls::RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(trusted.pem.as_bytes()).expect("a certificate"))
            .expect("usable");
        let builder = ClientConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
            .with_safe_default_protocol_versions()
            .expect("ring knows them")
            .with_root_certificates(roots);
        let mut config = match own {
            None => builder.with_no_client_auth(),
            Some(pem) => {
                let chain = CertificateDer::from_pem_slice(pem.as_bytes()).expect("a certificate");
                let key = PrivateKeyDer::from_pem_slice(pem.as_bytes()).expect("a key");
                builder.with_client_auth_cert(vec![chain], key).expect("they fit")
            }
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        Self { to, tls: TlsConnector::from(Arc::new(config)) }
    }

    async fn client(&self) -> Result<MessagingServiceClient<Channel>, tonic::transport::Error> {
        let channel = Endpoint::from_static("http://localhost").connect_with_connector(self.clone()).await?;
        Ok(MessagingServiceClient::new(channel))
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<TlsStream<TcpStream>>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let Self { to, tls } = self.clone();
        Box::pin(async move {
            let name = ServerName::try_from("localhost").expect("a legal name");
            Ok(TokioIo::new(tls.connect(name, TcpStream::connect(to).await?).await?))
        })
    }
}

/// Asks for a route; the code of the answer, if there is one.
async fn ask(client: &mut MessagingServiceClient<Channel>) -> Option<i32> {
    let topic = Some(Resource { name: "t".to_owned(), ..Resource::default() });
    let mut request = tonic::Request::new(QueryRouteRequest { topic, endpoints: None });
    request.metadata_mut().insert("x-mq-client-id", "c".parse().expect("ascii"));
    let answer = client.query_route(request).await.ok()?;
    answer.into_inner().status.map(|status| status.code)
}

async fn let_in(connector: &Connector) -> bool {
    match connector.client().await {
        Ok(mut client) => ask(&mut client).await == Some(20_000),
        Err(_) => false,
    }
}

fn show(folder: &Path, pem: &str) {
    let (certificate, key) = pem.split_once("-----BEGIN PRIVATE KEY").expect("both");
    std::fs::write(folder.join("s.crt"), certificate).expect("a folder");
    std::fs::write(folder.join("s.key"), format!("-----BEGIN PRIVATE KEY{key}")).expect("a folder");
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_clients_show_certificates_and_go_on_when_ours_changes() {
    let dir = tempfile::tempdir().expect("a folder");
    let (first, second, of_clients) =
        (Authority::new("first"), Authority::new("second"), Authority::new("clients"));
    show(dir.path(), &first.sign(ExtendedKeyUsagePurpose::ServerAuth));
    std::fs::write(dir.path().join("clients.crt"), &of_clients.pem).expect("a folder");
    let mut config = config(&dir);
    config.listen.grpc.tls = TlsMode::Required;
    config.tls.certificate = Some(dir.path().join("s.crt"));
    config.tls.key = Some(dir.path().join("s.key"));
    config.tls.client_ca = Some(dir.path().join("clients.crt"));
    config.tls.client_auth = ClientAuth::Required;
    config.tls.reload_interval_ms = 50;
    let node = start(&config).await;
    let put = r#"{"config":{"name":"t"},"update":false}"#;
    assert!(post(address(&node, "http"), "/api/v1/operations/topic.put", put).await.contains("200 OK"));

    let grpc = address(&node, "grpc");
    let own = of_clients.sign(ExtendedKeyUsagePurpose::ClientAuth);
    let strange = Authority::new("clients").sign(ExtendedKeyUsagePurpose::ClientAuth);
    let mut early = Connector::new(grpc, &first, Some(&own)).client().await.expect("let in");
    assert_eq!(ask(&mut early).await, Some(20_000));
    assert!(!let_in(&Connector::new(grpc, &first, None)).await, "without a certificate");
    assert!(!let_in(&Connector::new(grpc, &first, Some(&strange))).await, "with one of another authority");
    assert!(!let_in(&Connector::new(grpc, &second, Some(&own))).await, "the server shows the first one yet");

    show(dir.path(), &second.sign(ExtendedKeyUsagePurpose::ServerAuth));
    let trusting_second = Connector::new(grpc, &second, Some(&own));
    while !let_in(&trusting_second).await {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert!(!let_in(&Connector::new(grpc, &first, Some(&own))).await, "new connections see the second one");
    assert_eq!(ask(&mut early).await, Some(20_000), "a connection that was there goes on");
    node.stop().await.expect("it stops in order");
}
