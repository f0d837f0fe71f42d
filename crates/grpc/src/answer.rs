//! Statuses of the protocol, and how an answer carries one.
//!
//! Every answer has a status of its own; a refusal is an ordinary answer of gRPC.

use model::access::Stranger;

use crate::proto::{self, Code, Status};

/// Why a request is not done: becomes the status of its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: Code,
    pub(crate) message: String,
}

impl Refusal {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

/// As RocketMQ's proxy, which tells neither from the other: who may not is unauthorized, too.
impl From<Stranger> for Refusal {
    fn from(stranger: Stranger) -> Self {
        Self::new(Code::Unauthorized, stranger.to_string())
    }
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        Self { code: refusal.code.into(), message: refusal.message }
    }
}

pub(crate) fn ok() -> Status {
    status_of(Code::Ok)
}

/// A status that says no more than its code.
pub(crate) fn status_of(code: Code) -> Status {
    Status { code: code.into(), message: code.as_str_name().to_owned() }
}

/// The status of an answer with entries: theirs if they agree.
pub(crate) fn overall(codes: impl Iterator<Item = i32>) -> Status {
    let mut seen: Option<i32> = None;
    for code in codes {
        match seen {
            Some(first) if first != code => return status_of(Code::MultipleResults),
            _ => seen = Some(code),
        }
    }
    status_of(seen.and_then(|code| Code::try_from(code).ok()).unwrap_or(Code::InternalServerError))
}

/// An answer with a status.
pub(crate) trait Answer: Send + 'static {
    fn refused(status: Status) -> Self;
    fn code(&self) -> i32;
}

macro_rules! answers {
    ($($name:ident),* $(,)?) => {
        $(
            impl Answer for proto::$name {
                fn refused(status: Status) -> Self {
                    Self { status: Some(status), ..Self::default() }
                }

                fn code(&self) -> i32 {
                    self.status.as_ref().map_or(0, |status| status.code)
                }
            }
        )*
    };
}

macro_rules! bare_answers {
    ($($name:ident),* $(,)?) => {
        $(
            impl Answer for proto::$name {
                fn refused(status: Status) -> Self {
                    Self { status: Some(status) }
                }

                fn code(&self) -> i32 {
                    self.status.as_ref().map_or(0, |status| status.code)
                }
            }
        )*
    };
}

answers!(
    QueryRouteResponse,
    QueryAssignmentResponse,
    SendMessageResponse,
    RecallMessageResponse,
    AckMessageResponse,
    ChangeInvisibleDurationResponse,
    GetOffsetResponse,
    QueryOffsetResponse,
);
bare_answers!(
    EndTransactionResponse,
    ForwardMessageToDeadLetterQueueResponse,
    UpdateOffsetResponse,
    HeartbeatResponse,
    NotifyClientTerminationResponse,
    SyncLiteSubscriptionResponse,
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_that_agree_give_their_own_status() {
        assert_eq!(overall([20000, 20000].into_iter()).code, 20000);
        assert_eq!(overall([40013].into_iter()).code, 40013);
        assert_eq!(overall([20000, 40013].into_iter()).code, 30000);
        assert_eq!(overall(std::iter::empty()).code, 50001);
    }
}
