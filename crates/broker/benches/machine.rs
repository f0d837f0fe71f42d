//! What the machine's small parts cost: a cursor, the timers' index, a filter. `cargo bench -p broker`.

use broker::machine::cursor::Cursor;
use broker::machine::due::{Due, MinuteEntry, Waiting};
use broker::machine::records::DeliverPart;
use broker::selector::Selector;
use divan::Bencher;
use divan::counter::ItemsCount;
use model::{Filter, FilterKind, Lsn, StreamId};

fn main() {
    divan::main();
}

const BATCH: u64 = 32;

/// 32 messages are handed out and acknowledged, while so many others are in flight.
#[divan::bench(args = [0, 1_000, 9_000])]
fn cursor_deliver_and_settle(bencher: Bencher<'_, '_>, in_flight: u64) {
    let mut cursor = Cursor::starting_at(0);
    let part = |from: u64, count: u64| DeliverPart {
        stream: StreamId(1),
        next: from + count,
        offsets: (from..from + count).collect(),
        keys: Vec::new(),
        waiting: Vec::new(),
        passed: Vec::new(),
    };
    cursor.deliver(&part(0, in_flight), Lsn(1), 60_000, 0);
    let mut next = in_flight;
    bencher.counter(ItemsCount::new(BATCH)).bench_local(|| {
        let part = part(next, BATCH);
        cursor.deliver(&part, Lsn(next), 60_000, 0);
        for offset in &part.offsets {
            cursor.settle(*offset);
        }
        next += BATCH;
        cursor.committed()
    });
}

/// Timers that arrive in the minutes of a month.
#[divan::bench(sample_count = 20)]
fn timers_arrive(bencher: Bencher<'_, '_>) {
    const TIMERS: u64 = 10_000;
    const MONTH_MS: u64 = 30 * 86_400_000;
    bencher.counter(ItemsCount::new(TIMERS)).with_inputs(Due::default).bench_local_values(|mut due| {
        for n in 0..TIMERS {
            let due_ms = (n * 2_654_435_761 % MONTH_MS).cast_signed();
            due.on_arrived(Waiting { due_ms, lsn: Lsn(n + 1), len: 300 });
        }
        due
    });
}

/// Timers of one minute that fire.
#[divan::bench(sample_count = 20)]
fn timers_fire(bencher: Bencher<'_, '_>) {
    const TIMERS: u64 = 10_000;
    let waiting =
        |n: u64| Waiting { due_ms: 60_000 + (n * 7_919 % 60_000).cast_signed(), lsn: Lsn(n + 1), len: 300 };
    let loaded = || {
        let mut due = Due::default();
        (0..TIMERS).for_each(|n| due.on_arrived(waiting(n)));
        let entries: Vec<MinuteEntry> =
            (0..TIMERS).map(|n| MinuteEntry::Waiting { offset: n, waiting: waiting(n) }).collect();
        let (_, _from) = due.to_load(120_000).expect("a minute is due");
        due.on_loaded(&entries, TIMERS);
        due
    };
    bencher.counter(ItemsCount::new(TIMERS)).with_inputs(loaded).bench_local_values(|mut due| {
        while let Some(next) = due.next(200_000) {
            due.on_fired(next.due_ms, next.lsn);
        }
        due
    });
}

const PROPERTIES: &str = "TAGS\u{1}paid\u{2}KEYS\u{1}order-77\u{2}region\u{1}eu\u{2}amount\u{1}120\u{2}\
                          UNIQ_KEY\u{1}7F0000010A2B18B4AAC2123456780000\u{2}";

#[divan::bench(args = [
    "region = 'eu'",
    "region IN ('us', 'eu') AND amount BETWEEN 100 AND 200 AND TAGS IS NOT NULL",
])]
fn filter_by_sql(bencher: Bencher<'_, '_>, expression: &str) {
    let filter = Filter { kind: FilterKind::Sql92, expression: expression.to_owned() };
    let selector = Selector::compile(&filter).expect("legal");
    assert!(selector.matches(PROPERTIES), "the message is wanted");
    bencher.counter(ItemsCount::new(1_usize)).bench_local(|| selector.matches(divan::black_box(PROPERTIES)));
}
