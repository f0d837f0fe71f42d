//! Who is there: live clients, their groups and subscriptions, their locks and their shares.
//!
//! Soft state, rebuilt from heartbeats. Pure but for its locks: time comes in, notices go out as the
//! groups in [`Changed`], whose members ([`Members::to_notify`]) the caller tells.
//!
//! - A client is a member from its first beat on: the list that it asks for next holds it.
//! - A beat names everything that a session does for a client: groups that it names no more are
//!   left. A client that comes back on another session replaces itself; the end of the old session
//!   then changes nothing.
//! - A beat may leave its subscriptions out: they stay, also over a lost connection. If they are not
//!   known (any more), `subscriptions_changed` makes the client send them all next time.
//! - A group wants of a topic what the newest subscription (highest version) of any member says.
//!   Members that disagree are heard as long as they are there; RocketMQ lets each beat overwrite.
//! - Whoever leaves a group, by word, by silence or by a lost connection, gives up its locks there.
//!
//! Lock order: the table, then a producer group's turn. [`Locks`] stands alone.
//!
//! Reading order: here, `table.rs`, `groups.rs`, then `locks.rs`, `assign.rs`.

mod assign;
mod groups;
pub mod limits;
mod locks;
mod steady;
mod table;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use model::admin::ClientDescription;
use model::membership::{ConsumeModel, Heartbeat, LeaveScope, Member, MemberError, Subscription};
use model::{GroupName, Session, SessionId, TopicName};
use parking_lot::{Mutex, RwLock};

pub use assign::{Question, Share, assign, assign_queues};
pub use locks::Locks;

use limits::{CLIENT_ID_BYTES_MAX, GROUPS_PER_CLIENT_MAX, SUBSCRIPTIONS_PER_GROUP_MAX};
use table::{At, Effects, Table};

/// What a beat or a departure changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// Consumer groups with other members or subscriptions than before: their members must know.
    pub groups: BTreeSet<GroupName>,
    /// Consumer groups that had no member before.
    pub new_groups: BTreeSet<GroupName>,
    /// Subscriptions that the client had before are others now, or are missing: it should send all
    /// of them next time.
    pub subscriptions_changed: bool,
}

/// Who came and went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MemberNews {
    Online { client_id: Arc<str>, address: SocketAddr, protocol: &'static str, language: String },
    Offline { client_id: Arc<str>, address: SocketAddr },
    Joined { group: GroupName, client_id: Arc<str>, topics: Vec<TopicName> },
    Left { group: GroupName, client_id: Arc<str> },
}

/// All live clients.
#[derive(Debug, Default)]
pub struct Members {
    table: RwLock<Table>,
    /// Who came and went, until somebody takes it.
    news: Mutex<Vec<MemberNews>>,
    pub locks: Locks,
}

impl Members {
    /// Registers a client with all it does on this session, or keeps it alive.
    ///
    /// # Errors
    /// If there are too many clients, groups or subscriptions; nothing is changed then.
    pub fn on_heartbeat(
        &self,
        now_ms: i64,
        session: &Session,
        beat: Heartbeat,
    ) -> Result<Changed, MemberError> {
        check(&beat)?;
        let mut table = self.table.write();
        let at = At { now_ms, steady: table.steady.advance(now_ms) };
        let effects = table.beat(at, session, beat);
        self.take_news_of(&mut table);
        let effects = effects?;
        drop(table);
        Ok(self.finish(effects))
    }

    /// A client leaves groups, or everything.
    pub fn on_leave(&self, client_id: &str, scope: LeaveScope) -> Changed {
        let mut effects = Effects::default();
        let mut table = self.table.write();
        match scope {
            LeaveScope::Everything => table.leave_all(client_id, &mut effects),
            LeaveScope::Groups { producer, consumer } => {
                if let Some(group) = consumer {
                    table.leave_consumers(client_id, &group, &mut effects);
                }
                if let Some(group) = producer {
                    table.leave_producers(client_id, &group);
                }
                table.forget_idle(client_id);
            }
        }
        self.take_news_of(&mut table);
        drop(table);
        self.finish(effects)
    }

    /// A session ended: what was last heard on it leaves.
    pub fn on_disconnected(&self, session: SessionId) -> Changed {
        let mut effects = Effects::default();
        let mut table = self.table.write();
        table.end_session(session, &mut effects);
        self.take_news_of(&mut table);
        drop(table);
        self.finish(effects)
    }

    /// Clients that have been silent for too long leave everything, and leases run out. Call it more
    /// often than every `CLOCK_STEP_MS_MAX`.
    pub fn on_tick(&self, now_ms: i64) -> Changed {
        let mut effects = Effects::default();
        let mut table = self.table.write();
        let steady = table.steady.advance(now_ms);
        table.end_silent(steady, &mut effects);
        self.take_news_of(&mut table);
        drop(table);
        effects.changed.groups.extend(self.locks.on_tick(now_ms));
        self.finish(effects)
    }

