//! Beats: who is a member, and what a group wants.

use ::model::membership::MemberError;

use super::super::limits::{
    CLIENT_ID_BYTES_MAX, GROUPS_PER_CLIENT_MAX, SESSIONS_PER_CLIENT_MAX, SUBSCRIPTIONS_PER_GROUP_MAX,
};
use super::*;

#[test]
fn a_client_is_a_member_at_once() {
    let members = Members::default();
    let mut first = beat_in("a", &["g"]);
    first.producers = vec![group("p")];
    let changed = hear(&members, 1, first.clone());
    assert_eq!(
        changed,
        Changed { groups: [group("g")].into(), new_groups: [group("g")].into(), ..Changed::default() }
    );
    assert_eq!(hear(&members, 1, first), Changed::default(), "nothing new");
    assert_eq!(ids(&members.consumers(&group("g"))), ["a"]);
    assert_eq!(ids(&members.producers(&group("p"))), ["a"]);
    let changed = hear(&members, 2, beat_in("b", &["g"]));
    assert!(told(&changed) == ["g"] && changed.new_groups.is_empty());
    assert_eq!(members.client_ids(&group("g")), ["a", "b"]);
    assert_eq!(members.count(), 2);
}

#[test]
fn a_member_is_described() {
    let members = Members::default();
    members.on_heartbeat(5, &session(1), beat_in("a", &["g"])).expect("room");
    let newer = Heartbeat { language: "GO".to_owned(), version: 2, ..beat_in("a", &["g"]) };
    members.on_heartbeat(9, &session(1), newer).expect("room");
    let all = members.consumers(&group("g"));
    let member = all.first().expect("a member");
    assert_eq!((member.since_ms, member.last_seen_ms), (5, 9));
    assert_eq!((member.language.as_str(), member.version), ("GO", 2));
    assert_eq!(member.consumer.as_ref().map(|consumer| &consumer.group), Some(&group("g")));
}

#[test]
fn what_a_member_wants_matters_and_its_version_does_not() {
    let members = Members::default();
    let two = |version| vec![wants("t", "*", version), wants("u", "a", version)];
    hear(&members, 1, beat("a", vec![consumer("g", two(1))]));
    assert_eq!(hear(&members, 1, beat("a", vec![consumer("g", two(2))])), Changed::default());
    let reversed = two(3).into_iter().rev().collect();
    assert_eq!(hear(&members, 1, beat("a", vec![consumer("g", reversed)])), Changed::default());
    for other in [vec![wants("t", "*", 3)], vec![wants("t", "x", 4)], vec![wants("v", "x", 4)]] {
        let changed = hear(&members, 1, beat("a", vec![consumer("g", other)]));
        assert!(told(&changed) == ["g"] && changed.subscriptions_changed);
    }
    assert_eq!(members.topics_of_group(&group("g")), [topic("v")].into());
    assert!(members.groups_of_topic(&topic("t")).is_empty());
    assert_eq!(members.groups_of_topic(&topic("v")), [group("g")].into());
}

#[test]
fn the_newest_subscription_counts() {
    let members = Members::default();
    let tags = || members.subscription(&group("g"), &topic("t")).map(|s| s.filter.expression.clone());
    assert_eq!(tags(), None);
    hear(&members, 1, beat("a", vec![consumer("g", vec![wants("t", "old", 1)])]));
    hear(&members, 2, beat("b", vec![consumer("g", vec![wants("t", "new", 2)])]));
    hear(&members, 1, beat("a", vec![consumer("g", vec![wants("t", "old", 1)])]));
    assert_eq!(tags().as_deref(), Some("new"));
    hear(&members, 1, beat("a", vec![consumer("g", vec![wants("t", "newest", 3)])]));
    assert_eq!(tags().as_deref(), Some("newest"));
    hear(&members, 1, beat("a", vec![consumer("g", vec![wants("t", "back", 0)])]));
    assert_eq!(tags().as_deref(), Some("new"), "its owner went back");
    leaves(&members, "b", "g");
    assert_eq!(tags().as_deref(), Some("back"), "its owner left");
    hear(&members, 1, beat("a", vec![consumer("g", vec![wants("u", "*", 5)])]));
    assert_eq!(tags(), None, "nobody is left for it");
}

#[test]
fn a_beat_without_subscriptions_keeps_them() {
    let members = Members::default();
    hear(&members, 1, beat_in("a", &["g"]));
    assert_eq!(hear(&members, 1, short(beat_in("a", &["g"]))), Changed::default());
    assert!(members.subscription(&group("g"), &topic("t")).is_some());
    // On another session too.
    assert_eq!(hear(&members, 2, short(beat_in("a", &["g"]))), Changed::default());
    assert!(members.subscription(&group("g"), &topic("t")).is_some());
}

#[test]
fn a_beat_without_subscriptions_from_a_stranger_asks_for_them() {
    let members = Members::default();
    let changed = hear(&members, 1, short(beat_in("a", &["g"])));
    assert!(told(&changed) == ["g"] && changed.subscriptions_changed);
    assert_eq!(members.client_ids(&group("g")), ["a"], "but it is a member");
    let changed = hear(&members, 1, beat_in("a", &["g"]));
    assert!(told(&changed) == ["g"] && changed.subscriptions_changed);
    assert_eq!(hear(&members, 1, short(beat_in("a", &["g"]))), Changed::default());
}

