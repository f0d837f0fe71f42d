//! What other crates rely on: which parts may go to other threads.

use model::Lsn;

use crate::{CheckpointDone, CheckpointJob, LogReader, MergeJob, Store, ViewsReader};

fn sendable<T: Send>() {}
fn shared<T: Send + Sync + Clone>() {}
fn sendable_value<T: Send>(_: &T) {}

#[test]
fn the_owner_may_move_and_readers_may_be_shared() {
    sendable::<Store>();
    sendable::<CheckpointJob>();
    sendable::<CheckpointDone>();
    sendable::<MergeJob>();
    shared::<LogReader>();
    shared::<ViewsReader>();
    let reads = |reader: &LogReader| {
        let mut out = Vec::new();
        sendable_value(&reader.read_many(&[(Lsn(1), 1)], &mut out));
    };
    let _ = reads;
}
