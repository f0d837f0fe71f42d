//! Takes changed certificates while connections go on.
//!
//! ```text
//! files ── as in use ──> nothing
//!      └── changed ──> usable: new connections get them
//!                 └──> not usable: as before; told once (at the second look, unless asked for)
//! ```
//! Two files are seldom replaced in one moment, so what is not usable at one look is often whole at
//! the next one.

use std::sync::Arc;

use base::Doors;
use parking_lot::Mutex;

use crate::connection::Door;
use crate::error::NetError;
use crate::metrics::Metrics;
use crate::protocol::Drain;
use crate::tls::{Identity, Material};

/// Whether somebody asked for the look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    Yes,
    No,
}

pub(crate) struct Reloader {
    identity: Identity,
    doors: Vec<Arc<Door>>,
    metrics: Metrics,
    state: Mutex<State>,
}

struct State {
    in_use: Material,
    refused: Option<Refused>,
}

/// What was found and could not be used.
struct Refused {
    /// `None`: it could not even be read.
    found: Option<Material>,
    reason: String,
    told: bool,
}

impl Reloader {
    pub(crate) fn new(identity: Identity, doors: Vec<Arc<Door>>, metrics: Metrics) -> Self {
        let state = Mutex::new(State { in_use: identity.material.clone(), refused: None });
        Self { identity, doors, metrics, state }
    }

    /// Looks again and again, until the drain.
    pub(crate) async fn watch(self: Arc<Self>, doors: Doors, drain: Drain) {
        let Some(interval) = self.identity.reload_interval() else { return };
        loop {
            tokio::select! {
                () = doors.clock.sleep(interval) => {}
                () = drain.requested() => return,
            }
            let this = Arc::clone(&self);
            doors.spawn.blocking(Box::new(move || this.look(Asked::No))).await;
        }
    }

    pub(crate) fn look(&self, asked: Asked) {
        let mut state = self.state.lock();
        let read = self.identity.read_again();
        if read.as_ref().is_ok_and(|found| *found == state.in_use) {
            state.refused = None;
            return;
        }
        let found = read.as_ref().ok().cloned();
        match read.and_then(|found| self.take(&found)) {
            Ok(()) => {
                state.in_use = found.expect("what was taken was read");
                state.refused = None;
                self.metrics.reloaded("taken");
                tracing::info!("the certificates have changed: new connections get the new ones");
            }
            Err(error) => self.refuse(&mut state, found, error.to_string(), asked),
        }
    }

    /// All listeners or none.
    fn take(&self, found: &Material) -> Result<(), NetError> {
        let mut changes = Vec::new();
        for door in &self.doors {
            if let Some(agreed) = &door.tls {
                changes.push((agreed, self.identity.server_config(found, &door.protocols)?));
            }
        }
        for (agreed, config) in changes {
            agreed.change(config);
        }
        Ok(())
    }

    fn refuse(&self, state: &mut State, found: Option<Material>, reason: String, asked: Asked) {
        let known = state.refused.take().filter(|known| known.found == found && known.reason == reason);
        let told = known.as_ref().is_some_and(|known| known.told);
        let tell = !told && (known.is_some() || asked == Asked::Yes);
        if tell {
            self.metrics.reloaded("refused");
            tracing::warn!(reason, "changed certificates cannot be used; the ones from before stay");
        }
        state.refused = Some(Refused { found, reason, told: told || tell });
    }
}
