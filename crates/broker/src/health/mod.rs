//! Health: what is at risk, riskiest first, with the reason in words and what to do.
//!
//! ```text
//! every few seconds:  look at all groups and topics (gather) -> judge -> report -> health.list, metrics
//!                                                                          └─> alerts: what came, what went
//! ```
//! Where messages pass, only relaxed counters are added to; everything else happens in the looks, which run
//! where they may block and take a small part of a processor at most. All of it is soft.
//!
//! Reading order: [`sample`] (what is seen), [`judge`] (the machine), `groups` and `others` (its rules),
//! `gather` (how it is seen).

pub mod alerts;
pub mod config;
mod gather;
mod groups;
mod judge;
mod metrics;
mod others;
mod sample;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use hashbrown::HashMap;
use model::TopicName;
use model::admin::HealthReport;
use model::throttled::ThrottleBook;
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use tokio::sync::mpsc;

use self::alerts::{Alert, Alerts};
use self::judge::Judge;
use self::metrics::HealthMetrics;
use crate::broker::Broker;
use crate::limits::{ALERTS_WAITING_MAX, HEALTH_PAUSE_PER_LOOK};

pub use config::HealthConfig;
pub(crate) use gather::Place;

/// Looks at a config that may be switched on later.
const OFF_PAUSE: Duration = Duration::from_secs(5);

/// What the watch keeps between looks.
#[derive(Default)]
pub(crate) struct Health {
    report: ArcSwap<HealthReport>,
    watch: Mutex<Watch>,
    pub(crate) throttled: Arc<ThrottleBook>,
    disk_refuse_percent: AtomicU64,
    metrics: HealthMetrics,
}

#[derive(Default)]
struct Watch {
    judge: Judge,
    alerts: Alerts,
    /// What was sent to each topic up to the last look.
    sent: HashMap<TopicName, u64>,
}

impl Health {
    pub(crate) fn register(&self, registry: &mut Registry) {
        self.metrics.register(registry);
    }

    /// What the last look found.
    pub(crate) fn report(&self) -> Arc<HealthReport> {
        self.report.load_full()
    }

    fn disk_refuse_percent(&self) -> u64 {
        self.disk_refuse_percent.load(Ordering::Relaxed)
    }
}

impl Broker {
    /// Looks every now and then, as `config` says at the time; what comes and goes is put into the channel
    /// that is answered.
    pub fn watch_health(
        self: &Arc<Self>,
        config: Arc<ArcSwap<HealthConfig>>,
        disk_refuse_percent: u8,
    ) -> mpsc::Receiver<Alert> {
        let (alerts, to_tell) = mpsc::channel(ALERTS_WAITING_MAX);
        self.refuse_disk_from(disk_refuse_percent);
        let broker = Arc::downgrade(self);
        let doors = self.doors.clone();
        let watch = async move {
            loop {
                let interval_ms = config.load().interval_ms;
                let Some(broker) = broker.upgrade() else { return };
                let mut pause = OFF_PAUSE;
                if interval_ms > 0 {
                    let began = doors.clock.monotonic();
                    let (config, alerts) = (config.load_full(), alerts.clone());
                    let look = move || broker.look_at_health(&config, &alerts);
                    doors.spawn.blocking(Box::new(look)).await;
                    let took = doors.clock.monotonic().saturating_sub(began);
                    pause = Duration::from_millis(interval_ms).max(took * HEALTH_PAUSE_PER_LOOK);
                } else {
                    drop(broker);
                }
                doors.clock.sleep(pause).await;
            }
        };
        self.doors.spawn.spawn("broker-health", Box::pin(watch));
        to_tell
    }

    pub(crate) fn refuse_disk_from(&self, percent: u8) {
        self.health.disk_refuse_percent.store(u64::from(percent), Ordering::Relaxed);
    }

    /// One look.
    fn look_at_health(&self, config: &HealthConfig, to_tell: &mpsc::Sender<Alert>) {
        let began = self.doors.clock.monotonic();
        let mut watch = self.health.watch.lock();
        let sample = self.gather(&mut watch.sent);
        let report = watch.judge.on_sample(config, &sample);
        for alert in watch.alerts.on_report(config, &report) {
            if to_tell.try_send(alert).is_err() {
                self.health.metrics.alert_dropped();
            }
        }
        drop(watch);
        let took = self.doors.clock.monotonic().saturating_sub(began);
        self.health.metrics.looked(&report, took);
        self.health.report.store(Arc::new(report));
    }
}
