//! Access control by verbs: who is who, and the table of what each call needs.

use std::sync::Arc;

use base::{Seal, SystemClock};
use guard::{Access, AccessConfig, GuardConfig, Guarded, Metrics};
use hmac::{Hmac, KeyInit as _, Mac as _};
use model::access::{
    Accounts, Authenticate, Policy, PolicyEntry, PolicyKind, Stranger, UserConfig, UserKind, UserStatus,
};
use model::membership::{BeatStart, ConsumeHow, ConsumeModel, ConsumerBeat, Heartbeat, Subscription};
use model::verbs::{
    Boundary, CommitOffset, Hide, MessageQuery, OffsetQuestion, Publish, PublishError, QueueChoice, Recall,
};
use model::{
    Admin, AdminError, Filter, GroupName, Kind, Kinded, Membership, Messaging, Receipt, Session, TopicName,
};
use serde_json::{Value, json};
use sha1::Sha1;

use crate::stub::Stub;

const CLUSTER: &str = "DefaultCluster";

struct Rig {
    access: Arc<Access>,
    accounts: Arc<Accounts>,
    guarded: Guarded<Stub>,
}

fn rig(is_enabled: bool) -> Rig {
    let accounts = Arc::new(Accounts::default());
    let config = AccessConfig { is_enabled, shows_passwords: false, cluster: CLUSTER.to_owned() };
    let access =
        Arc::new(Access::new(config, Arc::clone(&accounts), Seal::passing().expect("chance is to be had")));
    let guarded = Guarded::new(
        Arc::new(Stub::default()),
        &GuardConfig::default(),
        Arc::new(SystemClock),
        Arc::clone(&access) as _,
        Metrics::default(),
    );
    Rig { access, accounts, guarded }
}

/// `Topic:t Pub,Sub Allow 10.0.0.1`
fn entry(text: &str) -> PolicyEntry {
    let mut parts = text.split(' ');
    let mut next = || parts.next().expect("resource, actions, decision, addresses");
    let (resource, actions, decision) = (next(), next(), next());
    PolicyEntry {
        resource: resource.parse().expect("legal"),
        actions: actions.split(',').map(|action| action.parse().expect("legal")).collect(),
        decision: decision.parse().expect("legal"),
        source_ips: parts.map(|ip| ip.parse().expect("legal")).collect(),
    }
}

fn custom(entries: &[&str]) -> Vec<Policy> {
    vec![Policy { kind: PolicyKind::Custom, entries: entries.iter().map(|text| entry(text)).collect() }]
}

impl Rig {
    fn put(&self, name: &str, kind: UserKind, status: UserStatus) {
        let sealed = self.access.seal(name, "secret").expect("sealed");
        self.accounts.put(name.parse().expect("legal"), UserConfig { kind, status, sealed });
    }

    fn allow(&self, name: &str, entries: &[&str]) {
        self.put(name, UserKind::Normal, UserStatus::Enable);
        self.accounts.put_policies(&name.parse().expect("legal"), custom(entries));
    }

    /// Whether the guard lets a call through, to an engine that does not know any topic.
    async fn lets(&self, call: &str) -> Result<(), String> {
        let session = session("alice");
        let (what, on) = call.split_once(' ').unwrap_or((call, ""));
        let (topic, group) = on.split_once(' ').unwrap_or((on, "g"));
        let topic = TopicName::new(topic).expect("legal");
        let group = GroupName::new(group).expect("legal");
        let guarded = &self.guarded;
        match what {
            "publish" => verdict(guarded.publish(&session, publish(topic)).await.err()),
            "recall" => {
                let recall = Recall { topic, handle: String::new(), producer_group: None };
                verdict(guarded.recall(&session, recall).await.err())
            }
            "route" => verdict(guarded.route(&session, &topic).await.err()),
            "ack" => {
                let results = guarded.ack(&session, vec![receipt(topic, group)]).await;
                verdict(results.into_iter().find_map(Result::err))
            }
            "extend" => {
                verdict(guarded.extend(&session, receipt(topic, group), Hide::asked(10_000)).await.err())
            }
            "commit" => {
                let commit = CommitOffset { group, topic, queue: 0.into(), offset: 0.into() };
                verdict(guarded.commit_offset(&session, commit).await.err())
            }
            "committed" => {
                let ask = OffsetQuestion::Committed { group, topic, queue: 0.into() };
                verdict(guarded.offset(&session, ask).await.err())
            }
            "bytime" => {
                let (queue, time_ms, boundary) = (0.into(), 0, Boundary::Lower);
                let ask = OffsetQuestion::ByTime { topic, queue, time_ms, boundary };
                verdict(guarded.offset(&session, ask).await.err())
            }
            "query" => {
                let query = MessageQuery::Offset { topic, queue: 0.into(), offset: 0.into() };
                verdict(guarded.query(&session, query).await.err())
            }
            "beat" => verdict(guarded.heartbeat(&session, beat(topic, group)).await.err()),
            "members" => verdict(guarded.members(&session, &group).await.err()),
            "producers" => verdict(guarded.producers(&session, &group).await.err()),
            other => panic!("there is no call {other}"),
        }
    }

