//! `ChangeInvisibleDuration`: a delivery hides its message anew from now; also how clients say
//! "later" (there is no other nack).

use crate::answer::{self, Refusal};
use crate::call::Call;
use crate::convert::time::span_to_ms;
use crate::handlers::ack::receipt;
use crate::proto::{ChangeInvisibleDurationRequest, ChangeInvisibleDurationResponse};
use crate::renew::driver;
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
    let changed = call.node.engine.extend(&call.session, newest, invisible_ms).await?;
    Ok(ChangeInvisibleDurationResponse { status: Some(answer::ok()), receipt_handle: changed.encode() })
}
