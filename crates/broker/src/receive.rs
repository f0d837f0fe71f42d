//! `receive`: hands out messages that nobody of the group holds.
//!
//! The caller's thread chooses: it claims a queue's cursor (one receiver at a time), reads index
//! entries from the cursor's place, filters them, and only then asks the group's thread to record
//! the delivery. If the cursor moved meanwhile the choice is void and made again.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use model::group::OrderBy;
use model::limits::{IN_FLIGHT_PER_QUEUE_MAX, RECEIVE_MESSAGES_MAX};
use model::verbs::{Receive, ReceiveError, Received, StartFrom};
use model::{Delivery, Lsn, Offset, QueueId, Receipt, Session, StoredMessage, StreamId, TopicName};
use smallvec::SmallVec;
use store::{Boundary, Entry};
use tokio::sync::OwnedMutexGuard;

use crate::broker::Broker;
use crate::error::Failed;
use crate::fetch::{candidates, choose};
use crate::interest::Waiter;
use crate::limits::{
    ANSWER_BYTES_MAX, ENTRIES_PER_LOOK, LOOKS_PER_RECEIVE_MAX, QUEUES_PER_RECEIVE_MAX, RETRY_FIRST_PERCENT,
    VOID_CHOICES_MAX, WAIT_MS_MAX, YOUNG_QUEUE_BYTES,
};
use crate::machine::clients::ClientName;
use crate::machine::command::{Command, DeliverCommand, Outcome};
use crate::machine::order::attempt_of;
use crate::machine::records::DeliverPart;
use crate::machine::state::{CursorCell, CursorKey, Group, Topic};
use crate::resolve::{ResolveError, RetryView, read_entries};
use crate::selector::Selector;

/// One call's fixed facts.
pub(crate) struct Call<'a> {
    session: &'a Session,
    pub(crate) request: &'a Receive,
    pub(crate) group: Arc<Group>,
    pub(crate) selector: Arc<Selector>,
    /// In which order, if in one.
    pub(crate) order: Option<OrderBy>,
    pub(crate) sources: Vec<Source>,
    /// Looks in a row that passed entries and found nothing.
    looks: usize,
}

/// What one look at the call's queues leaves open.
#[derive(Debug, Default)]
pub(crate) struct Unfinished {
    /// How many messages may still be taken.
    pub(crate) left: usize,
    /// There may be more for others.
    pub(crate) more: bool,
    /// When something that is blocked in order comes free.
    until_ms: Option<i64>,
    /// A choice did not stand: look again at once.
    void: bool,
    /// Entries are left behind those that were passed.
    behind: bool,
}

impl Unfinished {
    pub(crate) fn wanting(left: usize) -> Self {
        Self { left, ..Self::default() }
    }

    pub(crate) fn wake_at(&mut self, until_ms: Option<i64>) {
        self.until_ms = [self.until_ms, until_ms].into_iter().flatten().min();
    }

    /// A choice did not stand.
    pub(crate) const fn is_void(&self) -> bool {
        self.void
    }
}

/// A queue that a call may take from.
#[derive(Clone)]
pub(crate) struct Source {
    pub(crate) topic: Arc<Topic>,
    pub(crate) queue: QueueId,
    pub(crate) stream: StreamId,
}

/// A cursor that no other receiver looks at meanwhile.
pub(crate) struct Claimed {
    pub(crate) cell: Arc<CursorCell>,
    claim: OwnedMutexGuard<()>,
}

impl Claimed {
    pub(crate) const fn new(cell: Arc<CursorCell>, claim: OwnedMutexGuard<()>) -> Self {
        Self { cell, claim }
    }
}

/// Messages that match.
struct Matching {
    offsets: Vec<u64>,
    messages: Vec<StoredMessage>,
    /// Where the first stands that is above the number wanted.
    left: Option<u64>,
}

/// What was chosen from one queue.
pub(crate) struct Choice {
    source: Source,
    expected: u64,
    part: DeliverPart,
    messages: Vec<StoredMessage>,
    cell: Arc<CursorCell>,
    /// Keeps other receivers away until the delivery is recorded.
    _claim: OwnedMutexGuard<()>,
}

impl Choice {
    pub(crate) fn new(
        source: &Source,
        expected: u64,
        part: DeliverPart,
        messages: Vec<StoredMessage>,
        Claimed { cell, claim }: Claimed,
    ) -> Self {
        Self { source: source.clone(), expected, part, messages, cell, _claim: claim }
    }

    /// How many messages were chosen.
    pub(crate) const fn len(&self) -> usize {
        self.messages.len()
    }
}

