//! `acl.delete`: an entry of a user's policies, or all of them.

use model::Session;
use model::access::PolicyKind;
use model::admin::{AclDelete, AclDeleteRequest, AdminError, Done};

use super::Run;
use crate::broker::Broker;
use crate::machine::access::AccessChange;

impl Run for AclDelete {
    async fn run(broker: &Broker, _: &Session, request: AclDeleteRequest) -> Result<Done, AdminError> {
        let AclDeleteRequest { user, kind, resource } = request;
        let kind = kind.unwrap_or(PolicyKind::Custom);
        if broker.account(&user)?.policies.is_empty() {
            return Err(AdminError::NotFound(format!("a policy of user {user}")));
        }
        let change = AccessChange::DeletePolicies { user: user.clone(), kind, resource };
        broker.change_access(&user, change).await
    }
}
