//! Listens, accepts, drains.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};
use base::{Clock, Doors, Listener};
use model::SessionId;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::census::{Census, Full};
use crate::chatter::Chatter;
use crate::config::{ListenerConfig, NetConfig, TlsMode};
use crate::connection::{self, Door};
use crate::error::NetError;
use crate::limits::ACCEPT_PAUSE_MS;
use crate::metrics::Metrics;
use crate::protocol::{Drain, Protocol};
use crate::reload::{Asked, Reloader};
use crate::tls::{Agreed, Identity};

/// Listeners that have their addresses, but accept nothing yet: clients wait in the system's queue.
pub struct Listeners {
    doors: Doors,
    limits: Limits,
    bound: Vec<(Bound, Box<dyn Listener>)>,
}

/// What holds for all connections at this moment.
#[derive(Clone)]
pub struct Limits(Arc<ArcSwap<NetConfig>>);

impl Limits {
    /// From the next connection, the next drain on; what is open goes on as it began.
    pub fn reconfigure(&self, config: &NetConfig) {
        self.0.store(Arc::new(config.clone()));
    }

    pub(crate) fn now(&self) -> Guard<Arc<NetConfig>> {
        self.0.load()
    }
}

/// A listener's name, real address and configuration.
#[derive(Debug, Clone)]
pub struct Bound {
    pub name: String,
    pub address: SocketAddr,
    pub config: ListenerConfig,
}

/// What all connections share.
pub(crate) struct Shared {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) limits: Limits,
    pub(crate) metrics: Metrics,
    pub(crate) drain: Drain,
    pub(crate) cut: CancellationToken,
    pub(crate) chatter: Chatter,
    census: Arc<Census>,
    sessions: AtomicU64,
    connections: TaskTracker,
}

impl Shared {
    pub(crate) fn next_session(&self) -> SessionId {
        SessionId(self.sessions.fetch_add(1, Ordering::Relaxed))
    }
}

impl Listeners {
    /// Takes all addresses, so that a port in use is known before anything else is started.
    ///
    /// # Errors
    /// If an address cannot be listened on.
    pub async fn bind(
        doors: &Doors,
        config: NetConfig,
        listeners: impl IntoIterator<Item = (String, ListenerConfig)>,
    ) -> Result<Self, NetError> {
        let mut bound = Vec::new();
        for (name, config) in listeners {
            if !config.enabled {
                continue;
            }
            let failed = |source: io::Error| NetError::Bind {
                listener: name.clone(),
                address: config.address,
                source,
            };
            let listener = doors.net.listen(config.address).await.map_err(failed)?;
            let address = listener.local().map_err(failed)?;
            bound.push((Bound { name, address, config }, listener));
        }
        let limits = Limits(Arc::new(ArcSwap::from_pointee(config)));
        Ok(Self { doors: doors.clone(), limits, bound })
    }

    /// What was bound.
    pub fn bound(&self) -> impl Iterator<Item = &Bound> {
        self.bound.iter().map(|(bound, _)| bound)
    }

    /// By which the limits of connections change while they run.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.limits.clone()
    }

    /// Starts to accept.
    ///
    /// # Errors
    /// If a listener names an unknown protocol, or wants TLS without an identity.
    pub fn serve(
        self,
        protocols: &[Arc<dyn Protocol>],
        identity: Option<Identity>,
        metrics: Metrics,
    ) -> Result<Serving, NetError> {
        let mut ready = Vec::new();
        for (bound, listener) in self.bound {
            ready.push((Arc::new(door(&bound, protocols, identity.as_ref())?), listener, bound));
        }
        let shared = Arc::new(Shared {
            clock: Arc::clone(&self.doors.clock),
            metrics,
            drain: Drain::new(),
            cut: CancellationToken::new(),
            chatter: Chatter::new(Arc::clone(&self.doors.clock)),
            census: Arc::new(Census::default()),
            sessions: AtomicU64::new(connection::first_session().get()),
            connections: TaskTracker::new(),
            limits: self.limits,
        });
        let certificates = identity.map(|identity| {
            let doors = ready.iter().map(|(door, ..)| Arc::clone(door)).collect();
            Arc::new(Reloader::new(identity, doors, shared.metrics.clone()))
        });
        if let Some(certificates) = &certificates {
            let work = Arc::clone(certificates).watch(self.doors.clone(), shared.drain.clone());
            self.doors.spawn.spawn("certificates", Box::pin(work));
        }
        let accepting = TaskTracker::new();
        let mut bound = Vec::new();
        for (door, listener, of) in ready {
            let work = accept(door, listener, Arc::clone(&shared), self.doors.clone());
            self.doors.spawn.spawn("accept", Box::pin(accepting.track_future(work)));
            bound.push(of);
        }
        Ok(Serving { shared, accepting, bound, certificates, drained: Mutex::new(false) })
    }
}

