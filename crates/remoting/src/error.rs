//! What goes wrong, in the protocol's words: one exhaustive match from the error of each verb
//! onto response codes, and nowhere else.
//!
//! Facts: `ResponseCode`, `SendMessageProcessor.handlePutMessageResult`, `PullMessageProcessor`,
//! `AckMessageProcessor`, `RecallMessageProcessor`. Clients retry a send on codes 1, 2, 14, 16
//! and 17 and give up on all others.

use model::admin::AdminError;
use model::lite::LiteError;
use model::membership::MemberError;
use model::verbs::{
    AckError, FetchError, OffsetError, PublishError, QueryError, RecallError, ReceiveError, RouteError,
    SettleError,
};
use model::{NameError, TopicName};

use crate::code::response as code;

/// Why a request fails: a response code and a remark for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub code: i32,
    pub remark: String,
}

impl Failure {
    #[must_use]
    pub fn new(code: i32, remark: impl Into<String>) -> Self {
        Self { code, remark: remark.into() }
    }

    #[must_use]
    pub(crate) fn missing(field: &str) -> Self {
        Self::new(code::SYSTEM_ERROR, format!("the custom field <{field}> is null"))
    }

    #[must_use]
    pub(crate) fn malformed(field: &str, value: &str) -> Self {
        let shown: String = value.chars().take(64).collect();
        Self::new(code::SYSTEM_ERROR, format!("the field <{field}> is malformed: `{shown}`"))
    }

    #[must_use]
    pub(crate) fn body(error: &dyn std::fmt::Display) -> Self {
        Self::new(code::SYSTEM_ERROR, format!("the body is malformed: {error}"))
    }

    #[must_use]
    pub(crate) fn topic_not_found(topic: &TopicName) -> Self {
        Self::new(code::TOPIC_NOT_EXIST, format!("topic[{topic}] not exist, apply first please!"))
    }

    #[must_use]
    pub(crate) fn go_away() -> Self {
        Self::new(code::GO_AWAY, "please go away: the server is shutting down")
    }

    /// The same failure under another code, where an operation has its own.
    #[must_use]
    pub(crate) fn coded(mut self, code: i32) -> Self {
        self.code = code;
        self
    }
}

impl From<NameError> for Failure {
    fn from(error: NameError) -> Self {
        Self::new(code::INVALID_PARAMETER, error.to_string())
    }
}

impl From<PublishError> for Failure {
    fn from(error: PublishError) -> Self {
        use PublishError as E;
        let code = match &error {
            E::TopicNotFound(topic) => return Self::topic_not_found(topic),
            E::TopicNotSendable(_) | E::NotWritable(_) | E::Denied(_) => code::NO_PERMISSION,
            E::QueueOutOfRange { .. } => code::INVALID_PARAMETER,
            E::BodyTooLarge { .. }
            | E::BodyEmpty
            | E::PropertiesTooLarge { .. }
            | E::BatchSize { .. }
            | E::KindMismatch { .. }
            | E::Illegal(_)
            | E::LiteTopic(_)
            | E::DeliveryTime(_) => code::MESSAGE_ILLEGAL,
            E::LiteQuota { .. } => code::LMQ_QUOTA_EXCEEDED,
            E::DiskFull { .. } | E::Unavailable(_) => code::SERVICE_NOT_AVAILABLE,
            E::Throttled(_) => code::SYSTEM_BUSY,
            E::Internal(_) => code::SYSTEM_ERROR,
        };
        Self::new(code, error.to_string())
    }
}

impl From<ReceiveError> for Failure {
    fn from(error: ReceiveError) -> Self {
        use ReceiveError as E;
        let code = match &error {
            E::TopicNotFound(topic) => return Self::topic_not_found(topic),
            E::GroupNotFound(_) => code::SUBSCRIPTION_GROUP_NOT_EXIST,
            E::GroupDisabled(_) | E::NotReadable(_) | E::Denied(_) => code::NO_PERMISSION,
            E::QueueOutOfRange { .. } | E::BatchSize { .. } | E::NotBound { .. } => code::INVALID_PARAMETER,
            E::Filter(_) => code::SUBSCRIPTION_PARSE_FAILED,
            E::TooManyWaiting { .. } => code::POLLING_FULL,
            E::Throttled(_) => code::SYSTEM_BUSY,
            // Consumers ask again in milliseconds; after another code only in seconds.
            E::OverQuota(_) => code::FLOW_CONTROL,
            E::Unavailable(_) => code::SERVICE_NOT_AVAILABLE,
            E::Data(_) | E::Internal(_) => code::SYSTEM_ERROR,
        };
        Self::new(code, error.to_string())
    }
}

impl From<FetchError> for Failure {
    fn from(error: FetchError) -> Self {
        use FetchError as E;
        let code = match &error {
            E::TopicNotFound(topic) => return Self::topic_not_found(topic),
            E::GroupNotFound(_) => code::SUBSCRIPTION_GROUP_NOT_EXIST,
            E::GroupDisabled(_) | E::NotReadable(_) | E::Denied(_) => code::NO_PERMISSION,
            E::QueueOutOfRange { .. } => code::INVALID_PARAMETER,
            E::Filter(_) => code::SUBSCRIPTION_PARSE_FAILED,
            E::TooManyWaiting { .. } | E::Throttled(_) => code::SYSTEM_BUSY,
            E::OverQuota(_) => code::FLOW_CONTROL,
            E::Unavailable(_) => code::SERVICE_NOT_AVAILABLE,
            E::Data(_) => code::SYSTEM_ERROR,
        };
        Self::new(code, error.to_string())
    }
}

