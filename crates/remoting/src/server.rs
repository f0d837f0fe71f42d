//! The protocol itself: what all its connections share.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use base::{Budget, Doors};
use model::access::Authenticate;
use model::admin::{self, NodeDescription, NodeInfo};
use model::{Engine, GroupName, Session};
use net::{Accepted, Protocol, Recognised};
use parking_lot::Mutex;

use crate::config::RemotingConfig;
use crate::connection;
use crate::error::Failure;
use crate::limits::{FRAME_BYTES_MAX, HEADER_BYTES_MAX, LOCK_LEASE_MS, LOCKING_GROUPS_MAX};
use crate::link::Link;
use crate::metrics::Metrics;

/// The 4.x protocol over one engine. One instance serves name-server and broker requests of
/// every listener.
pub struct Remoting {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) auth: Arc<dyn Authenticate>,
    pub(crate) config: RemotingConfig,
    pub(crate) doors: Doors,
    pub(crate) metrics: Metrics,
    /// Bytes of large frames that are still coming in.
    pub(crate) incoming: Arc<Budget>,
    /// Bytes of answers that their clients have not taken.
    pub(crate) outgoing: Arc<Budget>,
    /// Which connection reaches a client, for replies.
    pub(crate) clients: Mutex<HashMap<String, Weak<Link>>>,
    /// When a group last locked queues: such groups consume in order.
    locking: Mutex<HashMap<GroupName, Duration>>,
    node: tokio::sync::OnceCell<NodeDescription>,
}

impl Remoting {
    #[must_use]
    pub fn new(
        engine: Arc<dyn Engine>,
        auth: Arc<dyn Authenticate>,
        config: RemotingConfig,
        doors: Doors,
        registry: &mut prometheus_client::registry::Registry,
    ) -> Arc<Self> {
        Arc::new(Self {
            engine,
            auth,
            incoming: Budget::new(config.incoming_bytes_max),
            outgoing: Budget::new(config.outgoing_bytes_max),
            config,
            doors,
            metrics: Metrics::new(registry),
            clients: Mutex::default(),
            locking: Mutex::default(),
            node: tokio::sync::OnceCell::new(),
        })
    }

    /// Bytes of requests that are coming in, and of answers that clients have not taken.
    #[must_use]
    pub const fn budgets(&self) -> (&Arc<Budget>, &Arc<Budget>) {
        (&self.incoming, &self.outgoing)
    }

    /// What this node is called; asked once.
    pub(crate) async fn node(&self) -> Result<&NodeDescription, Failure> {
        let ask = || async {
            let engine = &*self.engine;
            admin::run::<NodeInfo>(engine, &Session::internal(), admin::Empty {}).await
        };
        Ok(self.node.get_or_try_init(ask).await?)
    }

    pub(crate) fn client(&self, client_id: &str) -> Option<Arc<Link>> {
        self.clients.lock().get(client_id)?.upgrade()
    }

    /// A group has locked queues.
    pub(crate) fn saw_lock(&self, group: &GroupName) {
        let now = self.doors.clock.monotonic();
        let mut locking = self.locking.lock();
        if locking.len() >= LOCKING_GROUPS_MAX {
            locking.retain(|_, at| is_leased(*at, now));
        }
        if locking.len() < LOCKING_GROUPS_MAX {
            locking.insert(group.clone(), now);
        }
    }

    /// Whether a group consumes in order, told by its locks.
    pub(crate) fn consumes_in_order(&self, group: &GroupName) -> bool {
        let now = self.doors.clock.monotonic();
        self.locking.lock().get(group).is_some_and(|at| is_leased(*at, now))
    }
}

fn is_leased(at: Duration, now: Duration) -> bool {
    now.saturating_sub(at) < Duration::from_millis(LOCK_LEASE_MS)
}

#[async_trait]
impl Protocol for Remoting {
    fn name(&self) -> &'static str {
        "remoting"
    }

    /// A frame starts with a length below 16 MiB, a header kind of 0 or 1, a header length
    /// within the frame, and (JSON) an opening brace.
    fn recognises(&self, first: &[u8]) -> Recognised {
        let part = |from: usize, to: usize| {
            first.get(from..to).map(|bytes| bytes.iter().fold(0_usize, |n, b| n << 8 | usize::from(*b)))
        };
        let (Some(length), Some(kind), Some(header)) = (part(0, 4), part(4, 5), part(5, 8)) else {
            let short_of_no =
                first.first().is_none_or(|b| *b <= 1) && first.get(4).is_none_or(|kind| *kind <= 1);
            return if short_of_no { Recognised::NeedMore } else { Recognised::No };
        };
        let sizes =
            (4..=FRAME_BYTES_MAX).contains(&length) && header + 4 <= length && header <= HEADER_BYTES_MAX;
        match (sizes, kind, first.get(8)) {
            (true, 0, Some(b'{')) | (true, 1, _) => Recognised::Yes,
            (true, 0, None) => Recognised::NeedMore,
            _ => Recognised::No,
        }
    }

    async fn serve(self: Arc<Self>, accepted: Accepted) {
        connection::serve(self, accepted).await;
    }
}