    async fn runs(&self, operation: &str, request: Value) -> Result<(), String> {
        verdict(self.guarded.run(&session("alice"), operation, request).await.err())
    }
}

fn session(user: &str) -> Session {
    Session { protocol: "test", user: Some(user.into()), ..Session::internal() }
}

fn verdict<E: Kinded>(error: Option<E>) -> Result<(), String> {
    match error {
        Some(error) if error.kind() == Kind::Denied => Err(error.to_string()),
        _ => Ok(()),
    }
}

fn publish(topic: TopicName) -> Publish {
    let (messages, producer_group, auto_create) = (Vec::new(), None, None);
    Publish { topic, queue: QueueChoice::Any, messages, producer_group, auto_create, check_kind: false }
}

fn receipt(topic: TopicName, group: GroupName) -> Receipt {
    Receipt {
        group,
        topic,
        queue: 0.into(),
        offset: 0.into(),
        nonce: 1.into(),
        delivered_ms: 0,
        invisible_ms: 10_000,
    }
}

fn beat(topic: TopicName, group: GroupName) -> Heartbeat {
    let subscriptions = vec![Subscription { topic, filter: Filter::all(), version: 0 }];
    let (how, model, start) = (ConsumeHow::Push, ConsumeModel::Clustering, BeatStart::Last);
    Heartbeat {
        client_id: "c".to_owned(),
        language: "JAVA".to_owned(),
        version: 0,
        producers: Vec::new(),
        consumers: vec![ConsumerBeat { group, how, model, start, subscriptions }],
        with_subscriptions: true,
    }
}

/// What alice may do, a call, and whether it passes.
const CALLS: &[(&[&str], &str, bool)] = &[
    (&[], "publish t", false),
    (&["Topic:t Pub Allow"], "publish t", true),
    (&["Topic:t Pub Allow"], "publish u", false),
    (&["Topic:t Sub Allow"], "publish t", false),
    (&["Topic:t All Allow"], "publish t", true),
    (&["Topic:* Pub Allow"], "publish t", true),
    (&["* All Allow"], "publish t", true),
    (&["Topic:t* Pub Allow"], "publish tt", true),
    (&["Topic:t* Pub Allow"], "publish u", false),
    (&["Topic:t* Pub Allow", "Topic:tt Pub Deny"], "publish tt", false),
    (&["Topic:t* Pub Deny", "Topic:tt Pub Allow"], "publish tt", true),
    (&["Topic:t Pub Allow 127.0.0.0/8"], "publish t", true),
    (&["Topic:t Pub Allow 10.0.0.1"], "publish t", false),
    (&["Topic:t Pub Deny 127.0.0.1", "Topic:* Pub Allow"], "publish t", false),
    (&["Topic:t Pub Allow"], "publish %RETRY%g", false),
    (&["Group:g Sub Allow"], "publish %RETRY%g", true),
    (&["Group:g Sub Allow"], "publish %DLQ%g", true),
    (&["Group:h Sub Allow"], "publish %DLQ%g", false),
    (&["Topic:%DLQ%g Pub Allow"], "publish %DLQ%g", true),
    (&["Topic:p Pub Allow"], "publish %LMQ%$p$l", true),
    (&["Topic:q Pub Allow"], "publish %LMQ%$p$l", false),
    (&["Topic:t Pub Allow"], "recall t", true),
    (&["Topic:t Sub Allow"], "recall t", false),
    (&["Topic:t Pub Allow"], "route t", true),
    (&["Topic:t Sub Allow"], "route t", true),
    (&["Topic:t Get Allow"], "route t", true),
    (&["Topic:t Create Allow"], "route t", false),
    (&["Group:g Sub Allow"], "route %RETRY%g", true),
    (&["Topic:t Sub Allow"], "route %RETRY%g", false),
    (&[], "route TBW102", true),
    (&[], "route DefaultCluster_REPLY_TOPIC", true),
    (&[], "route Other_REPLY_TOPIC", false),
    (&["Topic:t Sub Allow", "Group:g Sub Allow"], "ack t g", true),
    (&["Topic:t Sub Allow"], "ack t g", false),
    (&["Group:g Sub Allow"], "ack t g", false),
    (&["Topic:t Sub Allow", "Group:g Sub Allow"], "extend t g", true),
    (&["Topic:t Sub Allow", "Group:h Sub Allow"], "extend t g", false),
    (&["Topic:t Sub Allow", "Group:g Sub Allow"], "commit t g", true),
    (&["Topic:t Update Allow", "Group:g Update Allow"], "commit t g", true),
    (&["Topic:t Get Allow", "Group:g Get Allow"], "commit t g", false),
    (&["Group:g Sub Allow"], "commit %RETRY%g g", true),
    (&["Topic:t Get Allow", "Group:g Get Allow"], "committed t g", true),
    (&["Topic:t Sub Allow"], "committed t g", false),
    (&["Topic:t Get Allow"], "bytime t", true),
    (&["Topic:t Sub Allow"], "bytime t", true),
    (&["Topic:t Pub Allow"], "bytime t", false),
    (&["Topic:t Get Allow"], "query t", true),
    (&["Topic:t Pub Allow"], "query t", false),
    (&["Topic:t Sub Allow", "Group:g Sub Allow"], "beat t g", true),
    (&["Group:g Sub Allow"], "beat %RETRY%g g", true),
    (&["Group:g Sub Allow"], "beat t g", false),
    (&["Topic:t Sub Allow"], "beat t g", false),
    (&["Group:g Sub Allow"], "members t g", true),
    (&["Group:g Get Allow"], "members t g", true),
    (&["Topic:t All Allow"], "members t g", false),
    (&["Group:* All Allow"], "producers t g", false),
    (&["Cluster:DefaultCluster Get Allow"], "producers t g", true),
];

