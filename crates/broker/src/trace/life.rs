//! The life of one message, as far as records have told it.

use std::collections::{BTreeSet, HashMap, HashSet};

use model::admin::{LifeStep, MessageLife, Step};
use model::properties::Pairs;
use model::{Lsn, MessageKind, StreamId, properties};

use super::look::Anchor;
use crate::limits::TRACE_STEPS_MAX;

pub(super) type Place = (StreamId, u64);

/// A delivery that has not ended yet.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) step: usize,
    pub(super) group_id: u32,
    pub(super) place: Place,
    pub(super) nonce: Lsn,
    pub(super) at_ms: i64,
    pub(super) deadline_ms: i64,
    pub(super) attempt: u32,
    /// Its consumer failed; it comes again at the deadline.
    pub(super) has_failed: bool,
}

/// Where the message stands for one group or all.
#[derive(Debug)]
pub(super) struct Stand {
    pub(super) place: Place,
    /// Deliveries to the group before it came here.
    pub(super) attempts_before: u32,
    /// The one whose retry it is.
    pub(super) group_id: Option<u32>,
}

/// A message that is followed.
#[derive(Debug, Default)]
pub(super) struct Life {
    pub(super) root: Lsn,
    pub(super) shown: MessageLife,
    pub(super) stands: Vec<Stand>,
    pub(super) open: Vec<Open>,
    /// Deliveries so far.
    pub(super) attempts: HashMap<(u32, Place), u32>,
    /// Groups that are past a place.
    pub(super) passed: HashSet<(u32, Place)>,
    /// Groups whose client gave it back, or gave it up, and has not got it again.
    pub(super) given_back: BTreeSet<u32>,
    /// A timed message came of the half message.
    pub(super) is_committed: bool,
    pub(super) is_cut: bool,
}

impl Life {
    pub(super) fn place(&self) -> Option<Place> {
        self.stands.first().map(|stand| stand.place)
    }

    pub(super) fn push(&mut self, step: LifeStep) -> usize {
        if self.shown.steps.len() < TRACE_STEPS_MAX {
            self.shown.steps.push(step);
        } else {
            self.is_cut = true;
        }
        self.shown.steps.len() - 1
    }

    pub(super) fn step(&mut self, at_ms: i64, step: Step, detail: Option<String>) {
        self.push(LifeStep { at_ms, step, detail, ..LifeStep::default() });
    }

    /// Ends a delivery; answers which it was.
    pub(super) fn close(&mut self, group_id: u32, place: Place, at_ms: i64, result: &str) -> Option<Open> {
        let index = self.open.iter().position(|open| open.group_id == group_id && open.place == place)?;
        let open = self.open.swap_remove(index);
        if !open.has_failed {
            self.result(&open, at_ms, result);
        }
        Some(open)
    }

    fn result(&mut self, open: &Open, at_ms: i64, result: &str) {
        if let Some(step) = self.shown.steps.get_mut(open.step) {
            step.took_ms = Some((at_ms - open.at_ms).max(0));
            step.result = Some(result.to_owned());
        }
    }

    /// A delivery's time is over; tells so, unless its consumer has said before that it failed.
    pub(super) fn expire(&mut self, group_id: u32, group: String, place: Place, at_ms: i64) {
        let until = self.open.iter().find(|open| open.group_id == group_id && open.place == place);
        let over_ms = until.map_or(at_ms, |open| open.deadline_ms.min(at_ms));
        let ended = self.close(group_id, place, over_ms, "expired");
        if ended.as_ref().is_some_and(|open| open.has_failed) {
            return;
        }
        self.push(LifeStep {
            at_ms: over_ms,
            step: Step::Expired,
            group: Some(group),
            attempt: ended.map(|open| open.attempt),
            ..LifeStep::default()
        });
    }

    /// The group's client gave it back, or it stands in a retry queue by now: that its offset is passed
    /// here does not mean that it is done.
    pub(super) fn is_elsewhere(&self, group_id: u32, place: Place) -> bool {
        let later = self.stands.iter().rev().take_while(|stand| stand.place != place);
        self.given_back.contains(&group_id) || later.into_iter().any(|stand| stand.group_id == Some(group_id))
    }
}

/// What the message says of itself.
pub(super) fn describe(anchor: &Anchor, shown: &mut MessageLife) {
    let message = &anchor.message;
    let property = |key: &str| message.property(key).map(str::to_owned);
    let offset_id = message.offset_id();
    shown.topic = super::look::real_topic(message).to_owned();
    shown.message_id = property(properties::UNIQUE_ID).unwrap_or_else(|| offset_id.clone());
    shown.offset_message_id = offset_id;
    shown.queue = message.queue().get();
    shown.offset = anchor.place.map(|_| message.offset().get());
    let keys = message.property(properties::KEYS).unwrap_or_default();
    shown.keys = keys.split(' ').filter(|key| !key.is_empty()).map(str::to_owned).collect();
    shown.tag = property(properties::TAGS);
    shown.kind = MessageKind::told_by(&Pairs::of(message.properties())).name().to_ascii_lowercase();
    shown.born_at_ms = message.born_ms();
    shown.born_host = message.born_host().to_string();
    shown.size_bytes = u64::from(anchor.len);
}
