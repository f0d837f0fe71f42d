//! Log lines, to the standard error output. The filter can change while the process runs.

use std::io::{self, IsTerminal};
use std::sync::OnceLock;

use anyhow::{Context, Result};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};

use crate::config::{LogConfig, LogFormat};

/// Of the process, as logging itself is.
static FILTER: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();

/// Starts logging. A second start in one process changes nothing.
pub(crate) fn start(config: &LogConfig) -> Result<()> {
    let (filter, handle) = reload::Layer::new(filter(&config.filter)?);
    let lines = fmt::layer().with_writer(io::stderr);
    let lines = match config.format {
        LogFormat::Text => lines.with_ansi(io::stderr().is_terminal()).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_ansi(false).boxed(),
    };
    if tracing_subscriber::registry().with(filter).with(lines).try_init().is_ok() {
        let _ = FILTER.set(handle);
    }
    Ok(())
}

/// # Errors
/// If it is no filter.
pub(crate) fn check_filter(text: &str) -> Result<()> {
    filter(text).map(drop)
}

/// From now on. Without logging that was started here nothing changes.
///
/// # Errors
/// If it is no filter.
pub(crate) fn set_filter(text: &str) -> Result<()> {
    let filter = filter(text)?;
    match FILTER.get() {
        Some(handle) => handle.reload(filter).context("the log's filter cannot be changed"),
        None => Ok(()),
    }
}

fn filter(text: &str) -> Result<EnvFilter> {
    EnvFilter::try_new(text).with_context(|| format!("log.filter: `{text}` is no filter; try `info`"))
}
