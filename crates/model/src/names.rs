//! Names of topics and groups, checked once at the border.
//!
//! Allowed characters: `%`, `|`, letters, digits, `_`, `-` (RocketMQ's `TopicValidator`).

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::limits::{
    DERIVED_TOPIC_NAME_BYTES_MAX, GROUP_NAME_BYTES_MAX, LITE_TOPIC_BYTES_MAX, TOPIC_NAME_BYTES_MAX,
};

pub const RETRY_PREFIX: &str = "%RETRY%";
pub const DLQ_PREFIX: &str = "%DLQ%";
pub const LITE_PREFIX: &str = "%LMQ%";
/// Stands before and after the parent in a lite topic's full name.
const LITE_SEPARATOR: char = '$';
pub const SYSTEM_PREFIX: &str = "rmq_sys_";
/// The topic whose route stands for "this topic would be made by a send".
pub const AUTO_CREATE_TOPIC: &str = "TBW102";
pub const TRACE_TOPIC: &str = "RMQ_SYS_TRACE_TOPIC";
/// Where the node tells what happens to it; clients may read it.
pub const EVENTS_TOPIC: &str = "RMQ_SYS_EVENTS";

/// Topics that exist in every RocketMQ broker and cannot be made or deleted by users.
const SYSTEM_TOPICS: &[&str] = &[
    AUTO_CREATE_TOPIC,
    "SCHEDULE_TOPIC_XXXX",
    "BenchmarkTest",
    "RMQ_SYS_TRANS_HALF_TOPIC",
    "RMQ_SYS_TRANS_OP_HALF_TOPIC",
    TRACE_TOPIC,
    "TRANS_CHECK_MAX_TIME_TOPIC",
    "SELF_TEST_TOPIC",
    "OFFSET_MOVED_EVENT",
    "CHECKPOINT_TOPIC",
    "RMQ_SYS_ROCKSDB_TRANS_HALF_TOPIC",
    "RMQ_SYS_ROCKSDB_TRANS_OP_HALF_TOPIC",
];

/// System topics that no client may send to.
const NOT_SENDABLE: &[&str] = &[
    "SCHEDULE_TOPIC_XXXX",
    "RMQ_SYS_TRANS_HALF_TOPIC",
    "RMQ_SYS_TRANS_OP_HALF_TOPIC",
    "TRANS_CHECK_MAX_TIME_TOPIC",
    "SELF_TEST_TOPIC",
    "OFFSET_MOVED_EVENT",
    "RMQ_SYS_ROCKSDB_TRANS_HALF_TOPIC",
    "RMQ_SYS_ROCKSDB_TRANS_OP_HALF_TOPIC",
    EVENTS_TOPIC,
];

/// Why a name was refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NameError {
    #[error("the {what} name is blank")]
    Blank { what: &'static str },
    #[error("the {what} name is {len} bytes long, the longest allowed is {max}")]
    TooLong { what: &'static str, len: usize, max: usize },
    #[error("the {what} name `{name}` has a character outside `% | a-z A-Z 0-9 _ -`")]
    IllegalCharacter { what: &'static str, name: String },
    #[error("the lite topic name `{name}` has a character outside `a-z A-Z 0-9 _ -`")]
    IllegalLiteCharacter { name: String },
}

/// Which bytes a name may have.
const LEGAL: [bool; 256] = {
    let mut legal = [false; 256];
    let mut at = 0;
    while at < legal.len() {
        let byte = at as u8;
        legal[at] = byte.is_ascii_alphanumeric() || matches!(byte, b'%' | b'|' | b'_' | b'-');
        at += 1;
    }
    legal
};

fn check(what: &'static str, name: &str, max: usize) -> Result<(), NameError> {
    let is_legal = || name.bytes().all(|byte| LEGAL.get(usize::from(byte)) == Some(&true));
    if !name.is_empty() && name.len() <= max && is_legal() {
        return Ok(());
    }
    why_illegal(what, name, max)
}

#[cold]
fn why_illegal(what: &'static str, name: &str, max: usize) -> Result<(), NameError> {
    if name.trim().is_empty() {
        return Err(NameError::Blank { what });
    }
    if name.len() > max {
        return Err(NameError::TooLong { what, len: name.len(), max });
    }
    Err(NameError::IllegalCharacter { what, name: name.chars().take(64).collect() })
}

fn split_lite(name: &str) -> Option<(&str, &str)> {
    name.strip_prefix(LITE_PREFIX)?.strip_prefix(LITE_SEPARATOR)?.split_once(LITE_SEPARATOR)
}

/// Checks the name of a lite topic inside its parent: `a-z A-Z 0-9 _ -`.
///
/// # Errors
/// If it is blank, too long or has another character.
pub fn check_lite_topic(lite: &str) -> Result<(), NameError> {
    if lite.trim().is_empty() {
        return Err(NameError::Blank { what: "lite topic" });
    }
    if lite.len() > LITE_TOPIC_BYTES_MAX {
        let (len, max) = (lite.len(), LITE_TOPIC_BYTES_MAX);
        return Err(NameError::TooLong { what: "lite topic", len, max });
    }
    if !lite.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-')) {
        return Err(NameError::IllegalLiteCharacter { name: lite.to_owned() });
    }
    Ok(())
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.as_ref().to_owned()
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(name: String) -> Result<Self, NameError> {
                Self::new(&name)
            }
        }

        impl schemars::JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "minLength": 1, "maxLength": $name::BYTES_MAX })
            }
        }
    };
}

