//! After a write that failed, a group commits nothing any more.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base::Clock;
use model::Lsn;
use replica::{ApplyError, Decision, Group, Machine, Proposal, ReplicaConfig, Submission};
use store::{RecordRef, Repair, StoreConfig, Views, ViewsReader};
use testkit::doors::SimDoors;

/// A command places a record that nobody waits for; so does time.
struct Placer {
    is_due: bool,
    is_told: Arc<AtomicBool>,
}

impl Machine for Placer {
    type Command = ();
    type Outcome = ();

    fn restore(&mut self, _: &ViewsReader) -> Result<(), ApplyError> {
        Ok(())
    }

    fn apply(&mut self, _: &mut Views, _: &RecordRef<'_>) -> Result<(), ApplyError> {
        Ok(())
    }

    fn propose(&mut self, (): (), proposal: &mut Proposal<'_>) -> Decision<()> {
        proposal.push(1, |_, out| out.extend_from_slice(&[7; 100]));
        self.is_due = true;
        Decision::Appended(())
    }

    fn tick(&mut self, proposal: &mut Proposal<'_>) {
        proposal.push(1, |_, out| out.extend_from_slice(&[8; 100]));
    }

    fn next_due_ms(&self, now_ms: i64) -> Option<i64> {
        self.is_due.then_some(now_ms)
    }

    fn committed(&mut self, _: Lsn) {
        self.is_told.store(true, Ordering::Relaxed);
    }

    fn checkpoint(&mut self, _: &mut Views) {}
}

#[test]
fn what_time_placed_is_not_committed_when_it_could_not_be_written() {
    let doors = SimDoors::new(1);
    let is_told = Arc::new(AtomicBool::new(false));
    let machine = Placer { is_due: false, is_told: Arc::clone(&is_told) };
    let (config, store) = (ReplicaConfig::default(), StoreConfig::default());
    let group = Group::open(&doors.process(), Path::new("/group"), config, &store, Repair::Refuse, machine);
    let mut group = group.expect("opens");
    let now_ms = doors.clock.now_ms();
    group.step(now_ms, &mut vec![Submission { command: (), reply: None, bytes: 1 }]);
    is_told.store(false, Ordering::Relaxed);
    doors.disk.set_capacity(Some(doors.disk.used_bytes()));
    // A flush of what stands in the log is due, too.
    group.tick(now_ms + 10_000);
    assert!(group.is_fenced());
    assert!(!is_told.load(Ordering::Relaxed), "what was placed is not in the log");
}
