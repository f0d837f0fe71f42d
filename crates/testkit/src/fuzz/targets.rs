//! Targets in `model`: what is decoded from clients and from the log.

use std::net::SocketAddr;

use bytes::Bytes;
use model::message::NewMessage;
use model::record::{self, Placement, RecordError};
use model::{Filter, GroupName, Lsn, Offset, Properties, QueueId, Receipt, StoredMessage, TopicName};

use super::Target;
use crate::trace::hash_bytes;

/// All of them.
pub const ALL: &[Target] = &[
    Target { name: "record", seeds: record_seeds, run: run_record, mend: mend_record, ..Target::EMPTY },
    Target { name: "properties", seeds: properties_seeds, run: run_properties, ..Target::EMPTY },
    Target { name: "receipt", seeds: receipt_seeds, run: run_receipt, ..Target::EMPTY },
    Target { name: "names", seeds: names_seeds, run: run_names, ..Target::EMPTY },
];

fn message(body: &'static [u8], properties: &str, host: &str) -> NewMessage {
    NewMessage {
        body: Bytes::from_static(body),
        properties: Properties::from_encoded(properties.to_owned()),
        flag: 3,
        system_flags: 0,
        born_ms: 1_700_000_000_000,
        born_host: host.parse().unwrap_or_else(|_| SocketAddr::from(([127, 0, 0, 1], 1))),
        reconsume_times: 1,
    }
}

fn record_seeds() -> Vec<Vec<u8>> {
    let cases = [
        (message(b"body", "KEYS\u{1}a b\u{2}TAGS\u{1}t\u{2}", "10.0.0.1:99"), "topic"),
        (message(b"", "", "[2001:db8::1]:99"), "%RETRY%group"),
        (
            message(&[7; 300], "k\u{1}v", "10.0.0.1:0"),
            concat!(
                "a_topic_whose_name_is_longer_than_the_first_layout_",
                "can_say_because_it_has_one_byte_for_the_length_and_this_goes_on_and_on_until_it_is_long"
            ),
        ),
    ];
    let place = |topic| Placement {
        topic,
        queue: QueueId(3),
        offset: Offset(77),
        lsn: Lsn(4096),
        stored_ms: 1_700_000_000_001,
        store_host: SocketAddr::from(([127, 0, 0, 1], 10_911)),
        prepared: Lsn(0),
    };
    cases
        .iter()
        .map(|(message, topic)| {
            let mut out = Vec::new();
            record::encode(&mut out, message, &place(topic));
            out
        })
        .collect()
}

/// The record's own length is its first field.
#[expect(clippy::ptr_arg, reason = "the signature of `Target::mend`")]
fn mend_record(input: &mut Vec<u8>) {
    let len = u32::try_from(input.len()).unwrap_or(u32::MAX).to_be_bytes();
    if let Some(place) = input.get_mut(..4) {
        place.copy_from_slice(&len);
    }
}

fn run_record(input: &[u8]) -> u64 {
    match StoredMessage::parse(Bytes::copy_from_slice(input)) {
        Ok(message) => 100 + walk(&message),
        Err(RecordError::Short { field, .. }) => hash_bytes(1, field.as_bytes()),
        Err(RecordError::Range(field) | RecordError::Text(field)) => hash_bytes(2, field.as_bytes()),
        Err(RecordError::Magic(_)) => 1,
        Err(RecordError::Length { .. }) => 2,
    }
}

/// Everything that can be asked of a record that parsed.
fn walk(message: &StoredMessage) -> u64 {
    let hosts = [message.born_host(), message.store_host()];
    let _ = (message.queue(), message.offset(), message.lsn(), message.flag(), message.prepared());
    let _ = (message.born_ms(), message.stored_ms(), message.body_crc());
    assert_eq!(message.with_reconsume_times(9).reconsume_times(), 9);
    let again = message.to_new();
    assert_eq!(again.body, message.body());
    assert_eq!(again.properties.as_encoded(), message.properties());
    assert_eq!(message.placement().topic, message.topic());
    let pairs = again.properties.iter().count().min(8) as u64;
    for (key, _) in again.properties.iter().take(8) {
        assert!(message.property(key).is_some());
    }
    let v6 = hosts.iter().filter(|h| h.is_ipv6()).count() as u64;
    pairs * 4 + v6
}

fn properties_seeds() -> Vec<Vec<u8>> {
    ["", "KEYS\u{1}a\u{2}", "a\u{1}1\u{2}b\u{1}2\u{2}a\u{1}3", "\u{1}\u{2}\u{2}\u{1}"]
        .map(|s| s.as_bytes().to_vec())
        .into()
}

fn run_properties(input: &[u8]) -> u64 {
    let mut properties = Properties::from_encoded(String::from_utf8_lossy(input).into_owned());
    let pairs: Vec<(String, String)> = properties.iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
    for (key, _) in pairs.iter().take(8) {
        let first = pairs.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str());
        assert_eq!(properties.get(key), first, "the first of equal keys counts");
    }
    properties.set("set", "value");
    assert_eq!(properties.get("set"), Some("value"));
    properties.push("TAGS", "t");
    if let Some((key, _)) = pairs.first() {
        properties.remove(key);
        assert_eq!(properties.get(key), None);
    }
    pairs.len().min(16) as u64
}

fn receipt_seeds() -> Vec<Vec<u8>> {
    ["1 77 5 30000 3 18446744073709551615 %RETRY%g_t g", "1 0 0 0 0 0 t g", "1 -1 1 1 1 1 t g"]
        .map(|s| s.as_bytes().to_vec())
        .into()
}

fn run_receipt(input: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(input);
    match Receipt::decode(&text) {
        Ok(receipt) => {
            assert_eq!(Receipt::decode(&receipt.encode()), Ok(receipt));
            1
        }
        Err(_) => 2 + text.split(' ').count().min(10) as u64,
    }
}

fn names_seeds() -> Vec<Vec<u8>> {
    ["topic", "%DLQ%group", "TAG a || b", " ", "%RETRY%"].map(|s| s.as_bytes().to_vec()).into()
}

fn run_names(input: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(input);
    let topic = TopicName::new(&text);
    let group = GroupName::new(&text);
    if let Ok(topic) = &topic {
        let _ = (topic.is_retry(), topic.is_dead_letters(), topic.is_system(), topic.derived_from());
    }
    let _ = model::filter::tag_hash(&text);
    let tags = Filter::tag(&text).tags().map_or(0, |tags| tags.len().min(4)) as u64;
    u64::from(topic.is_ok()) | u64::from(group.is_ok()) << 1 | tags << 2
}
