//! `RecallMessage`: a timed message is not to be delivered after all.

use model::verbs::Recall;

use crate::answer::{self, Refusal};
use crate::call::Call;
use crate::proto::{RecallMessageRequest, RecallMessageResponse};
use crate::validate;

pub(crate) async fn recall(
    call: Call,
    request: RecallMessageRequest,
) -> Result<RecallMessageResponse, Refusal> {
    let topic = validate::topic(request.topic.as_ref())?;
    let recall = Recall { topic, handle: request.recall_handle, producer_group: None };
    let message_id = call.node.engine.recall(&call.session, recall).await?;
    Ok(RecallMessageResponse { status: Some(answer::ok()), message_id })
}
