//! Each rule refuses with its own code, and a plain message passes.

use std::collections::HashMap;

use prost_types::{Duration, Timestamp};

use super::*;

const NOW: i64 = 1_700_000_000_000;
const DAY: i64 = 24 * 3_600_000;

fn plain() -> Message {
    Message {
        topic: Some(resource("t")),
        user_properties: HashMap::new(),
        system_properties: Some(SystemProperties { message_id: "01AB".to_owned(), ..Default::default() }),
        body: "x".into(),
    }
}

fn resource(name: &str) -> Resource {
    Resource { resource_namespace: String::new(), name: name.to_owned() }
}

fn code_of(change: impl FnOnce(&mut Message)) -> i32 {
    let mut changed = plain();
    change(&mut changed);
    message(&changed, NOW, DAY).map_or_else(|refusal| refusal.code.into(), |()| 20000)
}

fn code_of_system(change: impl FnOnce(&mut SystemProperties)) -> i32 {
    code_of(|message| change(message.system_properties.get_or_insert_default()))
}

fn with_property(key: &str, value: &str) -> i32 {
    code_of(|message| {
        message.user_properties.insert(key.to_owned(), value.to_owned());
    })
}

#[test]
fn a_plain_message_passes() {
    assert_eq!(code_of(|_| ()), 20000);
    assert_eq!(with_property("colour", "red"), 20000);
    assert_eq!(code_of_system(|system| system.tag = Some(String::new())), 20000);
}

#[test]
fn bodies_have_bounds() {
    assert_eq!(code_of(|message| message.body.clear()), 41302);
    let max = model::limits::BODY_BYTES_MAX;
    assert_eq!(code_of(|message| message.body = vec![0; max].into()), 20000);
    assert_eq!(code_of(|message| message.body = vec![0; max + 1].into()), 41301);
}

#[test]
fn properties_are_bounded_and_clean() {
    for key in ["KEYS", "TAGS", "UNIQ_KEY", "__SHARDINGKEY", "__BORNHOST", "TRAN_MSG"] {
        assert_eq!(with_property(key, "v"), 40007, "{key}");
    }
    assert_eq!(with_property("a\u{1}b", "v"), 40007);
    assert_eq!(with_property("a", "v\u{2}KEYS\u{1}x"), 40007);
    assert_eq!(with_property("", "v"), 40007);
    assert_eq!(with_property("a", &"x".repeat(20 * 1024)), 43101);
    let many = |count: usize| {
        code_of(|message| {
            message.user_properties = (0..count).map(|i| (format!("k{i}"), String::new())).collect();
        })
    };
    assert_eq!((many(128), many(130)), (20000, 43101));
}

#[test]
fn tags_keys_and_ids_are_clean() {
    for tag in [" ", "a|b", "a\n"] {
        assert_eq!(code_of_system(|system| system.tag = Some(tag.to_owned())), 40004, "{tag:?}");
    }
    for key in ["  ", "k\u{7f}"] {
        assert_eq!(code_of_system(|system| system.keys = vec![key.to_owned()]), 40005, "{key:?}");
    }
    for id in ["", " ", "a\u{2}b"] {
        assert_eq!(code_of_system(|system| system.message_id = id.to_owned()), 40009, "{id:?}");
    }
    for group in [" ", "a\t", &"g".repeat(64)] {
        assert_eq!(
            code_of_system(|system| system.message_group = Some(group.to_owned())),
            40006,
            "{group:?}"
        );
    }
    assert_eq!(code_of_system(|system| system.message_group = Some("g".repeat(63))), 20000);
    assert_eq!(code_of_system(|system| system.lite_topic = Some("a b".to_owned())), 40020);
    assert_eq!(code_of_system(|system| system.trace_context = Some("\u{1}".to_owned())), 40000);
}

#[test]
fn times_have_bounds() {
    let due = |ms: i64| {
        let at = Timestamp { seconds: (NOW + ms) / 1000, nanos: 0 };
        code_of_system(|system| system.delivery_timestamp = Some(at))
    };
    assert_eq!((due(0), due(DAY), due(DAY + 1000), due(-DAY)), (20000, 20000, 40012, 20000));
    let absurd = Timestamp { seconds: i64::MAX, nanos: i32::MAX };
    assert_eq!(code_of_system(|system| system.delivery_timestamp = Some(absurd)), 40012);
    let recovery = |seconds| {
        let after = Duration { seconds, nanos: 0 };
        code_of_system(|system| system.orphaned_transaction_recovery_duration = Some(after))
    };
    assert_eq!((recovery(3_600), recovery(3_601), recovery(-1)), (20000, 40000, 40000));
    assert_eq!(invisible_ms(10_000, 10_000), Ok(10_000));
    assert_eq!(invisible_ms(9_999, 10_000).map_err(|r| r.code), Err(Code::IllegalInvisibleTime));
    assert_eq!(invisible_ms(12 * 3_600_000 + 1, 0).map_err(|r| r.code), Err(Code::IllegalInvisibleTime));
}

#[test]
fn names_are_checked() {
    let topic_code = |name: &str| topic(Some(&resource(name))).map_err(|r| i32::from(r.code));
    assert!(topic_code("orders").is_ok());
    for name in ["", " ", "a b", "TBW102", "rmq_sys_x", &"t".repeat(128)] {
        assert_eq!(topic_code(name).err(), Some(40002), "{name:?}");
    }
    assert_eq!(topic(None).map_err(|r| r.code), Err(Code::IllegalTopic));
    for name in ["", "g g", "CID_RMQ_SYS_x", &"g".repeat(121)] {
        assert_eq!(
            group(Some(&resource(name))).map_err(|r| r.code),
            Err(Code::IllegalConsumerGroup),
            "{name:?}"
        );
    }
}
