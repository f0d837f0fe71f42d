//! `config.get`, `config.put`: the node's settings, which stand behind a door that the node hands in.

use std::sync::Arc;

use model::Session;
use model::admin::{AdminError, ConfigGet, ConfigPut, ConfigPutRequest, ConfigRequest, Setting, Settings};

use super::Run;
use crate::broker::Broker;
use crate::events::Event;

impl Broker {
    fn settings(&self) -> Result<&Arc<dyn Settings>, AdminError> {
        let missing = || AdminError::Unavailable("this node has no settings that operations see".to_owned());
        self.settings.get().ok_or_else(missing)
    }
}

impl Run for ConfigGet {
    async fn run(broker: &Broker, _: &Session, request: ConfigRequest) -> Result<Vec<Setting>, AdminError> {
        let mut settings = broker.settings()?.list();
        let part = request.contains.unwrap_or_default();
        settings.retain(|setting| setting.name.contains(&part) && (setting.changed || !request.changed));
        Ok(settings)
    }
}

impl Run for ConfigPut {
    async fn run(
        broker: &Broker,
        session: &Session,
        request: ConfigPutRequest,
    ) -> Result<Vec<Setting>, AdminError> {
        if request.settings.is_empty() {
            return Err(AdminError::Invalid("no setting is named".to_owned()));
        }
        let settings = request.settings.keys().cloned().collect();
        let changed = broker.settings()?.change(request.settings)?;
        let user = session.user.as_deref().map(str::to_owned);
        broker.events().emit(&Event::ConfigChanged { settings, user });
        Ok(changed)
    }
}
