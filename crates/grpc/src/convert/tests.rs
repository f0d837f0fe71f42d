//! A message of the wire survives being stored, and stored ones of the 4.x protocol read well.

use std::collections::HashMap;
use std::net::SocketAddr;

use bytes::Bytes;
use model::message::flags;
use model::record::{self, Placement};
use model::{Filter, Lsn, NewMessage, Offset, Properties, QueueId, StoredMessage};
use proptest::prelude::*;
use prost_types::{Duration, Timestamp};

use super::inbound::{self, Origin};
use super::inflate::Bodies;
use super::names::{endpoints, filter, parse_endpoint, resource};
use super::{outbound, time};
use crate::proto::{
    AddressScheme, Code, Digest, DigestType, Encoding, FilterExpression, FilterType, Message, MessageType,
    Resource, SystemProperties,
};

fn peer() -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 9], 4321))
}

fn origin() -> Origin {
    Origin { peer: peer(), now_ms: 1_700_000_000_123 }
}

fn store(message: &NewMessage, topic: &str) -> StoredMessage {
    let place = Placement {
        topic,
        queue: QueueId(3),
        offset: Offset(42),
        lsn: Lsn(4096),
        stored_ms: 1_700_000_000_500,
        store_host: SocketAddr::from(([127, 0, 0, 1], 10911)),
        prepared: Lsn::ZERO,
    };
    let mut bytes = Vec::new();
    record::encode(&mut bytes, message, &place);
    StoredMessage::parse(bytes.into()).expect("just encoded")
}

fn sent(system: SystemProperties, user: HashMap<String, String>, body: &[u8]) -> Message {
    Message {
        topic: Some(Resource { resource_namespace: String::new(), name: "orders".to_owned() }),
        user_properties: user,
        system_properties: Some(system),
        body: Bytes::copy_from_slice(body),
    }
}

fn there_and_back(message: Message) -> Message {
    let new = inbound::message(message, origin()).expect("well formed");
    outbound::message(&store(&new, "orders"), "orders", Bodies::AsStored)
}

#[test]
fn what_a_producer_sends_is_stored_as_4x_clients_read_it() {
    let system = SystemProperties {
        tag: Some("a".to_owned()),
        keys: vec!["k1".to_owned(), "k2".to_owned()],
        message_id: "01FF".to_owned(),
        message_type: MessageType::Fifo.into(),
        message_group: Some("g".to_owned()),
        trace_context: Some("t".to_owned()),
        priority: Some(3),
        born_host: "host-1".to_owned(),
        delivery_timestamp: Some(Timestamp { seconds: 1_700_000_060, nanos: 5_000_000 }),
        ..SystemProperties::default()
    };
    let user = HashMap::from([("colour".to_owned(), "red".to_owned())]);
    let new = inbound::message(sent(system, user, b"x"), origin()).expect("well formed");
    let expected = "UNIQ_KEY\u{1}01FF\u{2}TAGS\u{1}a\u{2}KEYS\u{1}k1 k2\u{2}__SHARDINGKEY\u{1}g\u{2}\
        TRACE_CONTEXT\u{1}t\u{2}_SYS_MSG_PRIORITY_\u{1}3\u{2}TIMER_DELIVER_MS\u{1}1700000060005\u{2}\
        __BORNHOST\u{1}host-1\u{2}colour\u{1}red\u{2}";
    assert_eq!(new.properties.as_encoded(), expected);
    assert_eq!((new.system_flags, new.born_ms, new.born_host), (0, 1_700_000_000_123, peer()));
}

