//! Settings from the environment: `APOGEE_<SECTION>_<KEY>`, as `APOGEE_STORE_SEGMENT_BYTES`.
//!
//! Variables of unknown sections are not ours: an orchestrator sets many that begin with the name
//! of its service. Those of a known section must be right.

use anyhow::{Result, bail};
use toml::{Table, Value};

use crate::config::load::{lengthen, merge};

const PREFIX: &str = "APOGEE_";
/// Short names of what is set most often.
const SHORT: [(&str, &str); 3] = [
    ("FLUSH", "REPLICA_FLUSH"),
    ("LOG", "LOG_FILTER"),
    ("MEMORY_BUDGET_BYTES", "RUNTIME_MEMORY_BUDGET_BYTES"),
];

/// Lays the settings in `variables` over `table`.
pub(crate) fn apply(table: &mut Table, variables: impl IntoIterator<Item = (String, String)>) -> Result<()> {
    for (variable, text) in variables {
        let Some(name) = variable.strip_prefix(PREFIX).filter(|name| !is_foreign(name, &text)) else {
            continue;
        };
        let name = SHORT.iter().find(|(short, _)| *short == name).map_or(name, |(_, long)| long);
        let name = name.to_lowercase();
        let Some((section, key)) = split(table, &name) else { continue };
        let Some(Value::Table(settings)) = table.get_mut(&section) else {
            bail!("{variable}: `{section}` is no section");
        };
        set(settings, &key, &text, section == "listen");
    }
    Ok(())
}

/// What Kubernetes sets for a service of the name `apogee-<section>`.
fn is_foreign(name: &str, text: &str) -> bool {
    let of_port =
        name.rsplit_once("_PORT_").is_some_and(|(_, rest)| rest.starts_with(|c: char| c.is_ascii_digit()));
    let is_link = name.ends_with("_PORT") && text.contains("://");
    of_port || is_link || name.ends_with("_SERVICE_HOST") || name.contains("_SERVICE_PORT")
}

/// Splits a name into a key of `table` and the rest.
fn split(table: &Table, name: &str) -> Option<(String, String)> {
    table.keys().find_map(|key| {
        let rest = name.strip_prefix(key.as_str())?.strip_prefix('_')?;
        (!rest.is_empty()).then(|| (key.clone(), rest.to_owned()))
    })
}

fn set(table: &mut Table, name: &str, text: &str, is_listener: bool) {
    if let Some(known) = table.get_mut(name) {
        let mut value = value_like(known, text);
        if is_listener {
            lengthen(&mut value);
        }
        match (known, value) {
            (Value::Table(known), Value::Table(value)) => merge(known, value),
            (known, value) => *known = value,
        }
        return;
    }
    match split(table, name) {
        Some((key, rest)) => {
            if let Some(Value::Table(inner)) = table.get_mut(&key) {
                set(inner, &rest, text, false);
            }
        }
        // Not set by default, or unknown: the configuration itself will tell.
        None => drop(table.insert(name.to_owned(), guess(text))),
    }
}

/// Reads `text` as a value of the same type as `known`; what cannot be read stays a text, and is
/// complained of where it is used.
fn value_like(known: &Value, text: &str) -> Value {
    match known {
        Value::String(_) => text.into(),
        Value::Array(_) => {
            let parts = || text.split(',').map(|part| part.trim().into()).collect();
            guess_array(text).unwrap_or_else(|| Value::Array(parts()))
        }
        _ => guess(text),
    }
}

fn guess_array(text: &str) -> Option<Value> {
    Some(guess(text)).filter(Value::is_array)
}

/// As TOML would read it, else a text.
fn guess(text: &str) -> Value {
    let parsed: Option<Table> = toml::from_str(&format!("value = {text}")).ok();
    parsed.and_then(|mut table| table.remove("value")).unwrap_or_else(|| text.into())
}
