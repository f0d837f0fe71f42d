//! All simulated doors in one bundle, and the handles that move them.

use std::sync::Arc;
use std::time::Duration;

use base::Doors;

use crate::chance::SimChance;
use crate::clock::SimClock;
use crate::disk::SimDisk;
use crate::net::SimNet;
use crate::rng::Rng;
use crate::spawn::SimSpawn;
use crate::trace::Trace;

/// The world of one simulated machine.
#[derive(Debug, Clone)]
pub struct SimDoors {
    pub clock: SimClock,
    pub disk: SimDisk,
    pub spawn: SimSpawn,
    pub trace: Trace,
    chance: Arc<SimChance>,
}

impl SimDoors {
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::with_trace(seed, Trace::default())
    }

    #[must_use]
    pub fn with_trace(seed: u64, trace: Trace) -> Self {
        let mut rng = Rng::new(seed);
        let clock = SimClock::default();
        Self {
            disk: SimDisk::new(rng.next_u64(), clock.clone(), trace.clone()),
            spawn: SimSpawn::new(trace.clone()),
            chance: Arc::new(SimChance::new(rng.next_u64())),
            clock,
            trace,
        }
    }

    /// What a process that starts now is given.
    #[must_use]
    pub fn process(&self) -> Doors {
        Doors {
            clock: Arc::new(self.clock.clone()),
            chance: Arc::<SimChance>::clone(&self.chance),
            disk: Arc::new(self.disk.next_process()),
            net: Arc::new(SimNet),
            spawn: Arc::new(self.spawn.clone()),
        }
    }

    /// The process dies; what it had queued dies with it.
    pub fn crash_process(&self) {
        self.disk.crash_process();
        self.spawn.crash();
    }

    /// The machine loses power and starts again a little later.
    pub fn power_cut(&self, rng: &mut Rng) {
        self.disk.power_cut(rng);
        self.spawn.crash();
        self.clock.advance(Duration::from_secs(5));
    }
}
