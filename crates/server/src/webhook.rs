//! Tells troubles to a webhook: one HTTP POST of JSON for each that comes or goes, tried again with growing
//! pauses, given up after a few attempts. What waits is bounded by the channel that it comes from.
//!
//! The address may hold a secret in its path or query: it is never logged, only its host is.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use base::Doors;
use broker::HealthConfig;
use broker::health::alerts::Alert;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use reqwest::{Client, Url};
use tokio::sync::mpsc::Receiver;

/// Pause before the second attempt; it doubles.
const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// What became of alerts.
#[derive(Debug, Clone, Default)]
pub(crate) struct WebhookMetrics {
    told: Counter,
    retried: Counter,
    given_up: Counter,
}

impl WebhookMetrics {
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register("webhook_told", "Troubles told to the webhook", self.told.clone());
        registry.register(
            "webhook_retried",
            "Attempts that failed and were made again",
            self.retried.clone(),
        );
        registry.register(
            "webhook_given_up",
            "Troubles that the webhook did not take in `health.webhook_attempts_max` attempts",
            self.given_up.clone(),
        );
    }
}

/// Tells all alerts that come, one after the other, until their sender is gone.
pub(crate) fn start(
    doors: &Doors,
    config: Arc<ArcSwap<HealthConfig>>,
    mut alerts: Receiver<Alert>,
    metrics: WebhookMetrics,
) {
    let webhook = Webhook { doors: doors.clone(), config, metrics, client: None };
    let telling = async move {
        let mut webhook = webhook;
        while let Some(alert) = alerts.recv().await {
            webhook.tell(&alert).await;
        }
    };
    doors.spawn.spawn("webhook", Box::pin(telling));
}

struct Webhook {
    doors: Doors,
    config: Arc<ArcSwap<HealthConfig>>,
    metrics: WebhookMetrics,
    client: Option<Client>,
}

impl Webhook {
    async fn tell(&mut self, alert: &Alert) {
        let config = self.config.load_full();
        if config.webhook_url.is_empty() {
            return;
        }
        let Ok(url) = config.webhook_url.parse::<Url>() else {
            self.metrics.given_up.inc();
            tracing::error!("health.webhook_url is no address; troubles are not told");
            return;
        };
        let host = url.host_str().unwrap_or_default().to_owned();
        let mut pause = PAUSE;
        for attempt in 1..=config.webhook_attempts_max {
            match self.post(&config, url.clone(), alert).await {
                Ok(()) => {
                    self.metrics.told.inc();
                    return;
                }
                Err(why) if attempt == config.webhook_attempts_max => {
                    self.metrics.given_up.inc();
                    let (subject, name) = (alert.item.subject.name(), &alert.item.name);
                    let trouble = alert.item.trouble.name();
                    tracing::warn!(
                        host,
                        why,
                        attempt,
                        subject,
                        name,
                        trouble,
                        "the webhook was not told of a trouble"
                    );
                }
                Err(why) => {
                    self.metrics.retried.inc();
                    tracing::debug!(host, why, attempt, "the webhook did not take a trouble; trying again");
                    self.doors.clock.sleep(pause).await;
                    pause = (pause * 2).min(PAUSE_MAX);
                }
            }
        }
    }

    async fn post(&mut self, config: &HealthConfig, url: Url, alert: &Alert) -> Result<(), String> {
        if self.client.is_none() {
            self.client = Some(client()?);
        }
        let client = self.client.as_ref().ok_or("no client")?;
        let body = serde_json::to_vec(alert).map_err(|error| error.to_string())?;
        let timeout = Duration::from_millis(config.webhook_timeout_ms);
        let request = client.post(url).header("content-type", "application/json").body(body).timeout(timeout);
        // The error's own text names the whole address.
        let answer = request.send().await.map_err(|error| error.without_url().to_string())?;
        if answer.status().is_success() { Ok(()) } else { Err(format!("it answered {}", answer.status())) }
    }
}

fn client() -> Result<Client, String> {
    // Another part may have installed the same provider already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::builder().user_agent(concat!("apogee/", env!("CARGO_PKG_VERSION")));
    client.redirect(reqwest::redirect::Policy::none()).build().map_err(|error| error.to_string())
}
