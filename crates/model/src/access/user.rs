//! Users, as the log keeps them.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::text::{as_text, named};
use crate::limits::USER_NAME_BYTES_MAX;

/// A legal name of a user: the access key of its clients.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserName(Arc<str>);

impl UserName {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    #[must_use]
    pub const fn shared(&self) -> &Arc<str> {
        &self.0
    }
}

impl FromStr for UserName {
    type Err = String;

    /// The signs that end a name in the headers of some protocol (`:`, `/`, `,`) cannot be part of one.
    fn from_str(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Err("username can not be blank".to_owned());
        }
        if text.len() > USER_NAME_BYTES_MAX {
            return Err(format!("a user name has at most {USER_NAME_BYTES_MAX} bytes"));
        }
        if text.chars().any(|c| c.is_control() || matches!(c, ':' | '/' | ',')) {
            return Err("a user name has none of `:`, `/`, `,` and no control characters".to_owned());
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

as_text!(UserName);

/// Whether policies apply to a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserKind {
    /// May do everything.
    Super,
    Normal,
}

named!(UserKind { Super, Normal });

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserStatus {
    Enable,
    Disable,
}

named!(UserStatus { Enable, Disable });

/// A user without its name.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserConfig {
    pub kind: UserKind,
    pub status: UserStatus,
    /// The password under the node's key, in base64.
    pub sealed: String,
}

impl fmt::Debug for UserConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserConfig").field("kind", &self.kind).field("status", &self.status).finish()
    }
}
