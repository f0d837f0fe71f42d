//! `EndTransaction`: a producer says what became of a transaction.
//!
//! The id that clients were given is the half message's place (a 4.x message id).

use model::record::position_of_offset_id;
use model::verbs::{Settle, TransactionEnd, TransactionOutcome};

use crate::answer::{self, Refusal};
use crate::call::Call;
use crate::error;
use crate::proto::{
    Code, EndTransactionRequest, EndTransactionResponse, TransactionResolution, TransactionSource,
};
use crate::settings::producer_group;
use crate::validate;

pub(crate) async fn end_transaction(
    call: Call,
    request: EndTransactionRequest,
) -> Result<EndTransactionResponse, Refusal> {
    let topic = validate::topic(request.topic.as_ref())?;
    let lsn = position_of_offset_id(&request.transaction_id).map_err(|_| {
        Refusal::new(
            Code::InvalidTransactionId,
            "the transaction id is malformed: use the one that came with the send",
        )
    })?;
    if request.message_id.trim().is_empty() {
        return Err(Refusal::new(Code::IllegalMessageId, "the message id of the transaction is missing"));
    }
    let outcome = match request.resolution() {
        TransactionResolution::Commit => TransactionOutcome::Commit,
        TransactionResolution::Rollback => TransactionOutcome::Rollback,
        TransactionResolution::Unspecified => TransactionOutcome::Unknown,
    };
    let end = TransactionEnd {
        producer_group: Some(producer_group(&topic)?),
        topic: Some(topic),
        outcome,
        lsn,
        offset: None,
        from_check: request.source() == TransactionSource::SourceServerCheck,
        message_id: Some(request.message_id),
        transaction_id: None,
    };
    call.node.engine.settle(&call.session, Settle::Transaction(end)).await.map_err(error::of_transaction)?;
    Ok(EndTransactionResponse { status: Some(answer::ok()) })
}
