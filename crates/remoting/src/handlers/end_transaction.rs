//! `END_TRANSACTION`: the outcome of a half message (`EndTransactionProcessor`). "Unknown" gets
//! no answer at all. A second outcome changes nothing and is answered as the first was: the original
//! does not see that it is the second.

use std::sync::Arc;

use model::message::flags;
use model::verbs::{Settle, SettleError, TransactionEnd, TransactionOutcome};
use model::{GroupName, Lsn, Offset, TopicName};

use crate::error::Failure;
use crate::frame::Command;
use crate::link::Link;

use super::done;

pub(super) async fn end(link: &Arc<Link>, request: &Command) -> Result<Option<Command>, Failure> {
    let fields = &request.fields;
    let outcome = match fields.parse::<i32>("commitOrRollback")? {
        0 => TransactionOutcome::Unknown,
        flags::TRANSACTION_COMMIT => TransactionOutcome::Commit,
        flags::TRANSACTION_ROLLBACK => TransactionOutcome::Rollback,
        other => return Err(Failure::malformed("commitOrRollback", &other.to_string())),
    };
    let position: i64 = fields.parse("commitLogOffset")?;
    let text = |name| fields.get(name).filter(|text| !text.is_empty()).map(str::to_owned);
    let offset: Option<i64> = fields.parse_opt("tranStateTableOffset")?;
    let end = TransactionEnd {
        topic: text("topic").and_then(|name| TopicName::new(&name).ok()),
        producer_group: Some(GroupName::new(fields.required("producerGroup")?)?),
        outcome,
        lsn: Lsn(u64::try_from(position)
            .map_err(|_| Failure::malformed("commitLogOffset", &position.to_string()))?),
        offset: offset.and_then(|offset| u64::try_from(offset).ok()).map(Offset),
        message_id: text("msgId"),
        transaction_id: text("transactionId"),
        from_check: fields.flag("fromTransactionCheck"),
    };
    match link.engine().settle(&link.session, Settle::Transaction(end)).await {
        Ok(()) | Err(SettleError::Stale) => {}
        Err(error) => return Err(error.into()),
    }
    Ok((outcome != TransactionOutcome::Unknown).then(done))
}
