//! May this session do that?

use model::admin::AdminPermission;
use model::{GroupName, Session, TopicName};

/// What a call wants to do, named by what it touches. Closed: a permit decides on each.
#[derive(Debug, Clone, Copy)]
pub enum Action<'a> {
    /// Put messages into a topic, or take back a timed one.
    Publish { topic: &'a TopicName },
    /// End a transaction or send a message back.
    Settle { group: Option<&'a GroupName> },
    /// Take messages out of a topic for a group (no group: a tool reads), or settle them.
    Consume { topic: &'a TopicName, group: Option<&'a GroupName> },
    /// Set a group's progress anew.
    Seek { topic: &'a TopicName, group: &'a GroupName },
    /// Ask where a topic is, and about its offsets.
    Describe { topic: &'a TopicName },
    /// Look for stored messages.
    Query { topic: Option<&'a TopicName> },
    /// Be a member of a group, or ask about its members.
    Join { group: Option<&'a GroupName> },
    /// Run an operation of the catalogue.
    Admin { operation: &'a str, permission: AdminPermission },
    /// Nothing that needs leave.
    Nothing,
}

/// Decides. Must be quick: it is asked before every call.
pub trait Permit: Send + Sync + 'static {
    /// # Errors
    /// If the session may not; the text is told to the client.
    fn may(&self, session: &Session, action: Action<'_>) -> Result<(), String>;
}

/// Everybody may do everything.
#[derive(Debug, Clone, Copy, Default)]
pub struct AllowAll;

impl Permit for AllowAll {
    fn may(&self, _session: &Session, _action: Action<'_>) -> Result<(), String> {
        Ok(())
    }
}
