//! `fetch`: reads a queue from an offset that the caller keeps; waits at its end.
//!
//! Runs on the caller's thread over shared structures; the group's thread is not asked.

use std::sync::Arc;

use model::limits::FETCH_MESSAGES_MAX;
use model::verbs::{Batches, Fetch, FetchError, FetchOutcome, Fetched};
use model::{FilterKind, Offset, Session, StoredMessage, StreamId};
use smallvec::{SmallVec, smallvec};
use store::Entry;

use crate::broker::Broker;
use crate::limits::{
    ANSWER_BYTES_MAX, ENTRIES_PER_LOOK, FILTERED_SPAN_MAX, LOOKS_PER_FETCH_MAX, LOOKS_WITHOUT_A_PAUSE,
    WAIT_MS_MAX,
};
use crate::machine::records::ENTRY_BATCH;
use crate::machine::state::{CursorKey, Topic};
use crate::resolve::{ResolveError, RetryView, read_matching};
use crate::selector::Selector;

/// How far one look at a queue went.
struct Look {
    next: u64,
    /// There were entries, whether or not they matched.
    any: bool,
}

impl Broker {
    pub(crate) async fn do_fetch(&self, session: &Session, request: Fetch) -> Result<Fetched, FetchError> {
        let topic = self.topic_to_fetch(&request)?;
        let selector =
            self.selectors.get(&request.filter).map_err(|error| FetchError::Filter(error.to_string()))?;
        let stream = topic.stream(request.queue);
        if let Some(answer) = self.pending_reset(&request, stream).await? {
            return Ok(answer);
        }
        let until = self.monotonic_ms() + request.wait_ms.clamp(0, WAIT_MS_MAX);
        // Registered before looking: what is committed after a look wakes the wait.
        let mut waiter = None;
        if request.wait_ms > 0 {
            let entered = self.interest.register(&[stream], selector.tag_hashes());
            waiter = Some(entered.map_err(|_| FetchError::TooManyWaiting { max: self.config.waiting_max })?);
        }
        let mut from = request.offset;
        let mut has_waited = false;
        loop {
            let answer = self.look_and_answer(&request, from, stream, &selector).await?;
            let left_ms = until - self.monotonic_ms();
            let may_wait = left_ms > 0 && may_wait(&answer, has_waited);
            let Some(waiting) = waiter.as_mut().filter(|_| may_wait) else { return Ok(answer) };
            (from, has_waited) = (answer.next, true);
            if !self.wait(waiting, left_ms, session).await {
                return Ok(answer);
            }
        }
    }

    fn topic_to_fetch(&self, request: &Fetch) -> Result<Arc<Topic>, FetchError> {
        let not_found = || FetchError::TopicNotFound(request.topic.clone());
        let topic = self.state.topic(&request.topic).ok_or_else(not_found)?;
        if !topic.config.permission.readable() {
            return Err(FetchError::NotReadable(request.topic.clone()));
        }
        let queues = topic.config.queues();
        if request.queue.get() >= queues {
            let (topic, queue) = (request.topic.clone(), request.queue);
            return Err(FetchError::QueueOutOfRange { topic, queue, queues });
        }
        if let Some(name) = &request.group {
            let group = self.state.group(name).ok_or_else(|| FetchError::GroupNotFound(name.clone()))?;
            if !group.config.consume_enabled {
                return Err(FetchError::GroupDisabled(name.clone()));
            }
        }
        Ok(topic)
    }

    /// A group whose progress was set anew is told so once: its next read is "out of range".
    async fn pending_reset(&self, request: &Fetch, stream: StreamId) -> Result<Option<Fetched>, FetchError> {
        let group = request.group.as_ref().and_then(|name| self.state.group(name));
        let reset = group.and_then(|group| self.resets.take(CursorKey { group_id: group.id, stream }));
        let Some(to) = reset else { return Ok(None) };
        let bounds = self.bounds(stream).await?;
        Ok(Some(Fetched {
            outcome: FetchOutcome::OutOfRange,
            messages: Vec::new(),
            next: Offset(to),
            min: Offset(bounds.min),
            max: Offset(bounds.max),
        }))
    }

