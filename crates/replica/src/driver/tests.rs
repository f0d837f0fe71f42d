use std::path::Path;
use std::sync::atomic::AtomicBool;

use store::{RecordRef, Repair, StoreConfig, Views, ViewsReader};

use super::*;
use crate::config::{Flush, ReplicaConfig};
use crate::machine::{ApplyError, Decision, Proposal};

const KIND: u8 = 1;

/// Remembers the numbers that it was told, in order.
#[derive(Default)]
struct Numbers {
    told: Vec<u64>,
    panics_at: Option<u64>,
    is_checkpointed: Arc<AtomicBool>,
}

impl Machine for Numbers {
    type Command = u64;
    type Outcome = usize;

    fn restore(&mut self, objects: &ViewsReader) -> Result<(), ApplyError> {
        let stored = objects.object(b"told").expect("readable").unwrap_or_default();
        self.told = stored.chunks(8).map(|n| u64::from_le_bytes(n.try_into().expect("8 bytes"))).collect();
        Ok(())
    }

    fn apply(&mut self, _: &mut Views, record: &RecordRef<'_>) -> Result<(), ApplyError> {
        self.told.push(u64::from_le_bytes(record.payload.try_into().expect("8 bytes")));
        Ok(())
    }

    fn propose(&mut self, number: u64, proposal: &mut Proposal<'_>) -> Decision<usize> {
        assert_ne!(Some(number), self.panics_at, "the number that must not come");
        proposal.push(KIND, |_, out| out.extend_from_slice(&number.to_le_bytes()));
        self.told.push(number);
        Decision::Committed(self.told.len())
    }

    fn tick(&mut self, _: &mut Proposal<'_>) {}

    fn next_due_ms(&self, _: i64) -> Option<i64> {
        None
    }

    fn committed(&mut self, _: Lsn) {}

    fn checkpoint(&mut self, views: &mut Views) {
        let bytes: Vec<u8> = self.told.iter().flat_map(|n| n.to_le_bytes()).collect();
        views.put_object(b"told", &bytes);
        self.is_checkpointed.store(true, Ordering::SeqCst);
    }
}

fn open(dir: &Path, flush: Flush, machine: Numbers) -> (Handle<Numbers>, Closed) {
    let doors = Doors::system();
    let config = ReplicaConfig { flush, flush_interval_ms: 1, ..ReplicaConfig::default() };
    let group = Group::open(&doors, dir, config, &StoreConfig::default(), Repair::default(), machine);
    start(&doors, group.expect("opens")).expect("starts")
}

async fn close(handle: Handle<Numbers>, closed: Closed) {
    handle.stop();
    closed.await.expect("told").expect("clean");
}

fn told(dir: &Path) -> Vec<u64> {
    let doors = Doors::system();
    let config = ReplicaConfig::default();
    let machine = Numbers::default();
    let mut group =
        Group::open(&doors, dir, config, &StoreConfig::default(), Repair::default(), machine).expect("opens");
    std::mem::take(&mut group.machine().told)
}

/// Eight callers, each with a thousand numbers that it sends one after the other.
async fn everyone_is_answered(flush: Flush) {
    let dir = tempfile::tempdir().expect("a directory");
    let (handle, closed) = open(dir.path(), flush, Numbers::default());
    let each = if flush == Flush::Sync { 50 } else { 1_000_u64 };
    let call = |caller: u64| {
        let handle = handle.clone();
        async move {
            let mut last = 0;
            for number in 0..each {
                let place = handle.propose(caller << 32 | number, 8).await.expect("answered");
                assert!(place > last, "answers come in order");
                last = place;
            }
        }
    };
    let mut callers = tokio::task::JoinSet::new();
    (0..8).for_each(|caller| drop(callers.spawn(call(caller))));
    assert_eq!(callers.join_all().await.len(), 8);
    close(handle, closed).await;

    let told = told(dir.path());
    for caller in 0..8 {
        let of_caller: Vec<u64> =
            told.iter().filter(|n| *n >> 32 == caller).map(|n| n & 0xFFFF_FFFF).collect();
        assert_eq!(of_caller, (0..each).collect::<Vec<_>>());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn everyone_is_answered_by_turns() {
    everyone_is_answered(Flush::Async).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn everyone_is_answered_by_the_thread() {
    everyone_is_answered(Flush::Sync).await;
}

#[tokio::test]
async fn what_can_run_at_once_shares_a_frame() {
    let dir = tempfile::tempdir().expect("a directory");
    let (handle, closed) = open(dir.path(), Flush::Async, Numbers::default());
    let before = handle.shared.metrics.frames();
    let calls = (0..64).map(|number| {
        let handle = handle.clone();
        async move { handle.propose(number, 8).await }
    });
    let mut all: tokio::task::JoinSet<_> = calls.collect();
    while let Some(answer) = all.join_next().await {
        answer.expect("runs").expect("answered");
    }
    assert!(handle.shared.metrics.frames() - before <= 2, "64 calls took more than two frames");
    close(handle, closed).await;
}

#[tokio::test]
async fn what_waits_at_the_end_is_carried_out() {
    for flush in [Flush::Async, Flush::Sync] {
        let dir = tempfile::tempdir().expect("a directory");
        let (handle, closed) = open(dir.path(), flush, Numbers::default());
        for number in 0..100 {
            handle.propose_only(number, 8).expect("taken");
        }
        close(handle.clone(), closed).await;
        assert!(matches!(handle.propose(7, 8).await, Err(ProposeError::Stopping)));
        assert_eq!(told(dir.path()), (0..100).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_panic_ends_the_group_without_a_checkpoint() {
    for flush in [Flush::Async, Flush::Sync] {
        let dir = tempfile::tempdir().expect("a directory");
        let is_checkpointed = Arc::new(AtomicBool::new(false));
        let machine = Numbers {
            panics_at: Some(13),
            is_checkpointed: Arc::clone(&is_checkpointed),
            ..Numbers::default()
        };
        let (handle, closed) = open(dir.path(), flush, machine);
        handle.propose(1, 8).await.expect("answered");
        assert!(matches!(handle.propose(13, 8).await, Err(ProposeError::Stopping)));
        assert!(!matches!(closed.await, Ok(Ok(()))), "it did not end well");
        assert!(matches!(handle.propose(2, 8).await, Err(ProposeError::Stopping)));
        assert!(!is_checkpointed.load(Ordering::SeqCst), "what a panic left is not kept");
        assert_eq!(told(dir.path()), [1]);
    }
}
