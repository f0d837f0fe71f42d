//! Is it alive, does it serve, what does it count.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use http::{HeaderMap, StatusCode, header};
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::registry::Registry;
use tokio::sync::oneshot;

use crate::app::App;

const METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

const INDEX: &str = "Apogee.\n\n\
                     /console/             in a browser\n\
                     /healthz              alive?\n\
                     /readyz               serving?\n\
                     /metrics              counters, for Prometheus\n\
                     /api/v1/openapi.json  everything else\n";

/// Whether the node serves clients: not yet while it starts, no more once it drains.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<AtomicBool>);

impl Readiness {
    pub fn set(&self, ready: bool) {
        self.0.store(ready, Ordering::Relaxed);
    }

    #[must_use]
    pub fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

pub(crate) async fn healthz() -> &'static str {
    "ok\n"
}

pub(crate) async fn readyz(State(app): State<Arc<App>>) -> Response {
    if app.readiness.get() {
        "ready\n".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready: starting or draining\n").into_response()
    }
}

pub(crate) async fn metrics(State(app): State<Arc<App>>) -> Response {
    // To look everything up takes a while where there is much: no connection waits for it.
    let (answer, text) = oneshot::channel();
    let registries = Arc::clone(&app.registries);
    app.spawn.blocking(Box::new(move || drop(answer.send(exposition(&registries))))).await;
    match text.await.unwrap_or(Err(fmt::Error)) {
        Ok(text) => ([(header::CONTENT_TYPE, METRICS_TYPE)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "metrics cannot be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// All metrics, as OpenMetrics text.
///
/// # Errors
/// If a metric cannot be written.
pub fn exposition(registries: &[Registry]) -> Result<String, fmt::Error> {
    let mut text = String::new();
    for registry in registries {
        encode_registry(&mut text, registry)?;
    }
    encode_eof(&mut text)?;
    Ok(text)
}

/// Browsers are led to the console.
pub(crate) async fn index(headers: HeaderMap) -> Response {
    let accepted = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if accepted.contains("text/html") {
        return Redirect::to("/console/").into_response();
    }
    INDEX.into_response()
}