    async fn look_and_answer(
        &self,
        request: &Fetch,
        from: Offset,
        stream: StreamId,
        selector: &Selector,
    ) -> Result<Fetched, FetchError> {
        let bounds = self.bounds(stream).await?;
        let (min, max) = (Offset(bounds.min), Offset(bounds.max));
        let answer = |outcome, next| Fetched { outcome, messages: Vec::new(), next: Offset(next), min, max };
        let asked = from.get();
        if asked < bounds.min {
            return Ok(answer(FetchOutcome::OutOfRange, bounds.min));
        }
        if asked > bounds.max {
            return Ok(answer(FetchOutcome::OutOfRange, bounds.max));
        }
        let mut next = asked;
        // What came while the call waited, and did not match, counts too.
        let mut any = from > request.offset;
        let mut found = Found::of(request);
        for looks in 0..LOOKS_PER_FETCH_MAX {
            let look = self.look(request, stream, (next, looks), selector, &mut found).await?;
            any |= look.any;
            next = look.next;
            let is_enough = if selector.takes_all() { !found.messages.is_empty() } else { found.spans(next) };
            if !look.any || found.is_full() || is_enough {
                break;
            }
            if looks >= LOOKS_WITHOUT_A_PAUSE {
                // Others of this thread have waited for long enough.
                tokio::task::yield_now().await;
            }
        }
        if !found.messages.is_empty() {
            return Ok(Fetched { messages: found.messages, ..answer(FetchOutcome::Found, next) });
        }
        let outcome = if any { FetchOutcome::NoneMatched } else { FetchOutcome::AtEnd };
        Ok(answer(outcome, next))
    }

    /// Looks at some entries, and adds what matches to `found` while there is room.
    async fn look(
        &self,
        request: &Fetch,
        stream: StreamId,
        (from, looks): (u64, usize),
        selector: &Selector,
        found: &mut Found,
    ) -> Result<Look, FetchError> {
        let most = candidates(found.messages_max, looks);
        // Where the index decides, it is looked at far ahead; else it is as far as messages are.
        let step = if selector.tag_hashes().is_some() { ENTRIES_PER_LOOK } else { most };
        let mut entries = self.entries(stream, from, step).await?;
        if let Some(end) = found.end().filter(|_| !selector.takes_all()) {
            entries.truncate(entries.partition_point(|entry| entry.offset < end));
        }
        let Some(last) = entries.last() else { return Ok(Look { next: from, any: false }) };
        let mut next = last.offset + u64::from(last.count.max(1));
        let bytes_max = if selector.takes_all() { found.bytes_max } else { ANSWER_BYTES_MAX };
        let chosen = choose(&entries, selector, most, bytes_max);
        if let Some(stopped) = chosen.stopped_before {
            next = stopped;
        }
        let view = RetryView::RetryTopic;
        let read = read_matching(&self.log, &self.state, &chosen.entries, view, selector).await;
        found.messages.reserve(read.len().min(found.messages_max));
        for (entry, message) in read {
            let matching = match message {
                Ok(batch) if entry.flags & ENTRY_BATCH != 0 => from_batch(request, from, batch, selector)?,
                Ok(message) if selector.matches(message.properties()) => smallvec![message],
                Ok(_) | Err(ResolveError::Gone) => continue,
                Err(ResolveError::Data(error)) => return Err(FetchError::Data(error)),
            };
            if !found.take(matching) {
                next = entry.offset;
                break;
            }
        }
        Ok(Look { next, any: true })
    }
}

/// What a call has found so far, and what it may find.
struct Found {
    messages: Vec<StoredMessage>,
    bytes: usize,
    messages_max: usize,
    bytes_max: usize,
    has_more: bool,
}

