//! What people are shown of stored messages and of long lists.

use model::admin::{
    self, Empty, GroupOrder, GroupPage, GroupPageRequest, GroupPreview, GroupResetRequest, MessageBrowse,
    MessageBrowseRequest, MessageGet, MessageGetRequest, MessagePage, ResetTo, Role, SessionGet, TopicOrder,
    TopicPage, TopicPageRequest,
};
use model::verbs::Publish;
use model::{GroupConfig, Kind, Kinded, TopicConfig, properties};

use crate::bench::{Bench, group, message, publish_request, receive_request, topic};

fn browse_request() -> MessageBrowseRequest {
    MessageBrowseRequest {
        topic: topic("t"),
        queue: None,
        positions: Vec::new(),
        time_ms: None,
        backwards: false,
        key: None,
        message_id: None,
        tag: None,
        limit: None,
        body_bytes_max: None,
    }
}

async fn browse(bench: &Bench, request: MessageBrowseRequest) -> MessagePage {
    admin::run::<MessageBrowse>(&*bench.broker, &bench.session, request).await.expect("shown")
}

fn bodies(page: &MessagePage) -> Vec<&str> {
    page.messages.iter().filter_map(|message| message.body.as_deref()).collect()
}

/// Seven messages over three queues; every other has the tag `odd`.
async fn seven() -> Bench {
    let bench = Bench::new();
    bench.put_topic(TopicConfig::new(topic("t"), 3)).await.expect("made");
    for i in 0..7 {
        let tag = if i % 2 == 1 { "odd" } else { "even" };
        let key = format!("k{i}");
        let id = format!("id-{i}");
        let pairs = [(properties::TAGS, tag), (properties::KEYS, &key), (properties::UNIQUE_ID, &id)];
        bench.publish(publish_request(vec![message(format!("m{i}"), &pairs)])).await.expect("stored");
    }
    bench
}

#[tokio::test]
async fn pages_together_show_every_message_once_in_both_directions() {
    let bench = seven().await;
    for backwards in [false, true] {
        let (mut positions, mut seen) = (Vec::new(), Vec::new());
        loop {
            let request = MessageBrowseRequest { positions, backwards, limit: Some(2), ..browse_request() };
            let page = browse(&bench, request).await;
            seen.extend(bodies(&page).into_iter().map(str::to_owned));
            positions = page.next;
            if !page.more {
                break;
            }
            assert!(seen.len() < 8, "it ends");
        }
        seen.sort();
        assert_eq!(seen, ["m0", "m1", "m2", "m3", "m4", "m5", "m6"], "backwards: {backwards}");
    }
}

#[tokio::test]
async fn messages_are_found_by_tag_key_id_queue_and_time() {
    let bench = seven().await;
    let tagged = browse(&bench, MessageBrowseRequest { tag: Some("odd".into()), ..browse_request() }).await;
    assert_eq!(tagged.messages.len(), 3);
    assert!(tagged.messages.iter().all(|message| message.tag.as_deref() == Some("odd")));
    let keyed = browse(&bench, MessageBrowseRequest { key: Some("k4".into()), ..browse_request() }).await;
    assert_eq!(bodies(&keyed), ["m4"]);
    let found = MessageBrowseRequest { message_id: Some("id-2".into()), ..browse_request() };
    assert_eq!(bodies(&browse(&bench, found).await), ["m2"]);
    let none = MessageBrowseRequest { key: Some("nothing".into()), ..browse_request() };
    assert!(browse(&bench, none).await.messages.is_empty());
    let of_queue = browse(&bench, MessageBrowseRequest { queue: Some(1), ..browse_request() }).await;
    assert!(of_queue.messages.iter().all(|message| message.queue == 1) && !of_queue.messages.is_empty());
    let later = MessageBrowseRequest { time_ms: Some(i64::MAX / 2), ..browse_request() };
    assert!(browse(&bench, later).await.messages.is_empty());
    let before = MessageBrowseRequest { time_ms: Some(0), backwards: true, ..browse_request() };
    assert!(browse(&bench, before).await.messages.is_empty());
}

