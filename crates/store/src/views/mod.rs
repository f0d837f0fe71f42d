//! Views: everything that is derived from the log, so that it can be looked up.
//!
//! - **streams**: sorted sequences of small entries, each with an offset that grows from 0;
//! - **objects**: small values by key, the latest wins;
//! - **keys**: positions of records by the hash of a key.
//!
//! One owner changes them in the order of the log; any thread reads through [`ViewsReader`].
//! What has changed since the last checkpoint is in memory; the rest is in run files.
//!
//! ```text
//! append -> current --checkpoint_begin--> frozen --run--> run file, manifest --finish--> (gone)
//! read   <- current, frozen, run files; newest first decides
//! ```
//!
//! Invariants: a checkpoint holds exactly what was applied below its position; offsets of a
//! stream are dense; what a reader finds does not depend on where the data is at that moment.
//!
//! Reading order: [`entry`], `live`, `directory`, `run_writer`, `run`, `manifest`, [`job`],
//! `merge`, [`reader`].

pub(crate) mod ahead;
pub(crate) mod directory;
pub mod entry;
pub(crate) mod filter;
pub(crate) mod hash;
mod idle_ends;
pub mod job;
pub(crate) mod key_file;
pub(crate) mod live;
pub(crate) mod live_objects;
pub(crate) mod manifest;
pub(crate) mod merge;
pub(crate) mod object_block;
pub mod reader;
pub(crate) mod run;
pub(crate) mod run_writer;
pub(crate) mod shared;

use std::cell::Cell;
use std::marker::PhantomData;
use std::path::Path;
use std::sync::{Arc, Weak};

use base::Doors;
use bytes::Bytes;
use model::{Lsn, StreamId};

use self::entry::NewEntry;
use self::job::{CheckpointDone, CheckpointJob, MergeDone, MergeJob, Token};
use self::live::{End, LiveStream};
use self::manifest::Manifest;
use self::reader::ViewsReader;
use self::shared::ViewsShared;
use crate::config::StoreConfig;
use crate::error::{OpenError, ReadError};
use crate::limits::{OBJECT_KEY_BYTES_MAX, OBJECT_VALUE_BYTES_MAX};
use crate::log::shared::LogShared;
use crate::patience::Patience;

/// The owner's side of the views.
pub struct Views {
    shared: Arc<ViewsShared>,
    /// Alive while a checkpoint or a merge is under way.
    checkpointing: Weak<Token>,
    merging: Weak<Token>,
    /// Where the checkpoint under way will stand.
    pending: Option<Lsn>,
    /// What the two generations in memory take.
    cost: LiveCost,
    /// Made since the last checkpoint began, and those that it holds while it is under way.
    changes: u64,
    frozen_changes: u64,
    /// One owner: see `live` for why a second thread must not look up ends.
    _one_thread: PhantomData<Cell<()>>,
}

/// Memory of what no run file holds yet, in bytes, counted as it comes: tables and lists that grow
/// by doubling count twice, so that it is never less than what is taken.
#[derive(Debug, Clone, Copy, Default)]
struct LiveCost {
    current: usize,
    /// What a checkpoint is writing.
    frozen: usize,
}

impl LiveCost {
    const ENTRY: usize = 2 * size_of::<entry::Entry>();
    const STREAM: usize = 2 * size_of::<(u64, LiveStream)>();
    const KEY: usize = 2 * (size_of::<live_objects::KeyEntry>() + size_of::<u32>() + size_of::<(u64, u32)>());
    /// A node of the tree of objects, for one of them.
    const OBJECT: usize = 2 * (size_of::<(Box<[u8]>, Option<Bytes>)>() + size_of::<Bytes>());

    const fn freeze(&mut self) {
        self.frozen += self.current;
        self.current = 0;
    }
}

impl std::fmt::Debug for Views {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Views(checkpoint {})", self.checkpoint_lsn())
    }
}

impl Views {
    pub(crate) fn open(
        doors: &Doors,
        dir: &Path,
        config: &StoreConfig,
        manifest: Manifest,
        log: Arc<LogShared>,
    ) -> Result<Self, OpenError> {
        let shared = ViewsShared::open(doors, dir, config, manifest, log)?;
        Ok(Self {
            shared: Arc::new(shared),
            checkpointing: Weak::new(),
            merging: Weak::new(),
            pending: None,
            cost: LiveCost::default(),
            changes: 0,
            frozen_changes: 0,
            _one_thread: PhantomData,
        })
    }

