//! The operations of the catalogue, guarded.

use async_trait::async_trait;
use model::admin::{Admin, AdminError, AdminPermission, OperationInfo};
use model::{Engine, Session};
use serde_json::Value;

use crate::audit;
use crate::call::Guarded;
use crate::metrics::Verb;
use crate::permit::Action;

#[async_trait]
impl<E: Engine> Admin for Guarded<E> {
    fn operations(&self) -> Vec<OperationInfo> {
        self.engine.operations()
    }

    async fn run(&self, session: &Session, operation: &str, request: Value) -> Result<Value, AdminError> {
        // An unknown one needs the stronger permission; the engine says that it is unknown.
        let permission = self.permissions.get(operation).copied().unwrap_or(AdminPermission::Write);
        let line = (permission == AdminPermission::Write).then(|| audit::shown(&request));
        let leave = self.ask(session, Action::Admin { operation, permission, request: &request });
        let work = async {
            let request = self.permit.prepare(session, operation, request)?;
            let answer = self.engine.run(session, operation, request).await?;
            Ok(self.permit.finish(session, operation, answer))
        };
        let result = self.call(session, Verb::Admin, leave, work).await;
        if let Some(request) = line {
            audit::written(session, operation, &request, result.as_ref().err());
        }
        result
    }
}
