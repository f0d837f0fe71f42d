//! Tests of the interest table, the last of them with threads.

use std::future::{pending, ready};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::*;

const STREAM: StreamId = StreamId(7);
const OTHER: StreamId = StreamId(8);

const fn tagged(tag: u32) -> Touch {
    Touch::Entry { tag }
}

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(future)
}

/// Whether it has been woken by now.
fn woken(waiter: &mut Waiter) -> bool {
    block_on(waiter.wait(ready(())))
}

fn table() -> Arc<Interest> {
    Arc::new(Interest::new(1_000))
}

fn receivers(interest: &Arc<Interest>, count: usize) -> Vec<Waiter> {
    let enter = |_| interest.register_receiver(&[STREAM], None, 1).expect("room");
    (0..count).map(enter).collect()
}

fn count_woken(waiters: &mut [Waiter]) -> usize {
    waiters.iter_mut().map(woken).filter(|woken| *woken).count()
}

#[test]
fn a_commit_before_the_wait_is_not_lost() {
    let interest = table();
    let mut waiter = interest.register(&[OTHER, STREAM], None).expect("room");
    interest.on_committed(&[(STREAM, tagged(5))]);
    assert!(woken(&mut waiter));
    assert!(!woken(&mut waiter), "a wake-up counts once");
    interest.on_committed(&[(STREAM, tagged(5)), (OTHER, tagged(5)), (STREAM, tagged(6))]);
    assert!(woken(&mut waiter));
    assert!(!woken(&mut waiter), "several make one");
}

#[test]
fn a_commit_during_the_look_is_not_lost() {
    let interest = table();
    let mut waiter = interest.register_receiver(&[STREAM], None, 1).expect("room");
    interest.on_committed(&[(STREAM, tagged(0))]);
    assert!(woken(&mut waiter));
    interest.on_committed(&[(STREAM, tagged(0))]);
    assert!(woken(&mut waiter), "it was looking, and nobody else is there");
}

#[test]
fn only_wanted_tags_wake() {
    let interest = table();
    let mut waiter = interest.register(&[STREAM], Some(&[-3, 3])).expect("room");
    interest.on_committed(&[(STREAM, tagged(5)), (OTHER, tagged(3))]);
    assert!(!woken(&mut waiter));
    interest.on_committed(&[(STREAM, tagged(5)), (STREAM, tagged((-3_i32).cast_unsigned()))]);
    assert!(woken(&mut waiter));
    interest.on_committed(&[(STREAM, tagged(0)), (STREAM, Touch::Cursor)]);
    assert!(!woken(&mut waiter), "no tag is none of them");
}

#[test]
fn a_change_of_place_wakes_receivers_of_every_filter_and_no_reader() {
    let interest = table();
    let mut reader = interest.register(&[STREAM], None).expect("room");
    let mut all = interest.register_receiver(&[STREAM], None, 1).expect("room");
    let mut tags = interest.register_receiver(&[STREAM], Some(&[4]), 2).expect("room");
    interest.on_committed(&[(STREAM, Touch::Cursor)]);
    assert!(!woken(&mut reader));
    assert!(woken(&mut all) && woken(&mut tags));
}

#[test]
fn a_filter_without_tags_wants_none() {
    let interest = table();
    let mut waiter = interest.register(&[STREAM], Some(&[])).expect("room");
    interest.on_committed(&[(STREAM, tagged(5))]);
    assert!(!woken(&mut waiter));
}

#[test]
fn a_dropped_waiter_leaves_nothing_behind() {
    let interest = Arc::new(Interest::new(1));
    let waiter = interest.register(&[STREAM, OTHER], None).expect("room");
    assert_eq!(interest.register(&[STREAM], None).err(), Some(TooManyWaiting));
    drop(waiter);
    assert_eq!(interest.waiting(), 0);
    assert_eq!(interest.seats.load(Ordering::Relaxed), 0);
    assert!(interest.shards.iter().all(|shard| shard.lock().is_empty()));
    assert!(interest.register(&[STREAM], None).is_ok());
}

