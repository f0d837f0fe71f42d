//! Handing out from lite topics: a client looks at those with news for it, and takes what is free.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use model::group::OrderBy;
use model::verbs::{Receive, ReceiveError, Received, StartFrom};
use model::{QueueId, Session, StreamId, TopicConfig, TopicName};

use super::hub::{Caller, Taken};
use super::sweep::PARTS;
use crate::broker::Broker;
use crate::limits::{LITE_LOOKS_PER_RECEIVE, VOID_CHOICES_MAX, WAIT_MS_MAX};
use crate::machine::command::Command;
use crate::machine::cursor::Cursor;
use crate::machine::lite::{part_prefix, stored_cursor, stream_of_name_key};
use crate::machine::state::{CursorCell, CursorKey, Group, Topic};
use crate::receive::{Call, Choice, Claimed, Source, Unfinished};
use crate::streams;

/// A group's place in a lite topic.
enum Place {
    /// There is nothing to take.
    Nothing,
    At(Arc<CursorCell>),
}

impl Broker {
    /// The parent's number, if the group takes lite topics.
    ///
    /// # Errors
    /// If it is bound to another topic.
    pub(crate) fn lite_parent_of(&self, request: &Receive) -> Result<Option<Arc<Topic>>, ReceiveError> {
        let Some(group) = self.state.group(&request.group) else { return Ok(None) };
        let Some(bound) = group.config.lite_parent() else { return Ok(None) };
        if bound != request.topic.as_str() {
            return Err(ReceiveError::NotBound {
                group: request.group.clone(),
                topic: request.topic.clone(),
                bound: bound.to_owned(),
            });
        }
        let topic = self.state.topic(&request.topic);
        let topic = topic.ok_or_else(|| ReceiveError::TopicNotFound(request.topic.clone()))?;
        Ok(topic.config.is_lite_parent().then_some(topic))
    }

    /// Receives from the lite topics that the client wants; without news waits for some.
    pub(crate) async fn receive_lite(
        &self,
        session: &Session,
        request: Receive,
        parent: Arc<Topic>,
    ) -> Result<Received, ReceiveError> {
        // The parent's queues are not what is received from.
        let request = Receive { queue: None, ordered: Some(true), ..request };
        let mut call = self.check_receive(session, &request)?;
        call.order = Some(OrderBy::Queue);
        call.sources = Vec::new();
        let caller = self.lite_caller(session, &request.client_id, &call.group, &parent);
        let until = self.monotonic_ms() + request.wait_ms.clamp(0, WAIT_MS_MAX);
        let notify = self.lite.enter(&caller, self.now_ms());
        let mut voids = 0;
        loop {
            // What comes after the look wakes the wait.
            let woken = notify.notified();
            let mut taken = self.lite.take(&caller, LITE_LOOKS_PER_RECEIVE);
            self.look_on(&parent, &mut taken)?;
            let is_over = taken.streams.is_empty();
            let (received, unfinished) = self.take_lite(&call, &parent, &mut taken).await?;
            drop(taken);
            let left_ms = until - self.monotonic_ms();
            if !received.deliveries.is_empty() || (is_over && left_ms <= 0) || voids > VOID_CHOICES_MAX {
                return Ok(received);
            }
            voids += u32::from(unfinished.is_void());
            if is_over {
                let patience = self.doors.clock.sleep(Duration::from_millis(left_ms.unsigned_abs()));
                tokio::select! {
                    () = woken => {}
                    () = patience => {}
                }
            }
        }
    }

    pub(super) fn lite_caller(
        &self,
        session: &Session,
        client_id: &str,
        group: &Group,
        parent: &Topic,
    ) -> Caller {
        Caller {
            client_id: client_id.to_owned(),
            group: group.config.name.clone(),
            parent: parent.config.name.clone(),
            parent_id: parent.id,
            wildcard: group.config.is_lite_wildcard(),
            events_max: group.config.lite_client_events(),
            session: session.clone(),
        }
    }

