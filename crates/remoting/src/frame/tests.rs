use proptest::prelude::*;

use super::*;

fn bytes(parts: &[&[u8]]) -> BytesMut {
    BytesMut::from(parts.concat().as_slice())
}

/// As the Java client writes a request (`RemotingCommand.encode`, fastjson: members sorted).
#[test]
fn a_json_request_is_read() {
    let header = br#"{"code":105,"extFields":{"acceptStandardJsonOnly":"true","topic":"T"},"flag":0,"language":"JAVA","opaque":7,"serializeTypeCurrentRPC":"JSON","version":513}"#;
    let header_len = u8::try_from(header.len()).expect("short");
    let mut wire = bytes(&[&[0, 0, 0, header_len + 6], &[0, 0, 0, header_len], header, b"xy", &[0, 0]]);
    let command = decode(&mut wire).expect("legal").expect("whole");
    assert_eq!((command.code, command.opaque, command.version), (105, 7, 513));
    assert_eq!(command.language.name(), "JAVA");
    assert_eq!(command.fields.get("topic"), Some("T"));
    assert_eq!(&command.body.bytes()[..], b"xy");
    assert_eq!(&wire[..], [0, 0], "the next frame's start stays");
    assert!(!command.is_response() && !command.is_oneway());
}

/// As Go v2 and C++ write: no language, fields null, numbers in fields.
#[test]
fn loose_json_headers_are_read() {
    for (header, language, fields) in [
        (r#"{"code":34,"opaque":1,"flag":2,"extFields":null}"#, "OTHER", 0),
        (r#"{"code":34,"language":"CPP","extFields":{"queueId":3,"isForce":true}}"#, "CPP", 2),
        (r#"{"code":34,"language":"KLINGON","unknown":[1,{"a":2}]}"#, "OTHER", 0),
    ] {
        let command = json_header::decode(header.as_bytes()).expect("legal");
        assert_eq!((command.code, command.language.name(), command.fields.len()), (34, language, fields));
    }
}

/// As `RocketMQSerializable.rocketMQProtocolEncode` writes.
#[test]
fn a_binary_request_is_read() {
    let header: &[&[u8]] = &[
        &[0, 105],
        &[9],
        &[1, 61],
        &[0, 0, 0, 7],
        &[0, 0, 0, 2],
        &[0, 0, 0, 2],
        b"hi",
        &[0, 0, 0, 12],
        &[0, 5],
        b"topic",
        &[0, 0, 0, 1],
        b"T",
    ];
    let header = header.concat();
    let header_len = u8::try_from(header.len()).expect("short");
    let mut wire = bytes(&[&[0, 0, 0, header_len + 4], &[1, 0, 0, header_len], &header]);
    let whole = wire.clone();
    let command = decode(&mut wire).expect("legal").expect("whole");
    assert_eq!((command.code, command.version, command.opaque, command.flag), (105, 317, 7, 2));
    assert_eq!(command.language.name(), "GO");
    assert_eq!(command.remark.as_deref(), Some("hi"));
    assert_eq!(command.fields.get("topic"), Some("T"));
    let mut again = BytesMut::new();
    encode(&command, &mut again);
    assert_eq!(again, whole);
}

#[test]
fn an_answer_is_written_as_java_reads_it() {
    let fields = Fields::new().with("offset", 7).with("text", "a\"\\\u{1}\u{2}\nü");
    let answer = Command { opaque: 3, remark: Some("r".into()), fields, ..Command::response(0) };
    let answer = Command { body: "body".to_owned().into(), ..answer };
    let mut wire = BytesMut::new();
    encode(&answer, &mut wire);
    let header = r#"{"code":0,"extFields":{"offset":"7","text":"a\"\\\u0001\u0002\nü"},"flag":1,"language":"JAVA","opaque":3,"remark":"r","serializeTypeCurrentRPC":"JSON","version":513}"#;
    let header_len = u8::try_from(header.len()).expect("short");
    assert_eq!(&wire[..8], [0, 0, 0, header_len + 8, 0, 0, 0, header_len]);
    assert_eq!(std::str::from_utf8(&wire[8..]).expect("text"), format!("{header}body"));
}

#[test]
fn an_answer_without_fields_has_no_member_for_them() {
    let mut wire = BytesMut::new();
    encode(&Command::response(0), &mut wire);
    assert!(!std::str::from_utf8(&wire[8..]).expect("text").contains("extFields"));
}

#[test]
fn absurd_lengths_are_refused_before_anything_is_waited_for() {
    for start in [
        &[0xFF, 0xFF, 0xFF, 0xFF][..],
        &[0, 0, 0, 3],
        &[1, 0, 0, 1],
        &[0, 0, 0, 8, 0, 0, 0, 9],
        &[0, 0, 0, 8, 2, 0, 0, 1],
        &[0, 0xFF, 0, 0, 0, 0x7F, 0xFF, 0xFF],
        b"GET / HTTP/1.1",
    ] {
        assert!(decode(&mut BytesMut::from(start)).is_err(), "{start:?}");
    }
}

#[test]
fn a_frame_in_pieces_is_read_once_it_is_whole() {
    let mut wire = BytesMut::new();
    encode(&Command::request(11, Fields::new().with("k", "v"), "body".to_owned().into()), &mut wire);
    let mut inbox = BytesMut::new();
    for (n, byte) in wire.iter().enumerate() {
        assert!(decode(&mut inbox).expect("legal so far").is_none(), "after {n} bytes");
        inbox.extend_from_slice(&[*byte]);
    }
    assert!(decode(&mut inbox).expect("legal").is_some());
    assert!(inbox.is_empty());
}

fn command() -> impl Strategy<Value = Command> {
    let fields = proptest::collection::vec(("\\PC{0,12}", ".{0,30}"), 0..8);
    let numbers = (any::<i16>(), 0..14_u8, any::<i16>(), any::<i32>(), any::<i32>());
    (numbers, fields, proptest::option::of(".{1,20}"), ".{0,50}", any::<bool>()).prop_map(
        |((code, language, version, opaque, flag), pairs, remark, body, json)| {
            let mut fields = Fields::new();
            fields.extend(pairs.iter().map(|(k, v)| (k.as_str(), v.as_str())));
            Command {
                code: i32::from(code),
                language: Language::of_number(language),
                version: i32::from(version),
                opaque,
                flag,
                remark,
                fields,
                body: body.into(),
                header_kind: if json { HeaderKind::Json } else { HeaderKind::Binary },
            }
        },
    )
}

proptest! {
    #[test]
    fn commands_survive_both_encodings(command in command()) {
        let mut wire = BytesMut::new();
        encode(&command, &mut wire);
        let again = decode(&mut wire).expect("our own").expect("whole");
        prop_assert_eq!(again, command);
        prop_assert!(wire.is_empty());
    }

    #[test]
    fn garbage_is_refused_or_waited_for(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        fuzz_frame(&bytes);
    }

    /// Garbage that gets past the lengths.
    #[test]
    fn garbage_headers_do_not_panic(kind in 0..2_u8, header in proptest::collection::vec(any::<u8>(), 0..250)) {
        let len = u8::try_from(header.len()).expect("short");
        let frame = [&[0, 0, 0, len + 4, kind, 0, 0, len][..], &header].concat();
        fuzz_frame(&frame);
    }

    #[test]
    fn broken_frames_do_not_panic(command in command(), at in any::<proptest::sample::Index>(), bits in 1..=255_u8) {
        let mut wire = BytesMut::new();
        encode(&command, &mut wire);
        let at = at.index(wire.len());
        wire[at] ^= bits;
        fuzz_frame(&wire);
    }
}
