use proptest::prelude::*;
use smallvec::smallvec;

use super::*;

fn key() -> CursorKey {
    CursorKey { group_id: 7, stream: StreamId(1 << 56 | 3) }
}

#[test]
fn records_survive_their_bytes() {
    let mut out = Vec::new();
    let message = MessagePrefix {
        cause: Cause::Settles { key: key(), offset: 300 },
        stream: StreamId(9),
        tag: 5,
        stored_ms: -1,
        keys: smallvec![1, 2, 3],
    };
    message.encode(&mut out);
    let len = out.len();
    out.extend_from_slice(b"the message");
    assert_eq!(MessagePrefix::decode(&out), Ok((message, len)));
    assert_eq!(prefix_len(&out), Ok(len));

    let reference = Reference {
        cause: Cause::Fired { due_ms: 1, lsn: Lsn(2) },
        stream: StreamId(9),
        tag: 1,
        stored_ms: 3,
        group_id: 4,
        original: Lsn(5),
        original_len: 6,
        reconsume_times: 7,
    };
    out.clear();
    reference.encode(&mut out);
    assert_eq!(Reference::decode(&out), Ok(reference));

    let deliver = Deliver {
        group_id: 1,
        client: Lsn(77),
        delivered_ms: 2,
        deadline_ms: 3,
        attempt_id: "a".to_owned(),
        parts: vec![DeliverPart {
            stream: StreamId(4),
            next: 400,
            offsets: vec![1, 2, 399],
            ..DeliverPart::default()
        }],
    };
    out.clear();
    deliver.encode(&mut out);
    assert_eq!(deliver.kind(), kind::DELIVER);
    assert_eq!(Deliver::decode(kind::DELIVER, &out), Ok(deliver.clone()));

    let mut ordered = deliver;
    if let Some(part) = ordered.parts.first_mut() {
        part.keys = vec![OrderKey(9), OrderKey(10), OrderKey(11)];
        part.waiting = vec![(396, OrderKey(9)), (398, OrderKey(12))];
        part.passed = vec![0];
    }
    out.clear();
    ordered.encode(&mut out);
    assert_eq!(ordered.kind(), kind::ORDERED);
    assert_eq!(Deliver::decode(kind::ORDERED, &out), Ok(ordered));

    let release = Release { key: key(), nonce: Lsn(8), released_ms: 9, offsets: vec![3, 300] };
    out.clear();
    release.encode(&mut out);
    assert_eq!(Release::decode(&out), Ok(release));
}

#[test]
fn golden_bytes() {
    let mut out = Vec::new();
    let set = OffsetSet { key: key(), offset: 300, how: OffsetHow::Seek, set_ms: 5, client: Lsn(6) };
    set.encode(&mut out);
    let hex: String = out.iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(hex, "07000000030000000000000 1ac0201 0500000000000000 0600000000000000".replace(' ', ""));
    out.clear();
    encode_settled(5, &[(key(), 1)], &mut out);
    let hex: String = out.iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(hex, "0500000000000000 0100070000000300000000000001 01".replace(' ', ""));
}

proptest! {
    #[test]
    fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let _ = MessagePrefix::decode(&bytes);
        let _ = Reference::decode(&bytes);
        let _ = DuePrefix::decode(&bytes);
        let _ = Deliver::decode(kind::DELIVER, &bytes);
        let _ = Deliver::decode(kind::ORDERED, &bytes);
        let _ = Release::decode(&bytes);
        let _ = DuePrefix::moved_from(&bytes);
        let _ = DueCancelled::decode(&bytes);
        let _ = decode_settled(&bytes);
        let _ = super::super::clients::NamedClient::decode(&bytes);
        let _ = Extend::decode(&bytes);
        let _ = OffsetSet::decode(&bytes);
    }
}
