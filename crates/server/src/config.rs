//! All settings of a node: what each crate wants, nested, and what relates them.
//!
//! A setting comes from (later wins) its default, `apogee.toml`, the environment
//! (`APOGEE_<SECTION>_<KEY>`), the command line. The doc comments are the manual:
//! `docs/config.md` is made of them.

mod environment;
pub mod load;
pub mod page;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use broker::{BrokerConfig, HealthConfig};
use grpc::GrpcConfig;
use guard::{AuthConfig, GuardConfig, QuotaConfig};
use net::{ClientAuth, ListenerConfig, NetConfig, TlsConfig};
use remoting::RemotingConfig;
use replica::ReplicaConfig;
use rest::RestConfig;
use serde::de::{Error, MapAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Deserializer, Serialize};
use store::StoreConfig;
use telemetry::TelemetryConfig;

use crate::memory::BUDGET_BYTES_MIN;

/// Names of the protocols, as listeners allow them.
pub const PROTOCOLS: [&str; 3] = ["remoting", "grpc", "rest"];

/// Settings of a node.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    pub data: DataConfig,
    pub listen: ListenConfig,
    pub log: LogConfig,
    pub runtime: RuntimeConfig,
    pub net: NetConfig,
    pub tls: TlsConfig,
    pub guard: GuardConfig,
    pub quota: QuotaConfig,
    pub auth: AuthConfig,
    pub broker: BrokerConfig,
    pub health: HealthConfig,
    pub telemetry: TelemetryConfig,
    pub replica: ReplicaConfig,
    pub store: StoreConfig,
    pub remoting: RemotingConfig,
    pub grpc: GrpcConfig,
    pub rest: RestConfig,
}

/// Where data is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DataConfig {
    /// Folder of the log, the views and the self-signed certificate. One process at a time.
    pub dir: PathBuf,
}

impl Default for DataConfig {
    fn default() -> Self {
        Self { dir: PathBuf::from("apogee-data") }
    }
}

/// Where to listen. A listener is `"ip:port"`, `"off"`, or a table with the keys of
/// `listen.<name>`. By default only this machine can connect, because access control is off by default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ListenConfig {
    /// Name-server port of 4.x clients. Answers broker requests too.
    #[serde(deserialize_with = "listener")]
    pub namesrv: ListenerConfig,
    /// Broker port of 4.x clients. Answers name-server requests too.
    #[serde(deserialize_with = "listener")]
    pub broker: ListenerConfig,
    /// Port of 5.x clients.
    #[serde(deserialize_with = "listener")]
    pub grpc: ListenerConfig,
    /// Port of the HTTP interface: health, metrics, administration.
    #[serde(deserialize_with = "listener")]
    pub http: ListenerConfig,
    /// More listeners, by a name of your own.
    pub extra: BTreeMap<String, ListenerConfig>,
}

impl Default for ListenConfig {
    fn default() -> Self {
        let local = |port: u16, protocol: &str| ListenerConfig {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            protocols: vec![protocol.to_owned()],
            ..ListenerConfig::default()
        };
        Self {
            namesrv: local(9876, "remoting"),
            broker: local(10_911, "remoting"),
            grpc: local(8081, "grpc"),
            http: ListenerConfig { log_clients: false, ..local(8080, "rest") },
            extra: BTreeMap::new(),
        }
    }
}

impl ListenConfig {
    /// All listeners with their names.
    pub fn all(&self) -> impl Iterator<Item = (String, &ListenerConfig)> {
        let own = [
            ("namesrv", &self.namesrv),
            ("broker", &self.broker),
            ("grpc", &self.grpc),
            ("http", &self.http),
        ];
        let own = own.into_iter().map(|(name, config)| (name.to_owned(), config));
        own.chain(self.extra.iter().map(|(name, config)| (name.clone(), config)))
    }
}

/// What is logged, to the standard error output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// Level, or levels by module: `info`, `warn,remoting=debug`. Also `APOGEE_LOG`.
    pub filter: String,
    /// `text` or `json` (one object a line).
    pub format: LogFormat,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { filter: "info".to_owned(), format: LogFormat::Text }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Text,
    Json,
}

/// Threads and memory of the process.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RuntimeConfig {
    /// Most threads that serve connections, which stand together on as few as have time for them. 0: one for
    /// each processor.
    pub worker_threads: usize,
    /// Memory for caches, buffers and requests, in bytes, at least 128 MiB; `docs/memory.md` tells
    /// who gets which share. 0: a quarter of the machine's or the container's, at most 1 GiB.
    pub memory_budget_bytes: u64,
}

impl RuntimeConfig {
    /// How many threads serve connections.
    #[must_use]
    pub fn workers(&self) -> usize {
        let processors = || std::thread::available_parallelism().map_or(1, usize::from);
        if self.worker_threads > 0 { self.worker_threads } else { processors() }
    }
}

