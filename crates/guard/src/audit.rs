//! Who changed what: a line in the log, under the target `audit`, for every operation that writes,
//! done or refused. Secrets are masked, and what is long is cut.

use model::Session;
use model::admin::AdminError;
use serde_json::Value;

/// Bytes of a request that a line shows.
const REQUEST_BYTES_MAX: usize = 1_024;

/// Fields whose names hold one of these are not shown.
const SECRET: [&str; 3] = ["password", "secret", "token"];

/// A request as a line shows it.
pub(crate) fn shown(request: &Value) -> String {
    let mut request = request.clone();
    mask(&mut request);
    let mut text = request.to_string();
    if text.len() > REQUEST_BYTES_MAX {
        let cut = (0..=REQUEST_BYTES_MAX).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(cut);
        text.push_str("...");
    }
    text
}

fn mask(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let name = name.to_lowercase();
                if SECRET.iter().any(|secret| name.contains(secret)) {
                    *value = "***".into();
                } else {
                    mask(value);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(mask),
        _ => {}
    }
}

/// An operation that writes has ended.
pub(crate) fn written(session: &Session, operation: &str, request: &str, error: Option<&AdminError>) {
    let user = session.user.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
    let (protocol, from) = (session.protocol, session.peer);
    match error {
        None => {
            tracing::info!(target: "audit", user, %from, protocol, operation, request, result = "done");
        }
        Some(error) => {
            tracing::info!(target: "audit", user, %from, protocol, operation, request, result = "failed", %error);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_are_masked_wherever_they_stand() {
        let request = json!({ "user": "a", "password": "p", "more": [{ "SecretKey": 7, "x": 1 }] });
        assert_eq!(shown(&request), r#"{"more":[{"SecretKey":"***","x":1}],"password":"***","user":"a"}"#);
    }

    #[test]
    fn what_is_long_is_cut_between_characters() {
        let text = shown(&json!("\u{e9}".repeat(REQUEST_BYTES_MAX)));
        assert!(text.len() <= REQUEST_BYTES_MAX + 3 && text.ends_with("..."));
    }
}