#[test]
fn a_full_stream_takes_no_more_and_forgets_those_it_refused() {
    let interest = Arc::new(Interest::new(usize::MAX));
    let mut waiters: Vec<_> =
        (0..WAITERS_PER_STREAM_MAX).map(|_| interest.register(&[STREAM], None).expect("room")).collect();
    assert_eq!(interest.register(&[OTHER, STREAM], None).err(), Some(TooManyWaiting));
    assert!(!interest.shard(OTHER).lock().contains_key(&OTHER));
    assert_eq!(interest.waiting(), WAITERS_PER_STREAM_MAX);
    waiters.swap_remove(77);
    assert!(interest.register(&[STREAM], None).is_ok());
    interest.on_committed(&[(STREAM, tagged(0))]);
    assert_eq!(count_woken(&mut waiters), waiters.len());
}

#[test]
fn all_readers_wake_but_one_receiver_per_entry() {
    let interest = table();
    let mut readers: Vec<_> = (0..5).map(|_| interest.register(&[STREAM], None).expect("room")).collect();
    let mut ours = receivers(&interest, 5);
    let mut theirs = vec![interest.register_receiver(&[STREAM], None, 2).expect("room")];
    interest.on_committed(&[(STREAM, tagged(1)), (STREAM, tagged(1))]);
    assert_eq!(count_woken(&mut readers), 5);
    assert_eq!(count_woken(&mut ours), 2);
    assert_eq!(count_woken(&mut theirs), 1);
}

#[test]
fn receivers_wake_in_turn() {
    let interest = table();
    let mut waiters = receivers(&interest, 3);
    for turn in 0..7 {
        interest.on_committed(&[(STREAM, tagged(0))]);
        let awake: Vec<_> = waiters.iter_mut().map(woken).collect();
        let expected: Vec<_> = (0..3).map(|place| place == turn % 3).collect();
        assert_eq!(awake, expected, "turn {turn}");
        // They find nothing and wait again.
        assert_eq!(count_woken(&mut waiters), 0);
    }
}

#[test]
fn only_entries_that_a_contest_wants_count() {
    let interest = table();
    let enter = |_| interest.register_receiver(&[STREAM], Some(&[4]), 1).expect("room");
    let mut waiters: Vec<_> = (0..3).map(enter).collect();
    interest.on_committed(&[(STREAM, tagged(1)), (STREAM, tagged(4)), (STREAM, tagged(9))]);
    assert_eq!(count_woken(&mut waiters), 1);
}

#[test]
fn who_goes_without_looking_passes_the_wake_up_on() {
    let interest = table();
    let mut waiters = receivers(&interest, 3);
    interest.on_committed(&[(STREAM, tagged(0))]);
    drop(waiters.remove(0));
    assert!(woken(&mut waiters[0]), "the next has it");
    drop(waiters.remove(0));
    assert!(woken(&mut waiters[0]), "it was cancelled while it looked");
    waiters.remove(0).done();
    assert_eq!(interest.waiting(), 0);
}

#[test]
fn who_is_done_or_found_nothing_passes_nothing_on() {
    let interest = table();
    let mut waiters = receivers(&interest, 3);
    interest.on_committed(&[(STREAM, tagged(0)), (STREAM, tagged(0))]);
    assert!(woken(&mut waiters[0]) && woken(&mut waiters[1]));
    waiters.remove(0).done();
    assert!(!woken(&mut waiters[0]), "found nothing, waits again");
    drop(waiters.remove(0));
    assert!(!woken(&mut waiters[0]));
}

#[test]
fn a_wake_up_after_the_last_look_is_passed_on_even_by_one_that_is_done() {
    let interest = table();
    let mut first = receivers(&interest, 1).remove(0);
    interest.on_committed(&[(STREAM, tagged(0))]);
    assert!(woken(&mut first));
    interest.on_committed(&[(STREAM, tagged(0))]);
    let mut second = receivers(&interest, 1).remove(0);
    first.done();
    assert!(woken(&mut second));
}

