//! What is told to others: each trouble once when it comes, and once when it has gone.

use std::collections::BTreeMap;

use model::admin::{HealthItem, HealthReport, HealthSubject, Trouble};
use serde::Serialize;

use super::config::HealthConfig;

/// A trouble is gone if so many looks in a row have not seen it: what flickers is told once.
const GONE_AFTER_LOOKS: u32 = 3;

/// A trouble that came or went.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Alert {
    pub state: AlertState,
    /// Unix milliseconds.
    pub at_ms: i64,
    #[serde(flatten)]
    pub item: HealthItem,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertState {
    Firing,
    Resolved,
}

#[derive(Debug)]
struct Told {
    item: HealthItem,
    looks_without: u32,
}

/// What was told and has not gone. Pure.
#[derive(Debug, Default)]
pub(crate) struct Alerts(BTreeMap<(HealthSubject, String, Trouble), Told>);

impl Alerts {
    pub(crate) fn on_report(&mut self, config: &HealthConfig, report: &HealthReport) -> Vec<Alert> {
        let at_ms = report.at_ms;
        for told in self.0.values_mut() {
            told.looks_without += 1;
        }
        let mut alerts = Vec::new();
        for item in &report.items {
            let key = (item.subject, item.name.clone(), item.trouble);
            if let Some(told) = self.0.get_mut(&key) {
                *told = Told { item: item.clone(), looks_without: 0 };
            } else if item.score >= config.webhook_score_min {
                self.0.insert(key, Told { item: item.clone(), looks_without: 0 });
                alerts.push(Alert { state: AlertState::Firing, at_ms, item: item.clone() });
            }
        }
        self.0.retain(|_, told| {
            let is_gone = told.looks_without >= GONE_AFTER_LOOKS;
            if is_gone {
                alerts.push(Alert { state: AlertState::Resolved, at_ms, item: told.item.clone() });
            }
            !is_gone
        });
        alerts
    }
}
