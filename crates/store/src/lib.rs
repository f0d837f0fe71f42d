//! One append-only log of frames, and the views of it: sorted streams of small entries, small
//! objects, and an index of keys.
//!
//! The crate knows nothing of topics, groups of consumers or replicas. It is synchronous. One
//! owner changes a store; any thread reads it through [`LogReader`] and [`ViewsReader`].
//!
//! - [`Log`] appends, flushes, replays, cuts and trims; [`LogReader`] reads records by position.
//! - [`Views`] gives stream entries their offsets and writes checkpoints; [`ViewsReader`] reads
//!   streams, objects and keys.
//! - [`Store`] opens both. [`verify`] checks everything that is on disk.
//!
//! All state of the views is a function of the log, kept in memory since the last checkpoint and
//! in immutable run files before it. Recovery is the manifest, then a replay from its position.
//!
//! Reading order: [`log`], [`views`], [`store`], [`config`], [`limits`], [`error`].
//! What does not belong here: the meaning of a record, and who may append one.

mod codec;
pub mod config;
pub mod error;
pub mod limits;
pub mod log;
pub mod metrics;
mod patience;
mod state_file;
pub mod store;
#[cfg(test)]
mod test_disk;
#[cfg(test)]
mod tests;
pub mod verify;
pub mod views;

pub use config::StoreConfig;
pub use error::{IoFault, JobError, LogError, OpenError, ReadError, ReplayError};
pub use log::builder::{FrameBuilder, Placed};
pub use log::frame::{FRAME_HEADER_BYTES, FrameHeader, RECORD_HEADER_BYTES, RecordRef};
pub use log::prepare::{Preparation, PrepareJob, Prepared};
pub use log::reader::LogReader;
pub use log::recover::LogRecovery;
pub use log::shared::Record;
pub use log::space::{DiskState, DiskUse};
pub use log::{Flusher, Log};
pub use metrics::Metrics;
pub use store::{RecoveryReport, Repair, Store};
pub use verify::{VerifyReport, verify};
pub use views::Views;
pub use views::entry::{Entry, NewEntry};
pub use views::job::{CheckpointDone, CheckpointJob, MergeDone, MergeJob};
pub use views::reader::{Boundary, Bounds, ViewsMemory, ViewsReader};
