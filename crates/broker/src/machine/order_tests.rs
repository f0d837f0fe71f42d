use std::collections::BTreeMap;

use model::Lsn;
use proptest::prelude::*;

use super::*;

const A: OrderKey = OrderKey(10);
const B: OrderKey = OrderKey(11);

fn part(next: u64, taken: &[(u64, OrderKey)], waiting: &[(u64, OrderKey)]) -> DeliverPart {
    let (offsets, keys) = taken.iter().copied().unzip();
    DeliverPart { next, offsets, keys, waiting: waiting.to_vec(), ..DeliverPart::default() }
}

fn open(cursor: &Cursor, now_ms: i64, by: OrderBy) -> (Vec<u64>, Blocked) {
    match cursor.standing(now_ms, 0, by) {
        Standing::Open { free, blocked, .. } => (free.into_iter().map(|(o, _)| o).collect(), blocked),
        Standing::Again(again) => panic!("no call repeats here: {again:?}"),
    }
}

#[test]
fn a_key_waits_for_its_own_only() {
    let mut cursor = Cursor::starting_at(0);
    cursor.deliver(&part(1, &[(0, A)], &[]), Lsn(1), 1_000, 0);
    let (free, blocked) = open(&cursor, 500, OrderBy::Key);
    assert!(free.is_empty() && blocked.blocks(A) && !blocked.blocks(B));
    assert!(cursor.allows_in_order(&part(3, &[(2, B)], &[(1, A)]), 500, 0, OrderBy::Key));
    assert!(!cursor.allows_in_order(&part(3, &[(1, A)], &[]), 500, 0, OrderBy::Key));
    assert!(!cursor.allows_in_order(&part(3, &[(2, B)], &[(1, A)]), 500, 0, OrderBy::Queue));
    cursor.deliver(&part(3, &[(2, B)], &[(1, A)]), Lsn(2), 1_000, 0);
    assert_eq!(cursor.committed(), 0);
    cursor.settle(2);
    assert_eq!((cursor.committed(), cursor.next), (0, 3), "a later key's end loses nothing");
    cursor.settle(0);
    assert_eq!(open(&cursor, 500, OrderBy::Key).0, [1]);
    assert_eq!(cursor.committed(), 1);
}

#[test]
fn after_its_time_the_earliest_comes_first() {
    let mut cursor = Cursor::starting_at(0);
    cursor.deliver(&part(3, &[(0, A), (2, A)], &[]), Lsn(1), 1_000, 0);
    assert!(open(&cursor, 999, OrderBy::Key).0.is_empty());
    assert_eq!(open(&cursor, 1_000, OrderBy::Key).0, [0, 2]);
    assert!(!cursor.allows_in_order(&part(3, &[(2, A)], &[]), 1_000, 0, OrderBy::Key));
    cursor.deliver(&part(3, &[(0, A)], &[]), Lsn(2), 9_000, 0);
    assert_eq!(cursor.in_flight[&0].attempt, 2);
    assert!(open(&cursor, 1_000, OrderBy::Key).0.is_empty(), "the second waits for the first");
}

#[test]
fn the_same_call_gets_the_same_again() {
    let mut cursor = Cursor::starting_at(0);
    let (one, other) = (attempt_of("one"), attempt_of("other"));
    cursor.deliver(&part(2, &[(0, A), (1, A)], &[]), Lsn(1), 1_000, one);
    cursor.deliver(&part(3, &[(2, B)], &[]), Lsn(2), 1_000, other);
    assert_eq!(cursor.standing(500, one, OrderBy::Key), Standing::Again(vec![(0, A), (1, A)]));
    assert_eq!(cursor.standing(500, other, OrderBy::Key), Standing::Again(vec![(2, B)]));
    assert!(cursor.allows_in_order(&part(3, &[(0, A), (1, A)], &[]), 500, one, OrderBy::Key));
    assert!(!cursor.allows_in_order(&part(3, &[(0, A), (1, A)], &[]), 500, other, OrderBy::Key));
    cursor.deliver(&part(3, &[(0, A), (1, A)], &[]), Lsn(3), 2_000, one);
    assert_eq!(cursor.in_flight[&0].attempt, 1, "the same call again is no new attempt");
    cursor.settle(0);
    assert_eq!(cursor.standing(500, one, OrderBy::Key), Standing::Again(vec![(1, A)]));
}

