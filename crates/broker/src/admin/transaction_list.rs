//! `transaction.list`: half messages that nobody has decided.

use model::admin::{AdminError, TransactionDescription, TransactionList, TransactionListRequest};
use model::properties::Pairs;
use model::{Lsn, Session, properties};

use super::Run;
use crate::broker::Broker;
use crate::machine::halves::Half;
use crate::machine::transactions::message_of_half;
use crate::resolve::{ResolveError, read_record};
use crate::streams;
use crate::transactions::Target;

const LISTED: u32 = 100;
const LISTED_MAX: u32 = 1_000;
/// Half messages that are looked at under one lock.
const LOOKS_AT_ONCE: usize = 4_096;

impl Run for TransactionList {
    async fn run(
        broker: &Broker,
        _: &Session,
        request: TransactionListRequest,
    ) -> Result<Vec<TransactionDescription>, AdminError> {
        let max = request.max.unwrap_or(LISTED).clamp(1, LISTED_MAX) as usize;
        let mut out = Vec::new();
        for (lsn, half) in candidates(broker, &request, max) {
            match describe(broker, lsn, &half).await {
                Ok(described) => out.push(described),
                Err(ResolveError::Gone) => {}
                Err(ResolveError::Data(error)) => return Err(AdminError::Internal(error)),
            }
        }
        Ok(out)
    }
}

fn candidates(broker: &Broker, request: &TransactionListRequest, max: usize) -> Vec<(Lsn, Half)> {
    let topic_id = match &request.topic {
        Some(name) => match broker.state.topic(name) {
            Some(topic) => Some(topic.id),
            None => return Vec::new(),
        },
        None => None,
    };
    let is_wanted = |half: &Half| {
        let is_of_topic =
            topic_id.is_none_or(|id| streams::queue_of(half.stream).is_some_and(|(found, _)| found == id));
        is_of_topic && request.group.as_ref().is_none_or(|group| half.group == *group)
    };
    let committed = broker.committed();
    let mut after = request.after.map(Lsn);
    let mut found = Vec::new();
    loop {
        // A step at a time: the group's thread must not wait for long.
        let mut looked = 0;
        let halves = broker.state.halves.lock();
        for (lsn, half) in halves.behind(after).take_while(|(lsn, _)| *lsn < committed).take(LOOKS_AT_ONCE) {
            looked += 1;
            after = Some(lsn);
            if is_wanted(half) {
                found.push((lsn, half.clone()));
            }
            if found.len() >= max {
                return found;
            }
        }
        if looked < LOOKS_AT_ONCE {
            return found;
        }
    }
}

async fn describe(broker: &Broker, lsn: Lsn, half: &Half) -> Result<TransactionDescription, ResolveError> {
    let message = message_of_half(&read_record(&broker.log, lsn, half.len).await?)?;
    let target = Target::of(&Pairs::of(message.properties()));
    let property = |key| message.property(key).unwrap_or_default().to_owned();
    Ok(TransactionDescription {
        position: lsn.get(),
        topic: target.as_ref().map(|target| target.topic.to_string()).unwrap_or_default(),
        queue: target.map_or(0, |target| target.queue.get()),
        producer_group: half.group.clone(),
        message_id: property(properties::UNIQUE_ID),
        keys: property(properties::KEYS),
        stored_ms: half.stored_ms,
        next_check_ms: half.check_ms,
        checks: half.checks,
    })
}
