//! A log on one or more nodes, and the rule that says when a record counts.
//!
//! A [`Group`] owns a store and a [`Machine`]. Commands are proposed to the machine, which places
//! records in the next frame and applies them to its state at once; answers and visibility wait
//! for **commit**. Today a group has one member, so commit is "written, and flushed if the group
//! flushes synchronously"; with more members only [`group`] changes: it will wait for a quorum,
//! and drop and replay the machine's state when a leader's uncommitted tail is cut off.
//!
//! ```text
//! Handle::propose ─► queue ─► driver thread ─► Group::step ─► Machine::propose ─► frame
//!                                                  │  append (one write) ─► soft answers
//!                                                  │  flush ─► commit ─► Machine::committed
//!                                                  └► hard answers
//! ```
//!
//! Reading order: [`machine`], [`group`], [`driver`], `turns`, [`verify`].
//! What does not belong here: what records mean.

mod answers;
mod config;
pub mod driver;
pub mod error;
pub mod group;
pub mod limits;
pub mod machine;
pub mod metrics;
mod turns;
pub mod verify;

pub use config::{Flush, ReplicaConfig};
pub use driver::{Handle, Proposed, start};
pub use error::{OpenError, ProposeError};
pub use group::{Group, Submission};
pub use machine::{ApplyError, Decision, Machine, Proposal};
pub use metrics::Metrics;
