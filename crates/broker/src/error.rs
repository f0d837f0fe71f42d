//! Faults that any verb can meet, and how each verb's own error tells them.

use model::AdminError;
use model::membership::MemberError;
use model::verbs::{AckError, FetchError, OffsetError, PublishError, QueryError, ReceiveError, SettleError};
use replica::ProposeError;
use store::ReadError;
use thiserror::Error;

use crate::machine::command::Outcome;

/// A fault below the verbs.
#[derive(Debug, Clone, Error)]
pub(crate) enum Failed {
    /// Too much waits already.
    #[error("{0}")]
    Overloaded(String),
    /// The group takes no writes.
    #[error("{0}")]
    Unavailable(String),
    /// Stored data is damaged.
    #[error("{0}")]
    Data(String),
    #[error("unexpected outcome {0}")]
    Internal(String),
}

impl Failed {
    /// The machine answered something else than it should.
    pub(crate) fn unexpected(outcome: &Outcome) -> Self {
        Self::Internal(format!("{outcome:?}"))
    }
}

impl From<ProposeError> for Failed {
    fn from(error: ProposeError) -> Self {
        match error {
            ProposeError::Overloaded | ProposeError::MemoryShort => Self::Overloaded(error.to_string()),
            other => Self::Unavailable(other.to_string()),
        }
    }
}

impl From<ReadError> for Failed {
    fn from(error: ReadError) -> Self {
        Self::Data(error.to_string())
    }
}

impl From<Failed> for PublishError {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Overloaded(text) => Self::Throttled(text),
            Failed::Unavailable(text) => Self::Unavailable(text),
            Failed::Data(text) | Failed::Internal(text) => Self::Internal(text),
        }
    }
}

impl From<Failed> for ReceiveError {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Overloaded(text) => Self::Throttled(text),
            Failed::Unavailable(text) => Self::Unavailable(text),
            Failed::Data(text) => Self::Data(text),
            Failed::Internal(text) => Self::Internal(text),
        }
    }
}

impl From<Failed> for FetchError {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Overloaded(text) => Self::Throttled(text),
            Failed::Data(text) => Self::Data(text),
            Failed::Unavailable(text) | Failed::Internal(text) => Self::Unavailable(text),
        }
    }
}

impl From<Failed> for AckError {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Overloaded(text) | Failed::Unavailable(text) => Self::Unavailable(text),
            Failed::Data(text) | Failed::Internal(text) => Self::Internal(text),
        }
    }
}

impl From<Failed> for SettleError {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Overloaded(text) | Failed::Unavailable(text) => Self::Unavailable(text),
            Failed::Data(text) | Failed::Internal(text) => Self::Internal(text),
        }
    }
}

impl From<Failed> for OffsetError {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Data(text) => Self::Data(text),
            Failed::Overloaded(text) | Failed::Unavailable(text) | Failed::Internal(text) => {
                Self::Unavailable(text)
            }
        }
    }
}

impl From<Failed> for QueryError {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Data(text) => Self::Data(text),
            Failed::Overloaded(text) | Failed::Unavailable(text) | Failed::Internal(text) => {
                Self::Unavailable(text)
            }
        }
    }
}

impl From<Failed> for MemberError {
    fn from(failed: Failed) -> Self {
        Self::Unavailable(failed.to_string())
    }
}

impl From<Failed> for AdminError {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Overloaded(text) | Failed::Unavailable(text) => Self::Unavailable(text),
            Failed::Data(text) | Failed::Internal(text) => Self::Internal(text),
        }
    }
}
