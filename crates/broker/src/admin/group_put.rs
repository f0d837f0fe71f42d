//! `group.put`: makes or changes a consumer group.

use model::admin::{AdminError, GroupPut, GroupPutRequest};
use model::group::ATTRIBUTE_ORDER_BY;
use model::{GroupConfig, RetryPolicy, Session};

use super::Run;
use crate::broker::Broker;
use crate::error::Failed;
use crate::limits::{RETRY_DELAY_MS_MAX, RETRY_STEPS_MAX};
use crate::machine::command::{Command, Outcome, PutMode, Refusal};

impl Run for GroupPut {
    async fn run(broker: &Broker, _: &Session, request: GroupPutRequest) -> Result<GroupConfig, AdminError> {
        check(&request.config.retry_policy)?;
        check_order(&request.config)?;
        let name = request.config.name.clone();
        let mode = if request.update { PutMode::Put } else { PutMode::Create };
        match broker.propose(Command::GroupPut { config: request.config, mode }, 0).await? {
            Outcome::Group(group) => Ok(group.config.clone()),
            Outcome::Refused(Refusal::Exists) => Err(AdminError::Exists(format!("group {name}"))),
            other => Err(Failed::unexpected(&other).into()),
        }
    }
}

/// A policy that clients and the engine can wait by.
fn check(policy: &RetryPolicy) -> Result<(), AdminError> {
    let delays = 1..=RETRY_DELAY_MS_MAX;
    let legal = match policy {
        RetryPolicy::Customized { next_ms } => {
            (1..=RETRY_STEPS_MAX).contains(&next_ms.len()) && next_ms.iter().all(|ms| delays.contains(ms))
        }
        RetryPolicy::Exponential { initial_ms, max_ms, multiplier } => {
            delays.contains(initial_ms)
                && (*initial_ms..=RETRY_DELAY_MS_MAX).contains(max_ms)
                && *multiplier >= 1
        }
    };
    if legal {
        return Ok(());
    }
    Err(AdminError::Invalid(format!(
        "a retry policy is a list of 1 to {RETRY_STEPS_MAX} delays of 1 to {RETRY_DELAY_MS_MAX} ms, or grows \
         from an initial delay to one that is not smaller, by a factor of 1 or more"
    )))
}

fn check_order(config: &GroupConfig) -> Result<(), AdminError> {
    match config.attributes.get(ATTRIBUTE_ORDER_BY).map(String::as_str) {
        None | Some("key" | "queue") => Ok(()),
        Some(other) => Err(AdminError::Invalid(format!(
            "the attribute {ATTRIBUTE_ORDER_BY} is `{other}`; it takes `key` (a message waits for its message \
             group) or `queue` (for its whole queue)"
        ))),
    }
}
