//! Puts the configuration together: defaults, file, environment, command line.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use toml::{Table, Value};

use crate::config::{Config, environment};

/// A listener that is switched off.
pub const OFF: &str = "off";
/// Read where no other file is named, if it is there.
pub const DEFAULT_FILE: &str = "apogee.toml";

/// What the command line sets.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    pub data_dir: Option<PathBuf>,
    /// Address of all listeners, which keep their ports.
    pub bind: Option<IpAddr>,
}

/// Reads the configuration, checked. `file` must exist if it is given.
///
/// # Errors
/// If something is malformed, unknown or does not fit together.
pub fn load(
    file: Option<&Path>,
    variables: impl IntoIterator<Item = (String, String)>,
    overrides: &Overrides,
) -> Result<Config> {
    let mut table = defaults()?;
    if let Some(path) = file {
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        merge(&mut table, parse(&text).with_context(|| format!("in {}", path.display()))?);
    }
    environment::apply(&mut table, variables)?;
    let mut config: Config = table.try_into().context("in the environment (APOGEE_...)")?;
    apply(&mut config, overrides);
    // A file cannot take a default away, so 0 stands for "not at all".
    config.store.retention_ms = config.store.retention_ms.filter(|ms| *ms != 0);
    config.store.retention_bytes = config.store.retention_bytes.filter(|bytes| *bytes != 0);
    config.validate().map_err(|why| anyhow!("the configuration does not fit: {why}"))?;
    Ok(config)
}

/// The file that is read when none is named.
#[must_use]
pub fn default_file() -> Option<PathBuf> {
    let path = PathBuf::from(DEFAULT_FILE);
    path.is_file().then_some(path)
}

pub(crate) fn defaults() -> Result<Table> {
    Table::try_from(Config::default()).context("the defaults cannot be written")
}

/// Reads a file twice: once as a whole configuration, because only that tells the line of a
/// mistake, and once as the bare values that it sets.
fn parse(text: &str) -> Result<Table> {
    let _checked: Config = toml::from_str(text)?;
    let mut table: Table = toml::from_str(text)?;
    if let Some(Value::Table(listen)) = table.get_mut("listen") {
        listen.iter_mut().for_each(|(_, listener)| lengthen(listener));
    }
    Ok(table)
}

/// Turns a listener's short form into a table.
pub(crate) fn lengthen(listener: &mut Value) {
    let Value::String(text) = listener else { return };
    let mut table = Table::new();
    if text == OFF {
        table.insert("enabled".to_owned(), false.into());
    } else {
        table.insert("address".to_owned(), text.as_str().into());
        table.insert("enabled".to_owned(), true.into());
    }
    *listener = Value::Table(table);
}

/// Lays `over` over `under`: tables are merged, everything else is replaced.
pub(crate) fn merge(under: &mut Table, over: Table) {
    for (key, value) in over {
        match (under.get_mut(&key), value) {
            (Some(Value::Table(under)), Value::Table(over)) => merge(under, over),
            (_, value) => {
                under.insert(key, value);
            }
        }
    }
}

fn apply(config: &mut Config, overrides: &Overrides) {
    if let Some(dir) = &overrides.data_dir {
        config.data.dir.clone_from(dir);
    }
    if let Some(ip) = overrides.bind {
        let listen = &mut config.listen;
        let own = [&mut listen.namesrv, &mut listen.broker, &mut listen.grpc, &mut listen.http];
        for listener in own.into_iter().chain(listen.extra.values_mut()) {
            listener.address.set_ip(ip);
        }
    }
}
