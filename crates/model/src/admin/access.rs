//! Requests and answers of the operations on users and policies.

use std::fmt;
use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::access::{Action, Policy, PolicyEntry, PolicyKind, Resource, UserKind, UserName, UserStatus};

/// Makes or changes a user. What is left out stays as it is; a new user is normal and enabled.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UserPutRequest {
    pub user: UserName,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// The password under the node's key. The guard puts it in the place of the password, so that
    /// nothing behind it sees that; from outside it is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    pub sealed: Option<String>,
    #[serde(default)]
    pub kind: Option<UserKind>,
    #[serde(default)]
    pub status: Option<UserStatus>,
    #[serde(default)]
    pub mode: UserPutMode,
}

impl fmt::Debug for UserPutRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserPutRequest").field("user", &self.user).finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum UserPutMode {
    /// It must not be there yet.
    Create,
    /// It must be there.
    Update,
    #[default]
    Put,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UserRequest {
    pub user: UserName,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UserDescription {
    pub user: UserName,
    pub kind: UserKind,
    pub status: UserStatus,
    /// Only where the node's settings let passwords be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// For the guard, which takes it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    pub sealed: Option<String>,
}

impl fmt::Debug for UserDescription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserDescription").field("user", &self.user).finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AccessRequest {
    /// Only names that contain this.
    #[serde(default)]
    pub contains: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AclPutRequest {
    pub user: UserName,
    pub policies: Vec<Policy>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AclDescription {
    pub user: UserName,
    pub policies: Vec<Policy>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AclListRequest {
    /// Only users whose subject (`User:name`) contains this.
    #[serde(default)]
    pub subject_contains: Option<String>,
    /// Only entries whose resource contains this.
    #[serde(default)]
    pub resource_contains: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AclDeleteRequest {
    pub user: UserName,
    #[serde(default)]
    pub kind: Option<PolicyKind>,
    /// All policies, if none is named.
    #[serde(default)]
    pub resource: Option<Resource>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AclCopyRequest {
    pub from: UserName,
    pub to: UserName,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExplainRequest {
    pub user: UserName,
    /// One thing, no pattern.
    pub resource: Resource,
    pub action: Action,
    /// From where; from this machine, if it is left out.
    #[serde(default)]
    pub from: Option<IpAddr>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Explanation {
    pub allowed: bool,
    pub reason: String,
    /// The entry that decides, if one does.
    pub entry: Option<PolicyEntry>,
    pub kind: Option<PolicyKind>,
}
