//! `POP_LITE_MESSAGE`, `LITE_SUBSCRIPTION_CTL`: lite topics (`PopLiteMessageProcessor`,
//! `LiteSubscriptionCtlProcessor`). Proxies use them; what comes is one answer for many lite topics,
//! so each message carries its whole handle as `POP_CK`, and its lite topic as a property.

use std::sync::Arc;

use bytes::Bytes;
use model::lite::{LiteAction, LiteStart, LiteSync};
use model::message::Delivery;
use model::verbs::{Receive, StartFrom};
use model::{Filter, GroupName, QueueId, TopicName, properties, record};
use serde::Deserialize;

use crate::code::response;
use crate::error::Failure;
use crate::frame::{Body, Command};
use crate::handle::{self, Home};
use crate::header::Fields;
use crate::json;
use crate::limits::HOLD_MS_MAX;
use crate::link::Link;

use super::{Answer, done, success};

pub(super) async fn pop(link: &Arc<Link>, request: &Command) -> Answer {
    let fields = &request.fields;
    let group = GroupName::new(fields.required("consumerGroup")?)?;
    let topic = TopicName::new(fields.required("topic")?)?;
    let max_messages: u32 = fields.parse("maxMsgNum")?;
    if max_messages > model::limits::RECEIVE_MESSAGES_MAX {
        return Err(Failure::new(response::INVALID_PARAMETER, "pop message's num is greater than 32"));
    }
    let config = crate::admin::lite::parent(link, topic.as_str()).await?;
    crate::admin::lite::bound_to(link, &group, &config).await?;
    let receive = Receive {
        group,
        topic: topic.clone(),
        queue: None,
        filter: Filter::all(),
        max_messages,
        invisible_ms: fields.parse("invisibleTime")?,
        wait_ms: fields.parse::<i64>("pollTime")?.clamp(0, HOLD_MS_MAX),
        attempt_id: fields.get("attemptId").filter(|id| !id.is_empty()).map(str::to_owned),
        ordered: Some(true),
        start: StartFrom::Last,
        client_id: fields.required("clientId")?.to_owned(),
    };
    let received = link.hold(link.engine().receive(&link.session, receive)).await??;
    let broker_name = &link.server.node().await?.broker_name;
    let counts: Vec<String> =
        received.deliveries.iter().map(|d| d.attempt.saturating_sub(1).to_string()).collect();
    let body: Body = received.deliveries.iter().map(|d| bytes(d, &topic, broker_name)).collect();
    let fields = Fields::new()
        .with("popTime", received.delivered_ms)
        .with("invisibleTime", received.invisible_ms)
        .with("reviveQid", REVIVE_QUEUE)
        .with("orderCountInfo", counts.join(";"));
    if received.deliveries.is_empty() {
        return Ok(Command { code: response::POLLING_TIMEOUT, ..success(fields, body) });
    }
    Ok(success(fields, body))
}

/// `KeyBuilder.POP_ORDER_REVIVE_QUEUE`: no retry goes through a queue of retries.
const REVIVE_QUEUE: i32 = 999;

fn bytes(delivery: &Delivery, topic: &TopicName, broker_name: &str) -> Bytes {
    let Delivery { message, receipt, attempt } = delivery;
    let mut shown = message.to_new();
    shown.reconsume_times = attempt.saturating_sub(1);
    let check_point = handle::check_point(receipt, Home::Topic, broker_name);
    shown.properties.set(properties::POP_CHECK_POINT, &check_point);
    let place = record::Placement {
        topic: topic.as_str(),
        queue: QueueId(0),
        offset: receipt.offset,
        ..message.placement()
    };
    let mut out = Vec::new();
    record::encode(&mut out, &shown, &place);
    out.into()
}

/// `LiteSubscriptionCtlRequestBody`
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Ctl {
    #[serde(default)]
    subscription_set: Vec<Entry>,
}