name!(
    /// A topic, including derived ones (`%RETRY%group`, `%DLQ%group`).
    TopicName
);
name!(
    /// A consumer or producer group.
    GroupName
);

impl TopicName {
    /// Of any kind.
    pub const BYTES_MAX: usize = DERIVED_TOPIC_NAME_BYTES_MAX;

    /// # Errors
    /// If the name is blank, too long or has an illegal character.
    pub fn new(name: &str) -> Result<Self, NameError> {
        let derived =
            name.starts_with(RETRY_PREFIX) || name.starts_with(DLQ_PREFIX) || name.starts_with(LITE_PREFIX);
        let max = if derived { DERIVED_TOPIC_NAME_BYTES_MAX } else { TOPIC_NAME_BYTES_MAX };
        if let Some((parent, lite)) = split_lite(name) {
            check("topic", parent, TOPIC_NAME_BYTES_MAX)?;
            check_lite_topic(lite)?;
        } else {
            check("topic", name, max)?;
        }
        Ok(Self(name.into()))
    }

    /// The full name of a lite topic, as RocketMQ's `LiteUtil` makes it.
    ///
    /// # Errors
    /// If the lite topic's name is not legal.
    pub fn lite_of(parent: &Self, lite: &str) -> Result<Self, NameError> {
        check_lite_topic(lite)?;
        Ok(Self(format!("{LITE_PREFIX}{LITE_SEPARATOR}{parent}{LITE_SEPARATOR}{lite}").into()))
    }

    /// Parent and name, if this is the full name of a lite topic.
    #[must_use]
    pub fn as_lite(&self) -> Option<(Self, &str)> {
        let (parent, lite) = split_lite(self.as_str())?;
        Some((Self(parent.into()), lite))
    }

    /// The topic that clients of the 4.x protocol read a group's retries from.
    #[must_use]
    pub fn retry_of(group: &GroupName) -> Self {
        Self(format!("{RETRY_PREFIX}{group}").into())
    }

    /// The topic that holds a group's retries of one topic, for receivers.
    #[must_use]
    pub fn receive_retry_of(group: &GroupName, topic: &TopicName) -> Self {
        Self(format!("{RETRY_PREFIX}{group}_{topic}").into())
    }

    #[must_use]
    pub fn dead_letters_of(group: &GroupName) -> Self {
        Self(format!("{DLQ_PREFIX}{group}").into())
    }

    #[must_use]
    pub fn is_retry(&self) -> bool {
        self.0.starts_with(RETRY_PREFIX)
    }

    #[must_use]
    pub fn is_dead_letters(&self) -> bool {
        self.0.starts_with(DLQ_PREFIX)
    }

    /// The group in a retry or dead letter topic's name.
    #[must_use]
    pub fn derived_from(&self) -> Option<&str> {
        self.0.strip_prefix(RETRY_PREFIX).or_else(|| self.0.strip_prefix(DLQ_PREFIX))
    }

    /// What stands before the `%` in `namespace%name`, derived topics included.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        let name = self.derived_from().unwrap_or(&self.0);
        let (namespace, rest) = name.split_once('%')?;
        (!namespace.is_empty() && !rest.is_empty()).then_some(namespace)
    }

    #[must_use]
    pub fn is_system(&self) -> bool {
        SYSTEM_TOPICS.contains(&self.as_str()) || self.0.starts_with(SYSTEM_PREFIX)
    }

    #[must_use]
    pub fn is_sendable(&self) -> bool {
        !NOT_SENDABLE.contains(&self.as_str())
    }
}

impl GroupName {
    /// Of any kind.
    pub const BYTES_MAX: usize = GROUP_NAME_BYTES_MAX;

    /// # Errors
    /// If the name is blank, too long or has an illegal character.
    pub fn new(name: &str) -> Result<Self, NameError> {
        check("group", name, GROUP_NAME_BYTES_MAX)?;
        Ok(Self(name.into()))
    }

    /// Whether it is one of RocketMQ's own (`MixAll.CID_RMQ_SYS_PREFIX`).
    #[must_use]
    pub fn is_system(&self) -> bool {
        self.as_str().starts_with("CID_RMQ_SYS_")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lite_topic_has_a_full_name() {
        let parent = TopicName::new("chats").expect("legal");
        let lite = TopicName::lite_of(&parent, "room-1").expect("legal");
        assert_eq!(lite.as_str(), "%LMQ%$chats$room-1");
        assert_eq!(TopicName::new(lite.as_str()).as_ref(), Ok(&lite));
        assert_eq!(lite.as_lite(), Some((parent.clone(), "room-1")));
        assert_eq!(parent.as_lite(), None);
        for bad in ["", " ", "a.b", "a$b", "ä", &"x".repeat(LITE_TOPIC_BYTES_MAX + 1)] {
            assert!(TopicName::lite_of(&parent, bad).is_err(), "{bad}");
            assert!(TopicName::new(&format!("%LMQ%$chats${bad}")).is_err(), "{bad}");
        }
        assert!(TopicName::new("a$b").is_err());
    }
}