#[test]
fn the_trace_of_a_4x_message_stands_where_5x_clients_look() {
    let shown = |pairs: &[(&str, &str)]| {
        let mut new = inbound::message(sent(SystemProperties::default(), HashMap::new(), b"x"), origin())
            .expect("well formed");
        pairs.iter().for_each(|(key, value)| new.properties.push(key, value));
        let message = outbound::message(&store(&new, "orders"), "orders", Bodies::AsStored);
        let user = message.user_properties.get("traceparent").cloned();
        (message.system_properties.expect("set").trace_context, user)
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(shown(&[]), (None, None));
    assert_eq!(shown(&[("traceparent", "p")]), (some("p"), some("p")), "what a user set stays there too");
    assert_eq!(shown(&[("traceparent", "p"), ("TRACE_CONTEXT", "t")]), (some("t"), some("p")));
    assert_eq!(shown(&[("TRACE_CONTEXT", "t")]), (some("t"), None));
}

#[test]
fn a_half_message_says_who_is_asked_for_its_outcome() {
    let system = SystemProperties {
        message_id: "1".to_owned(),
        message_type: MessageType::Transaction.into(),
        orphaned_transaction_recovery_duration: Some(Duration { seconds: 30, nanos: 0 }),
        ..SystemProperties::default()
    };
    let new = inbound::message(sent(system, HashMap::new(), b"x"), origin()).expect("well formed");
    let expected = "UNIQ_KEY\u{1}1\u{2}TRAN_MSG\u{1}true\u{2}PGROUP\u{1}orders\u{2}CHECK_IMMUNITY_TIME_IN_SECONDS\u{1}30\u{2}";
    assert_eq!(new.properties.as_encoded(), expected);
    assert_eq!(new.system_flags, flags::TRANSACTION_PREPARED);
    let back =
        outbound::message(&store(&new, "orders"), "orders", Bodies::AsStored).system_properties.expect("set");
    assert_eq!(back.message_type(), MessageType::Transaction);
    assert_eq!(back.orphaned_transaction_recovery_duration.map(|d| d.seconds), Some(30));
}

#[test]
fn a_digest_is_checked_in_every_form_that_clients_write() {
    let check = |kind: DigestType, checksum: &str| {
        let digest = Digest { r#type: kind.into(), checksum: checksum.to_owned() };
        let system = SystemProperties { body_digest: Some(digest), ..SystemProperties::default() };
        inbound::message(sent(system, HashMap::new(), b"hello"), origin()).map(|_| ()).map_err(|r| r.code)
    };
    for (kind, checksum) in [
        (DigestType::Crc32, "3610A686"),
        (DigestType::Crc32, "3610a686"),
        (DigestType::Md5, "5D41402ABC4B2A76B9719D911017C592"),
        (DigestType::Md5, "5d41402abc4b2a76b9719d911017c592"),
        (DigestType::Sha1, "AAF4C61DDCC5E8A2DABEDE0F3B482CD9AEA9434D"),
        (DigestType::Md5, ""),
        (DigestType::Unspecified, "whatever"),
    ] {
        assert_eq!(check(kind, checksum), Ok(()), "{kind:?} {checksum}");
    }
    for (kind, checksum) in
        [(DigestType::Crc32, "3610A687"), (DigestType::Crc32, "x"), (DigestType::Md5, "00")]
    {
        assert_eq!(check(kind, checksum), Err(Code::MessageCorrupted), "{kind:?} {checksum}");
    }
}

#[test]
fn a_message_of_a_4x_client_reads_well() {
    let encoded = "KEYS\u{1}a  b\u{2}TAGS\u{1}t\u{2}WAIT\u{1}true\u{2}CLUSTER\u{1}c\u{2}colour\u{1}red\u{2}\
        DLQ_ORIGIN_TOPIC\u{1}o\u{2}DLQ_ORIGIN_MESSAGE_ID\u{1}7\u{2}DELAY\u{1}3";
    let message = NewMessage {
        body: Bytes::from_static(b"hello"),
        properties: Properties::from_encoded(encoded.to_owned()),
        flag: 0,
        system_flags: flags::COMPRESSED,
        born_ms: 1_700_000_000_001,
        born_host: peer(),
        reconsume_times: 2,
    };
    let stored = store(&message, "ns%orders");
    let read = outbound::message(&stored, "ns%orders", Bodies::AsStored);
    assert_eq!(read.topic, Some(Resource { resource_namespace: "ns".to_owned(), name: "orders".to_owned() }));
    assert_eq!(read.user_properties, HashMap::from([("colour".to_owned(), "red".to_owned())]));
    let system = read.system_properties.expect("set");
    assert_eq!(system.keys, ["a", "b"]);
    assert_eq!(system.message_id, stored.offset_id(), "it has no id of its own");
    assert_eq!(system.body_encoding(), Encoding::Gzip);
    assert_eq!(system.message_type(), MessageType::Delay);
    let digest = system.body_digest.as_ref().expect("set");
    assert_eq!(
        (digest.r#type(), digest.checksum.as_str()),
        (DigestType::Md5, "5D41402ABC4B2A76B9719D911017C592")
    );
    assert_eq!(
        system.dead_letter_queue.as_ref().map(|dlq| (dlq.topic.as_str(), dlq.message_id.as_str())),
        Some(("o", "7"))
    );
    assert_eq!((system.born_host.as_str(), system.store_host.as_str()), ("10.0.0.9", "127.0.0.1:10911"));
    assert_eq!(system.born_timestamp, Some(Timestamp { seconds: 1_700_000_000, nanos: 1_000_000 }));
    assert_eq!((system.queue_id, system.queue_offset, system.delivery_attempt), (3, Some(42), Some(3)));
}

#[test]
fn names_come_apart_as_clients_put_them_together() {
    let split = |stored: &str| {
        let resource = resource(stored);
        (resource.resource_namespace, resource.name)
    };
    let pair = |namespace: &str, name: &str| (namespace.to_owned(), name.to_owned());
    assert_eq!(split("orders"), pair("", "orders"));
    assert_eq!(split("ns%orders"), pair("ns", "orders"));
    assert_eq!(split("%RETRY%group"), pair("", "%RETRY%group"));
    assert_eq!(split("%DLQ%ns%group"), pair("ns", "%DLQ%group"));
    assert_eq!(split("%odd"), pair("", "%odd"));
}

#[test]
fn addresses_are_told_in_their_scheme() {
    let scheme = |text: &str| parse_endpoint(text).map(|endpoint| endpoints(&endpoint).scheme());
    assert_eq!(scheme("10.1.2.3:8081"), Some(AddressScheme::IPv4));
    assert_eq!(scheme("[::1]:8081"), Some(AddressScheme::IPv6));
    assert_eq!(scheme("mq.example.com:8081"), Some(AddressScheme::DomainName));
    for no_address in
        ["IPAuthority", "host:0", "host:x", ":8081", "a b:1", "ipv4:10.1.2.3:8081", "host:99999"]
    {
        assert_eq!(parse_endpoint(no_address), None, "{no_address}");
    }
}

#[test]
fn filters_default_to_everything() {
    let of = |kind: FilterType, text: &str| {
        filter(Some(&FilterExpression { r#type: kind.into(), expression: text.to_owned() }))
    };
    assert_eq!(filter(None), Filter::all());
    assert_eq!(of(FilterType::Unspecified, " "), Filter::all());
    assert_eq!(of(FilterType::Tag, "a || b"), Filter::tag("a || b"));
    assert_eq!(of(FilterType::Sql, "a > 1"), Filter::sql92("a > 1"));
}

fn text() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9äß世 _.-]{1,12}".prop_filter("no blanks", |text| !text.trim().is_empty())
}

fn word() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9äß世_.-]{1,12}"
}

fn system_properties() -> impl Strategy<Value = SystemProperties> {
    let names = (proptest::option::of(text()), proptest::collection::vec(word(), 0..4), word());
    let kinds = (
        proptest::option::of(text()),
        proptest::option::of(0_i32..10),
        proptest::option::of(1_600_000_000_000_i64..1_800_000_000_000),
        any::<bool>(),
    );
    (names, kinds, proptest::option::of(text()), 1_i64..1_800_000_000_000, word()).prop_map(
        |((tag, keys, message_id), (message_group, priority, due, gzip), trace_context, born, born_host)| {
            SystemProperties {
                tag,
                keys,
                message_id,
                message_group,
                priority,
                delivery_timestamp: due.map(time::of_ms),
                body_encoding: if gzip { Encoding::Gzip } else { Encoding::Identity }.into(),
                trace_context,
                born_timestamp: Some(time::of_ms(born)),
                born_host,
                ..SystemProperties::default()
            }
        },
    )
}

proptest! {
    #[test]
    fn messages_survive_the_round_trip(
        system in system_properties(),
        user in proptest::collection::hash_map("user-[a-z]{1,6}", text(), 0..6),
        body in proptest::collection::vec(any::<u8>(), 1..200),
    ) {
        let message = sent(system.clone(), user.clone(), &body);
        let back = there_and_back(message.clone());
        prop_assert_eq!(&back.topic, &message.topic);
        prop_assert_eq!(back.user_properties, user);
        prop_assert_eq!(&back.body[..], &body[..]);
        let mut read = back.system_properties.expect("set");
        prop_assert!(read.body_digest.take().is_some());
        let expected = SystemProperties {
            message_type: read.message_type,
            store_timestamp: Some(time::of_ms(1_700_000_000_500)),
            store_host: "127.0.0.1:10911".to_owned(),
            queue_id: 3,
            queue_offset: Some(42),
            delivery_attempt: Some(1),
            ..system
        };
        prop_assert_eq!(read, expected);
    }

    #[test]
    fn whatever_passes_the_checks_cannot_forge_a_property(
        key in any::<String>(),
        value in any::<String>(),
        tag in any::<String>(),
        id in any::<String>(),
        group in any::<String>(),
        host in any::<String>(),
    ) {
        let system = SystemProperties {
            tag: Some(tag.clone()),
            message_id: id.clone(),
            message_group: Some(group.clone()),
            born_host: host,
            ..SystemProperties::default()
        };
        let message = sent(system, HashMap::from([(key.clone(), value.clone())]), b"x");
        if crate::validate::message(&message, 0, i64::MAX).is_ok() {
            let new = inbound::message(message, origin()).expect("it has no digest");
            let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
            let stored = |key: &str| new.properties.get(key).map(str::to_owned);
            prop_assert_eq!(stored(&key), Some(value));
            prop_assert_eq!(stored("TAGS"), some(&tag));
            prop_assert_eq!(stored("UNIQ_KEY"), some(&id));
            prop_assert_eq!(stored("__SHARDINGKEY"), some(&group));
            prop_assert!(new.properties.iter().count() <= 5);
        }
    }

    #[test]
    fn times_survive(ms in any::<i32>().prop_map(|ms| i64::from(ms) * 997)) {
        prop_assert_eq!(time::to_ms(&time::of_ms(ms)), ms);
        prop_assert_eq!(time::span_to_ms(&time::span_of_ms(ms)), ms);
    }

    #[test]
    fn absurd_times_do_not_panic(seconds in any::<i64>(), nanos in any::<i32>()) {
        time::to_ms(&Timestamp { seconds, nanos });
        time::span_to_ms(&Duration { seconds, nanos });
    }
}
