//! The table behind [`super::Members`], without locks.
//!
//! A client is at home in *presences*: one per session that it was heard on. A membership (client
//! id, group) belongs to one presence, the one that named the group last:
//!
//! ```text
//! client "x" ─ presence on session 1 ─ group A
//!            └ presence on session 2 ─ groups B, C
//! ```
//! So a client that reconnects takes its memberships over to the new session, and the end of the old
//! one then changes nothing; and two processes that share a client id by mistake (containers with
//! equal address and process number) do not drive each other out of different groups.
//!
//! Invariants: every membership is listed in exactly one presence of its client, whose session it
//! names; no group, client or session is kept empty; `topics` lists a group under exactly the topics
//! that one of its members subscribes to.

mod asking;
mod going;

use std::collections::BTreeSet;
use std::sync::Arc;

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use model::membership::{ConsumerBeat, Heartbeat, MemberError, Subscription};
use model::{GroupName, Session, SessionId, TopicName};
use smallvec::SmallVec;

use super::groups::{Consumer, ConsumerGroup, Producer, ProducerGroup, same_wishes};
use super::limits::{CLIENTS_MAX, SESSIONS_PER_CLIENT_MAX};
use super::steady::Steady;
use super::{Changed, MemberNews};

#[derive(Debug)]
struct Presence {
    session: Session,
    language: String,
    version: i32,
    last_seen_ms: i64,
    /// Of steady time.
    seen: i64,
    /// It has left out its subscriptions before, so it may again.
    beats_short: bool,
    consumers: BTreeSet<GroupName>,
    producers: BTreeSet<GroupName>,
}

/// What a lost client wanted.
#[derive(Debug)]
struct Remembered {
    since: i64,
    consumers: Vec<ConsumerBeat>,
}

#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) steady: Steady,
    clients: HashMap<Arc<str>, SmallVec<[Presence; 1]>>,
    sessions: HashMap<SessionId, SmallVec<[Arc<str>; 1]>>,
    consumers: HashMap<GroupName, ConsumerGroup>,
    producers: HashMap<GroupName, ProducerGroup>,
    topics: HashMap<TopicName, BTreeSet<GroupName>>,
    remembered: HashMap<Arc<str>, Remembered>,
    /// Who came and went since somebody took this.
    pub(super) news: Vec<MemberNews>,
}

/// Whether a beat tells what its consumers want, or leaves it as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Beat {
    Full,
    Short,
}

/// A client whose beat is being heard.
struct Comer {
    id: Arc<str>,
    session: SessionId,
    now_ms: i64,
    how: Beat,
}

/// What an event did, for the caller and for the locks.
#[derive(Debug, Default)]
pub(super) struct Effects {
    pub(super) changed: Changed,
    /// Consumers that left.
    pub(super) left: Vec<(GroupName, Arc<str>)>,
}

/// When something happened: by the wall clock and by steady time.
#[derive(Debug, Clone, Copy)]
pub(super) struct At {
    pub(super) now_ms: i64,
    pub(super) steady: i64,
}

impl Table {
    pub(super) fn beat(
        &mut self,
        at: At,
        session: &Session,
        beat: Heartbeat,
    ) -> Result<Effects, MemberError> {
        let mut effects = Effects::default();
        let id = self.check_in(at, session, &beat)?;
        let (consumers, producers) = self.exchange_groups(&id, session.id, &beat);
        let how = if beat.with_subscriptions { Beat::Full } else { Beat::Short };
        let comer = Comer { id: id.clone(), session: session.id, now_ms: at.now_ms, how };
        for consumer in beat.consumers {
            self.join_consumers(&comer, consumer, &mut effects);
        }
        if how == Beat::Full {
            self.remembered.remove(&id);
        }
        for group in &beat.producers {
            self.join_producers(&comer, group);
        }
        for group in consumers {
            self.leave_consumers(&id, &group, &mut effects);
        }
        for group in producers {
            self.leave_producers(&id, &group);
        }
        Ok(effects)
    }

    /// Makes or refreshes the presence.
    fn check_in(&mut self, at: At, session: &Session, beat: &Heartbeat) -> Result<Arc<str>, MemberError> {
        let known = self.clients.get_key_value(&*beat.client_id).map(|(id, _)| id.clone());
        if known.is_none() && self.clients.len() >= CLIENTS_MAX {
            return Err(MemberError::TooMany { max: CLIENTS_MAX });
        }
        let is_new = known.is_none();
        let id = known.unwrap_or_else(|| beat.client_id.as_str().into());
        if is_new {
            self.news.push(MemberNews::Online {
                client_id: id.clone(),
                address: session.peer,
                protocol: session.protocol,
                language: beat.language.clone(),
            });
        }
        let presences = self.clients.entry(id.clone()).or_default();
        if let Some(presence) = presences.iter_mut().find(|presence| presence.session.id == session.id) {
            presence.session = session.clone();
            presence.last_seen_ms = at.now_ms;
            presence.seen = at.steady;
            presence.beats_short |= !beat.with_subscriptions;
            presence.language.clone_from(&beat.language);
            presence.version = beat.version;
            return Ok(id);
        }
        if presences.len() >= SESSIONS_PER_CLIENT_MAX {
            return Err(MemberError::TooMany { max: SESSIONS_PER_CLIENT_MAX });
        }
        presences.push(Presence {
            session: session.clone(),
            language: beat.language.clone(),
            version: beat.version,
            last_seen_ms: at.now_ms,
            seen: at.steady,
            beats_short: !beat.with_subscriptions,
            consumers: BTreeSet::new(),
            producers: BTreeSet::new(),
        });
        self.sessions.entry(session.id).or_default().push(id.clone());
        Ok(id)
    }

