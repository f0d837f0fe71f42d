//! What can go wrong with a group.

use store::{LogError, OpenError as StoreOpenError};
use thiserror::Error;

use crate::machine::ApplyError;

/// Why a group could not be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    #[error(transparent)]
    Store(#[from] StoreOpenError),
    #[error("the log could not be replayed: {0}")]
    Replay(String),
    #[error("the last checkpoint could not be loaded: {0}")]
    Restore(#[from] ApplyError),
    #[error("the first frame of the new epoch could not be written: {0}")]
    Epoch(#[from] LogError),
    #[error("the group's thread could not be started: {0}")]
    Thread(#[from] std::io::Error),
}

/// Why a command got no answer of the machine.
#[derive(Debug, Clone, Error)]
pub enum ProposeError {
    #[error("too many commands are waiting: slow down")]
    Overloaded,
    #[error(
        "what was indexed since the last checkpoint takes as much memory as it may (store.live_bytes_max): slow down until a checkpoint is written"
    )]
    MemoryShort,
    #[error("the group is shutting down")]
    Stopping,
    #[error("the log takes no writes any more: {0}")]
    Fenced(String),
}
