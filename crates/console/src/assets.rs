//! The built page. Beside each file that is worth it stand its compressed forms (`.br`, `.gz`), made when
//! the page is built, so that nothing is compressed while the node runs.

use std::borrow::Cow;

use rust_embed::{EmbeddedFile, RustEmbed};

#[derive(RustEmbed)]
#[folder = "../../console/dist"]
#[allow_missing = true]
struct Dist;

/// A form in which a file is stored.
pub(crate) struct Form {
    pub(crate) encoding: Option<&'static str>,
    pub(crate) file: EmbeddedFile,
}

/// Best first: what a client may take, and how the file's name ends.
const COMPRESSED: [(&str, &str); 2] = [("br", "br"), ("gzip", "gz")];

pub(crate) fn find(path: &str) -> Option<EmbeddedFile> {
    Dist::get(path)
}

/// The smallest form that the client takes.
pub(crate) fn find_for(path: &str, accepted: &str) -> Option<Form> {
    let takes = |encoding: &str| {
        let named = |one: &str| one.split(';').next().is_some_and(|name| name.trim() == encoding);
        let refused = |one: &str| one.replace(' ', "").ends_with(";q=0");
        accepted.split(',').any(|one| named(one) && !refused(one))
    };
    for (encoding, ending) in COMPRESSED {
        if takes(encoding)
            && let Some(file) = Dist::get(&format!("{path}.{ending}"))
        {
            return Some(Form { encoding: Some(encoding), file });
        }
    }
    find(path).map(|file| Form { encoding: None, file })
}

/// What a file is, by the end of its name; only what the page is made of.
pub(crate) fn media_type(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("woff2") => "font/woff2",
        _ => "application/octet-stream",
    }
}

/// Names under `assets/` hold a hash of their content: they never change.
pub(crate) fn is_immutable(path: &str) -> bool {
    path.starts_with("assets/")
}

/// Of the stored form: another encoding is another entity.
pub(crate) fn tag(form: &Form) -> String {
    let hash = form.file.metadata.sha256_hash();
    let mut tag = String::from("\"");
    for byte in &hash[..12] {
        tag.push_str(&format!("{byte:02x}"));
    }
    tag.push('"');
    tag
}

pub(crate) fn bytes(file: EmbeddedFile) -> axum::body::Body {
    match file.data {
        Cow::Borrowed(bytes) => axum::body::Body::from(bytes),
        Cow::Owned(bytes) => axum::body::Body::from(bytes),
    }
}