    // ---- streams

    /// Adds an entry to a stream and returns the offset it got.
    ///
    /// If the stream's end must be looked up in a run file and that fails, the log is fenced:
    /// nothing that depends on a wrong offset can be appended or flushed any more.
    pub fn append(&mut self, stream: StreamId, entry: NewEntry) -> u64 {
        debug_assert!(entry.count > 0, "an entry takes at least one offset");
        let id = stream.get();
        self.cost.current += LiveCost::ENTRY;
        self.changes += 1;
        let mut shard = self.shared.live.shard(id).write();
        if let Some(live) = shard.current.get_mut(&id) {
            let offset = live.end.next_offset;
            live.push(entry.at(offset));
            return offset;
        }
        let end = match shard.end(id) {
            Some(end) => end,
            None => {
                drop(shard);
                let end = self.end_from_runs(id);
                shard = self.shared.live.shard(id).write();
                end
            }
        };
        let mut live = LiveStream { end, ..LiveStream::default() };
        live.push(entry.at(end.next_offset));
        shard.current.insert(id, live);
        self.cost.current += LiveCost::STREAM;
        end.next_offset
    }

    /// The offset that the next entry of a stream will get.
    #[must_use]
    pub fn next_offset(&self, stream: StreamId) -> u64 {
        self.end(stream.get()).next_offset
    }

    /// The time of a stream's last entry; 0 if it never had one.
    #[must_use]
    pub fn last_time_ms(&self, stream: StreamId) -> i64 {
        self.end(stream.get()).last_time_ms
    }

    /// Both at once: the offset of the next entry, and the time of the last one.
    #[must_use]
    pub fn next_place(&self, stream: StreamId) -> (u64, i64) {
        let End { next_offset, last_time_ms } = self.end(stream.get());
        (next_offset, last_time_ms)
    }

    fn end(&self, stream: u64) -> End {
        let known = self.shared.live.shard(stream).read().end(stream);
        known.unwrap_or_else(|| {
            let end = self.end_from_runs(stream);
            self.shared.live.shard(stream).write().remember_end(stream, end);
            end
        })
    }

    fn end_from_runs(&self, stream: u64) -> End {
        self.shared.end_in_runs(stream, Patience::Wait).unwrap_or_else(|error| {
            self.shared.log.fence(format!("the end of stream {stream} cannot be read: {error}"));
            End::default()
        })
    }

    /// To be called before a replay of so many bytes. A long one meets most streams: then their ends
    /// are learned in one pass over the directories of the run files, which takes a tenth of what
    /// looking each of them up by itself takes.
    ///
    /// # Errors
    /// If a run file cannot be read.
    pub fn learn_ends(&mut self, replay_bytes: u64) -> Result<(), ReadError> {
        self.shared.learn_ends(replay_bytes)
    }

    /// Forgets a stream with all its entries; its offsets begin at 0 again.
    pub fn drop_stream(&mut self, stream: StreamId) {
        self.cost.current += LiveCost::STREAM;
        self.changes += 1;
        self.shared.live.shard(stream.get()).write().drop_stream(stream.get());
    }

    // ---- objects and keys

    /// Sets an object. The latest value wins.
    ///
    /// # Panics
    /// If key or value are longer than [`crate::limits`] allows.
    pub fn put_object(&mut self, key: &[u8], value: &[u8]) {
        assert!(key.len() <= OBJECT_KEY_BYTES_MAX, "an object's key is bounded by OBJECT_KEY_BYTES_MAX");
        assert!(
            value.len() <= OBJECT_VALUE_BYTES_MAX,
            "an object's value is bounded by OBJECT_VALUE_BYTES_MAX"
        );
        self.cost.current += LiveCost::OBJECT + key.len() + value.len();
        self.changes += 1;
        self.shared.objects.set(key, Some(Bytes::copy_from_slice(value)));
    }

    /// Removes an object, if there is one.
    pub fn remove_object(&mut self, key: &[u8]) {
        self.cost.current += LiveCost::OBJECT + key.len();
        self.changes += 1;
        self.shared.objects.set(key, None);
    }

    /// Makes the record at `lsn` findable by a key's hash.
    pub fn index_key(&mut self, hash: u64, lsn: Lsn, time_ms: i64) {
        self.cost.current += LiveCost::KEY;
        self.shared.keys.push(hash, lsn, time_ms);
    }

