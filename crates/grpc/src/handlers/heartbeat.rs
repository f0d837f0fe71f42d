//! `Heartbeat`: the client lives. Whoever has not sent settings is told to (40015).

use crate::answer::{self, Refusal};
use crate::call::Call;
use crate::proto::{Code, HeartbeatRequest, HeartbeatResponse};
use crate::settings::Role;
use crate::{telemetry, validate};

pub(crate) async fn heartbeat(call: Call, request: HeartbeatRequest) -> Result<HeartbeatResponse, Refusal> {
    let client = call.client.as_ref().ok_or_else(no_settings)?;
    let settings = client.settings();
    client.seen(call.node.monotonic_ms());
    if matches!(settings.role, Role::Unsaid) {
        return Err(no_settings());
    }
    // The Go client's probe after a broken stream names no group.
    if let (Role::Consumer(beat), Some(_)) = (&settings.role, &request.group) {
        let group = validate::group(request.group.as_ref())?;
        if group != beat.group {
            let text = format!("the client's settings name group {}, its heartbeat {group}", beat.group);
            return Err(Refusal::new(Code::IllegalConsumerGroup, text));
        }
    }
    call.node.engine.heartbeat(&call.session, telemetry::beat(&call, &settings)).await?;
    Ok(HeartbeatResponse { status: Some(answer::ok()) })
}

pub(crate) fn no_settings() -> Refusal {
    Refusal::new(
        Code::UnrecognizedClientType,
        "cannot find client settings for this client: send them by Telemetry first",
    )
}
