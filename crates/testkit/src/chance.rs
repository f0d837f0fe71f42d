//! Simulated chance: the seeded generator behind `base`'s door.

use base::Chance;
use parking_lot::Mutex;

use crate::rng::Rng;

/// A seeded [`Chance`].
#[derive(Debug)]
pub struct SimChance(Mutex<Rng>);

impl SimChance {
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(Rng::new(seed)))
    }
}

impl Chance for SimChance {
    fn next_u64(&self) -> u64 {
        self.0.lock().next_u64()
    }
}
