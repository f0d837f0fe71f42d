//! `user.put`: makes or changes a user.

use model::Session;
use model::admin::{AdminError, Done, UserPut, UserPutRequest};

use super::Run;
use crate::broker::Broker;
use crate::machine::access::AccessChange;

impl Run for UserPut {
    async fn run(broker: &Broker, _: &Session, request: UserPutRequest) -> Result<Done, AdminError> {
        let UserPutRequest { user, password, sealed, kind, status, mode } = request;
        if password.is_some() {
            return Err(AdminError::Internal("a password came here that nobody sealed".to_owned()));
        }
        let change = AccessChange::PutUser { user: user.clone(), sealed, kind, status, mode };
        broker.change_access(&user, change).await
    }
}
