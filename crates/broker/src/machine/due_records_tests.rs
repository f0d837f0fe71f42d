use proptest::prelude::*;
use smallvec::smallvec;

use super::*;

#[test]
fn due_records_survive_their_bytes() {
    let reference = DueWhat::Reference {
        stream: StreamId(1),
        tag: 2,
        group_id: 3,
        original: Lsn(4),
        original_len: 5,
        reconsume_times: 6,
    };
    let message = DueWhat::Message { stream: StreamId(1), tag: 2, keys: smallvec![8, 9] };
    let recurring = DueWhat::Recurring { stream: StreamId(1), tag: 2, keys: smallvec![8], fired_times: 7 };
    for what in [reference, message, recurring] {
        let prefix = DuePrefix { due_ms: 60_000, stored_ms: 59_000, what };
        let mut out = Vec::new();
        prefix.encode_moved(Lsn(77), &mut out);
        let len = out.len();
        out.extend_from_slice(b"the message");
        assert_eq!(DuePrefix::decode(&out), Ok((prefix.clone(), len)));
        assert_eq!(DuePrefix::moved_from(&out), Ok(Lsn(77)));
    }
    let cancelled = DueCancelled { at_ms: 1, hash: 2, due_ms: 3, lsn: Lsn(4), offset: 5 };
    let mut out = Vec::new();
    cancelled.encode(&mut out);
    assert_eq!(DueCancelled::decode(&out), Ok(cancelled));
}

#[test]
fn golden_bytes_of_what_is_due() {
    let hex = |out: &[u8]| out.iter().map(|b| format!("{b:02x}")).collect::<String>();
    let mut out = Vec::new();
    let what = DueWhat::Recurring { stream: StreamId(9), tag: 5, keys: smallvec![1], fired_times: 2 };
    DuePrefix { due_ms: 3, stored_ms: 4, what }.encode_moved(Lsn(6), &mut out);
    let expected = "3400 0300000000000000 0400000000000000 03 0900000000000000 05000000 \
                    01 0100000000000000 02000000 0600000000000000";
    assert_eq!(hex(&out), expected.replace(' ', ""));
    out.clear();
    DueCancelled { at_ms: 1, hash: 2, due_ms: 3, lsn: Lsn(4), offset: 5 }.encode(&mut out);
    let expected = "0100000000000000 0200000000000000 0300000000000000 0400000000000000 0500000000000000";
    assert_eq!(hex(&out), expected.replace(' ', ""));
}

proptest! {
    #[test]
    fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let _ = DuePrefix::decode(&bytes);
        let _ = DuePrefix::moved_from(&bytes);
        let _ = DueCancelled::decode(&bytes);
    }
}
