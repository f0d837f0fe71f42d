//! `SyncLiteSubscription`: a client says which lite topics of its group's parent it wants.
//!
//! Facts: `ClientActivity`, `ClientProcessor` of RocketMQ 5.5.

use model::lite::{LiteAction, LiteStart, LiteSync};

use crate::answer::{self, Refusal};
use crate::call::Call;
use crate::proto::offset_option::{OffsetType, Policy};
use crate::proto::{
    LiteSubscriptionAction, OffsetOption, SyncLiteSubscriptionRequest, SyncLiteSubscriptionResponse,
};
use crate::validate;

pub(crate) async fn sync_lite(
    call: Call,
    request: SyncLiteSubscriptionRequest,
) -> Result<SyncLiteSubscriptionResponse, Refusal> {
    let topic = validate::topic(request.topic.as_ref())?;
    let group = validate::group(request.group.as_ref())?;
    let action = action(request.action());
    if matches!(action, LiteAction::Add | LiteAction::Set) {
        request.lite_topic_set.iter().try_for_each(|lite| validate::lite_topic(lite))?;
    }
    let sync = LiteSync {
        client_id: call.client_id.as_ref().to_owned(),
        group,
        topic,
        action,
        start: request.offset_option.as_ref().map_or(LiteStart::Last, start),
        lite_topics: request.lite_topic_set,
        version: request.version.unwrap_or(0),
    };
    // Notices go the way of the client's telemetry.
    let session = call.client.as_ref().map_or_else(|| call.session.clone(), |client| client.session());
    call.node.engine.sync_lite(&session, sync).await?;
    Ok(SyncLiteSubscriptionResponse { status: Some(answer::ok()) })
}

const fn action(action: LiteSubscriptionAction) -> LiteAction {
    match action {
        LiteSubscriptionAction::PartialAdd => LiteAction::Add,
        LiteSubscriptionAction::PartialRemove => LiteAction::Remove,
        LiteSubscriptionAction::CompleteAdd => LiteAction::Set,
        LiteSubscriptionAction::CompleteRemove => LiteAction::Clear,
    }
}

fn start(option: &OffsetOption) -> LiteStart {
    let count = |number: i64| u64::try_from(number).unwrap_or(0);
    match option.offset_type {
        Some(OffsetType::Policy(policy)) => match Policy::try_from(policy) {
            Ok(Policy::Min) => LiteStart::First,
            Ok(Policy::Max) => LiteStart::End,
            Ok(Policy::Last) | Err(_) => LiteStart::Last,
        },
        Some(OffsetType::Offset(offset)) => LiteStart::Offset(count(offset)),
        Some(OffsetType::TailN(tail)) => LiteStart::Tail(count(tail)),
        Some(OffsetType::Timestamp(time_ms)) => LiteStart::Time(time_ms),
        None => LiteStart::Last,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_option_says_where_to_begin() {
        let of = |offset_type| start(&OffsetOption { offset_type });
        assert_eq!(of(None), LiteStart::Last);
        assert_eq!(of(Some(OffsetType::Policy(Policy::Last.into()))), LiteStart::Last);
        assert_eq!(of(Some(OffsetType::Policy(Policy::Min.into()))), LiteStart::First);
        assert_eq!(of(Some(OffsetType::Policy(Policy::Max.into()))), LiteStart::End);
        assert_eq!(of(Some(OffsetType::Policy(77))), LiteStart::Last);
        assert_eq!(of(Some(OffsetType::Offset(-1))), LiteStart::Offset(0));
        assert_eq!(of(Some(OffsetType::TailN(5))), LiteStart::Tail(5));
        assert_eq!(of(Some(OffsetType::Timestamp(9))), LiteStart::Time(9));
    }
}
