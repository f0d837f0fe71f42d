use base::SystemClock;
use model::GroupName;

use super::*;
use crate::limits::EVENTS_PER_WRITE_MAX;

fn events() -> Events {
    Events::new("c", "b", Arc::new(SystemClock))
}

fn rebalanced(group: &str, members: usize) -> Event {
    Event::Rebalanced { group: GroupName::new(group).expect("legal"), members }
}

fn online(id: usize) -> Event {
    let text = id.to_string();
    Event::ClientOnline {
        client_id: text.clone(),
        address: text.clone(),
        protocol: text.clone(),
        language: text,
    }
}

fn offline(id: usize) -> Event {
    Event::ClientOffline { client_id: id.to_string(), address: String::new() }
}

fn kinds(events: &[Arc<CloudEvent>]) -> Vec<String> {
    let name =
        |e: &Arc<CloudEvent>| e.kind.replace(TYPE_PREFIX, "") + " " + e.subject.as_deref().unwrap_or("-");
    events.iter().map(name).collect()
}

#[test]
fn what_repeats_takes_the_place_of_what_waits() {
    let events = events();
    for members in 1..=5 {
        events.emit(&rebalanced("g", members));
        events.emit(&rebalanced("h", members));
    }
    for _ in 0..2 {
        events.emit(&online(1));
        events.emit(&offline(1));
    }
    let taken = events.take(100);
    let clients = ["client.online 1", "client.offline 1", "client.online 1", "client.offline 1"];
    let wanted: Vec<&str> = ["group.rebalanced g", "group.rebalanced h"].into_iter().chain(clients).collect();
    assert_eq!(kinds(&taken), wanted, "what comes and goes is told in its order");
    assert_eq!(taken[0].data, serde_json::json!({ "group": "g", "members": 5, "coalesced": 4 }));
    assert!(taken.windows(2).all(|pair| pair[0].id < pair[1].id));
    assert!(events.take(100).is_empty());
}

#[test]
fn a_storm_is_cut_counted_and_told() {
    let events = events();
    for id in 0..EVENTS_WAITING_MAX + 17 {
        events.emit(&online(id));
    }
    assert_eq!(events.dropped.get(), 17);
    let mut taken = Vec::new();
    while !events.inner.lock().waiting.is_empty() {
        let some = events.take(EVENTS_PER_WRITE_MAX);
        assert!(some.len() <= EVENTS_PER_WRITE_MAX + 1);
        taken.extend(some);
    }
    assert_eq!(taken.len(), EVENTS_WAITING_MAX + 1);
    let last = taken.last().expect("some");
    assert_eq!((last.kind.as_str(), &last.data["count"]), ("io.apogee.events.dropped", &17.into()));
    assert!(events.inner.lock().newest.is_empty(), "nothing is held of what was written");
}

#[test]
fn events_are_asked_for_by_type_and_place() {
    let events = events();
    events.emit(&rebalanced("g", 1));
    events.emit(&online(1));
    events.emit(&offline(1));
    let all = events.take(100);
    let ask = |types: &str, after: Option<&str>, max| {
        let (types, after) = (Some(types.to_owned()), after.map(str::to_owned));
        let page = events.page(&EventListRequest { types, after, max, wait_ms: None });
        (page.events.iter().map(|e| e.kind.replace(TYPE_PREFIX, "")).collect::<Vec<_>>(), page.more)
    };
    assert_eq!(ask("", None, None).0, ["group.rebalanced", "client.online", "client.offline"]);
    assert_eq!(ask("", None, Some(1)).0, ["client.offline"], "the newest");
    assert_eq!(ask("client", None, None).0, ["client.online", "client.offline"]);
    assert_eq!(ask("io.apogee.client.online, group", None, None).0, ["group.rebalanced", "client.online"]);
    assert_eq!(ask("cli", None, None).0, Vec::<String>::new());
    assert_eq!(ask("", Some(&all[0].id), Some(1)), (vec!["client.online".to_owned()], true));
    assert_eq!(ask("", Some(&all[2].id), None), (Vec::new(), false));
}

#[test]
fn a_clock_that_goes_back_does_not_take_ids_along() {
    let events = events();
    let stamp = Stamp { start_ms: i64::MAX / 2_000_000, number: 3, now_ms: 5, coalesced: 0 };
    let earlier = cloud_event("s", &online(1).told(), stamp);
    events.remember(vec![earlier.clone()]);
    events.emit(&online(2));
    let taken = events.take(1);
    assert!(taken[0].id > earlier.id, "{} {}", taken[0].id, earlier.id);
    assert_eq!(earlier.time, "1970-01-01T00:00:00.005Z");
}

#[tokio::test]
async fn who_waits_is_woken_by_what_it_wants() {
    let events = Arc::new(events());
    let request = EventListRequest {
        types: Some("client".to_owned()),
        wait_ms: Some(20_000),
        ..EventListRequest::default()
    };
    let asked = async { events.list(&request).await.expect("a page").events };
    let told = async {
        events.emit(&rebalanced("g", 1));
        events.take(10);
        tokio::task::yield_now().await;
        events.emit(&online(1));
        events.take(10);
    };
    let (page, ()) = tokio::join!(asked, told);
    assert_eq!(page.len(), 1);
    let short = EventListRequest { wait_ms: Some(1), types: Some("user".to_owned()), ..request };
    assert!(events.list(&short).await.expect("a page").events.is_empty());
}

#[test]
fn the_page_is_not_stale() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/events.md");
    if std::env::var_os("UPDATE_PAGES").is_some() {
        std::fs::write(path, page()).expect("it is writable");
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(committed == page(), "docs/events.md is stale: run `UPDATE_PAGES=1 cargo test -p broker page`");
}