#[test]
fn subscriptions_outlive_a_lost_connection() {
    let members = Members::default();
    hear(&members, 1, beat_in("a", &["g", "h"]));
    hear(&members, 1, short(beat_in("a", &["g", "h"])));
    members.on_disconnected(SessionId(1));
    assert!(members.subscription(&group("g"), &topic("t")).is_none());
    let changed = hear(&members, 2, short(beat_in("a", &["g", "h"])));
    assert!(told(&changed) == ["g", "h"] && !changed.subscriptions_changed);
    assert!(members.subscription(&group("h"), &topic("t")).is_some());
}

#[test]
fn groups_that_a_beat_names_no_more_are_left() {
    let members = Members::default();
    let mut both = beat_in("a", &["g", "h"]);
    both.producers = vec![group("p"), group("q")];
    hear(&members, 1, both);
    let mut one = beat_in("a", &["h"]);
    one.producers = vec![group("q")];
    assert_eq!(told(&hear(&members, 1, one)), ["g"]);
    assert!(members.consumers(&group("g")).is_empty() && members.producers(&group("p")).is_empty());
    assert_eq!(ids(&members.producers(&group("q"))), ["a"]);
    assert_eq!(members.groups_of_topic(&topic("t")), [group("h")].into());
}

#[test]
fn processes_that_share_an_id_do_not_drive_each_other_out() {
    let members = Members::default();
    hear(&members, 1, beat_in("same", &["g"]));
    hear(&members, 2, beat_in("same", &["h"]));
    for _ in 0..2 {
        assert_eq!(hear(&members, 1, beat_in("same", &["g"])), Changed::default());
        assert_eq!(hear(&members, 2, beat_in("same", &["h"])), Changed::default());
    }
    assert_eq!(told(&members.on_disconnected(SessionId(1))), ["g"]);
    assert_eq!(ids(&members.consumers(&group("h"))), ["same"]);
}

#[test]
fn those_who_read_everything_are_not_told() {
    let members = Members::default();
    hear(&members, 1, beat_in("a", &["g"]));
    hear(&members, 1, beat_in("b", &["g"]));
    let mut broadcast = beat_in("c", &["g"]);
    broadcast.consumers.iter_mut().for_each(|consumer| consumer.model = ConsumeModel::Broadcasting);
    hear(&members, 2, broadcast);
    hear(&members, 3, beat_in("d", &["g"]));
    let told: Vec<_> = members.to_notify(&group("g")).iter().map(|session| session.id).collect();
    assert_eq!(told, [SessionId(1), SessionId(3)], "a session once, and not c's");
}

#[test]
fn producers_are_picked_in_turn() {
    let members = Members::default();
    let pick = || members.pick_producer(&group("p")).map(|member| member.client_id);
    assert_eq!(pick(), None);
    for (id, client) in (1..).zip(["b", "a", "c"]) {
        hear(&members, id, Heartbeat { producers: vec![group("p")], ..beat(client, Vec::new()) });
    }
    let picked: Vec<_> = (0..4).filter_map(|_| pick()).collect();
    assert_eq!(picked, ["a", "b", "c", "a"]);
    members.on_disconnected(SessionId(1));
    assert_eq!(pick().as_deref(), Some("c"), "b is gone");
}

#[test]
fn a_client_is_reached_where_it_was_heard_last() {
    let members = Members::default();
    let found = || members.session_of("a").map(|session| session.id);
    assert_eq!(found(), None);
    members.on_heartbeat(0, &session(1), beat_in("a", &["g"])).expect("room");
    members.on_heartbeat(1, &session(2), beat_in("a", &["h"])).expect("room");
    assert_eq!(found(), Some(SessionId(2)));
    members.on_heartbeat(2, &session(1), beat_in("a", &["g"])).expect("room");
    assert_eq!(found(), Some(SessionId(1)));
}

#[test]
fn too_much_is_refused_and_changes_nothing() {
    let members = Members::default();
    let refused = |beat| members.on_heartbeat(0, &session(1), beat).expect_err("refused");
    let names: Vec<_> = (0..=GROUPS_PER_CLIENT_MAX).map(|n| format!("g{n}")).collect();
    let many = beat_in("a", &names.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(matches!(refused(many), MemberError::TooMany { max: GROUPS_PER_CLIENT_MAX }));
    let topics = (0..=SUBSCRIPTIONS_PER_GROUP_MAX).map(|n| wants(&format!("t{n}"), "*", 1)).collect();
    let many = beat("a", vec![consumer("g", topics)]);
    assert!(matches!(refused(many), MemberError::TooMany { max: SUBSCRIPTIONS_PER_GROUP_MAX }));
    assert!(matches!(
        refused(beat(&"x".repeat(CLIENT_ID_BYTES_MAX + 1), Vec::new())),
        MemberError::Denied(_)
    ));
    assert_eq!(members.count(), 0);
    for id in 0..SESSIONS_PER_CLIENT_MAX as u64 {
        hear(&members, id, beat_in("a", &[&format!("g{id}")]));
    }
    let another = members.on_heartbeat(0, &session(1_000), beat_in("a", &["g"]));
    assert!(matches!(another, Err(MemberError::TooMany { .. })));
}
