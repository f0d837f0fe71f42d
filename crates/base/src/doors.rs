//! All doors in one cheap-to-clone bundle.

use std::sync::Arc;

use crate::Workers;
use crate::{Chance, Clock, Disk, Net, Spawn};
use crate::{SystemChance, SystemClock, SystemDisk, SystemNet, SystemSpawn};

/// What a component is given instead of the operating system.
#[derive(Clone)]
pub struct Doors {
    pub clock: Arc<dyn Clock>,
    pub chance: Arc<dyn Chance>,
    pub disk: Arc<dyn Disk>,
    pub net: Arc<dyn Net>,
    pub spawn: Arc<dyn Spawn>,
}

impl Doors {
    /// The real machine, with connections on threads of their own.
    #[must_use]
    pub fn on(workers: &Workers) -> Self {
        Self { net: workers.net(), spawn: workers.spawn(), ..Self::system() }
    }

    /// The real machine.
    #[must_use]
    pub fn system() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            chance: Arc::new(SystemChance),
            disk: Arc::new(SystemDisk),
            net: Arc::new(SystemNet),
            spawn: Arc::new(SystemSpawn),
        }
    }
}

impl std::fmt::Debug for Doors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Doors")
    }
}