#[test]
fn a_whole_queue_waits_for_everything() {
    let mut cursor = Cursor::starting_at(0);
    cursor.deliver(&part(1, &[(0, OrderKey::QUEUE)], &[]), Lsn(1), 1_000, 0);
    let (free, blocked) = open(&cursor, 500, OrderBy::Key);
    assert!(free.is_empty() && blocked.blocks(A), "what was delivered for the queue blocks each key");
    let mut cursor = Cursor::starting_at(0);
    cursor.deliver(&part(2, &[(0, A), (1, B)], &[]), Lsn(1), 1_000, 0);
    cursor.settle(0);
    cursor.extend(1, Lsn(2), 400);
    let (free, blocked) = open(&cursor, 500, OrderBy::Queue);
    assert_eq!((free, blocked.blocks(OrderKey::QUEUE)), (vec![1], false));
}

#[test]
fn keys_are_told_apart() {
    let of = |group| OrderKey::of(group, OrderBy::Key);
    assert_eq!(of(None), of(Some("")));
    assert_ne!(of(Some("a")), of(Some("b")));
    assert_ne!(of(None), of(Some("a")));
    assert_eq!(OrderKey::of(Some("a"), OrderBy::Queue), OrderKey::QUEUE);
}

/// Hands out what may go, as a receiver does.
fn hand_out(cursor: &mut Cursor, keys: &[OrderKey], max: usize, now_ms: i64, nonce: u64) -> Vec<u64> {
    let Standing::Open { mut free, mut blocked, .. } = cursor.standing(now_ms, 0, OrderBy::Key) else {
        return Vec::new();
    };
    free.truncate(max);
    let is_cut = free.len() == max;
    let (mut taken, mut waiting, mut next) = (free, Vec::new(), cursor.next);
    while !is_cut && taken.len() < max {
        let Some(key) = usize::try_from(next).ok().and_then(|at| keys.get(at)) else { break };
        if blocked.blocks(*key) {
            blocked.add(*key);
            waiting.push((next, *key));
        } else {
            taken.push((next, *key));
        }
        next += 1;
    }
    let part = part(next, &taken, &waiting);
    assert!(cursor.allows_in_order(&part, now_ms, 0, OrderBy::Key), "{cursor:?} {part:?}");
    cursor.deliver(&part, Lsn(nonce), now_ms + 10, 0);
    part.offsets
}

proptest! {
    #[test]
    fn no_key_is_overtaken(
        keys in prop::collection::vec(0_u64..4, 1..40),
        steps in prop::collection::vec((0_u8..4, 0_usize..6), 1..120),
    ) {
        let keys: Vec<OrderKey> = keys.into_iter().map(|k| OrderKey(k + 10)).collect();
        let mut cursor = Cursor::starting_at(0);
        let mut settled: BTreeMap<u64, OrderKey> = BTreeMap::new();
        let mut now_ms = 0;
        for (nonce, (what, n)) in steps.into_iter().enumerate() {
            let nonce = nonce as u64 + 1;
            match what {
                0 => {
                    let out = hand_out(&mut cursor, &keys, n + 1, now_ms, nonce);
                    for offset in &out {
                        let key = keys[usize::try_from(*offset).expect("small")];
                        let earlier = (0..*offset).filter(|o| keys[usize::try_from(*o).expect("small")] == key);
                        for before in earlier {
                            prop_assert!(settled.contains_key(&before) || out.contains(&before));
                        }
                    }
                }
                1 => {
                    let at = cursor.in_flight.iter().nth(n).map(|(o, held)| (*o, held.key));
                    if let Some((offset, key)) = at {
                        cursor.settle(offset);
                        settled.insert(offset, key);
                    }
                }
                2 => {
                    let at = cursor.in_flight.iter().nth(n).map(|(o, held)| (*o, held.nonce));
                    if let Some((offset, nonce)) = at {
                        cursor.release(offset, nonce);
                    }
                }
                _ => now_ms += n as i64,
            }
            for offset in 0..cursor.next {
                let places = usize::from(settled.contains_key(&offset))
                    + usize::from(cursor.in_flight.contains_key(&offset))
                    + usize::from(cursor.waiting.contains_key(&offset));
                prop_assert_eq!(places, 1, "offset {} is in {} places", offset, places);
            }
        }
    }
}
