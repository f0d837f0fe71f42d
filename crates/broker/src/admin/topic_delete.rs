//! `topic.delete`: a topic, its queues, and the progress of groups in them.

use model::Session;
use model::admin::{AdminError, Done, TopicDelete, TopicRequest};

use super::Run;
use crate::broker::Broker;
use crate::error::Failed;
use crate::machine::command::{Command, Outcome, Refusal};

impl Run for TopicDelete {
    async fn run(broker: &Broker, _: &Session, request: TopicRequest) -> Result<Done, AdminError> {
        let name = request.topic;
        let is_parent = broker.state.topic(&name).is_some_and(|topic| topic.config.is_lite_parent());
        match broker.propose(Command::TopicDelete { name: name.clone() }, 0).await? {
            Outcome::Done => {
                if is_parent {
                    broker.lite_sweep.notify_one();
                }
                Ok(Done {})
            }
            Outcome::Refused(Refusal::NotFound) => Err(AdminError::NotFound(format!("topic {name}"))),
            other => Err(Failed::unexpected(&other).into()),
        }
    }
}
