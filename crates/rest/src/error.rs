//! The one place where errors become HTTP: a status and a problem document (RFC 9457).

use axum::extract::rejection::{BytesRejection, JsonRejection, QueryRejection};
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use model::access::Stranger;
use model::admin::AdminError;
use model::verbs::{AckError, PublishError, ReceiveError};
use model::{Kind, Kinded};
use schemars::JsonSchema;
use serde::Serialize;

/// What a failed request is answered with.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct Problem {
    /// What the caller should do, in one word.
    pub(crate) kind: &'static str,
    pub(crate) title: &'static str,
    pub(crate) status: u16,
    /// What was wrong, for people.
    pub(crate) detail: String,
}

impl Problem {
    pub(crate) fn of(error: &dyn Kinded) -> Self {
        let (status, kind) = status(error.kind());
        if matches!(error.kind(), Kind::Data | Kind::Internal) {
            tracing::error!(%error, "request failed");
        }
        Self::new(status, kind, error.to_string())
    }

    pub(crate) fn invalid(detail: impl Into<String>) -> Self {
        let (status, kind) = status(Kind::Invalid);
        Self::new(status, kind, detail.into())
    }

    fn new(status: StatusCode, kind: &'static str, detail: String) -> Self {
        Self { kind, title: status.canonical_reason().unwrap_or("Error"), status: status.as_u16(), detail }
    }

    pub(crate) fn unauthorized(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "denied", detail.into())
    }

    pub(crate) fn stranger(stranger: &Stranger) -> Self {
        Self::unauthorized(stranger.to_string())
    }

    pub(crate) fn no_such_path(path: &str) -> Self {
        let detail = format!("there is nothing at {path}; see /api/v1/openapi.json for what there is");
        Self::new(StatusCode::NOT_FOUND, "not_found", detail)
    }

    pub(crate) fn no_such_method(method: &http::Method, path: &str) -> Self {
        let detail = format!("{path} does not take {method}; see /api/v1/openapi.json for what it takes");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "invalid", detail)
    }
}

const fn status(kind: Kind) -> (StatusCode, &'static str) {
    match kind {
        Kind::Invalid => (StatusCode::BAD_REQUEST, "invalid"),
        Kind::NotFound => (StatusCode::NOT_FOUND, "not_found"),
        Kind::Denied => (StatusCode::FORBIDDEN, "denied"),
        Kind::Throttled => (StatusCode::TOO_MANY_REQUESTS, "throttled"),
        Kind::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
        Kind::Conflict => (StatusCode::CONFLICT, "conflict"),
        Kind::Data => (StatusCode::INTERNAL_SERVER_ERROR, "data"),
        Kind::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let text = serde_json::to_string(&self).unwrap_or_default();
        let mut response = (status, text).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if status == StatusCode::UNAUTHORIZED {
            let basic = HeaderValue::from_static("Basic realm=\"apogee\", charset=\"UTF-8\"");
            headers.insert(header::WWW_AUTHENTICATE, basic);
        }
        if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

macro_rules! failed {
    ($($error:ty),*) => {
        $(
            impl From<$error> for Problem {
                fn from(error: $error) -> Self {
                    Self::of(&error)
                }
            }
        )*
    };
}

failed!(PublishError, ReceiveError, AckError, AdminError);

macro_rules! rejected {
    ($($rejection:ty),*) => {
        $(
            impl From<$rejection> for Problem {
                fn from(rejection: $rejection) -> Self {
                    Self::new(rejection.status(), "invalid", rejection.body_text())
                }
            }
        )*
    };
}

rejected!(JsonRejection, QueryRejection, BytesRejection);
