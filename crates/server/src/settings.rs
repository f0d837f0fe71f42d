//! Settings that change while the node runs: `config.get`, `config.put`.
//!
//! ```text
//! default < file < environment < command line < settings.toml in the data folder
//! ```
//! A change is checked as a whole configuration is, written to `settings.toml`, and then put into force.
//! It outlives restarts and wins over the configuration file until it is taken back (`null`). Which
//! settings can change so is [`LIVE`]; `docs/settings.md` is made of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use arc_swap::ArcSwap;
use base::Doors;
use base::disk::{read_whole, replace_file};
use broker::{Broker, HealthConfig};
use guard::Guarded;
use model::admin::{AdminError, Setting, Settings};
use parking_lot::Mutex;
use serde_json::Value as Json;
use toml::{Table, Value};

use crate::config::Config;
use crate::config::load::merge;
use crate::logging;

/// Stands in the data folder.
const FILE: &str = "settings.toml";

const HEAD: &str =
    "# Settings that were changed while the node ran (`config.put`). They win over the configuration file.\n";

/// What can change while the node runs, and what such a change does.
pub const LIVE: [(&str, &str); 26] = [
    ("log.filter", "the next log lines"),
    ("net.connections_max", "the next connections; open ones stay"),
    ("net.connections_per_ip_max", "the next connections; open ones stay"),
    ("net.sniff_timeout_ms", "the next connections"),
    ("net.write_stall_ms", "the next connections"),
    ("net.drain_ms", "the next stop of the node"),
    ("guard.calls_per_session_max", "the next calls; those that run go on"),
    ("guard.request_bytes_max", "the next sends; never beyond its share of memory"),
    ("guard.slow_call_ms", "calls that end from now on"),
    ("guard.slow_calls_per_min_max", "this minute"),
    ("broker.auto_create_topics", "the next sends, and routes of topics that do not exist"),
    ("broker.auto_create_groups", "the next heartbeats of unknown groups"),
    ("broker.auto_create_queues_max", "topics that are made from now on"),
    ("broker.transaction_timeout_ms", "half messages that are sent from now on"),
    ("broker.transaction_check_interval_ms", "the time after the next question"),
    ("broker.transaction_checks_max", "transactions when they are looked at next"),
    ("broker.transactions_undecided_max", "the next half messages"),
    ("broker.timer_delay_max_ms", "the next timed messages"),
    ("broker.recall_enabled", "the next recalls"),
    ("broker.lite_topics_max", "lite topics that are made from now on"),
    ("broker.lite_subscriptions_max", "the next subscriptions"),
    ("replica.flush_interval_ms", "within a second"),
    ("store.retention_ms", "within a second; 0 for never"),
    ("store.retention_bytes", "within a second; 0 for never"),
    ("store.disk_refuse_percent", "within a second"),
    ("store.disk_resume_percent", "within a second"),
];

/// What is told when a change fails because of what was asked for.
fn refused(why: impl Into<String>) -> AdminError {
    AdminError::Invalid(why.into())
}

/// The parts of a node that take changed settings.
pub(crate) struct Targets {
    pub(crate) broker: Arc<Broker>,
    pub(crate) guarded: Arc<Guarded<Broker>>,
    pub(crate) connections: net::Limits,
    pub(crate) health: Arc<ArcSwap<HealthConfig>>,
}

impl Targets {
    fn put_into_force(&self, config: &Config) -> Result<(), AdminError> {
        // The only one that can fail goes first.
        logging::set_filter(&config.log.filter).map_err(|error| refused(format!("{error:#}")))?;
        self.guarded.reconfigure(&config.guard);
        self.guarded.set_quotas(&config.quota);
        self.connections.reconfigure(&config.net);
        self.broker.reconfigure(&config.broker, &config.replica, &config.store);
        self.health.store(Arc::new(config.health.clone()));
        Ok(())
    }
}

/// A node's settings.
pub(crate) struct NodeSettings {
    doors: Doors,
    dir: PathBuf,
    /// From the file, the environment and the command line.
    configured: Config,
    changes: Mutex<Changes>,
    targets: Targets,
}

struct Changes {
    table: Table,
    in_force: Config,
}

impl NodeSettings {
    pub(crate) fn new(
        doors: &Doors,
        configured: &Config,
        in_force: &Config,
        targets: Targets,
    ) -> Result<Self> {
        let dir = configured.data.dir.clone();
        let table = read(doors, &dir)?;
        let changes = Mutex::new(Changes { table, in_force: in_force.clone() });
        Ok(Self { doors: doors.clone(), dir, configured: configured.clone(), changes, targets })
    }

