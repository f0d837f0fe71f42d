//! A hash of the logical content of the views, for comparing replicas and replays.

use std::sync::Arc;

use super::entry::Entry;
use super::filter::{hash_bytes, mix};
use super::live::{End, LiveStream};
use super::merge::{Merged, ObjectMerge, StreamMerge};
use super::run::Run;
use super::shared::ViewsShared;
use crate::error::ReadError;
use model::Lsn;

struct Fold(u64);

impl Fold {
    fn add(&mut self, value: u64) {
        self.0 = mix(self.0.rotate_left(5) ^ value);
    }

    fn stream(&mut self, stream: u64, end: End, entries: &[Entry], log_start: Lsn) {
        if end.next_offset == 0 {
            return;
        }
        self.add(stream);
        self.add(end.next_offset);
        self.add(end.last_time_ms.cast_unsigned());
        for e in entries.iter().filter(|e| e.lsn >= log_start) {
            self.add(e.offset);
            self.add(e.lsn.get());
            self.add(u64::from(e.len) << 32 | u64::from(e.tag));
            self.add(e.time_ms.cast_unsigned());
            self.add(u64::from(e.count) << 16 | u64::from(e.flags));
        }
    }
}

/// One stream as the runs have it.
fn from_runs(merged: &Merged, entries: &mut Vec<Entry>) -> Result<End, ReadError> {
    for piece in &merged.pieces {
        piece.entries(entries)?;
    }
    let last = merged.pieces.last().map(|p| &p.record);
    Ok(last.map_or_else(End::default, |r| End { next_offset: r.next_offset, last_time_ms: r.last_time_ms }))
}

pub(crate) fn state_hash(shared: &ViewsShared) -> Result<u64, ReadError> {
    let live = shared.live.snapshot();
    let objects = shared.objects.with_prefix(b"");
    let runs = &shared.files().runs;
    let mut fold = Fold(0);
    hash_streams(&mut fold, &live, runs, shared.log.start())?;
    let mut stored = ObjectMerge::new(runs, b"");
    let mut changed = objects.iter().peekable();
    let mut next = stored.next()?;
    loop {
        let take_changed = match (changed.peek(), &next) {
            (None, None) => break,
            (Some((key, _)), Some((stored_key, _))) => ***key <= **stored_key,
            (changed, _) => changed.is_some(),
        };
        if take_changed {
            let Some((key, value)) = changed.next() else { break };
            if next.as_ref().is_some_and(|(k, _)| **k == **key) {
                next = stored.next()?;
            }
            hash_object(&mut fold, key, value.as_deref());
        } else if let Some((key, value)) = next.take() {
            hash_object(&mut fold, &key, value.as_deref());
            next = stored.next()?;
        }
    }
    Ok(fold.0)
}

fn hash_object(fold: &mut Fold, key: &[u8], value: Option<&[u8]>) {
    if let Some(value) = value {
        fold.add(hash_bytes(key));
        fold.add(hash_bytes(value));
    }
}

fn hash_streams(
    fold: &mut Fold,
    live: &[(u64, LiveStream)],
    runs: &[Arc<Run>],
    log_start: Lsn,
) -> Result<(), ReadError> {
    let mut stored = StreamMerge::new(runs);
    let mut live = live.iter().peekable();
    let mut next = stored.next()?;
    let mut entries = Vec::new();
    loop {
        let live_id = live.peek().map(|(id, _)| *id);
        let Some(stream) = live_id.into_iter().chain(next.as_ref().map(|m| m.stream)).min() else { break };
        entries.clear();
        let mut end = End::default();
        if let Some(merged) = next.take_if(|m| m.stream == stream) {
            end = from_runs(&merged, &mut entries)?;
            next = stored.next()?;
        }
        if let Some((_, newer)) = live.next_if(|(id, _)| *id == stream) {
            if newer.reset {
                entries.clear();
            }
            // A checkpoint that is written but not finished is in both.
            let first = newer.entries.first().map_or(u64::MAX, |e| e.offset);
            entries.retain(|e| e.offset < first);
            entries.extend_from_slice(&newer.entries);
            end = newer.end;
        }
        fold.stream(stream, end, &entries, log_start);
    }
    Ok(())
}
