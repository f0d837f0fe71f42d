//! All ways to leave.

use ::model::QueueId;
use ::model::membership::TopicQueue;

use super::super::limits::{CLIENT_SILENCE_MS_MAX, LOCK_LEASE_MS, REMEMBER_MS};
use super::*;

/// Scans as the driver does, up to a time; all that changed.
fn scan(members: &Members, from_ms: i64, to_ms: i64) -> Vec<GroupName> {
    let times = (from_ms..to_ms).step_by(10_000).chain([to_ms]);
    times.flat_map(|now_ms| members.on_tick(now_ms).groups).collect()
}

fn queue() -> TopicQueue {
    TopicQueue { topic: topic("t"), queue: QueueId(0), broker_name: "b".to_owned() }
}

#[test]
fn a_client_leaves_one_group_or_all() {
    let members = Members::default();
    let mut busy = beat_in("a", &["g", "h", "i"]);
    busy.producers = vec![group("p"), group("q")];
    hear(&members, 1, busy);
    assert_eq!(told(&leaves(&members, "a", "g")), ["g"]);
    assert_eq!(leaves(&members, "a", "g"), Changed::default(), "it is gone");
    assert_eq!(leaves(&members, "b", "h"), Changed::default(), "it never was there");
    members.on_leave("a", LeaveScope::Groups { producer: Some(group("p")), consumer: None });
    assert!(members.producers(&group("p")).is_empty());
    assert_eq!(ids(&members.producers(&group("q"))), ["a"]);
    assert_eq!(told(&members.on_leave("a", LeaveScope::Everything)), ["h", "i"]);
    assert_eq!(members.count(), 0);
    assert!(members.producers(&group("q")).is_empty() && members.groups_of_topic(&topic("t")).is_empty());
}

#[test]
fn a_client_that_left_its_last_group_is_forgotten() {
    let members = Members::default();
    hear(&members, 1, beat_in("a", &["g"]));
    leaves(&members, "a", "g");
    assert_eq!(members.count(), 0);
    assert_eq!(members.on_disconnected(SessionId(1)), Changed::default());
}

#[test]
fn a_lost_connection_ends_all_clients_on_it() {
    let members = Members::default();
    hear(&members, 1, beat_in("a", &["g"]));
    hear(&members, 1, beat_in("b", &["h"]));
    hear(&members, 2, beat_in("c", &["g"]));
    assert_eq!(told(&members.on_disconnected(SessionId(1))), ["g", "h"]);
    assert_eq!(members.client_ids(&group("g")), ["c"]);
    assert_eq!(members.on_disconnected(SessionId(1)), Changed::default());
}

#[test]
fn a_client_that_came_back_outlives_its_old_session() {
    let members = Members::default();
    hear(&members, 1, beat_in("a", &["g", "h"]));
    assert_eq!(hear(&members, 2, beat_in("a", &["g", "h"])), Changed::default(), "the same members");
    assert_eq!(members.on_disconnected(SessionId(1)), Changed::default());
    assert_eq!(ids(&members.consumers(&group("g"))), ["a"]);
    assert_eq!(members.to_notify(&group("g")).first().map(|session| session.id), Some(SessionId(2)));
    assert_eq!(told(&members.on_disconnected(SessionId(2))), ["g", "h"]);
    assert_eq!(members.count(), 0);
}

#[test]
fn a_client_that_came_back_with_less_keeps_the_rest_until_the_old_session_ends() {
    let members = Members::default();
    hear(&members, 1, beat_in("a", &["g", "h"]));
    assert_eq!(hear(&members, 2, beat_in("a", &["h"])), Changed::default());
    assert_eq!(told(&members.on_disconnected(SessionId(1))), ["g"]);
    assert_eq!(ids(&members.consumers(&group("h"))), ["a"]);
}

#[test]
fn silence_ends_a_membership() {
    let members = Members::default();
    hear(&members, 1, beat_in("a", &["g"]));
    assert!(scan(&members, 0, CLIENT_SILENCE_MS_MAX).is_empty());
    assert_eq!(scan(&members, CLIENT_SILENCE_MS_MAX + 1, CLIENT_SILENCE_MS_MAX + 1), [group("g")]);
    assert_eq!(members.count(), 0);
    hear(&members, 1, beat_in("a", &["g"]));
    assert_eq!(ids(&members.consumers(&group("g"))), ["a"], "it may come back");
}

#[test]
fn a_clock_that_jumps_ends_no_membership() {
    let members = Members::default();
    hear(&members, 1, beat_in("a", &["g"]));
    assert_eq!(members.on_tick(86_400_000), Changed::default());
    assert_eq!(members.on_tick(-86_400_000), Changed::default());
    assert_eq!(ids(&members.consumers(&group("g"))), ["a"]);
}

#[test]
fn what_a_lost_client_wanted_is_forgotten_in_the_end() {
    let members = Members::default();
    hear(&members, 1, beat_in("a", &["g"]));
    hear(&members, 1, short(beat_in("a", &["g"])));
    members.on_disconnected(SessionId(1));
    scan(&members, 0, REMEMBER_MS + 10_000);
    let late = members.on_heartbeat(REMEMBER_MS + 10_000, &session(2), short(beat_in("a", &["g"])));
    assert!(late.expect("room").subscriptions_changed);
}

#[test]
fn who_leaves_frees_its_locks() {
    let leave = |how: fn(&Members) -> Changed| {
        let members = Members::default();
        hear(&members, 1, beat_in("a", &["g", "h"]));
        for name in ["g", "h"] {
            assert_eq!(members.locks.lock(0, &group(name), "a", &[queue()]), [queue()]);
        }
        how(&members);
        ["g", "h"].map(|name| !members.locks.lock(1, &group(name), "b", &[queue()]).is_empty())
    };
    assert_eq!(leave(|members| leaves(members, "a", "g")), [true, false]);
    assert_eq!(leave(|members| members.on_leave("a", LeaveScope::Everything)), [true, true]);
    assert_eq!(leave(|members| members.on_disconnected(SessionId(1))), [true, true]);
    assert_eq!(leave(|members| hear(members, 1, beat_in("a", &["h"]))), [true, false]);
    assert_eq!(leave(|members| hear(members, 2, beat_in("a", &["g", "h"]))), [false, false], "it came back");
}

#[test]
fn those_who_wait_for_a_lease_are_told_when_it_runs_out() {
    let members = Members::default();
    members.locks.lock(0, &group("g"), "a", &[queue()]);
    members.locks.lock(0, &group("g"), "b", &[queue()]);
    assert!(scan(&members, 0, LOCK_LEASE_MS).is_empty());
    assert_eq!(scan(&members, LOCK_LEASE_MS + 1, LOCK_LEASE_MS + 1), [group("g")]);
}
