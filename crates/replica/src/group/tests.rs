//! What bounds the memory of a group: its views before a checkpoint, and commands that wait.

use base::Doors;
use model::StreamId;
use store::config::LIVE_BYTES_MIN;
use store::{NewEntry, RecordRef, Views};

use super::*;
use crate::error::ProposeError;
use crate::machine::ApplyError;

/// Each command indexes so many new streams; 0 brings nothing.
struct Indexer {
    streams: u64,
}

impl Machine for Indexer {
    type Command = u64;
    type Outcome = ();

    fn restore(&mut self, _: &ViewsReader) -> Result<(), ApplyError> {
        Ok(())
    }

    fn apply(&mut self, _: &mut Views, _: &RecordRef<'_>) -> Result<(), ApplyError> {
        Ok(())
    }

    fn propose(&mut self, count: u64, proposal: &mut Proposal<'_>) -> Decision<()> {
        let placed = proposal.push(1, |_, out| out.push(0));
        for _ in 0..count {
            self.streams += 1;
            let entry = NewEntry {
                lsn: placed.lsn,
                len: placed.len,
                tag: 0,
                time_ms: proposal.now_ms,
                count: 1,
                flags: 0,
            };
            proposal.views.append(StreamId(self.streams), entry);
        }
        Decision::Committed(())
    }

    fn brings_new(count: &u64) -> bool {
        *count > 0
    }

    fn tick(&mut self, _: &mut Proposal<'_>) {}

    fn next_due_ms(&self, _: i64) -> Option<i64> {
        None
    }

    fn committed(&mut self, _: Lsn) {}

    fn checkpoint(&mut self, _: &mut Views) {}
}

fn group(dir: &Path, replica: ReplicaConfig) -> (Doors, Group<Indexer>) {
    let doors = Doors::system();
    let store = StoreConfig { live_bytes_max: LIVE_BYTES_MIN, ..StoreConfig::default() };
    let machine = Indexer { streams: 0 };
    let group = Group::open(&doors, dir, replica, &store, Repair::Refuse, machine).expect("a new folder");
    (doors, group)
}

#[test]
fn views_that_fill_memory_are_written_early() {
    let dir = tempfile::tempdir().expect("a folder");
    let (doors, mut group) = group(dir.path(), ReplicaConfig::default());
    while !group.is_memory_short() {
        group.step(doors.clock.now_ms(), &mut vec![Submission { command: 100, reply: None, bytes: 1 }]);
    }
    group.tick(doors.clock.now_ms());
    assert!(group.background_runs(), "a checkpoint has begun");
    assert!(group.is_memory_short(), "what is being written is still in memory");
    while group.background_runs() {
        std::thread::yield_now();
        group.tick(doors.clock.now_ms());
    }
    assert!(!group.is_memory_short(), "what is written is not in memory any more");
}

#[tokio::test]
async fn commands_beyond_the_limit_are_refused_unless_they_end_work() {
    let dir = tempfile::tempdir().expect("a folder");
    let (doors, group) = group(dir.path(), ReplicaConfig { queued_bytes_max: 0, ..ReplicaConfig::default() });
    let (handle, closed) = crate::driver::start(&doors, group).expect("a thread");
    assert!(matches!(handle.propose(1, 10).await, Err(ProposeError::Overloaded)));
    handle.propose(0, 10).await.expect("brings nothing new");
    handle.stop();
    closed.await.expect("it tells").expect("closed in order");
}

#[test]
fn a_flush_interval_that_changes_counts_for_what_waits_already() {
    let dir = tempfile::tempdir().expect("a folder");
    let slow = ReplicaConfig { flush: Flush::Async, flush_interval_ms: 60_000, ..ReplicaConfig::default() };
    let (doors, mut group) = group(dir.path(), slow);
    let now_ms = doors.clock.now_ms();
    group.step(now_ms, &mut vec![Submission { command: 1, reply: None, bytes: 1 }]);
    assert!(group.flush_due(now_ms + 1_000).is_none());
    group.flush_interval_cell().store(500, Ordering::Relaxed);
    assert!(group.flush_due(now_ms + 1_000).is_some());
    assert!(group.next_due_ms(now_ms) <= now_ms + 500);
}