    fn take_news_of(&self, table: &mut Table) {
        if !table.news.is_empty() {
            self.news.lock().append(&mut table.news);
        }
    }

    /// Who came and went since the last call.
    #[must_use]
    pub fn take_news(&self) -> Vec<MemberNews> {
        std::mem::take(&mut *self.news.lock())
    }

    /// How many consumers a group has.
    #[must_use]
    pub fn consumer_count(&self, group: &GroupName) -> usize {
        self.table.read().consumer_group(group).map_or(0, |group| group.members.len())
    }

    fn finish(&self, effects: Effects) -> Changed {
        for (group, client_id) in &effects.left {
            self.locks.release_client(group, client_id);
        }
        effects.changed
    }

    /// Consumers of a group, by client id.
    #[must_use]
    pub fn consumers(&self, group: &GroupName) -> Vec<Member> {
        self.table.read().consumers(group)
    }

    /// Client ids of a group's consumers, in order.
    #[must_use]
    pub fn client_ids(&self, group: &GroupName) -> Vec<String> {
        let table = self.table.read();
        let members = table.consumer_group(group).into_iter().flat_map(|group| group.members.keys());
        members.map(|id| id.as_ref().to_owned()).collect()
    }

    /// Sessions that must know when the group changes: one per connection, and none of clients that
    /// read everything anyway.
    #[must_use]
    pub fn to_notify(&self, group: &GroupName) -> Vec<Session> {
        let table = self.table.read();
        let members = table.consumer_group(group).into_iter().flat_map(|group| &group.members);
        let balancing = members.filter(|(_, member)| member.beat.model == ConsumeModel::Clustering);
        let sessions: BTreeMap<SessionId, Session> = balancing
            .filter_map(|(id, member)| Some((member.session, table.session(id, member.session)?.clone())))
            .collect();
        sessions.into_values().collect()
    }

    /// Producers of a group, by client id.
    #[must_use]
    pub fn producers(&self, group: &GroupName) -> Vec<Member> {
        self.table.read().producers(group)
    }

    /// Every client, once for each session that it was heard on.
    #[must_use]
    pub fn clients(&self) -> Vec<ClientDescription> {
        self.table.read().clients()
    }

    /// A producer of the group; the next call gives the next one.
    #[must_use]
    pub fn pick_producer(&self, group: &GroupName) -> Option<Member> {
        self.table.read().pick_producer(group)
    }

    /// Whether anybody of a producer group is there.
    #[must_use]
    pub fn has_producer(&self, group: &GroupName) -> bool {
        self.table.read().has_producer(group)
    }

    /// The session that a client was last heard on.
    #[must_use]
    pub fn session_of(&self, client_id: &str) -> Option<Session> {
        self.table.read().session_of(client_id).cloned()
    }

    /// A client that was heard on the session.
    #[must_use]
    pub fn client_of(&self, session: SessionId) -> Option<String> {
        self.table.read().client_of(session).map(str::to_owned)
    }

    /// What a group wants of a topic: the newest subscription of its members.
    #[must_use]
    pub fn subscription(&self, group: &GroupName, topic: &TopicName) -> Option<Arc<Subscription>> {
        self.table.read().consumer_group(group)?.subscription(topic).cloned()
    }

    /// Topics that a group's members subscribe to.
    #[must_use]
    pub fn topics_of_group(&self, group: &GroupName) -> BTreeSet<TopicName> {
        let table = self.table.read();
        let topics = table.consumer_group(group).into_iter().flat_map(|group| group.topics());
        topics.cloned().collect()
    }

    /// Groups with a member that subscribes to the topic.
    #[must_use]
    pub fn groups_of_topic(&self, topic: &TopicName) -> BTreeSet<GroupName> {
        self.table.read().groups_of_topic(topic)
    }

    /// How many clients there are, for metrics.
    #[must_use]
    pub fn count(&self) -> usize {
        self.table.read().count()
    }
}

fn check(beat: &Heartbeat) -> Result<(), MemberError> {
    let bytes = beat.client_id.len();
    if bytes > CLIENT_ID_BYTES_MAX {
        let reason = format!("the client id has {bytes} bytes, the most allowed is {CLIENT_ID_BYTES_MAX}");
        return Err(MemberError::Denied(reason));
    }
    if beat.producers.len() + beat.consumers.len() > GROUPS_PER_CLIENT_MAX {
        return Err(MemberError::TooMany { max: GROUPS_PER_CLIENT_MAX });
    }
    if beat.consumers.iter().any(|consumer| consumer.subscriptions.len() > SUBSCRIPTIONS_PER_GROUP_MAX) {
        return Err(MemberError::TooMany { max: SUBSCRIPTIONS_PER_GROUP_MAX });
    }
    Ok(())
}
