//! `group.list`: all consumer groups, by name.

use model::admin::{AdminError, GroupList, ListRequest};
use model::{GroupConfig, Session};

use super::Run;
use crate::broker::Broker;

impl Run for GroupList {
    async fn run(broker: &Broker, _: &Session, request: ListRequest) -> Result<Vec<GroupConfig>, AdminError> {
        let part = request.contains.as_deref().unwrap_or_default();
        let all = broker.state.groups().into_iter().map(|group| group.config.clone());
        Ok(all.filter(|config| config.name.as_str().contains(part)).collect())
    }
}