#[test]
fn a_stop_wakes_everybody() {
    let interest = table();
    let mut waiters = receivers(&interest, 3);
    waiters.push(interest.register(&[OTHER], Some(&[1])).expect("room"));
    interest.wake_all();
    assert_eq!(count_woken(&mut waiters), 4);
}

#[test]
fn a_wait_ends_with_its_patience_and_can_be_cancelled() {
    let interest = table();
    let mut waiter = interest.register(&[STREAM], None).expect("room");
    block_on(async {
        let mut wait = Box::pin(waiter.wait(pending()));
        let early = tokio::select! { biased; _ = &mut wait => true, () = ready(()) => false };
        assert!(!early);
        interest.on_committed(&[(STREAM, tagged(0))]);
    });
    assert!(woken(&mut waiter), "the cancelled wait lost nothing");
}

/// A queue as receivers see it: they take one message at a time, and sleep when there is none.
struct Queue {
    interest: Arc<Interest>,
    ready: AtomicUsize,
    taken: AtomicUsize,
    stopped: AtomicBool,
}

impl Queue {
    fn take(&self) -> bool {
        let taken = self
            .ready
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |ready| ready.checked_sub(1))
            .is_ok();
        self.taken.fetch_add(usize::from(taken), Ordering::AcqRel);
        taken
    }

    /// One call: takes a message, or waits for one. Every third is cancelled as soon as it wakes.
    async fn receive(&self, streams: &[StreamId], round: usize) {
        let mut waiter = self.interest.register_receiver(streams, None, 1).expect("room");
        while !self.stopped.load(Ordering::Acquire) {
            if self.take() {
                if self.ready.load(Ordering::Acquire) == 0 {
                    waiter.done();
                }
                return;
            }
            waiter.wait(pending()).await;
            if round.is_multiple_of(3) {
                return;
            }
        }
    }
}

/// Eight receivers, two publishers: if a wake-up were lost, the last messages would lie unread.
#[test]
fn nothing_is_left_lying_under_contention() {
    const MESSAGES: usize = 20_000;
    let queue = Queue {
        interest: table(),
        ready: AtomicUsize::new(0),
        taken: AtomicUsize::new(0),
        stopped: AtomicBool::new(false),
    };
    let streams = [STREAM, OTHER];
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let calls = async {
                    let mut round = 0;
                    while !queue.stopped.load(Ordering::Acquire) {
                        queue.receive(&streams, round).await;
                        round += 1;
                    }
                };
                block_on(calls);
            });
        }
        for stream in streams {
            let queue = &queue;
            scope.spawn(move || {
                for _ in 0..MESSAGES / 2 {
                    queue.ready.fetch_add(1, Ordering::Release);
                    queue.interest.on_committed(&[(stream, tagged(0))]);
                }
            });
        }
        let done = || queue.taken.load(Ordering::Acquire) == MESSAGES;
        let tries =
            (0..1_000).take_while(|_| !done()).map(|_| std::thread::sleep(Duration::from_millis(10))).count();
        queue.stopped.store(true, Ordering::Release);
        queue.interest.wake_all();
        assert!(tries < 1_000, "{} of {MESSAGES} were taken", queue.taken.load(Ordering::Acquire));
    });
}

#[test]
fn fifty_thousand_wait_and_one_wakes() {
    let interest = Arc::new(Interest::new(100_000));
    let streams = |n: u64| [StreamId(n), StreamId(n + 100_000)];
    let mut waiters: Vec<_> =
        (0..50_000).map(|n| interest.register(&streams(n), None).expect("room")).collect();
    interest.on_committed(&[(StreamId(77), tagged(0))]);
    assert_eq!(count_woken_without_runtimes(&mut waiters), 1);
    drop(waiters);
    assert!(interest.shards.iter().all(|shard| shard.lock().is_empty()));
}

fn count_woken_without_runtimes(waiters: &mut [Waiter]) -> usize {
    block_on(async {
        let mut woken = 0;
        for waiter in waiters {
            woken += usize::from(waiter.wait(ready(())).await);
        }
        woken
    })
}
