//! What the table tells.

use std::collections::BTreeSet;

use model::admin::ClientDescription;
use model::membership::{ConsumerBeat, Member};
use model::{Endpoint, GroupName, Session, SessionId, TopicName};

use super::Table;
use crate::members::groups::ConsumerGroup;

impl Table {
    fn member(
        &self,
        id: &str,
        session: SessionId,
        since_ms: i64,
        consumer: Option<ConsumerBeat>,
    ) -> Option<Member> {
        let presence = self.presence(id, session)?;
        Some(Member {
            client_id: id.to_owned(),
            session: presence.session.clone(),
            language: presence.language.clone(),
            version: presence.version,
            since_ms,
            last_seen_ms: presence.last_seen_ms,
            consumer,
        })
    }

    pub(in crate::members) fn consumer_group(&self, name: &GroupName) -> Option<&ConsumerGroup> {
        self.consumers.get(name)
    }

    pub(in crate::members) fn consumers(&self, name: &GroupName) -> Vec<Member> {
        let members = self.consumers.get(name).into_iter().flat_map(|group| &group.members);
        members.filter_map(|(id, m)| self.member(id, m.session, m.since_ms, Some(m.beat.clone()))).collect()
    }

    pub(in crate::members) fn producers(&self, name: &GroupName) -> Vec<Member> {
        let members = self.producers.get(name).into_iter().flat_map(|group| &group.members);
        members.filter_map(|(id, member)| self.member(id, member.session, member.since_ms, None)).collect()
    }

    pub(in crate::members) fn clients(&self) -> Vec<ClientDescription> {
        let all = self.clients.iter().flat_map(|(id, presences)| presences.iter().map(move |p| (id, p)));
        all.map(|(id, presence)| ClientDescription {
            client_id: id.as_ref().to_owned(),
            address: Endpoint::from(presence.session.peer).to_string(),
            protocol: presence.session.protocol.to_owned(),
            language: presence.language.clone(),
            version: presence.version,
            last_seen_ms: presence.last_seen_ms,
            producers: presence.producers.iter().cloned().collect(),
            consumers: presence.consumers.iter().cloned().collect(),
        })
        .collect()
    }

    pub(in crate::members) fn has_producer(&self, name: &GroupName) -> bool {
        self.producers.get(name).is_some_and(|group| !group.members.is_empty())
    }

    pub(in crate::members) fn pick_producer(&self, name: &GroupName) -> Option<Member> {
        let (id, member) = self.producers.get(name)?.pick()?;
        self.member(id, member.session, member.since_ms, None)
    }

    pub(in crate::members) fn session(&self, id: &str, session: SessionId) -> Option<&Session> {
        self.presence(id, session).map(|presence| &presence.session)
    }

    /// The session that the client was last heard on.
    pub(in crate::members) fn session_of(&self, id: &str) -> Option<&Session> {
        let presences = self.clients.get(id)?.iter();
        presences.max_by_key(|presence| presence.seen).map(|presence| &presence.session)
    }

    pub(in crate::members) fn client_of(&self, session: SessionId) -> Option<&str> {
        self.sessions.get(&session)?.first().map(AsRef::as_ref)
    }

    pub(in crate::members) fn groups_of_topic(&self, topic: &TopicName) -> BTreeSet<GroupName> {
        self.topics.get(topic).cloned().unwrap_or_default()
    }

    pub(in crate::members) fn count(&self) -> usize {
        self.clients.len()
    }
}
