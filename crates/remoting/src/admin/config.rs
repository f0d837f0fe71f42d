//! Settings under the original's names: `GET_BROKER_CONFIG`, `UPDATE_BROKER_CONFIG`,
//! `UPDATE_NAMESRV_CONFIG`. Our own names (`store.retention_ms`) are taken too.

use std::collections::BTreeMap;

use model::admin::{self, ConfigGet, ConfigPut, ConfigPutRequest, ConfigRequest, Setting};
use serde_json::Value;

use super::node;
use crate::code::response;
use crate::error::Failure;
use crate::frame::Command;
use crate::handlers::{Answer, done, success};
use crate::header::Fields;
use crate::link::Link;

/// How a value reads under the original's name.
#[derive(Debug, Clone, Copy)]
enum Unit {
    Same,
    /// Seconds there, milliseconds here.
    Seconds,
    /// Hours there, milliseconds here.
    Hours,
    /// `SYNC_FLUSH` there, `sync` here.
    Flush,
}

/// The original's name, ours, and how the value differs. `docs/mqadmin.md` shows it.
const NAMES: [(&str, &str, Unit); 17] = [
    ("autoCreateSubscriptionGroup", "broker.auto_create_groups", Unit::Same),
    ("autoCreateTopicEnable", "broker.auto_create_topics", Unit::Same),
    ("brokerClusterName", "broker.cluster", Unit::Same),
    ("brokerName", "broker.name", Unit::Same),
    ("defaultTopicQueueNums", "broker.auto_create_queues_max", Unit::Same),
    ("diskSpaceWarningLevelRatio", "store.disk_refuse_percent", Unit::Same),
    ("fileReservedTime", "store.retention_ms", Unit::Hours),
    ("flushDiskType", "replica.flush", Unit::Flush),
    ("flushIntervalCommitLog", "replica.flush_interval_ms", Unit::Same),
    ("mappedFileSizeCommitLog", "store.segment_bytes", Unit::Same),
    ("maxLmqConsumeQueueNum", "broker.lite_topics_max", Unit::Same),
    ("recallMessageEnable", "broker.recall_enabled", Unit::Same),
    ("storePathRootDir", "data.dir", Unit::Same),
    ("timerMaxDelaySec", "broker.timer_delay_max_ms", Unit::Seconds),
    ("transactionCheckInterval", "broker.transaction_check_interval_ms", Unit::Same),
    ("transactionCheckMax", "broker.transaction_checks_max", Unit::Same),
    ("transactionTimeOut", "broker.transaction_timeout_ms", Unit::Same),
];

impl Unit {
    const fn ms(self) -> Option<i64> {
        match self {
            Self::Seconds => Some(1_000),
            Self::Hours => Some(3_600_000),
            Self::Same | Self::Flush => None,
        }
    }

    /// Our value as the original would write it.
    fn outward(self, value: Option<&Value>) -> String {
        let Some(value) = value else { return String::new() };
        match (self.ms(), value) {
            (Some(unit), Value::Number(ms)) => (ms.as_i64().unwrap_or_default() / unit).to_string(),
            (None, Value::String(flush)) if matches!(self, Self::Flush) => {
                format!("{}_FLUSH", flush.to_uppercase())
            }
            (_, Value::String(text)) => text.clone(),
            (_, other) => other.to_string(),
        }
    }

    fn inward(self, text: &str) -> Option<Value> {
        match self.ms() {
            Some(unit) => text.parse::<i64>().ok()?.checked_mul(unit).map(Value::from),
            None if matches!(self, Self::Flush) => {
                Some(text.strip_suffix("_FLUSH").unwrap_or(text).to_lowercase().into())
            }
            None => Some(guess(text)),
        }
    }
}

/// A number, a truth, or else a text.
fn guess(text: &str) -> Value {
    match serde_json::from_str(text) {
        Ok(value @ (Value::Bool(_) | Value::Number(_))) => value,
        _ => text.into(),
    }
}

