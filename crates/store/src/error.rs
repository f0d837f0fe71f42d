//! What can go wrong in the store. Messages say what is wrong and what to do.
//!
//! A fault of the world (disk full, an I/O error, damaged bytes) is an error here; a caller's
//! breach of contract is an assertion.

use std::io;
use std::path::{Path, PathBuf};

use model::Lsn;

/// Changing the log failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LogError {
    #[error("the disk is full: nothing was appended; free space or lower retention_ms or retention_bytes")]
    DiskFull,
    #[error(
        "the log is fenced after a failed write or flush ({what}): what is durable is unknown; restart the node, and replace the disk if it happens again"
    )]
    Fenced { what: String },
    #[error(
        "the frame has {bytes} bytes and {records} records; split it into frames that say is_full() earlier"
    )]
    FrameTooLarge { bytes: usize, records: usize },
    #[error("the frame begins at {lsn} but the log ends at {end}; begin a new frame after each append")]
    NotAtEnd { lsn: Lsn, end: Lsn },
    #[error("the frame of epoch {epoch} does not follow epoch {current}")]
    OldEpoch { epoch: u32, current: u32 },
    #[error("the frame at {lsn} is not valid here: {what}; fetch it again from the leader")]
    BadFrame { lsn: Lsn, what: &'static str },
    #[error("cannot cut the log at {to}: {what}")]
    BadCut { to: Lsn, what: &'static str },
    #[error("log i/o failed: {0}")]
    Io(IoFault),
}

/// Reading the log or a view failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReadError {
    #[error("position {lsn} is below the start of the log at {start}: retention has deleted it")]
    Trimmed { lsn: Lsn, start: Lsn },
    #[error("position {lsn} is at or above the end of the log at {end}")]
    BeyondEnd { lsn: Lsn, end: Lsn },
    #[error(
        "damaged data at {place}: {what}; run a verification, and restore this replica from a peer or a backup"
    )]
    Corrupt { place: String, what: &'static str },
    #[error("the data must be read from the disk, which the caller would not wait for")]
    NotAtHand,
    #[error("reading failed: {0}")]
    Io(IoFault),
}

impl ReadError {
    pub(crate) fn corrupt_at(lsn: Lsn, what: &'static str) -> Self {
        Self::Corrupt { place: format!("log position {lsn}"), what }
    }

    pub(crate) fn corrupt_in(path: &Path, what: &'static str) -> Self {
        Self::Corrupt { place: path.display().to_string(), what }
    }
}

/// A replay ended early.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("applying the record at {lsn} failed: {source}")]
    Apply { lsn: Lsn, source: Box<dyn std::error::Error + Send + Sync> },
}

impl ReplayError {
    /// What the closure of a replay returns when it cannot apply a record.
    pub fn apply(lsn: Lsn, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Apply { lsn, source: source.into() }
    }
}

/// A checkpoint or merge failed; the previous state stands and the store goes on.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    #[error("position {at} is no end of a frame; checkpoint only where a frame ended")]
    NotABoundary { at: Lsn },
    #[error("the log could not be flushed up to the checkpoint: {0}")]
    Log(#[from] LogError),
    #[error("reading while merging failed: {0}")]
    Read(#[from] ReadError),
    #[error("writing run files failed: {0}; the previous ones stay in use")]
    Io(IoFault),
}

/// Opening a store failed; nothing was changed unless said so.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("setting refused: {0}")]
    Config(String),
    #[error("{dir} is in use by another process; stop it first")]
    Locked { dir: PathBuf },
    #[error(
        "the log is damaged at {at} ({what}) and {lost} bytes follow that were durable once; restore this replica from a peer or a backup, or give the repair option to cut the log there and lose them"
    )]
    Corrupt { at: Lsn, what: &'static str, lost: u64 },
    #[error(
        "the log is damaged at {at} ({what}), below the checkpoint at {checkpoint}: cutting it there would not help; restore this replica from a peer or a backup"
    )]
    DamagedBelowCheckpoint { at: Lsn, what: &'static str, checkpoint: Lsn },
    #[error(
        "the log ends at {end} but the views stand at {checkpoint}: log files are missing; restore this replica from a peer or a backup"
    )]
    LogBehind { end: Lsn, checkpoint: Lsn },
    #[error("{path} is damaged: {what}; restore this replica from a peer or a backup")]
    BadFile { path: PathBuf, what: String },
    #[error("opening failed: {0}")]
    Io(IoFault),
}

/// An I/O error that can be cloned, with the place where it happened.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{place}: {message}")]
pub struct IoFault {
    pub place: String,
    pub kind: io::ErrorKind,
    pub message: String,
}

impl IoFault {
    pub(crate) fn at(path: &Path, error: &io::Error) -> Self {
        Self { place: path.display().to_string(), kind: error.kind(), message: error.to_string() }
    }

    pub(crate) fn is_full(&self) -> bool {
        is_full(self.kind)
    }
}

/// The kinds of error that mean that there is no space left.
pub(crate) fn is_full(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge)
}

/// `result.map_err(at(path))?` for each of the enums above.
pub(crate) fn at(path: &Path) -> impl Fn(io::Error) -> IoFault + '_ {
    move |error| IoFault::at(path, &error)
}

impl From<IoFault> for LogError {
    fn from(fault: IoFault) -> Self {
        if fault.is_full() { Self::DiskFull } else { Self::Io(fault) }
    }
}

impl From<IoFault> for ReadError {
    fn from(fault: IoFault) -> Self {
        Self::Io(fault)
    }
}

impl From<IoFault> for JobError {
    fn from(fault: IoFault) -> Self {
        Self::Io(fault)
    }
}

impl From<IoFault> for OpenError {
    fn from(fault: IoFault) -> Self {
        Self::Io(fault)
    }
}
