//! Whether a read may wait for the device.

use std::io;

use base::DiskFile;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// On a thread that others need: only what the system has in memory.
    Now,
    Wait,
}

impl Patience {
    /// Fills `bytes` from a file; `false`: that would take waiting, or it cannot be told.
    pub(crate) fn fill(self, bytes: &mut [u8], file: &dyn DiskFile, position: u64) -> io::Result<bool> {
        match self {
            Self::Wait => file.read_exact_at(bytes, position).map(|()| true),
            Self::Now => file.read_now_at(bytes, position),
        }
    }
}
