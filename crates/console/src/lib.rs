//! The console: a web page inside the binary, under `/console/`.
//!
//! The page is built from the sources in the folder `console` of the repository (`cargo xtask console`) and
//! embedded; it asks the node by the HTTP API alone, so nothing of the engine is known here. A binary that
//! was built without it says how to build it.
//!
//! ```text
//! console/src --vite--> console/dist --rust-embed--> assets --> /console/...
//! ```
//! Reading order: `assets`, `answer`. What does not belong here: anything that asks or changes the engine.

mod answer;
mod assets;

use axum::Router;
use axum::extract::Path;
use axum::response::Redirect;
use axum::routing::get;
use http::HeaderMap;

/// Where the console is.
pub const PATH: &str = "/console/";

/// The pages, to be served beside the HTTP API.
pub fn pages() -> Router {
    Router::new()
        .route("/console", get(|| async { Redirect::permanent(PATH) }))
        .route("/console/", get(|headers: HeaderMap| async move { answer::to("index.html", &headers) }))
        .route(
            "/console/{*path}",
            get(|Path(path): Path<String>, headers: HeaderMap| async move { answer::to(&path, &headers) }),
        )
}

/// Whether the page is in this binary.
#[must_use]
pub fn is_built() -> bool {
    assets::find("index.html").is_some()
}
