//! The one place where the crates are put together.
//!
//! ```text
//! store <- replica <- broker <- guard <- remoting, grpc, rest <- listeners
//! ```
//! Listening addresses are taken first, so that a port in use is told before data is touched;
//! connections are accepted last, so that the first finds everything working.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use arc_swap::ArcSwap;
use base::{Budget, Doors};
use broker::{Broker, BrokerConfig, HealthConfig, Setup};
use grpc::Grpc;
use guard::spans::span::Span;
use guard::spans::{SpanMetrics, Tracer, TracerSettings};
use guard::{Access, Guarded};
use model::Engine;
use model::access::Authenticate;
use net::tls::Identity;
use net::{Bound, Listeners, Protocol, Serving, TlsMode};
use prometheus_client::registry::Registry;
use remoting::Remoting;
use rest::{Readiness, Rest};
use store::Repair;
use telemetry::{Export, TelemetryConfig};
use tokio::sync::mpsc::Receiver;

use crate::access::{self, access};
use crate::config::Config;
use crate::memory::MemoryMetrics;
use crate::settings::{self, NodeSettings, Targets};
use crate::webhook::{self, WebhookMetrics};

/// A running node.
pub struct Node {
    broker: Arc<Broker>,
    guarded: Arc<Guarded<Broker>>,
    serving: Serving,
    readiness: Readiness,
    /// `None`: nothing is pushed.
    export: Option<Export>,
}

impl Node {
    /// Starts everything. Clients are served when this returns.
    ///
    /// # Errors
    /// If a port is taken, data is damaged or in use, or a certificate is unusable.
    pub async fn start(configured: &Config, doors: &Doors) -> Result<Self> {
        let config = &settings::in_force(doors, configured)?;
        let dir = &config.data.dir;
        doors
            .disk
            .create_dir_all(dir)
            .with_context(|| format!("cannot make the folder {}", dir.display()))?;
        let listening = config.listen.all().map(|(name, listener)| (name, listener.clone()));
        let listeners = Listeners::bind(doors, config.net.clone(), listening).await?;
        let identity = identity(config, doors)?;

        let mut registry = Registry::with_prefix("apogee");
        let mut rocketmq = Registry::with_prefix("rocketmq");
        let setup = setup(config, &listeners);
        let broker = Broker::open(doors, &setup)
            .with_context(|| format!("cannot open the data in {}", dir.display()))?;
        broker.register_metrics(&mut registry);
        broker.register_rocketmq_metrics(&mut rocketmq);
        let access = access(&broker, config, &mut registry)?;
        access::make_init_user(&broker, &access, &config.auth).await?;
        let spans = spans(&config.telemetry, doors, &mut registry);
        let tracer = spans.as_ref().map(|(tracer, _)| Arc::clone(tracer));
        let guarded = guard(&broker, config, doors, (&access, tracer), (&mut registry, &mut rocketmq));
        let health = watch_health(&broker, config, doors, &mut registry);
        let targets = Targets {
            broker: Arc::clone(&broker),
            guarded: Arc::clone(&guarded),
            connections: listeners.limits(),
            health,
        };
        broker.set_settings(Arc::new(NodeSettings::new(doors, configured, config, targets)?));
        let auth: Arc<dyn Authenticate> = access;
        let engine: Arc<dyn Engine> = guarded.clone();

        let remoting = Remoting::new(
            Arc::clone(&engine),
            Arc::clone(&auth),
            config.remoting.clone(),
            doors.clone(),
            &mut registry,
        );
        let grpc_metrics = grpc::Metrics::new(&mut registry);
        let clock = Arc::clone(&doors.clock);
        grpc_metrics.register_rocketmq(broker.labelled_as_rocketmq(&mut rocketmq), clock);
        let grpc = Grpc::new(
            Arc::clone(&engine),
            Arc::clone(&auth),
            config.grpc.clone(),
            doors.clone(),
            grpc_metrics,
        );
        let memory = MemoryMetrics {
            config: config.clone(),
            broker: Arc::clone(&broker),
            budgets: budgets(&guarded, &remoting, &grpc),
        };
        registry.register_collector(Box::new(memory));
        let net_metrics = net::Metrics::default();
        net_metrics.register(&mut registry);
        let telemetry_metrics = telemetry::Metrics::default();
        telemetry_metrics.register(&mut registry);
        let readiness = Readiness::default();
        let registries: Arc<[Registry]> = Arc::from([registry, rocketmq]);
        let rest = Rest::new(
            (engine, auth),
            config.rest.clone(),
            doors,
            readiness.clone(),
            (Arc::clone(&registries), console::pages()),
        );
        let setup = telemetry::Setup {
            config: config.telemetry.clone(),
            instance: config.broker.name.clone(),
            read: Arc::new(move || rest::exposition(&registries)),
            spans,
            metrics: telemetry_metrics,
        };
        let export = Export::start(doors, setup).map_err(|why| anyhow!("telemetry: {why}"))?;

        let protocols: [Arc<dyn Protocol>; 3] = [remoting, grpc, rest];
        let serving = listeners.serve(&protocols, identity, net_metrics)?;
        readiness.set(true);
        Ok(Self { broker, guarded, serving, readiness, export })
    }

    /// The addresses that are listened on.
    #[must_use]
    pub fn bound(&self) -> &[Bound] {
        self.serving.bound()
    }

