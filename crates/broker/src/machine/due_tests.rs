use super::*;

fn waiting(due_ms: i64, lsn: u64) -> Waiting {
    Waiting { due_ms, lsn: Lsn(lsn), len: 1 }
}

fn entry(offset: u64, due_ms: i64, lsn: u64) -> MinuteEntry {
    MinuteEntry::Waiting { offset, waiting: waiting(due_ms, lsn) }
}

/// An index in which everything up to a time is loaded.
fn loaded_to(now_ms: i64) -> Due {
    let mut due = Due::default();
    assert_eq!(due.to_load(now_ms), None);
    due
}

fn again(due: &mut Due) -> Due {
    let mut again = Due::default();
    for day in due.take_dirty_days() {
        let mut bytes = Vec::new();
        if due.encode_day(day, &mut Writer(&mut bytes)) {
            again.decode_day(day, &mut Reader(&bytes)).expect("whole");
        }
    }
    again
}

#[test]
fn fires_in_order_of_time_then_position() {
    let mut due = loaded_to(120_000);
    for w in [waiting(500, 30), waiting(400, 20), waiting(500, 10)] {
        due.on_arrived(w);
    }
    let mut order = Vec::new();
    while let Some(w) = due.next(1_000) {
        order.push((w.due_ms, w.lsn.get()));
        due.on_fired(w.due_ms, w.lsn);
    }
    assert_eq!(order, [(400, 20), (500, 10), (500, 30)]);
    assert!(due.is_empty());
}

#[test]
fn what_is_far_is_loaded_when_its_minute_comes() {
    let mut due = loaded_to(0);
    due.on_arrived(waiting(600_000, 1));
    assert_eq!(due.next(600_000), None);
    assert_eq!(due.next_ms(), Some(590_000));
    assert_eq!(due.to_load(595_000), Some((10, 0)));
    due.on_loaded(&[entry(0, 600_000, 1)], 1);
    assert_eq!(due.next(600_000), None, "the minute is not read to its end yet");
    assert_eq!(due.to_load(595_000), Some((10, 1)));
    due.on_loaded(&[], 1);
    assert_eq!(due.to_load(595_000), None);
    assert_eq!(due.next_ms(), Some(600_000));
    assert_eq!(due.on_fired(600_000, Lsn(1)), Some(10));
}

#[test]
fn a_late_arrival_comes_after_what_fired_in_its_minute() {
    let mut due = loaded_to(1_000_000);
    due.on_arrived(waiting(900, 5));
    due.on_arrived(waiting(950, 6));
    due.on_fired(900, Lsn(5));
    assert_eq!(due.effective_ms(100), 900);
    assert_eq!(due.effective_ms(60_100), 60_100);
    let mut again = again(&mut due);
    assert_eq!(again.to_load(0), Some((0, 0)));
    again.on_loaded(&[entry(0, 900, 5), entry(1, 950, 6), entry(2, 900, 7)], 3);
    again.on_loaded(&[], 3);
    assert_eq!(again.next(1_000), Some(waiting(900, 7)));
}

#[test]
fn a_clock_that_was_ahead_does_not_hold_back_what_is_due_earlier() {
    let mut due = loaded_to(0);
    let year_ms = 31_536_000_000;
    due.on_arrived(waiting(year_ms, 1));
    assert_eq!(due.to_load(year_ms), Some((minute_of(year_ms), 0)));
    due.on_loaded(&[entry(0, year_ms, 1)], 1);
    due.on_loaded(&[], 1);
    due.on_fired(year_ms, Lsn(1));
    assert_eq!(due.effective_ms(5_000), 5_000);
    due.on_arrived(waiting(5_000, 2));
    due.on_arrived(waiting(year_ms + 7, 3));
    assert_eq!(due.to_load(1_000), None);
    assert_eq!(due.next(5_000), Some(waiting(5_000, 2)));
    due.on_fired(5_000, Lsn(2));
    assert_eq!(due.next(year_ms * 2), None, "what is far again was unloaded");
    assert_eq!(due.to_load(year_ms), Some((minute_of(year_ms), 0)));
}

#[test]
fn what_is_cancelled_does_not_fire() {
    let mut due = loaded_to(0);
    for lsn in 1..=3 {
        due.on_arrived(waiting(600_000, lsn));
    }
    assert_eq!(due.on_cancelled(600_000, Lsn(2)), None);
    let mut again = again(&mut due);
    assert_eq!(again.to_load(600_000), Some((10, 0)));
    again.on_loaded(&[entry(0, 600_000, 1), entry(1, 600_000, 2)], 2);
    // This one is cancelled while its minute is read.
    assert_eq!(again.on_cancelled(600_000, Lsn(1)), None);
    again.on_loaded(
        &[entry(2, 600_000, 3), MinuteEntry::Cancels { offset: 1 }, MinuteEntry::Cancels { offset: 0 }],
        5,
    );
    again.on_loaded(&[], 5);
    assert_eq!(again.next(600_000), Some(waiting(600_000, 3)));
    assert_eq!(again.is_loaded(600_000, Lsn(2)), Some(false));
    assert_eq!(again.on_cancelled(600_000, Lsn(3)), Some(10));
    assert_eq!(again.next_ms(), None);
}

#[test]
fn what_moved_waits_at_its_new_place_only() {
    let mut due = loaded_to(0);
    due.on_arrived(waiting(600_000, 1));
    due.on_arrived(waiting(600_500, 2));
    assert_eq!(due.oldest_below(Lsn(1)), None);
    assert_eq!(due.oldest_below(Lsn(2)), Some((Lsn(1), 10)));
    due.on_moved(Lsn(1), waiting(600_000, 9));
    due.set_oldest(10, Lsn(2));
    assert_eq!(due.oldest_below(Lsn(2)), None);
    assert!(!due.may_wait(600_000, Lsn(1)) && due.may_wait(600_000, Lsn(9)));
    assert_eq!(due.to_load(600_000), Some((10, 0)));
    due.on_loaded(&[entry(0, 600_000, 1), entry(1, 600_500, 2), entry(2, 600_000, 9)], 3);
    due.on_loaded(&[], 3);
    assert_eq!(due.next(700_000), Some(waiting(600_000, 9)));
    due.on_moved(Lsn(2), waiting(600_500, 20));
    due.on_fired(600_000, Lsn(9));
    assert_eq!(due.next(700_000), Some(waiting(600_500, 20)));
    assert_eq!(due.len(), 1);
}
