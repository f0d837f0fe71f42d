//! `timer.list`: timed messages of a topic that wait, minute by minute.
//!
//! Minutes hold the timers of all topics, so a call looks at a bounded number of entries and says
//! where to go on: `<minute>:<offset>`.

use std::collections::BTreeSet;

use model::admin::{AdminError, TimerDescription, TimerList, TimerListRequest, TimerPage};
use model::{Session, properties};
use store::ReadError;

use super::Run;
use crate::broker::Broker;
use crate::error::Failed;
use crate::limits::{TIMER_LOOKS_MAX, TIMERS_PER_PAGE_MAX};
use crate::machine::command::{Command, Outcome};
use crate::machine::due::{Minute, MinuteEntry, Waiting, minute_of, start_ms};
use crate::machine::records::{DuePrefix, DueWhat};
use crate::machine::timers::minute_entry;
use crate::resolve::message_of;
use crate::streams;

const MINUTES_AT_ONCE: usize = 256;
const ENTRIES_AT_ONCE: usize = 1_024;

/// Where a call goes on, and what is left of its patience.
struct Walk<'a> {
    broker: &'a Broker,
    request: &'a TimerListRequest,
    topic_id: u32,
    max: usize,
    looks: usize,
    page: TimerPage,
}

impl Run for TimerList {
    async fn run(broker: &Broker, _: &Session, request: TimerListRequest) -> Result<TimerPage, AdminError> {
        let topic = broker.state.topic(&request.topic);
        let topic = topic.ok_or_else(|| AdminError::NotFound(format!("topic {}", request.topic)))?;
        let (mut minute, mut offset) = match request.after.as_deref().map(parse_place) {
            Some(place) => place.ok_or_else(|| AdminError::Invalid("`after` is no `next`".to_owned()))?,
            None => (minute_of(request.from_ms.unwrap_or(0)), 0),
        };
        let max = request.max.unwrap_or(100).clamp(1, TIMERS_PER_PAGE_MAX);
        let page = TimerPage::default();
        let mut walk =
            Walk { broker, request: &request, topic_id: topic.id, max, looks: TIMER_LOOKS_MAX, page };
        loop {
            let command = Command::DueMinutes { first: minute, max: MINUTES_AT_ONCE };
            let minutes = match broker.propose(command, 0).await? {
                Outcome::DueMinutes(minutes) => minutes,
                other => return Err(Failed::unexpected(&other).into()),
            };
            for (at, state) in &minutes {
                let from = if *at == minute { offset } else { 0 };
                if request.to_ms.is_some_and(|to| start_ms(*at) >= to) {
                    return Ok(walk.page);
                }
                if let Some(next) = walk.minute(*at, state, from)? {
                    walk.page.next = Some(format!("{at}:{next}"));
                    return Ok(walk.page);
                }
            }
            let Some((last, _)) = minutes.last() else { return Ok(walk.page) };
            (minute, offset) = (last + 1, 0);
        }
    }
}

fn parse_place(text: &str) -> Option<(i64, u64)> {
    let (minute, offset) = text.split_once(':')?;
    Some((minute.parse().ok()?, offset.parse().ok()?))
}

impl Walk<'_> {
    /// Lists a minute; answers the offset to go on at, if the call has enough.
    fn minute(&mut self, minute: i64, state: &Minute, mut from: u64) -> Result<Option<u64>, Failed> {
        let cancelled = self.cancelled(minute, state)?;
        let stream = streams::of_due_minute(minute);
        loop {
            let mut entries = Vec::new();
            self.broker.blocking_entries(stream, from, ENTRIES_AT_ONCE, &mut entries)?;
            if entries.is_empty() {
                return Ok(None);
            }
            for entry in &entries {
                if self.looks == 0 || self.page.timers.len() >= self.max {
                    return Ok(Some(entry.offset));
                }
                from = entry.next_offset();
                self.looks -= 1;
                if let MinuteEntry::Waiting { offset, waiting } = minute_entry(minute, entry)
                    && state.may_wait(waiting.due_ms, waiting.lsn)
                    && !cancelled.contains(&offset)
                {
                    self.entry(waiting)?;
                }
            }
        }
    }

    fn cancelled(&self, minute: i64, state: &Minute) -> Result<BTreeSet<u64>, Failed> {
        let mut cancelled = BTreeSet::new();
        let mut from = 0;
        if state.cancels == 0 {
            return Ok(cancelled);
        }
        loop {
            let mut entries = Vec::new();
            self.broker.blocking_entries(
                streams::of_due_minute(minute),
                from,
                ENTRIES_AT_ONCE,
                &mut entries,
            )?;
            let Some(last) = entries.last() else { return Ok(cancelled) };
            from = last.next_offset();
            for entry in &entries {
                if let MinuteEntry::Cancels { offset } = minute_entry(minute, entry) {
                    cancelled.insert(offset);
                }
            }
        }
    }

    fn entry(&mut self, waiting: Waiting) -> Result<(), Failed> {
        let Waiting { due_ms, lsn, len } = waiting;
        let is_wanted = self.request.from_ms.is_none_or(|from| due_ms >= from)
            && self.request.to_ms.is_none_or(|to| due_ms < to);
        if !is_wanted {
            return Ok(());
        }
        let payload = match self.broker.log.read(lsn, len) {
            Ok(payload) => payload,
            // Moved meanwhile: a later page has it.
            Err(ReadError::Trimmed { .. }) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let damaged = |what: String| Failed::Data(format!("the record at {lsn}: {what}"));
        let (prefix, _) = DuePrefix::decode(&payload).map_err(|error| damaged(error.to_string()))?;
        let (stream, fired_times) = match prefix.what {
            DueWhat::Message { stream, .. } => (stream, 0),
            DueWhat::Recurring { stream, fired_times, .. } => (stream, fired_times),
            DueWhat::Reference { .. } => return Ok(()),
        };
        let Some((_, queue)) = streams::queue_of(stream).filter(|(topic, _)| *topic == self.topic_id) else {
            return Ok(());
        };
        let message = message_of(&payload).map_err(|error| damaged(error.to_string()))?;
        let property = |key: &str| message.property(key).map(str::to_owned);
        self.page.timers.push(TimerDescription {
            message_id: property(properties::UNIQUE_ID).unwrap_or_default(),
            due_ms,
            stored_ms: prefix.stored_ms,
            queue: queue.get(),
            keys: property(properties::KEYS).unwrap_or_default(),
            tags: property(properties::TAGS).unwrap_or_default(),
            body_bytes: message.body().len(),
            cron: property(properties::CRON),
            fired_times,
        });
        Ok(())
    }
}
