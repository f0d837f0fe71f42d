//! Quotas: how much of the engine one client, user, topic or namespace may take in a second.
//!
//! A quota with a name counts for that name, one with [`EACH`] for every name without its own; each
//! name is counted by itself. Rules are told here, counted in the guard.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::limits::{QUOTA_NAME_BYTES_MAX, QUOTA_PER_S_MAX};
use crate::names::TopicName;

/// The name of a quota for every name without its own.
pub const EACH: &str = "*";

/// What shares a quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum QuotaScope {
    /// One connection of a 4.x or HTTP client, or one 5.x client. Has no names but `*`.
    Client,
    /// All connections of a user, or, without users, all that show a certificate with that name.
    User,
    Topic,
    /// All topics whose names begin with `<namespace>%`, retries and dead letters included.
    Namespace,
}

impl QuotaScope {
    pub const ALL: [Self; 4] = [Self::Client, Self::User, Self::Topic, Self::Namespace];

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::User => "user",
            Self::Topic => "topic",
            Self::Namespace => "namespace",
        }
    }
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum QuotaLimit {
    SendMessages,
    SendBytes,
    ReceiveMessages,
    ReceiveBytes,
}

impl QuotaLimit {
    pub const ALL: [Self; 4] =
        [Self::SendMessages, Self::SendBytes, Self::ReceiveMessages, Self::ReceiveBytes];

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SendMessages => "send_messages_per_s",
            Self::SendBytes => "send_bytes_per_s",
            Self::ReceiveMessages => "receive_messages_per_s",
            Self::ReceiveBytes => "receive_bytes_per_s",
        }
    }
}

/// How much in a second. What is left out has no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct QuotaLimits {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send_messages_per_s: Option<u64>,
    /// Bodies and properties.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send_bytes_per_s: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receive_messages_per_s: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receive_bytes_per_s: Option<u64>,
}

impl QuotaLimits {
    #[must_use]
    pub const fn get(&self, limit: QuotaLimit) -> Option<u64> {
        match limit {
            QuotaLimit::SendMessages => self.send_messages_per_s,
            QuotaLimit::SendBytes => self.send_bytes_per_s,
            QuotaLimit::ReceiveMessages => self.receive_messages_per_s,
            QuotaLimit::ReceiveBytes => self.receive_bytes_per_s,
        }
    }

    /// Whether nothing is limited.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        QuotaLimit::ALL.iter().all(|limit| self.get(*limit).is_none())
    }
}

/// One quota of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Quota {
    pub scope: QuotaScope,
    /// A user, topic or namespace; `*` for each that has no quota of its own.
    pub name: String,
    #[serde(flatten)]
    pub limits: QuotaLimits,
}

impl Quota {
    /// # Errors
    /// If the name is no name of its scope, or a limit lets nothing through.
    pub fn check(&self) -> Result<(), String> {
        let Self { scope, name, limits } = self;
        if name.is_empty() || name.len() > QUOTA_NAME_BYTES_MAX {
            return Err(format!("the name of a quota has 1 to {QUOTA_NAME_BYTES_MAX} bytes"));
        }
        match scope {
            _ if name == EACH => {}
            QuotaScope::Client => {
                return Err(format!(
                    "a quota of scope `client` counts for each client: its name is `{EACH}`"
                ));
            }
            QuotaScope::Topic => drop(TopicName::new(name).map_err(|error| error.to_string())?),
            QuotaScope::User | QuotaScope::Namespace => {}
        }
        if limits.is_empty() {
            return Err("the quota limits nothing: set one of its limits, or delete it".to_owned());
        }
        for limit in QuotaLimit::ALL {
            if limits.get(limit).is_some_and(|per_s| !(1..=QUOTA_PER_S_MAX).contains(&per_s)) {
                return Err(format!("{} must be 1 to {QUOTA_PER_S_MAX}, or left out", limit.name()));
            }
        }
        Ok(())
    }
}

/// Limits by scope and name.
pub type QuotaRules = BTreeMap<(QuotaScope, String), QuotaLimits>;

/// All quotas of the catalogue: the machine writes, the guard reads before every call.
#[derive(Debug, Default)]
pub struct QuotaBook {
    rules: RwLock<Arc<QuotaRules>>,
    is_used: AtomicBool,
}

impl QuotaBook {
    /// Whether there is any rule. As cheap as can be.
    #[must_use]
    pub fn is_used(&self) -> bool {
        self.is_used.load(Ordering::Relaxed)
    }

    #[must_use]
    pub fn rules(&self) -> Arc<QuotaRules> {
        Arc::clone(&self.rules.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn put(&self, quota: Quota) {
        let mut rules = self.rules.write().unwrap_or_else(PoisonError::into_inner);
        Arc::make_mut(&mut rules).insert((quota.scope, quota.name), quota.limits);
        self.is_used.store(true, Ordering::Relaxed);
    }

    pub fn delete(&self, scope: QuotaScope, name: &str) {
        let mut rules = self.rules.write().unwrap_or_else(PoisonError::into_inner);
        Arc::make_mut(&mut rules).remove(&(scope, name.to_owned()));
        self.is_used.store(!rules.is_empty(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quota(scope: QuotaScope, name: &str, send: Option<u64>) -> Quota {
        let limits = QuotaLimits { send_messages_per_s: send, ..QuotaLimits::default() };
        Quota { scope, name: name.to_owned(), limits }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        assert!(quota(QuotaScope::Client, "*", Some(1)).check().is_ok());
        assert!(quota(QuotaScope::Topic, "orders", Some(QUOTA_PER_S_MAX)).check().is_ok());
        let wrong = [
            (QuotaScope::Client, "c1", Some(1)),
            (QuotaScope::Topic, "a b", Some(1)),
            (QuotaScope::User, "", Some(1)),
            (QuotaScope::User, "ann", None),
            (QuotaScope::User, "ann", Some(0)),
            (QuotaScope::Namespace, "n", Some(QUOTA_PER_S_MAX + 1)),
        ];
        for (scope, name, send) in wrong {
            assert!(quota(scope, name, send).check().is_err(), "{scope:?} {name} {send:?}");
        }
        assert!(quota(QuotaScope::User, &"x".repeat(QUOTA_NAME_BYTES_MAX + 1), Some(1)).check().is_err());
    }

    #[test]
    fn a_book_knows_whether_it_is_used() {
        let book = QuotaBook::default();
        assert!(!book.is_used());
        book.put(quota(QuotaScope::Topic, "t", Some(5)));
        assert!(book.is_used());
        assert_eq!(book.rules()[&(QuotaScope::Topic, "t".to_owned())].send_messages_per_s, Some(5));
        book.delete(QuotaScope::Topic, "t");
        assert!(!book.is_used());
    }

    #[test]
    fn as_json_a_quota_is_flat() {
        let quota = quota(QuotaScope::Topic, "t", Some(5));
        let json = serde_json::to_string(&quota).expect("plain data");
        assert_eq!(json, r#"{"scope":"topic","name":"t","send_messages_per_s":5}"#);
        assert_eq!(serde_json::from_str::<Quota>(&json).expect("the same"), quota);
    }
}