/// Reads a listener in its short or its long form.
fn listener<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ListenerConfig, D::Error> {
    struct Either;
    impl<'de> Visitor<'de> for Either {
        type Value = ListenerConfig;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("\"ip:port\", \"off\" or a table")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<ListenerConfig, E> {
            if text == load::OFF {
                return Ok(ListenerConfig { enabled: false, ..ListenerConfig::default() });
            }
            match text.parse() {
                Ok(address) => Ok(ListenerConfig { address, ..ListenerConfig::default() }),
                Err(_) => Err(E::custom(format!("`{text}` is no address: write \"ip:port\" or \"off\""))),
            }
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ListenerConfig, A::Error> {
            ListenerConfig::deserialize(MapAccessDeserializer::new(map))
        }
    }
    deserializer.deserialize_any(Either)
}

impl Config {
    /// Checks each setting and their relations. The text says what to change.
    ///
    /// # Errors
    /// If the node could not run so.
    pub fn validate(&self) -> Result<(), String> {
        self.store.validate().map_err(|why| format!("store: {why}"))?;
        self.health.validate().map_err(|why| format!("health: {why}"))?;
        self.telemetry.validate().map_err(|why| format!("telemetry.{why}"))?;
        self.validate_listeners()?;
        self.validate_auth()?;
        if self.net.connections_max == 0 || self.net.connections_per_ip_max == 0 {
            return Err("net: a limit of 0 connections lets nobody in; set it to at least 1".to_owned());
        }
        if self.net.sniff_timeout_ms == 0 || self.net.write_stall_ms == 0 {
            return Err("net: with a patience of 0 ms every connection ends at once; set more".to_owned());
        }
        if self.tls.client_auth != ClientAuth::Off && self.tls.client_ca.is_none() {
            return Err("tls.client_auth asks clients for certificates; set tls.client_ca to the file with those who sign them"
                .to_owned());
        }
        let longest_drain = self.grpc.drain_ms.max(self.remoting.drain_ms);
        if self.net.drain_ms < longest_drain {
            let ms = self.net.drain_ms;
            return Err(format!(
                "net.drain_ms is {ms}, but a protocol takes {longest_drain} ms to drain; set it to at least that"
            ));
        }
        let budget = self.runtime.memory_budget_bytes;
        if budget != 0 && budget < BUDGET_BYTES_MIN {
            return Err(format!(
                "runtime.memory_budget_bytes is {budget}; set it to at least {BUDGET_BYTES_MIN}, or 0 for the default"
            ));
        }
        if self.guard.calls_per_session_max == 0 {
            return Err("guard.calls_per_session_max is 0, so nothing could be called; set it to at least 1"
                .to_owned());
        }
        Ok(())
    }

    /// Others may be let in with or without access control, but not by oversight.
    fn validate_auth(&self) -> Result<(), String> {
        let auth = &self.auth;
        if auth.init_user.is_empty() != auth.init_password.0.is_empty() {
            return Err("auth.init_user and auth.init_password go together: set both, or neither".to_owned());
        }
        if auth.enabled.is_none() && self.is_open() {
            return Err("other machines can connect, and nothing is said about access control: set \
                        auth.enabled to true (with auth.init_user and auth.init_password), or to false if \
                        everybody who can connect may do everything"
                .to_owned());
        }
        Ok(())
    }

    fn validate_listeners(&self) -> Result<(), String> {
        let mut taken: BTreeMap<SocketAddr, String> = BTreeMap::new();
        for (name, listener) in self.listen.all().filter(|(_, listener)| listener.enabled) {
            if listener.protocols.is_empty() {
                return Err(format!(
                    "listen.{name} speaks no protocol; set `protocols` to some of {PROTOCOLS:?}"
                ));
            }
            if let Some(unknown) = listener.protocols.iter().find(|p| !PROTOCOLS.contains(&p.as_str())) {
                return Err(format!(
                    "listen.{name}: there is no protocol `{unknown}`; there are {PROTOCOLS:?}"
                ));
            }
            if listener.address.port() == 0 {
                continue;
            }
            if let Some(other) = taken.insert(listener.address, name.clone()) {
                let address = listener.address;
                return Err(format!(
                    "listen.{other} and listen.{name} both listen on {address}; give one another port"
                ));
            }
        }
        if self.listen.all().all(|(_, listener)| !listener.enabled) {
            return Err("listen: all listeners are off, so nobody could connect; switch one on".to_owned());
        }
        Ok(())
    }

    /// Whether other machines can connect.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.listen.all().any(|(_, listener)| listener.enabled && !listener.address.ip().is_loopback())
    }
}