/// `Stale` is no failure of an acknowledgement: see `handlers/ack.rs`.
impl From<AckError> for Failure {
    fn from(error: AckError) -> Self {
        use AckError as E;
        let code = match &error {
            E::TopicNotFound(topic) => return Self::topic_not_found(topic),
            E::GroupNotFound(_) => code::SUBSCRIPTION_GROUP_NOT_EXIST,
            E::Stale | E::OffsetOutOfRange { .. } => code::NO_MESSAGE,
            E::InvisibleTime { .. } => code::INVALID_PARAMETER,
            E::Denied(_) => code::NO_PERMISSION,
            E::Unavailable(_) => code::SERVICE_NOT_AVAILABLE,
            E::Internal(_) => code::SYSTEM_ERROR,
        };
        Self::new(code, error.to_string())
    }
}

impl From<SettleError> for Failure {
    fn from(error: SettleError) -> Self {
        use SettleError as E;
        let code = match &error {
            E::Stale | E::TooLate { .. } => code::ILLEGAL_OPERATION,
            E::GroupNotFound(_) => code::SUBSCRIPTION_GROUP_NOT_EXIST,
            E::MessageNotFound | E::Illegal(_) | E::Internal(_) => code::SYSTEM_ERROR,
            E::Denied(_) => code::NO_PERMISSION,
            E::Unavailable(_) => code::SERVICE_NOT_AVAILABLE,
        };
        Self::new(code, error.to_string())
    }
}

impl From<RecallError> for Failure {
    fn from(error: RecallError) -> Self {
        use RecallError as E;
        let code = match &error {
            E::TopicNotFound(topic) => return Self::topic_not_found(topic),
            E::Handle | E::TooLate => code::ILLEGAL_OPERATION,
            E::Disabled | E::Denied(_) => code::NO_PERMISSION,
            E::Unavailable(_) => code::SERVICE_NOT_AVAILABLE,
        };
        Self::new(code, error.to_string())
    }
}

impl From<OffsetError> for Failure {
    fn from(error: OffsetError) -> Self {
        use OffsetError as E;
        let code = match &error {
            E::TopicNotFound(topic) => return Self::topic_not_found(topic),
            E::GroupNotFound(_) => code::SUBSCRIPTION_GROUP_NOT_EXIST,
            E::QueueOutOfRange { .. } => code::INVALID_PARAMETER,
            E::Denied(_) => code::NO_PERMISSION,
            E::Unavailable(_) => code::SERVICE_NOT_AVAILABLE,
            E::OffsetOutOfRange { .. } | E::Data(_) => code::SYSTEM_ERROR,
        };
        Self::new(code, error.to_string())
    }
}

impl From<RouteError> for Failure {
    fn from(error: RouteError) -> Self {
        use RouteError as E;
        let code = match &error {
            E::TopicNotFound(_) => code::TOPIC_NOT_EXIST,
            E::Denied(_) => code::NO_PERMISSION,
            E::Unavailable(_) => code::SYSTEM_ERROR,
        };
        Self::new(code, error.to_string())
    }
}

impl From<QueryError> for Failure {
    fn from(error: QueryError) -> Self {
        use QueryError as E;
        let code = match &error {
            E::TopicNotFound(topic) => return Self::topic_not_found(topic),
            E::NotFound => code::QUERY_NOT_FOUND,
            E::Denied(_) => code::NO_PERMISSION,
            E::Unavailable(_) => code::SERVICE_NOT_AVAILABLE,
            E::Illegal(_) | E::Data(_) => code::SYSTEM_ERROR,
        };
        Self::new(code, error.to_string())
    }
}

impl From<MemberError> for Failure {
    fn from(error: MemberError) -> Self {
        use MemberError as E;
        let code = match &error {
            E::TopicNotFound(topic) => return Self::topic_not_found(topic),
            E::GroupNotFound(_) => code::SUBSCRIPTION_GROUP_NOT_EXIST,
            E::Filter { .. } => code::SUBSCRIPTION_PARSE_FAILED,
            E::TooMany { .. } => code::SYSTEM_BUSY,
            E::Denied(_) => code::NO_PERMISSION,
            E::Unavailable(_) => code::SYSTEM_ERROR,
        };
        Self::new(code, error.to_string())
    }
}

/// As `LiteSubscriptionCtlProcessor`: whatever cannot be done is illegal, but for the quota.
impl From<LiteError> for Failure {
    fn from(error: LiteError) -> Self {
        use LiteError as E;
        let code = match &error {
            E::TopicNotFound(topic) => return Self::topic_not_found(topic),
            E::GroupNotFound(_) => code::SUBSCRIPTION_GROUP_NOT_EXIST,
            E::GroupDisabled(_) | E::Wildcard => code::ILLEGAL_OPERATION,
            E::NotBound { .. } | E::NotLite(_) | E::Illegal(_) => code::INVALID_PARAMETER,
            E::Quota { .. } => code::LITE_SUBSCRIPTION_QUOTA_EXCEEDED,
            E::Denied(_) => code::NO_PERMISSION,
            E::Data(_) => code::SYSTEM_ERROR,
            E::Unavailable(_) => code::SERVICE_NOT_AVAILABLE,
        };
        Self::new(code, error.to_string())
    }
}

/// What is not found depends on the operation, which then says so by [`Failure::coded`].
impl From<AdminError> for Failure {
    fn from(error: AdminError) -> Self {
        use AdminError as E;
        let code = match &error {
            E::UnknownOperation(_) => code::REQUEST_CODE_NOT_SUPPORTED,
            E::Invalid(_) => code::INVALID_PARAMETER,
            E::Denied(_) => code::NO_PERMISSION,
            E::NotFound(_) => code::QUERY_NOT_FOUND,
            E::Exists(_) | E::Unavailable(_) | E::Internal(_) => code::SYSTEM_ERROR,
        };
        Self::new(code, error.to_string())
    }
}
