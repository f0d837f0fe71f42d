//! `ForwardMessageToDeadLetterQueue`: the client gives a message up.

use model::verbs::Settle;

use crate::answer::{self, Refusal};
use crate::call::Call;
use crate::handlers::ack::receipt;
use crate::proto::{ForwardMessageToDeadLetterQueueRequest, ForwardMessageToDeadLetterQueueResponse};
use crate::renew::driver;
use crate::validate;

pub(crate) async fn forward(
    call: Call,
    request: ForwardMessageToDeadLetterQueueRequest,
) -> Result<ForwardMessageToDeadLetterQueueResponse, Refusal> {
    validate::topic(request.topic.as_ref())?;
    let group = validate::group(request.group.as_ref())?;
    let receipt = receipt(&group, &request.receipt_handle)?;
    let receipt = driver::newest(call.client.as_ref(), receipt).await;
    let max_attempts = u32::try_from(request.max_delivery_attempts).ok().filter(|max| *max > 0);
    call.node.engine.settle(&call.session, Settle::DeadLetter { receipt, max_attempts }).await?;
    Ok(ForwardMessageToDeadLetterQueueResponse { status: Some(answer::ok()) })
}
