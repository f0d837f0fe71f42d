//! What may be asked of the machine, and what it answers.

use std::sync::Arc;

use model::group::OrderBy;
use model::verbs::Hide;
use model::{GroupConfig, GroupName, Lsn, Offset, StreamId, TopicConfig, TopicName};
use smallvec::{SmallVec, smallvec};

use super::access::AccessChange;
use super::clients::ClientName;
use super::dedup::Identity;
use super::due::Minute;
use super::quotas::QuotaChange;
use super::records::{DeliverPart, EncodedBatch, EncodedMessage, Release};
use super::state::{CursorKey, Group, Topic};

/// A wish to change state.
#[derive(Debug)]
pub enum Command {
    /// Messages for one queue.
    Publish {
        stream: StreamId,
        messages: SmallVec<[EncodedMessage; 1]>,
    },
    /// Messages for one queue, of which those that were sent before are not stored again.
    PublishOnce(PublishOnce),
    /// A batch for one queue, stored as it came.
    PublishBatch {
        stream: StreamId,
        batch: EncodedBatch,
    },
    /// Messages for lite topics.
    PublishLite(super::lite::LitePublish),
    /// Lite topics end.
    EndLite(super::lite::LiteEnd),
    /// Messages for one queue, each later.
    PublishDue {
        stream: StreamId,
        messages: SmallVec<[DueMessage; 1]>,
    },
    /// A half message.
    PublishHalf(NewHalf),
    /// The outcome of a half message.
    EndHalf(EndHalf),
    /// A message for a queue, by its cron expression from `due_ms` on.
    PublishRecurring {
        stream: StreamId,
        message: EncodedMessage,
        due_ms: i64,
    },
    /// Cancel timed messages that were found to wait.
    CancelDue(CancelDueCommand),
    /// In which minutes something waits.
    DueMinutes {
        first: i64,
        max: usize,
    },
    /// Hand out messages that the caller has chosen.
    Deliver(Box<DeliverCommand>),
    /// Take back what was handed out to a caller that had gone.
    Release(Release),
    Ack(SmallVec<[AckItem; 1]>),
    Extend {
        item: AckItem,
        hide: Hide,
    },
    /// A reference to a message into a retry queue, later.
    SendBack(SendBackCommand),
    /// A copy into the dead letters; ends a delivery if there is one.
    DeadLetter {
        stream: StreamId,
        message: EncodedMessage,
        settles: Option<AckItem>,
    },
    CommitOffset {
        key: CursorKey,
        offset: u64,
        /// Who says so.
        client: Option<ClientName>,
    },
    StartCursor {
        key: CursorKey,
        offset: u64,
    },
    Seek {
        group_id: u32,
        to: Vec<(StreamId, u64)>,
    },
    TopicPut {
        config: TopicConfig,
        mode: PutMode,
    },
    TopicDelete {
        name: TopicName,
    },
    GroupPut {
        config: GroupConfig,
        mode: PutMode,
    },
    GroupDelete {
        name: GroupName,
        clean_offsets: bool,
    },
    KeyValuePut {
        namespace: String,
        key: String,
        value: Option<String>,
    },
    Quota(QuotaChange),
    Access(AccessChange),
    /// Changes nothing; answered after everything that was asked before.
    Barrier,
    /// Changes nothing; answered when everything that was asked before is committed.
    CommittedBarrier,
}

/// A message and when it is due. What is due already is placed at once.
#[derive(Debug)]
pub struct DueMessage {
    pub message: EncodedMessage,
    pub due_ms: i64,
}

