//! What all calls share: the engine, the clients, and the work that goes on in the background.

use std::sync::{Arc, Weak};
use std::time::Duration;

use base::{Budget, Doors};
use futures::future::BoxFuture;
use model::access::Authenticate;
use model::{Endpoint, Engine};
use tracing::info;

use crate::clients::{Client, Clients};
use crate::config::GrpcConfig;
use crate::convert::names;
use crate::groups::Groups;
use crate::metrics::Metrics;
use crate::renew::driver;

pub(crate) struct Node {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) auth: Arc<dyn Authenticate>,
    pub(crate) config: GrpcConfig,
    pub(crate) doors: Doors,
    pub(crate) metrics: Metrics,
    /// Wall time of the start.
    pub(crate) began_ms: i64,
    pub(crate) clients: Clients,
    pub(crate) groups: Groups,
    /// Bytes of requests that are still coming in.
    pub(crate) incoming: Arc<Budget>,
    /// Bytes of messages that their clients have not taken.
    pub(crate) outgoing: Arc<Budget>,
    /// What clients are told in routes, if the operator says so.
    pub(crate) advertised: Option<Endpoint>,
}

impl Node {
    pub(crate) fn new(
        engine: Arc<dyn Engine>,
        auth: Arc<dyn Authenticate>,
        config: GrpcConfig,
        doors: Doors,
        metrics: Metrics,
    ) -> Arc<Self> {
        let clients = Clients::new(&config);
        let groups = Groups::new(config.group_config_ms);
        let advertised = names::parse_endpoint(&config.advertised);
        let incoming = Budget::new(config.incoming_bytes_max);
        let outgoing = Budget::new(config.outgoing_bytes_max);
        let began_ms = doors.clock.now_ms();
        Arc::new(Self {
            engine,
            auth,
            config,
            doors,
            metrics,
            began_ms,
            clients,
            groups,
            incoming,
            outgoing,
            advertised,
        })
    }

    /// Wall time.
    pub(crate) fn now_ms(&self) -> i64 {
        self.doors.clock.now_ms()
    }

    /// Time that never goes back, for spans.
    pub(crate) fn monotonic_ms(&self) -> i64 {
        i64::try_from(self.doors.clock.monotonic().as_millis()).unwrap_or(i64::MAX)
    }

    pub(crate) fn spawn(&self, name: &'static str, future: BoxFuture<'static, ()>) {
        // Dropping the task lets it run on.
        drop(self.doors.spawn.spawn(name, future));
    }

    /// Renews and expires for as long as the node lives.
    pub(crate) fn start(self: &Arc<Self>) {
        let node = Arc::downgrade(self);
        self.spawn("grpc-upkeep", Box::pin(upkeep(node)));
    }

    /// The client is gone: the engine forgets it, and what it holds goes back.
    pub(crate) async fn forget(self: &Arc<Self>, client: &Arc<Client>) {
        client.streams.end();
        self.metrics.reports().left(&client.id);
        driver::lost(self, client).await;
        self.engine.disconnected(client.session().id);
        self.metrics.clients(self.clients.len());
    }

    pub(crate) async fn expire(self: &Arc<Self>) {
        for client in self.clients.take_expired(self.monotonic_ms(), self.config.client_expiry_ms) {
            info!(client = %client.id, "a client gave no sign of life for too long");
            self.forget(&client).await;
        }
        self.metrics.reports().forget_silent(self.monotonic_ms());
    }

    fn renew(self: &Arc<Self>) {
        for client in self.clients.all() {
            if client.renewals.lock().len() > 0 {
                self.spawn("grpc-renew", Box::pin(driver::scan(self.clone(), client)));
            }
        }
    }
}

async fn upkeep(node: Weak<Node>) {
    loop {
        let Some(pause) = node.upgrade().map(|node| {
            let pause = Duration::from_millis(u64::try_from(node.config.renew_scan_ms).unwrap_or(1).max(1));
            node.doors.clock.sleep(pause)
        }) else {
            return;
        };
        pause.await;
        let Some(node) = node.upgrade() else { return };
        node.expire().await;
        node.renew();
    }
}
