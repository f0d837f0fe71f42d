//! What each error of a verb becomes on this wire: the one place where that is decided.
//!
//! Codes follow `ResponseBuilder` and what RocketMQ 5.5 was seen to answer, but for these, where
//! its answer misleads: an unknown topic on send is 40402 (there 40014), a filter that does not
//! parse 40010, and a malformed receipt handle 40013 (there 50001, which clients repeat for ever).

use model::lite::LiteError;
use model::membership::MemberError;
use model::receipt::ReceiptError;
use model::verbs::{
    AckError, FetchError, OffsetError, PublishError, QueryError, RecallError, ReceiveError, RouteError,
    SettleError,
};
use model::{AdminError, NameError};

use crate::answer::Refusal;
use crate::proto::Code;

macro_rules! refusals {
    ($error:ty { $($pattern:pat => $code:ident,)* }) => {
        impl From<$error> for Refusal {
            fn from(error: $error) -> Self {
                let code = match &error {
                    $($pattern => Code::$code,)*
                };
                Self::new(code, error.to_string())
            }
        }
    };
}

refusals!(PublishError {
    PublishError::TopicNotFound(_) => TopicNotFound,
    PublishError::TopicNotSendable(_) => IllegalTopic,
    PublishError::NotWritable(_) => Forbidden,
    PublishError::QueueOutOfRange { .. } => BadRequest,
    PublishError::BodyTooLarge { .. } => MessageBodyTooLarge,
    PublishError::BodyEmpty => MessageBodyEmpty,
    PublishError::PropertiesTooLarge { .. } => MessagePropertiesTooLarge,
    PublishError::BatchSize { .. } => BadRequest,
    PublishError::KindMismatch { .. } => MessagePropertyConflictWithType,
    PublishError::Illegal(_) => BadRequest,
    PublishError::DeliveryTime(_) => IllegalDeliveryTime,
    PublishError::LiteTopic(_) => IllegalLiteTopic,
    PublishError::LiteQuota { .. } => LiteTopicQuotaExceeded,
    PublishError::DiskFull { .. } => InternalServerError,
    PublishError::Throttled(_) => TooManyRequests,
    PublishError::Denied(_) => Unauthorized,
    PublishError::Unavailable(_) => InternalServerError,
    PublishError::Internal(_) => InternalServerError,
});

refusals!(ReceiveError {
    ReceiveError::TopicNotFound(_) => TopicNotFound,
    ReceiveError::GroupNotFound(_) => ConsumerGroupNotFound,
    ReceiveError::GroupDisabled(_) => Forbidden,
    ReceiveError::NotReadable(_) => Forbidden,
    ReceiveError::QueueOutOfRange { .. } => BadRequest,
    ReceiveError::BatchSize { .. } => BadRequest,
    ReceiveError::NotBound { .. } => IllegalTopic,
    ReceiveError::Filter(_) => IllegalFilterExpression,
    ReceiveError::TooManyWaiting { .. } => TooManyRequests,
    ReceiveError::Throttled(_) | ReceiveError::OverQuota(_) => TooManyRequests,
    ReceiveError::Denied(_) => Unauthorized,
    ReceiveError::Data(_) => InternalServerError,
    ReceiveError::Unavailable(_) => InternalServerError,
    ReceiveError::Internal(_) => InternalServerError,
});

refusals!(FetchError {
    FetchError::TopicNotFound(_) => TopicNotFound,
    FetchError::GroupNotFound(_) => ConsumerGroupNotFound,
    FetchError::GroupDisabled(_) => Forbidden,
    FetchError::NotReadable(_) => Forbidden,
    FetchError::QueueOutOfRange { .. } => BadRequest,
    FetchError::Filter(_) => IllegalFilterExpression,
    FetchError::TooManyWaiting { .. } => TooManyRequests,
    FetchError::Throttled(_) | FetchError::OverQuota(_) => TooManyRequests,
    FetchError::Denied(_) => Unauthorized,
    FetchError::Data(_) => InternalServerError,
    FetchError::Unavailable(_) => InternalServerError,
});

refusals!(AckError {
    AckError::Stale => InvalidReceiptHandle,
    AckError::TopicNotFound(_) => TopicNotFound,
    AckError::GroupNotFound(_) => ConsumerGroupNotFound,
    AckError::OffsetOutOfRange { .. } => InvalidReceiptHandle,
    AckError::InvisibleTime { .. } => IllegalInvisibleTime,
    AckError::Denied(_) => Unauthorized,
    AckError::Unavailable(_) => InternalServerError,
    AckError::Internal(_) => InternalServerError,
});

refusals!(SettleError {
    SettleError::Stale => InvalidReceiptHandle,
    SettleError::MessageNotFound => MessageNotFound,
    SettleError::GroupNotFound(_) => ConsumerGroupNotFound,
    SettleError::Illegal(_) => BadRequest,
    SettleError::TooLate { .. } => InvalidTransactionId,
    SettleError::Denied(_) => Unauthorized,
    SettleError::Unavailable(_) => InternalServerError,
    SettleError::Internal(_) => InternalServerError,
});

