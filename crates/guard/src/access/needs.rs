//! What each call needs: the table of `docs/access-control.md`.
//!
//! As RocketMQ's `DefaultAuthorizationContextBuilder`, told by verbs instead of request codes.

use model::access::Action as Do;
use model::access::{Actions, ResourceKind};
use model::admin::AdminPermission;
use model::names::AUTO_CREATE_TOPIC;
use model::{GroupName, TopicName};
use serde_json::Value;

use crate::permit::Action;

const PUB: Actions = Actions::of(&[Do::Pub]);
const SUB: Actions = Actions::of(&[Do::Sub]);
const SUB_OR_GET: Actions = Actions::of(&[Do::Sub, Do::Get]);
const SUB_OR_UPDATE: Actions = Actions::of(&[Do::Sub, Do::Update]);
const PUB_SUB_OR_GET: Actions = Actions::of(&[Do::Pub, Do::Sub, Do::Get]);
const CREATE: Actions = Actions::of(&[Do::Create]);
const UPDATE: Actions = Actions::of(&[Do::Update]);
const DELETE: Actions = Actions::of(&[Do::Delete]);
const GET: Actions = Actions::of(&[Do::Get]);

/// Asked once for each thing that is needed; the first "no" is the answer.
pub(super) type Ask<'a> = dyn FnMut(ResourceKind, &str, Actions) -> Result<(), String> + 'a;

fn of_group(group: &GroupName, actions: Actions, ask: &mut Ask<'_>) -> Result<(), String> {
    ask(ResourceKind::Group, group.as_str(), actions)
}

/// A lite topic belongs to its parent. Retries belong to their group: who asks for those of a group is
/// asked about the group.
fn of_topic(topic: &TopicName, actions: Actions, ask: &mut Ask<'_>) -> Result<(), String> {
    match topic.as_lite() {
        Some((parent, _)) => ask(ResourceKind::Topic, parent.as_str(), actions),
        None => ask(ResourceKind::Topic, topic.as_str(), actions),
    }
}

/// Topic and group, but of a retry topic the group alone.
fn of_both(
    topic: &TopicName,
    group: Option<&GroupName>,
    actions: Actions,
    ask: &mut Ask<'_>,
) -> Result<(), String> {
    match group {
        Some(group) if topic.is_retry() => of_group(group, actions, ask),
        Some(group) => {
            of_topic(topic, actions, ask)?;
            of_group(group, actions, ask)
        }
        None => of_topic_or_retry(topic, actions, actions, ask),
    }
}

/// A retry topic is its group's affair.
fn of_topic_or_retry(
    topic: &TopicName,
    actions: Actions,
    of_retry: Actions,
    ask: &mut Ask<'_>,
) -> Result<(), String> {
    match topic.derived_from() {
        Some(group) if topic.is_retry() => ask(ResourceKind::Group, group, of_retry),
        _ => of_topic(topic, actions, ask),
    }
}

fn publish(topic: &TopicName, ask: &mut Ask<'_>) -> Result<(), String> {
    match topic.derived_from() {
        // A 4.x consumer puts what it gives up among the dead letters of its group by itself.
        Some(group) if topic.is_dead_letters() && ask(ResourceKind::Group, group, SUB).is_ok() => Ok(()),
        _ => of_topic_or_retry(topic, PUB, SUB, ask),
    }
}

pub(super) fn each(action: Action<'_>, cluster: &str, ask: &mut Ask<'_>) -> Result<(), String> {
    match action {
        Action::Nothing => Ok(()),
        Action::Publish { topic } => publish(topic, ask),
        Action::SendBack { group } | Action::Configure { group } => {
            let actions = if matches!(action, Action::SendBack { .. }) { SUB } else { UPDATE };
            of_group(group, actions, ask)
        }
        Action::Consume { topic, group } => of_both(topic, group, SUB, ask),
        Action::CommitOffset { topic, group } => of_both(topic, Some(group), SUB_OR_UPDATE, ask),
        Action::Seek { topic, group } => of_both(topic, Some(group), UPDATE, ask),
        // Where a topic would be that does not exist yet, and where replies go, anybody may know.
        Action::Describe { topic } if is_common(topic, cluster) => Ok(()),
        Action::Describe { topic } => of_topic_or_retry(topic, PUB_SUB_OR_GET, SUB_OR_GET, ask),
        Action::AskOffset { topic, group } => of_both(topic, group, SUB_OR_GET, ask),
        Action::Query { topic } => of_topic_or_retry(topic, SUB_OR_GET, SUB_OR_GET, ask),
        Action::Beat { beat } => {
            for consumer in &beat.consumers {
                of_group(&consumer.group, SUB, ask)?;
                for subscription in &consumer.subscriptions {
                    of_both(&subscription.topic, Some(&consumer.group), SUB, ask)?;
                }
            }
            Ok(())
        }
        Action::Join { group } => of_group(group, SUB_OR_GET, ask),
        Action::AskProducers => ask(ResourceKind::Cluster, cluster, GET),
        Action::Lock { request } => {
            of_group(&request.group, SUB, ask)?;
            request.queues.iter().try_for_each(|queue| of_both(&queue.topic, Some(&request.group), SUB, ask))
        }
        Action::Admin { operation, permission, request } => {
            administer(operation, permission, request, cluster, ask)
        }
    }
}