fn door(
    bound: &Bound,
    protocols: &[Arc<dyn Protocol>],
    identity: Option<&Identity>,
) -> Result<Door, NetError> {
    let known = || protocols.iter().map(|p| p.name()).collect::<Vec<_>>().join(", ");
    let mut allowed = Vec::new();
    for name in &bound.config.protocols {
        let protocol = protocols.iter().find(|p| p.name() == name).ok_or_else(|| {
            NetError::UnknownProtocol { listener: bound.name.clone(), protocol: name.clone(), known: known() }
        })?;
        allowed.push(Arc::clone(protocol));
    }
    if allowed.is_empty() {
        return Err(NetError::NoProtocol { listener: bound.name.clone(), known: known() });
    }
    let tls = match (bound.config.tls, identity) {
        (TlsMode::Disabled, _) => None,
        (_, None) => return Err(NetError::NoCertificate { listener: bound.name.clone() }),
        (_, Some(identity)) => Some(Agreed::new(identity.server_config(&identity.material, &allowed)?)),
    };
    Ok(Door { name: bound.name.clone(), config: bound.config.clone(), protocols: allowed, tls })
}

async fn accept(door: Arc<Door>, listener: Box<dyn Listener>, shared: Arc<Shared>, doors: Doors) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shared.drain.requested() => return,
        };
        let connection = match accepted {
            Ok(connection) => connection,
            Err(error) => {
                pause_after(&error, &door, &shared).await;
                continue;
            }
        };
        shared.metrics.accepted(&door.name);
        let Ok(peer) = connection.peer() else { continue };
        match shared.census.seat(peer.ip(), &shared.limits.now()) {
            Ok(seat) => {
                let home = connection.home();
                let work = connection::run(Arc::clone(&door), connection, Arc::clone(&shared), seat);
                let work = Box::pin(shared.connections.track_future(work));
                doors.spawn.spawn_connection(home, "connection", work);
            }
            Err(full) => refuse(&door, peer, full, &shared),
        }
    }
}

fn refuse(door: &Door, peer: SocketAddr, full: Full, shared: &Shared) {
    let (reason, setting) = match full {
        Full::Total => ("connections_max", "net.connections_max"),
        Full::PerIp => ("connections_per_ip_max", "net.connections_per_ip_max"),
    };
    shared.metrics.refused(reason);
    if shared.chatter.may_speak() {
        tracing::info!(%peer, listener = door.name, setting, "connection refused: too many are open");
    }
}

/// A connection that died in the queue is of no interest. A system without file descriptors or
/// memory needs time: without a pause the loop would spin.
async fn pause_after(error: &io::Error, door: &Door, shared: &Shared) {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, InvalidInput, NotConnected};
    if matches!(error.kind(), ConnectionAborted | ConnectionReset | InvalidInput | NotConnected) {
        tracing::debug!(listener = door.name, %error, "a connection ended before it was accepted");
        return;
    }
    shared.metrics.refused("accept");
    if shared.chatter.may_speak() {
        tracing::warn!(listener = door.name, %error, "cannot accept connections; raise the limit of open files");
    }
    shared.clock.sleep(Duration::from_millis(ACCEPT_PAUSE_MS)).await;
}

/// Running listeners. Dropping it does not stop them; [`Serving::drain`] does.
pub struct Serving {
    shared: Arc<Shared>,
    accepting: TaskTracker,
    bound: Vec<Bound>,
    certificates: Option<Arc<Reloader>>,
    drained: Mutex<bool>,
}

impl Serving {
    pub fn bound(&self) -> &[Bound] {
        &self.bound
    }

    /// Looks at the files of certificates now. Changed ones are taken for new connections; if they
    /// cannot be used, all stays as it is and a warning tells why.
    pub fn reload_certificates(&self) {
        if let Some(certificates) = &self.certificates {
            certificates.look(Asked::Yes);
        }
    }

    /// Connections that are open now, known or not.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.census.total()
    }

    /// Accepts nothing more, tells all connections to finish, waits as long as configured, cuts
    /// what is left. Returns how many were cut.
    pub async fn drain(&self) -> usize {
        let again = std::mem::replace(&mut *self.drained.lock(), true);
        self.shared.drain.request();
        self.accepting.close();
        self.accepting.wait().await;
        self.shared.connections.close();
        if !again {
            tracing::info!(connections = self.connections(), "draining connections");
        }
        let limit = self.shared.clock.sleep(Duration::from_millis(self.shared.limits.now().drain_ms));
        tokio::select! {
            () = self.shared.connections.wait() => return 0,
            () = limit => {}
        }
        let cut = self.connections();
        self.shared.cut.cancel();
        self.shared.connections.wait().await;
        cut
    }
}
