//! The only doors to time, chance, disk, network and spawning.
//!
//! Everything above asks a [`Doors`] for these, so that a whole node can run under a seeded
//! simulator: `testkit` hands in simulated doors, `server` hands in [`Doors::system`].
//!
//! Beside them stand what is known of the machine's [`memory`], and the [`budget`] of bytes that are
//! held for others, the [`seal`] for secrets, a [`mod@profile`] of the process, and how compressed bytes are made readable ([`mod@inflate`]).
//!
//! Reading order: [`clock`], [`chance`], [`disk`], [`net`], [`spawn`], [`doors`], [`workers`], [`budget`],
//! [`seal`].
//! What does not belong here: anything that knows what a message is.

pub mod budget;
pub mod chance;
pub mod clock;
pub mod disk;
pub mod doors;
pub mod inflate;
pub mod memory;
pub mod net;
pub mod profile;
pub mod seal;
pub mod spawn;
pub mod workers;

pub use budget::{Budget, Share};
pub use chance::{Chance, SystemChance};
pub use clock::{Clock, SystemClock};
pub use disk::{Disk, DiskFile, DiskSpace, OpenMode, SystemDisk};
pub use doors::Doors;
pub use inflate::{Compression, inflate};
pub use net::{Connection, Home, Listener, Net, SystemNet};
pub use seal::Seal;
pub use spawn::{Spawn, SystemSpawn, Task};
pub use workers::Workers;
