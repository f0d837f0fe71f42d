//! `group.page`: consumer groups with how far they are, searched, sorted and paged here.

use std::cmp::Reverse;
use std::sync::Arc;

use hashbrown::{HashMap, HashSet};
use model::admin::{
    AdminError, GroupOrder, GroupPage, GroupPageAnswer, GroupPageRequest, GroupRow, RateOf, Window,
};
use model::{GroupName, Session, StreamId, TopicName};

use super::Run;
use super::paging::{Passed, matches, passed, slice};
use super::topic_page::held;
use crate::broker::Broker;
use crate::error::Failed;
use crate::machine::state::Group;

/// What all of a group's cursors come to.
#[derive(Default)]
struct Sums {
    topics: HashSet<u32>,
    lag: u64,
    in_flight: u64,
    /// Where messages wait, and the first that does.
    behind: Vec<(StreamId, u64)>,
}

struct Counted {
    group: Arc<Group>,
    sums: Sums,
    members: usize,
    dead_letters: u64,
    received: Passed,
    sent_back_day: Window,
}

impl Run for GroupPage {
    async fn run(
        broker: &Broker,
        _: &Session,
        request: GroupPageRequest,
    ) -> Result<GroupPageAnswer, AdminError> {
        let groups = broker.state.groups().into_iter();
        let wanted: Vec<_> = groups
            .filter(|group| matches(group.config.name.as_str(), request.search.as_deref(), request.exact))
            .collect();
        let mut counted = count(broker, wanted)?;
        if request.dead_letters {
            counted.retain(|one| one.dead_letters > 0);
        }
        match request.sort {
            GroupOrder::Name => {}
            GroupOrder::Lag => counted.sort_by_key(|one| Reverse(one.sums.lag)),
            GroupOrder::Members => counted.sort_by_key(|one| Reverse(one.members)),
            GroupOrder::DeadLetters => counted.sort_by_key(|one| Reverse(one.dead_letters)),
            GroupOrder::Received => {
                counted.sort_by(|a, b| b.received.0.per_second.total_cmp(&a.received.0.per_second));
            }
        }
        if request.reverse {
            counted.reverse();
        }
        let total = counted.len() as u64;
        let shown = slice(&counted, request.offset, request.limit);
        let rows = shown.iter().map(|one| row(broker, one)).collect::<Result<_, Failed>>()?;
        Ok(GroupPageAnswer { total, rows })
    }
}

fn count(broker: &Broker, groups: Vec<Arc<Group>>) -> Result<Vec<Counted>, Failed> {
    let mut sums = sums(broker)?;
    let by_group = |of| passed(broker, of, |row| row.group.clone());
    let (received, sent_back) = (by_group(RateOf::Received), by_group(RateOf::SentBack));
    let counted = groups.into_iter().map(|group| {
        let name = &group.config.name;
        Ok(Counted {
            members: broker.members.client_ids(name).len(),
            dead_letters: dead_letters(broker, name)?,
            received: received.get(name).copied().unwrap_or_default(),
            sent_back_day: sent_back.get(name).copied().unwrap_or_default().1,
            sums: sums.remove(&group.id).unwrap_or_default(),
            group,
        })
    });
    counted.collect()
}

/// One pass over all cursors.
fn sums(broker: &Broker) -> Result<HashMap<u32, Sums>, Failed> {
    let mut sums: HashMap<u32, Sums> = HashMap::new();
    for key in broker.state.cursor_keys() {
        let Some((topic, _)) = broker.state.queue_of(key.stream) else { continue };
        let Some(cell) = broker.state.cursor(key) else { continue };
        let bounds = broker.blocking_bounds(key.stream)?;
        let (next, committed, in_flight, waiting) = {
            let cursor = cell.cursor.lock();
            (cursor.next, cursor.committed(), cursor.in_flight.len() as u64, cursor.waiting.len() as u64)
        };
        let of_group = sums.entry(key.group_id).or_default();
        if !topic.config.name.is_retry() {
            of_group.topics.insert(topic.id);
        }
        let lag = bounds.max.saturating_sub(next.max(bounds.min)) + in_flight + waiting;
        of_group.lag += lag;
        of_group.in_flight += in_flight;
        if lag > 0 {
            of_group.behind.push((key.stream, committed.max(bounds.min)));
        }
    }
    Ok(sums)
}

fn dead_letters(broker: &Broker, group: &GroupName) -> Result<u64, Failed> {
    let topic = broker.state.topic(&TopicName::dead_letters_of(group));
    topic.map_or(Ok(0), |topic| Ok(held(broker, &topic, false)?.0))
}

fn row(broker: &Broker, one: &Counted) -> Result<GroupRow, Failed> {
    let config = &one.group.config;
    let mut oldest_ms = i64::MAX;
    for (stream, offset) in &one.sums.behind {
        let mut first = Vec::with_capacity(1);
        broker.blocking_entries(*stream, *offset, 1, &mut first)?;
        oldest_ms = first.first().map_or(oldest_ms, |entry| oldest_ms.min(entry.time_ms));
    }
    Ok(GroupRow {
        name: config.name.clone(),
        ordered: config.ordered,
        consume_enabled: config.consume_enabled,
        members: u32::try_from(one.members).unwrap_or(u32::MAX),
        topics: u32::try_from(one.sums.topics.len()).unwrap_or(u32::MAX),
        lag: one.sums.lag,
        in_flight: one.sums.in_flight,
        lag_ms: if oldest_ms == i64::MAX { 0 } else { (broker.now_ms() - oldest_ms).max(0) },
        dead_letters: one.dead_letters,
        received_per_second: one.received.0.per_second,
        received_messages_day: one.received.1.messages,
        sent_back_messages_day: one.sent_back_day.messages,
    })
}
