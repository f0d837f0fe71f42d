//! May this session do that?

use model::admin::{AdminError, AdminPermission};
use model::membership::{Heartbeat, LockQueues};
use model::{GroupName, Session, TopicName};
use serde_json::Value;

/// What a call wants to do, named by what it touches. Closed: a permit decides on each.
#[derive(Debug, Clone, Copy)]
pub enum Action<'a> {
    /// Put messages into a topic, take back a timed one, or end a transaction.
    Publish { topic: &'a TopicName },
    /// Send a message back to a group's retries.
    SendBack { group: &'a GroupName },
    /// Take messages out of a topic for a group (no group: a tool reads), or settle them.
    Consume { topic: &'a TopicName, group: Option<&'a GroupName> },
    /// Say how far a group has come.
    CommitOffset { topic: &'a TopicName, group: &'a GroupName },
    /// Set a group's progress anew.
    Seek { topic: &'a TopicName, group: &'a GroupName },
    /// Ask where a topic is.
    Describe { topic: &'a TopicName },
    /// Ask about offsets of a topic, or of a group in it.
    AskOffset { topic: &'a TopicName, group: Option<&'a GroupName> },
    /// Look for stored messages.
    Query { topic: &'a TopicName },
    /// Be a member of groups, with subscriptions.
    Beat { beat: &'a Heartbeat },
    /// Leave a group, or ask about its members.
    Join { group: &'a GroupName },
    /// Ask who sends.
    AskProducers,
    /// Have queues to oneself.
    Lock { request: &'a LockQueues },
    /// Set how a group gets messages.
    Configure { group: &'a GroupName },
    /// Run an operation of the catalogue.
    Admin { operation: &'a str, permission: AdminPermission, request: &'a Value },
    /// Nothing that needs leave.
    Nothing,
}

/// Decides. Must be quick: it is asked before every call.
pub trait Permit: Send + Sync + 'static {
    /// # Errors
    /// If the session may not; the text is told to the client.
    fn may(&self, session: &Session, action: Action<'_>) -> Result<(), String>;

    /// The request of an operation as the engine is to see it.
    ///
    /// # Errors
    /// If the session may not ask for that.
    fn prepare(&self, _session: &Session, _operation: &str, request: Value) -> Result<Value, AdminError> {
        Ok(request)
    }

    /// The answer of an operation as the session is to see it.
    fn finish(&self, _session: &Session, _operation: &str, answer: Value) -> Value {
        answer
    }
}

/// Everybody may do everything.
#[derive(Debug, Clone, Copy, Default)]
pub struct AllowAll;

impl Permit for AllowAll {
    fn may(&self, _session: &Session, _action: Action<'_>) -> Result<(), String> {
        Ok(())
    }
}
