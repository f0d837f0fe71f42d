//! Where an operation stands as a resource of its own: a method, a path below the interface's root,
//! and what becomes of the body.
//!
//! ```text
//! Get  "/topics/{topic}"                      the path's `topic` is the request's field `topic`
//! Put  "/topics/{topic=config.name}" "config" the body is the field `config`, and its `name` comes from the path
//! Post "/groups/{group}/reset" "*"            the body holds every field that is not in the path
//! ```
//! What stands neither in the path nor in the body is a parameter of the query. Names at the same
//! place of two paths must be alike (`{group=to}`), for one place in a path has one name.

use serde::Serialize;

/// A method, a path and a body's place.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct HttpRoute {
    pub method: HttpMethod,
    /// Below the interface's root (`/api/v1`).
    pub path: &'static str,
    #[serde(skip)]
    pub body: HttpBody,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum HttpMethod {
    Get,
    Put,
    Post,
    Delete,
}

/// What of a request comes in the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HttpBody {
    None,
    /// Everything that is not in the path.
    Rest,
    Field(&'static str),
}

impl HttpRoute {
    pub(super) const fn new(method: HttpMethod, path: &'static str, body: &'static str) -> Self {
        let body = match body.as_bytes() {
            b"" => HttpBody::None,
            b"*" => HttpBody::Rest,
            _ => HttpBody::Field(body),
        };
        Self { method, path, body }
    }

    /// The path with plain names: `/topics/{topic}`.
    #[must_use]
    pub fn plain_path(&self) -> String {
        let plain = |part: &str| match part.split_once('=') {
            Some((name, _)) => format!("{name}}}"),
            None => part.to_owned(),
        };
        self.path.split('/').map(plain).collect::<Vec<_>>().join("/")
    }

    /// Names in the path and the fields that they become; `config.name` is a field in an object.
    pub fn names(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let inner = |part: &'static str| part.strip_prefix('{')?.strip_suffix('}');
        self.path.split('/').filter_map(inner).map(|name| name.split_once('=').unwrap_or((name, name)))
    }
}

impl HttpMethod {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Put => "PUT",
            Self::Post => "POST",
            Self::Delete => "DELETE",
        }
    }
}
