//! Who is connected: one entry per client id, over however many connections.
//!
//! An entry is made by a client's first settings and lives until the client says goodbye or gives
//! no sign of life for a minute. What is keyed by it: the session that the engine knows the client
//! by, its settings, its telemetry streams and the messages that are renewed for it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use model::{Session, SessionId};
use parking_lot::{Mutex, RwLock};

use crate::limits::RENEWED_PER_CLIENT_MAX;
use crate::renew::driver::Waiter;
use crate::renew::{Policy, Renewals};
use crate::settings::ClientSettings;
use crate::streams::Streams;

/// Our sessions are told from connections' by their first bit.
const FIRST_SESSION: u64 = 1 << 62;

pub(crate) struct Client {
    pub(crate) id: Arc<str>,
    pub(crate) streams: Arc<Streams>,
    pub(crate) renewals: Mutex<Renewals<Waiter>>,
    session: RwLock<Arc<Session>>,
    settings: RwLock<Arc<ClientSettings>>,
    /// Monotonic milliseconds.
    last_seen_ms: AtomicI64,
}

impl Client {
    pub(crate) fn session(&self) -> Arc<Session> {
        self.session.read().clone()
    }

    pub(crate) fn settings(&self) -> Arc<ClientSettings> {
        self.settings.read().clone()
    }

    pub(crate) fn put_settings(&self, settings: Arc<ClientSettings>) {
        *self.settings.write() = settings;
    }

    pub(crate) fn seen(&self, now_ms: i64) {
        self.last_seen_ms.fetch_max(now_ms, Ordering::Relaxed);
    }

    fn is_expired(&self, now_ms: i64, expiry_ms: i64) -> bool {
        now_ms.saturating_sub(self.last_seen_ms.load(Ordering::Relaxed)) > expiry_ms
    }
}

/// What a client's settings bring.
pub(crate) struct Registration {
    pub(crate) id: Arc<str>,
    /// The caller as its connection knows it; id and notices are replaced by the client's own.
    pub(crate) caller: Session,
    pub(crate) settings: ClientSettings,
    pub(crate) now_ms: i64,
}

/// There is no room for another client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooMany;

pub(crate) struct Clients {
    by_id: RwLock<HashMap<Arc<str>, Arc<Client>>>,
    next_session: AtomicU64,
    max: usize,
    policy: Policy,
}

impl Clients {
    pub(crate) fn new(config: &crate::GrpcConfig) -> Self {
        let policy = Policy {
            ahead_ms: config.renew_ahead_ms,
            total_ms: config.renew_total_ms,
            lost_invisible_ms: config.lost_invisible_ms,
            held_max: RENEWED_PER_CLIENT_MAX,
        };
        Self {
            by_id: RwLock::default(),
            next_session: AtomicU64::new(FIRST_SESSION),
            max: config.clients_max,
            policy,
        }
    }

    pub(crate) fn get(&self, id: &str) -> Option<Arc<Client>> {
        self.by_id.read().get(id).cloned()
    }

    pub(crate) fn len(&self) -> usize {
        self.by_id.read().len()
    }

    pub(crate) fn all(&self) -> Vec<Arc<Client>> {
        self.by_id.read().values().cloned().collect()
    }

    /// Makes an entry, or renews the one that is there.
    pub(crate) fn register(&self, registration: Registration) -> Result<Arc<Client>, TooMany> {
        self.insert(registration, renew)
    }

    fn insert(
        &self,
        registration: Registration,
        found: impl FnOnce(&Client, Registration),
    ) -> Result<Arc<Client>, TooMany> {
        let mut by_id = self.by_id.write();
        if let Some(client) = by_id.get(&registration.id) {
            let client = client.clone();
            found(&client, registration);
            return Ok(client);
        }
        if by_id.len() >= self.max {
            return Err(TooMany);
        }
        let client = Arc::new(self.enter(registration));
        by_id.insert(client.id.clone(), client.clone());
        Ok(client)
    }

    /// The entry of the client, made if there is none.
    pub(crate) fn known(&self, registration: Registration) -> Result<Arc<Client>, TooMany> {
        match self.get(&registration.id) {
            Some(client) => Ok(client),
            None => self.insert(registration, |_, _| ()),
        }
    }

    fn enter(&self, registration: Registration) -> Client {
        let Registration { id, caller, settings, now_ms } = registration;
        let streams = Arc::new(Streams::default());
        let session_id = SessionId(self.next_session.fetch_add(1, Ordering::Relaxed));
        let session = Session { id: session_id, notices: streams.clone(), ..caller };
        Client {
            id,
            streams,
            renewals: Mutex::new(Renewals::new(self.policy)),
            session: RwLock::new(Arc::new(session)),
            settings: RwLock::new(Arc::new(settings)),
            last_seen_ms: AtomicI64::new(now_ms),
        }
    }

    pub(crate) fn remove(&self, id: &str) -> Option<Arc<Client>> {
        self.by_id.write().remove(id)
    }

    /// Takes out those that have given no sign of life for too long.
    pub(crate) fn take_expired(&self, now_ms: i64, expiry_ms: i64) -> Vec<Arc<Client>> {
        let mut by_id = self.by_id.write();
        by_id.extract_if(|_, client| client.is_expired(now_ms, expiry_ms)).map(|(_, client)| client).collect()
    }
}

/// A client that comes again keeps its session, but may come from elsewhere.
fn renew(client: &Client, registration: Registration) {
    let Registration { caller, settings, now_ms, .. } = registration;
    {
        let mut session = client.session.write();
        let id = session.id;
        *session = Arc::new(Session { id, notices: client.streams.clone(), ..caller });
    }
    *client.settings.write() = Arc::new(settings);
    client.seen(now_ms);
}

#[cfg(test)]
mod tests {
    use model::GroupName;

    use super::*;
    use crate::settings::Role;

    fn registration(id: &str, now_ms: i64) -> Registration {
        let groups = vec![GroupName::new("t").expect("legal")];
        let settings = ClientSettings { role: Role::Producer { groups }, request_timeout_ms: 0 };
        Registration { id: id.into(), caller: Session::internal(), settings, now_ms }
    }

    fn clients(max: usize) -> Clients {
        Clients::new(&crate::GrpcConfig { clients_max: max, ..Default::default() })
    }

    #[test]
    fn a_client_keeps_its_session_over_connections() {
        let clients = clients(10);
        let first = clients.register(registration("a", 0)).expect("room").session().id;
        let other = clients.register(registration("b", 0)).expect("room").session().id;
        let again = clients.register(registration("a", 5)).expect("room").session().id;
        assert_eq!(first, again);
        assert_ne!(first, other);
        assert_eq!(clients.len(), 2);
    }

    #[test]
    fn silence_ends_a_client() {
        let clients = clients(10);
        clients.register(registration("a", 0)).expect("room");
        clients.register(registration("b", 0)).expect("room").seen(30_000);
        assert!(clients.take_expired(60_000, 60_000).is_empty());
        let gone = clients.take_expired(60_001, 60_000);
        assert_eq!(gone.iter().map(|client| &*client.id).collect::<Vec<_>>(), ["a"]);
        assert!(clients.get("a").is_none() && clients.get("b").is_some());
    }

    #[test]
    fn the_number_of_clients_is_bounded() {
        let clients = clients(1);
        clients.register(registration("a", 0)).expect("room");
        assert_eq!(clients.register(registration("b", 0)).err(), Some(TooMany));
        assert!(clients.register(registration("a", 0)).is_ok());
    }
}
