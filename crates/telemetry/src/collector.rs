//! Requests to the collector: gRPC over one connection that is made when it is needed, or HTTP.

use std::time::Duration;

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderMap, StatusCode};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceResponse;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;
use reqwest::Client;
use tonic::client::Grpc;
use tonic::metadata::MetadataMap;
use tonic::transport::{Channel, ClientTlsConfig};
use tonic::{Code, Request, Status};

use crate::config::TelemetryConfig;
use crate::endpoint::{Endpoint, header};
use crate::metrics::Signal;
use crate::raw::Raw;

const AGENT: &str = concat!("apogee/", env!("CARGO_PKG_VERSION"));
const PROTOBUF: &str = "application/x-protobuf";
/// Of a text that explains a refusal, so much is logged.
const WHY_BYTES_MAX: usize = 512;

/// Why the collector did not take a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) why: String,
    /// Whether the same request may be taken later.
    pub(crate) may_pass: bool,
}

/// What of a request was refused although the rest was taken.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Partial {
    pub(crate) refused: u64,
    pub(crate) why: String,
}

impl Partial {
    fn new(refused: i64, why: String) -> Self {
        Self { refused: u64::try_from(refused).unwrap_or_default(), why }
    }
}

pub(crate) struct Collector {
    link: Link,
    headers: HeaderMap,
}

enum Link {
    Grpc(Channel),
    Http { client: Client, traces: String, metrics: String },
}

impl Collector {
    /// Makes ready; nothing is sent yet. To be called on a runtime.
    ///
    /// # Errors
    /// If the settings are not sound.
    pub(crate) fn new(config: &TelemetryConfig) -> Result<Self, String> {
        let timeout = Duration::from_millis(config.timeout_ms);
        let headers = config.headers.iter().filter_map(|text| header(text)).collect();
        let link = match Endpoint::parse(&config.otlp_endpoint)? {
            Endpoint::Grpc(address) => Link::Grpc(channel(&address, timeout)?),
            Endpoint::Http { traces, metrics } => Link::Http { client: client(timeout)?, traces, metrics },
        };
        Ok(Self { link, headers })
    }

    /// Pushes an encoded request.
    pub(crate) async fn push(&self, signal: Signal, body: Bytes) -> Result<Partial, Failure> {
        let answer = match &self.link {
            Link::Grpc(channel) => {
                self.call(channel.clone(), signal, body).await.map_err(|status| of_status(&status))?
            }
            Link::Http { client, traces, metrics } => {
                let url = match signal {
                    Signal::Traces => traces,
                    Signal::Metrics => metrics,
                };
                self.post(client, url, body).await?
            }
        };
        partial(signal, answer).map_err(|error| {
            let why = format!("what it answered is not of OTLP: {error}");
            Failure { why, may_pass: false }
        })
    }

    async fn call(&self, channel: Channel, signal: Signal, body: Bytes) -> Result<Bytes, Status> {
        let mut client = Grpc::new(channel);
        client.ready().await.map_err(|error| Status::unavailable(chain(&error)))?;
        let path = PathAndQuery::from_static(match signal {
            Signal::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
            Signal::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
        });
        Ok(client.unary(self.asked(body), path, Raw).await?.into_inner())
    }

    fn asked<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        *request.metadata_mut() = MetadataMap::from_headers(self.headers.clone());
        request
    }

    async fn post(&self, client: &Client, url: &str, body: Bytes) -> Result<Bytes, Failure> {
        let request =
            client.post(url).headers(self.headers.clone()).header("content-type", PROTOBUF).body(body);
        // An error's own text names the whole address.
        let again = |error: reqwest::Error| Failure { why: chain(&error.without_url()), may_pass: true };
        let answer = request.send().await.map_err(again)?;
        let status = answer.status();
        if !status.is_success() {
            return Err(Failure { why: format!("it answered {status}"), may_pass: may_pass(status) });
        }
        answer.bytes().await.map_err(again)
    }
}

/// What an answer says of parts that were refused.
fn partial(signal: Signal, answer: Bytes) -> Result<Partial, prost::DecodeError> {
    let partial = match signal {
        Signal::Traces => ExportTraceServiceResponse::decode(answer)?
            .partial_success
            .map(|part| Partial::new(part.rejected_spans, part.error_message)),
        Signal::Metrics => ExportMetricsServiceResponse::decode(answer)?
            .partial_success
            .map(|part| Partial::new(part.rejected_data_points, part.error_message)),
    };
    Ok(partial.unwrap_or_default())
}

fn channel(address: &str, timeout: Duration) -> Result<Channel, String> {
    let endpoint = Channel::from_shared(address.to_owned()).map_err(|error| error.to_string())?;
    let endpoint = endpoint.user_agent(AGENT).map_err(|error| error.to_string())?;
    let mut endpoint = endpoint.timeout(timeout).connect_timeout(timeout);
    if address.starts_with("https:") {
        let tls = ClientTlsConfig::new().with_native_roots();
        endpoint = endpoint.tls_config(tls).map_err(|error| chain(&error))?;
    }
    Ok(endpoint.connect_lazy())
}

fn client(timeout: Duration) -> Result<Client, String> {
    // Another part may have installed the same provider already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client =
        Client::builder().user_agent(AGENT).timeout(timeout).redirect(reqwest::redirect::Policy::none());
    client.build().map_err(|error| error.to_string())
}

/// What the specification of OTLP says may be sent again.
const fn may_pass(status: StatusCode) -> bool {
    matches!(status.as_u16(), 429 | 502 | 503 | 504)
}

fn of_status(status: &Status) -> Failure {
    let may_pass = matches!(
        status.code(),
        Code::Cancelled
            | Code::DeadlineExceeded
            | Code::ResourceExhausted
            | Code::Aborted
            | Code::OutOfRange
            | Code::Unavailable
            | Code::DataLoss
    );
    // A broken connection has its reason inside.
    let cause =
        std::error::Error::source(status).map_or_else(String::new, |error| format!(": {}", chain(error)));
    Failure { why: shortened(format!("{:?}, {}{cause}", status.code(), status.message())), may_pass }
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    shortened(causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}")))
}

fn shortened(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(WHY_BYTES_MAX));
    text
}
