//! One file per command.

pub(crate) mod acl;
pub(crate) mod admin;
pub(crate) mod group;
pub(crate) mod lite;
pub(crate) mod receive;
pub(crate) mod send;
pub(crate) mod timer;
pub(crate) mod topic;
pub(crate) mod transaction;
pub(crate) mod user;

/// Splits `key=value`.
pub(crate) fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or_else(|| format!("`{text}` is no key=value"))?;
    if key.is_empty() { Err(format!("`{text}` has no key")) } else { Ok((key.to_owned(), value.to_owned())) }
}
