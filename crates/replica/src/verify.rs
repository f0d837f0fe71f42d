//! Derives the state anew from the log and compares it with what the store holds.

use std::path::Path;

use base::Doors;
use store::{Repair, Store, StoreConfig};

use crate::error::OpenError;
use crate::group::{KIND_EPOCH_START, replay};
use crate::machine::Machine;

/// What a comparison found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rederived {
    /// Both states are equal; their hash.
    Equal(u64),
    /// They differ: hash of the stored and of the derived state.
    Different { stored: u64, derived: u64 },
    /// The log no longer holds its beginning, so nothing can be derived from it alone.
    LogTrimmed,
}

/// Replays the whole log of the store in `dir` into an empty store in `scratch`.
///
/// # Errors
/// If either store cannot be opened, or the log does not fit the machine.
pub fn rederive<M: Machine>(
    doors: &Doors,
    dir: &Path,
    scratch: &Path,
    config: &StoreConfig,
    new_machine: impl Fn() -> M,
) -> Result<Rederived, OpenError> {
    let mut stored = Store::open(doors, dir, config, Repair::Refuse)?;
    let mut machine = new_machine();
    replay(&mut stored, &mut machine)?;
    if stored.log.start().get() > 0 {
        return Ok(Rederived::LogTrimmed);
    }
    machine.checkpoint(&mut stored.views);
    let mut derived = Store::open(doors, scratch, config, Repair::Refuse)?;
    let mut machine = new_machine();
    // What was derived so far is read back by machines that do not keep all of it in memory.
    machine.attach(stored.log.reader(), derived.views.reader());
    let outcome = stored.log.replay(stored.log.start(), stored.log.end(), &mut |record| {
        if record.kind == KIND_EPOCH_START {
            return Ok(());
        }
        machine
            .apply(&mut derived.views, &record)
            .map_err(|error| store::ReplayError::apply(record.lsn, error))
    });
    outcome.map_err(|error| OpenError::Replay(error.to_string()))?;
    machine.checkpoint(&mut derived.views);
    let (stored, derived) = (stored.views.state_hash(), derived.views.state_hash());
    Ok(if stored == derived { Rederived::Equal(stored) } else { Rederived::Different { stored, derived } })
}
