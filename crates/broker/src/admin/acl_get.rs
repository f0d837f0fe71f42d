//! `acl.get`: the policies of one user; nothing, if it has none.

use model::Session;
use model::access::{Account, UserName};
use model::admin::{AclDescription, AclGet, AdminError, UserRequest};
use std::sync::Arc;

use super::Run;
use crate::broker::Broker;

impl Run for AclGet {
    async fn run(
        broker: &Broker,
        _: &Session,
        request: UserRequest,
    ) -> Result<Option<AclDescription>, AdminError> {
        let account = broker.account(&request.user)?;
        let policies = account.policies.clone();
        Ok((!policies.is_empty()).then_some(AclDescription { user: request.user, policies }))
    }
}

impl Broker {
    pub(super) fn account(&self, user: &UserName) -> Result<Arc<Account>, AdminError> {
        self.accounts().get(user.as_str()).ok_or_else(|| AdminError::NotFound(format!("user {user}")))
    }
}
