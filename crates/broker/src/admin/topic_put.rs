//! `topic.put`: makes or changes a topic.

use model::admin::{AdminError, TopicPut, TopicPutRequest};
use model::limits::QUEUES_PER_TOPIC_MAX;
use model::topic::ATTRIBUTE_MESSAGE_TYPE;
use model::{Session, TopicConfig};

use super::Run;
use crate::broker::Broker;
use crate::error::Failed;
use crate::machine::command::{Command, Outcome, PutMode, Refusal};

const MESSAGE_TYPES: [&str; 8] =
    ["UNSPECIFIED", "NORMAL", "FIFO", "DELAY", "TRANSACTION", "PRIORITY", "LITE", "MIXED"];

impl Run for TopicPut {
    async fn run(broker: &Broker, _: &Session, request: TopicPutRequest) -> Result<TopicConfig, AdminError> {
        check(&request.config)?;
        let name = request.config.name.clone();
        let mode = if request.update { PutMode::Put } else { PutMode::Create };
        match broker.propose(Command::TopicPut { config: request.config, mode }, 0).await? {
            Outcome::Topic(topic) => Ok(topic.config.clone()),
            Outcome::Refused(Refusal::Exists) => Err(AdminError::Exists(format!("topic {name}"))),
            other => Err(Failed::unexpected(&other).into()),
        }
    }
}

fn check(config: &TopicConfig) -> Result<(), AdminError> {
    if config.name.is_system() {
        return Err(AdminError::Denied(format!("topic {} belongs to the system", config.name)));
    }
    let queues = config.queues();
    if queues == 0 || queues > QUEUES_PER_TOPIC_MAX {
        let reason = format!("a topic has 1 to {QUEUES_PER_TOPIC_MAX} queues, not {queues}");
        return Err(AdminError::Invalid(reason));
    }
    match config.attributes.get(ATTRIBUTE_MESSAGE_TYPE) {
        Some(kind) if !MESSAGE_TYPES.contains(&kind.as_str()) => {
            let known = MESSAGE_TYPES.join(", ");
            Err(AdminError::Invalid(format!("{ATTRIBUTE_MESSAGE_TYPE} is `{kind}`, not one of {known}")))
        }
        _ => Ok(()),
    }
}
