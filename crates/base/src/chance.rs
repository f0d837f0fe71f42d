//! The door to chance.

use rand::Rng;

/// A source of random numbers. Not for secrets.
pub trait Chance: Send + Sync + 'static {
    fn next_u64(&self) -> u64;

    /// A number in `0..bound`; 0 when `bound` is 0. The bias is below 2^-32 for 32 bit bounds.
    fn below(&self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.next_u64() % bound }
    }
}

/// The thread's own generator, seeded by the operating system.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemChance;

impl Chance for SystemChance {
    fn next_u64(&self) -> u64 {
        rand::rng().random()
    }
}
