//! What happens to the node, told as CloudEvents 1.0: to a topic of the system, to those that wait, and to those
//! that ask later.
//!
//! ```text
//! emit -> waiting (coalesced, limited) -> every 100 ms: stamped -> the newest, kept -> event.list, streams
//!                                                              \-> messages of RMQ_SYS_EVENTS
//! ```
//! Whoever emits never waits and never fails. Numbers are given when events are written, so that the order of
//! numbers is that of the topic. After a start, the newest events come back from the topic.

pub mod kinds;
mod page;
mod writer;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use base::Clock;
use chrono::{DateTime, Datelike, Timelike};
use model::Lsn;
use model::admin::{AdminError, CloudEvent, EventListRequest, EventPage};
use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use serde_json::Value;
use store::RecoveryReport;
use tokio::sync::{Notify, Semaphore, watch};

pub use kinds::{Event, TYPE_PREFIX};
pub use page::page;

use crate::limits::{
    EVENT_PAGE_MAX, EVENT_WAIT_MS_MAX, EVENT_WAITERS_MAX, EVENTS_KEPT_MAX, EVENTS_WAITING_MAX,
};

/// Where events are written, by the node alone.
pub use model::names::EVENTS_TOPIC as TOPIC;

/// Type, subject and data.
type Told = (&'static str, Option<String>, Value);

/// An event that waits to be written.
#[derive(Debug)]
struct Waiting {
    told: Told,
    at_ms: i64,
    /// How many of its kind it stands for besides itself.
    coalesced: u64,
}

#[derive(Debug, Default)]
struct Inner {
    waiting: VecDeque<Waiting>,
    /// The number of the first that waits, counted from the start.
    first: u64,
    /// The newest that waits about each subject, by that count.
    newest: HashMap<String, u64>,
    /// Not told of yet.
    dropped: u64,
    kept: VecDeque<Arc<CloudEvent>>,
    next_number: u64,
    /// What this start's ids begin with.
    start_ms: i64,
}

/// When an event happened, and its number.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stamp {
    pub(crate) start_ms: i64,
    pub(crate) number: u64,
    pub(crate) now_ms: i64,
    pub(crate) coalesced: u64,
}

/// The events of a node.
pub struct Events {
    source: String,
    clock: Arc<dyn Clock>,
    inner: Mutex<Inner>,
    /// Something waits to be written.
    wake: Notify,
    /// Grows with what is kept.
    arrived: watch::Sender<u64>,
    waiters: Semaphore,
    emitted: Counter,
    dropped: Counter,
}

pub(crate) fn cloud_event(source: &str, told: &Told, stamp: Stamp) -> CloudEvent {
    let (kind, subject, data) = told;
    let mut data = data.clone();
    if let (Value::Object(fields), 1..) = (&mut data, stamp.coalesced) {
        fields.insert("coalesced".to_owned(), stamp.coalesced.into());
    }
    CloudEvent {
        specversion: "1.0".to_owned(),
        id: format!("{:013}-{:010}", stamp.start_ms, stamp.number),
        source: source.to_owned(),
        kind: format!("{TYPE_PREFIX}{kind}"),
        subject: subject.clone(),
        time: rfc3339(stamp.now_ms),
        datacontenttype: "application/json".to_owned(),
        data,
    }
}

/// A time as RFC 3339 writes it, in UTC.
fn rfc3339(unix_ms: i64) -> String {
    let at = DateTime::from_timestamp_millis(unix_ms).unwrap_or_default();
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
        at.year(),
        at.month(),
        at.day(),
        at.hour(),
        at.minute(),
        at.second(),
        at.timestamp_subsec_millis()
    )
}