impl Broker {
    pub(crate) async fn do_receive(
        &self,
        session: &Session,
        request: Receive,
    ) -> Result<Received, ReceiveError> {
        let mut call = self.check_receive(session, &request)?;
        let until = self.monotonic_ms() + request.wait_ms.clamp(0, WAIT_MS_MAX);
        self.add_retries(&mut call).await?;
        // Registered before looking: what is committed after a look wakes the wait.
        let mut waiter = self.register(&call)?;
        let mut voids = 0;
        loop {
            let (received, unfinished) = self.take(&call).await?;
            let left_ms = until - self.monotonic_ms();
            let found = received.deliveries.len();
            if unfinished.void && found == 0 && voids < VOID_CHOICES_MAX {
                voids += 1;
                continue;
            }
            call.looks = if unfinished.behind && found == 0 { call.looks + 1 } else { 0 };
            if call.looks > 0 && call.looks < LOOKS_PER_RECEIVE_MAX {
                continue;
            }
            let may_wait = found == 0 && left_ms > 0 && call.looks == 0;
            let Some(waiting) = waiter.as_mut().filter(|_| may_wait) else {
                // Dropping the waiter wakes another, for what this one left behind.
                let is_open = unfinished.more || unfinished.void || unfinished.behind;
                let is_all = found < request.max_messages as usize && !is_open;
                if let Some(waiter) = waiter.filter(|_| is_all) {
                    waiter.done();
                }
                return Ok(received);
            };
            // A queue that is blocked in order comes free without a commit.
            let until_ms = unfinished.until_ms;
            let blocked_ms = until_ms.map_or(left_ms, |at| (at - self.now_ms()).clamp(1, left_ms));
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

    pub(crate) fn check_receive<'a>(
        &self,
        session: &'a Session,
        request: &'a Receive,
    ) -> Result<Call<'a>, ReceiveError> {
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
                let taken = (queues as usize).min(QUEUES_PER_RECEIVE_MAX);
                self.queues_in_turn(&topic).take(taken).map(source).collect()
            }
        };
        let ordered = request.ordered.unwrap_or(group.config.ordered);
        let order = ordered.then(|| group.config.order_by());
        Ok(Call { session, request, group, selector, order, sources, looks: 0 })
    }

    /// A topic's queues as a call looks at them: from the highest down if they stand for priorities,
    /// else from any of them on. Not in turn: callers that come in turn would each always begin at
    /// the same one, and the others' queues would starve while that one is never empty.
    fn queues_in_turn(&self, topic: &Topic) -> impl Iterator<Item = QueueId> + use<> {
        let queues = topic.config.read_queues;
        let by_priority = topic.config.is_by_priority();
        let first = if by_priority { 0 } else { self.pick(u64::from(queues)) };
        (0..queues).map(move |i| {
            QueueId(if by_priority { queues - 1 - i } else { first.wrapping_add(i) % queues.max(1) })
        })
    }

    /// The group's retries of the topic are looked at first in some calls, last in most. Their
    /// topic is made before the first delivery, so that a waiting receiver waits for it too.
    async fn add_retries(&self, call: &mut Call<'_>) -> Result<(), ReceiveError> {
        if call.request.topic.is_retry() {
            return Ok(());
        }
        if call.order.is_some() {
            call.sources.extend(self.old_retries(call).await?);
            return Ok(());
        }
        let name = TopicName::receive_retry_of(&call.group.config.name, &call.request.topic);
        let topic = self.ensure_topic(name, 1).await?;
        let stream = topic.stream(QueueId(0));
        let source = Source { topic, queue: QueueId(0), stream };
        let by_priority = call.sources.first().is_some_and(|first| first.topic.config.is_by_priority());
        if !by_priority && self.doors.chance.below(100) < RETRY_FIRST_PERCENT {
            call.sources.insert(0, source);
        } else {
            call.sources.push(source);
        }
        Ok(())
    }

    /// What a group that is ordered now was to get again before it was: in order, retries come from
    /// the queue itself.
    async fn old_retries(&self, call: &Call<'_>) -> Result<Option<Source>, ReceiveError> {
        let name = TopicName::receive_retry_of(&call.group.config.name, &call.request.topic);
        let Some(topic) = self.state.topic(&name) else { return Ok(None) };
        let stream = topic.stream(QueueId(0));
        let cell = self.state.cursor(CursorKey { group_id: call.group.id, stream });
        let first = cell.map_or(0, |cell| cell.cursor.lock().committed());
        let is_empty = first >= self.bounds(stream).await?.max;
        Ok((!is_empty).then_some(Source { topic, queue: QueueId(0), stream }))
    }

    /// Takes what is there.
    async fn take(&self, call: &Call<'_>) -> Result<(Received, Unfinished), ReceiveError> {
        let mut choices: Vec<Choice> = Vec::new();
        let max = call.request.max_messages as usize;
        let mut unfinished = Unfinished { left: max, ..Unfinished::default() };
        let mut contended: Option<&Source> = None;
        let again = self.handed_before(call);
        for source in again.as_deref().unwrap_or(&call.sources) {
            if unfinished.left == 0 || (call.is_one_by_one() && again.is_none() && !choices.is_empty()) {
                unfinished.more = true;
                break;
            }
            let cell = self.cursor_of(call, source).await?;
            let Ok(claim) = Arc::clone(&cell.claim).try_lock_owned() else {
                contended = contended.or(Some(source));
                continue;
            };
            let claimed = Claimed { cell, claim };
            choices.extend(self.choose_from(call, source, claimed, &mut unfinished).await?);
        }
        match contended.filter(|_| unfinished.left == max) {
            // Who holds a queue never waits for another one: that one's holder may wait for this.
            Some(_) if !choices.is_empty() => unfinished.behind = true,
            Some(source) => {
                // Another receiver is at it: wait for it to finish, then look at what it left.
                let cell = self.cursor_of(call, source).await?;
                let claim = Arc::clone(&cell.claim).lock_owned().await;
                let claimed = Claimed { cell, claim };
                choices.extend(self.choose_from(call, source, claimed, &mut unfinished).await?);
            }
            None => {}
        }
        let received = self.hand_out(call, choices, &mut unfinished).await?;
        Ok((received, unfinished))
    }

    /// The queues from which the same call was handed something already, without hearing of it.
    fn handed_before(&self, call: &Call<'_>) -> Option<Vec<Source>> {
        let attempt = attempt_of(call.request.attempt_id.as_deref()?);
        call.order?;
        let now_ms = self.now_ms();
        let is_theirs = |source: &&Source| {
            let cell = self.state.cursor(CursorKey { group_id: call.group.id, stream: source.stream });
            cell.is_some_and(|cell| cell.cursor.lock().repeats(now_ms, attempt))
        };
        let theirs: Vec<Source> = call.sources.iter().filter(is_theirs).cloned().collect();
        (!theirs.is_empty()).then_some(theirs)
    }

    /// The group's cursor in a queue; a first contact is recorded, so that what comes after it is
    /// not missed.
    async fn cursor_of(&self, call: &Call<'_>, source: &Source) -> Result<Arc<CursorCell>, ReceiveError> {
        let key = CursorKey { group_id: call.group.id, stream: source.stream };
        if let Some(cell) = self.state.cursor(key) {
            return Ok(cell);
        }
        let start = if source.topic.config.name.is_retry() { StartFrom::First } else { call.request.start };
        let offset = self.start_offset(source.stream, start).await?;
        self.propose(Command::StartCursor { key, offset }, 32).await?;
        self.state.cursor(key).ok_or_else(|| ReceiveError::TopicNotFound(call.request.topic.clone()))
    }

    /// Where a group without progress starts.
    pub(crate) async fn start_offset(&self, stream: StreamId, start: StartFrom) -> Result<u64, Failed> {
        let bounds = self.bounds(stream).await?;
        match start {
            StartFrom::First => Ok(bounds.min),
            StartFrom::Time(time_ms) => self.offset_by_time(stream, time_ms, Boundary::Lower).await,
            StartFrom::Last if self.holds_first_message(stream).await? => Ok(0),
            StartFrom::Last => Ok(bounds.max),
        }
    }

    /// The queue is young: it has its very first message yet, not far from the end of the log (or
    /// none at all). RocketMQ starts new groups of such a queue at 0 even when they ask for the end.
    pub(crate) async fn holds_first_message(&self, stream: StreamId) -> Result<bool, Failed> {
        let bounds = self.bounds(stream).await?;
        if bounds.min > 0 || bounds.max == 0 {
            return Ok(bounds.max == 0);
        }
        let first = self.entries(stream, 0, 1).await?;
        let end = self.log.end().get();
        Ok(first.first().is_some_and(|entry| end.saturating_sub(entry.lsn.get()) <= YOUNG_QUEUE_BYTES))
    }

    async fn choose_from(
        &self,
        call: &Call<'_>,
        source: &Source,
        claimed: Claimed,
        unfinished: &mut Unfinished,
    ) -> Result<Option<Choice>, ReceiveError> {
        let choice = match call.order {
            Some(by) => self.choose_in_order(call, source, claimed, by, unfinished).await?,
            None => self.choose_any(call, source, claimed, unfinished.left).await?,
        };
        let taken = choice.as_ref().map_or(0, |choice| choice.messages.len());
        unfinished.left = unfinished.left.saturating_sub(taken);
        Ok(choice)
    }

    async fn choose_any(
        &self,
        call: &Call<'_>,
        source: &Source,
        claimed: Claimed,
        left: usize,
    ) -> Result<Option<Choice>, ReceiveError> {
        let (expected, room, behind) = {
            let cursor = claimed.cell.cursor.lock();
            let room = IN_FLIGHT_PER_QUEUE_MAX.saturating_sub(cursor.in_flight.len());
            (cursor.next, room, cursor.behind(self.now_ms(), left))
        };
        let mut entries = self.entries_at(source.stream, &behind).await?;
        let repeated = entries.len();
        let bounds = self.bounds(source.stream).await?;
        let from = expected.max(bounds.min);
        let want = left.min(room);
        let plain = call.selector.takes_all();
        let mut next = from;
        if repeated < want {
            let step = if plain { want - repeated } else { ENTRIES_PER_LOOK };
            entries.extend(self.singles(source.stream, from, step).await?);
            if let Some(last) = entries.get(repeated..).and_then(<[Entry]>::last) {
                next = last.offset + u64::from(last.count.max(1));
            }
        }
        let chosen = choose(&entries, &call.selector, candidates(want, call.looks), ANSWER_BYTES_MAX);
        let Matching { offsets, messages, left } = self.read_chosen(call, &chosen.entries, want).await?;
        let stopped = left.or(chosen.stopped_before);
        if let Some(stopped) = stopped {
            next = stopped.max(from);
        }
        // What came back and is not handed out now, though there was room for it, ends here.
        let passed: Vec<u64> = match stopped {
            Some(_) => Vec::new(),
            None => behind.into_iter().filter(|offset| !offsets.contains(offset)).collect(),
        };
        if next == expected && messages.is_empty() && passed.is_empty() {
            return Ok(None);
        }
        let part = DeliverPart { stream: source.stream, next, offsets, passed, ..DeliverPart::default() };
        Ok(Some(Choice::new(source, expected, part, messages, claimed)))
    }

    /// The entries at these offsets, as far as they are stored.
    pub(crate) async fn entries_at(&self, stream: StreamId, offsets: &[u64]) -> Result<Vec<Entry>, Failed> {
        let mut entries: Vec<Entry> = Vec::with_capacity(offsets.len());
        for offset in offsets {
            let found = self.singles(stream, *offset, 1).await?;
            entries.extend(found.into_iter().filter(|entry| entry.offset == *offset));
        }
        Ok(entries)
    }

    /// Reads entries until `want` messages match.
    async fn read_chosen(
        &self,
        call: &Call<'_>,
        entries: &[Entry],
        want: usize,
    ) -> Result<Matching, ReceiveError> {
        let mut offsets = Vec::with_capacity(entries.len().min(want));
        let mut messages = Vec::with_capacity(entries.len().min(want));
        let read = read_entries(&self.log, &self.state, entries, RetryView::Original).await;
        for (entry, message) in entries.iter().zip(read) {
            match message {
                Ok(message) if call.selector.matches(message.properties()) => {
                    if messages.len() >= want {
                        return Ok(Matching { offsets, messages, left: Some(entry.offset) });
                    }
                    offsets.push(entry.offset);
                    messages.push(message);
                }
                Ok(_) | Err(ResolveError::Gone) => {}
                Err(ResolveError::Data(error)) => return Err(ReceiveError::Data(error)),
            }
        }
        Ok(Matching { offsets, messages, left: None })
    }

    pub(crate) async fn hand_out(
        &self,
        call: &Call<'_>,
        choices: Vec<Choice>,
        unfinished: &mut Unfinished,
    ) -> Result<Received, ReceiveError> {
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
            client: ClientName::of(call.session, &call.request.client_id),
            invisible_ms,
            attempt_id: call.request.attempt_id.clone().unwrap_or_default(),
            order: call.order,
            parts,
        };
        let delivered = match self.hand(command, 64 * choices.len()).await? {
            Outcome::Delivered(delivered) => delivered,
            other => return Err(Failed::unexpected(&other).into()),
        };
        received.delivered_ms = delivered.delivered_ms;
        unfinished.void = delivered.accepted.contains(&false);
        for (choice, accepted) in choices.into_iter().zip(&delivered.accepted) {
            if *accepted {
                let bounds = self.bounds(choice.source.stream).await?;
                received.rest += bounds.max.saturating_sub(choice.part.next);
                unfinished.behind |= bounds.max > choice.part.next;
                deliver(call, choice, delivered.nonce, delivered.delivered_ms, &mut received.deliveries);
            }
        }
        Ok(received)
    }
}

impl Call<'_> {
    /// The client works through what it gets one by one, so that a message waits for those before it.
    fn is_one_by_one(&self) -> bool {
        self.order == Some(OrderBy::Key) && self.request.attempt_id.is_some()
    }
}

fn deliver(call: &Call<'_>, choice: Choice, nonce: Lsn, delivered_ms: i64, out: &mut Vec<Delivery>) {
    let Choice { source, part, messages, cell, .. } = choice;
    let attempts: Vec<u32> = if call.order.is_some() {
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