#[tokio::test]
async fn one_message_is_shown_whole_and_a_missing_one_is_told() {
    let bench = seven().await;
    let first = browse(&bench, MessageBrowseRequest { body_bytes_max: Some(1), ..browse_request() }).await;
    let first = first.messages.first().expect("there are seven");
    assert_eq!((first.body.as_deref(), first.truncated, first.body_bytes), (Some("m"), true, 2));
    let get =
        |offset| MessageGetRequest { topic: topic("t"), queue: first.queue, offset, body_bytes_max: None };
    let shown = admin::run::<MessageGet>(&*bench.broker, &bench.session, get(first.offset)).await;
    let shown = shown.expect("it is there");
    assert_eq!(
        (shown.body_bytes, shown.truncated, shown.message_id.as_str()),
        (2, false, first.message_id.as_str())
    );
    let missing = admin::run::<MessageGet>(&*bench.broker, &bench.session, get(99)).await;
    assert_eq!(missing.expect_err("there is none").kind(), Kind::NotFound);
    let outside = MessageBrowseRequest { queue: Some(3), ..browse_request() };
    let refused = admin::run::<MessageBrowse>(&*bench.broker, &bench.session, outside).await;
    assert_eq!(refused.expect_err("three queues").kind(), Kind::Invalid);
}

#[tokio::test]
async fn a_preview_tells_what_a_reset_does_and_does_nothing() {
    let bench = Bench::new();
    bench.put_topic(TopicConfig::new(topic("t"), 1)).await.expect("made");
    bench.put_group(GroupConfig::new(group("g"))).await.expect("made");
    let messages = (0..5).map(|i| message(format!("m{i}"), &[])).collect();
    bench.publish(publish_request(messages)).await.expect("stored");
    let received = bench.receive(receive_request()).await;
    bench.ack(&received).await;
    let settled = received.len() as u64;
    let request =
        |to| GroupResetRequest { group: group("g"), topic: topic("t"), queue: None, to, force: true };
    for _ in 0..2 {
        let look = |to| admin::run::<GroupPreview>(&*bench.broker, &bench.session, request(to));
        let back = look(ResetTo::First).await.expect("looked");
        assert_eq!(
            (back[0].from, back[0].to, back[0].again, back[0].skipped),
            (Some(settled), 0, settled, 0)
        );
        let forward = look(ResetTo::Last).await.expect("looked");
        assert_eq!((forward[0].to, forward[0].again, forward[0].skipped), (5, 0, 5 - settled));
    }
}

#[tokio::test]
async fn lists_are_searched_sorted_and_paged() {
    let bench = Bench::new();
    for name in ["alpha", "beta", "Gamma"] {
        bench.put_topic(TopicConfig::new(topic(name), 2)).await.expect("made");
        bench.put_group(GroupConfig::new(group(name))).await.expect("made");
    }
    let to_beta = Publish { topic: topic("beta"), ..publish_request(vec![message("x", &[])]) };
    bench.publish(to_beta).await.expect("stored");
    let topics = |request| admin::run::<TopicPage>(&*bench.broker, &bench.session, request);
    let names =
        |page: &admin::TopicPageAnswer| page.rows.iter().map(|row| row.name.to_string()).collect::<Vec<_>>();
    let found = TopicPageRequest { search: Some("GAMMA".into()), ..TopicPageRequest::default() };
    assert_eq!(names(&topics(found).await.expect("listed")), ["Gamma"]);
    let part = TopicPageRequest {
        search: Some("a".into()),
        offset: 1,
        limit: Some(1),
        ..TopicPageRequest::default()
    };
    let page = topics(part).await.expect("listed");
    assert_eq!((page.total, names(&page)), (3, vec!["alpha".to_owned()]));
    for sort in [TopicOrder::Messages, TopicOrder::Sent, TopicOrder::LastStored] {
        let first = topics(TopicPageRequest { sort, ..TopicPageRequest::default() }).await.expect("listed");
        assert_eq!(names(&first).first().map(String::as_str), Some("beta"), "{sort:?}");
        assert_eq!((first.rows[0].messages, first.rows[0].sent_messages_day), (1, 1));
    }
    let groups = GroupPageRequest {
        sort: GroupOrder::Lag,
        search: Some("beta".into()),
        exact: true,
        ..Default::default()
    };
    let groups = admin::run::<GroupPage>(&*bench.broker, &bench.session, groups).await.expect("listed");
    assert_eq!((groups.total, groups.rows[0].lag, groups.rows[0].consume_enabled), (1, 0, true));
}

#[tokio::test]
async fn who_asks_without_access_control_may_do_everything() {
    let bench = Bench::new();
    let told = admin::run::<SessionGet>(&*bench.broker, &bench.session, Empty {}).await.expect("told");
    assert_eq!((told.user, told.role), (None, Role::Admin));
}
