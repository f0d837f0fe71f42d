//! One file per command.

use std::io::IsTerminal;
use std::time::Duration;

use anyhow::Result;

use crate::output;

pub(crate) mod acl;
pub(crate) mod admin;
pub(crate) mod events;
pub(crate) mod group;
pub(crate) mod health;
pub(crate) mod lite;
pub(crate) mod profile;
pub(crate) mod receive;
pub(crate) mod send;
pub(crate) mod support;
pub(crate) mod timer;
pub(crate) mod top;
pub(crate) mod topic;
pub(crate) mod trace;
pub(crate) mod transaction;
pub(crate) mod user;

/// Prints what `answer` gives, once, or every so many seconds on a cleared screen.
pub(crate) async fn again(watch: Option<u64>, mut answer: impl AsyncFnMut() -> Result<String>) -> Result<()> {
    loop {
        let text = answer().await?;
        if watch.is_some() && std::io::stdout().is_terminal() {
            // Clears the screen, and goes to its first place.
            output::line("\u{1b}[2J\u{1b}[H");
        }
        output::line(&text);
        let Some(seconds) = watch else { return Ok(()) };
        pause(seconds).await;
    }
}

#[expect(clippy::disallowed_methods, reason = "a tool runs in the real world only")]
async fn pause(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds.max(1))).await;
}

/// Splits `key=value`.
pub(crate) fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or_else(|| format!("`{text}` is no key=value"))?;
    if key.is_empty() { Err(format!("`{text}` has no key")) } else { Ok((key.to_owned(), value.to_owned())) }
}
