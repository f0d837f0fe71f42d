//! `acl.copy`: lays the policies of one user over those of another one.

use model::Session;
use model::admin::{AclCopy, AclCopyRequest, AdminError, Done};

use super::Run;
use crate::broker::Broker;
use crate::machine::access::AccessChange;

impl Run for AclCopy {
    async fn run(broker: &Broker, _: &Session, request: AclCopyRequest) -> Result<Done, AdminError> {
        let policies = broker.account(&request.from)?.policies.clone();
        let change = AccessChange::PutPolicies { user: request.to.clone(), policies };
        broker.change_access(&request.to, change).await
    }
}
