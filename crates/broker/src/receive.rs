//! `receive`: hands out messages that nobody of the group holds.
//!
//! The caller's thread chooses: it claims a queue's cursor (one receiver at a time), reads index
//! entries from the cursor's place, filters them, and only then asks the group's thread to record
//! the delivery. If the cursor moved meanwhile the choice is void and made again.

use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use model::limits::{IN_FLIGHT_PER_QUEUE_MAX, RECEIVE_MESSAGES_MAX};
use model::verbs::{Receive, ReceiveError, Received, StartFrom};
use model::{Delivery, Lsn, Offset, QueueId, Receipt, Session, StoredMessage, StreamId, TopicName};
use smallvec::SmallVec;
use store::{Boundary, Entry};
use tokio::sync::OwnedMutexGuard;

use crate::broker::Broker;
use crate::error::Failed;
use crate::fetch::choose;
use crate::interest::Waiter;
use crate::limits::{
    ANSWER_BYTES_MAX, ENTRIES_PER_LOOK, QUEUES_PER_RECEIVE_MAX, RETRY_FIRST_PERCENT, WAIT_MS_MAX,
    YOUNG_QUEUE_BYTES,
};
use crate::machine::command::{Command, DeliverCommand, Outcome};
use crate::machine::cursor::Ordered;
use crate::machine::records::DeliverPart;
use crate::machine::state::{CursorCell, CursorKey, Group, Topic};
use crate::resolve::{ResolveError, RetryView, read_entries};
use crate::selector::Selector;

/// One call's fixed facts.
struct Call<'a> {
    request: &'a Receive,
    group: Arc<Group>,
    selector: Arc<Selector>,
    ordered: bool,
    sources: Vec<Source>,
}

/// A queue that a call may take from.
#[derive(Clone)]
struct Source {
    topic: Arc<Topic>,
    queue: QueueId,
    stream: StreamId,
}

/// A cursor that no other receiver looks at meanwhile.
struct Claimed {
    cell: Arc<CursorCell>,
    claim: OwnedMutexGuard<()>,
}

/// What was chosen from one queue.
struct Choice {
    source: Source,
    expected: u64,
    part: DeliverPart,
    messages: Vec<StoredMessage>,
    cell: Arc<CursorCell>,
    /// Keeps other receivers away until the delivery is recorded.
    _claim: OwnedMutexGuard<()>,
}

impl Broker {
    pub(crate) async fn do_receive(
        &self,
        session: &Session,
        request: Receive,
    ) -> Result<Received, ReceiveError> {
        let mut call = self.check_receive(&request)?;
        let until = self.monotonic_ms() + request.wait_ms.clamp(0, WAIT_MS_MAX);
        self.add_retries(&mut call).await?;
        // Registered before looking: what is committed after a look wakes the wait.
        let mut waiter = self.register(&call)?;
        loop {
            let (received, wake_at_ms) = self.take(&call).await?;
            let left_ms = until - self.monotonic_ms();
            let found = received.deliveries.len();
            let Some(waiting) = waiter.as_mut().filter(|_| found == 0 && left_ms > 0) else {
                // An answer that is full leaves messages behind: dropping the waiter wakes another.
                if let Some(waiter) = waiter.filter(|_| found < request.max_messages as usize) {
                    waiter.done();
                }
                return Ok(received);
            };
            // A queue that is blocked in order comes free without a commit.
            let blocked_ms = wake_at_ms.map_or(left_ms, |at| (at - self.now_ms()).clamp(1, left_ms));
            self.wait(waiting, left_ms.min(blocked_ms), session).await;
        }
    }

    /// Receivers with the same wish compete: each message wakes one of them.
    fn register(&self, call: &Call<'_>) -> Result<Option<Waiter>, ReceiveError> {
        let request = call.request;
        if request.wait_ms <= 0 {
            return Ok(None);
        }
        let mut contest = std::hash::DefaultHasher::new();
        (&request.group, &request.topic, &request.filter, request.queue).hash(&mut contest);
        let streams: Vec<StreamId> = call.sources.iter().map(|source| source.stream).collect();
        let waiter = self.interest.register_receiver(&streams, call.selector.tag_hashes(), contest.finish());
        waiter.map(Some).map_err(|_| ReceiveError::TooManyWaiting { max: self.config.waiting_max })
    }

