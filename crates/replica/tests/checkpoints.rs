//! When a group writes a checkpoint by itself.

use base::Doors;
use model::{Lsn, StreamId};
use replica::limits::{CHECKPOINT_CHANGES_MAX, CHECKPOINT_CHANGES_QUIET};
use replica::{ApplyError, Decision, Group, Machine, Proposal, ReplicaConfig, Submission};
use store::{NewEntry, RecordRef, Repair, StoreConfig, Views, ViewsReader};

/// A command appends to so many streams.
struct Many;

fn append(views: &mut Views, lsn: Lsn, streams: u64) {
    for stream in 0..streams {
        let entry = NewEntry { lsn, len: 1, tag: 0, time_ms: 0, count: 1, flags: 0 };
        views.append(StreamId(stream), entry);
    }
}

impl Machine for Many {
    type Command = u64;
    type Outcome = ();

    fn restore(&mut self, _: &ViewsReader) -> Result<(), ApplyError> {
        Ok(())
    }

    fn apply(&mut self, views: &mut Views, record: &RecordRef<'_>) -> Result<(), ApplyError> {
        let streams = record.payload.try_into().map(u64::from_le_bytes).expect("eight bytes were placed");
        append(views, record.lsn, streams);
        Ok(())
    }

    fn propose(&mut self, streams: u64, proposal: &mut Proposal<'_>) -> Decision<()> {
        let placed = proposal.push(1, |_, out| out.extend_from_slice(&streams.to_le_bytes()));
        append(proposal.views, placed.lsn, streams);
        Decision::Committed(())
    }

    fn tick(&mut self, _: &mut Proposal<'_>) {}

    fn next_due_ms(&self, _: i64) -> Option<i64> {
        None
    }

    fn committed(&mut self, _: Lsn) {}

    fn checkpoint(&mut self, _: &mut Views) {}
}

struct Test {
    group: Group<Many>,
    now_ms: i64,
    _folder: tempfile::TempDir,
}

impl Test {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (config, store) = (ReplicaConfig::default(), StoreConfig::default());
        let group = Group::open(&Doors::system(), folder.path(), config, &store, Repair::Refuse, Many);
        Self { group: group.expect("opens"), now_ms: 1_000_000, _folder: folder }
    }

    fn append_to(&mut self, streams: u64) {
        self.group.step(self.now_ms, &mut vec![Submission { command: streams, reply: None, bytes: 8 }]);
    }

    /// So many seconds go by; what runs in the background comes to its end.
    fn seconds(&mut self, seconds: i64) {
        for _ in 0..seconds {
            self.now_ms += 1_000;
            self.group.tick(self.now_ms);
            while self.group.background_runs() && !self.group.is_fenced() {
                std::thread::yield_now();
                self.group.tick(self.now_ms);
            }
        }
    }

    fn has_checkpoint(&mut self) -> bool {
        let store = self.group.store();
        store.views.checkpoint_lsn() == store.log.end()
    }
}

#[test]
fn many_changes_are_a_reason_however_short_the_log_is() {
    let mut test = Test::new();
    test.append_to(CHECKPOINT_CHANGES_MAX - 1);
    test.seconds(1);
    assert!(!test.has_checkpoint());
    test.append_to(1);
    test.seconds(1);
    assert!(test.has_checkpoint());
    assert_eq!(test.group.store().views.changes(), 0);
}

#[test]
fn a_quiet_log_is_a_reason_once_it_is_worth_it() {
    let mut test = Test::new();
    test.append_to(CHECKPOINT_CHANGES_QUIET - 1);
    test.seconds(20);
    assert!(!test.has_checkpoint(), "few changes can wait");
    test.append_to(1);
    test.seconds(3);
    assert!(!test.has_checkpoint(), "it was written a moment ago");
    test.seconds(5);
    assert!(test.has_checkpoint());
}