    // ---- checkpoints and merges

    /// Memory of what no checkpoint holds yet, in bytes: at most so much, and not much less.
    #[must_use]
    pub const fn live_bytes(&self) -> usize {
        self.cost.current + self.cost.frozen
    }

    /// The log position that the durable views stand at: a replay begins here.
    #[must_use]
    pub fn checkpoint_lsn(&self) -> Lsn {
        self.shared.log.checkpoint()
    }

    /// Changes of streams and objects that no checkpoint holds: what memory they take, and the work of
    /// a replay, grow with them.
    #[must_use]
    pub const fn changes(&self) -> u64 {
        self.changes + self.frozen_changes
    }

    /// Takes what has changed since the last checkpoint, to be written by the job on any thread.
    /// `at`: everything below is applied, nothing above; committed, and the end of a frame.
    /// After a job that failed, simply begin again.
    ///
    /// # Panics
    /// If another checkpoint is under way.
    pub fn checkpoint_begin(&mut self, at: Lsn) -> CheckpointJob {
        assert!(self.checkpointing.strong_count() == 0, "one checkpoint at a time");
        self.adopt();
        let token = Arc::new(Token);
        self.checkpointing = Arc::downgrade(&token);
        self.pending = Some(at);
        self.cost.freeze();
        self.frozen_changes += std::mem::take(&mut self.changes);
        CheckpointJob::new(Arc::clone(&self.shared), at, token)
    }

    /// Makes a written checkpoint the current one.
    pub fn checkpoint_finish(&mut self, done: CheckpointDone) {
        drop(done);
        self.adopt();
    }

    /// Forgets what the run files hold by now.
    fn adopt(&mut self) {
        if let Some(at) = self.pending
            && self.shared.durable_checkpoint() >= at
        {
            self.pending = None;
            self.cost.frozen = 0;
            self.frozen_changes = 0;
            self.shared.drop_frozen();
            self.shared.log.set_checkpoint(at);
        }
    }

    /// True while a checkpoint is under way.
    #[must_use]
    pub fn is_checkpointing(&self) -> bool {
        self.checkpointing.strong_count() > 0
    }

    /// Work that would make reads cheaper or free space, if there is any and none is under way.
    /// Ask after each checkpoint.
    pub fn merge_begin(&mut self) -> Option<MergeJob> {
        if self.merging.strong_count() > 0 {
            return None;
        }
        let token = Arc::new(Token);
        self.merging = Arc::downgrade(&token);
        MergeJob::pick(&self.shared, token)
    }

    /// Ends a merge.
    pub fn merge_finish(&mut self, done: MergeDone) {
        drop(done);
    }

    /// Forgets everything above the last checkpoint, after the log was cut. Returns the position
    /// from which to replay.
    ///
    /// # Panics
    /// If a checkpoint is under way that has not been written yet: wait for its job first.
    pub fn rewind(&mut self) -> Lsn {
        assert!(self.checkpointing.strong_count() == 0, "no checkpoint while the log is cut");
        self.adopt();
        if self.pending.take().is_some() {
            // A failed checkpoint left its part in memory; the log still has it.
            self.shared.drop_frozen();
        }
        self.cost = LiveCost::default();
        (self.changes, self.frozen_changes) = (0, 0);
        self.shared.live.rewind();
        self.shared.objects.rewind();
        self.shared.keys.rewind();
        self.checkpoint_lsn()
    }

    /// A number that is equal for equal content: streams with what they hold at or above the
    /// log's start, and objects. Does not depend on the layout of the files. Reads everything. A
    /// damaged file makes it differ and is logged.
    #[must_use]
    pub fn state_hash(&self) -> u64 {
        match hash::state_hash(&self.shared) {
            Ok(hash) => hash,
            Err(error) => {
                tracing::error!(%error, "the state cannot be hashed");
                filter::hash_bytes(error.to_string().as_bytes())
            }
        }
    }

    /// Like [`Self::state_hash`], but says what went wrong.
    pub fn try_state_hash(&self) -> Result<u64, ReadError> {
        hash::state_hash(&self.shared)
    }

    /// A view for readers.
    #[must_use]
    pub fn reader(&self) -> ViewsReader {
        ViewsReader::new(Arc::clone(&self.shared))
    }
}

#[cfg(test)]
mod tests;
