//! Settings of the export. The doc comments are the manual.

use serde::{Deserialize, Serialize};

use crate::endpoint::{Endpoint, header};

/// Metrics and traces pushed to an OpenTelemetry collector (OTLP): see `docs/telemetry.md`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TelemetryConfig {
    /// Address of the collector, as `http://collector:4317`. Spoken is OTLP/gRPC, or OTLP/HTTP (protobuf) where the
    /// port is 4318 or the address has a path. Empty: nothing is pushed, and no span is made.
    pub otlp_endpoint: String,
    /// Headers of every request, each `name=value`, as `["api-key=..."]`.
    pub headers: Vec<String>,
    /// How long the collector may take for one request, in milliseconds.
    pub timeout_ms: u64,
    /// Push what `/metrics` shows.
    pub metrics: bool,
    /// How often, in milliseconds.
    pub metrics_interval_ms: u64,
    /// Make spans of messages and push them.
    pub traces: bool,
    /// Part of the messages without a `traceparent` that spans are made of, 0 to 1. A sampled `traceparent` is
    /// always followed, another never.
    pub sample_ratio: f64,
    /// Traces of these that begin in a second, about: with more, a smaller part is told until there are fewer.
    /// 0: no bound.
    pub traces_per_s_max: u32,
    /// Spans that wait to be pushed (1 to 2 KiB each); more are dropped, counted by the metric `spans_dropped`.
    pub spans_waiting_max: usize,
    /// Most spans in one request.
    pub batch_spans_max: usize,
    /// Sampled deliveries remembered until they end (1 to 2 KiB each); those beyond have no span, counted by the
    /// metric `spans_deliveries_unkept`.
    pub deliveries_max: usize,
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        Self {
            otlp_endpoint: String::new(),
            headers: Vec::new(),
            timeout_ms: 10_000,
            metrics: true,
            metrics_interval_ms: 15_000,
            traces: true,
            sample_ratio: 0.01,
            traces_per_s_max: 200,
            spans_waiting_max: 8_192,
            batch_spans_max: 512,
            deliveries_max: 16_384,
        }
    }
}

impl TelemetryConfig {
    /// # Errors
    /// If something could not work so; the text says what to change.
    pub fn validate(&self) -> Result<(), String> {
        if !self.otlp_endpoint.is_empty() {
            Endpoint::parse(&self.otlp_endpoint).map_err(|why| format!("otlp_endpoint: {why}"))?;
        }
        for (at, text) in self.headers.iter().enumerate() {
            // The value may be a secret.
            header(text).ok_or_else(|| format!("headers: number {} is no `name=value`", at + 1))?;
        }
        if !(0.0..=1.0).contains(&self.sample_ratio) {
            return Err(format!("sample_ratio is {}; set it to a number from 0 to 1", self.sample_ratio));
        }
        for (name, value) in [
            ("timeout_ms", self.timeout_ms),
            ("metrics_interval_ms", self.metrics_interval_ms),
            ("spans_waiting_max", self.spans_waiting_max as u64),
            ("batch_spans_max", self.batch_spans_max as u64),
        ] {
            if value == 0 {
                return Err(format!("{name} is 0; set it to at least 1"));
            }
        }
        Ok(())
    }

    /// Whether spans are made.
    #[must_use]
    pub const fn makes_spans(&self) -> bool {
        self.traces && !self.otlp_endpoint.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_work_is_refused() {
        let sound =
            || TelemetryConfig { otlp_endpoint: "http://c:4317".to_owned(), ..TelemetryConfig::default() };
        let wrong = |change: fn(&mut TelemetryConfig)| {
            let mut config = sound();
            change(&mut config);
            config.validate().expect_err("it must be refused")
        };
        assert_eq!(sound().validate(), Ok(()));
        assert_eq!(TelemetryConfig::default().validate(), Ok(()));
        assert!(wrong(|config| config.otlp_endpoint = "ftp://c".to_owned()).contains("otlp_endpoint"));
        assert!(wrong(|config| config.sample_ratio = 1.5).contains("0 to 1"));
        assert!(wrong(|config| config.sample_ratio = f64::NAN).contains("0 to 1"));
        assert!(wrong(|config| config.metrics_interval_ms = 0).contains("metrics_interval_ms"));
        let of_header = wrong(|config| config.headers = vec!["a=b".to_owned(), "hush".to_owned()]);
        assert!(of_header.contains("number 2") && !of_header.contains("hush"), "{of_header}");
    }
}
