//! `ChangeInvisibleDuration`: a delivery hides its message anew from now; also how clients say
//! "later" (there is no other nack).
//!
//! Facts: push consumers of rocketmq-clients call this for a message that their listener failed on, and for no
//! other; what they work on is renewed by the server. The times of simple consumers are their own affair. A lite
//! consumer that suspends has not failed.

use model::membership::ConsumeHow;
use model::verbs::Hide;

use crate::answer::{self, Refusal};
use crate::call::Call;
use crate::convert::time::span_to_ms;
use crate::handlers::ack::receipt;
use crate::proto::{ChangeInvisibleDurationRequest, ChangeInvisibleDurationResponse};
use crate::renew::driver;
use crate::settings::Role;
use crate::validate;

pub(crate) async fn change_invisible(
    call: Call,
    request: ChangeInvisibleDurationRequest,
) -> Result<ChangeInvisibleDurationResponse, Refusal> {
    validate::topic(request.topic.as_ref())?;
    let group = validate::group(request.group.as_ref())?;
    let asked_ms = request.invisible_duration.as_ref().map_or(0, span_to_ms);
    let invisible_ms = validate::invisible_ms(asked_ms, 0)?;
    let receipt = receipt(&group, &request.receipt_handle)?;
    let newest = driver::newest(call.client.as_ref(), receipt).await;
    let has_failed = is_push(&call) && !request.suspend.unwrap_or_default();
    let hide = if has_failed { Hide::failed(invisible_ms) } else { Hide::asked(invisible_ms) };
    let changed = call.node.engine.extend(&call.session, newest, hide).await?;
    Ok(ChangeInvisibleDurationResponse { status: Some(answer::ok()), receipt_handle: changed.encode() })
}

fn is_push(call: &Call) -> bool {
    let settings = call.client.as_ref().map(|client| client.settings());
    settings.is_some_and(|its| matches!(&its.role, Role::Consumer(beat) if beat.how == ConsumeHow::Push))
}
