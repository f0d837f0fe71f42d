//! The life of a renewed message, step by step.

use model::{GroupName, Lsn, Offset, QueueId, TopicName};

use super::*;

const POLICY: Policy =
    Policy { ahead_ms: 10_000, total_ms: 3 * 3_600_000, lost_invisible_ms: 1_000, held_max: 3 };

fn receipt(nonce: u64, delivered_ms: i64, invisible_ms: i64) -> Receipt {
    Receipt {
        group: GroupName::new("g").expect("legal"),
        topic: TopicName::new("t").expect("legal"),
        queue: QueueId(0),
        offset: Offset(7),
        nonce: Lsn(nonce),
        delivered_ms,
        invisible_ms,
    }
}

fn holding(receipt: &Receipt) -> Renewals<u32> {
    let mut renewals = Renewals::new(POLICY);
    let handed_out = HandedOut { receipt: receipt.clone(), retry_ms: 10_000 };
    assert!(renewals.step(0, Event::Delivered(vec![handed_out])).is_empty());
    renewals
}

#[test]
fn renews_when_little_time_is_left_and_ever_longer() {
    let first = receipt(1, 0, 60_000);
    let key = DeliveryKey::of(&first);
    let mut renewals = holding(&first);
    assert_eq!(renewals.step(49_999, Event::Scan), []);
    let mut newest = first;
    let mut now = 0;
    for (n, minutes) in [1, 3, 5, 10, 30, 60, 60].into_iter().enumerate() {
        now += newest.invisible_ms - 10_000;
        let invisible_ms = minutes * MINUTE_MS;
        let wanted = Effect::Renew { key: key.clone(), receipt: newest.clone(), invisible_ms };
        assert_eq!(renewals.step(now, Event::Scan), [wanted], "renewal {n}");
        assert_eq!(renewals.step(now, Event::Scan), [], "one renewal at a time");
        newest = receipt(100 + n as u64, now, invisible_ms);
        assert_eq!(renewals.step(now, Event::Renewed { key: key.clone(), receipt: newest.clone() }), []);
    }
    assert_eq!(renewals.take(&key, || 0), Taken::Newest(newest));
    assert_eq!(renewals.take(&key, || 0), Taken::Unknown);
}

#[test]
fn gives_a_message_back_that_is_held_for_hours() {
    let first = receipt(1, 0, 60_000);
    let mut renewals = holding(&first);
    let late = POLICY.total_ms;
    assert_eq!(renewals.step(late, Event::Scan), [Effect::Release { receipt: first, invisible_ms: 10_000 }]);
    assert_eq!(renewals.len(), 0);
}

#[test]
fn whoever_settles_during_a_renewal_gets_the_newest() {
    let first = receipt(1, 0, 60_000);
    let key = DeliveryKey::of(&first);
    let mut renewals = holding(&first);
    renewals.step(55_000, Event::Scan);
    assert_eq!(renewals.take(&key, || 42), Taken::Wait);
    let newer = receipt(2, 55_000, 60_000);
    let resumed = renewals.step(55_100, Event::Renewed { key, receipt: newer.clone() });
    assert_eq!(resumed, [Effect::Resume { waiter: 42, newest: Some(newer) }]);
    assert_eq!(renewals.len(), 0);
}

#[test]
fn tries_three_times_again_but_not_with_a_void_receipt() {
    let first = receipt(1, 0, 60_000);
    let key = DeliveryKey::of(&first);
    let mut renewals = holding(&first);
    for _ in 0..4 {
        assert_eq!(renewals.step(55_000, Event::Scan).len(), 1);
        assert_eq!(renewals.step(55_000, Event::NotRenewed { key: key.clone(), for_good: false }), []);
    }
    assert_eq!(renewals.step(55_000, Event::Scan), []);

    let mut renewals = holding(&first);
    renewals.step(55_000, Event::Scan);
    renewals.step(55_000, Event::NotRenewed { key, for_good: true });
    assert_eq!(renewals.len(), 0);
}

#[test]
fn a_lost_client_gives_everything_back_even_what_is_being_renewed() {
    let first = receipt(1, 0, 60_000);
    let key = DeliveryKey::of(&first);
    let mut renewals = holding(&first);
    let released = [Effect::Release { receipt: first.clone(), invisible_ms: 1_000 }];
    assert_eq!(renewals.step(0, Event::Lost), released);

    let mut renewals = holding(&first);
    renewals.step(55_000, Event::Scan);
    assert_eq!(renewals.take(&key, || 42), Taken::Wait);
    assert_eq!(renewals.step(55_000, Event::Lost), [Effect::Resume { waiter: 42, newest: None }]);
    let newer = receipt(2, 55_000, 60_000);
    let released = [Effect::Release { receipt: newer.clone(), invisible_ms: 1_000 }];
    assert_eq!(renewals.step(55_100, Event::Renewed { key, receipt: newer }), released);
}

#[test]
fn the_table_is_bounded() {
    let mut renewals = Renewals::<u32>::new(POLICY);
    let many = (0..5).map(|n| HandedOut { receipt: receipt(n, 0, 60_000), retry_ms: 0 }).collect();
    renewals.step(0, Event::Delivered(many));
    assert_eq!(renewals.len(), 3);
}
