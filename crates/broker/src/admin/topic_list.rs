//! `topic.list`: all topics, by name.

use model::admin::{AdminError, ListRequest, TopicList};
use model::{Session, TopicConfig};

use super::Run;
use crate::broker::Broker;

impl Run for TopicList {
    async fn run(broker: &Broker, _: &Session, request: ListRequest) -> Result<Vec<TopicConfig>, AdminError> {
        let wanted = |config: &TopicConfig| {
            let name = &config.name;
            let own = name.is_system() || name.is_retry() || name.is_dead_letters();
            (request.all || !own)
                && request.contains.as_ref().is_none_or(|part| name.as_str().contains(part.as_str()))
        };
        let all = broker.state.topics().into_iter().map(|topic| topic.config.clone());
        Ok(all.filter(wanted).collect())
    }
}
