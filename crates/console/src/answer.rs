//! Answers of the console: a file of the page, or why there is none, with the headers that keep a browser
//! from asking anybody else.

use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::assets::{self, Form};

/// The page loads nothing from elsewhere, runs nothing that stands in the page itself, and is shown in no
/// frame of somebody else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; \
                      img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";
const FOR_EVER: &str = "public, max-age=31536000, immutable";

const NOT_BUILT: &str = "The console is not in this binary.\n\n\
                         It is a web page that is built before the engine (this needs Node.js):\n\n    \
                         cargo xtask console\n    cargo build --release --bin apogee\n\n\
                         Everything that it shows and does is also there without it: see /api/v1/openapi.json and `apogee --help`.\n";

pub(crate) fn to(path: &str, headers: &HeaderMap) -> Response {
    let text =
        |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok()).unwrap_or_default();
    let mut response = match assets::find_for(path, text(header::ACCEPT_ENCODING)) {
        Some(form) => file(path, form, text(header::IF_NONE_MATCH)),
        None if assets::find("index.html").is_none() => {
            (StatusCode::SERVICE_UNAVAILABLE, NOT_BUILT).into_response()
        }
        None => (StatusCode::NOT_FOUND, "There is no such file in the console.\n").into_response(),
    };
    secure(response.headers_mut());
    response
}

fn file(path: &str, form: Form, known: &str) -> Response {
    let tag = assets::tag(&form);
    let encoding = form.encoding;
    let unchanged = known.split(',').any(|one| one.trim().trim_start_matches("W/") == tag);
    let mut response = if unchanged {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        Response::new(assets::bytes(form.file))
    };
    let out = response.headers_mut();
    if unchanged {
        out.remove(header::CONTENT_TYPE);
    } else {
        out.insert(header::CONTENT_TYPE, HeaderValue::from_static(assets::media_type(path)));
    }
    if let Some(encoding) = encoding {
        out.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        out.insert(header::ETAG, tag);
    }
    let keep = if assets::is_immutable(path) { FOR_EVER } else { "no-cache" };
    out.insert(header::CACHE_CONTROL, HeaderValue::from_static(keep));
    out.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    response
}

fn secure(headers: &mut HeaderMap) {
    let fixed = [
        ("content-security-policy", POLICY),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
        ("permissions-policy", "camera=(), geolocation=(), microphone=()"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    use super::*;
    use http::Request;

    async fn get(path: &str, headers: &[(&str, &str)]) -> Response {
        let mut request = Request::builder().uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::empty()).expect("a request");
        crate::pages().oneshot(request).await.expect("pages answer")
    }

    fn header_of<'a>(response: &'a Response, name: &str) -> &'a str {
        response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Both kinds of binary are legal; each has to say what it is.
    #[tokio::test]
    async fn the_page_is_served_or_how_to_build_it_is_told() {
        let response = get("/console/", &[("accept-encoding", "gzip, br")]).await;
        assert!(header_of(&response, "content-security-policy").contains("default-src 'none'"));
        if !crate::is_built() {
            assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
            let body = response.into_body().collect().await.expect("in memory").to_bytes();
            assert!(String::from_utf8_lossy(&body).contains("cargo xtask console"));
            return;
        }
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(header_of(&response, "content-encoding"), "br");
        let tag = header_of(&response, "etag").to_owned();
        let again = get("/console/", &[("accept-encoding", "br"), ("if-none-match", &tag)]).await;
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
        let plain = get("/console/", &[]).await;
        assert_eq!(header_of(&plain, "content-encoding"), "");
        assert_eq!(header_of(&plain, "cache-control"), "no-cache");
        assert_eq!(get("/console/assets/none.js", &[]).await.status(), StatusCode::NOT_FOUND);
    }

    #[tokio::test]
    async fn nothing_outside_the_page_can_be_asked_for() {
        for path in ["/console/../Cargo.toml", "/console/%2e%2e/Cargo.toml", "/console//etc/passwd"] {
            let status = get(path, &[]).await.status();
            assert!(status == StatusCode::NOT_FOUND || status == StatusCode::SERVICE_UNAVAILABLE, "{path}");
        }
    }

    #[test]
    fn an_encoding_that_is_refused_is_not_taken() {
        for accepted in ["", "identity", "br;q=0", "deflate, br; q=0"] {
            assert!(assets::find_for("index.html", accepted).is_none_or(|form| form.encoding.is_none()));
        }
    }
}
