//! How clients leave the table: by word, by silence, or by losing their connection.

use std::sync::Arc;

use model::{GroupName, SessionId};

use super::{Effects, Presence, Remembered, Table};
use crate::members::MemberNews;
use crate::members::limits::{CLIENT_SILENCE_MS_MAX, CLIENTS_MAX, REMEMBER_MS};

impl Table {
    pub(in crate::members) fn leave_consumers(&mut self, id: &str, name: &GroupName, effects: &mut Effects) {
        let Some(group) = self.consumers.get_mut(name) else { return };
        let Some((id, member)) = group.members.remove_entry(id) else { return };
        let lost = group.on_given_up(&id, &member.beat.subscriptions);
        if group.members.is_empty() {
            self.consumers.remove(name);
        }
        self.index_topics(name, &lost, &[]);
        if let Some(presence) = self.presence_mut(&id, member.session) {
            presence.consumers.remove(name);
        }
        effects.changed.groups.insert(name.clone());
        self.news.push(MemberNews::Left { group: name.clone(), client_id: id.clone() });
        effects.left.push((name.clone(), id));
    }

    pub(in crate::members) fn leave_producers(&mut self, id: &str, name: &GroupName) {
        let Some(group) = self.producers.get_mut(name) else { return };
        let Some(member) = group.members.remove(id) else { return };
        if group.members.is_empty() {
            self.producers.remove(name);
        }
        if let Some(presence) = self.presence_mut(id, member.session) {
            presence.producers.remove(name);
        }
    }

    /// Forgets presences of a client that do nothing any more.
    pub(in crate::members) fn forget_idle(&mut self, id: &str) {
        let idle = |presence: &&Presence| presence.consumers.is_empty() && presence.producers.is_empty();
        let presences = self.clients.get(id).into_iter().flatten();
        let sessions: Vec<_> = presences.filter(idle).map(|presence| presence.session.id).collect();
        for session in sessions {
            self.forget_presence(id, session);
        }
    }

    /// A client leaves everything, on all its sessions.
    pub(in crate::members) fn leave_all(&mut self, id: &str, effects: &mut Effects) {
        let presences = self.clients.get(id).into_iter().flatten();
        let sessions: Vec<_> = presences.map(|presence| presence.session.id).collect();
        for session in sessions {
            self.end_presence(id, session, effects);
        }
        self.remembered.remove(id);
    }

    pub(in crate::members) fn end_session(&mut self, session: SessionId, effects: &mut Effects) {
        let ids = self.sessions.get(&session).cloned().unwrap_or_default();
        for id in ids {
            self.lose_presence(&id, session, effects);
        }
    }

    /// Ends presences that have been silent too long, and forgets what was remembered too long.
    pub(in crate::members) fn end_silent(&mut self, steady: i64, effects: &mut Effects) {
        let silent = |presence: &&Presence| steady - presence.seen > CLIENT_SILENCE_MS_MAX;
        let each = self.clients.iter().flat_map(|(id, presences)| {
            presences.iter().filter(silent).map(|presence| (id.clone(), presence.session.id))
        });
        let mut ended: Vec<_> = each.collect();
        ended.sort();
        for (id, session) in ended {
            self.lose_presence(&id, session, effects);
        }
        self.remembered.retain(|_, remembered| steady - remembered.since <= REMEMBER_MS);
    }

    /// Ends a presence that did not say goodbye: it may come back and leave out what it wants.
    fn lose_presence(&mut self, id: &Arc<str>, session: SessionId, effects: &mut Effects) {
        let Some(presence) = self.presence(id, session) else { return };
        if presence.beats_short && self.remembered.len() < CLIENTS_MAX {
            let since = presence.seen;
            let member = |group| self.consumers.get(group).and_then(|group| group.members.get(id));
            let consumers =
                presence.consumers.iter().filter_map(member).map(|member| member.beat.clone()).collect();
            self.remembered.insert(id.clone(), Remembered { since, consumers });
        }
        self.end_presence(id, session, effects);
    }

    fn end_presence(&mut self, id: &str, session: SessionId, effects: &mut Effects) {
        let Some(presence) = self.presence_mut(id, session) else { return };
        let consumers = std::mem::take(&mut presence.consumers);
        let producers = std::mem::take(&mut presence.producers);
        for group in &consumers {
            self.leave_consumers(id, group, effects);
        }
        for group in &producers {
            self.leave_producers(id, group);
        }
        self.forget_presence(id, session);
    }

    pub(super) fn forget_presence(&mut self, id: &str, session: SessionId) {
        if let Some(presences) = self.clients.get_mut(id) {
            let address = presences.first().map(|presence| presence.session.peer);
            presences.retain(|presence| presence.session.id != session);
            if presences.is_empty()
                && let Some((client_id, _)) = self.clients.remove_entry(id)
                && let Some(address) = address
            {
                self.news.push(MemberNews::Offline { client_id, address });
            }
        }
        if let Some(ids) = self.sessions.get_mut(&session) {
            ids.retain(|known| **known != *id);
            if ids.is_empty() {
                self.sessions.remove(&session);
            }
        }
    }
}
