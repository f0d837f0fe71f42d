//! The life of a message: what the log itself knows of it, step by step.
//!
//! ```text
//! find      by id, key or time: the index of keys, the queues          -> where the life begins
//! walk      the log from there on, a bounded number of bytes           -> every step, in order
//! leap      to what indexes know of beyond the walk: what was fired,
//!           dead letters, deliveries under way                         -> later steps, with gaps
//! clients   what 4.x clients wrote into the trace topic                -> costs and results
//! ```
//! Nothing is kept for this but what the records hold anyway (who was handed a message is a position in the
//! delivery's record), so that it costs nothing until somebody asks; then it costs the reading of the log
//! behind the message, on a thread of the pool for blocking work, a few at a time.

mod clients;
mod life;
mod lives;
mod look;

use std::collections::BTreeSet;
use std::sync::Arc;

use model::admin::{
    AdminError, GroupState, LifeInGroup, LifeStep, MessageLife, MessageTrace, MessageTraceRequest, Step,
};
use model::{Lsn, MessageKind, TopicName};
use parking_lot::Mutex;
use store::ReadError;

use crate::broker::Broker;
use crate::error::Failed;
use crate::limits::{TRACE_LOOK_BYTES, TRACE_LOOK_BYTES_MAX, TRACE_MESSAGES_MAX, TRACE_TOPICS_TRIED_MAX};
use crate::machine::command::Command;
use crate::machine::state::CursorKey;
use crate::publish::KeySpace;
use life::Life;
use lives::Lives;
use look::{Anchor, Look};

/// Looks for what a request asks for.
pub(crate) async fn run(broker: &Broker, request: MessageTraceRequest) -> Result<MessageTrace, AdminError> {
    let closed = |_| AdminError::Unavailable("the node stops".to_owned());
    let _turn = broker.traces.acquire().await.map_err(closed)?;
    // Deliveries are answered before they are committed: who asks about one he has must see it.
    broker.propose(Command::CommittedBarrier, 0).await?;
    let look = Look {
        log: broker.log.clone(),
        views: broker.views.clone(),
        state: Arc::clone(&broker.state),
        committed: broker.committed(),
    };
    let producers: Vec<(String, String)> =
        broker.members.clients().into_iter().map(|client| (client.address, client.client_id)).collect();
    let slot: Arc<Mutex<Option<Result<MessageTrace, AdminError>>>> = Arc::default();
    let answer = Arc::clone(&slot);
    let work = move || {
        let traced = trace(&look, &request, &producers);
        *slot.lock() = Some(traced);
    };
    broker.doors.spawn.blocking(Box::new(work)).await;
    let answer = answer.lock().take();
    answer.unwrap_or_else(|| Err(AdminError::Internal("the look for the message broke off".to_owned())))
}

fn trace(
    look: &Look,
    request: &MessageTraceRequest,
    addresses: &[(String, String)],
) -> Result<MessageTrace, AdminError> {
    let mut anchors = find(look, request)?;
    let max = request.max.unwrap_or(16).clamp(1, TRACE_MESSAGES_MAX);
    anchors.sort_by_key(|anchor| (anchor.root, anchor.lsn));
    let mut lives = Lives::new(look);
    let mut complete = true;
    for anchor in &anchors {
        let mut followed = anchor.clone();
        if anchor.root != anchor.lsn && look.record(anchor.root)?.is_none() {
            // Retention has taken the beginning.
            followed.root = anchor.lsn;
            complete = false;
        }
        if lives.lives.len() < max || anchor.place.is_none() {
            lives.follow(&followed);
        }
    }
    if lives.lives.is_empty() {
        return Err(AdminError::NotFound("such a message".to_owned()));
    }
    let budget = request.look_bytes_max.unwrap_or(TRACE_LOOK_BYTES).min(TRACE_LOOK_BYTES_MAX);
    let (walked_to, looked_at_bytes) = walk(look, &mut lives, budget)?;
    if walked_to < look.committed {
        complete = false;
        leap(look, &mut lives, walked_to)?;
    }
    let names = std::mem::take(&mut lives.by_address);
    let name_of = |address: &str| {
        let known = || addresses.iter().find(|(one, _)| one == address).map(|(_, id)| id.clone());
        names.get(address).cloned().or_else(known)
    };
    let mut messages = Vec::with_capacity(lives.lives.len());
    for life in std::mem::take(&mut lives.lives) {
        complete &= !life.is_cut;
        let mut shown = finished(look, life, name_of);
        clients::merge(look, &mut shown)?;
        messages.push(shown);
    }
    Ok(MessageTrace { messages, looked_at_bytes, complete })
}

