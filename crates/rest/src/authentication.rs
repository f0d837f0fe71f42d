//! Who calls: basic authentication (RFC 7617) with the users that 4.x and 5.x clients sign as.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, header};
use model::access::{Authenticate, Stranger};

use crate::error::Problem;

/// What anybody may ask: whether the node is well.
const OPEN: [&str; 3] = ["/", "/healthz", "/readyz"];

/// The console itself is no secret: it asks for a password, and then with it.
fn is_open(path: &str) -> bool {
    OPEN.contains(&path) || path == "/console" || path.starts_with("/console/")
}

/// The user who calls; nobody, where that is not asked.
pub(crate) fn caller(
    auth: &dyn Authenticate,
    path: &str,
    headers: &HeaderMap,
) -> Result<Option<Arc<str>>, Problem> {
    if !auth.is_required() || is_open(path) {
        return Ok(None);
    }
    let said = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(credentials);
    let (user, password) = said.ok_or_else(|| Problem::stranger(&Stranger::Nobody))?;
    // Whether there is such a user is not told to who has no password of it.
    let known = auth.password(&user, &password).map_err(|stranger| match stranger {
        Stranger::Unknown(_) | Stranger::Signature => Problem::unauthorized("user or password is wrong"),
        other => Problem::stranger(&other),
    })?;
    Ok(Some(known))
}

/// `Basic <base64 of user:password>`
fn credentials(value: &str) -> Option<(String, String)> {
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (user, password) = text.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_read() {
        let basic = format!("basic {}", STANDARD.encode("alice:se:cret"));
        assert_eq!(credentials(&basic), Some(("alice".to_owned(), "se:cret".to_owned())));
        for other in ["", "Bearer x", "Basic", "Basic ?", "Basic YWJj"] {
            assert_eq!(credentials(other), None, "{other}");
        }
    }
}
