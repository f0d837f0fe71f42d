//! How the guard says no, in each verb's own error.

use model::Kind;
use model::admin::AdminError;
use model::lite::LiteError;
use model::membership::MemberError;
use model::verbs::{
    AckError, FetchError, OffsetError, PublishError, QueryError, RecallError, ReceiveError, RouteError,
    SettleError,
};

use crate::quota::OverQuota;

/// Why a call does not reach the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The server is about to stop.
    Draining,
    /// The session has too many calls open.
    TooMany { max: u32 },
    /// As many bytes are being sent as memory allows.
    Full { max: usize },
    /// A quota is used up.
    OverQuota(OverQuota),
    /// The permit says no, and why.
    Denied(String),
}

impl Refusal {
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Draining => Kind::Unavailable,
            Self::TooMany { .. } | Self::Full { .. } | Self::OverQuota(_) => Kind::Throttled,
            Self::Denied(_) => Kind::Denied,
        }
    }

    /// Label of the metric.
    pub(crate) const fn label(&self) -> &'static str {
        match self {
            Self::Draining => "draining",
            Self::TooMany { .. } => "calls_per_session_max",
            Self::Full { .. } => "request_bytes_max",
            Self::OverQuota(_) => "quota",
            Self::Denied(_) => "denied",
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Draining => "it is about to stop: use another node, or try again soon".to_owned(),
            Self::TooMany { max } => {
                format!(
                    "this connection has {max} calls open (`guard.calls_per_session_max`): wait for some to end"
                )
            }
            Self::Full { max } => {
                format!("clients are sending {max} bytes already (`guard.request_bytes_max`): try again soon")
            }
            Self::OverQuota(over) => over.text(),
            Self::Denied(why) => why.clone(),
        }
    }
}

macro_rules! refuse {
    ($($error:ident throttled as $throttled:ident, over its quota as $over:ident;)*) => {
        $(
            impl From<Refusal> for $error {
                fn from(refusal: Refusal) -> Self {
                    let text = refusal.text();
                    match refusal {
                        Refusal::Draining => Self::Unavailable(text),
                        Refusal::TooMany { .. } | Refusal::Full { .. } => Self::$throttled(text),
                        Refusal::OverQuota(_) => Self::$over(text),
                        Refusal::Denied(_) => Self::Denied(text),
                    }
                }
            }
        )*
    };
}

// From a verb without an error of its own for it, the client hears "later".
refuse! {
    PublishError throttled as Throttled, over its quota as Throttled;
    ReceiveError throttled as Throttled, over its quota as OverQuota;
    FetchError throttled as Throttled, over its quota as OverQuota;
    AckError throttled as Unavailable, over its quota as Unavailable;
    SettleError throttled as Unavailable, over its quota as Unavailable;
    RecallError throttled as Unavailable, over its quota as Unavailable;
    OffsetError throttled as Unavailable, over its quota as Unavailable;
    RouteError throttled as Unavailable, over its quota as Unavailable;
    QueryError throttled as Unavailable, over its quota as Unavailable;
    MemberError throttled as Unavailable, over its quota as Unavailable;
    LiteError throttled as Unavailable, over its quota as Unavailable;
    AdminError throttled as Unavailable, over its quota as Unavailable;
}
