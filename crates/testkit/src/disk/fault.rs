//! Faults of the simulated disk: what can be armed, and the log of what struck.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// One way in which the disk fails. It strikes one operation and is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A write fails after a part of it has arrived.
    TornWrite,
    /// A write fails and changes nothing.
    WriteError,
    /// A write succeeds, but its bytes arrive at another position of the file.
    MisdirectedWrite,
    /// A write succeeds, but its bytes never arrive.
    LostWrite,
    /// A sync fails; some of the pages have arrived, the rest never will.
    SyncError,
    /// A sync of a folder fails and makes nothing durable.
    SyncDirError,
    /// A read fails.
    ReadError,
    /// Opening, renaming or removing fails and changes nothing.
    NameError,
    /// An operation takes this long.
    Slow(Duration),
    /// The process dies before an operation: this one and all that follow fail.
    Halt,
}

/// The operation that a fault strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    Write,
    Sync,
    SyncDir,
    Read,
    Name,
}

impl Fault {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::TornWrite => "torn write",
            Self::WriteError => "write error",
            Self::MisdirectedWrite => "misdirected write",
            Self::LostWrite => "lost write",
            Self::SyncError => "fsync error",
            Self::SyncDirError => "folder fsync error",
            Self::ReadError => "read error",
            Self::NameError => "name error",
            Self::Slow(_) => "slow disk",
            Self::Halt => "halt",
        }
    }

    const fn strikes(self, op: Op) -> bool {
        match self {
            Self::TornWrite | Self::WriteError | Self::MisdirectedWrite | Self::LostWrite => {
                matches!(op, Op::Write)
            }
            Self::SyncError => matches!(op, Op::Sync),
            Self::SyncDirError => matches!(op, Op::SyncDir),
            Self::ReadError => matches!(op, Op::Read),
            Self::NameError => matches!(op, Op::Name),
            Self::Slow(_) | Self::Halt => true,
        }
    }
}

/// A fault that waits for its operation.
#[derive(Debug, Clone)]
pub(super) struct Armed {
    fault: Fault,
    /// Part of the path that it waits for; empty means any.
    path_part: String,
    /// Operations that it lets pass first.
    skip: u64,
}

/// What struck.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultEvent {
    /// Number of the disk operation.
    pub operation: u64,
    pub fault: &'static str,
    pub path: String,
    pub detail: String,
}

impl fmt::Display for FaultEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at operation {}: {} in {} {}", self.operation, self.fault, self.path, self.detail)
    }
}

/// Bytes that no longer are what was written: stored data rots, or a drive has lied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    pub path: String,
    pub at: u64,
    pub len: u64,
}

/// Armed faults and the log.
#[derive(Debug, Default)]
pub(super) struct Faults {
    armed: Vec<Armed>,
    pub(super) log: Vec<FaultEvent>,
    pub(super) damage: Vec<Damage>,
}

impl Faults {
    pub(super) fn arm(&mut self, fault: Fault, path_part: &str, skip: u64) {
        self.armed.push(Armed { fault, path_part: path_part.to_owned(), skip });
    }

    pub(super) fn disarm(&mut self) {
        self.armed.clear();
    }

    pub(super) fn armed(&self) -> usize {
        self.armed.len()
    }

    /// The first armed fault that strikes this operation; others count it as passed.
    pub(super) fn strike(&mut self, op: Op, path: &str) -> Option<Fault> {
        let mut hit = None;
        for (i, armed) in self.armed.iter_mut().enumerate() {
            if !armed.fault.strikes(op) || !path.contains(&armed.path_part) {
                continue;
            }
            if armed.skip > 0 {
                armed.skip -= 1;
            } else if hit.is_none() {
                hit = Some(i);
            }
        }
        hit.map(|i| self.armed.remove(i).fault)
    }

    /// Events from the `n`th on.
    pub(super) fn since(&self, n: usize) -> &[FaultEvent] {
        self.log.get(n..).unwrap_or_default()
    }

    /// How often each fault has struck.
    pub(super) fn counts(&self) -> BTreeMap<&'static str, u64> {
        let mut counts = BTreeMap::new();
        for event in &self.log {
            *counts.entry(event.fault).or_insert(0) += 1;
        }
        counts
    }
}