// === find ===

fn find(look: &Look, request: &MessageTraceRequest) -> Result<Vec<Anchor>, AdminError> {
    let max = request.max.unwrap_or(16).clamp(1, TRACE_MESSAGES_MAX);
    let missing = |what: &str| AdminError::Invalid(what.to_owned());
    if let Some(topic) = request.topic.as_ref().filter(|topic| look.state.topic(topic).is_none()) {
        return Err(AdminError::NotFound(format!("topic {topic}")));
    }
    match (&request.message_id, &request.topic, &request.key) {
        (Some(_), _, Some(_)) => Err(missing("a message is asked for by `message_id` or by `key`, not both")),
        (Some(id), Some(topic), None) => {
            let mut found = look.by_id(topic, id)?;
            if found.is_empty() {
                found = look.by_offset_id(id)?;
                found.retain(|anchor| look::real_topic(&anchor.message) == topic.as_str());
            }
            Ok(found)
        }
        (Some(id), None, None) => by_id_alone(look, id),
        (None, Some(topic), Some(key)) => Ok(look.by_key(topic, key)?),
        (None, Some(topic), None) if request.from_ms.is_some() || request.to_ms.is_some() => {
            let window = (request.from_ms.unwrap_or(i64::MIN), request.to_ms.unwrap_or(i64::MAX));
            Ok(look.by_time(topic, window, max)?)
        }
        (None, Some(_), None) => Err(missing("`topic` comes with `key`, or with `from_ms` or `to_ms`")),
        (None, None, _) => Err(missing("give `message_id`, or `topic` with `key`, `from_ms` or `to_ms`")),
    }
}

/// Without the topic: an id that names a position, else one topic after another.
fn by_id_alone(look: &Look, id: &str) -> Result<Vec<Anchor>, AdminError> {
    let found = look.by_offset_id(id)?;
    if !found.is_empty() {
        return Ok(found);
    }
    let mut topics = look.state.topics();
    topics.retain(|topic| !topic.config.name.is_retry() && !topic.config.name.is_system());
    if topics.len() > TRACE_TOPICS_TRIED_MAX {
        let text =
            format!("there are more than {TRACE_TOPICS_TRIED_MAX} topics: give the `topic` of the message");
        return Err(AdminError::Invalid(text));
    }
    let mut copies = Vec::new();
    for topic in topics {
        let found = look.by_id(&topic.config.name, id)?;
        // A dead letter has the id of its original, which is asked for if it is still there.
        if topic.config.name.is_dead_letters() {
            copies.extend(found);
        } else if !found.is_empty() {
            return Ok(found);
        }
    }
    Ok(copies)
}

// === walk and leap ===

/// Reads the log from where the first life begins. Answers up to where, and how many bytes that were.
fn walk(look: &Look, lives: &mut Lives<'_>, budget: u64) -> Result<(Lsn, u64), Failed> {
    let Some(from) = lives.lives.iter().map(|life| life.root).min() else { return Ok((look.committed, 0)) };
    let to = from.plus(budget).min(look.committed);
    let mut failed = None;
    let mut each = |lsn: Lsn, record: store::Record| match lives.on_record(lsn, &record) {
        Ok(()) => true,
        Err(error) => {
            failed = Some(error);
            false
        }
    };
    let walked = look.log.walk(from, to, &Lives::wants, &mut each);
    match (walked, failed) {
        (_, Some(error)) => Err(error),
        (Ok(end), None) => Ok((end, end.get().saturating_sub(from.get()))),
        // Retention came by.
        (Err(ReadError::Trimmed { .. }), None) => Ok((from, 0)),
        (Err(error), None) => Err(error.into()),
    }
}

