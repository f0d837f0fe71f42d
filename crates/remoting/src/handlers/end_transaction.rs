//! `END_TRANSACTION`: the outcome of a half message (`EndTransactionProcessor`). "Unknown" gets
//! no answer at all. A second outcome changes nothing and is answered as the first was: the original
//! does not see that it is the second.

use model::message::flags;
use model::verbs::{Settle, SettleError, TransactionEnd, TransactionOutcome};
use model::{GroupName, Lsn, Offset, TopicName};

use crate::error::Failure;
use crate::frame::Command;
use crate::header::{self, Fields};
use crate::link::Link;

use super::done;

/// The fields of a request, found by one pass.
#[derive(Default)]
struct Told<'a> {
    outcome: Option<&'a str>,
    position: Option<&'a str>,
    offset: Option<&'a str>,
    topic: Option<&'a str>,
    group: Option<&'a str>,
    message_id: Option<&'a str>,
    transaction_id: Option<&'a str>,
    from_check: Option<&'a str>,
}

impl<'a> Told<'a> {
    fn read(fields: &'a Fields) -> Self {
        let mut told = Self::default();
        for (key, value) in fields.iter() {
            let place = match key {
                "commitOrRollback" => &mut told.outcome,
                "commitLogOffset" => &mut told.position,
                "tranStateTableOffset" => &mut told.offset,
                "topic" => &mut told.topic,
                "producerGroup" => &mut told.group,
                "msgId" => &mut told.message_id,
                "transactionId" => &mut told.transaction_id,
                "fromTransactionCheck" => &mut told.from_check,
                _ => continue,
            };
            // Of equal keys the first counts.
            place.get_or_insert(value);
        }
        told
    }
}

fn text(value: Option<&str>) -> Option<&str> {
    value.filter(|text| !text.is_empty())
}

/// What the request says.
pub(super) fn read(request: &Command) -> Result<TransactionEnd, Failure> {
    let told = Told::read(&request.fields);
    let outcome = match header::parsed::<i32>("commitOrRollback", told.outcome)? {
        0 => TransactionOutcome::Unknown,
        flags::TRANSACTION_COMMIT => TransactionOutcome::Commit,
        flags::TRANSACTION_ROLLBACK => TransactionOutcome::Rollback,
        other => return Err(Failure::malformed("commitOrRollback", &other.to_string())),
    };
    let position: i64 = header::parsed("commitLogOffset", told.position)?;
    let offset: Option<i64> = header::parsed_opt("tranStateTableOffset", told.offset)?;
    let group = header::required("producerGroup", told.group)?;
    Ok(TransactionEnd {
        topic: text(told.topic).and_then(|name| TopicName::new(name).ok()),
        producer_group: Some(GroupName::new(group)?),
        outcome,
        lsn: Lsn(u64::try_from(position)
            .map_err(|_| Failure::malformed("commitLogOffset", &position.to_string()))?),
        offset: offset.and_then(|offset| u64::try_from(offset).ok()).map(Offset),
        message_id: text(told.message_id).map(str::to_owned),
        transaction_id: text(told.transaction_id).map(str::to_owned),
        from_check: header::is_true(told.from_check),
    })
}

pub(super) async fn end(link: &Link, end: TransactionEnd) -> Result<Option<Command>, Failure> {
    let outcome = end.outcome;
    match link.engine().settle(&link.session, Settle::Transaction(end)).await {
        Ok(()) | Err(SettleError::Stale) => {}
        Err(error) => return Err(error.into()),
    }
    Ok((outcome != TransactionOutcome::Unknown).then(done))
}
