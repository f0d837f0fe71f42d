//! `event.list`: what happened to the node lately. See [`crate::events`].

use model::Session;
use model::admin::{AdminError, EventList, EventListRequest, EventPage};

use super::Run;
use crate::broker::Broker;

impl Run for EventList {
    async fn run(broker: &Broker, _: &Session, request: EventListRequest) -> Result<EventPage, AdminError> {
        broker.events().list(&request).await
    }
}
