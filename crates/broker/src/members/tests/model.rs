//! The table against a plain model: a set of (client, group, session), last beat wins.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

const CLIENTS: [&str; 3] = ["a", "b", "c"];
const GROUPS: [&str; 3] = ["g", "h", "i"];
const TOPICS: [&str; 3] = ["t", "u", "v"];

#[derive(Debug, Clone)]
enum Event {
    /// Client, session, and for each group the topics that it wants there, if it is in it.
    Beat(usize, u64, [Option<[bool; 3]>; 3], i64),
    LeaveGroup(usize, usize),
    LeaveAll(usize),
    Disconnected(u64),
}

fn event() -> impl Strategy<Value = Event> {
    let wanted = prop::option::of(prop::array::uniform3(any::<bool>()));
    prop_oneof![
        6 => (0..3_usize, 0..4_u64, prop::array::uniform3(wanted), 0..5_i64).prop_map(|(c, s, g, v)| Event::Beat(c, s, g, v)),
        1 => (0..3_usize, 0..3_usize).prop_map(|(client, group)| Event::LeaveGroup(client, group)),
        1 => (0..3_usize).prop_map(Event::LeaveAll),
        2 => (0..4_u64).prop_map(Event::Disconnected),
    ]
}

/// (client, group) to session and topics with their version.
type Model = BTreeMap<(usize, usize), (u64, BTreeSet<usize>, i64)>;

fn apply(model: &mut Model, event: &Event) {
    match event {
        Event::Beat(client, session, groups, version) => {
            model.retain(|(c, _), (s, ..)| c != client || s != session);
            for (group, wanted) in groups.iter().enumerate() {
                if let Some(wanted) = wanted {
                    let topics = (0..3).filter(|topic| wanted.get(*topic) == Some(&true)).collect();
                    model.insert((*client, group), (*session, topics, *version));
                }
            }
        }
        Event::LeaveGroup(client, group) => {
            model.remove(&(*client, *group));
        }
        Event::LeaveAll(client) => model.retain(|(c, _), _| c != client),
        Event::Disconnected(session) => model.retain(|_, (s, ..)| s != session),
    }
}

fn apply_real(members: &Members, event: &Event) {
    match event {
        Event::Beat(client, session, groups, version) => {
            let consumers = groups.iter().zip(GROUPS).filter_map(|(wanted, name)| {
                let wanted = (*wanted)?;
                let topics = TOPICS.iter().zip(wanted).filter(|(_, wanted)| *wanted);
                Some(consumer(name, topics.map(|(topic, _)| wants(topic, "*", *version)).collect()))
            });
            hear(members, *session, beat(CLIENTS[*client], consumers.collect()));
        }
        Event::LeaveGroup(client, group) => drop(leaves(members, CLIENTS[*client], GROUPS[*group])),
        Event::LeaveAll(client) => drop(members.on_leave(CLIENTS[*client], LeaveScope::Everything)),
        Event::Disconnected(session) => drop(members.on_disconnected(SessionId(*session))),
    }
}

fn compare(members: &Members, model: &Model) {
    for (g, name) in GROUPS.iter().enumerate() {
        let expected: Vec<_> = model.iter().filter(|((_, group), _)| *group == g).collect();
        let clients: Vec<_> = expected.iter().map(|((client, _), _)| CLIENTS[*client]).collect();
        let real = members.consumers(&group(name));
        assert_eq!(ids(&real), clients, "members of {name}");
        for (member, (_, (session, ..))) in real.iter().zip(&expected) {
            assert_eq!(member.session.id, SessionId(*session), "session of {}", member.client_id);
        }
        for (t, topic_name) in TOPICS.iter().enumerate() {
            let wanting = expected.iter().filter(|(_, (_, topics, _))| topics.contains(&t));
            let newest = wanting.map(|(_, (.., version))| *version).max();
            let real = members.subscription(&group(name), &topic(topic_name));
            assert_eq!(real.map(|s| s.version), newest, "{name} of {topic_name}");
            let listed = members.groups_of_topic(&topic(topic_name)).contains(&group(name));
            assert_eq!(listed, newest.is_some(), "{name} under {topic_name}");
        }
    }
}

proptest! {
    #[test]
    fn the_table_agrees_with_the_model(events in prop::collection::vec(event(), 0..60)) {
        let (members, mut model) = (Members::default(), Model::new());
        for event in &events {
            apply_real(&members, event);
            apply(&mut model, event);
            compare(&members, &model);
        }
        for session in 0..4 {
            members.on_disconnected(SessionId(session));
        }
        prop_assert_eq!(members.count(), 0);
    }
}
