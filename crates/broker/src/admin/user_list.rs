//! `user.list`: all users, by name.

use model::Session;
use model::admin::{AccessRequest, AdminError, UserDescription, UserList};

use super::{Run, user_get};
use crate::broker::Broker;

impl Run for UserList {
    async fn run(
        broker: &Broker,
        _: &Session,
        request: AccessRequest,
    ) -> Result<Vec<UserDescription>, AdminError> {
        let part = request.contains.unwrap_or_default();
        let all = broker.accounts().all();
        let wanted = all.iter().filter(|account| account.name.as_str().contains(&part));
        Ok(wanted.map(|account| user_get::describe(account)).collect())
    }
}