/// Records beyond the walk that indexes know of.
fn leap(look: &Look, lives: &mut Lives<'_>, from: Lsn) -> Result<(), Failed> {
    lives.has_gap = true;
    let mut positions: BTreeSet<Lsn> = BTreeSet::new();
    for life in &lives.lives {
        positions.extend(known_of(look, life)?);
    }
    for lsn in positions.into_iter().filter(|lsn| *lsn >= from && *lsn < look.committed) {
        if let Some(record) = look.record(lsn)? {
            lives.on_record(lsn, &record)?;
        }
    }
    Ok(())
}

fn known_of(look: &Look, life: &Life) -> Result<Vec<Lsn>, Failed> {
    let mut known = vec![life.root];
    let Ok(topic) = TopicName::new(&life.shown.topic) else { return Ok(known) };
    let id = &life.shown.message_id;
    known.extend(look.by_id(&topic, id)?.into_iter().map(|anchor| anchor.lsn));
    let Some((stream, offset)) = life.place() else { return Ok(known) };
    for (group, cursor) in groups_at(look, stream) {
        let letters = TopicName::dead_letters_of(&group);
        known.extend(look.lookup(KeySpace::of(&letters).key(id))?);
        known.extend(cursor.in_flight.get(&offset).map(|held| held.nonce));
    }
    Ok(known)
}

/// How far each group is in a queue.
fn groups_at(
    look: &Look,
    stream: model::StreamId,
) -> Vec<(model::GroupName, crate::machine::cursor::Cursor)> {
    let Some((topic, _)) = look.state.queue_of(stream) else { return Vec::new() };
    let keys = look.state.cursor_keys_of(topic.id).into_iter().filter(|key| key.stream == stream);
    let one = |key: CursorKey| {
        let group = look.state.group_by_id(key.group_id)?;
        let cursor = look.state.cursor(key)?.cursor.lock().clone();
        Some((group.config.name.clone(), cursor))
    };
    keys.filter_map(one).collect()
}

// === what is shown ===

fn finished(look: &Look, life: Life, name_of: impl Fn(&str) -> Option<String>) -> MessageLife {
    let place = life.place();
    let mut shown = life.shown;
    shown.stored_at_ms = shown
        .steps
        .iter()
        .filter(|s| matches!(s.step, Step::Stored | Step::Scheduled | Step::HalfStored))
        .map(|step| step.at_ms)
        .min()
        .unwrap_or(shown.born_at_ms);
    shown.kind = kind_of(&shown);
    shown.steps.sort_by_key(|step| step.at_ms);
    let took_ms = Some(shown.stored_at_ms - shown.born_at_ms).filter(|took| *took >= 0);
    let produced = LifeStep {
        at_ms: shown.born_at_ms,
        step: Step::Produced,
        client_id: name_of(&shown.born_host),
        client_address: Some(shown.born_host.clone()),
        took_ms,
        ..LifeStep::default()
    };
    // First, whatever the producer's clock says.
    shown.steps.insert(0, produced);
    if let Some((stream, offset)) = place {
        shown.groups = groups_at(look, stream)
            .into_iter()
            .map(|(group, cursor)| {
                let behind = offset.saturating_sub(cursor.next);
                let state = match () {
                    () if cursor.next <= offset => GroupState::Ahead,
                    () if cursor.in_flight.contains_key(&offset) => GroupState::InFlight,
                    () if cursor.waiting.contains_key(&offset) => GroupState::Waiting,
                    () => GroupState::Done,
                };
                LifeInGroup { group, state, behind }
            })
            .collect();
    }
    shown
}

/// By what happened to it, else by what it says.
fn kind_of(shown: &MessageLife) -> String {
    let has = |steps: &[Step]| shown.steps.iter().any(|step| steps.contains(&step.step));
    if has(&[Step::HalfStored, Step::Committed, Step::RolledBack]) {
        MessageKind::Transaction.name().to_ascii_lowercase()
    } else if has(&[Step::Scheduled, Step::Fired]) {
        MessageKind::Delay.name().to_ascii_lowercase()
    } else {
        shown.kind.clone()
    }
}
