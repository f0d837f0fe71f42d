//! The routes, put together.

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, OriginalUri};
use axum::routing::{MethodFilter, get, on, post};
use axum::{Extension, Router};
use base::{Chance, Clock, Spawn};
use http::{Method, Uri};
use model::admin::HttpMethod;
use model::{Engine, Session};
use net::Drain;
use prometheus_client::registry::Registry;

use crate::error::Problem;
use crate::health::{self, Readiness};
use crate::limits::REQUEST_BYTES_MAX;
use crate::table;
use crate::{consume, events, openapi, operations, send};

/// What all requests share.
pub(crate) struct App {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) chance: Arc<dyn Chance>,
    pub(crate) readiness: Readiness,
    pub(crate) spawn: Arc<dyn Spawn>,
    pub(crate) registries: Arc<[Registry]>,
}

/// What requests of one connection share.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) session: Session,
    pub(crate) drain: Drain,
}

/// `pages`: what stands beside the API, for browsers.
pub(crate) fn router(app: Arc<App>, pages: Router) -> Router {
    let catalogue = app.engine.operations();
    let description = Arc::new(openapi::document(&catalogue));
    let mut router = Router::new()
        .route("/", get(health::index))
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(health::metrics))
        .route("/api/v1/openapi.json", get(openapi::serve).layer(Extension(description)))
        .route("/api/v1/events", get(events::stream))
        .route("/api/v1/operations", get(operations::list))
        .route("/api/v1/operations/{operation}", post(operations::run))
        .route("/api/v1/topics/{topic}/messages", post(send::send))
        .route("/api/v1/groups/{group}/receive", post(consume::receive))
        .route("/api/v1/groups/{group}/ack", post(consume::ack));
    for resource in table::of(&catalogue) {
        let filter = match resource.method {
            HttpMethod::Get => MethodFilter::GET,
            HttpMethod::Put => MethodFilter::PUT,
            HttpMethod::Post => MethodFilter::POST,
            HttpMethod::Delete => MethodFilter::DELETE,
        };
        let path = resource.path.clone();
        let run = on(filter, operations::resource).layer(Extension(Arc::new(resource)));
        router = router.route(&path, run);
    }
    router
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(DefaultBodyLimit::max(REQUEST_BYTES_MAX))
        .with_state(app)
        .merge(pages)
}

async fn no_such_path(OriginalUri(uri): OriginalUri) -> Problem {
    Problem::no_such_path(uri.path())
}

async fn no_such_method(method: Method, uri: Uri) -> Problem {
    Problem::no_such_method(&method, uri.path())
}
