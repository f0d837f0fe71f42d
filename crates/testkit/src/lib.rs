//! Simulated doors, conformance suites, a fuzzer and seeded simulations.
//!
//! A simulation runs the real crates over doors that it owns: a clock that moves when it is told
//! to, a disk that forgets what was not synced when the power is cut, threads that run when their
//! turn comes. Everything is decided by one seed, so that a failure can be repeated at will.
//!
//! - [`SimDoors`] bundles the doors; [`disk`] is the largest of them.
//! - [`suites`] holds what every implementation of a door must pass.
//! - [`fuzz`] feeds decoders with damaged input.
//! - [`sim`] drives the store and the broker through faults; [`history`] judges what clients saw.
//!
//! Reading order: [`rng`], [`trace`], [`clock`], [`disk`], [`spawn`], [`doors`], [`suites`],
//! [`caught`], [`fuzz`], [`history`], [`sim`].
//! What does not belong here: anything that a running node needs.

pub mod caught;
pub mod chance;
pub mod clock;
pub mod disk;
pub mod doors;
pub mod fuzz;
pub mod history;
pub mod net;
pub mod rng;
pub mod sim;
pub mod spawn;
pub mod suites;
pub mod trace;
mod turns;

pub use chance::SimChance;
pub use clock::SimClock;
pub use disk::SimDisk;
pub use doors::SimDoors;
pub use net::SimNet;
pub use rng::Rng;
pub use spawn::SimSpawn;
pub use trace::Trace;
