//! Positions, offsets and other numbers that must not be mixed up.

use serde::{Deserialize, Serialize};

macro_rules! number {
    ($(#[$doc:meta])* $name:ident, $inner:ty) => {
        $(#[$doc])*
        #[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl $name {
            #[must_use]
            pub const fn get(self) -> $inner {
                self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl From<$inner> for $name {
            fn from(value: $inner) -> Self {
                Self(value)
            }
        }
    };
}

number!(
    /// Position in a log: the byte offset of a record or frame. Grows for ever.
    Lsn,
    u64
);
number!(
    /// Number of a queue inside its topic, from 0.
    QueueId,
    u32
);
number!(
    /// Place of a message in its queue, from 0, dense.
    Offset,
    u64
);
number!(
    /// Counts the reigns of leaders of a replica group. Never decreases along a log.
    Epoch,
    u32
);
number!(
    /// Identifies a sorted stream of entries in a store: a queue, a due minute, a retry queue.
    StreamId,
    u64
);
number!(
    /// Identifies a connection (or, where the protocol has one session over several
    /// connections, that session) inside one process.
    SessionId,
    u64
);

impl Lsn {
    pub const ZERO: Self = Self(0);

    /// The position `bytes` further on.
    #[must_use]
    pub const fn plus(self, bytes: u64) -> Self {
        Self(self.0 + bytes)
    }
}

impl Offset {
    /// The offset `count` further on.
    #[must_use]
    pub const fn plus(self, count: u64) -> Self {
        Self(self.0 + count)
    }
}
