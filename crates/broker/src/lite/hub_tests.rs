//! Who has what, and whether news is lost.

use super::*;

const LIMITS: Limits = Limits { client: 4, node: 6 };

fn caller(client_id: &str, group: &str) -> Caller {
    Caller {
        client_id: client_id.to_owned(),
        group: GroupName::new(group).expect("legal"),
        parent: TopicName::new("parent").expect("legal"),
        parent_id: 1,
        wildcard: false,
        events_max: 2,
        session: Session::internal(),
    }
}

fn stream(name: &str) -> StreamId {
    streams::of_lite(1, name)
}

fn wishes<'a>(names: &[&'a str]) -> Vec<Wish<'a>> {
    names.iter().map(|name| Wish { stream: stream(name), name, exists: false }).collect()
}

fn add(hub: &LiteHub, caller: &Caller, names: &[&str]) -> Result<usize, Full> {
    hub.add(caller, &wishes(names), Sharing::Shared, LIMITS, 0).map(|synced| synced.added.len())
}

fn take(hub: &Arc<LiteHub>, caller: &Caller) -> Vec<StreamId> {
    let mut taken = hub.take(caller, 8);
    taken.streams.drain(..).collect()
}

fn touch(hub: &LiteHub, names: &[&str]) {
    let touched: Vec<_> = names.iter().map(|name| (stream(name), Touch::Cursor)).collect();
    hub.on_committed(&touched);
}

#[test]
fn news_reach_those_who_want_them() {
    let hub = Arc::new(LiteHub::default());
    let (a, b) = (caller("a", "g"), caller("b", "h"));
    assert_eq!(add(&hub, &a, &["x", "y"]), Ok(2));
    assert_eq!(add(&hub, &b, &["y"]), Ok(1));
    touch(&hub, &["x", "y", "z"]);
    assert_eq!(take(&hub, &a), [stream("x"), stream("y")]);
    assert_eq!(take(&hub, &b), [stream("y")]);
    assert!(!hub.has_news(&a));
}

#[test]
fn a_dropped_call_gives_back_what_it_did_not_look_at() {
    let hub = Arc::new(LiteHub::default());
    let a = caller("a", "g");
    assert_eq!(add(&hub, &a, &["x", "y"]), Ok(2));
    touch(&hub, &["x", "y"]);
    let mut taken = hub.take(&a, 8);
    assert_eq!(taken.streams.pop_front(), Some(stream("x")));
    drop(taken);
    assert_eq!(take(&hub, &a), [stream("y")]);
}

#[test]
fn too_much_news_make_the_client_look_at_all() {
    let hub = Arc::new(LiteHub::default());
    let a = caller("a", "g");
    assert_eq!(add(&hub, &a, &["w", "x", "y", "z"]), Ok(4));
    touch(&hub, &["w", "x", "y"]);
    assert_eq!(hub.overflowed.get(), 1);
    let mut seen: BTreeSet<StreamId> = take(&hub, &a).into_iter().collect();
    seen.extend(take(&hub, &a));
    assert_eq!(seen, ["w", "x", "y", "z"].map(stream).into());
    assert!(!hub.has_news(&a));
}

#[test]
fn limits_refuse_without_changing_anything() {
    let hub = Arc::new(LiteHub::default());
    let (a, b) = (caller("a", "g"), caller("b", "g"));
    assert_eq!(add(&hub, &a, &["1", "2", "3", "4", "5"]), Err(Full::Client { max: 4 }));
    assert_eq!(hub.counts().subscriptions, 0);
    assert_eq!(add(&hub, &a, &["1", "2", "3", "4"]), Ok(4));
    assert_eq!(add(&hub, &a, &["1", "2"]), Ok(0), "what is there takes no room");
    assert_eq!(add(&hub, &b, &["1", "2", "3"]), Err(Full::Node { max: 6 }));
    assert_eq!(add(&hub, &b, &["1", "2"]), Ok(2));
    hub.leave("a", None);
    assert_eq!(hub.counts().subscriptions, 2);
}

#[test]
fn a_complete_list_replaces_what_was_wanted() {
    let hub = Arc::new(LiteHub::default());
    let a = caller("a", "g");
    assert_eq!(add(&hub, &a, &["x", "y"]), Ok(2));
    let set = |names: &[&str], version| {
        hub.set(&a, &wishes(names), Sharing::Shared, LIMITS, (version, 0)).expect("within limits")
    };
    let synced = set(&["y", "z"], 5);
    assert_eq!((synced.added, synced.removed), (vec![stream("z")], vec![stream("x")]));
    let old = set(&["x"], 4);
    assert_eq!((old.added.len(), old.removed.len()), (0, 0), "what is old changes nothing");
    assert_eq!(hub.counts().subscriptions, 2);
}

#[test]
fn the_newest_exclusive_client_takes_over() {
    let hub = Arc::new(LiteHub::default());
    let (a, b, other) = (caller("a", "g"), caller("b", "g"), caller("a", "h"));
    let exclusive = |caller: &Caller, sharing| {
        hub.add(caller, &wishes(&["x"]), sharing, LIMITS, 0).expect("within limits")
    };
    exclusive(&other, Sharing::Newest);
    assert!(exclusive(&a, Sharing::Newest).taken.is_empty(), "another group's has nothing to do with it");
    let synced = exclusive(&b, Sharing::Newest);
    assert!(matches!(&synced.taken[..], [(_, Notice::LiteTaken { client_id, lite_topic, .. })]
        if client_id == "a" && lite_topic == "x"));
    // The loser has not heard of it yet and repeats its list.
    let again = exclusive(&a, Sharing::Owner);
    assert!(again.added.is_empty() && again.taken.len() == 1);
    let groups: Vec<_> =
        hub.subscribers(1, stream("x")).into_iter().map(|s| (s.group, s.client_id)).collect();
    assert_eq!(groups, [(b.group, "b".to_owned()), (other.group, "a".to_owned())]);
}

#[test]
fn silent_clients_leave() {
    let hub = Arc::new(LiteHub::default());
    let (a, b) = (caller("a", "g"), caller("b", "g"));
    assert_eq!(add(&hub, &a, &["x"]), Ok(1));
    let synced = hub.add(&b, &wishes(&["x"]), Sharing::Shared, LIMITS, 100).expect("within limits");
    assert_eq!(synced.added.len(), 1);
    assert_eq!(hub.expire(50), 1);
    assert_eq!(hub.counts().clients, 1);
    assert_eq!(hub.subscribers(1, stream("x")).len(), 1);
}

#[test]
fn a_wildcard_client_is_told_of_everything_and_looks_from_the_start() {
    let hub = Arc::new(LiteHub::default());
    let all = Caller { wildcard: true, ..caller("a", "g") };
    hub.enter(&all, 0);
    let mut first = hub.take(&all, 8);
    assert_eq!(first.look_on_from.take(), Some(StreamId(0)));
    drop(first);
    touch(&hub, &["x"]);
    assert_eq!(take(&hub, &all), [stream("x")]);
}

#[test]
fn names_are_kept_until_the_lite_topic_exists() {
    let hub = Arc::new(LiteHub::default());
    let a = caller("a", "g");
    assert_eq!(add(&hub, &a, &["x"]), Ok(1));
    let name = |hub: &LiteHub| hub.describe(&a.group, "a", 9).expect("known").some[0].1.clone();
    assert_eq!(name(&hub).as_deref(), Some("x"));
    touch(&hub, &["x"]);
    assert_eq!(name(&hub), None);
}