impl Found {
    fn of(request: &Fetch) -> Self {
        let messages_max = request.max_messages.clamp(1, FETCH_MESSAGES_MAX) as usize;
        let bytes_max = request.max_bytes.min(ANSWER_BYTES_MAX);
        Self { messages: Vec::new(), bytes: 0, messages_max, bytes_max, has_more: false }
    }

    const fn is_full(&self) -> bool {
        self.has_more || self.messages.len() >= self.messages_max
    }

    /// Where what a filter lets through is too far from the first of it to go with it.
    fn end(&self) -> Option<u64> {
        let span = FILTERED_SPAN_MAX.max(self.messages_max as u64);
        self.messages.first().map(|first| first.offset().get().saturating_add(span))
    }

    fn spans(&self, next: u64) -> bool {
        self.end().is_some_and(|end| next >= end)
    }

    /// Takes what stands at one entry, if there is room: at least one entry, and all of it.
    fn take(&mut self, matching: SmallVec<[StoredMessage; 1]>) -> bool {
        let bytes: usize = matching.iter().map(|message| message.bytes().len()).sum();
        let has_room =
            self.messages.len() < self.messages_max && self.bytes.saturating_add(bytes) <= self.bytes_max;
        if !has_room && !matching.is_empty() && !self.messages.is_empty() {
            self.has_more = true;
            return false;
        }
        self.bytes += bytes;
        self.messages.extend(matching);
        true
    }
}

/// Whether a call that found nothing may wait for more. One that passed entries which did not match
/// is answered, so that the client hears of its progress, unless it waited for them already: what
/// does not match wakes no client.
fn may_wait(answer: &Fetched, has_waited: bool) -> bool {
    match answer.outcome {
        FetchOutcome::AtEnd => true,
        FetchOutcome::NoneMatched => has_waited && answer.next >= answer.max,
        FetchOutcome::Found | FetchOutcome::OutOfRange => false,
    }
}

/// How many entries to read in search of `want` matches: the longer none was found, the more.
pub(crate) fn candidates(want: usize, looks: usize) -> usize {
    want.saturating_mul(1 << looks.min(16)).clamp(want, ENTRIES_PER_LOOK.max(want))
}

/// What a reader gets of a batch. One that takes batches apart itself filters by tags itself too,
/// but neither by properties nor by offset.
fn from_batch(
    request: &Fetch,
    asked: u64,
    batch: StoredMessage,
    selector: &Selector,
) -> Result<SmallVec<[StoredMessage; 1]>, FetchError> {
    let singles = model::batch::unpack(&batch).map_err(|error| FetchError::Data(error.to_string()))?;
    let by_tags = request.filter.kind == FilterKind::Tag;
    let whole = request.batches == Batches::Whole && by_tags && asked <= batch.offset().get();
    let wanted = |m: &StoredMessage| m.offset().get() >= asked && selector.matches(m.properties());
    if !whole {
        return Ok(singles.into_iter().filter(wanted).collect());
    }
    Ok(if singles.iter().any(wanted) { smallvec![batch] } else { SmallVec::new() })
}

/// Entries worth reading.
pub(crate) struct Chosen {
    pub entries: Vec<Entry>,
    /// The limits were reached before this offset.
    pub stopped_before: Option<u64>,
}

/// Picks entries whose tag may match, up to a count and a size (always at least one).
pub(crate) fn choose(entries: &[Entry], selector: &Selector, max: usize, max_bytes: usize) -> Chosen {
    let mut chosen = Chosen { entries: Vec::with_capacity(max.min(entries.len())), stopped_before: None };
    let (mut bytes, mut taken) = (0, 0);
    for entry in entries {
        // A batch has a tag for each of its messages.
        let wanted = entry.flags & ENTRY_BATCH != 0 || selector.wants_tag(entry.tag);
        if !wanted {
            continue;
        }
        bytes += entry.len as usize;
        if taken >= max || (bytes > max_bytes && !chosen.entries.is_empty()) {
            chosen.stopped_before = Some(entry.offset);
            break;
        }
        taken += usize::from(entry.count.max(1));
        chosen.entries.push(*entry);
    }
    chosen
}
