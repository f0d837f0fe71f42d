use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::properties::Properties;

fn message(body: Vec<u8>, properties: Properties, born_host: SocketAddr) -> NewMessage {
    NewMessage {
        body: body.into(),
        properties,
        flag: -7,
        system_flags: flags::COMPRESSED,
        born_ms: 1_700_000_000_000,
        born_host,
        reconsume_times: 2,
    }
}

fn encoded(message: &NewMessage, topic: &str, store_host: SocketAddr) -> Bytes {
    let place = Placement {
        topic,
        queue: QueueId(3),
        offset: Offset(9),
        lsn: Lsn(0x1234),
        stored_ms: 1_700_000_000_001,
        store_host,
        prepared: Lsn(0),
    };
    let mut out = Vec::new();
    encode(&mut out, message, &place);
    assert_eq!(out.len(), encoded_len(message, topic, store_host));
    out.into()
}

fn v4(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

#[test]
fn golden_bytes() {
    let mut properties = Properties::new();
    properties.push("TAGS", "a");
    let bytes = encoded(&message(b"hi".to_vec(), properties, v4(80)), "T", v4(10_911));
    let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(
        hex,
        concat!(
            "00000065",
            "daa320a7",
            "58932aac",
            "00000003",
            "fffffff9",
            "0000000000000009",
            "0000000000001234",
            "00000001",
            "0000018bcfe56800",
            "7f00000100000050",
            "0000018bcfe56801",
            "7f00000100002a9f",
            "00000002",
            "0000000000000000",
            "00000002",
            "6869",
            "01",
            "54",
            "0007",
            "54414753016102"
        )
    );
}

#[test]
fn a_long_topic_takes_the_second_layout() {
    let topic = "%RETRY%".to_owned() + &"x".repeat(200);
    let stored = StoredMessage::parse(encoded(&message(vec![1], Properties::new(), v4(1)), &topic, v4(2)));
    assert_eq!(stored.expect("whole").topic(), topic);
}

#[test]
fn an_offset_id_holds_the_position() {
    let id = offset_id(v4(10_911), Lsn(0xABCD));
    assert_eq!(id, "7F00000100002A9F000000000000ABCD");
    assert_eq!(position_of_offset_id(&id), Ok(Lsn(0xABCD)));
    assert!(position_of_offset_id("zz").is_err());
}

proptest! {
    #[test]
    fn every_field_survives(
        body in prop::collection::vec(any::<u8>(), 0..300),
        pairs in prop::collection::vec(("[a-z]{1,8}", "[ -~]{0,16}"), 0..6),
        v6 in any::<bool>(),
    ) {
        let mut properties = Properties::new();
        for (k, v) in &pairs {
            properties.push(k, v);
        }
        let host: SocketAddr = if v6 { "[::2]:99".parse().expect("address") } else { v4(99) };
        let new = message(body.clone(), properties.clone(), host);
        let stored = StoredMessage::parse(encoded(&new, "topic", host)).expect("whole");
        prop_assert_eq!(stored.body(), body);
        prop_assert_eq!(stored.properties(), properties.as_encoded());
        prop_assert_eq!(stored.born_host(), host);
        prop_assert_eq!(stored.store_host(), host);
        prop_assert_eq!(stored.queue(), QueueId(3));
        prop_assert_eq!(stored.offset(), Offset(9));
        prop_assert_eq!(stored.lsn(), Lsn(0x1234));
        prop_assert_eq!(stored.flag(), -7);
        prop_assert_eq!(stored.reconsume_times(), 2);
        prop_assert_eq!(stored.born_ms(), 1_700_000_000_000);
        prop_assert_eq!(stored.stored_ms(), 1_700_000_000_001);
        prop_assert_eq!(stored.topic(), "topic");
    }

    #[test]
    fn garbage_is_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = StoredMessage::parse(bytes.into());
    }

    #[test]
    fn a_damaged_record_never_panics(at in 0_usize..100, value in any::<u8>()) {
        let mut bytes = encoded(&message(b"hello".to_vec(), Properties::new(), v4(1)), "topic", v4(2)).to_vec();
        if let Some(byte) = bytes.get_mut(at) {
            *byte = value;
        }
        let _ = StoredMessage::parse(bytes.into());
    }
}
