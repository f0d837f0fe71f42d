//! A client of the HTTP interface: one connection, kept while it lasts.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use model::admin::AdminOp;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use serde::Deserialize;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio_rustls::TlsConnector;

/// Bytes of an answer that are read: above the largest list that the server makes.
const ANSWER_BYTES_MAX: usize = 256 * 1024 * 1024;

pub(crate) struct Server {
    authority: String,
    host: String,
    port: u16,
    tls: Option<TlsConnector>,
    /// What proves who calls.
    authorization: Option<String>,
    connection: Mutex<Option<SendRequest<Full<Bytes>>>>,
}

/// What the server says of a request that failed.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Problem {
    pub(crate) kind: String,
    pub(crate) detail: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for Problem {}

/// Whether a request failed because what it names does not exist.
pub(crate) fn is_not_found(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Problem>().is_some_and(|problem| problem.kind == "not_found")
}

/// Whether a request failed because what it makes exists.
pub(crate) fn is_conflict(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Problem>().is_some_and(|problem| problem.kind == "conflict")
}

impl Server {
    pub(crate) fn new(url: &str, ca: Option<&Path>) -> Result<Self> {
        let uri: Uri = url.parse().with_context(|| format!("`{url}` is no URL: write http://host:port"))?;
        let host = uri.host().with_context(|| format!("`{url}` names no host: write http://host:port"))?;
        let (tls, default_port) = match uri.scheme_str() {
            Some("http") => (None, 80),
            Some("https") => (Some(connector(ca)?), 443),
            _ => bail!("`{url}` is neither http nor https: write http://host:port"),
        };
        let port = uri.port_u16().unwrap_or(default_port);
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let authority = uri.authority().map(ToString::to_string).unwrap_or_default();
        Ok(Self { authority, host, port, tls, authorization: None, connection: Mutex::new(None) })
    }

    /// With a user and its password.
    pub(crate) fn called_by(mut self, caller: Option<(&str, &str)>) -> Self {
        self.authorization =
            caller.map(|(user, password)| format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))));
        self
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Value> {
        self.call(Method::GET, path, None).await
    }

    /// What stands at a path, as it is.
    pub(crate) async fn text(&self, path: &str) -> Result<String> {
        let mut builder = Request::get(path).header("host", &self.authority);
        if let Some(authorization) = &self.authorization {
            builder = builder.header("authorization", authorization);
        }
        let (status, answer) = self.exchange(builder.body(Full::default())?).await?;
        if !status.is_success() {
            bail!("the server answered {status}");
        }
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> Result<Value> {
        self.call(Method::PUT, path, Some(body)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        self.call(Method::POST, path, Some(body)).await
    }

    /// Runs an operation of the catalogue by its name.
    pub(crate) async fn operate<O: AdminOp>(&self, request: &O::Request) -> Result<O::Response> {
        let path = format!("/api/v1/operations/{}", O::NAME);
        let answer = self.post(&path, &serde_json::to_value(request)?).await?;
        serde_json::from_value(answer).with_context(|| format!("this is no answer to `{}`", O::NAME))
    }

    pub(crate) async fn delete(&self, path: &str) -> Result<Value> {
        self.call(Method::DELETE, path, None).await
    }

    async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
        let mut builder = Request::builder().method(method).uri(path).header("host", &self.authority);
        if let Some(authorization) = &self.authorization {
            builder = builder.header("authorization", authorization);
        }
        let mut bytes = Bytes::new();
        if let Some(body) = body {
            builder = builder.header("content-type", "application/json");
            bytes = serde_json::to_vec(body)?.into();
        }
        let request = builder.body(Full::new(bytes)).context("the name does not fit into a URL")?;
        let (status, answer) = self.exchange(request).await?;
        if status.is_success() {
            return serde_json::from_slice(&answer)
                .context("the answer is no JSON: is this an Apogee server?");
        }
        match serde_json::from_slice::<Problem>(&answer) {
            Ok(problem) => Err(problem.into()),
            Err(_) => bail!("the server answered {status}: is this an Apogee server?"),
        }
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<(StatusCode, Bytes)> {
        let mut connection = self.connection.lock().await;
        let usable = connection.as_mut().filter(|sender| !sender.is_closed()).is_some();
        if !usable {
            *connection = Some(self.connect().await?);
        }
        let sender = connection.as_mut().context("just connected")?;
        sender.ready().await.context("the server closed the connection")?;
        let response = sender.send_request(request).await.context("the server closed the connection")?;
        let status = response.status();
        let limited = http_body_util::Limited::new(response.into_body(), ANSWER_BYTES_MAX);
        let body = limited.collect().await.map_err(|error| anyhow!("the answer broke off: {error}"))?;
        Ok((status, body.to_bytes()))
    }

    #[expect(clippy::disallowed_methods, reason = "a tool runs in the real world only")]
    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await.with_context(|| {
            format!(
                "cannot reach {}; is the engine running (`apogee serve`), or elsewhere (`--server`)?",
                self.authority
            )
        })?;
        stream.set_nodelay(true)?;
        match &self.tls {
            None => {
                let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
                tokio::spawn(connection);
                Ok(sender)
            }
            Some(tls) => {
                let name = ServerName::try_from(self.host.clone())?;
                let stream = tls.connect(name, stream).await.context("TLS handshake")?;
                let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
                tokio::spawn(connection);
                Ok(sender)
            }
        }
    }
}

fn connector(ca: Option<&Path>) -> Result<TlsConnector> {
    let path = ca.context("https needs `--ca FILE`: the certificate, or that of its issuer, to trust")?;
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_reader_iter(BufReader::new(file)) {
        roots.add(certificate.with_context(|| format!("{} is no PEM file", path.display()))?)?;
    }
    let config =
        rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Makes a name safe to stand in a path.
pub(crate) fn segment(name: &str) -> String {
    let mut out = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            out.push(char::from(byte));
        } else {
            out += &format!("%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let server = Server::new("http://[::1]:8080", None).expect("legal");
        assert_eq!(
            (server.host.as_str(), server.port, server.authority.as_str()),
            ("::1", 8080, "[::1]:8080")
        );
        assert_eq!(Server::new("http://mq.example", None).expect("legal").port, 80);
        for url in ["127.0.0.1:8080", "ftp://x", "", "https://x"] {
            assert!(Server::new(url, None).is_err(), "{url}");
        }
    }

    #[test]
    fn names_are_made_safe() {
        assert_eq!(segment("%RETRY%a|b c/é"), "%25RETRY%25a%7Cb%20c%2F%C3%A9");
    }
}