fn is_common(topic: &TopicName, cluster: &str) -> bool {
    let name = topic.as_str();
    name == AUTO_CREATE_TOPIC || name.strip_suffix("_REPLY_TOPIC").is_some_and(|prefix| prefix == cluster)
}

/// A kind of thing, where the request names it, and what may be done with it.
type Need = (ResourceKind, &'static str, Actions);

/// What an operation needs: of what its request names, and by default of the whole cluster.
const OPERATIONS: &[(&str, &[Need])] = {
    use ResourceKind::{Group, Topic};
    &[
        ("topic.put", &[(Topic, "/config/name", CREATE)]),
        ("topic.get", &[(Topic, "/topic", GET)]),
        ("topic.list", &[]),
        ("topic.delete", &[(Topic, "/topic", DELETE)]),
        ("group.put", &[(Group, "/config/name", CREATE)]),
        ("group.get", &[(Group, "/group", GET)]),
        ("group.list", &[]),
        ("group.delete", &[(Group, "/group", DELETE)]),
        ("group.resend", &[(Group, "/group", UPDATE)]),
        ("group.reset", &[(Group, "/group", UPDATE), (Topic, "/topic", UPDATE)]),
        ("group.preview", &[(Group, "/group", GET), (Topic, "/topic", GET)]),
        ("message.get", &[(Topic, "/topic", SUB_OR_GET)]),
        ("message.browse", &[(Topic, "/topic", SUB_OR_GET)]),
        ("session.get", &[]),
        ("node.history", &[]),
        ("group.skip", &[(Group, "/group", UPDATE), (Topic, "/topic", UPDATE)]),
        ("group.clone-offsets", &[(Group, "/from", UPDATE), (Group, "/to", UPDATE)]),
        ("timer.list", &[(Topic, "/topic", GET)]),
        ("timer.delete", &[(Topic, "/topic", UPDATE)]),
        ("lite.list", &[(Topic, "/topic", GET)]),
        ("lite.get", &[(Topic, "/topic", GET)]),
        ("lite.parent", &[(Topic, "/topic", GET)]),
        ("lite.delete", &[(Topic, "/topic", DELETE)]),
        ("lite.client", &[(Topic, "/topic", GET), (Group, "/group", GET)]),
        ("lite.group", &[(Group, "/group", GET)]),
        ("lite.dispatch", &[(Group, "/group", UPDATE)]),
        ("rates.get", &[(Topic, "/topic", GET), (Group, "/group", GET)]),
        ("transaction.list", &[(Topic, "/topic", GET)]),
        ("message.trace", &[(Topic, "/topic", GET)]),
        ("node.info", &[]),
    ]
};

fn administer(
    operation: &str,
    permission: AdminPermission,
    request: &Value,
    cluster: &str,
    ask: &mut Ask<'_>,
) -> Result<(), String> {
    let needs = OPERATIONS.iter().find(|(name, _)| *name == operation).map(|(_, needs)| *needs);
    if needs.is_some_and(<[Need]>::is_empty) {
        return Ok(());
    }
    let mut is_named = false;
    for (kind, field, actions) in needs.unwrap_or_default() {
        if let Some(name) = request.pointer(field).and_then(Value::as_str) {
            is_named = true;
            ask(*kind, name, *actions)?;
        }
    }
    // What names nothing is about all.
    let actions = match permission {
        AdminPermission::Read => GET,
        AdminPermission::Write => UPDATE,
    };
    if is_named { Ok(()) } else { ask(ResourceKind::Cluster, cluster, actions) }
}
