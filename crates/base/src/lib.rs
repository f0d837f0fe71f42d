//! The only doors to time, chance, disk, network and spawning.
//!
//! Everything above asks a [`Doors`] for these, so that a whole node can run under a seeded
//! simulator: `testkit` hands in simulated doors, `server` hands in [`Doors::system`].
//!
//! Reading order: [`clock`], [`chance`], [`disk`], [`net`], [`spawn`], [`doors`].
//! What does not belong here: anything that knows what a message is.

pub mod chance;
pub mod clock;
pub mod disk;
pub mod doors;
pub mod net;
pub mod spawn;

pub use chance::{Chance, SystemChance};
pub use clock::{Clock, SystemClock};
pub use disk::{Disk, DiskFile, DiskSpace, OpenMode, SystemDisk};
pub use doors::Doors;
pub use net::{Connection, Listener, Net, SystemNet};
pub use spawn::{Spawn, SystemSpawn, Task};
