//! `transaction.end`: an operator decides what its producers do not.

use model::admin::{AdminError, DecidedOutcome, Done, TransactionEnd, TransactionEndRequest};
use model::properties::Pairs;
use model::verbs::{SettleError, TransactionOutcome};
use model::{Lsn, Session};

use super::Run;
use crate::broker::Broker;

impl Run for TransactionEnd {
    async fn run(broker: &Broker, _: &Session, request: TransactionEndRequest) -> Result<Done, AdminError> {
        let TransactionEndRequest { position, outcome } = request;
        let outcome = match outcome {
            DecidedOutcome::Commit => TransactionOutcome::Commit,
            DecidedOutcome::Rollback => TransactionOutcome::Rollback,
        };
        let lsn = Lsn(position);
        let (undecided, half) = broker.half_at(lsn).await.map_err(|error| failed(position, error))?;
        let undecided = undecided.ok_or_else(|| failed(position, SettleError::Stale))?;
        let decided = broker.decide(lsn, &undecided, (&half, &Pairs::of(half.properties())), outcome).await;
        decided.map(|()| Done {}).map_err(|error| failed(position, error))
    }
}

fn failed(position: u64, error: SettleError) -> AdminError {
    match error {
        SettleError::MessageNotFound => AdminError::NotFound(format!("a transaction at {position}")),
        SettleError::Stale => AdminError::NotFound(format!("an undecided transaction at {position}")),
        SettleError::Unavailable(error) => AdminError::Unavailable(error),
        SettleError::Internal(error) => AdminError::Internal(error),
        other => AdminError::Invalid(other.to_string()),
    }
}
