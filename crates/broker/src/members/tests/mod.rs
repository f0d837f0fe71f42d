//! Tests of membership. `coming.rs`: beats; `going.rs`: all ways to leave; `model.rs`: the table
//! against a plain model, at random.

mod coming;
mod going;
mod model;

use ::model::membership::{
    BeatStart, ConsumeHow, ConsumeModel, ConsumerBeat, Heartbeat, LeaveScope, Member, Subscription,
};
use ::model::{Filter, GroupName, Session, SessionId, TopicName};

use super::{Changed, Members};

fn group(name: &str) -> GroupName {
    GroupName::new(name).expect("legal")
}

fn topic(name: &str) -> TopicName {
    TopicName::new(name).expect("legal")
}

fn session(id: u64) -> Session {
    Session { id: SessionId(id), ..Session::internal() }
}

fn wants(name: &str, tags: &str, version: i64) -> Subscription {
    Subscription { topic: topic(name), filter: Filter::tag(tags), version }
}

/// A consumer of `name` with subscriptions.
fn consumer(name: &str, subscriptions: Vec<Subscription>) -> ConsumerBeat {
    ConsumerBeat {
        group: group(name),
        how: ConsumeHow::Push,
        model: ConsumeModel::Clustering,
        start: BeatStart::Last,
        subscriptions,
    }
}

fn beat(client: &str, consumers: Vec<ConsumerBeat>) -> Heartbeat {
    Heartbeat {
        client_id: client.to_owned(),
        language: "JAVA".to_owned(),
        version: 1,
        producers: Vec::new(),
        consumers,
        with_subscriptions: true,
    }
}

/// A beat with consumers of `groups`, all of topic `t`.
fn beat_in(client: &str, groups: &[&str]) -> Heartbeat {
    beat(client, groups.iter().map(|name| consumer(name, vec![wants("t", "*", 1)])).collect())
}

/// The beat without its subscriptions.
fn short(mut beat: Heartbeat) -> Heartbeat {
    beat.with_subscriptions = false;
    beat.consumers.iter_mut().for_each(|consumer| consumer.subscriptions.clear());
    beat
}

/// Hears a beat at time 0.
fn hear(members: &Members, session_id: u64, beat: Heartbeat) -> Changed {
    members.on_heartbeat(0, &session(session_id), beat).expect("room")
}

fn ids(members: &[Member]) -> Vec<&str> {
    members.iter().map(|member| member.client_id.as_str()).collect()
}

/// Names of the groups whose members must know.
fn told(changed: &Changed) -> Vec<&str> {
    changed.groups.iter().map(GroupName::as_str).collect()
}

fn leaves(members: &Members, client: &str, consumer: &str) -> Changed {
    members.on_leave(client, LeaveScope::Groups { producer: None, consumer: Some(group(consumer)) })
}
