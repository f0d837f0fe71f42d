//! Where the collector is, and which form of OTLP it is spoken to in.

use http::{HeaderName, HeaderValue};
use reqwest::Url;

/// Port of OTLP/HTTP where nobody says otherwise.
const HTTP_PORT: u16 = 4318;
const GRPC_PORT: u16 = 4317;
const TRACES: &str = "/v1/traces";
const METRICS: &str = "/v1/metrics";

/// A collector's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// Scheme, host and port.
    Grpc(String),
    /// Where each signal is posted to.
    Http { traces: String, metrics: String },
}

impl Endpoint {
    /// # Errors
    /// If the text is no address; the error says what is expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        let expected = "write it as http://host:4317 (or https), for OTLP/HTTP as http://host:4318";
        let whole = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let url: Url = whole.parse().map_err(|_| format!("`{text}` is no address: {expected}"))?;
        let host = url.host_str().filter(|host| !host.is_empty());
        let (Some(host), "http" | "https") = (host, url.scheme()) else {
            return Err(format!("`{text}` is no address of a collector: {expected}"));
        };
        if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
            return Err("users, passwords and queries belong into `headers`".to_owned());
        }
        let path = url.path().trim_end_matches('/');
        // A port that is the scheme's own is not told by the address, but written all the same.
        let port = url.port().or_else(|| written_port(&whole));
        if path.is_empty() && port != Some(HTTP_PORT) {
            return Ok(Self::Grpc(format!("{}://{host}:{}", url.scheme(), port.unwrap_or(GRPC_PORT))));
        }
        let base = path.strip_suffix(TRACES).or_else(|| path.strip_suffix(METRICS)).unwrap_or(path);
        let port = port.map_or_else(String::new, |port| format!(":{port}"));
        let at = |signal: &str| format!("{}://{host}{port}{base}{signal}", url.scheme());
        Ok(Self::Http { traces: at(TRACES), metrics: at(METRICS) })
    }

    /// Host and port, to be logged: nothing else of an address is.
    #[must_use]
    pub fn place(&self) -> &str {
        let (Self::Grpc(address) | Self::Http { traces: address, .. }) = self;
        let rest = address.split_once("://").map_or(address.as_str(), |(_, rest)| rest);
        rest.split('/').next().unwrap_or_default()
    }
}

fn written_port(address: &str) -> Option<u16> {
    let rest = address.split_once("://")?.1;
    rest.split('/').next()?.rsplit_once(':')?.1.parse().ok()
}

/// Reads `name=value`.
pub(crate) fn header(text: &str) -> Option<(HeaderName, HeaderValue)> {
    let (name, value) = text.split_once('=')?;
    let mut value = HeaderValue::from_str(value.trim()).ok()?;
    value.set_sensitive(true);
    // gRPC takes binary values under such names only.
    let name: HeaderName = name.trim().to_lowercase().parse().ok()?;
    (!name.as_str().ends_with("-bin")).then_some((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn http(base: &str) -> Endpoint {
        Endpoint::Http { traces: format!("{base}/v1/traces"), metrics: format!("{base}/v1/metrics") }
    }

    #[test]
    fn addresses_are_read() {
        let grpc = |text: &str| Endpoint::Grpc(text.to_owned());
        for (text, expected) in [
            ("http://collector:4317", grpc("http://collector:4317")),
            ("http://collector:4317/", grpc("http://collector:4317")),
            ("collector:4317", grpc("http://collector:4317")),
            ("collector", grpc("http://collector:4317")),
            ("https://collector:443", grpc("https://collector:443")),
            ("http://[::1]:4317", grpc("http://[::1]:4317")),
            ("http://[::1]:80", grpc("http://[::1]:80")),
            ("http://collector:4318", http("http://collector:4318")),
            ("http://collector:9090/api/v1/otlp", http("http://collector:9090/api/v1/otlp")),
            ("https://collector/v1/traces", http("https://collector")),
            ("https://collector:4317/otlp/v1/metrics/", http("https://collector:4317/otlp")),
        ] {
            assert_eq!(Endpoint::parse(text), Ok(expected), "{text}");
        }
        for text in
            ["ftp://collector", "http://", "http://a b", "http://me:word@c:4317", "http://c:4318/?key=1"]
        {
            assert!(Endpoint::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn only_the_place_is_told() {
        for text in ["http://c:4317", "https://c:4317/a-secret"] {
            assert_eq!(Endpoint::parse(text).expect("sound").place(), "c:4317");
        }
    }

    #[test]
    fn headers_are_read() {
        let (name, value) = header("Api-Key = a=b ").expect("sound");
        assert_eq!((name.as_str(), value.as_bytes()), ("api-key", &b"a=b"[..]));
        assert!(value.is_sensitive());
        for text in ["", "a", "a b=c", "=c", "a=b\nc", "a-bin=x"] {
            assert_eq!(header(text), None, "{text}");
        }
    }
}
