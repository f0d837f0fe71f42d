//! `user.delete`: a user and its policies.

use model::Session;
use model::admin::{AdminError, Done, UserDelete, UserRequest};

use super::Run;
use crate::broker::Broker;
use crate::machine::access::AccessChange;

impl Run for UserDelete {
    async fn run(broker: &Broker, _: &Session, request: UserRequest) -> Result<Done, AdminError> {
        let user = request.user;
        broker.change_access(&user.clone(), AccessChange::DeleteUser { user }).await
    }
}
