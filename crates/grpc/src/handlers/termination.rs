//! `NotifyClientTermination`: the client says goodbye; what it still holds goes back.

use model::membership::LeaveScope;

use crate::answer::{self, Refusal};
use crate::call::Call;
use crate::handlers::heartbeat::no_settings;
use crate::proto::{NotifyClientTerminationRequest, NotifyClientTerminationResponse};

pub(crate) async fn termination(
    call: Call,
    _request: NotifyClientTerminationRequest,
) -> Result<NotifyClientTerminationResponse, Refusal> {
    let node = &call.node;
    let client = node.clients.remove(&call.client_id).ok_or_else(no_settings)?;
    node.engine.leave(&call.session, &call.client_id, LeaveScope::Everything).await;
    node.forget(&client).await;
    Ok(NotifyClientTerminationResponse { status: Some(answer::ok()) })
}
