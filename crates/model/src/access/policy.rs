//! Policies: who may do what, as it is written down.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ips::IpRange;
use super::resource::Resource;
use super::text::named;
use crate::limits::{ACTIONS_PER_ENTRY_MAX, POLICY_ENTRIES_PER_USER_MAX, SOURCE_IPS_PER_ENTRY_MAX};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Every one of the others.
    All,
    Pub,
    Sub,
    Create,
    Update,
    Delete,
    Get,
    List,
}

named!(Action { All, Pub, Sub, Create, Update, Delete, Get, List });

/// A set of actions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Actions(u16);

impl Actions {
    #[must_use]
    pub const fn of(actions: &[Action]) -> Self {
        let mut bits = 0;
        let mut rest = actions;
        while let [first, others @ ..] = rest {
            bits |= 1 << *first as u16;
            rest = others;
        }
        Self(bits)
    }

    /// Whether one of `wanted` is among these.
    #[must_use]
    pub const fn allow_one_of(self, wanted: Self) -> bool {
        self.0 & (wanted.0 | 1 << Action::All as u16) != 0
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    Allow,
    Deny,
}

named!(Decision { Allow, Deny });

/// Default policies are looked at where no custom entry matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PolicyKind {
    Custom,
    Default,
}

named!(PolicyKind { Custom, Default });

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicyEntry {
    pub resource: Resource,
    pub actions: Vec<Action>,
    /// From where; anywhere if none is named.
    #[serde(default)]
    pub source_ips: Vec<IpRange>,
    pub decision: Decision,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    #[serde(default = "custom")]
    pub kind: PolicyKind,
    pub entries: Vec<PolicyEntry>,
}

const fn custom() -> PolicyKind {
    PolicyKind::Custom
}

/// Lays `more` over `policies`: an entry for a resource that has one already takes its place.
pub fn merge(policies: &mut Vec<Policy>, more: Vec<Policy>) {
    for policy in more {
        let Some(known) = policies.iter_mut().find(|known| known.kind == policy.kind) else {
            policies.push(policy);
            continue;
        };
        for entry in policy.entries {
            match known.entries.iter_mut().find(|old| old.resource == entry.resource) {
                Some(old) => *old = entry,
                None => known.entries.push(entry),
            }
        }
    }
}

/// Takes the entry for a resource out, and its policy if it was the last one.
pub fn remove(policies: &mut Vec<Policy>, kind: PolicyKind, resource: &Resource) {
    for policy in policies.iter_mut().filter(|policy| policy.kind == kind) {
        policy.entries.retain(|entry| entry.resource != *resource);
    }
    policies.retain(|policy| !policy.entries.is_empty());
}

/// Checks what is asked to be put. The texts are RocketMQ's where it has one.
///
/// # Errors
/// If there is nothing in it, or too much.
pub fn check(policies: &[Policy]) -> Result<(), String> {
    if policies.is_empty() {
        return Err("The policies is empty.".to_owned());
    }
    if policies.iter().any(|policy| policy.entries.is_empty()) {
        return Err("The policy entries is empty.".to_owned());
    }
    check_size(policies)?;
    for entry in policies.iter().flat_map(|policy| &policy.entries) {
        if entry.actions.is_empty() {
            return Err("The actions is empty.".to_owned());
        }
        if entry.actions.len() > ACTIONS_PER_ENTRY_MAX {
            return Err(format!("an entry has at most {ACTIONS_PER_ENTRY_MAX} actions"));
        }
        if entry.source_ips.len() > SOURCE_IPS_PER_ENTRY_MAX {
            return Err(format!("an entry has at most {SOURCE_IPS_PER_ENTRY_MAX} source addresses"));
        }
    }
    Ok(())
}

/// Checks what would be kept of one user.
///
/// # Errors
/// If it is too much.
pub fn check_size(policies: &[Policy]) -> Result<(), String> {
    let entries: usize = policies.iter().map(|policy| policy.entries.len()).sum();
    if entries > POLICY_ENTRIES_PER_USER_MAX {
        return Err(format!("a user has at most {POLICY_ENTRIES_PER_USER_MAX} entries: use patterns"));
    }
    Ok(())
}
