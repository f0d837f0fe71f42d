//! Each way in, over real sockets on the loopback interface.
#![expect(clippy::disallowed_methods, reason = "tests over real sockets run in real time")]

mod certificates;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base::Doors;
use net::tls::Identity;
use net::{
    Accepted, ListenerConfig, Listeners, Metrics, NetConfig, NetError, Protocol, ProxyMode, Recognised,
    Serving, TlsConfig, TlsMode,
};
use rustls_pki_types::ServerName;
use rustls_pki_types::pem::PemObject;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

/// Speaks to who says `<word>\n`: tells what it knows of the connection, then echoes until the drain.
struct Parrot {
    word: &'static str,
    /// Ignores the drain.
    stubborn: bool,
}

#[async_trait]
impl Protocol for Parrot {
    fn name(&self) -> &'static str {
        self.word
    }

    fn recognises(&self, first_bytes: &[u8]) -> Recognised {
        let alike = first_bytes.iter().zip(self.word.as_bytes()).all(|(a, b)| a == b);
        match alike {
            false => Recognised::No,
            true if first_bytes.len() < self.word.len() => Recognised::NeedMore,
            true => Recognised::Yes,
        }
    }

    async fn serve(self: Arc<Self>, mut connection: Accepted) {
        let known = format!(
            "{} peer={} advertised={} tls={}{}\n",
            self.word,
            connection.peer.ip(),
            connection.advertised,
            connection.tls,
            connection.certificate.as_deref().map(|name| format!(" certificate={name}")).unwrap_or_default()
        );
        let mut word = vec![0; self.word.len() + 1];
        connection.stream.read_exact(&mut word).await.expect("the first bytes are still there");
        assert_eq!(word, format!("{}\n", self.word).as_bytes());
        connection.stream.write_all(known.as_bytes()).await.expect("the client reads");
        let mut buffer = [0; 1024];
        loop {
            let count = tokio::select! {
                read = connection.stream.read(&mut buffer) => read.unwrap_or(0),
                () = connection.drain.requested(), if !self.stubborn => 0,
            };
            if count == 0 || connection.stream.write_all(&buffer[..count]).await.is_err() {
                return;
            }
        }
    }
}

struct Rig {
    serving: Serving,
    identity_dir: tempfile::TempDir,
}

impl Rig {
    async fn start(listener: ListenerConfig, net: NetConfig) -> Self {
        Self::with(listener, net, false).await
    }

    async fn with(listener: ListenerConfig, net: NetConfig, stubborn: bool) -> Self {
        let identity_dir = tempfile::tempdir().expect("a folder");
        let identity = Identity::load(
            &Doors::system(),
            &TlsConfig::default(),
            identity_dir.path(),
            vec!["localhost".to_owned()],
        )
        .expect("a certificate can be made");
        let listener = ListenerConfig { protocols: vec!["cuckoo".to_owned(), "crow".to_owned()], ..listener };
        let listeners = Listeners::bind(&Doors::system(), net, [("nest".to_owned(), listener)])
            .await
            .expect("a free port");
        let protocols: Vec<Arc<dyn Protocol>> =
            vec![Arc::new(Parrot { word: "crow", stubborn }), Arc::new(Parrot { word: "cuckoo", stubborn })];
        let serving = listeners.serve(&protocols, Some(identity), Metrics::default()).expect("it fits");
        Self { serving, identity_dir }
    }

    fn address(&self) -> SocketAddr {
        self.serving.bound()[0].address
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address()).await.expect("it listens")
    }

    async fn connect_tls(&self, first: &[u8]) -> tokio_rustls::client::TlsStream<TcpStream> {
        let mut roots = rustls::RootCertStore::empty();
        let file = self.identity_dir.path().join("server.crt");
        let certificate = rustls_pki_types::CertificateDer::from_pem_file(file).expect("it was made");
        roots.add(certificate).expect("it is a certificate");
        let config =
            rustls::ClientConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
                .with_safe_default_protocol_versions()
                .expect("ring knows them")
                .with_root_certificates(roots)
                .with_no_client_auth();
        let mut stream = self.connect().await;
        stream.write_all(first).await.expect("it is open");
        let name = ServerName::try_from("localhost").expect("a legal name");
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        connector.connect(name, stream).await.expect("the handshake succeeds")
    }
}

async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(10), future).await.expect("it takes no ten seconds")
}

async fn line(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut out = Vec::new();
    loop {
        match within(stream.read_u8()).await {
            Ok(b'\n') | Err(_) => return String::from_utf8(out).expect("text"),
            Ok(byte) => out.push(byte),
        }
    }
}

async fn converse(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), first: &[u8]) -> String {
    stream.write_all(first).await.expect("it is open");
    line(stream).await
}

async fn assert_closed(stream: &mut TcpStream) {
    let mut byte = [0];
    let read = within(stream.read(&mut byte)).await;
    assert!(matches!(read, Ok(0) | Err(_)), "expected the end, got {read:?}");
}

