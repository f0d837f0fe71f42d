//! Sends: what is stored, what is refused, and with which code.

use model::verbs::PublishError;
use model::{Kind, Lsn, properties};

use super::kit::*;
use crate::proto::*;

async fn send(client: &mut Client, messages: Vec<Message>) -> SendMessageResponse {
    client
        .send_message(from_client("a", SendMessageRequest { messages }))
        .await
        .expect("answered")
        .into_inner()
}

fn code(response: &SendMessageResponse) -> i32 {
    response.status.as_ref().expect("set").code
}

fn system(message: &mut Message) -> &mut SystemProperties {
    message.system_properties.get_or_insert_default()
}

#[tokio::test]
async fn a_message_is_stored() {
    let server = Running::start().await;
    let mut client = server.client().await;
    let response = send(&mut client, vec![message("t", "id-1")]).await;
    assert_eq!(code(&response), 20000);
    let entry = &response.entries[0];
    assert_eq!((entry.message_id.as_str(), entry.transaction_id.as_str(), entry.offset), ("id-1", "", 0));
    let published = server.engine.published.lock();
    assert_eq!(published[0].topic, topic_name("t"));
    assert!(published[0].check_kind);
    assert_eq!(published[0].messages[0].body, "hello");
    assert!(published[0].messages[0].born_host.ip().is_loopback());
}

#[tokio::test]
async fn half_and_timed_messages_answer_their_handles() {
    let server = Running::start().await;
    let mut client = server.client().await;
    let mut half = message("t", "id-1");
    system(&mut half).set_message_type(MessageType::Transaction);
    let response = send(&mut client, vec![half]).await;
    let expected = model::record::offset_id(super::fake::store_host(), Lsn(1_000));
    assert_eq!(response.entries[0].transaction_id, expected);
    assert_eq!(server.engine.published.lock()[0].producer_group, Some(group_name("t")));

    let mut timed = message("t", "id-2");
    system(&mut timed).delivery_timestamp = Some(prost_types::Timestamp { seconds: 1_060, nanos: 0 });
    let response = send(&mut client, vec![timed]).await;
    assert_eq!(response.entries[0].recall_handle, "1060000");
}

#[tokio::test]
async fn a_batch_keeps_the_order_of_each_group() {
    let server = Running::start().await;
    let mut client = server.client().await;
    let in_group = |id: &str, group: &str| {
        let mut message = message("t", id);
        system(&mut message).message_group = Some(group.to_owned());
        message
    };
    let batch = vec![
        in_group("1", "a"),
        message("t", "2"),
        in_group("3", "b"),
        in_group("4", "a"),
        message("t", "5"),
    ];
    let response = send(&mut client, batch).await;
    assert_eq!(code(&response), 20000);
    let ids: Vec<&str> = response.entries.iter().map(|entry| entry.message_id.as_str()).collect();
    assert_eq!(ids, ["1", "2", "3", "4", "5"], "entries stand as the messages did");
    let published = server.engine.published.lock();
    let mut parts: Vec<Vec<&str>> = published
        .iter()
        .map(|publish| {
            publish.messages.iter().filter_map(|m| m.properties.get(properties::UNIQUE_ID)).collect()
        })
        .collect();
    parts.sort();
    assert_eq!(parts, [vec!["1", "4"], vec!["2", "5"], vec!["3"]]);
}

#[tokio::test]
async fn the_timed_messages_of_a_batch_go_together() {
    let server = Running::start().await;
    let mut client = server.client().await;
    let timed = |id: &str| {
        let mut message = message("t", id);
        system(&mut message).delivery_timestamp = Some(prost_types::Timestamp { seconds: 1_060, nanos: 0 });
        message
    };
    let mut recurring = timed("4");
    recurring.user_properties.insert(properties::CRON.to_owned(), "@daily".to_owned());
    let batch = vec![timed("1"), message("t", "2"), timed("3"), recurring, message("t", "5")];
    let response = send(&mut client, batch).await;
    assert_eq!(code(&response), 20000);
    let handles: Vec<bool> = response.entries.iter().map(|entry| !entry.recall_handle.is_empty()).collect();
    assert_eq!(handles, [true, false, true, true, false], "entries stand as the messages did");
    let published = server.engine.published.lock();
    let mut sizes: Vec<(usize, bool)> = published
        .iter()
        .map(|publish| {
            let told = publish.messages.first().map(|message| &message.properties);
            (
                publish.messages.len(),
                told.is_some_and(|told| told.get(properties::TIMER_DELIVER_MS).is_some()),
            )
        })
        .collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [(1, true), (2, false), (2, true)]);
}