    /// A wildcard client looks through all lite topics of the parent: the next of them.
    fn look_on(&self, parent: &Topic, taken: &mut Taken) -> Result<(), ReceiveError> {
        while let Some(from) = taken.look_on_from {
            let part = if streams::is_lite(from) { streams::part_of_lite(from) } else { 0 };
            let mut found = self.lite_streams(parent.id, part).map_err(ReceiveError::Data)?;
            found.retain(|stream| *stream >= from);
            taken.streams.extend(found);
            taken.look_on_from = part.checked_add(1).map(streams::lite_part);
            if !taken.streams.is_empty() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// The streams of a parent's lite topics in one of the parts, ascending.
    pub(super) fn lite_streams(&self, parent_id: u32, part: u8) -> Result<Vec<StreamId>, String> {
        let mut found = Vec::new();
        let scanned = self.views.scan_objects(&part_prefix(parent_id, part), &mut |key, _| {
            found.extend(stream_of_name_key(key));
        });
        scanned.map_err(|error| error.to_string())?;
        debug_assert!(usize::from(part) < PARTS);
        Ok(found)
    }

    async fn take_lite(
        &self,
        call: &Call<'_>,
        parent: &Topic,
        taken: &mut Taken,
    ) -> Result<(Received, Unfinished), ReceiveError> {
        let max = call.request.max_messages as usize;
        let mut choices: Vec<Choice> = Vec::new();
        let mut chosen: VecDeque<StreamId> = VecDeque::new();
        let mut unfinished = Unfinished::wanting(max);
        // Taken off the list only when it has been looked at: a call that is dropped here gives back.
        while unfinished.left > 0
            && let Some(stream) = taken.streams.front().copied()
        {
            // Who holds one never waits for another: that one's holder may wait for this.
            let may_wait = choices.is_empty();
            match self.choose_lite(call, parent, stream, may_wait, &mut unfinished).await? {
                Looked::Chosen(choice) => {
                    choices.push(choice);
                    chosen.push_back(stream);
                }
                Looked::Nothing => {}
                Looked::Busy => {
                    unfinished.more = true;
                    break;
                }
            }
            taken.streams.pop_front();
        }
        let undecided = chosen.clone();
        taken.streams.extend(chosen);
        let received = self.hand_out(call, choices, &mut unfinished).await?;
        if !unfinished.is_void() && !unfinished.more {
            // What was handed out has news when it is settled.
            taken.streams.retain(|stream| !undecided.contains(stream));
        }
        Ok((received, unfinished))
    }

    async fn choose_lite(
        &self,
        call: &Call<'_>,
        parent: &Topic,
        stream: StreamId,
        may_wait: bool,
        unfinished: &mut Unfinished,
    ) -> Result<Looked, ReceiveError> {
        let cell = match self.place_in_lite(call, stream).await? {
            Place::Nothing => return Ok(Looked::Nothing),
            Place::At(cell) => cell,
        };
        let Some(name) = self.lite_name(parent.id, stream).map_err(ReceiveError::Data)? else {
            // Ended meanwhile, or another parent's.
            return Ok(Looked::Nothing);
        };
        let full = TopicName::lite_of(&parent.config.name, &name);
        let full = full.map_err(|error| ReceiveError::Data(error.to_string()))?;
        let topic = Arc::new(Topic::unnumbered(TopicConfig::new(full, 1)));
        let source = Source { topic, queue: QueueId(0), stream };
        let claim = match Arc::clone(&cell.claim).try_lock_owned() {
            Ok(claim) => claim,
            Err(_) if may_wait => Arc::clone(&cell.claim).lock_owned().await,
            Err(_) => return Ok(Looked::Busy),
        };
        let before = unfinished.left;
        let choice = self
            .choose_in_order(call, &source, Claimed::new(cell, claim), OrderBy::Queue, unfinished)
            .await?;
        let took = choice.as_ref().map_or(0, Choice::len);
        unfinished.left = before.saturating_sub(took);
        Ok(choice.map_or(Looked::Nothing, Looked::Chosen))
    }

    /// Where the group stands. A place that is not in memory is read, not brought there: the group's
    /// thread does that if something is handed out.
    async fn place_in_lite(&self, call: &Call<'_>, stream: StreamId) -> Result<Place, ReceiveError> {
        let key = CursorKey { group_id: call.group.id, stream };
        let max = self.bounds(stream).await?.max;
        if max == 0 {
            return Ok(Place::Nothing);
        }
        if let Some(cell) = self.state.cursor(key) {
            return Ok(Place::At(cell));
        }
        match stored_cursor(&self.views, key).map_err(ReceiveError::Data)? {
            Some(cursor) if cursor.next >= max => Ok(Place::Nothing),
            Some(cursor) => Ok(Place::At(detached(cursor))),
            None => {
                let offset = self.start_offset(stream, StartFrom::Last).await?;
                self.propose(Command::StartCursor { key, offset }, 32).await?;
                Ok(self.state.cursor(key).map_or(Place::Nothing, Place::At))
            }
        }
    }
}

/// What a look at one lite topic gave.
enum Looked {
    Nothing,
    Chosen(Choice),
    /// Another receiver is at it.
    Busy,
}

fn detached(cursor: Cursor) -> Arc<CursorCell> {
    let cell = CursorCell::default();
    *cell.cursor.lock() = cursor;
    Arc::new(cell)
}