fn v2_header(source: [u8; 4], destination: [u8; 4], port: u16) -> Vec<u8> {
    let mut out = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0C".to_vec();
    out.extend(source);
    out.extend(destination);
    out.extend(4_000_u16.to_be_bytes());
    out.extend(port.to_be_bytes());
    out
}

#[tokio::test]
async fn the_first_bytes_choose_the_protocol() {
    let rig = Rig::start(ListenerConfig::default(), NetConfig::default()).await;
    let port = rig.address().port();
    for word in ["crow", "cuckoo"] {
        let answer = converse(&mut rig.connect().await, format!("{word}\n").as_bytes()).await;
        assert_eq!(answer, format!("{word} peer=127.0.0.1 advertised=127.0.0.1:{port} tls=false"));
    }
}

#[tokio::test]
async fn bytes_may_come_one_by_one() {
    let rig = Rig::start(ListenerConfig::default(), NetConfig::default()).await;
    let mut stream = rig.connect().await;
    stream.set_nodelay(true).expect("it is open");
    for byte in b"cuckoo\n" {
        stream.write_all(&[*byte]).await.expect("it is open");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(line(&mut stream).await.starts_with("cuckoo"));
    assert_eq!(converse(&mut stream, b"hello\n").await, "hello");
}

#[tokio::test]
async fn a_proxy_header_tells_both_addresses() {
    let rig = Rig::start(ListenerConfig::default(), NetConfig::default()).await;
    let mut v1 = b"PROXY TCP4 192.0.2.7 198.51.100.1 4000 10911\r\ncrow\n".to_vec();
    let mut v2 = v2_header([192, 0, 2, 7], [198, 51, 100, 1], 10_911);
    v2.extend(b"crow\n");
    for first in [&mut v1, &mut v2] {
        let answer = converse(&mut rig.connect().await, first).await;
        assert_eq!(answer, "crow peer=192.0.2.7 advertised=198.51.100.1:10911 tls=false");
    }
}

#[tokio::test]
async fn advertised_names_win() {
    let listener = ListenerConfig {
        advertised_host: Some("mq.example".to_owned()),
        advertised_port: Some(31_000),
        ..ListenerConfig::default()
    };
    let rig = Rig::start(listener, NetConfig::default()).await;
    let answer = converse(&mut rig.connect().await, b"crow\n").await;
    assert_eq!(answer, "crow peer=127.0.0.1 advertised=mq.example:31000 tls=false");
}

#[tokio::test]
async fn tls_and_plain_share_a_port() {
    let rig = Rig::start(ListenerConfig::default(), NetConfig::default()).await;
    let answer = converse(&mut rig.connect_tls(b"").await, b"cuckoo\n").await;
    assert!(answer.ends_with("tls=true"), "{answer}");
    assert!(converse(&mut rig.connect().await, b"cuckoo\n").await.ends_with("tls=false"));
}

#[tokio::test]
async fn tls_may_follow_a_proxy_header() {
    let rig = Rig::start(ListenerConfig::default(), NetConfig::default()).await;
    let mut stream = rig.connect_tls(&v2_header([192, 0, 2, 7], [198, 51, 100, 1], 443)).await;
    assert_eq!(
        converse(&mut stream, b"crow\n").await,
        "crow peer=192.0.2.7 advertised=198.51.100.1:443 tls=true"
    );
}

#[tokio::test]
async fn required_and_disabled_mean_it() {
    let listener = ListenerConfig { tls: TlsMode::Required, ..ListenerConfig::default() };
    let rig = Rig::start(listener, NetConfig::default()).await;
    let mut plain = rig.connect().await;
    plain.write_all(b"crow\n").await.expect("it is open");
    assert_closed(&mut plain).await;
    assert!(converse(&mut rig.connect_tls(b"").await, b"crow\n").await.ends_with("tls=true"));

    let listener = ListenerConfig { tls: TlsMode::Disabled, ..ListenerConfig::default() };
    let rig = Rig::start(listener, NetConfig::default()).await;
    let mut stream = rig.connect().await;
    stream.write_all(b"\x16\x03\x01\0\0").await.expect("it is open");
    assert_closed(&mut stream).await;

    let listener = ListenerConfig { proxy_protocol: ProxyMode::Required, ..ListenerConfig::default() };
    let rig = Rig::start(listener, NetConfig::default()).await;
    let mut stream = rig.connect().await;
    stream.write_all(b"crow\n").await.expect("it is open");
    assert_closed(&mut stream).await;
}

#[tokio::test]
async fn garbage_is_closed() {
    let rig = Rig::start(ListenerConfig::default(), NetConfig::default()).await;
    for garbage in
        [&b"dove\n"[..], b"\xFF\xFF\xFF\xFF", b"\x16\x03\x01\0\x05hello", b"PROXY nonsense\r\n", b"\0"]
    {
        let mut stream = rig.connect().await;
        stream.write_all(garbage).await.expect("it is open");
        assert_closed(&mut stream).await;
    }
    assert!(converse(&mut rig.connect().await, b"crow\n").await.starts_with("crow"), "others are served");
}

#[tokio::test]
async fn who_says_too_little_is_closed_in_time() {
    let net = NetConfig { sniff_timeout_ms: 200, ..NetConfig::default() };
    let rig = Rig::start(ListenerConfig::default(), net).await;
    for little in [&b""[..], b"cuck", b"PROXY ", b"\x16\x03\x01"] {
        let mut stream = rig.connect().await;
        stream.write_all(little).await.expect("it is open");
        assert_closed(&mut stream).await;
    }
}

#[tokio::test]
async fn who_never_reads_is_closed_in_time() {
    let net = NetConfig { write_stall_ms: 200, ..NetConfig::default() };
    let rig = Rig::start(ListenerConfig::default(), net).await;
    let mut stream = rig.connect().await;
    stream.write_all(b"crow\n").await.expect("it is open");
    // The echo fills the buffers of both sides; then neither moves.
    let filled = within(async { while stream.write_all(&[b'x'; 65_536]).await.is_ok() {} });
    filled.await;
    within(async {
        while rig.serving.connections() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn too_many_connections_are_refused_until_some_end() {
    let net = NetConfig { connections_per_ip_max: 2, ..NetConfig::default() };
    let rig = Rig::start(ListenerConfig::default(), net).await;
    let mut first = rig.connect().await;
    let mut second = rig.connect().await;
    for stream in [&mut first, &mut second] {
        assert!(converse(stream, b"crow\n").await.starts_with("crow"));
    }
    assert_closed(&mut rig.connect().await).await;
    drop(first);
    within(async {
        while rig.serving.connections() > 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    assert!(converse(&mut rig.connect().await, b"crow\n").await.starts_with("crow"));
}

#[tokio::test]
async fn a_drain_ends_connections_that_listen_to_it() {
    let rig = Rig::start(ListenerConfig::default(), NetConfig::default()).await;
    let mut known = rig.connect().await;
    assert!(converse(&mut known, b"crow\n").await.starts_with("crow"));
    let mut silent = rig.connect().await;
    assert_eq!(within(rig.serving.drain()).await, 0);
    assert_closed(&mut known).await;
    assert_closed(&mut silent).await;
    assert!(TcpStream::connect(rig.address()).await.is_err(), "nothing listens any more");
}

#[tokio::test]
async fn a_drain_cuts_connections_that_do_not() {
    let net = NetConfig { drain_ms: 100, ..NetConfig::default() };
    let rig = Rig::with(ListenerConfig::default(), net, true).await;
    let mut stream = rig.connect().await;
    assert!(converse(&mut stream, b"crow\n").await.starts_with("crow"));
    assert_eq!(within(rig.serving.drain()).await, 1);
    assert_closed(&mut stream).await;
}

#[tokio::test]
async fn what_cannot_work_is_told_at_the_start() {
    let doors = Doors::system();
    let taken =
        Listeners::bind(&doors, NetConfig::default(), [("a".to_owned(), ListenerConfig::default())]).await;
    let address = taken.as_ref().ok().and_then(|l| l.bound().next()).map(|b| b.address).expect("a free port");
    let again = ListenerConfig { address, ..ListenerConfig::default() };
    let again = Listeners::bind(&doors, NetConfig::default(), [("b".to_owned(), again)]).await;
    assert!(matches!(again, Err(NetError::Bind { .. })));

    let unknown = ListenerConfig { protocols: vec!["dove".to_owned()], ..ListenerConfig::default() };
    let listeners = Listeners::bind(&doors, NetConfig::default(), [("c".to_owned(), unknown)]).await;
    let served = listeners.expect("a free port").serve(&[], None, Metrics::default());
    assert!(matches!(served, Err(NetError::UnknownProtocol { .. })));
}

#[tokio::test]
async fn a_certificate_is_made_once_and_its_key_is_private() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().expect("a folder");
    let load = || {
        Identity::load(&Doors::system(), &TlsConfig::default(), dir.path(), vec!["localhost".to_owned()])
            .map(|_| ())
    };
    load().expect("made");
    let before = std::fs::read(dir.path().join("server.crt")).expect("it is there");
    load().expect("read");
    assert_eq!(std::fs::read(dir.path().join("server.crt")).expect("it is there"), before);
    let key = std::fs::metadata(dir.path().join("server.key")).expect("it is there");
    assert_eq!(key.permissions().mode() & 0o777, 0o600);

    let half = TlsConfig { certificate: Some(dir.path().join("server.crt")), ..TlsConfig::default() };
    assert!(matches!(
        Identity::load(&Doors::system(), &half, dir.path(), Vec::new()),
        Err(NetError::HalfCertificate)
    ));
}