#[tokio::test]
async fn a_failure_fails_its_own_entries() {
    let server = Running::start().await;
    let mut client = server.client().await;
    server.engine.publish_errors.lock().push_back(PublishError::Throttled("slow down".to_owned()));
    let mut other = message("t", "2");
    system(&mut other).message_group = Some("g".to_owned());
    let response = send(&mut client, vec![message("t", "1"), other]).await;
    assert_eq!(code(&response), 30000);
    let codes: Vec<i32> =
        response.entries.iter().map(|entry| entry.status.as_ref().expect("set").code).collect();
    assert_eq!(codes, [42900, 20000]);
}

#[tokio::test]
async fn errors_of_the_engine_have_their_codes() {
    let server = Running::start().await;
    let mut client = server.client().await;
    let kind =
        PublishError::KindMismatch { topic: topic_name("t"), got: "NORMAL", expected: "FIFO".to_owned() };
    let cases = [
        (PublishError::TopicNotFound(topic_name("t")), 40402),
        (kind, 40014),
        (PublishError::DeliveryTime(String::new()), 40012),
        (PublishError::DiskFull { used_percent: 90 }, 50001),
    ];
    for (error, expected) in cases {
        assert_ne!(model::Kinded::kind(&error), Kind::Internal);
        server.engine.publish_errors.lock().push_back(error);
        let response = send(&mut client, vec![message("t", "1")]).await;
        assert_eq!(code(&response), expected);
    }
}

#[tokio::test]
async fn malformed_sends_are_refused_before_anything_is_stored() {
    let server = Running::start().await;
    let mut client = server.client().await;
    let changed = |change: &dyn Fn(&mut Message)| {
        let mut message = message("t", "id");
        change(&mut message);
        vec![message]
    };
    let cases: Vec<(Vec<Message>, i32)> = vec![
        (Vec::new(), 40016),
        (vec![message("t", "1"), message("u", "2")], 40016),
        (vec![Message::default()], 40002),
        (changed(&|m| m.topic = resource("TBW102")), 40002),
        (changed(&|m| m.system_properties = None), 40009),
        (changed(&|m| m.body.clear()), 41302),
        (changed(&|m| m.body = vec![0; 4 * 1024 * 1024 + 1].into()), 41301),
        (changed(&|m| system(m).tag = Some("a|b".to_owned())), 40004),
        (changed(&|m| system(m).keys = vec![" ".to_owned()]), 40005),
        (changed(&|m| system(m).message_group = Some("g".repeat(64))), 40006),
        (changed(&|m| drop(m.user_properties.insert("TAGS".to_owned(), "x".to_owned()))), 40007),
        (changed(&|m| drop(m.user_properties.insert("k".to_owned(), "x".repeat(20_000)))), 43101),
        (
            changed(&|m| {
                system(m).body_digest =
                    Some(Digest { r#type: DigestType::Md5.into(), checksum: "00".to_owned() });
            }),
            40016,
        ),
    ];
    for (messages, expected) in cases {
        let response = send(&mut client, messages).await;
        assert_eq!(code(&response), expected, "{:?}", response.status);
    }
    assert!(server.engine.published.lock().is_empty());
}

#[tokio::test]
async fn a_timed_message_can_be_recalled() {
    let server = Running::start().await;
    let mut client = server.client().await;
    let mut recall = async |handle: &str| {
        let request = RecallMessageRequest { topic: resource("t"), recall_handle: handle.to_owned() };
        let response = client.recall_message(from_client("a", request)).await.expect("answered").into_inner();
        (response.status.expect("set").code, response.message_id)
    };
    assert_eq!(recall("good").await, (20000, "recalled".to_owned()));
    assert_eq!(recall("bad").await, (50001, String::new()));
}