// RocketMQ's proxy answers all that its broker refuses with one code.
refusals!(RecallError {
    RecallError::Handle => InternalServerError,
    RecallError::TopicNotFound(_) => TopicNotFound,
    RecallError::TooLate => InternalServerError,
    RecallError::Disabled => Forbidden,
    RecallError::Denied(_) => Unauthorized,
    RecallError::Unavailable(_) => InternalServerError,
});

refusals!(OffsetError {
    OffsetError::TopicNotFound(_) => TopicNotFound,
    OffsetError::GroupNotFound(_) => ConsumerGroupNotFound,
    OffsetError::QueueOutOfRange { .. } => BadRequest,
    OffsetError::OffsetOutOfRange { .. } => IllegalOffset,
    OffsetError::Denied(_) => Unauthorized,
    OffsetError::Data(_) => InternalServerError,
    OffsetError::Unavailable(_) => InternalServerError,
});

refusals!(RouteError {
    RouteError::TopicNotFound(_) => TopicNotFound,
    RouteError::Denied(_) => Unauthorized,
    RouteError::Unavailable(_) => InternalServerError,
});

refusals!(QueryError {
    QueryError::NotFound => MessageNotFound,
    QueryError::TopicNotFound(_) => TopicNotFound,
    QueryError::Illegal(_) => BadRequest,
    QueryError::Denied(_) => Unauthorized,
    QueryError::Data(_) => InternalServerError,
    QueryError::Unavailable(_) => InternalServerError,
});

refusals!(MemberError {
    MemberError::GroupNotFound(_) => ConsumerGroupNotFound,
    MemberError::TopicNotFound(_) => TopicNotFound,
    MemberError::Filter { .. } => IllegalFilterExpression,
    MemberError::TooMany { .. } => TooManyRequests,
    MemberError::Denied(_) => Unauthorized,
    MemberError::Unavailable(_) => InternalServerError,
});

refusals!(LiteError {
    LiteError::TopicNotFound(_) => TopicNotFound,
    LiteError::GroupNotFound(_) => ConsumerGroupNotFound,
    LiteError::GroupDisabled(_) => InternalServerError,
    LiteError::NotBound { .. } => IllegalTopic,
    LiteError::NotLite(_) => IllegalTopic,
    LiteError::Illegal(_) => IllegalLiteTopic,
    LiteError::Quota { .. } => LiteSubscriptionQuotaExceeded,
    LiteError::Wildcard => InternalServerError,
    LiteError::Denied(_) => Unauthorized,
    LiteError::Data(_) => InternalServerError,
    LiteError::Unavailable(_) => InternalServerError,
});

refusals!(AdminError {
    AdminError::UnknownOperation(_) => NotImplemented,
    AdminError::Invalid(_) => BadRequest,
    AdminError::NotFound(_) => NotFound,
    AdminError::Exists(_) => PreconditionFailed,
    AdminError::Denied(_) => Unauthorized,
    AdminError::Unavailable(_) => InternalServerError,
    AdminError::Internal(_) => InternalServerError,
});

refusals!(ReceiptError {
    ReceiptError => InvalidReceiptHandle,
});

/// A transaction whose half message is gone has an id that is no longer good.
pub(crate) fn of_transaction(error: SettleError) -> Refusal {
    match error {
        SettleError::MessageNotFound | SettleError::Stale => Refusal::new(
            Code::InvalidTransactionId,
            "the transaction is not there (any more): it was decided already, or never begun",
        ),
        // Another topic than that of the half message, say.
        SettleError::Illegal(why) => Refusal::new(Code::InvalidTransactionId, why),
        other => other.into(),
    }
}

pub(crate) fn of_topic_name(error: &NameError) -> Refusal {
    Refusal::new(Code::IllegalTopic, error.to_string())
}

pub(crate) fn of_group_name(error: &NameError) -> Refusal {
    Refusal::new(Code::IllegalConsumerGroup, error.to_string())
}

#[cfg(test)]
mod tests {
    use model::{GroupName, TopicName};

    use super::*;

    fn code(error: impl Into<Refusal>) -> i32 {
        error.into().code.into()
    }

    #[test]
    fn errors_have_the_numbers_that_clients_act_on() {
        let topic = TopicName::new("t").expect("legal");
        let group = GroupName::new("g").expect("legal");
        assert_eq!(code(PublishError::TopicNotFound(topic.clone())), 40402);
        assert_eq!(code(PublishError::Throttled(String::new())), 42900);
        assert_eq!(
            code(PublishError::KindMismatch { topic, got: "NORMAL", expected: "FIFO".to_owned() }),
            40014
        );
        assert_eq!(code(ReceiveError::TooManyWaiting { max: 1 }), 42900);
        assert_eq!(code(ReceiveError::Filter(String::new())), 40010);
        assert_eq!(code(ReceiveError::GroupNotFound(group)), 40403);
        assert_eq!(code(AckError::Stale), 40013);
        assert_eq!(code(ReceiptError), 40013);
        assert_eq!(of_transaction(SettleError::MessageNotFound).code, Code::InvalidTransactionId);
    }
}
