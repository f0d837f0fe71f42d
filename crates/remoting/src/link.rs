//! One connection as handlers see it: who calls, the engine, and what the client has said of
//! itself on this connection.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;

use model::{Endpoint, Engine, Filter, GroupName, Session, SessionId, TopicName};
use net::Drain;
use parking_lot::Mutex;

use crate::error::Failure;
use crate::limits::{CLIENTS_PER_CONNECTION_MAX, GROUPS_PER_CONNECTION_MAX, USERS_PER_CONNECTION_MAX};
use crate::outbox::Outbox;
use crate::server::Remoting;

pub(crate) struct Link {
    pub(crate) server: Arc<Remoting>,
    pub(crate) session: Session,
    pub(crate) outbox: Arc<Outbox>,
    drain: Drain,
    told: Arc<Mutex<Told>>,
    /// The same connection, by the users who have signed requests on it: mostly one.
    users: Mutex<Vec<Arc<Self>>>,
}

/// What heartbeats on this connection said.
#[derive(Default)]
struct Told {
    clients: Vec<String>,
    subscriptions: HashMap<GroupName, HashMap<TopicName, Filter>>,
}

/// Who is on the other side, as the listener knows it.
pub(crate) struct Caller {
    pub(crate) id: SessionId,
    pub(crate) peer: std::net::SocketAddr,
    pub(crate) advertised: Endpoint,
    pub(crate) certificate: Option<Arc<str>>,
}

impl Link {
    pub(crate) fn new(server: Arc<Remoting>, caller: Caller, outbox: Arc<Outbox>, drain: Drain) -> Arc<Self> {
        let Caller { id, peer, advertised, certificate } = caller;
        let notices = Arc::clone(&outbox) as Arc<dyn model::NoticeSink>;
        let session =
            Session { id, protocol: "remoting", peer, advertised, certificate, user: None, notices };
        Arc::new(Self { server, session, outbox, drain, told: Arc::default(), users: Mutex::default() })
    }

    /// The connection, spoken on by a user that has proved to be it.
    pub(crate) fn of_user(&self, user: Arc<str>) -> Arc<Self> {
        let mut users = self.users.lock();
        if let Some(known) = users.iter().find(|link| link.session.user.as_ref() == Some(&user)) {
            return Arc::clone(known);
        }
        if users.len() >= USERS_PER_CONNECTION_MAX {
            users.clear();
        }
        let link = Arc::new(Self {
            server: Arc::clone(&self.server),
            session: Session { user: Some(user), ..self.session.clone() },
            outbox: Arc::clone(&self.outbox),
            drain: self.drain.clone(),
            told: Arc::clone(&self.told),
            users: Mutex::default(),
        });
        users.push(Arc::clone(&link));
        link
    }

    pub(crate) fn engine(&self) -> &dyn Engine {
        &*self.server.engine
    }

    pub(crate) fn now_ms(&self) -> i64 {
        self.server.doors.clock.now_ms()
    }

    /// Waits for messages, but not longer than the server runs.
    pub(crate) async fn hold<T>(&self, wait: impl Future<Output = T>) -> Result<T, Failure> {
        tokio::select! {
            biased;
            outcome = wait => Ok(outcome),
            () = self.drain.requested() => Err(Failure::go_away()),
        }
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.drain.is_requested()
    }

    pub(crate) async fn drained(&self) {
        self.drain.requested().await;
    }

    /// Remembers a client, so that replies reach it. Clients beyond the limit are not remembered.
    pub(crate) fn saw_client(self: &Arc<Self>, client_id: &str) {
        let mut told = self.told.lock();
        if told.clients.iter().any(|known| known == client_id)
            || told.clients.len() >= CLIENTS_PER_CONNECTION_MAX
        {
            return;
        }
        told.clients.push(client_id.to_owned());
        drop(told);
        self.server.clients.lock().insert(client_id.to_owned(), Arc::downgrade(self));
    }

    /// The client that speaks on this connection, if it has said so.
    pub(crate) fn client_id(&self) -> String {
        self.told.lock().clients.first().cloned().unwrap_or_default()
    }

    pub(crate) fn subscribed(&self, group: &GroupName, filters: HashMap<TopicName, Filter>) {
        let mut told = self.told.lock();
        if told.subscriptions.contains_key(group) || told.subscriptions.len() < GROUPS_PER_CONNECTION_MAX {
            told.subscriptions.insert(group.clone(), filters);
        }
    }

    pub(crate) fn unsubscribed(&self, group: &GroupName) {
        self.told.lock().subscriptions.remove(group);
    }

    /// What this connection's client wants of a topic.
    pub(crate) fn subscription(&self, group: &GroupName, topic: &TopicName) -> Option<Filter> {
        self.told.lock().subscriptions.get(group)?.get(topic).cloned()
    }

    /// The connection is gone: nobody can be reached by it any more.
    pub(crate) fn close(&self) {
        let clients = std::mem::take(&mut self.told.lock().clients);
        let mut known = self.server.clients.lock();
        for client in clients {
            let ours = known.get(&client).and_then(std::sync::Weak::upgrade);
            if ours.is_none_or(|link| link.session.id == self.session.id) {
                known.remove(&client);
            }
        }
        drop(known);
        self.engine().disconnected(self.session.id);
    }
}
