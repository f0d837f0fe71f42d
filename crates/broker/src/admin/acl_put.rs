//! `acl.put`: entries of a user's policies; one for a resource that has one already takes its place.

use model::Session;
use model::access::UserName;
use model::access::policy;
use model::admin::{AclPut, AclPutRequest, AdminError, Done};

use super::Run;
use crate::broker::Broker;
use crate::error::Failed;
use crate::machine::access::AccessChange;
use crate::machine::command::{Command, Outcome, Refusal};

impl Run for AclPut {
    async fn run(broker: &Broker, _: &Session, request: AclPutRequest) -> Result<Done, AdminError> {
        let AclPutRequest { user, policies } = request;
        policy::check(&policies).map_err(AdminError::Invalid)?;
        broker.change_access(&user.clone(), AccessChange::PutPolicies { user, policies }).await
    }
}

impl Broker {
    pub(super) async fn change_access(
        &self,
        user: &UserName,
        change: AccessChange,
    ) -> Result<Done, AdminError> {
        match self.propose(Command::Access(change), 0).await? {
            Outcome::Done => Ok(Done {}),
            Outcome::Refused(Refusal::NotFound) => Err(AdminError::NotFound(format!("user {user}"))),
            Outcome::Refused(Refusal::Exists) => Err(AdminError::Exists(format!("user {user}"))),
            Outcome::Refused(Refusal::Illegal(why)) => Err(AdminError::Invalid(why)),
            other => Err(Failed::unexpected(&other).into()),
        }
    }
}