    fn settings(&self, changes: &Changes) -> Vec<Setting> {
        let flat = |config: &Config| {
            let mut out = BTreeMap::new();
            flatten("", &Table::try_from(config).unwrap_or_default(), &mut out);
            out
        };
        let (mut in_force, configured) = (flat(&changes.in_force), flat(&self.configured));
        // What is not set has no place in a table, but can be set.
        for (name, _) in LIVE {
            in_force.entry(name.to_owned()).or_insert(Json::Null);
        }
        let mut changed = BTreeMap::new();
        flatten("", &changes.table, &mut changed);
        let setting = |(name, value): (String, Json)| {
            let is_changed = changed.contains_key(&name);
            let configured = configured.get(&name).filter(|_| is_changed).cloned();
            let mask = |value: Json| if is_secret(&name, &value) { Json::from("***") } else { value };
            Setting {
                live: is_live(&name),
                changed: is_changed,
                configured: configured.map(mask),
                value: Some(value).filter(|value| !value.is_null()).map(mask),
                name,
            }
        };
        in_force.into_iter().map(setting).collect()
    }
}

impl Settings for NodeSettings {
    fn list(&self) -> Vec<Setting> {
        self.settings(&self.changes.lock())
    }

    fn change(&self, wanted: BTreeMap<String, Option<Json>>) -> Result<Vec<Setting>, AdminError> {
        let mut changes = self.changes.lock();
        let known: Vec<String> = self.settings(&changes).into_iter().map(|setting| setting.name).collect();
        let mut table = changes.table.clone();
        for (name, value) in &wanted {
            if !is_live(name) {
                return Err(refused(if known.contains(name) {
                    format!(
                        "`{name}` is read at the start only: set it in the configuration file and start again"
                    )
                } else {
                    format!("there is no setting `{name}`")
                }));
            }
            set(&mut table, name, value.as_ref())?;
        }
        let in_force =
            laid_over(&self.configured, table.clone()).map_err(|error| refused(format!("{error:#}")))?;
        logging::check_filter(&in_force.log.filter).map_err(|error| refused(format!("{error:#}")))?;
        write(&self.doors, &self.dir, &table)
            .map_err(|error| AdminError::Unavailable(format!("{error:#}")))?;
        self.targets.put_into_force(&in_force)?;
        *changes = Changes { table, in_force };
        let settings = self.settings(&changes);
        Ok(settings.into_iter().filter(|setting| wanted.contains_key(&setting.name)).collect())
    }
}

fn is_live(name: &str) -> bool {
    LIVE.iter().any(|(live, _)| *live == name)
        || (name.starts_with("quota.") && name.ends_with("_per_s"))
        || name.starts_with("health.")
}

/// A text or a list, and not an empty one: a switch or a number is no secret, whatever its name.
fn is_secret(name: &str, value: &Json) -> bool {
    let is_said = match value {
        Json::String(text) => !text.is_empty(),
        Json::Array(all) => !all.is_empty(),
        _ => false,
    };
    let words = ["password", "secret", "token", "webhook_url", "telemetry.headers"];
    is_said && words.iter().any(|word| name.contains(word))
}

/// The settings in force: the configuration with what was changed while the node ran.
///
/// # Errors
/// If `settings.toml` is malformed or does not fit the configuration.
pub fn in_force(doors: &Doors, configured: &Config) -> Result<Config> {
    let dir = &configured.data.dir;
    let table = read(doors, dir)?;
    laid_over(configured, table).with_context(|| format!("with {}", dir.join(FILE).display()))
}

/// The settings as `apogee config` prints them: TOML, with secrets masked.
///
/// # Errors
/// If they cannot be written as TOML.
pub fn printed(config: &Config) -> Result<String> {
    let mut whole = Table::try_from(config).context("the configuration cannot be written")?;
    for (section, settings) in &mut whole {
        for (key, value) in settings.as_table_mut().into_iter().flatten() {
            if is_secret(&format!("{section}.{key}"), &serde_json::to_value(&*value)?) {
                *value = "***".into();
            }
        }
    }
    Ok(toml::to_string(&whole)?)
}

fn laid_over(configured: &Config, changes: Table) -> Result<Config> {
    let mut whole = Table::try_from(configured).context("the configuration cannot be written")?;
    merge(&mut whole, changes);
    let mut config: Config = whole.try_into()?;
    // Passwords are not written out, and nothing here changes while the node runs.
    config.auth.clone_from(&configured.auth);
    config.store.retention_ms = config.store.retention_ms.filter(|ms| *ms != 0);
    config.store.retention_bytes = config.store.retention_bytes.filter(|bytes| *bytes != 0);
    config.validate().map_err(|why| anyhow!(why))?;
    // The budget is named already: the machine's memory does not count any more.
    Ok(config.within_memory(base::memory::machine_bytes()))
}

fn read(doors: &Doors, dir: &Path) -> Result<Table> {
    let path = dir.join(FILE);
    if !doors.disk.exists(&path) {
        return Ok(Table::new());
    }
    let bytes = read_whole(&*doors.disk, &path).with_context(|| format!("cannot read {}", path.display()))?;
    let text = String::from_utf8(bytes).with_context(|| format!("{} is no text", path.display()))?;
    toml::from_str(&text).with_context(|| format!("in {}", path.display()))
}