    fn check_receive<'a>(&self, request: &'a Receive) -> Result<Call<'a>, ReceiveError> {
        let max = RECEIVE_MESSAGES_MAX;
        if request.max_messages == 0 || request.max_messages > max {
            return Err(ReceiveError::BatchSize { asked: request.max_messages, max });
        }
        let no_topic = || ReceiveError::TopicNotFound(request.topic.clone());
        let topic = self.state.topic(&request.topic).ok_or_else(no_topic)?;
        let no_group = || ReceiveError::GroupNotFound(request.group.clone());
        let group = self.state.group(&request.group).ok_or_else(no_group)?;
        if !group.config.consume_enabled {
            return Err(ReceiveError::GroupDisabled(request.group.clone()));
        }
        if !topic.config.permission.readable() {
            return Err(ReceiveError::NotReadable(request.topic.clone()));
        }
        let queues = topic.config.read_queues;
        let selector =
            self.selectors.get(&request.filter).map_err(|error| ReceiveError::Filter(error.to_string()))?;
        let source = |queue| Source { topic: Arc::clone(&topic), queue, stream: topic.stream(queue) };
        let sources = match request.queue {
            Some(queue) if queue.get() < queues => vec![source(queue)],
            Some(queue) => {
                return Err(ReceiveError::QueueOutOfRange { topic: request.topic.clone(), queue, queues });
            }
            None => {
                let first = topic.turn.fetch_add(1, Ordering::Relaxed);
                let taken = (queues as usize).min(QUEUES_PER_RECEIVE_MAX);
                let numbers = (0..queues).map(|i| QueueId((first.wrapping_add(i)) % queues.max(1)));
                numbers.take(taken).map(source).collect()
            }
        };
        let ordered = request.ordered.unwrap_or(group.config.ordered);
        Ok(Call { request, group, selector, ordered, sources })
    }

    /// The group's retries of the topic are looked at first in some calls, last in most. Their
    /// topic is made before the first delivery, so that a waiting receiver waits for it too.
    async fn add_retries(&self, call: &mut Call<'_>) -> Result<(), ReceiveError> {
        if call.request.topic.is_retry() || call.ordered {
            return Ok(());
        }
        let name = TopicName::receive_retry_of(&call.group.config.name, &call.request.topic);
        let topic = self.ensure_topic(name, 1).await?;
        let stream = topic.stream(QueueId(0));
        let source = Source { topic, queue: QueueId(0), stream };
        if self.doors.chance.below(100) < RETRY_FIRST_PERCENT {
            call.sources.insert(0, source);
        } else {
            call.sources.push(source);
        }
        Ok(())
    }

    /// Takes what is there. Also tells when a queue that is blocked in order will come free.
    async fn take(&self, call: &Call<'_>) -> Result<(Received, Option<i64>), ReceiveError> {
        let mut choices: Vec<Choice> = Vec::new();
        let mut left = call.request.max_messages as usize;
        let mut wake_at_ms: Option<i64> = None;
        let mut contended: Option<&Source> = None;
        for source in &call.sources {
            if left == 0 {
                break;
            }
            let cell = self.cursor_of(call, source).await?;
            let Ok(claim) = Arc::clone(&cell.claim).try_lock_owned() else {
                contended = contended.or(Some(source));
                continue;
            };
            if let Some(choice) =
                self.choose_from(call, source, Claimed { cell, claim }, left, &mut wake_at_ms).await?
            {
                left -= choice.messages.len();
                choices.push(choice);
            }
        }
        if let Some(source) = contended.filter(|_| left == call.request.max_messages as usize) {
            // Another receiver is at it: wait for it to finish, then look at what it left.
            let cell = self.cursor_of(call, source).await?;
            let claim = Arc::clone(&cell.claim).lock_owned().await;
            choices.extend(
                self.choose_from(call, source, Claimed { cell, claim }, left, &mut wake_at_ms).await?,
            );
        }
        Ok((self.hand_out(call, choices).await?, wake_at_ms))
    }

    /// The group's cursor in a queue; a first contact is recorded, so that what comes after it is
    /// not missed.
    async fn cursor_of(&self, call: &Call<'_>, source: &Source) -> Result<Arc<CursorCell>, ReceiveError> {
        let key = CursorKey { group_id: call.group.id, stream: source.stream };
        if let Some(cell) = self.state.cursor(key) {
            return Ok(cell);
        }
        let start = if source.topic.config.name.is_retry() { StartFrom::First } else { call.request.start };
        let offset = self.start_offset(source.stream, start)?;
        self.propose(Command::StartCursor { key, offset }, 32).await?;
        self.state.cursor(key).ok_or_else(|| ReceiveError::TopicNotFound(call.request.topic.clone()))
    }

    /// Where a group without progress starts.
    pub(crate) fn start_offset(&self, stream: StreamId, start: StartFrom) -> Result<u64, Failed> {
        let bounds = self.bounds(stream)?;
        match start {
            StartFrom::First => Ok(bounds.min),
            StartFrom::Time(time_ms) => self.offset_by_time(stream, time_ms, Boundary::Lower),
            StartFrom::Last if self.holds_first_message(stream)? => Ok(0),
            StartFrom::Last => Ok(bounds.max),
        }
    }

    /// The queue is young: it has its very first message yet, not far from the end of the log (or
    /// none at all). RocketMQ starts new groups of such a queue at 0 even when they ask for the end.
    pub(crate) fn holds_first_message(&self, stream: StreamId) -> Result<bool, Failed> {
        let bounds = self.bounds(stream)?;
        if bounds.min > 0 || bounds.max == 0 {
            return Ok(bounds.max == 0);
        }
        let mut first: Vec<Entry> = Vec::with_capacity(1);
        self.entries(stream, 0, 1, &mut first)?;
        let end = self.log.end().get();
        Ok(first.first().is_some_and(|entry| end.saturating_sub(entry.lsn.get()) <= YOUNG_QUEUE_BYTES))
    }

    async fn choose_from(
        &self,
        call: &Call<'_>,
        source: &Source,
        Claimed { cell, claim }: Claimed,
        left: usize,
        wake_at_ms: &mut Option<i64>,
    ) -> Result<Option<Choice>, ReceiveError> {
        let attempt_id = call.request.attempt_id.as_deref().unwrap_or_default();
        let (expected, room, again) = {
            let cursor = cell.cursor.lock();
            let again = if call.ordered { Some(cursor.ordered(self.now_ms(), attempt_id)) } else { None };
            (cursor.next, IN_FLIGHT_PER_QUEUE_MAX.saturating_sub(cursor.in_flight.len()), again)
        };
        let mut entries: Vec<Entry> = Vec::new();
        match again {
            Some(Ordered::Blocked { until_ms }) => {
                *wake_at_ms = Some(wake_at_ms.map_or(until_ms, |at| at.min(until_ms)));
                return Ok(None);
            }
            Some(Ordered::Again(offsets)) => {
                for offset in offsets.into_iter().take(left) {
                    self.entries(source.stream, offset, 1, &mut entries)?;
                }
            }
            None => {}
        }
        let repeated = entries.len();
        let bounds = self.bounds(source.stream)?;
        let from = expected.max(bounds.min);
        let want = left.min(room);
        let plain = call.selector.takes_all();
        let mut next = from;
        if repeated < want {
            let step = if plain { want - repeated } else { ENTRIES_PER_LOOK };
            self.entries(source.stream, from, step, &mut entries)?;
            if let Some(last) = entries.get(repeated..).and_then(<[Entry]>::last) {
                next = last.offset + u64::from(last.count.max(1));
            }
        }
        let chosen = choose(&entries, &call.selector, want, ANSWER_BYTES_MAX);
        if let Some(stopped) = chosen.stopped_before {
            next = stopped.max(from);
        }
        if next == expected && chosen.entries.is_empty() {
            return Ok(None);
        }
        let (offsets, messages) = self.read_chosen(call, &chosen.entries).await?;
        let part = DeliverPart { stream: source.stream, next, offsets };
        Ok(Some(Choice { source: source.clone(), expected, part, messages, cell, _claim: claim }))
    }

    async fn read_chosen(
        &self,
        call: &Call<'_>,
        entries: &[Entry],
    ) -> Result<(Vec<u64>, Vec<StoredMessage>), ReceiveError> {
        let mut offsets = Vec::with_capacity(entries.len());
        let mut messages = Vec::with_capacity(entries.len());
        let read = read_entries(&self.log, &self.state, entries, RetryView::Original).await;
        for (entry, message) in entries.iter().zip(read) {
            match message {
                Ok(message) if call.selector.matches(message.properties()) => {
                    offsets.push(entry.offset);
                    messages.push(message);
                }
                Ok(_) | Err(ResolveError::Gone) => {}
                Err(ResolveError::Data(error)) => return Err(ReceiveError::Data(error)),
            }
        }
        Ok((offsets, messages))
    }

    async fn hand_out(&self, call: &Call<'_>, choices: Vec<Choice>) -> Result<Received, ReceiveError> {
        let invisible_ms = call.request.invisible_ms;
        let mut received =
            Received { deliveries: Vec::new(), delivered_ms: self.now_ms(), invisible_ms, rest: 0 };
        if choices.is_empty() {
            return Ok(received);
        }
        let parts: SmallVec<[(u64, DeliverPart); 1]> =
            choices.iter().map(|choice| (choice.expected, choice.part.clone())).collect();
        let command = DeliverCommand {
            group_id: call.group.id,
            invisible_ms,
            attempt_id: call.request.attempt_id.clone().unwrap_or_default(),
            ordered: call.ordered,
            parts,
        };
        let delivered = match self.propose(Command::Deliver(command), 64 * choices.len()).await? {
            Outcome::Delivered(delivered) => delivered,
            other => return Err(Failed::unexpected(&other).into()),
        };
        received.delivered_ms = delivered.delivered_ms;
        for (choice, accepted) in choices.into_iter().zip(&delivered.accepted) {
            if *accepted {
                let bounds = self.bounds(choice.source.stream)?;
                received.rest += bounds.max.saturating_sub(choice.part.next);
                deliver(call, choice, delivered.nonce, delivered.delivered_ms, &mut received.deliveries);
            }
        }
        Ok(received)
    }
}

fn deliver(call: &Call<'_>, choice: Choice, nonce: Lsn, delivered_ms: i64, out: &mut Vec<Delivery>) {
    let Choice { source, part, messages, cell, .. } = choice;
    let attempts: Vec<u32> = if call.ordered {
        let cursor = cell.cursor.lock();
        part.offsets.iter().map(|o| cursor.in_flight.get(o).map_or(1, |held| held.attempt)).collect()
    } else {
        vec![1; part.offsets.len()]
    };
    for ((offset, message), attempt) in part.offsets.iter().zip(messages).zip(attempts) {
        let earlier = message.reconsume_times().saturating_add(attempt - 1);
        let message = if attempt > 1 { message.with_reconsume_times(earlier) } else { message };
        let receipt = Receipt {
            group: call.request.group.clone(),
            topic: source.topic.config.name.clone(),
            queue: source.queue,
            offset: Offset(*offset),
            nonce,
            delivered_ms,
            invisible_ms: call.request.invisible_ms,
        };
        out.push(Delivery { message, receipt, attempt: earlier.saturating_add(1) });
    }
}
