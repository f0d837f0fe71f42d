//! `SyncLiteSubscription`: lite topics are not there yet, and clients are told so.

use crate::answer::Refusal;
use crate::call::Call;
use crate::proto::{Code, SyncLiteSubscriptionRequest, SyncLiteSubscriptionResponse};
use crate::validate;

pub(crate) async fn sync_lite(
    _call: Call,
    request: SyncLiteSubscriptionRequest,
) -> Result<SyncLiteSubscriptionResponse, Refusal> {
    validate::topic(request.topic.as_ref())?;
    validate::group(request.group.as_ref())?;
    Err(Refusal::new(Code::NotImplemented, "lite topics are not supported by this version"))
}
