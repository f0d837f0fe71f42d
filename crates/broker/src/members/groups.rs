//! Groups of live clients, by name: who is in them, and what they want together.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use hashbrown::HashMap;
use model::membership::{ConsumerBeat, Subscription};
use model::{SessionId, TopicName};
use parking_lot::Mutex;

/// A client's place in a consumer group.
#[derive(Debug)]
pub(super) struct Consumer {
    /// The session that it was last heard on.
    pub(super) session: SessionId,
    pub(super) since_ms: i64,
    pub(super) beat: ConsumerBeat,
}

/// The newest subscription of a topic, and whose it is.
#[derive(Debug)]
struct Newest {
    client_id: Arc<str>,
    subscription: Arc<Subscription>,
}

#[derive(Debug, Default)]
pub(super) struct ConsumerGroup {
    /// By client id, so that members are listed in the order in which clients sort them.
    pub(super) members: BTreeMap<Arc<str>, Consumer>,
    /// Of all topics that any member subscribes to.
    newest: HashMap<TopicName, Newest>,
}

impl ConsumerGroup {
    pub(super) fn subscription(&self, topic: &TopicName) -> Option<&Arc<Subscription>> {
        self.newest.get(topic).map(|newest| &newest.subscription)
    }

    pub(super) fn topics(&self) -> impl Iterator<Item = &TopicName> {
        self.newest.keys()
    }

    /// A member's subscriptions are others than before (none, if it joins). Answers topics that the
    /// group had no interest in until now.
    pub(super) fn on_subscribed(&mut self, client_id: &Arc<str>) -> Vec<TopicName> {
        let Some(member) = self.members.get(client_id) else { return Vec::new() };
        let mut added = Vec::new();
        for subscription in &member.beat.subscriptions {
            let known = self.newest.get(&subscription.topic);
            if known.is_some_and(|newest| newest.subscription.version > subscription.version) {
                continue;
            }
            if known.is_none() {
                added.push(subscription.topic.clone());
            }
            let newest =
                Newest { client_id: client_id.clone(), subscription: Arc::new(subscription.clone()) };
            self.newest.insert(subscription.topic.clone(), newest);
        }
        added
    }

    /// A client has left, or has given up some of its `earlier` subscriptions: where its was the
    /// newest, another's is. Answers topics that nobody is left for.
    pub(super) fn on_given_up(&mut self, client_id: &str, earlier: &[Subscription]) -> Vec<TopicName> {
        let now = self.members.get(client_id).into_iter().flat_map(|member| &member.beat.subscriptions);
        let now: HashMap<_, _> =
            now.map(|subscription| (&subscription.topic, subscription.version)).collect();
        let given_up = |old: &&Subscription| now.get(&old.topic).is_none_or(|version| *version < old.version);
        let given_up: Vec<TopicName> = earlier.iter().filter(given_up).map(|old| old.topic.clone()).collect();
        let mut lost = Vec::new();
        for topic in &given_up {
            if self.newest.get(topic).is_none_or(|newest| *newest.client_id != *client_id) {
                continue;
            }
            if let Some(next) = self.newest_of_members(topic) {
                self.newest.insert(topic.clone(), next);
            } else {
                self.newest.remove(topic);
                lost.push(topic.clone());
            }
        }
        lost
    }

    fn newest_of_members(&self, topic: &TopicName) -> Option<Newest> {
        let all = self
            .members
            .iter()
            .flat_map(|(id, member)| member.beat.subscriptions.iter().map(move |s| (id, s)));
        let newest =
            all.filter(|(_, subscription)| subscription.topic == *topic).max_by_key(|(_, s)| s.version);
        newest.map(|(id, subscription)| Newest {
            client_id: id.clone(),
            subscription: Arc::new(subscription.clone()),
        })
    }
}

/// Whether two beats of one consumer mean the same. Versions and order do not count: clients raise
/// the version whenever they balance.
pub(super) fn same_wishes(a: &ConsumerBeat, b: &ConsumerBeat) -> bool {
    let same = |a: &Subscription, b: &Subscription| a.topic == b.topic && a.filter == b.filter;
    let (ours, theirs) = (&a.subscriptions, &b.subscriptions);
    if a.how != b.how || a.model != b.model || ours.len() != theirs.len() {
        return false;
    }
    if ours.iter().zip(theirs).all(|(a, b)| same(a, b)) {
        return true;
    }
    let sorted = |all: &[Subscription]| {
        let mut all: Vec<_> =
            all.iter().map(|s| (s.topic.clone(), s.filter.expression.clone(), s.filter.kind as u8)).collect();
        all.sort();
        all
    };
    sorted(ours) == sorted(theirs)
}

/// A client's place in a producer group.
#[derive(Debug)]
pub(super) struct Producer {
    pub(super) session: SessionId,
    pub(super) since_ms: i64,
}

#[derive(Debug, Default)]
pub(super) struct ProducerGroup {
    pub(super) members: BTreeMap<Arc<str>, Producer>,
    /// Who was picked last.
    last: Mutex<Option<Arc<str>>>,
}

impl ProducerGroup {
    /// The members in turn.
    pub(super) fn pick(&self) -> Option<(&Arc<str>, &Producer)> {
        let mut last = self.last.lock();
        let after = last.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let mut later = self.members.range::<str, _>((after, Bound::Unbounded));
        let picked = later.next().or_else(|| self.members.first_key_value())?;
        *last = Some(picked.0.clone());
        Some(picked)
    }
}
