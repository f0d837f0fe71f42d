//! What the caller of a failed verb should do, by error.

use super::{
    AckError, FetchError, OffsetError, PublishError, QueryError, RecallError, ReceiveError, RouteError,
    SettleError,
};
use crate::error::{Kind, Kinded};

impl Kinded for PublishError {
    fn kind(&self) -> Kind {
        match self {
            Self::TopicNotFound(_) => Kind::NotFound,
            Self::TopicNotSendable(_) | Self::NotWritable(_) | Self::Denied(_) => Kind::Denied,
            Self::DiskFull { .. } | Self::Unavailable(_) => Kind::Unavailable,
            Self::Throttled(_) | Self::LiteQuota { .. } => Kind::Throttled,
            Self::Internal(_) => Kind::Internal,
            _ => Kind::Invalid,
        }
    }
}

impl Kinded for ReceiveError {
    fn kind(&self) -> Kind {
        match self {
            Self::TopicNotFound(_) | Self::GroupNotFound(_) => Kind::NotFound,
            Self::GroupDisabled(_) | Self::NotReadable(_) | Self::Denied(_) => Kind::Denied,
            Self::QueueOutOfRange { .. }
            | Self::BatchSize { .. }
            | Self::NotBound { .. }
            | Self::Filter(_) => Kind::Invalid,
            Self::TooManyWaiting { .. } | Self::Throttled(_) | Self::OverQuota(_) => Kind::Throttled,
            Self::Data(_) => Kind::Data,
            Self::Unavailable(_) => Kind::Unavailable,
            Self::Internal(_) => Kind::Internal,
        }
    }
}

impl Kinded for FetchError {
    fn kind(&self) -> Kind {
        match self {
            Self::TopicNotFound(_) | Self::GroupNotFound(_) => Kind::NotFound,
            Self::GroupDisabled(_) | Self::NotReadable(_) | Self::Denied(_) => Kind::Denied,
            Self::QueueOutOfRange { .. } | Self::Filter(_) => Kind::Invalid,
            Self::TooManyWaiting { .. } | Self::Throttled(_) | Self::OverQuota(_) => Kind::Throttled,
            Self::Data(_) => Kind::Data,
            Self::Unavailable(_) => Kind::Unavailable,
        }
    }
}

impl Kinded for AckError {
    fn kind(&self) -> Kind {
        match self {
            Self::Stale => Kind::Conflict,
            Self::TopicNotFound(_) | Self::GroupNotFound(_) => Kind::NotFound,
            Self::OffsetOutOfRange { .. } | Self::InvisibleTime { .. } => Kind::Invalid,
            Self::Denied(_) => Kind::Denied,
            Self::Unavailable(_) => Kind::Unavailable,
            Self::Internal(_) => Kind::Internal,
        }
    }
}

impl Kinded for SettleError {
    fn kind(&self) -> Kind {
        match self {
            Self::Stale | Self::TooLate { .. } => Kind::Conflict,
            Self::MessageNotFound | Self::GroupNotFound(_) => Kind::NotFound,
            Self::Illegal(_) => Kind::Invalid,
            Self::Denied(_) => Kind::Denied,
            Self::Unavailable(_) => Kind::Unavailable,
            Self::Internal(_) => Kind::Internal,
        }
    }
}

impl Kinded for RecallError {
    fn kind(&self) -> Kind {
        match self {
            Self::Handle => Kind::Invalid,
            Self::TopicNotFound(_) => Kind::NotFound,
            Self::TooLate => Kind::Conflict,
            Self::Disabled | Self::Denied(_) => Kind::Denied,
            Self::Unavailable(_) => Kind::Unavailable,
        }
    }
}

impl Kinded for OffsetError {
    fn kind(&self) -> Kind {
        match self {
            Self::TopicNotFound(_) | Self::GroupNotFound(_) => Kind::NotFound,
            Self::QueueOutOfRange { .. } | Self::OffsetOutOfRange { .. } => Kind::Invalid,
            Self::Denied(_) => Kind::Denied,
            Self::Data(_) => Kind::Data,
            Self::Unavailable(_) => Kind::Unavailable,
        }
    }
}

impl Kinded for RouteError {
    fn kind(&self) -> Kind {
        match self {
            Self::TopicNotFound(_) => Kind::NotFound,
            Self::Denied(_) => Kind::Denied,
            Self::Unavailable(_) => Kind::Unavailable,
        }
    }
}

impl Kinded for QueryError {
    fn kind(&self) -> Kind {
        match self {
            Self::NotFound | Self::TopicNotFound(_) => Kind::NotFound,
            Self::Illegal(_) => Kind::Invalid,
            Self::Denied(_) => Kind::Denied,
            Self::Data(_) => Kind::Data,
            Self::Unavailable(_) => Kind::Unavailable,
        }
    }
}