/// `LiteSubscriptionDTO`
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    action: String,
    #[serde(default)]
    client_id: String,
    #[serde(default)]
    group: String,
    #[serde(default)]
    topic: String,
    #[serde(default)]
    lite_topic_set: Vec<String>,
    #[serde(default)]
    offset_option: Option<OffsetOption>,
    #[serde(default)]
    version: i64,
}

/// `OffsetOption`
#[derive(Deserialize)]
struct OffsetOption {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    value: i64,
}

pub(super) async fn control(link: &Arc<Link>, request: &Command) -> Answer {
    let illegal = |text: &str| Failure::new(response::ILLEGAL_OPERATION, text);
    if request.body.bytes().is_empty() {
        return Err(illegal("Request body is null."));
    }
    let ctl: Ctl = json::read(&request.body)?;
    if ctl.subscription_set.is_empty() {
        return Err(illegal("LiteSubscriptionCtlRequestBody is empty."));
    }
    for entry in ctl.subscription_set {
        // As the Java server: what names nobody is passed over.
        if [&entry.client_id, &entry.group, &entry.topic].iter().any(|name| name.trim().is_empty()) {
            continue;
        }
        link.engine().sync_lite(&link.session, sync(entry)?).await?;
    }
    Ok(done())
}

fn sync(entry: Entry) -> Result<LiteSync, Failure> {
    let action = match entry.action.as_str() {
        "PARTIAL_ADD" => LiteAction::Add,
        "PARTIAL_REMOVE" => LiteAction::Remove,
        "COMPLETE_ADD" => LiteAction::Set,
        "COMPLETE_REMOVE" => LiteAction::Clear,
        other => return Err(Failure::malformed("action", other)),
    };
    Ok(LiteSync {
        client_id: entry.client_id,
        group: GroupName::new(&entry.group)?,
        topic: TopicName::new(&entry.topic)?,
        action,
        lite_topics: entry.lite_topic_set,
        start: entry.offset_option.as_ref().map_or(LiteStart::Last, start),
        version: entry.version,
    })
}

fn start(option: &OffsetOption) -> LiteStart {
    let count = u64::try_from(option.value).unwrap_or(0);
    match (option.kind.as_str(), option.value) {
        ("POLICY", 1) => LiteStart::First,
        ("POLICY", 2) => LiteStart::End,
        ("OFFSET", _) => LiteStart::Offset(count),
        ("TAIL_N", _) => LiteStart::Tail(count),
        ("TIMESTAMP", time_ms) => LiteStart::Time(time_ms),
        _ => LiteStart::Last,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subscription_is_read_as_java_writes_it() {
        let body = br#"{"subscriptionSet":[{"action":"PARTIAL_ADD","clientId":"c","group":"g",
            "liteTopicSet":["a","b"],"offsetOption":{"type":"TAIL_N","value":3},"topic":"t","version":0}]}"#;
        let mut ctl: Ctl = serde_json::from_slice(body).expect("as Java writes it");
        let sync = sync(ctl.subscription_set.remove(0)).expect("legal");
        assert_eq!((sync.action, sync.start), (LiteAction::Add, LiteStart::Tail(3)));
        assert_eq!((sync.client_id.as_str(), sync.lite_topics.len()), ("c", 2));
    }

    #[test]
    fn an_offset_option_says_where_to_begin() {
        let of = |kind: &str, value| start(&OffsetOption { kind: kind.to_owned(), value });
        assert_eq!(of("POLICY", 0), LiteStart::Last);
        assert_eq!(of("POLICY", 1), LiteStart::First);
        assert_eq!(of("POLICY", 2), LiteStart::End);
        assert_eq!(of("OFFSET", -1), LiteStart::Offset(0));
        assert_eq!(of("TIMESTAMP", 9), LiteStart::Time(9));
        assert_eq!(of("?", 9), LiteStart::Last);
    }
}
