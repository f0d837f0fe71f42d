//! Users and policies: what is put is there, also after a restart, and goes with its user.

use model::Session;
use model::access::{Action, Decision, Policy, PolicyEntry, PolicyKind, UserKind, UserName, UserStatus};
use model::admin::{
    self, AclCopy, AclCopyRequest, AclDelete, AclDeleteRequest, AclExplain, AclGet, AclList, AclListRequest,
    AclPut, AclPutRequest, AdminError, AdminOp, ExplainRequest, UserDelete, UserGet, UserPut, UserPutMode,
    UserPutRequest, UserRequest,
};

use crate::bench::Bench;

fn user(name: &str) -> UserName {
    name.parse().expect("legal")
}

fn put(name: &str, mode: UserPutMode) -> UserPutRequest {
    let sealed = Some("c2VhbGVk".to_owned());
    UserPutRequest { user: user(name), password: None, sealed, kind: None, status: None, mode }
}

fn policy(kind: PolicyKind, resource: &str, action: Action, decision: Decision) -> Policy {
    let resource = resource.parse().expect("legal");
    Policy {
        kind,
        entries: vec![PolicyEntry { resource, actions: vec![action], source_ips: Vec::new(), decision }],
    }
}

async fn run<O: AdminOp>(bench: &Bench, request: O::Request) -> Result<O::Response, AdminError> {
    admin::run::<O>(&*bench.broker, &Session::internal(), request).await
}

async fn resources(bench: &Bench, name: &str) -> Vec<String> {
    let found = run::<AclGet>(bench, UserRequest { user: user(name) }).await.expect("there");
    let policies = found.map(|acl| acl.policies).unwrap_or_default();
    policies.iter().flat_map(|policy| &policy.entries).map(|entry| entry.resource.to_string()).collect()
}

#[tokio::test]
async fn users_are_made_changed_and_deleted() {
    let mut bench = Bench::new();
    run::<UserPut>(&bench, put("alice", UserPutMode::Create)).await.expect("made");
    let again = run::<UserPut>(&bench, put("alice", UserPutMode::Create)).await;
    assert!(matches!(again, Err(AdminError::Exists(_))), "{again:?}");
    let unknown = run::<UserPut>(&bench, put("bob", UserPutMode::Update)).await;
    assert!(matches!(unknown, Err(AdminError::NotFound(_))), "{unknown:?}");
    let bare = UserPutRequest { sealed: None, ..put("bob", UserPutMode::Create) };
    assert!(matches!(run::<UserPut>(&bench, bare).await, Err(AdminError::Invalid(_))));
    let open = UserPutRequest { password: Some("p".to_owned()), ..put("bob", UserPutMode::Create) };
    assert!(matches!(run::<UserPut>(&bench, open).await, Err(AdminError::Internal(_))));

    let change = UserPutRequest {
        sealed: None,
        status: Some(UserStatus::Disable),
        kind: Some(UserKind::Super),
        ..put("alice", UserPutMode::Update)
    };
    run::<UserPut>(&bench, change).await.expect("changed");
    bench.restart().await;
    let found = run::<UserGet>(&bench, UserRequest { user: user("alice") }).await.expect("read");
    let found = found.expect("there");
    assert_eq!((found.kind, found.status), (UserKind::Super, UserStatus::Disable));
    assert_eq!(found.sealed.as_deref(), Some("c2VhbGVk"));

    run::<UserDelete>(&bench, UserRequest { user: user("alice") }).await.expect("deleted");
    bench.restart().await;
    assert_eq!(run::<UserGet>(&bench, UserRequest { user: user("alice") }).await.expect("read"), None);
}

#[tokio::test]
async fn entries_take_the_place_of_those_for_the_same_resource() {
    let mut bench = Bench::new();
    run::<UserPut>(&bench, put("alice", UserPutMode::Put)).await.expect("made");
    let nobody = AclPutRequest {
        user: user("bob"),
        policies: vec![policy(PolicyKind::Custom, "*", Action::All, Decision::Allow)],
    };
    assert!(matches!(run::<AclPut>(&bench, nobody).await, Err(AdminError::NotFound(_))));
    let empty = AclPutRequest { user: user("alice"), policies: Vec::new() };
    assert!(matches!(run::<AclPut>(&bench, empty).await, Err(AdminError::Invalid(_))));
    for (kind, resource, decision) in [
        (PolicyKind::Custom, "Topic:a", Decision::Allow),
        (PolicyKind::Custom, "Topic:b", Decision::Allow),
        (PolicyKind::Custom, "Topic:a", Decision::Deny),
        (PolicyKind::Default, "Topic:*", Decision::Allow),
    ] {
        let policies = vec![policy(kind, resource, Action::Pub, decision)];
        run::<AclPut>(&bench, AclPutRequest { user: user("alice"), policies }).await.expect("put");
    }
    bench.restart().await;
    assert_eq!(resources(&bench, "alice").await, ["Topic:a", "Topic:b", "Topic:*"]);
    let ask = |resource: &str| ExplainRequest {
        user: user("alice"),
        resource: resource.parse().expect("legal"),
        action: Action::Pub,
        from: None,
    };
    let explained = run::<AclExplain>(&bench, ask("Topic:a")).await.expect("told");
    assert!(!explained.allowed && explained.reason == "the decision is deny.", "{explained:?}");
    let explained = run::<AclExplain>(&bench, ask("Topic:c")).await.expect("told");
    assert!(explained.allowed && explained.kind == Some(PolicyKind::Default), "{explained:?}");
    let explained = run::<AclExplain>(&bench, ask("Group:c")).await.expect("told");
    assert!(!explained.allowed && explained.reason == "no matched policies.", "{explained:?}");
    assert!(matches!(run::<AclExplain>(&bench, ask("Topic:*")).await, Err(AdminError::Invalid(_))));

    run::<UserPut>(&bench, put("bob", UserPutMode::Put)).await.expect("made");
    run::<AclCopy>(&bench, AclCopyRequest { from: user("alice"), to: user("bob") }).await.expect("copied");
    assert_eq!(resources(&bench, "bob").await, ["Topic:a", "Topic:b", "Topic:*"]);
    let list = AclListRequest { subject_contains: None, resource_contains: Some("Topic:b".to_owned()) };
    assert_eq!(run::<AclList>(&bench, list).await.expect("listed").len(), 2);

    let delete = |resource: Option<&str>| AclDeleteRequest {
        user: user("alice"),
        kind: None,
        resource: resource.map(|text| text.parse().expect("legal")),
    };
    run::<AclDelete>(&bench, delete(Some("Topic:a"))).await.expect("deleted");
    assert_eq!(resources(&bench, "alice").await, ["Topic:b", "Topic:*"]);
    run::<AclDelete>(&bench, delete(None)).await.expect("deleted");
    assert!(resources(&bench, "alice").await.is_empty());
    assert!(matches!(run::<AclDelete>(&bench, delete(None)).await, Err(AdminError::NotFound(_))));
    run::<UserDelete>(&bench, UserRequest { user: user("bob") }).await.expect("deleted");
    run::<UserPut>(&bench, put("bob", UserPutMode::Put)).await.expect("made");
    assert!(resources(&bench, "bob").await.is_empty(), "policies go with their user");
}