#[tokio::test]
async fn calls_need_what_the_table_says() {
    for (entries, call, passes) in CALLS {
        let rig = rig(true);
        rig.allow("alice", entries);
        let told = rig.lets(call).await;
        assert_eq!(told.is_ok(), *passes, "{entries:?} {call}: {told:?}");
    }
}

#[tokio::test]
async fn operations_need_what_the_table_says() {
    let cases: &[(&[&str], &str, Value, bool)] = &[
        (&["Topic:t Create Allow"], "topic.put", json!({ "config": { "name": "t" } }), true),
        (&["Topic:u Create Allow"], "topic.put", json!({ "config": { "name": "t" } }), false),
        (&["Topic:t Delete Allow"], "topic.delete", json!({ "topic": "t" }), true),
        (&["Topic:t Create Allow"], "topic.delete", json!({ "topic": "t" }), false),
        (&["Group:g Get Allow"], "group.get", json!({ "group": "g" }), true),
        (&["Group:g Sub Allow"], "group.get", json!({ "group": "g" }), false),
        (&["Group:g Update Allow"], "group.reset", json!({ "group": "g", "topic": "t" }), false),
        (
            &["Group:g Update Allow", "Topic:t Update Allow"],
            "group.reset",
            json!({ "group": "g", "topic": "t" }),
            true,
        ),
        (&["Cluster:* Get Allow"], "user.list", json!({}), false),
        (&["Cluster:* Update Allow"], "user.list", json!({}), true),
        (&["Topic:* All Allow", "Group:* All Allow"], "acl.put", json!({}), false),
        (&[], "node.info", json!({}), true),
    ];
    for (entries, operation, request, passes) in cases {
        let rig = rig(true);
        rig.allow("alice", entries);
        let told = rig.runs(operation, request.clone()).await;
        // The stub has two operations: all others count as ones that write.
        assert_eq!(told.is_ok(), *passes, "{entries:?} {operation}: {told:?}");
    }
}

#[tokio::test]
async fn the_texts_are_those_of_rocketmq() {
    let rig = rig(true);
    let told = rig.lets("publish t").await;
    assert_eq!(told, Err("User:alice is not found.".to_owned()));
    rig.allow("alice", &["Topic:u Pub Deny"]);
    let told = rig.lets("publish t").await;
    let expected = "User:alice has no permission to access Topic:t from 127.0.0.1, no matched policies.";
    assert_eq!(told, Err(expected.to_owned()));
    let told = rig.lets("publish u").await;
    let expected = "User:alice has no permission to access Topic:u from 127.0.0.1, the decision is deny.";
    assert_eq!(told, Err(expected.to_owned()));
    rig.put("alice", UserKind::Super, UserStatus::Enable);
    assert_eq!(rig.lets("publish u").await, Ok(()));
    rig.put("alice", UserKind::Super, UserStatus::Disable);
    assert_eq!(rig.lets("publish u").await, Err("User:alice is disabled.".to_owned()));
    let nobody = Session { protocol: "test", ..Session::internal() };
    let told = rig.guarded.publish(&nobody, publish(TopicName::new("t").expect("legal"))).await;
    assert!(matches!(&told, Err(PublishError::Denied(why)) if why == "username cannot be null."), "{told:?}");
}

