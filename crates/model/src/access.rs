//! Users, policies, and what a policy says of an action on a resource.
//!
//! The rules and texts are those of RocketMQ's ACL 2.0 (`auth` of 5.5): a user's custom policies are
//! looked at first, the default ones only where no custom entry matches; of the entries that match, the
//! nearest to the resource decides: its very name, then the longest prefix, then any name, then `*`.
//! Where two are equally near, the one that denies wins.
//!
//! Pure: who asks, and whether they are who they say, is decided elsewhere (`guard`).
//!
//! Reading order: [`resource`], [`policy`], [`ips`], [`rules`], [`accounts`].

pub mod accounts;
pub mod ips;
pub mod policy;
pub mod resource;
pub mod rules;
mod text;
pub mod user;

pub use accounts::{Account, Accounts};
pub use ips::IpRange;
pub use policy::{Action, Actions, Decision, Policy, PolicyEntry, PolicyKind};
pub use resource::{Pattern, Resource, ResourceKind};
pub use rules::{Rules, Verdict};
pub use user::{UserConfig, UserKind, UserName, UserStatus};

use std::sync::Arc;

/// Why a caller is not taken for who they say they are. The texts are those of RocketMQ.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Stranger {
    #[error("username cannot be null.")]
    Nobody,
    #[error("User:{0} is not found.")]
    Unknown(String),
    #[error("User:{0} is disabled.")]
    Disabled(String),
    #[error("check signature failed.")]
    Signature,
    #[error("{0}")]
    Malformed(String),
}

/// Tells whether callers are who they say. Protocols ask it before each call that is signed by itself.
pub trait Authenticate: Send + Sync + 'static {
    /// Whether callers must prove who they are. Where not, nothing else here is asked.
    fn is_required(&self) -> bool;

    /// Whether `signature` is the HMAC-SHA1 of `content` under the user's secret.
    ///
    /// # Errors
    /// If it is not, or there is no such user, or the user is disabled.
    fn signed(&self, user: &str, content: &[u8], signature: &[u8]) -> Result<Arc<str>, Stranger>;

    /// Whether this is the user's password.
    ///
    /// # Errors
    /// As [`Self::signed`].
    fn password(&self, user: &str, password: &str) -> Result<Arc<str>, Stranger>;
}

/// Takes everybody for whoever they say: access control is off.
#[derive(Debug, Clone, Copy, Default)]
pub struct Open;

impl Authenticate for Open {
    fn is_required(&self) -> bool {
        false
    }

    fn signed(&self, user: &str, _content: &[u8], _signature: &[u8]) -> Result<Arc<str>, Stranger> {
        Ok(user.into())
    }

    fn password(&self, user: &str, _password: &str) -> Result<Arc<str>, Stranger> {
        Ok(user.into())
    }
}
