//! `client.list`: who is connected, by client id.

use model::Session;
use model::admin::{AdminError, ClientDescription, ClientList, ClientListRequest};

use super::Run;
use crate::broker::Broker;

impl Run for ClientList {
    async fn run(
        broker: &Broker,
        _: &Session,
        request: ClientListRequest,
    ) -> Result<Vec<ClientDescription>, AdminError> {
        let mut clients = broker.members.clients();
        if let Some(part) = &request.contains {
            clients.retain(|client| client.client_id.contains(part.as_str()));
        }
        clients.sort_by(|a, b| (&a.client_id, &a.address).cmp(&(&b.client_id, &b.address)));
        Ok(clients)
    }
}