#[tokio::test]
async fn off_means_that_nobody_is_asked() {
    let rig = rig(false);
    assert!(!rig.access.is_required());
    for (_, call, _) in CALLS {
        assert_eq!(rig.lets(call).await, Ok(()), "{call}");
    }
}

fn signature(secret: &str, content: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha1>::new_from_slice(secret.as_bytes()).expect("any length");
    mac.update(content);
    mac.finalize().into_bytes().to_vec()
}

#[test]
fn a_signature_is_good_under_its_users_secret_only() {
    let rig = rig(true);
    rig.put("alice", UserKind::Normal, UserStatus::Enable);
    let good = signature("secret", b"content");
    let signed = |user: &str, content: &[u8], signature: &[u8]| {
        rig.access.signed(user, content, signature).map(|user| user.as_ref().to_owned())
    };
    assert_eq!(signed("alice", b"content", &good).as_deref(), Ok("alice"));
    assert_eq!(signed("alice", b"other", &good), Err(Stranger::Signature));
    assert_eq!(signed("alice", b"content", &signature("wrong", b"content")), Err(Stranger::Signature));
    assert_eq!(signed("alice", b"content", b""), Err(Stranger::Signature));
    assert_eq!(signed("bob", b"content", &good), Err(Stranger::Unknown("bob".to_owned())));
    assert_eq!(signed("", b"content", &good), Err(Stranger::Nobody));
    assert_eq!(rig.access.password("alice", "secret").as_deref(), Ok("alice"));
    assert_eq!(rig.access.password("alice", "secre"), Err(Stranger::Signature));
    assert_eq!(rig.access.password("alice", ""), Err(Stranger::Signature));

    // A new password counts at once, and so does a user that is disabled.
    let sealed = rig.access.seal("alice", "other").expect("sealed");
    let config = UserConfig { kind: UserKind::Normal, status: UserStatus::Enable, sealed };
    rig.accounts.put("alice".parse().expect("legal"), config);
    assert_eq!(signed("alice", b"content", &good), Err(Stranger::Signature));
    assert_eq!(signed("alice", b"content", &signature("other", b"content")).as_deref(), Ok("alice"));
    rig.put("alice", UserKind::Normal, UserStatus::Disable);
    assert_eq!(signed("alice", b"content", &good), Err(Stranger::Disabled("alice".to_owned())));
    // A secret of one user does not open another's account.
    rig.put("mallory", UserKind::Normal, UserStatus::Enable);
    let sealed = rig.accounts.get("mallory").expect("there").config.sealed.clone();
    let config = UserConfig { kind: UserKind::Super, status: UserStatus::Enable, sealed };
    rig.accounts.put("root".parse().expect("legal"), config);
    assert_eq!(signed("root", b"content", &good), Err(Stranger::Signature));
}

#[tokio::test]
async fn only_super_users_change_super_users() {
    let rig = rig(true);
    rig.allow("alice", &["Cluster:* All Allow"]);
    rig.put("root", UserKind::Super, UserStatus::Enable);
    let put = |user: &str, kind: &str| json!({ "user": user, "password": "p", "kind": kind });
    assert!(rig.runs("user.put", put("bob", "Normal")).await.is_ok());
    assert!(rig.runs("user.put", put("bob", "super")).await.is_err());
    assert!(rig.runs("user.put", put("root", "Normal")).await.is_err());
    assert!(rig.runs("user.delete", json!({ "user": "root" })).await.is_err());
    assert!(rig.runs("user.delete", json!({ "user": "bob" })).await.is_ok());
    rig.put("alice", UserKind::Super, UserStatus::Enable);
    assert!(rig.runs("user.put", put("bob", "Super")).await.is_ok());
    assert!(rig.runs("user.delete", json!({ "user": "root" })).await.is_ok());
}

#[tokio::test]
async fn passwords_are_checked_and_no_sealed_one_is_taken() {
    let rig = rig(false);
    let alice = session("alice");
    let put = |fields: Value| rig.guarded.run(&alice, "user.put", fields);
    let told = put(json!({ "user": "bob", "password": " " })).await;
    assert!(matches!(&told, Err(AdminError::Invalid(why)) if why == "password can not be blank"), "{told:?}");
    let told = put(json!({ "user": "bob", "password": "p".repeat(1_000) })).await;
    assert!(matches!(told, Err(AdminError::Invalid(_))), "{told:?}");
    let told = put(json!({ "user": "bob", "sealed": "x" })).await;
    assert!(matches!(told, Err(AdminError::Invalid(_))), "{told:?}");
    let told = put(json!({ "user": "bob", "password": "p" })).await;
    assert!(matches!(told, Err(AdminError::UnknownOperation(_))), "{told:?}");
}
