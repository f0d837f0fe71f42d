//! The machine over made-up looks: each trouble is found with its reason, and what is well is not named.

use model::admin::{HealthItem, Trouble};
use model::{GroupName, TopicName};

use super::alerts::{AlertState, Alerts};
use super::config::HealthConfig;
use super::judge::Judge;
use super::sample::{
    Failing, GroupSample, NodeSample, ProducerSample, ProgressSample, QueueSample, Reader, Sample,
    TopicSample,
};

const STEP_MS: i64 = 5_000;

fn topic() -> TopicName {
    TopicName::new("orders").expect("legal")
}

fn progress(lag: u64, arrived: u64, acked: u64) -> ProgressSample {
    let queue = |queue| QueueSample { queue, in_flight: 0, signs: acked };
    ProgressSample {
        topic: topic(),
        subscribers: 2,
        readers: Vec::new(),
        queues: 4,
        arrived,
        acked,
        lag,
        in_flight: lag.min(10),
        oldest_ms: (lag > 0).then_some(0),
        behind: if lag > 0 { vec![queue(0), queue(3)] } else { Vec::new() },
    }
}

fn group(progress: ProgressSample) -> GroupSample {
    let name = GroupName::new("billing").expect("legal");
    GroupSample { name, topics: vec![progress], failed: 0, worst: None, dead_letters: 0 }
}

/// Judges as many looks as asked for; `sample` makes each from its number.
fn judged(looks: u64, sample: impl Fn(u64) -> Sample) -> Vec<HealthItem> {
    let (config, mut judge) = (HealthConfig::default(), Judge::default());
    let mut items = Vec::new();
    for look in 0..looks {
        let now_ms = i64::try_from(look).expect("few") * STEP_MS;
        items = judge.on_sample(&config, &Sample { now_ms, ..sample(look) }).items;
    }
    items
}

fn of_group(look: impl Fn(u64) -> GroupSample) -> impl Fn(u64) -> Sample {
    move |at| Sample { groups: vec![look(at)], ..Sample::default() }
}

fn only(items: &[HealthItem], trouble: Trouble) -> &HealthItem {
    assert_eq!(items.iter().map(|item| item.trouble).collect::<Vec<_>>(), [trouble], "{items:#?}");
    &items[0]
}

#[test]
fn what_moves_is_well() {
    let items = judged(10, of_group(|at| group(progress(50, 100 * at, 100 * at))));
    assert!(items.is_empty(), "{items:#?}");
}

#[test]
fn a_queue_without_a_sign_of_life_is_stuck() {
    assert!(judged(3, of_group(|at| group(progress(50, 100 * at, 7)))).is_empty(), "not yet");
    let items = judged(4, of_group(|at| group(progress(50, 100 * at, 7))));
    let item = only(&items, Trouble::StuckConsumer);
    assert!(item.reason.contains("50 messages in topic orders wait in 2 of 4 queues"), "{}", item.reason);
    assert!(item.reason.contains("for 15 s"), "{}", item.reason);
    assert_eq!((item.since_ms, item.score), (15_000, 70));
    let longer = judged(12, of_group(|at| group(progress(50, 100 * at, 7))));
    assert!(longer[0].score > item.score && longer[0].since_ms == 15_000);
}

#[test]
fn nobody_there_is_no_stuck_consumer_but_lag_in_time() {
    let alone = |at| {
        let progress = ProgressSample { subscribers: 0, in_flight: 0, ..progress(5, at, 0) };
        Sample { groups: vec![group(progress)], ..Sample::default() }
    };
    assert!(judged(10, alone).is_empty());
    let items = judged(61, alone);
    assert!(only(&items, Trouble::Lag).reason.contains("no consumer is there"), "{}", items[0].reason);
}

#[test]
fn more_in_than_out_is_slow() {
    let items = judged(4, of_group(|at| group(progress(900 + 450 * at, 500 * at, 50 * at))));
    let item = only(&items, Trouble::SlowConsumer);
    assert!(
        item.reason.contains("100 a second come into topic orders, 10 are worked off"),
        "{}",
        item.reason
    );
    assert!(item.reason.contains("90 more each second"), "{}", item.reason);
    let shrinking = judged(4, of_group(|at| group(progress(9_000 - 450 * at, 500 * at, 950 * at))));
    assert!(shrinking.is_empty(), "{shrinking:#?}");
}

#[test]
fn unequal_shares_are_told_when_they_last() {
    let readers = |most, least| {
        vec![
            Reader { client_id: "a".to_owned(), queues: most },
            Reader { client_id: "b".to_owned(), queues: least },
        ]
    };
    let shared = |most, least| {
        move |at: u64| {
            group(ProgressSample { readers: readers(most, least), ..progress(0, 10 * at, 10 * at) })
        }
    };
    assert!(judged(10, of_group(shared(2, 1))).is_empty(), "one more is fair");
    assert!(judged(3, of_group(shared(4, 0))).is_empty(), "they may be sharing just now");
    let items = judged(4, of_group(shared(4, 0)));
    let item = only(&items, Trouble::ImbalancedGroup);
    assert!(
        item.reason.contains("a reads 4 of 4 queues and b reads 0 for 15 s; 1 read none"),
        "{}",
        item.reason
    );
}

