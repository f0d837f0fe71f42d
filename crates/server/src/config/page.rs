//! The reference page of the configuration, made of the doc comments and the defaults.

use std::fmt::Write;

use anyhow::{Context, Result};
use toml::{Table, Value};

use crate::config::load::defaults;

/// Section, the struct that describes it, and the source that it stands in.
const SECTIONS: [(&str, &str, &str); 18] = [
    ("data", "DataConfig", include_str!("../config.rs")),
    ("listen", "ListenConfig", include_str!("../config.rs")),
    ("listen.<name>", "ListenerConfig", include_str!("../../../net/src/config.rs")),
    ("log", "LogConfig", include_str!("../config.rs")),
    ("runtime", "RuntimeConfig", include_str!("../config.rs")),
    ("net", "NetConfig", include_str!("../../../net/src/config.rs")),
    ("tls", "TlsConfig", include_str!("../../../net/src/config.rs")),
    ("guard", "GuardConfig", include_str!("../../../guard/src/config.rs")),
    ("quota", "QuotaConfig", include_str!("../../../guard/src/config.rs")),
    ("auth", "AuthConfig", include_str!("../../../guard/src/config.rs")),
    ("broker", "BrokerConfig", include_str!("../../../broker/src/config.rs")),
    ("health", "HealthConfig", include_str!("../../../broker/src/health/config.rs")),
    ("telemetry", "TelemetryConfig", include_str!("../../../telemetry/src/config.rs")),
    ("replica", "ReplicaConfig", include_str!("../../../replica/src/config.rs")),
    ("store", "StoreConfig", include_str!("../../../store/src/config.rs")),
    ("remoting", "RemotingConfig", include_str!("../../../remoting/src/config.rs")),
    ("grpc", "GrpcConfig", include_str!("../../../grpc/src/config.rs")),
    ("rest", "RestConfig", include_str!("../../../rest/src/config.rs")),
];

const HEAD: &str = "# Configuration

Made from the source; do not edit. `apogee config` prints the settings in force.

Without any configuration a node runs with the defaults below. A setting comes from (later wins)
its default, the file (`--config`, else `apogee.toml` in the current folder), the environment, the
command line. In the environment a setting is `APOGEE_<SECTION>_<KEY>`, as
`APOGEE_STORE_SEGMENT_BYTES=16777216` or `APOGEE_LISTEN_BROKER=0.0.0.0:10911`; `APOGEE_FLUSH`,
`APOGEE_LOG` and `APOGEE_MEMORY_BUDGET_BYTES` are short for `APOGEE_REPLICA_FLUSH`,
`APOGEE_LOG_FILTER` and `APOGEE_RUNTIME_MEMORY_BUDGET_BYTES`. Unknown settings are refused.
";

/// The whole page, in Markdown.
///
/// # Errors
/// If a struct is not where [`SECTIONS`] says.
pub fn page() -> Result<String> {
    let defaults = defaults()?;
    let mut out = HEAD.to_owned();
    for (section, name, source) in SECTIONS {
        let described =
            describe(source, name).with_context(|| format!("`{name}` is not where it should be"))?;
        let values = match section {
            "listen.<name>" => nested(&defaults, &["listen", "broker"]),
            section => nested(&defaults, &[section]),
        };
        write_section(&mut out, section, &described, values)?;
    }
    Ok(out)
}

fn nested<'a>(table: &'a Table, path: &[&str]) -> Option<&'a Table> {
    path.iter().try_fold(table, |table, key| table.get(*key)?.as_table())
}

fn write_section(
    out: &mut String,
    section: &str,
    described: &Described,
    values: Option<&Table>,
) -> Result<()> {
    writeln!(out, "\n## `[{section}]`\n")?;
    if !described.text.is_empty() {
        writeln!(out, "{}\n", described.text.join("\n"))?;
    }
    writeln!(out, "| key | default | meaning |\n|---|---|---|")?;
    for (key, text) in &described.fields {
        let default = match values.and_then(|values| values.get(key)) {
            None => String::new(),
            Some(Value::Table(table)) => table.get("address").map(|a| format!("`{a}`")).unwrap_or_default(),
            Some(value) => format!("`{value}`"),
        };
        writeln!(out, "| `{key}` | {default} | {} |", text.join(" ").replace('|', "\\|"))?;
    }
    Ok(())
}

/// The doc comments of a struct and of its fields.
#[derive(Default)]
struct Described {
    text: Vec<String>,
    fields: Vec<(String, Vec<String>)>,
}

/// Reads a struct's doc comments off its source. A field without one shares that of the field
/// before it.
fn describe(source: &str, name: &str) -> Option<Described> {
    let head = format!("pub struct {name} {{");
    let mut described = Described::default();
    let mut comment: Vec<String> = Vec::new();
    let mut inside = false;
    for line in source.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("///") {
            comment.push(text.trim().to_owned());
        } else if line == head {
            described.text = std::mem::take(&mut comment);
            inside = true;
        } else if inside && line == "}" {
            return Some(described);
        } else if let Some(field) =
            line.strip_prefix("pub ").and_then(|rest| rest.split_once(':')).filter(|_| inside)
        {
            let text = std::mem::take(&mut comment);
            let text = if text.is_empty() { vec!["As above.".to_owned()] } else { text };
            described.fields.push((field.0.to_owned(), text));
        } else if !line.starts_with("#[") {
            comment.clear();
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/config.md");

    #[test]
    fn the_page_is_not_stale() {
        let page = page().expect("all sections are there");
        if std::env::var_os("UPDATE_PAGES").is_some() {
            std::fs::write(PATH, &page).expect("it is writable");
        }
        let committed = std::fs::read_to_string(PATH).unwrap_or_default();
        assert!(committed == page, "docs/config.md is stale: run `UPDATE_PAGES=1 cargo test -p server page`");
    }

    #[test]
    fn every_setting_is_described() {
        let defaults = defaults().expect("writable");
        for (section, table) in &defaults {
            let (_, name, source) =
                SECTIONS.iter().find(|(name, ..)| name == section).expect("every section is listed");
            let described = describe(source, name).expect("it is there");
            for key in table.as_table().expect("a section").keys() {
                assert!(described.fields.iter().any(|(field, _)| field == key), "{section}.{key}");
            }
        }
    }
}
