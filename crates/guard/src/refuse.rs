//! How the guard says no, in each verb's own error.

use model::Kind;
use model::admin::AdminError;
use model::lite::LiteError;
use model::membership::MemberError;
use model::verbs::{
    AckError, FetchError, OffsetError, PublishError, QueryError, RecallError, ReceiveError, RouteError,
    SettleError,
};

/// Why a call does not reach the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The server is about to stop.
    Draining,
    /// The session has too many calls open.
    TooMany { max: u32 },
    /// As many bytes are being sent as memory allows.
    Full { max: usize },
    /// The permit says no, and why.
    Denied(String),
}

impl Refusal {
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Draining => Kind::Unavailable,
            Self::TooMany { .. } | Self::Full { .. } => Kind::Throttled,
            Self::Denied(_) => Kind::Denied,
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
            Self::Denied(why) => why.clone(),
        }
    }
}

macro_rules! refuse {
    ($($error:ident throttled as $throttled:ident;)*) => {
        $(
            impl From<Refusal> for $error {
                fn from(refusal: Refusal) -> Self {
                    let text = refusal.text();
                    match refusal {
                        Refusal::Draining => Self::Unavailable(text),
                        Refusal::TooMany { .. } | Refusal::Full { .. } => Self::$throttled(text),
                        Refusal::Denied(_) => Self::Denied(text),
                    }
                }
            }
        )*
    };
}

// From a verb without an error of its own for it, the client hears "later".
refuse! {
    PublishError throttled as Throttled;
    ReceiveError throttled as Throttled;
    FetchError throttled as Throttled;
    AckError throttled as Unavailable;
    SettleError throttled as Unavailable;
    RecallError throttled as Unavailable;
    OffsetError throttled as Unavailable;
    RouteError throttled as Unavailable;
    QueryError throttled as Unavailable;
    MemberError throttled as Unavailable;
    LiteError throttled as Unavailable;
    AdminError throttled as Unavailable;
}
