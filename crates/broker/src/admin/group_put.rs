//! `group.put`: makes or changes a consumer group.

use model::admin::{AdminError, GroupPut, GroupPutRequest};
use model::{GroupConfig, Session};

use super::Run;
use crate::broker::Broker;
use crate::error::Failed;
use crate::machine::command::{Command, Outcome, PutMode, Refusal};

impl Run for GroupPut {
    async fn run(broker: &Broker, _: &Session, request: GroupPutRequest) -> Result<GroupConfig, AdminError> {
        let name = request.config.name.clone();
        let mode = if request.update { PutMode::Put } else { PutMode::Create };
        match broker.propose(Command::GroupPut { config: request.config, mode }, 0).await? {
            Outcome::Group(group) => Ok(group.config.clone()),
            Outcome::Refused(Refusal::Exists) => Err(AdminError::Exists(format!("group {name}"))),
            other => Err(Failed::unexpected(&other).into()),
        }
    }
}