    /// Looks at the files of certificates now, instead of at the next interval.
    pub fn reload_certificates(&self) {
        self.serving.reload_certificates();
    }

    /// Takes nothing new, lets clients finish, closes the data in order.
    ///
    /// # Errors
    /// If the disk fails.
    pub async fn stop(self) -> Result<()> {
        self.readiness.set(false);
        self.guarded.drain();
        let cut = self.serving.drain().await;
        if cut > 0 {
            tracing::info!(connections = cut, "cut connections that took too long to end");
        }
        if let Some(export) = self.export {
            export.stop().await;
        }
        self.broker.shutdown().await.map_err(|why| anyhow!("cannot close the data in order: {why}"))
    }
}

/// What is held for clients, by owner.
fn budgets(guarded: &Guarded<Broker>, remoting: &Remoting, grpc: &Grpc) -> Vec<(&'static str, Arc<Budget>)> {
    let (remoting_incoming, remoting_outgoing) = remoting.budgets();
    let (grpc_incoming, grpc_outgoing) = grpc.budgets();
    let budgets = [
        ("requests", guarded.requests()),
        ("remoting_incoming", remoting_incoming),
        ("remoting_outgoing", remoting_outgoing),
        ("grpc_incoming", grpc_incoming),
        ("grpc_outgoing", grpc_outgoing),
    ];
    budgets.map(|(owner, budget)| (owner, Arc::clone(budget))).into()
}

/// Looks for trouble from now on, and tells it.
fn watch_health(
    broker: &Arc<Broker>,
    config: &Config,
    doors: &Doors,
    registry: &mut Registry,
) -> Arc<ArcSwap<HealthConfig>> {
    let health = Arc::new(ArcSwap::from_pointee(config.health.clone()));
    let metrics = WebhookMetrics::default();
    metrics.register(registry);
    let alerts = broker.watch_health(Arc::clone(&health), config.store.disk_refuse_percent);
    webhook::start(doors, Arc::clone(&health), alerts, metrics);
    health
}

/// Who makes spans, and what it makes, if they are wanted.
fn spans(
    config: &TelemetryConfig,
    doors: &Doors,
    registry: &mut Registry,
) -> Option<(Arc<Tracer>, Receiver<Span>)> {
    let metrics = SpanMetrics::default();
    metrics.register(registry);
    let TelemetryConfig { sample_ratio, traces_per_s_max, spans_waiting_max, deliveries_max, .. } = *config;
    let settings = TracerSettings { sample_ratio, traces_per_s_max, spans_waiting_max, deliveries_max };
    config.makes_spans().then(|| {
        let (clock, chance) = (Arc::clone(&doors.clock), Arc::clone(&doors.chance));
        let (tracer, spans) = Tracer::new(&settings, clock, chance, metrics);
        (Arc::new(tracer), spans)
    })
}

fn guard(
    broker: &Arc<Broker>,
    config: &Config,
    doors: &Doors,
    (access, tracer): (&Arc<Access>, Option<Arc<Tracer>>),
    (registry, rocketmq): (&mut Registry, &mut Registry),
) -> Arc<Guarded<Broker>> {
    let metrics = guard::Metrics::default();
    metrics.register(registry);
    metrics.register_rocketmq(broker.labelled_as_rocketmq(rocketmq));
    let (clock, permit) = (Arc::clone(&doors.clock), Arc::clone(access));
    let guarded = Guarded::new(Arc::clone(broker), &config.guard, clock, permit, metrics);
    let guarded = guarded.with_throttled(Arc::clone(broker.throttled()));
    let guarded = guarded.with_latencies(Arc::clone(broker.send_latencies())).with_tracer(tracer);
    Arc::new(guarded.with_quotas(Arc::clone(broker.quotas()), &config.quota))
}

/// The folder of a node's replica group.
#[must_use]
pub fn group_dir(data: &Path) -> PathBuf {
    data.join("group-0")
}

fn setup(config: &Config, listeners: &Listeners) -> Setup {
    let mut broker = config.broker.clone();
    if broker.store_host == BrokerConfig::default().store_host {
        broker.store_host = store_host(listeners).unwrap_or(broker.store_host);
    }
    Setup {
        dir: group_dir(&config.data.dir),
        broker,
        replica: config.replica.clone(),
        store: config.store.clone(),
        repair: Repair::Refuse,
    }
}

/// The address of the broker's listener, as far as it has one that can be told to others.
fn store_host(listeners: &Listeners) -> Option<SocketAddr> {
    let address = listeners.bound().find(|bound| bound.name == "broker")?.address;
    let ip = if address.ip().is_unspecified() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { address.ip() };
    Some(SocketAddr::new(ip, address.port()))
}

/// The certificate, where any listener speaks TLS.
fn identity(config: &Config, doors: &Doors) -> Result<Option<Identity>> {
    let listeners = || config.listen.all().filter(|(_, listener)| listener.enabled);
    if listeners().all(|(_, listener)| listener.tls == TlsMode::Disabled) {
        return Ok(None);
    }
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    for (_, listener) in listeners() {
        names.extend(listener.advertised_host.clone());
        if !listener.address.ip().is_unspecified() {
            names.push(listener.address.ip().to_string());
        }
    }
    names.sort();
    names.dedup();
    Ok(Some(Identity::load(doors, &config.tls, &config.data.dir.join("tls"), names)?))
}
