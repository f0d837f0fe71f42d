//! Users and policies of a cluster that keeps them (ACL 2.0), made here.
//!
//! Users that are here already are left alone, with their policies.

use anyhow::{Context, Result};
use model::access::{Policy, PolicyEntry, PolicyKind, UserName};
use model::admin::{AclPut, AclPutRequest, UserPut, UserPutMode, UserPutRequest};
use serde::Deserialize;

use crate::http::{self, Server};
use crate::output;

const SUBJECT_PREFIX: &str = "User:";

/// `UserInfo`, as brokers write it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct UserBody {
    username: String,
    password: Option<String>,
    user_type: Option<String>,
    user_status: Option<String>,
}

/// `AclInfo`
#[derive(Debug, Deserialize)]
pub(super) struct AclBody {
    subject: String,
    #[serde(default)]
    policies: Vec<PolicyBody>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PolicyBody {
    policy_type: Option<String>,
    #[serde(default)]
    entries: Vec<EntryBody>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct EntryBody {
    resource: String,
    actions: Vec<String>,
    #[serde(default)]
    source_ips: Vec<String>,
    decision: String,
}

impl UserBody {
    /// What makes this user here; none where the cluster does not tell its password.
    fn request(&self) -> Result<Option<UserPutRequest>> {
        let Some(password) = self.password.clone().filter(|password| !password.is_empty()) else {
            return Ok(None);
        };
        Ok(Some(UserPutRequest {
            user: parsed(&self.username)?,
            password: Some(password),
            sealed: None,
            kind: self.user_type.as_deref().map(parsed).transpose()?,
            status: self.user_status.as_deref().map(parsed).transpose()?,
            mode: UserPutMode::Create,
        }))
    }
}

impl AclBody {
    fn user(&self) -> &str {
        self.subject.strip_prefix(SUBJECT_PREFIX).unwrap_or(&self.subject)
    }

    fn policies(&self) -> Result<Vec<Policy>> {
        self.policies.iter().map(PolicyBody::policy).collect()
    }
}

impl PolicyBody {
    fn policy(&self) -> Result<Policy> {
        let kind = self.policy_type.as_deref().map_or(Ok(PolicyKind::Custom), parsed)?;
        Ok(Policy { kind, entries: self.entries.iter().map(EntryBody::entry).collect::<Result<_>>()? })
    }
}

impl EntryBody {
    fn entry(&self) -> Result<PolicyEntry> {
        Ok(PolicyEntry {
            resource: parsed(&self.resource)?,
            actions: self.actions.iter().map(|action| parsed(action)).collect::<Result<_>>()?,
            source_ips: self.source_ips.iter().map(|ip| parsed(ip)).collect::<Result<_>>()?,
            decision: parsed(&self.decision)?,
        })
    }
}

fn parsed<T: std::str::FromStr<Err = String>>(text: &str) -> Result<T> {
    text.parse().map_err(|why: String| anyhow::anyhow!("`{text}`: {why}"))
}

/// Makes them here, and says what was left out.
pub(super) async fn put(server: &Server, users: &[UserBody], acls: &[AclBody]) -> Result<()> {
    let (mut made, mut entries) = (0, 0);
    for user in users {
        let name = &user.username;
        let Some(request) = user.request().with_context(|| format!("user {name}"))? else {
            output::line(&format!("note: user {name} stays behind: its broker does not tell the password"));
            continue;
        };
        match server.operate::<UserPut>(&request).await {
            Ok(_) => made += 1,
            Err(error) if http::is_conflict(&error) => {
                output::line(&format!("note: user {name} is here already, and left alone"));
                continue;
            }
            Err(error) => return Err(error.context(format!("user {name}"))),
        }
        for acl in acls.iter().filter(|acl| acl.user() == name) {
            entries += put_policies(server, &request.user, acl).await?;
        }
    }
    output::line(&format!("{made} users and {entries} entries of their policies are made"));
    Ok(())
}

async fn put_policies(server: &Server, user: &UserName, acl: &AclBody) -> Result<usize> {
    let policies = acl.policies().with_context(|| format!("policies of {user}"))?;
    let entries = policies.iter().map(|policy| policy.entries.len()).sum();
    if entries > 0 {
        let request = AclPutRequest { user: user.clone(), policies };
        server.operate::<AclPut>(&request).await.with_context(|| format!("policies of {user}"))?;
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use model::access::{Decision, UserKind, UserStatus};

    use super::*;

    #[test]
    fn what_a_broker_tells_is_understood() {
        let users = r#"[{"password":"p","userStatus":"disable","userType":"Super","username":"root"},{"username":"u"}]"#;
        let users: Vec<UserBody> = serde_json::from_str(users).expect("as brokers write it");
        let root = users[0].request().expect("legal").expect("with a password");
        assert_eq!((root.kind, root.status), (Some(UserKind::Super), Some(UserStatus::Disable)));
        assert!(users[1].request().expect("legal").is_none(), "no password");
        let acl = r#"{"policies":[{"entries":[{"actions":["Pub","Sub"],"decision":"Deny","resource":"Topic:a-*",
            "sourceIps":["10.0.0.0/8"]}],"policyType":"Default"}],"subject":"User:u"}"#;
        let acl: AclBody = serde_json::from_str(acl).expect("as brokers write it");
        let policies = acl.policies().expect("legal");
        assert_eq!((acl.user(), policies[0].kind), ("u", PolicyKind::Default));
        let entry = &policies[0].entries[0];
        assert_eq!((entry.resource.to_string().as_str(), entry.decision), ("Topic:a-*", Decision::Deny));
        assert_eq!((entry.actions.len(), entry.source_ips.len()), (2, 1));
    }
}
