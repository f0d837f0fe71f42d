use proptest::prelude::*;

use super::*;

fn part(next: u64, offsets: &[u64]) -> DeliverPart {
    DeliverPart { next, offsets: offsets.to_vec(), ..DeliverPart::default() }
}

#[test]
fn a_delivery_is_in_flight_until_it_is_settled() {
    let mut cursor = Cursor::starting_at(0);
    cursor.deliver(&part(3, &[0, 1, 2]), Lsn(10), 1_000, 0);
    assert_eq!((cursor.next, cursor.committed()), (3, 0));
    assert!(cursor.holds(1, Lsn(10)));
    cursor.settle(0);
    assert_eq!(cursor.committed(), 1);
    cursor.settle(2);
    cursor.settle(1);
    assert_eq!(cursor.committed(), 3);
    assert!(!cursor.holds(1, Lsn(10)));
}

#[test]
fn an_extension_voids_the_old_receipt() {
    let mut cursor = Cursor::starting_at(0);
    cursor.deliver(&part(1, &[0]), Lsn(10), 1_000, 0);
    cursor.extend(0, Lsn(20), 9_000);
    assert!(!cursor.holds(0, Lsn(10)));
    assert!(cursor.holds(0, Lsn(20)));
    assert!(cursor.expired(1_000, 10).is_empty());
    assert_eq!(cursor.expired(9_000, 10), [(0, 1)]);
}

#[test]
fn what_nobody_got_waits_and_does_not_count() {
    let mut cursor = Cursor::starting_at(0);
    cursor.deliver(&part(3, &[0, 1, 2]), Lsn(1), 1_000, 0);
    cursor.release(1, Lsn(9));
    assert!(cursor.waiting.is_empty(), "an old nonce takes nothing back");
    cursor.settle(0);
    cursor.release(1, Lsn(1));
    assert_eq!((cursor.committed(), cursor.behind(0, 10)), (1, vec![1]));
    cursor.deliver(&part(3, &[1]), Lsn(2), 2_000, 0);
    assert_eq!((cursor.in_flight[&1].attempt, cursor.waiting.len()), (1, 0));
}

#[test]
fn a_seek_gives_up_what_is_in_flight() {
    let mut cursor = Cursor::starting_at(0);
    cursor.deliver(&part(5, &[0, 1, 2, 3, 4]), Lsn(1), 1_000, 0);
    cursor.seek(2);
    assert_eq!((cursor.next, cursor.committed(), cursor.in_flight.len()), (2, 2, 0));
}

proptest! {
    #[test]
    fn every_offset_below_next_is_settled_or_in_flight(steps in prop::collection::vec((0_u8..3, 0_u64..8), 1..60)) {
        let mut cursor = Cursor::starting_at(0);
        let mut settled = std::collections::BTreeSet::new();
        for (nonce, (what, n)) in steps.into_iter().enumerate() {
            let nonce = Lsn(nonce as u64 + 1);
            match what {
                0 => {
                    let offsets: Vec<u64> = (cursor.next..cursor.next + n).collect();
                    cursor.deliver(&part(cursor.next + n, &offsets), nonce, 100, 0);
                }
                1 => {
                    let first = cursor.in_flight.keys().nth(n as usize).copied();
                    if let Some(offset) = first {
                        cursor.settle(offset);
                        settled.insert(offset);
                    }
                }
                _ => {
                    let first = cursor.in_flight.keys().nth(n as usize).copied();
                    if let Some(offset) = first {
                        cursor.extend(offset, nonce, 500);
                        prop_assert!(cursor.holds(offset, nonce));
                    }
                }
            }
            for offset in 0..cursor.next {
                prop_assert!(settled.contains(&offset) != cursor.in_flight.contains_key(&offset));
            }
            let mut bytes = Vec::new();
            cursor.encode(&mut Writer(&mut bytes));
            prop_assert_eq!(Cursor::decode(&mut Reader(&bytes)), Ok(cursor.clone()));
        }
    }
}
