//! `topic.put`: makes or changes a topic.

use model::admin::{AdminError, TopicPut, TopicPutRequest};
use model::limits::{DEDUP_WINDOW_MS_MAX, QUEUES_PER_TOPIC_MAX};
use model::topic::{
    ATTRIBUTE_DEDUP_BY, ATTRIBUTE_DEDUP_WINDOW_MS, ATTRIBUTE_MESSAGE_TYPE, ATTRIBUTE_QUEUE_TYPE, DedupBy,
};
use model::{Session, TopicConfig};

use super::Run;
use crate::broker::Broker;
use crate::error::Failed;
use crate::machine::command::{Command, Outcome, PutMode, Refusal};

const MESSAGE_TYPES: [&str; 8] =
    ["UNSPECIFIED", "NORMAL", "FIFO", "DELAY", "TRANSACTION", "PRIORITY", "LITE", "MIXED"];
const QUEUE_TYPES: [&str; 3] = ["SimpleCQ", "BatchCQ", "RocksDBCQ"];

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
    one_of(config, ATTRIBUTE_MESSAGE_TYPE, &MESSAGE_TYPES)?;
    one_of(config, ATTRIBUTE_QUEUE_TYPE, &QUEUE_TYPES)?;
    one_of(config, ATTRIBUTE_DEDUP_BY, &DedupBy::NAMES)?;
    match config.attributes.get(ATTRIBUTE_DEDUP_WINDOW_MS) {
        Some(window) if !window.parse().is_ok_and(|ms| (0..=DEDUP_WINDOW_MS_MAX).contains(&ms)) => {
            let reason = format!(
                "{ATTRIBUTE_DEDUP_WINDOW_MS} is `{window}`, it takes 0 to {DEDUP_WINDOW_MS_MAX} milliseconds"
            );
            Err(AdminError::Invalid(reason))
        }
        _ => Ok(()),
    }
}

fn one_of(config: &TopicConfig, attribute: &str, known: &[&str]) -> Result<(), AdminError> {
    match config.attributes.get(attribute) {
        Some(value) if !known.contains(&value.as_str()) => {
            let known = known.join(", ");
            Err(AdminError::Invalid(format!("{attribute} is `{value}`, not one of {known}")))
        }
        _ => Ok(()),
    }
}