#[test]
fn a_message_that_fails_again_and_again_is_poison() {
    let failing = |attempts| {
        move |at: u64| {
            let (message_id, topic) = ("A1".to_owned(), "orders".to_owned());
            let worst = Some(Failing { message_id, topic, attempts, at_ms: 0 });
            GroupSample { worst, failed: at, ..group(progress(0, 9 * at, 9 * at)) }
        }
    };
    assert!(judged(2, of_group(failing(2))).is_empty());
    let items = judged(2, of_group(failing(3)));
    let item = only(&items, Trouble::PoisonMessage);
    assert!(item.reason.contains("message A1 of topic orders failed 3 times"), "{}", item.reason);
    assert!(item.reason.contains("of the last 10 deliveries 1 failed"), "{}", item.reason);
    assert!(judged(200, of_group(failing(3))).is_empty(), "it has not failed for long");
}

#[test]
fn new_dead_letters_are_told_for_a_while() {
    let dead =
        |at: u64| GroupSample { dead_letters: if at == 0 { 5 } else { 7 }, ..group(progress(0, 0, 0)) };
    let items = judged(2, of_group(dead));
    assert!(only(&items, Trouble::DeadLetters).reason.contains("2 new dead letters"), "{}", items[0].reason);
    assert!(judged(1, of_group(dead)).is_empty(), "what was there before is not new");
    assert!(judged(200, of_group(dead)).is_empty(), "old ones are known");
}

#[test]
fn one_queue_with_most_of_the_messages_is_hot() {
    let ends = |growth: [u64; 4]| {
        move |at: u64| {
            let ends = growth.iter().map(|growth| growth * at).collect();
            Sample { topics: vec![TopicSample { name: topic(), ends }], ..Sample::default() }
        }
    };
    let items = judged(4, ends([10, 910, 10, 10]));
    let item = only(&items, Trouble::HotQueue);
    assert!(item.reason.contains("queue 1 of 4 took 96 % of what was sent"), "{}", item.reason);
    assert!(judged(4, ends([300, 300, 300, 400])).is_empty());
    assert!(judged(4, ends([0, 20, 0, 0])).is_empty(), "too few to tell");
}

#[test]
fn a_client_that_is_refused_is_throttled() {
    let refused = |calls| {
        move |_| {
            let why = "topic orders is over its quota of send_messages_per_s 5".to_owned();
            let sample = ProducerSample { name: "c1".to_owned(), topic: topic(), why, calls };
            Sample { producers: vec![sample], ..Sample::default() }
        }
    };
    let items = judged(3, refused(5));
    let item = only(&items, Trouble::ThrottledProducer);
    assert!(item.reason.contains("15 of its sends to topic orders were refused"), "{}", item.reason);
    assert!(item.reason.contains("send_messages_per_s 5"), "{}", item.reason);
    assert!(judged(1, refused(5)).is_empty());
}

#[test]
fn late_timers_and_a_full_disk_are_of_the_node() {
    let node = |late: u64, used| {
        move |at: u64| {
            let node = NodeSample {
                name: "apogee-0".to_owned(),
                disk_used_percent: Some(used),
                disk_refuse_percent: 85,
                fired: 10 * at,
                late_ms: 10 * late * at,
            };
            Sample { node, ..Sample::default() }
        }
    };
    assert!(judged(3, node(100, 50)).is_empty());
    let items = judged(3, node(6_000, 50));
    assert!(only(&items, Trouble::TimersLate).reason.contains("6 s late on average"), "{}", items[0].reason);
    assert_eq!(only(&judged(1, node(0, 75)), Trouble::Disk).score, 50);
    assert_eq!(only(&judged(1, node(0, 90)), Trouble::Disk).score, 100);
}

#[test]
fn the_riskiest_is_first_and_the_worst_topic_speaks_for_its_group() {
    let sample = |at: u64| {
        let mut group = group(progress(50, at, 7));
        group
            .topics
            .push(ProgressSample { topic: TopicName::new("other").expect("legal"), ..progress(10, at, 7) });
        group.dead_letters = at;
        Sample { groups: vec![group], ..Sample::default() }
    };
    let items = judged(10, sample);
    let troubles: Vec<_> = items.iter().map(|item| item.trouble).collect();
    assert_eq!(troubles, [Trouble::DeadLetters, Trouble::StuckConsumer]);
    assert!(items[0].score >= items[1].score);
}

#[test]
fn a_trouble_is_told_once_when_it_comes_and_once_when_it_is_gone() {
    let (config, mut judge, mut alerts) = (HealthConfig::default(), Judge::default(), Alerts::default());
    let mut told = Vec::new();
    for look in 0..12_u64 {
        let now_ms = i64::try_from(look).expect("few") * STEP_MS;
        let acked = if look < 6 { 7 } else { look };
        let groups = vec![group(progress(50, look, acked))];
        let report = judge.on_sample(&config, &Sample { now_ms, groups, ..Sample::default() });
        for alert in alerts.on_report(&config, &report) {
            told.push((look, alert.state, alert.item.trouble));
        }
    }
    assert_eq!(
        told,
        [(3, AlertState::Firing, Trouble::StuckConsumer), (8, AlertState::Resolved, Trouble::StuckConsumer)]
    );
}
