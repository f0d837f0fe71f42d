//! The nouns and verbs of Apogee, and how messages are encoded as records.
//!
//! Everybody may know this crate; it knows nobody: no I/O, no runtime, no wire protocol,
//! no configuration.
//!
//! # Glossary
//! - **topic**: a named set of queues. **queue**: a dense sequence of messages.
//! - **offset**: place of a message in its queue. **position** ([`Lsn`]): byte place in a log.
//! - **group**: consumers that share one progress. **member**: a live client of a group.
//! - **cursor**: what a group has been handed from a queue, and what of it is in flight.
//! - **receipt**: the right to settle one delivery of one message.
//! - **retry queue**, **dead letters**: where messages wait that were not acknowledged in time, or never.
//! - **half message**: published, but visible only if its transaction commits.
//! - **view**: state derived from the log. **epoch**: reign of one leader. **replica group**: a log on several nodes.
//! - **user**, **policy**, **resource**: who calls, what they may do, and with what: see [`access`].
//! - **session**: one client's connection(s), through which notices reach it.
//!
//! Reading order: [`ids`], [`names`], [`properties`], [`message`], [`record`], [`batch`], [`topic`], [`group`],
//! [`session`], [`verbs`], [`membership`], [`admin`], [`access`], [`quota`], [`error`], [`limits`].

pub mod access;
pub mod admin;
pub mod batch;
pub mod decimal;
pub mod error;
pub mod filter;
pub mod group;
pub mod ids;
pub mod latency;
pub mod limits;
pub mod lite;
pub mod membership;
pub mod message;
pub mod names;
pub mod properties;
pub mod quota;
pub mod receipt;
pub mod record;
pub mod session;
pub mod throttled;
pub mod topic;
pub mod verbs;

pub use admin::{Admin, AdminError};
pub use error::{Kind, Kinded};
pub use filter::{Filter, FilterKind};
pub use group::{GroupConfig, RetryPolicy};
pub use ids::{Epoch, Lsn, Offset, QueueId, SessionId, StreamId};
pub use membership::Membership;
pub use message::{Delivery, MessageKind, NewMessage, StoredMessage};
pub use names::{GroupName, NameError, TopicName};
pub use properties::Properties;
pub use receipt::{DeliveryKey, Receipt};
pub use session::{Endpoint, Notice, NoticeSink, Session};
pub use topic::{Permission, TopicConfig};
pub use verbs::Messaging;

/// Everything that a protocol needs of the engine.
pub trait Engine: Messaging + Membership + Admin {}

impl<T: Messaging + Membership + Admin> Engine for T {}
