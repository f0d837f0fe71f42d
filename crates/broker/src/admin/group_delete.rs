//! `group.delete`: a consumer group and, if asked, its progress.

use model::Session;
use model::admin::{AdminError, Done, GroupDelete, GroupDeleteRequest};

use super::Run;
use crate::broker::Broker;
use crate::error::Failed;
use crate::machine::command::{Command, Outcome, Refusal};

impl Run for GroupDelete {
    async fn run(broker: &Broker, _: &Session, request: GroupDeleteRequest) -> Result<Done, AdminError> {
        let GroupDeleteRequest { group: name, clean_offsets } = request;
        let command = Command::GroupDelete { name: name.clone(), clean_offsets };
        match broker.propose(command, 0).await? {
            Outcome::Done => Ok(Done {}),
            Outcome::Refused(Refusal::NotFound) => Err(AdminError::NotFound(format!("group {name}"))),
            other => Err(Failed::unexpected(&other).into()),
        }
    }
}