/// Properties text: what has a name there under it, and all settings under our own.
pub(super) async fn get(link: &Link) -> Answer {
    let node = node::describe(link).await?;
    let settings = match admin::run::<ConfigGet>(link.engine(), &link.session, ConfigRequest::default()).await
    {
        // Without settings that can change the node's names are all that is known.
        Err(admin::AdminError::Unavailable(_)) => Vec::new(),
        other => other?,
    };
    let at = &link.session.advertised;
    let mut table = BTreeMap::from([
        ("brokerClusterName".to_owned(), node.cluster.clone()),
        ("brokerId".to_owned(), "0".to_owned()),
        ("brokerIP1".to_owned(), at.host.clone()),
        ("brokerName".to_owned(), node.broker_name.clone()),
        ("brokerRole".to_owned(), "ASYNC_MASTER".to_owned()),
        ("listenPort".to_owned(), at.port.to_string()),
    ]);
    for Setting { name, value, .. } in &settings {
        if let Some((theirs, _, unit)) = NAMES.iter().find(|(_, ours, _)| ours == name) {
            table.insert((*theirs).to_owned(), unit.outward(value.as_ref()));
        }
        table.insert(name.clone(), Unit::Same.outward(value.as_ref()));
    }
    let text: String = table.into_iter().map(|(name, value)| format!("{name}={value}\n")).collect();
    let fields = Fields::new().with("version", r#"{"counter":0,"stateVersion":0,"timestamp":0}"#);
    Ok(success(fields, text.into()))
}

/// `UPDATE_BROKER_CONFIG`, and `UPDATE_NAMESRV_CONFIG`: the name server is this node.
pub(super) async fn update(link: &Link, request: &Command) -> Answer {
    let body = request.body.bytes();
    let text = std::str::from_utf8(&body)
        .map_err(|_| Failure::new(response::INVALID_PARAMETER, "the settings are no text".to_owned()))?;
    let settings = changes(text)?;
    admin::run::<ConfigPut>(link.engine(), &link.session, ConfigPutRequest { settings }).await?;
    Ok(done())
}

fn changes(text: &str) -> Result<BTreeMap<String, Option<Value>>, Failure> {
    let refused = |why: String| Failure::new(response::INVALID_PARAMETER, why);
    let mut changes = BTreeMap::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (name, value) =
            line.split_once('=').ok_or_else(|| refused(format!("`{line}` is no `name=value`")))?;
        let (name, value) = (name.trim(), value.trim());
        let known = NAMES.iter().find(|(theirs, ..)| *theirs == name);
        let (ours, unit) = known.map_or((name, Unit::Same), |(_, ours, unit)| (*ours, *unit));
        if known.is_none() && !name.contains('.') {
            return Err(refused(format!(
                "there is no setting `{name}` here; docs/mqadmin.md lists those that there are"
            )));
        }
        let wrong = || refused(format!("`{name}` is `{value}`, it takes a whole number"));
        changes.insert(ours.to_owned(), Some(unit.inward(value).ok_or_else(wrong)?));
    }
    if changes.is_empty() {
        return Err(refused("no setting is named".to_owned()));
    }
    Ok(changes)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_and_units_are_ours() {
        let seen = changes("fileReservedTime=48\n# no\nautoCreateTopicEnable = false\nstore.segment_bytes=5")
            .expect("legal");
        let wanted = [
            ("broker.auto_create_topics", json!(false)),
            ("store.retention_ms", json!(172_800_000_i64)),
            ("store.segment_bytes", json!(5)),
        ];
        assert_eq!(seen, wanted.map(|(name, value)| (name.to_owned(), Some(value))).into());
    }

    #[test]
    fn the_page_shows_every_name() {
        let page = include_str!("../../../../docs/mqadmin.md");
        for (theirs, ours, _) in NAMES {
            let is_row = |line: &str| {
                line.starts_with(&format!("| `{theirs}`")) && line.contains(&format!("`{ours}`"))
            };
            assert!(page.lines().any(is_row), "docs/mqadmin.md does not show {theirs}");
        }
    }

    #[test]
    fn what_is_not_known_is_told() {
        for (text, part) in [
            ("sendMessageThreadPoolNums=4", "there is no setting `sendMessageThreadPoolNums` here"),
            ("fileReservedTime=long", "it takes a whole number"),
            ("nonsense", "is no `name=value`"),
            ("", "no setting is named"),
        ] {
            let told = changes(text).expect_err("refused").remark;
            assert!(told.contains(part), "{told}");
        }
    }

    #[test]
    fn values_go_out_as_the_original_writes_them() {
        assert_eq!(Unit::Hours.outward(Some(&json!(259_200_000_i64))), "72");
        assert_eq!(Unit::Flush.outward(Some(&json!("sync"))), "SYNC_FLUSH");
        assert_eq!(Unit::Same.outward(Some(&json!(true))), "true");
        assert_eq!(Unit::Same.outward(None), "");
    }
}