impl Events {
    pub(crate) fn new(cluster: &str, broker: &str, clock: Arc<dyn Clock>) -> Self {
        Self {
            source: format!("/apogee/{cluster}/{broker}"),
            inner: Mutex::new(Inner { start_ms: clock.now_ms(), ..Inner::default() }),
            clock,
            wake: Notify::new(),
            arrived: watch::Sender::new(0),
            waiters: Semaphore::new(EVENT_WAITERS_MAX),
            emitted: Counter::default(),
            dropped: Counter::default(),
        }
    }

    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register("events", "Events that happened", self.emitted.clone());
        let help = "Events that were dropped because too many came at once";
        registry.register("events_dropped", help, self.dropped.clone());
    }

    /// Tells what a start found.
    pub(crate) fn emit_start(&self, recovery: &RecoveryReport, (start, end): (Lsn, Lsn)) {
        if !recovery.clean {
            self.emit(&Event::CrashFound { power_lost: recovery.power_lost });
            self.emit(&Event::Recovered {
                replayed_frames: recovery.log.frames,
                torn_bytes: recovery.log.torn_bytes,
                corrupt_bytes: recovery.log.corrupt_bytes,
            });
        }
        let version = env!("CARGO_PKG_VERSION").to_owned();
        self.emit(&Event::NodeStarted { version, log_start: start.get(), log_end: end.get() });
    }

    /// Tells of an event. Never waits.
    pub fn emit(&self, event: &Event) {
        self.emitted.inc();
        let told = event.told();
        let about = format!("{}/{}", told.0.split('.').next().unwrap_or_default(), subject_of(&told));
        let at_ms = self.clock.now_ms();
        let mut inner = self.inner.lock();
        let newest = inner.newest.get(&about).and_then(|at| at.checked_sub(inner.first));
        let newest = newest.and_then(|at| usize::try_from(at).ok());
        if let Some(same) = newest.and_then(|at| inner.waiting.get_mut(at)).filter(|w| w.told.0 == told.0) {
            same.told = told;
            same.at_ms = at_ms;
            same.coalesced += 1;
            return;
        }
        if inner.waiting.len() >= EVENTS_WAITING_MAX {
            inner.dropped += 1;
            self.dropped.inc();
            return;
        }
        let at = inner.first + inner.waiting.len() as u64;
        inner.newest.insert(about, at);
        inner.waiting.push_back(Waiting { told, at_ms, coalesced: 0 });
        drop(inner);
        self.wake.notify_one();
    }

    /// Stamps up to `max` of those that wait, and keeps them.
    fn take(&self, max: usize) -> Vec<Arc<CloudEvent>> {
        let now_ms = self.clock.now_ms();
        let mut inner = self.inner.lock();
        let count = inner.waiting.len().min(max);
        let mut taken: Vec<Waiting> = inner.waiting.drain(..count).collect();
        inner.first += count as u64;
        if inner.waiting.is_empty() {
            inner.newest.clear();
            let dropped = std::mem::take(&mut inner.dropped);
            if dropped > 0 {
                let told = Event::Dropped { count: dropped }.told();
                taken.push(Waiting { told, at_ms: now_ms, coalesced: 0 });
            }
        }
        let mut events = Vec::with_capacity(taken.len());
        for Waiting { told, at_ms, coalesced } in taken {
            let number = inner.next_number;
            inner.next_number += 1;
            let stamp = Stamp { start_ms: inner.start_ms, number, now_ms: at_ms, coalesced };
            let event = Arc::new(cloud_event(&self.source, &told, stamp));
            keep(&mut inner.kept, Arc::clone(&event));
            events.push(event);
        }
        drop(inner);
        self.arrived.send_modify(|count| *count += 1);
        events
    }

    /// Puts events of before this start in front of those of now.
    fn remember(&self, earlier: Vec<CloudEvent>) {
        let mut inner = self.inner.lock();
        let last = earlier.last().and_then(|event| event.id.split('-').next()?.parse::<i64>().ok());
        // A wall clock that was set back does not make ids go back.
        inner.start_ms = inner.start_ms.max(last.map_or(i64::MIN, |last| last.saturating_add(1)));
        for event in earlier.into_iter().rev() {
            if inner.kept.len() < EVENTS_KEPT_MAX {
                inner.kept.push_front(Arc::new(event));
            }
        }
    }

    fn page(&self, request: &EventListRequest) -> EventPage {
        let max = request.max.unwrap_or(100).clamp(1, EVENT_PAGE_MAX);
        let types: Vec<&str> =
            request.types.as_deref().unwrap_or_default().split(',').map(str::trim).collect();
        let inner = self.inner.lock();
        let wanted = |event: &&Arc<CloudEvent>| is_of(&event.kind, &types);
        let (events, more) = match &request.after {
            Some(after) => {
                let mut rest = inner.kept.iter().filter(|event| event.id > *after).filter(wanted);
                let events: Vec<_> = rest.by_ref().take(max).collect();
                (events, rest.next().is_some())
            }
            None => {
                let mut newest: Vec<_> = inner.kept.iter().rev().filter(wanted).take(max).collect();
                newest.reverse();
                (newest, false)
            }
        };
        let last = inner.kept.back().map(|event| event.id.clone());
        EventPage {
            events: events.into_iter().map(|event| CloudEvent::clone(event)).collect(),
            last_id: last,
            more,
            dropped: self.dropped.get(),
        }
    }

    /// Events that were asked for; with `wait_ms`, none only after that time.
    ///
    /// # Errors
    /// If too many calls wait already.
    pub(crate) async fn list(&self, request: &EventListRequest) -> Result<EventPage, AdminError> {
        let wait_ms = request.wait_ms.unwrap_or(0).min(EVENT_WAIT_MS_MAX);
        let mut arrived = self.arrived.subscribe();
        let mut page = self.page(request);
        if wait_ms == 0 || !page.events.is_empty() {
            return Ok(page);
        }
        let too_many = |_| {
            AdminError::Unavailable(format!("{EVENT_WAITERS_MAX} calls wait for events, the most allowed"))
        };
        let _place = self.waiters.try_acquire().map_err(too_many)?;
        let mut over = self.clock.sleep(Duration::from_millis(wait_ms));
        while page.events.is_empty() {
            tokio::select! {
                biased;
                () = &mut over => break,
                changed = arrived.changed() => if changed.is_err() { break },
            }
            page = self.page(request);
        }
        Ok(page)
    }
}

fn keep(kept: &mut VecDeque<Arc<CloudEvent>>, event: Arc<CloudEvent>) {
    if kept.len() >= EVENTS_KEPT_MAX {
        kept.pop_front();
    }
    kept.push_back(event);
}

fn subject_of(told: &Told) -> &str {
    told.1.as_deref().unwrap_or(told.0)
}

/// `client` means all types that begin with `io.apogee.client.`; nothing means all.
fn is_of(kind: &str, types: &[&str]) -> bool {
    let short = kind.strip_prefix(TYPE_PREFIX).unwrap_or(kind);
    let matches = |wanted: &&str| {
        let wanted = wanted.strip_prefix(TYPE_PREFIX).unwrap_or(wanted);
        short.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    let mut named = types.iter().filter(|wanted| !wanted.is_empty()).peekable();
    named.peek().is_none() || named.any(matches)
}

#[cfg(test)]
mod tests;
