//! HTTP/1 as a protocol of the listeners.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::response::IntoResponse;
use base::Doors;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use model::access::Authenticate;
use model::session::NoNotices;
use model::{Engine, Session};
use net::{Accepted, Protocol, Recognised};
use prometheus_client::registry::Registry;
use tower::ServiceExt;

use crate::app::{App, Caller, router};
use crate::authentication;
use crate::config::RestConfig;
use crate::health::Readiness;
use crate::limits::HEAD_BYTES_MAX;

const METHODS: [&[u8]; 7] = [b"GET ", b"POST ", b"PUT ", b"DELETE ", b"HEAD ", b"OPTIONS ", b"PATCH "];

/// The HTTP interface of an engine.
pub struct Rest {
    config: RestConfig,
    engine: Arc<dyn Engine>,
    auth: Arc<dyn Authenticate>,
    router: Router,
}

impl Rest {
    /// `pages`: what is served to browsers beside the API, under `/console`, to anybody.
    #[must_use]
    pub fn new(
        (engine, auth): (Arc<dyn Engine>, Arc<dyn Authenticate>),
        config: RestConfig,
        doors: &Doors,
        readiness: Readiness,
        (registries, pages): (Arc<[Registry]>, Router),
    ) -> Arc<Self> {
        let (clock, chance) = (Arc::clone(&doors.clock), Arc::clone(&doors.chance));
        let spawn = Arc::clone(&doors.spawn);
        let app = App { engine: Arc::clone(&engine), clock, chance, readiness, spawn, registries };
        Arc::new(Self { config, engine, auth, router: router(Arc::new(app), pages) })
    }

    async fn answer(
        router: Router,
        auth: Arc<dyn Authenticate>,
        mut caller: Caller,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, Infallible> {
        caller.session.user = match authentication::caller(&*auth, request.uri().path(), request.headers()) {
            Ok(user) => user,
            Err(problem) => return Ok(problem.into_response()),
        };
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(caller);
        router.oneshot(request).await
    }
}

#[async_trait]
impl Protocol for Rest {
    fn name(&self) -> &'static str {
        "rest"
    }

    fn recognises(&self, first_bytes: &[u8]) -> Recognised {
        let alike = |method: &&&[u8]| first_bytes.iter().zip(method.iter()).all(|(a, b)| a == b);
        match METHODS.iter().find(|method| alike(method)) {
            None => Recognised::No,
            Some(method) if first_bytes.len() < method.len() => Recognised::NeedMore,
            Some(_) => Recognised::Yes,
        }
    }

    async fn serve(self: Arc<Self>, connection: Accepted) {
        let Accepted { stream, peer, advertised, session, certificate, drain, .. } = connection;
        let session = Session {
            id: session,
            protocol: "rest",
            peer,
            advertised,
            certificate,
            user: None,
            notices: Arc::new(NoNotices),
        };
        let caller = Caller { session: session.clone(), drain: drain.clone() };
        let router = self.router.clone();
        let auth = Arc::clone(&self.auth);
        let service = service_fn(move |request| {
            Self::answer(router.clone(), Arc::clone(&auth), caller.clone(), request)
        });
        let served = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(Duration::from_millis(self.config.idle_ms))
            .max_buf_size(HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(stream), service);
        let mut served = pin!(served);
        let result = tokio::select! {
            result = served.as_mut() => result,
            () = drain.requested() => {
                served.as_mut().graceful_shutdown();
                served.await
            }
        };
        if let Err(error) = result {
            tracing::debug!(session = %session.id, %error, "HTTP connection ended");
        }
        self.engine.disconnected(session.id);
    }
}