    fn presence(&self, id: &str, session: SessionId) -> Option<&Presence> {
        self.clients.get(id)?.iter().find(|presence| presence.session.id == session)
    }

    fn presence_mut(&mut self, id: &str, session: SessionId) -> Option<&mut Presence> {
        self.clients.get_mut(id)?.iter_mut().find(|presence| presence.session.id == session)
    }

    /// Lists the beat's groups in the presence; answers those that it lists no more.
    fn exchange_groups(
        &mut self,
        id: &str,
        session: SessionId,
        beat: &Heartbeat,
    ) -> (Vec<GroupName>, Vec<GroupName>) {
        let Some(presence) = self.presence_mut(id, session) else { return Default::default() };
        let consumers: BTreeSet<_> = beat.consumers.iter().map(|consumer| consumer.group.clone()).collect();
        let producers: BTreeSet<_> = beat.producers.iter().cloned().collect();
        let gone = (
            presence.consumers.difference(&consumers).cloned().collect(),
            presence.producers.difference(&producers).cloned().collect(),
        );
        presence.consumers = consumers;
        presence.producers = producers;
        gone
    }

    fn join_consumers(&mut self, comer: &Comer, mut beat: ConsumerBeat, effects: &mut Effects) {
        let Comer { id, session, now_ms, how } = comer;
        let name = beat.group.clone();
        let group = self.consumers.get_mut(&name);
        let Some(member) = group.and_then(|group| group.members.get_mut(id)) else {
            if *how == Beat::Short {
                let recalled = self.recall(id, &name);
                effects.changed.subscriptions_changed |= recalled.is_none();
                beat.subscriptions = recalled.unwrap_or_default();
            }
            return self.enter_consumers(
                id,
                Consumer { session: *session, since_ms: *now_ms, beat },
                effects,
            );
        };
        if *how == Beat::Short {
            beat.subscriptions.clone_from(&member.beat.subscriptions);
        }
        if !same_wishes(&member.beat, &beat) {
            effects.changed.groups.insert(name.clone());
            effects.changed.subscriptions_changed = true;
        }
        let other = std::mem::replace(&mut member.session, *session);
        let earlier = std::mem::replace(&mut member.beat, beat).subscriptions;
        if earlier != member.beat.subscriptions {
            self.subscribe(id, &name, &earlier);
        }
        if other != *session {
            self.taken_over(id, other, |presence| presence.consumers.remove(&name));
        }
    }

    /// A client that was not in the group joins it.
    fn enter_consumers(&mut self, id: &Arc<str>, member: Consumer, effects: &mut Effects) {
        let name = member.beat.group.clone();
        let group = match self.consumers.entry(name.clone()) {
            Entry::Occupied(group) => group.into_mut(),
            Entry::Vacant(group) => {
                effects.changed.new_groups.insert(name.clone());
                group.insert(ConsumerGroup::default())
            }
        };
        let topics = member.beat.subscriptions.iter().map(|one| one.topic.clone()).collect();
        self.news.push(MemberNews::Joined { group: name.clone(), client_id: id.clone(), topics });
        group.members.insert(id.clone(), member);
        effects.changed.groups.insert(name.clone());
        self.subscribe(id, &name, &[]);
    }

    /// A member's subscriptions are others than the `earlier` ones.
    fn subscribe(&mut self, id: &Arc<str>, name: &GroupName, earlier: &[Subscription]) {
        let Some(group) = self.consumers.get_mut(name) else { return };
        let added = group.on_subscribed(id);
        let lost = group.on_given_up(id, earlier);
        self.index_topics(name, &lost, &added);
    }

    fn join_producers(&mut self, comer: &Comer, name: &GroupName) {
        let Comer { id, session, now_ms, .. } = comer;
        let group = self.producers.entry(name.clone()).or_default();
        let before = group.members.get(id).map(|before| (before.session, before.since_ms));
        let since_ms = before.map_or(*now_ms, |(_, since_ms)| since_ms);
        group.members.insert(id.clone(), Producer { session: *session, since_ms });
        if let Some((other, _)) = before.filter(|(other, _)| other != session) {
            self.taken_over(id, other, |presence| presence.producers.remove(name));
        }
    }

    /// A membership has moved away from a presence, which ends with its last one.
    fn taken_over(&mut self, id: &str, session: SessionId, take: impl FnOnce(&mut Presence) -> bool) {
        let Some(presence) = self.presence_mut(id, session) else { return };
        take(presence);
        if presence.consumers.is_empty() && presence.producers.is_empty() {
            self.forget_presence(id, session);
        }
    }

    fn index_topics(&mut self, group: &GroupName, lost: &[TopicName], added: &[TopicName]) {
        for topic in lost {
            if let Some(groups) = self.topics.get_mut(topic) {
                groups.remove(group);
                if groups.is_empty() {
                    self.topics.remove(topic);
                }
            }
        }
        for topic in added {
            self.topics.entry(topic.clone()).or_default().insert(group.clone());
        }
    }

    /// What the client wanted in the group before its connection was lost.
    fn recall(&mut self, id: &str, group: &GroupName) -> Option<Vec<Subscription>> {
        let consumers = &mut self.remembered.get_mut(id)?.consumers;
        let index = consumers.iter().position(|beat| beat.group == *group)?;
        let beat = consumers.swap_remove(index);
        if consumers.is_empty() {
            self.remembered.remove(id);
        }
        Some(beat.subscriptions)
    }
}