impl Command {
    /// One message for a queue, later.
    #[must_use]
    pub fn publish_due(stream: StreamId, message: EncodedMessage, due_ms: i64) -> Self {
        Self::PublishDue { stream, messages: smallvec![DueMessage { message, due_ms }] }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutMode {
    /// Refuse if it exists.
    Create,
    /// Make or change.
    Put,
    /// Leave as it is if it exists.
    Ensure,
}

/// What a look into the log found under a hash.
#[derive(Debug, Clone)]
pub struct CancelDueCommand {
    pub hash: u64,
    /// The look saw everything below this.
    pub seen: Lsn,
    pub found: SmallVec<[DueFound; 1]>,
}

/// Something that waited, and the offset of its entry in the stream of its minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DueFound {
    pub due_ms: i64,
    pub lsn: Lsn,
    pub offset: u64,
}

#[derive(Debug, Clone)]
pub struct DeliverCommand {
    pub group_id: u32,
    /// Who is handed it.
    pub client: Option<ClientName>,
    pub invisible_ms: i64,
    pub attempt_id: String,
    /// In which order, if in one.
    pub order: Option<OrderBy>,
    /// Each with the cursor's `next` that the choice was made at.
    pub parts: SmallVec<[(u64, DeliverPart); 1]>,
}

#[derive(Debug)]
pub struct PublishOnce {
    pub topic_id: u32,
    pub window_ms: i64,
    pub stream: StreamId,
    /// Those without an identity are always stored.
    pub messages: Vec<(EncodedMessage, Option<Identity>)>,
}

/// Where a message stands that may have been sent before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlacedOnce {
    pub placed: PlacedMessage,
    pub stream: StreamId,
    /// The place is that of the first one.
    pub repeats: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AckItem {
    pub key: CursorKey,
    pub offset: u64,
    pub nonce: Lsn,
}

#[derive(Debug, Clone, Copy)]
pub struct SendBackCommand {
    pub stream: StreamId,
    pub tag: u32,
    pub group_id: u32,
    pub original: Lsn,
    pub original_len: u32,
    pub reconsume_times: u32,
    pub delay_ms: i64,
}

/// A half message, encoded as it stands in the half topic.
#[derive(Debug)]
pub struct NewHalf {
    /// The queue that it is for.
    pub stream: StreamId,
    pub group: GroupName,
    /// What it is found by: see [`super::halves::half_hash`]; 0 if it has no unique id.
    pub key: u64,
    pub bytes: Vec<u8>,
    /// Until a producer is asked for the first time.
    pub check_after_ms: i64,
}

#[derive(Debug)]
pub struct EndHalf {
    pub lsn: Lsn,
    pub outcome: HalfOutcome,
}

#[derive(Debug)]
pub enum HalfOutcome {
    /// The message becomes visible in its queue, at once or at a time.
    Commit {
        stream: StreamId,
        message: EncodedMessage,
        due_ms: Option<i64>,
    },
    Rollback,
}

/// Where a message was placed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlacedMessage {
    pub offset: Offset,
    pub lsn: Lsn,
    pub stored_ms: i64,
}

/// What became of a command.
#[derive(Debug)]
pub enum Outcome {
    Published(SmallVec<[PlacedMessage; 1]>),
    PublishedOnce(Vec<PlacedOnce>),
    /// Those that were idle, or all that were named.
    LiteEnded(Vec<StreamId>),
    Delivered(Delivered),
    /// One per item: whether its receipt was the newest.
    Acked(SmallVec<[bool; 16]>),
    Extended(Option<Extended>),
    Settled(bool),
    /// How many were cancelled.
    Cancelled(usize),
    DueMinutes(Vec<(i64, Minute)>),
    Topic(Arc<Topic>),
    Group(Arc<Group>),
    Done,
    Refused(Refusal),
}

#[derive(Debug, Clone)]
pub struct Delivered {
    pub nonce: Lsn,
    pub delivered_ms: i64,
    /// One per part: `false` if the cursor had moved on since the choice was made.
    pub accepted: SmallVec<[bool; 1]>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extended {
    pub nonce: Lsn,
    pub delivered_ms: i64,
}

/// Why the machine did nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    DiskFull {
        used_percent: u32,
    },
    /// There are as many lite topics as may be.
    LiteQuota {
        max: u64,
    },
    /// What must be known could not be read now.
    Unreadable,
    Exists,
    NotFound,
    Illegal(String),
    /// As many half messages are undecided as there may be.
    TooManyUndecided {
        max: usize,
    },
    /// What the caller looked at has changed meanwhile: look again.
    Overtaken,
    /// What waits is spread over too many minutes.
    TooManyDueMinutes {
        max: usize,
    },
}
