//! The partitions that RocketMQ's strategies give. Those of `CONSISTENT_HASH` were computed by a
//! second, independent implementation.

use super::*;

fn topic() -> TopicName {
    TopicName::new("t").expect("legal")
}

/// Numbers of the queues of each of `clients` (named `a`, `b`, ...).
fn shares(strategy: &str, queues: u32, clients: u8, change: impl Fn(&mut Question<'_>)) -> Vec<Vec<u32>> {
    let ids: Vec<String> = (0..clients).map(|n| char::from(b'a' + n).to_string()).collect();
    let topic = topic();
    let share = |id: &String| {
        let mut question = Question {
            topic: &topic,
            client_id: id,
            clients: ids.iter().rev().cloned().collect(),
            queues: (0..queues).rev().map(|queue| ("b".to_owned(), QueueId(queue))).collect(),
            strategy,
            model: ConsumeModel::Clustering,
            mode: RequestMode::Pull,
            pop_share_queues: 0,
        };
        change(&mut question);
        let share = assign(question).expect("a known strategy");
        share.into_iter().map(|(_, queue)| queue.expect("a queue").get()).collect()
    };
    ids.iter().map(share).collect()
}

fn pulled(strategy: &str, queues: u32, clients: u8) -> Vec<Vec<u32>> {
    shares(strategy, queues, clients, |_| {})
}

fn popped(queues: u32, clients: u8, pop_share_queues: i32) -> Vec<Vec<u32>> {
    shares("AVG", queues, clients, |question| {
        question.mode = RequestMode::Pop;
        question.pop_share_queues = pop_share_queues;
    })
}

#[test]
fn neighbouring_queues_the_first_clients_one_more() {
    assert_eq!(pulled("AVG", 8, 3), [vec![0, 1, 2], vec![3, 4, 5], vec![6, 7]]);
    assert_eq!(pulled("AVG", 8, 2), [vec![0, 1, 2, 3], vec![4, 5, 6, 7]]);
    assert_eq!(pulled("AVG", 4, 3), [vec![0, 1], vec![2], vec![3]]);
    assert_eq!(pulled("AVG", 2, 3), [vec![0], vec![1], vec![]]);
    assert_eq!(pulled("AVG", 3, 3), [[0], [1], [2]]);
    assert_eq!(pulled("AVG", 0, 1), [[0_u32; 0]]);
}

#[test]
fn dealt_round() {
    assert_eq!(pulled("AVG_BY_CIRCLE", 8, 3), [vec![0, 3, 6], vec![1, 4, 7], vec![2, 5]]);
    assert_eq!(pulled("AVG_BY_CIRCLE", 2, 3), [vec![0], vec![1], vec![]]);
}

#[test]
fn on_a_ring() {
    assert_eq!(pulled("CONSISTENT_HASH", 8, 3), [vec![2, 3, 6, 7], vec![0, 1, 5], vec![4]]);
    assert_eq!(hash("a-0"), 2_707_812_305);
}

#[test]
fn every_queue_has_one_reader() {
    for strategy in ["AVG", "AVG_BY_CIRCLE", "CONSISTENT_HASH"] {
        for (queues, clients) in (0..20).flat_map(|queues| (1..20).map(move |clients| (queues, clients))) {
            let mut read = pulled(strategy, queues, clients).concat();
            read.sort_unstable();
            assert_eq!(read, (0..queues).collect::<Vec<_>>(), "{strategy} {queues} {clients}");
        }
    }
}

#[test]
fn queues_are_ordered_by_broker_and_then_by_number() {
    let topic = topic();
    let queue = |broker: &str, queue| (broker.to_owned(), QueueId(queue));
    let question = Question {
        topic: &topic,
        client_id: "a",
        clients: vec!["b".to_owned()],
        queues: vec![queue("y", 0), queue("x", 10), queue("x", 2), queue("x", 2)],
        strategy: "AVG",
        model: ConsumeModel::Clustering,
        mode: RequestMode::Pull,
        pop_share_queues: 0,
    };
    let share = assign(question.clone()).expect("known");
    assert_eq!(
        share,
        [("x".to_owned(), Some(QueueId(2))), ("x".to_owned(), Some(QueueId(10)))],
        "a is counted"
    );
    let popped = assign(Question { mode: RequestMode::Pop, ..question.clone() }).expect("known");
    assert_eq!(popped, [("x".to_owned(), None), ("y".to_owned(), None)]);
    let all = assign(Question { model: ConsumeModel::Broadcasting, ..question.clone() }).expect("known");
    assert_eq!(all.len(), 3);
    let unknown = assign(Question { strategy: "MACHINE_ROOM", ..question });
    assert!(matches!(unknown, Err(MemberError::Unavailable(_))), "{unknown:?}");
}

#[test]
fn sharing_with_neighbours() {
    // Own queues and those of the next one.
    assert_eq!(popped(8, 4, 1), [vec![0, 1, 2, 3], vec![2, 3, 4, 5], vec![4, 5, 6, 7], vec![0, 1, 6, 7]]);
    assert_eq!(popped(3, 3, 1), [vec![0, 1], vec![1, 2], vec![0, 2]]);
    // More clients than queues: one each.
    assert_eq!(popped(2, 5, 1), [[0], [1], [0], [1], [0]]);
    assert_eq!(popped(0, 5, 1), [[0_u32; 0]; 5]);
}

#[test]
fn the_plain_function_agrees() {
    for strategy in ["AVG", "AVG_BY_CIRCLE"] {
        let plain: Vec<_> = (0..3).map(|index| assign_queues(strategy, 8, 3, index)).collect();
        assert_eq!(plain, pulled(strategy, 8, 3));
    }
    assert!(assign_queues("AVG", 8, 0, 0).is_empty() && assign_queues("AVG", 8, 3, 3).is_empty());
}
