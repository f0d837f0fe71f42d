//! `user.get`: one user.

use model::Session;
use model::access::Account;
use model::admin::{AdminError, UserDescription, UserGet, UserRequest};

use super::Run;
use crate::broker::Broker;

impl Run for UserGet {
    async fn run(
        broker: &Broker,
        _: &Session,
        request: UserRequest,
    ) -> Result<Option<UserDescription>, AdminError> {
        Ok(broker.accounts().get(request.user.as_str()).as_deref().map(describe))
    }
}

pub(super) fn describe(account: &Account) -> UserDescription {
    UserDescription {
        user: account.name.clone(),
        kind: account.config.kind,
        status: account.config.status,
        password: None,
        sealed: Some(account.config.sealed.clone()),
    }
}