fn write(doors: &Doors, dir: &Path, table: &Table) -> Result<()> {
    let text = format!("{HEAD}{}", toml::to_string(table)?);
    replace_file(&*doors.disk, dir, FILE, text.as_bytes())
        .with_context(|| format!("cannot write {}", dir.join(FILE).display()))
}

/// Sets, or without a value takes out, `section.key`.
fn set(table: &mut Table, name: &str, value: Option<&Json>) -> Result<(), AdminError> {
    let (section, key) =
        name.split_once('.').ok_or_else(|| refused(format!("`{name}` is no `section.key`")))?;
    let Some(value) = value else {
        if let Some(Value::Table(settings)) = table.get_mut(section) {
            settings.remove(key);
            if settings.is_empty() {
                table.remove(section);
            }
        }
        return Ok(());
    };
    let value = Value::try_from(value).map_err(|error| refused(format!("`{name}`: {error}")))?;
    if let Value::Table(settings) = table.entry(section).or_insert_with(|| Table::new().into()) {
        settings.insert(key.to_owned(), value);
    }
    Ok(())
}

/// Tables inside tables become names with dots.
fn flatten(prefix: &str, table: &Table, out: &mut BTreeMap<String, Json>) {
    for (key, value) in table {
        let name = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match value {
            Value::Table(inner) => flatten(&name, inner, out),
            value => drop(out.insert(name, serde_json::to_value(value).unwrap_or_default())),
        }
    }
}

/// The page `docs/settings.md`.
#[must_use]
pub fn page() -> String {
    let mut out = "# Settings that change while a node runs

Made from the source; do not edit. What every setting means stands in [config.md](config.md).

`config.get` lists all settings in force, `config.put` changes those below: `apogee admin config.put --settings
'{\"store.retention_ms\": 3600000}'`, `POST /api/v1/operations/config.put`, or `mqadmin updateBrokerConfig` (see
[mqadmin.md](mqadmin.md) for its names). All changes of a call are made, or none. They are checked as a configuration
file is, written to `settings.toml` in the data folder, and put into force at once. They outlive restarts and win over
the configuration file, the environment and the command line, until they are taken back: a setting that is put to
`null` is again what the configuration says. To take all of them back while the node is stopped, remove the file.
`apogee config` prints what is in force with them. Every change leaves a line in the log under the target `audit`.

| setting | a change counts for |
|---|---|
"
    .to_owned();
    for (name, what) in LIVE {
        out += &format!("| `{name}` | {what} |\n");
    }
    out += "| `quota.<name>_per_s`, all of them | the next calls |\n";
    out += "| `health.<name>`, all of them | the next look, the next trouble that is told |\n";
    out += "\nAll others are read at the start only.\n";
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_not_stale() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/settings.md");
        if std::env::var_os("UPDATE_PAGES").is_some() {
            std::fs::write(path, page()).expect("it is writable");
        }
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            committed == page(),
            "docs/settings.md is stale: run `UPDATE_PAGES=1 cargo test -p server page`"
        );
    }

    #[test]
    fn every_live_setting_exists() {
        for (name, _) in LIVE {
            let mut table = Table::new();
            let value = match name {
                "log.filter" => Json::from("info"),
                name if name.starts_with("broker.auto_create_") && !name.ends_with("max") => true.into(),
                "broker.recall_enabled" => true.into(),
                // At least what a protocol takes to end.
                "net.drain_ms" => 30_000.into(),
                _ => 84.into(),
            };
            set(&mut table, name, Some(&value)).expect("a section and a key");
            let mut configured = Config::default();
            configured.store.disk_resume_percent = 10;
            laid_over(&configured, table).unwrap_or_else(|error| panic!("{name}: {error:#}"));
        }
    }

    #[test]
    fn what_is_printed_has_no_secret() {
        let mut config = Config::default();
        let told = printed(&config).expect("TOML");
        let read: Config = toml::from_str(&told).expect("it can be read again");
        assert_eq!(read, config);
        config.health.webhook_url = "https://hooks.example/hush".to_owned();
        config.telemetry.headers = vec!["api-key=hush".to_owned()];
        config.telemetry.otlp_endpoint = "http://collector:4317".to_owned();
        let told = printed(&config).expect("TOML");
        assert!(!told.contains("hush") && told.matches("***").count() == 2, "{told}");
        assert!(told.contains("http://collector:4317"), "{told}");
    }

    #[test]
    fn changes_are_laid_over_and_taken_back() {
        let mut table = Table::new();
        set(&mut table, "store.retention_ms", Some(&7.into())).expect("legal");
        let configured = Config::default();
        assert_eq!(laid_over(&configured, table.clone()).expect("legal").store.retention_ms, Some(7));
        set(&mut table, "store.retention_ms", None).expect("legal");
        assert!(table.is_empty());
        let text = laid_over(&configured, table).expect("legal");
        assert_eq!(text.store.retention_ms, configured.store.retention_ms);
    }
}
