//! Users and policies (`AdminBrokerProcessor`, requests 3001 to 3010): bodies `UserInfo` and `AclInfo`.
//!
//! What cannot be done is answered "no permission" with RocketMQ's text, as there.

use std::str::FromStr;

use model::AdminError;
use model::access::{Action, Decision, Policy, PolicyEntry, PolicyKind, UserName};
use model::admin::{
    self, AccessRequest, AclDelete, AclDeleteRequest, AclDescription, AclGet, AclList, AclListRequest,
    AclPut, AclPutRequest, UserDelete, UserDescription, UserGet, UserList, UserPut, UserPutMode,
    UserPutRequest, UserRequest,
};
use serde::{Deserialize, Serialize};

use crate::code::response;
use crate::error::Failure;
use crate::frame::Command;
use crate::handlers::{Answer, done, success};
use crate::header::Fields;
use crate::json;
use crate::link::Link;

const SUBJECT_PREFIX: &str = "User:";

/// Written without what is not there, as fastjson does.
#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct UserInfo {
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_status: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct AclInfo {
    policies: Option<Vec<PolicyInfo>>,
    subject: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PolicyInfo {
    entries: Option<Vec<EntryInfo>>,
    policy_type: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct EntryInfo {
    actions: Option<Vec<String>>,
    decision: Option<String>,
    resource: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_ips: Option<Vec<String>>,
}

fn refuse(remark: impl Into<String>) -> Failure {
    Failure::new(response::NO_PERMISSION, remark)
}

/// What went wrong, where `missing` tells what is not there.
fn failed(error: AdminError, missing: &str) -> Failure {
    match error {
        AdminError::NotFound(_) => refuse(missing),
        AdminError::Exists(_) => refuse("The user is existed"),
        AdminError::Invalid(why) => refuse(why),
        other => other.into(),
    }
}

fn user_of(request: &Command) -> Result<UserName, Failure> {
    let blank = || Failure::new(response::INVALID_PARAMETER, "The username is blank");
    let name = request.fields.get("username").filter(|name| !name.trim().is_empty()).ok_or_else(blank)?;
    name.parse().map_err(|why: String| Failure::new(response::INVALID_PARAMETER, why))
}

async fn put_user(link: &Link, request: &Command, mode: UserPutMode) -> Answer {
    let user = user_of(request)?;
    let info: UserInfo = json::read(&request.body)?;
    // RocketMQ takes a type or status that it does not know for none.
    let put = UserPutRequest {
        user,
        password: info.password.filter(|password| !password.trim().is_empty()),
        sealed: None,
        kind: info.user_type.and_then(|text| text.parse().ok()),
        status: info.user_status.and_then(|text| text.parse().ok()),
        mode,
    };
    admin::run::<UserPut>(link.engine(), &link.session, put)
        .await
        .map_err(|error| failed(error, "The user is not exist"))?;
    Ok(done())
}

pub(super) async fn create_user(link: &Link, request: &Command) -> Answer {
    put_user(link, request, UserPutMode::Create).await
}

pub(super) async fn update_user(link: &Link, request: &Command) -> Answer {
    put_user(link, request, UserPutMode::Update).await
}

pub(super) async fn delete_user(link: &Link, request: &Command) -> Answer {
    let ask = UserRequest { user: user_of(request)? };
    match admin::run::<UserDelete>(link.engine(), &link.session, ask).await {
        Ok(_) | Err(AdminError::NotFound(_)) => Ok(done()),
        Err(error) => Err(error.into()),
    }
}

fn told(user: UserDescription) -> UserInfo {
    UserInfo {
        password: user.password,
        // The one name that RocketMQ does not begin with a capital.
        user_status: Some(user.status.to_string().to_lowercase()),
        user_type: Some(user.kind.to_string()),
        username: Some(user.user.to_string()),
    }
}

pub(super) async fn get_user(link: &Link, request: &Command) -> Answer {
    let ask = UserRequest { user: user_of(request)? };
    let found = admin::run::<UserGet>(link.engine(), &link.session, ask).await?;
    Ok(found.map_or_else(done, |user| success(Fields::new(), json::write(&told(user)))))
}

pub(super) async fn list_users(link: &Link, request: &Command) -> Answer {
    let ask = AccessRequest { contains: filter(request, "filter") };
    let found = admin::run::<UserList>(link.engine(), &link.session, ask).await?;
    if found.is_empty() {
        return Ok(done());
    }
    let users: Vec<UserInfo> = found.into_iter().map(told).collect();
    Ok(success(Fields::new(), json::write(&users)))
}

fn filter(request: &Command, name: &str) -> Option<String> {
    request.fields.get(name).filter(|text| !text.trim().is_empty()).map(str::to_owned)
}

/// `User:name`
fn subject(text: Option<&str>) -> Result<UserName, Failure> {
    let text = text.unwrap_or_default();
    let is_user = text.get(..SUBJECT_PREFIX.len()).is_some_and(|p| p.eq_ignore_ascii_case(SUBJECT_PREFIX));
    let name = text.get(SUBJECT_PREFIX.len()..).filter(|_| is_user);
    name.ok_or_else(|| refuse("The subject is null."))?.parse().map_err(|why: String| refuse(why))
}

fn one_of<T: FromStr>(text: Option<&str>, otherwise: &str) -> Result<T, Failure> {
    text.and_then(|text| text.parse().ok()).ok_or_else(|| refuse(otherwise))
}

fn entry(info: EntryInfo) -> Result<PolicyEntry, Failure> {
    let parsed: Vec<Action> =
        info.actions.iter().flatten().filter_map(|action| action.trim().parse().ok()).collect();
    if info.actions.iter().flatten().any(|action| action.trim().eq_ignore_ascii_case("Any")) {
        return Err(refuse("The actions can not be Any."));
    }
    let ips = info.source_ips.unwrap_or_default();
    let ips = ips.iter().map(|ip| ip.trim().parse().map_err(|why: String| refuse(why)));
    Ok(PolicyEntry {
        resource: one_of(info.resource.as_deref().map(str::trim), "The resource is null.")?,
        actions: parsed,
        source_ips: ips.collect::<Result<_, _>>()?,
        decision: one_of::<Decision>(info.decision.as_deref(), "The decision is null or illegal.")?,
    })
}

fn policy(info: PolicyInfo) -> Result<Policy, Failure> {
    let kind = info.policy_type.as_deref().and_then(|text| text.parse().ok()).unwrap_or(PolicyKind::Custom);
    let entries = info.entries.unwrap_or_default().into_iter().map(entry).collect::<Result<_, _>>()?;
    Ok(Policy { kind, entries })
}

/// Making and changing are one: an entry for a resource that has one already takes its place.
pub(super) async fn put_acl(link: &Link, request: &Command) -> Answer {
    let info: AclInfo = json::read(&request.body)?;
    let policies = info.policies.unwrap_or_default();
    if policies.is_empty() {
        return Err(Failure::new(response::SYSTEM_ERROR, "The body of acl is null"));
    }
    let user = match info.subject.as_deref() {
        Some(text) => subject(Some(text))?,
        None => subject(request.fields.get("subject"))?,
    };
    let missing = format!("The subject of {SUBJECT_PREFIX}{user} is not exist.");
    let policies = policies.into_iter().map(policy).collect::<Result<_, _>>()?;
    let put = AclPutRequest { user, policies };
    let outcome = admin::run::<AclPut>(link.engine(), &link.session, put).await;
    outcome.map_err(|error| failed(error, &missing))?;
    Ok(done())
}

pub(super) async fn delete_acl(link: &Link, request: &Command) -> Answer {
    let resource = request.fields.get("resource").filter(|text| !text.is_empty());
    let resource = resource.map(|text| text.parse().map_err(|why: String| refuse(why))).transpose()?;
    let ask = AclDeleteRequest {
        user: subject(request.fields.get("subject"))?,
        kind: request.fields.get("policyType").and_then(|text| text.parse().ok()),
        resource,
    };
    let outcome = admin::run::<AclDelete>(link.engine(), &link.session, ask).await;
    outcome.map_err(|error| {
        let is_acl = matches!(&error, AdminError::NotFound(what) if what.starts_with("a policy"));
        failed(error, if is_acl { "The acl is not exist." } else { "The subject is not exist." })
    })?;
    Ok(done())
}

fn shown(acl: AclDescription) -> AclInfo {
    let entry = |entry: PolicyEntry| EntryInfo {
        actions: Some(entry.actions.iter().map(ToString::to_string).collect()),
        decision: Some(entry.decision.to_string()),
        resource: Some(entry.resource.to_string()),
        source_ips: (!entry.source_ips.is_empty())
            .then(|| entry.source_ips.iter().map(ToString::to_string).collect()),
    };
    let policy = |policy: Policy| PolicyInfo {
        entries: Some(policy.entries.into_iter().map(entry).collect()),
        policy_type: Some(policy.kind.to_string()),
    };
    AclInfo {
        policies: Some(acl.policies.into_iter().map(policy).collect()),
        subject: Some(format!("{SUBJECT_PREFIX}{}", acl.user)),
    }
}

pub(super) async fn get_acl(link: &Link, request: &Command) -> Answer {
    let ask = UserRequest { user: subject(request.fields.get("subject"))? };
    let found = admin::run::<AclGet>(link.engine(), &link.session, ask).await;
    let found = found.map_err(|error| failed(error, "The subject is not exist."))?;
    Ok(found.map_or_else(done, |acl| success(Fields::new(), json::write(&shown(acl)))))
}

pub(super) async fn list_acls(link: &Link, request: &Command) -> Answer {
    let ask = AclListRequest {
        subject_contains: filter(request, "subjectFilter"),
        resource_contains: filter(request, "resourceFilter"),
    };
    let found = admin::run::<AclList>(link.engine(), &link.session, ask).await?;
    if found.is_empty() {
        return Ok(done());
    }
    let acls: Vec<AclInfo> = found.into_iter().map(shown).collect();
    Ok(success(Fields::new(), json::write(&acls)))
}
